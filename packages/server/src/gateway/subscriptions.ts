import { exactText, type ExactRecord, type ExactValue } from '@writ/domain/exact'
import type { McpMessage, UpstreamDescription } from '../upstreams/upstream.ts'
import { eventFlow, type EventFlow } from './event-flow.ts'
import type { Exchange, Pipeline } from './exchange.ts'
import type { FaceCall } from './face.ts'
import { isRecord, notificationText, resultText, type RpcId } from './json-rpc.ts'
import { exchangeOf, SUBSCRIPTION_ID, type Enveloped } from './newer-words.ts'
import { Ended, Refused, RPC_CODES, rpcError } from './refused.ts'

export type SubscribeNeeds = {
  readonly pipeline: Pick<Pipeline, 'describe' | 'listen' | 'carry'>
  /** Aborted when this server stops. */
  readonly stopping: AbortSignal
}

const MOST_RESOURCES = 100

/** The lists that a client can be told of, by the words of a filter. */
const LISTS = {
  toolsListChanged: { ability: 'tools', method: 'notifications/tools/list_changed' },
  promptsListChanged: { ability: 'prompts', method: 'notifications/prompts/list_changed' },
  resourcesListChanged: { ability: 'resources', method: 'notifications/resources/list_changed' },
} as const

type Agreed = { readonly lists: readonly (keyof typeof LISTS)[]; readonly resources: readonly string[] }

/** `subscriptions/listen`: a stream of what the client has asked for and may hear, until it closes it, or the task is over. */
export async function subscribe(needs: SubscribeNeeds, call: FaceCall, request: Enveloped): Promise<EventFlow> {
  const wanted = request.message.params['notifications']
  if (!isRecord(wanted)) throw new Refused(400, rpcError(RPC_CODES.invalidParams, '`notifications` must be an object'))
  const closing = AbortSignal.any([call.signal, needs.stopping])
  const exchange = exchangeOf(call, request, closing)
  const description = await needs.pipeline.describe(exchange)
  const after: Exchange = { ...exchange, uses: [] }
  const agreed: Agreed = { lists: listsIn(wanted, description), resources: await resourcesIn(needs, after, wanted['resourceSubscriptions']) }

  const flow = eventFlow(call.signal)
  const { id } = request
  const over = (): void => { flow.end(resultText(id, exactText({ resultType: 'complete', _meta: { [SUBSCRIPTION_ID]: id } }))) }
  flow.say(noted(id, { method: 'notifications/subscriptions/acknowledged', params: { notifications: filterOf(agreed) } }))
  const stop = await needs.pipeline.listen(after, {
    hear: (message) => { if (isAgreed(agreed, message)) flow.say(noted(id, message)) },
    onEnd: (because) => { if (because instanceof Ended) over(); else flow.end() },
  })
  const onClosing = (): void => {
    stop()
    over()
  }
  closing.addEventListener('abort', onClosing, { once: true })
  if (closing.aborted) onClosing()
  return flow
}

const listsIn = (wanted: ExactRecord, { capabilities }: UpstreamDescription): Agreed['lists'] =>
  (Object.keys(LISTS) as (keyof typeof LISTS)[]).filter((name) => wanted[name] === true && isRecord(capabilities[LISTS[name].ability]))

/** Each is decided on as its reading is. What may not be heard is left out. */
async function resourcesIn(needs: SubscribeNeeds, exchange: Exchange, wanted: ExactValue | undefined): Promise<readonly string[]> {
  const uris = Array.isArray(wanted) ? [...new Set(wanted.filter((uri): uri is string => typeof uri === 'string'))].slice(0, MOST_RESOURCES) : []
  const heard: string[] = []
  for (const uri of uris) {
    const turn = await needs.pipeline.carry({ ...exchange, message: { method: 'resources/subscribe', params: { uri } } })
    if (turn.kind === 'result') heard.push(uri)
  }
  return heard
}

const filterOf = ({ lists, resources }: Agreed): ExactRecord =>
  ({ ...Object.fromEntries(lists.map((name) => [name, true])), ...(resources.length === 0 ? {} : { resourceSubscriptions: resources }) })

/** What was updated may lie below what the client has asked for. */
function isAgreed({ lists, resources }: Agreed, { method, params }: McpMessage): boolean {
  if (method !== 'notifications/resources/updated') return lists.some((name) => LISTS[name].method === method)
  const { uri } = params
  return typeof uri === 'string' && resources.some((one) => uri === one || uri.startsWith(one.endsWith('/') ? one : `${one}/`))
}

function noted(id: RpcId, { method, params }: McpMessage): string {
  const meta = isRecord(params['_meta']) ? params['_meta'] : {}
  return notificationText({ method, params: { ...params, _meta: { ...meta, [SUBSCRIPTION_ID]: id } } })
}
