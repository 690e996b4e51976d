import { exactText } from '@writ/domain/exact'
import { milliseconds, plus, type EpochMs } from '@writ/domain/time'
import type { Logger } from 'pino'
import type { Clock } from '../platform/clock.ts'
import { isRecord } from '../tools/definition.ts'
import type { InputAnswers, Inputs, McpAnswer, McpError, McpMessage } from '../upstreams/upstream.ts'
import type { Exchange, Pipeline } from './exchange.ts'
import { errorText, notificationText, requestText, resultText, type RpcId } from './json-rpc.ts'
import { answerForOlder, heardBy, questionFor } from './older-words.ts'
import { Ended, RPC_CODES, rpcError } from './refused.ts'
import type { Session } from './sessions.ts'
import type { EventStream } from './sse-writer.ts'
import { foreseen, NOT_FORESEEN } from './trouble.ts'

export type CallNeeds = {
  readonly pipeline: Pick<Pipeline, 'carry' | 'resume'>
  readonly clock: Clock
  readonly log: Logger
  readonly bounds?: CallBounds
}

export type CallBounds = {
  /** How often a server may ask back, and how much at once. */
  readonly rounds: number
  readonly questions: number
  /** How long a client may take for its answers, all rounds together. */
  readonly answersMs: number
  /** After this long without a word an answer becomes a stream, which nothing between us and the client takes for dead. */
  readonly quietMs: number
}
const BOUNDS: CallBounds = { rounds: 20, questions: 16, answersMs: 600_000, quietMs: 10_000 }

export type CallOrder = { readonly session: Session; readonly id: RpcId; readonly exchange: Omit<Exchange, 'client' | 'signal' | 'notify'> }

/** What a request comes to first: its answer, or a stream on which that follows, or nothing, for the client wants no answer any more. */
export type Came = { readonly kind: 'answer'; readonly json: string } | { readonly kind: 'stream'; readonly stream: EventStream } | { readonly kind: 'nothing' }

type Going = {
  readonly needs: CallNeeds
  readonly bounds: CallBounds
  readonly session: Session
  readonly exchange: Exchange
  readonly stream: () => EventStream
  /** When the client's time for answers is over; from the first question on. */
  answersUntil: EpochMs | null
}

/**
 * Carries one request of a session. A lost connection is not its end, for the client may come back to the stream; its cancellation is, and the end
 * of the session.
 */
export function startCall(needs: CallNeeds, { session, id, exchange }: CallOrder): Promise<Came> {
  const bounds = needs.bounds ?? BOUNDS
  const cancelling = new AbortController()
  /** Tells the server that nobody waits any more. */
  const giveUp = (): void => { cancelling.abort(new Ended('client_gone')) }
  const came = Promise.withResolvers<Came>()
  let opened: EventStream | undefined
  let isDone = false
  const stream = (): EventStream => {
    if (opened === undefined) {
      opened = session.streams.open()
      came.resolve({ kind: 'stream', stream: opened })
    }
    return opened
  }
  const { _meta: meta } = exchange.message.params
  const progressToken = isRecord(meta) ? meta['progressToken'] : undefined
  const notify = (message: McpMessage): void => {
    const heard = isDone ? undefined : heardBy({ logLevel: session.logLevel, progressToken }, message)
    if (heard !== undefined) stream().say(notificationText(heard), 'may')
  }
  const going: Going = { needs, bounds, session, exchange: { ...exchange, client: session.client, signal: cancelling.signal, notify }, stream, answersUntil: null }
  const key = exactText(id)
  const quiet = setTimeout(stream, bounds.quietMs).unref()
  session.calls.set(key, { lease: exchange.caller.lease, cancel: (because) => { cancelling.abort(because) } })

  const settle = (json: string | null): void => {
    isDone = true
    clearTimeout(quiet)
    session.calls.delete(key)
    if (json !== null) opened?.say(json)
    opened?.end()
    session.streams.trim()
    came.resolve(json === null ? { kind: 'nothing' } : { kind: 'answer', json })
  }
  Promise.race([carry(going), abortionOf(cancelling.signal)]).then(
    (answer) => {
      settle(answer.kind === 'result' ? resultText(id, answer.text) : errorText(id, answer.error))
      if (answer === ASKED_TOO_OFTEN) giveUp()
    },
    (thrown: unknown) => {
      const cause: unknown = cancelling.signal.aborted ? cancelling.signal.reason : thrown
      giveUp()
      // HTTP can still say its part.
      if (opened === undefined && !isUnwanted(cause)) came.reject(cause)
      settle(isUnwanted(cause) ? null : errorText(id, errorOf(needs, exchange.traceId, cause)))
    },
  )
  return came.promise
}

