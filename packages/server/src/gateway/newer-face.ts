import { exactText, type ExactRecord } from '@writ/domain/exact'
import type { ServerInstanceId } from '@writ/domain/id'
import { milliseconds, plus } from '@writ/domain/time'
import type { Sealer } from '../keys/seal.ts'
import type { Clock } from '../platform/clock.ts'
import { ANSWER_HOLDS_MS } from '../upstreams/older-calls.ts'
import type { Generation, InputAnswers, Inputs, McpMessage, Turn } from '../upstreams/upstream.ts'
import { approvalIn } from './approvals.ts'
import { eventFlow, type EventFlow } from './event-flow.ts'
import type { Exchange, Pipeline } from './exchange.ts'
import type { Face, FaceAnswer, FaceCall } from './face.ts'
import { errorText, isRecord, notificationText, resultText } from './json-rpc.ts'
import { completedText, discoveryText, exchangeOf, mirroredIn, readEnvelope, withoutEnvelope, type Envelope, type Enveloped } from './newer-words.ts'
import { heardBy, questionFor } from './older-words.ts'
import { Refused, RPC_CODES, rpcError } from './refused.ts'
import { openState, sealState, type CarriedState } from './sealed-state.ts'
import { EVENT_STREAM_HEADERS } from './sse-writer.ts'
import { subscribe, type SubscribeNeeds } from './subscriptions.ts'

export type NewerFaceNeeds = SubscribeNeeds & {
  readonly pipeline: Pipeline
  readonly states: Sealer
  readonly clock: Clock
  /** This run of the server. */
  readonly home: ServerInstanceId
  /** Of the server that this is asked of; undefined where no way to it is open. */
  readonly generationOf: (exchange: Exchange) => Generation | undefined
  /** After this long without a word an answer becomes a stream, which nothing in between takes for dead. */
  readonly quietMs?: number
}

const QUIET_MS = 1000
const STATE_HOLDS_MS = milliseconds(ANSWER_HOLDS_MS)
/** A server that asks what its client can not answer is told so at once, and not for ever. */
const MOST_ROUNDS = 10

/** A closed list. What older revisions had besides is not there. */
const METHODS: ReadonlySet<string> = new Set([
  'tools/list', 'tools/call', 'resources/list', 'resources/templates/list', 'resources/read', 'prompts/list', 'prompts/get', 'completion/complete',
])

/** MCP 2026-07-28 as its clients see it: every request stands for itself. */
export function newerFace(needs: NewerFaceNeeds): Face {
  return async (call) => {
    const { message } = call
    if (call.method !== 'POST' || message === null) throw new Refused(405, rpcError(RPC_CODES.invalidRequest, 'this revision of the protocol is asked by POST alone'), { headers: { allow: 'POST' } })
    if (message.kind === 'response') throw new Refused(400, rpcError(RPC_CODES.invalidRequest, 'in this revision of the protocol a client answers nothing'))
    if (message.kind === 'notification') {
      // No notification of a client's is left in it.
      await call.useUp()
      return { status: 202, headers: {}, body: null }
    }
    const envelope = readEnvelope(call, message.message)
    if (!envelope.ok) throw envelope.refusal
    return answer(needs, call, { ...message, envelope: envelope.value })
  }
}

async function answer(needs: NewerFaceNeeds, call: FaceCall, request: Enveloped): Promise<FaceAnswer> {
  const { id, message: { method } } = request
  if (method === 'server/discover') return json(resultText(id, completedText(method, discoveryText(await needs.pipeline.describe(exchangeOf(call, request, call.signal))))))
  if (method === 'subscriptions/listen') return stream(await subscribe(needs, call, request))
  if (!METHODS.has(method)) throw new Refused(404, rpcError(RPC_CODES.methodNotFound, 'there is no such method'))
  const carried = carriedBy(needs, call, request)
  const isElsewhere = carried !== undefined && carried.home !== null && carried.home !== needs.home
  return isElsewhere ? call.sendTo(carried.home!) : onItsWay(needs, call, { ...request, carried })
}

/** Undefined where the request goes on with nothing. */
function carriedBy(needs: NewerFaceNeeds, call: FaceCall, { message }: Enveloped): CarriedState | undefined {
  const { requestState: sealed, inputResponses = {} } = message.params
  if (sealed === undefined) return undefined
  const of = { caller: call.caller, server: call.server, message: withoutEnvelope(message) }
  const carried = typeof sealed === 'string' ? openState(needs.states, of, { sealed, now: needs.clock.now() }) : undefined
  if (carried === undefined || !isRecord(inputResponses)) throw new Refused(400, rpcError(RPC_CODES.invalidParams, '`requestState` is not one of ours, not for this request, or too old'))
  return carried
}

const JSON_HEADERS = { 'content-type': 'application/json', 'cache-control': 'no-store' } as const
const json = (body: string): FaceAnswer => ({ status: 200, headers: JSON_HEADERS, body })
const stream = ({ texts }: EventFlow): FaceAnswer => ({ status: 200, headers: EVENT_STREAM_HEADERS, body: texts })

