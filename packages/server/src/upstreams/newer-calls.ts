import type { ExactRecord, ExactValue } from '@writ/domain/exact'
import { isRecord, memberRecord, memberString, recordOf, type RawAnswer, type RawResult } from './message.ts'
import { withoutMember } from './members.ts'
import { UpstreamFault, type Along, type InputAnswers, type Inputs, type McpMessage, type Turn, type Upstream, type UpstreamDescription } from './upstream.ts'

export const NEWER = '2026-07-28'
const PREFIX = 'io.modelcontextprotocol/'
const SUBSCRIPTION_ID = `${PREFIX}subscriptionId`
const FIRST_RETRY_MS = 500
const LAST_RETRY_MS = 30_000

/** What is asked of a server on one way of the newer generation. */
export type NewerWire = {
  /** Sends the request under this id and answers what came back. `hear` gets what comes on the way; an abort tells the server so, and throws its reason. */
  ask(id: number, message: McpMessage, hear: (message: McpMessage) => void, signal: AbortSignal): Promise<RawAnswer>
  close(): Promise<void>
}

export type NewerUpstreamNeeds = {
  readonly server: string
  readonly wire: NewerWire
  readonly description: UpstreamDescription
  /** For what is asked on behalf of nobody in particular. */
  readonly client: Along['client']
  readonly ids: () => number
}

/** An upstream of the newer generation, which keeps nothing between two requests: every request carries everything. */
export function newerUpstream(needs: NewerUpstreamNeeds): Upstream {
  const closing = new AbortController()
  const subscription = newerSubscription(needs, closing.signal)
  let logLevel: ExactValue | undefined
  const ask = async (message: McpMessage, along: Along): Promise<Turn> => {
    along.signal.throwIfAborted()
    if (closing.signal.aborted) throw new UpstreamFault(needs.server, 'closed')
    const id = needs.ids()
    const given = isRecord(message.params['_meta']) ? message.params['_meta'] : {}
    const token = given['progressToken']
    const own = { ...(token === undefined ? {} : { progressToken: BigInt(id) }), ...(logLevel === undefined ? {} : { [`${PREFIX}logLevel`]: logLevel }) }
    const params = { ...message.params, _meta: { ...given, ...own, ...metaOf(along.client) } }
    const hear = ({ method, params: said }: McpMessage): void => {
      if (method !== 'notifications/progress') return along.notify({ method, params: said })
      if (token !== undefined) along.notify({ method, params: { ...said, progressToken: token } })
    }
    const signal = AbortSignal.any([along.signal, closing.signal])
    return turnOf(needs.server, await needs.wire.ask(id, { method: message.method, params }, hear, signal))
  }
  return {
    description: needs.description,
    async request(message, along) {
      // What this generation does otherwise, or not at all.
      switch (message.method) {
        case 'ping':
          return EMPTY
        case 'logging/setLevel':
          logLevel = message.params['level']
          return EMPTY
        case 'resources/subscribe':
        case 'resources/unsubscribe':
          subscription.resource(message.params['uri'], message.method === 'resources/subscribe')
          return EMPTY
        default:
          return ask(message, along)
      }
    },
    async resume({ method, params }, state, answers, along) {
      const inputResponses = inputResponsesOf(answers)
      const requestState = state.startsWith(WITH_STATE) ? { requestState: state.slice(WITH_STATE.length) } : {}
      return ask({ method, params: { ...params, ...(Object.keys(inputResponses).length === 0 ? {} : { inputResponses }), ...requestState } }, along)
    },
    async tell() { /* no notification of a client's is left in this generation */ },
    listen: subscription.listen,
    async close() {
      closing.abort(new UpstreamFault(needs.server, 'closed'))
      await needs.wire.close()
    },
  }
}

const EMPTY: Turn = { kind: 'result', text: '{}' }
/** Tells a state that the server gave, be it empty, from none. */
const WITH_STATE = 's'
const WITHOUT_STATE = 'n'

/** The keys that every request has to carry, with no ability but those that this generation knows how to ask for. */
export function metaOf({ name, version, capabilities }: Along['client']): ExactRecord {
  return {
    [`${PREFIX}protocolVersion`]: NEWER,
    [`${PREFIX}clientInfo`]: { name, version },
    [`${PREFIX}clientCapabilities`]: { ...abilitiesOf(capabilities), ...(capabilities['roots'] === undefined ? {} : { roots: {} }) },
  }
}

/** What may be asked of a client through us: nothing that we would not know how to carry. */
export function abilitiesOf(capabilities: ExactRecord): ExactRecord {
  return Object.fromEntries(['roots', 'sampling', 'elicitation'].flatMap((name) => (capabilities[name] === undefined ? [] : [[name, capabilities[name]]])))
}

function turnOf(server: string, answer: RawAnswer): Turn {
  if (answer.kind === 'error') return answer
  const type = memberString(answer, 'resultType')
  if (type === 'input_required') return inputRequired(server, answer)
  if (type !== 'complete' && answer.members.some((member) => member.name === 'resultType')) throw new UpstreamFault(server, 'bad_answer')
  return { kind: 'result', text: withoutMember(answer.text, answer.members, 'resultType') }
}