/** The client itself has cancelled the request, or left: it waits for nothing. */
const isUnwanted = (cause: unknown): boolean => cause instanceof Ended && cause.word === 'client_gone'

/** What a client is told once HTTP has said its part. */
function errorOf({ log }: CallNeeds, traceId: string, cause: unknown): McpError {
  const error = foreseen(cause)
  if (error === undefined) log.error({ trace_id: traceId, err: cause }, 'request failed')
  return error ?? NOT_FORESEEN
}

function abortionOf(signal: AbortSignal): Promise<never> {
  const { promise, reject } = Promise.withResolvers<never>()
  signal.addEventListener('abort', () => { reject(signal.reason as Error) }, { once: true })
  return promise
}

/** To the answer, with as many questions back as it takes. */
async function carry(going: Going): Promise<McpAnswer> {
  const { needs: { pipeline }, bounds, session, exchange } = going
  let turn = await pipeline.carry(exchange)
  for (let round = 1; turn.kind === 'input_required'; round++) {
    if (round > bounds.rounds) return ASKED_TOO_OFTEN
    const answers = await answersTo(going, turn.inputs)
    turn = await pipeline.resume({ ...exchange, uses: [] }, turn.state, answers)
  }
  return session.behind.generation === '2025-11-25' ? turn : answerForOlder(exchange.message.method, turn)
}

const ASKED_TOO_OFTEN: McpAnswer = { kind: 'error', error: rpcError(RPC_CODES.internal, 'the server asked its client too often') }
const NO_ANSWER: McpAnswer = { kind: 'error', error: rpcError(RPC_CODES.internal, 'the client did not answer in time') }
const TOO_MANY: McpAnswer = { kind: 'error', error: rpcError(RPC_CODES.invalidParams, 'these are too many questions at once') }

/** Asks the client, each question by a request of ours; what it can not be asked is answered in its place. */
async function answersTo(going: Going, inputs: Inputs): Promise<InputAnswers> {
  const { needs: { clock }, bounds, session, exchange: { signal } } = going
  going.answersUntil ??= plus(clock.now(), milliseconds(bounds.answersMs))
  const waiting = new Map<string, string>()
  const answers: Record<string, McpAnswer> = {}
  const done = Promise.withResolvers<void>()
  for (const [i, [name, question]] of Object.entries(inputs).entries()) {
    const id = session.nextAskId()
    const asked = questionFor(session.client, question, id)
    if (i >= bounds.questions || !asked.ok) {
      answers[name] = asked.ok ? TOO_MANY : { kind: 'error', error: asked.refusal }
      continue
    }
    waiting.set(id, name)
    session.asked.set(id, (answer) => {
      session.asked.delete(id)
      waiting.delete(id)
      answers[name] = answer
      if (waiting.size === 0) done.resolve()
    })
    going.stream().say(requestText(id, asked.value))
  }
  if (waiting.size === 0) return answers
  const late = setTimeout(done.resolve, Math.max(0, going.answersUntil - clock.now())).unref()
  signal.addEventListener('abort', () => { done.resolve() }, { once: true })
  await done.promise
  clearTimeout(late)
  for (const id of waiting.keys()) session.asked.delete(id)
  signal.throwIfAborted()
  for (const [id, name] of waiting) {
    answers[name] = NO_ANSWER
    going.stream().say(notificationText({ method: 'notifications/cancelled', params: { requestId: id } }), 'may')
  }
  return answers
}