type OnItsWay = Enveloped & { readonly carried: CarriedState | undefined }

/** One JSON text where the answer comes soon and alone; else a stream, from the first word in between on. To close it is to cancel. */
async function onItsWay(needs: NewerFaceNeeds, call: FaceCall, request: OnItsWay): Promise<FaceAnswer> {
  const flow = eventFlow(call.signal)
  const isStream = Promise.withResolvers<'stream'>()
  let timer: NodeJS.Timeout | undefined
  const exchange: Exchange = {
    ...exchangeOf(call, request, call.signal), mirrored: mirroredIn(call.headers), canReturn: true,
    notify: (message) => {
      const heard = heardBy({ logLevel: request.envelope.logLevel, progressToken: request.envelope.progressToken }, message)
      if (heard === undefined || (heard.method === 'notifications/message' && request.envelope.logLevel === null)) return
      flow.say(notificationText(heard))
      isStream.resolve('stream')
    },
    onForward: () => { timer ??= setTimeout(() => { isStream.resolve('stream') }, needs.quietMs ?? QUIET_MS) },
  }
  const turned = turn(needs, exchange, request).then((one) => textOf(needs, exchange, request, one))
  try {
    const first = await Promise.race([turned, isStream.promise])
    if (first !== 'stream') return json(first)
  } finally {
    clearTimeout(timer)
  }
  turned.then((text) => { flow.end(text) }, (cause: unknown) => { flow.end(errorText(request.id, cause instanceof Refused ? cause.error : rpcError(RPC_CODES.internal, 'Writ failed'))) })
  return stream(flow)
}

/** A first request, or one that goes on with what an earlier one was asked. */
async function turn(needs: NewerFaceNeeds, exchange: Exchange, { carried, message: { params }, envelope: { client } }: OnItsWay): Promise<Turn> {
  const given = isRecord(params['inputResponses']) ? params['inputResponses'] : {}
  let next = carried === undefined
    ? await needs.pipeline.carry(exchange)
    : await needs.pipeline.resume(exchange, carried.state, { ...answersIn(given), ...refusalsIn(carried.unasked) })
  // Questions that nobody can answer are not handed on: the server is told so.
  for (let round = 0; round < MOST_ROUNDS && next.kind === 'input_required' && Object.keys(next.inputs).length > 0; round++) {
    const { unasked, asked } = sorted(client, next.inputs)
    if (Object.keys(asked).length > 0) return next
    next = await needs.pipeline.resume({ ...exchange, uses: [] }, next.state, refusalsIn(unasked))
  }
  return next
}

/** What a client was asked, each under the name that the server gave it. */
const answersIn = (answers: ExactRecord): InputAnswers =>
  Object.fromEntries(Object.entries(answers).flatMap(([name, value]) => (isRecord(value) ? [[name, { kind: 'result', text: exactText(value) } as const]] : [])))

/** What it could not be asked, each with the error that says so. */
const refusalsIn = (unasked: ExactRecord): InputAnswers =>
  Object.fromEntries(Object.entries(unasked).map(([name, message]) => [name, { kind: 'error', error: rpcError(RPC_CODES.methodNotFound, typeof message === 'string' ? message : 'can not be asked') } as const]))

function sorted(client: Envelope['client'], inputs: Inputs): { readonly asked: Readonly<Record<string, McpMessage>>; readonly unasked: ExactRecord } {
  const asked: Record<string, McpMessage> = {}
  const unasked: Record<string, string> = {}
  for (const [name, input] of Object.entries(inputs)) {
    const question = questionFor(client, input, name)
    if (question.ok) asked[name] = question.value
    else unasked[name] = question.refusal.message
  }
  return { asked, unasked }
}

function textOf(needs: NewerFaceNeeds, exchange: Exchange, { id, message, envelope: { client } }: Enveloped, one: Turn): string {
  switch (one.kind) {
    case 'result': return resultText(id, completedText(message.method, one.text))
    case 'error': return errorText(id, one.error)
    case 'input_required': {
      const { asked, unasked } = sorted(client, one.inputs)
      // The older generation keeps the call in the memory of whoever serves it.
      const home = approvalIn(one.state) !== undefined || needs.generationOf(exchange) === '2026-07-28' ? null : needs.home
      const requestState = sealState(needs.states, exchange, { state: one.state, home, until: plus(needs.clock.now(), STATE_HOLDS_MS), unasked })
      const inputRequests = Object.fromEntries(Object.entries(asked).map(([name, { method, params }]) => [name, { method, ...(Object.keys(params).length === 0 ? {} : { params }) }]))
      return resultText(id, exactText({ resultType: 'input_required', ...(Object.keys(inputRequests).length === 0 ? {} : { inputRequests }), requestState }))
    }
  }
}