function inputRequired(server: string, result: RawResult): Turn {
  const asked = result.members.some((member) => member.name === 'inputRequests') ? memberRecord(result, 'inputRequests') : {}
  const requestState = memberString(result, 'requestState')
  const inputs = asked && inputsOf(asked)
  if (inputs === undefined || (Object.keys(inputs).length === 0 && requestState === undefined)) throw new UpstreamFault(server, 'bad_answer')
  return { kind: 'input_required', inputs, state: requestState === undefined ? WITHOUT_STATE : WITH_STATE + requestState }
}

function inputsOf(asked: ExactRecord): Inputs | undefined {
  const inputs = Object.entries(asked).map(([name, one]) => {
    if (!isRecord(one) || typeof one['method'] !== 'string') return undefined
    const params = one['params'] ?? {}
    return isRecord(params) ? [name, { method: one['method'], params }] as const : undefined
  })
  return inputs.every((one) => one !== undefined) ? Object.fromEntries(inputs) : undefined
}

/** This generation has no word for a client's error: what was not answered is left out, and the server may ask again. */
function inputResponsesOf(answers: InputAnswers): ExactRecord {
  return Object.fromEntries(Object.entries(answers).flatMap(([name, answer]) => {
    const given = answer.kind === 'result' ? recordOf(answer.text) : undefined
    return given === undefined ? [] : [[name, given]]
  }))
}

type Subscription = {
  readonly listen: (hear: (message: McpMessage) => void) => () => void
  readonly resource: (uri: ExactValue | undefined, isWanted: boolean) => void
}

/** One `subscriptions/listen` for as long as somebody listens, begun anew when it breaks or when other resources are wanted. */
function newerSubscription({ server, wire, description, client, ids }: NewerUpstreamNeeds, closing: AbortSignal): Subscription {
  const hearers = new Set<(message: McpMessage) => void>()
  const resources = new Set<string>()
  let current: AbortController | undefined
  const run = async (over: AbortSignal): Promise<void> => {
    for (let waitMs = FIRST_RETRY_MS; !over.aborted; waitMs = Math.min(waitMs * 2, LAST_RETRY_MS)) {
      const notifications = wanted(description.capabilities, resources)
      if (Object.keys(notifications).length === 0) return
      const hear = (message: McpMessage): void => {
        // A server that only greets and ends is not asked again at once.
        if (message.method === 'notifications/subscriptions/acknowledged') return
        waitMs = FIRST_RETRY_MS
        for (const one of hearers) one(withoutSubscription(message))
      }
      const id = ids()
      const answer = await wire.ask(id, { method: 'subscriptions/listen', params: { notifications, _meta: metaOf(client) } }, hear, over).catch(() => undefined)
      // A server that says no will say no again.
      if (answer?.kind === 'error') return
      await pause(waitMs, over)
    }
  }
  const restart = (): void => {
    current?.abort(new UpstreamFault(server, 'closed'))
    current = undefined
    if (hearers.size === 0) return
    current = new AbortController()
    void run(AbortSignal.any([current.signal, closing]))
  }
  return {
    listen(hear) {
      const own = (message: McpMessage): void => { hear(message) }
      hearers.add(own)
      if (hearers.size === 1) restart()
      return () => {
        if (hearers.delete(own) && hearers.size === 0) restart()
      }
    },
    resource(uri, isWanted) {
      if (typeof uri !== 'string' || resources.has(uri) === isWanted) return
      if (isWanted) resources.add(uri)
      else resources.delete(uri)
      restart()
    },
  }
}

function wanted(capabilities: ExactRecord, resources: ReadonlySet<string>): ExactRecord {
  const can = (of: string, what: string): boolean => isRecord(capabilities[of]) && capabilities[of][what] === true
  return {
    ...(can('tools', 'listChanged') ? { toolsListChanged: true } : {}),
    ...(can('prompts', 'listChanged') ? { promptsListChanged: true } : {}),
    ...(can('resources', 'listChanged') ? { resourcesListChanged: true } : {}),
    ...(can('resources', 'subscribe') && resources.size > 0 ? { resourceSubscriptions: [...resources] } : {}),
  }
}

function withoutSubscription({ method, params }: McpMessage): McpMessage {
  const { _meta: meta, ...rest } = params
  if (!isRecord(meta)) return { method, params }
  const { [SUBSCRIPTION_ID]: _, ...others } = meta
  return { method, params: Object.keys(others).length === 0 ? rest : { ...rest, _meta: others } }
}

/** Ends early where it is aborted. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return
  const { promise, resolve } = Promise.withResolvers<void>()
  const timer = setTimeout(resolve, ms)
  timer.unref()
  signal.addEventListener('abort', () => { resolve() }, { once: true })
  await promise
  clearTimeout(timer)
}

/** What a server says of itself in answer to `server/discover`; undefined unless it speaks this very generation. */
export function describedBy(result: RawResult): UpstreamDescription | undefined {
  const whole = recordOf(result.text)
  const versions = whole?.['supportedVersions']
  const capabilities = whole?.['capabilities']
  if (!Array.isArray(versions) || !versions.includes(NEWER) || !isRecord(capabilities)) return undefined
  const meta = whole?.['_meta']
  const info = isRecord(meta) ? meta[`${PREFIX}serverInfo`] : undefined
  const instructions = whole?.['instructions']
  return { generation: NEWER, capabilities, info: isRecord(info) ? info : {}, instructions: typeof instructions === 'string' ? instructions : null }
}
