import type { ExactRecord, ExactValue } from '@writ/domain/exact'
import type { Entropy } from '../platform/entropy.ts'
import { toBase64url } from '../platform/base64url.ts'
import { answerText, isRecord, notificationText, requestText, type Incoming } from './message.ts'
import { LEVEL_KEY } from './older-handshake.ts'
import { UpstreamFault, type Along, type AskClient, type InputAnswers, type Inputs, type McpAnswer, type McpMessage, type Turn } from './upstream.ts'

export type OlderLimits = {
  /** How long a call waits for its client's answers. */
  readonly parkedMs: number
  /** How long a question that came outside of every call waits for one to go with, where no client of a session hears it at once. */
  readonly unattachedMs: number
}

/** How long whoever was asked may take to answer, whatever the generations at either end. */
export const ANSWER_HOLDS_MS = 600_000

export const OLDER_LIMITS: OlderLimits = { parkedMs: ANSWER_HOLDS_MS, unattachedMs: 5000 }

export type OlderCallsNeeds = {
  readonly server: string
  /** What the client can do: what else is asked of it, is answered with an error. */
  readonly capabilities: ExactRecord
  readonly entropy: Entropy
  readonly limits: OlderLimits
  /** Sends a notification or an answer. Rejects where that can not be. */
  readonly say: (text: string) => Promise<void>
  /** What the server says on its own. */
  readonly hear: (message: McpMessage) => void
  /** Asked for what belongs to no call. */
  readonly ask: AskClient
}

/** A request on its way. `over` is aborted as soon as nothing more of it is wanted. */
export type OlderCall = { readonly id: number; readonly text: string; readonly turn: Promise<Turn>; readonly over: AbortSignal }

type Question = { readonly id: string; readonly message: McpMessage }
type Outside = { readonly id: string; readonly withdrawn: AbortController }

type Call = {
  readonly id: number
  readonly mayAsk: boolean
  /** The client's own token, in whose place the server got ours. */
  readonly token: ExactValue | undefined
  readonly over: AbortController
  along: Along
  stopWatching: () => void
  /** Whoever awaits the next turn; null while the client has a question to answer. */
  waiting: PromiseWithResolvers<Turn> | null
  /** The state under which the call is parked, and what it has asked, by the names that the client saw. */
  parked: { readonly state: string; readonly asked: Map<string, Question>; readonly timer: NodeJS.Timeout } | null
  readonly questions: Question[]
  /** What came while nobody waited. */
  ended: { readonly turn: Turn } | { readonly fault: unknown } | null
}

/** Who may be asked what, by the client's ability. */
const ABILITY: Readonly<Record<string, string>> = { 'roots/list': 'roots', 'sampling/createMessage': 'sampling', 'elicitation/create': 'elicitation' }
/** The newer generation lets a server ask within these alone, and a client of it may stand behind the call. */
const MAY_ASK: ReadonlySet<string> = new Set(['tools/call', 'prompts/get', 'resources/read'])
const MOST_QUESTIONS = 16

/**
 * The calls of one connection of the older generation, in which a server asks its client by requests of its own while a call is in flight.
 * A question parks the call that it belongs to, and its turn ends with `input_required`; `resume` answers the question and waits on.
 */
export class OlderCalls {
  readonly #needs: OlderCallsNeeds
  readonly #calls = new Map<number, Call>()
  readonly #unattached = new Map<Question, NodeJS.Timeout>()
  /** What is being asked outside of every call. */
  readonly #outside = new Set<Outside>()
  #lastId = 0

  constructor(needs: OlderCallsNeeds) {
    this.#needs = needs
  }

  /** The next id, for requests of ours that are nobody's call. */
  nextId(): number {
    this.#lastId += 1
    return this.#lastId
  }

  begin(message: McpMessage, along: Along): OlderCall {
    along.signal.throwIfAborted()
    const id = this.nextId()
    const { params, token } = withOwnToken(message.params, id)
    const waiting = Promise.withResolvers<Turn>()
    const call: Call = {
      id, token, along, waiting, mayAsk: MAY_ASK.has(message.method), over: new AbortController(),
      stopWatching: () => undefined, parked: null, questions: [], ended: null,
    }
    this.#calls.set(id, call)
    this.#watch(call)
    return { id, text: requestText(id, { method: message.method, params }), turn: waiting.promise, over: call.over.signal }
  }

  /** From here on the server knows of the call, and what it had asked before may go with it. */
  sent(id: number): void {
    const call = this.#calls.get(id)
    if (call === undefined || !call.mayAsk) return
    for (const [question, timer] of this.#unattached) {
      clearTimeout(timer)
      this.#unattached.delete(question)
      call.questions.push(question)
    }
    this.#handOut(call)
  }

  /** Takes what the server sent; `on` names the call on whose own stream it came. */
  arrive(incoming: Incoming, on?: number): void {
    const call = on === undefined ? undefined : this.#calls.get(on)
    if (incoming.kind === 'request') return this.#asked(incoming, call)
    if (incoming.kind === 'notification') return this.#told(incoming.message, call)
    const answered = incoming.id === null ? call : this.#calls.get(Number(incoming.id))
    if (answered === undefined) return
    const { answer } = incoming
    this.#end(answered, { turn: answer.kind === 'result' ? { kind: 'result', text: answer.text } : answer })
  }

  async resume(state: string, answers: InputAnswers, along: Along): Promise<Turn> {
    along.signal.throwIfAborted()
    const call = [...this.#calls.values()].find((one) => one.parked?.state === state)
    if (!call?.parked) throw new UpstreamFault(this.#needs.server, 'unknown_state')
    const { asked, timer } = call.parked
    clearTimeout(timer)
    call.parked = null
    call.stopWatching()
    call.along = along
    const waiting = Promise.withResolvers<Turn>()
    call.waiting = waiting
    this.#watch(call)
    if (call.ended !== null) this.#end(call, call.ended)
    else {
      const said = [...asked].map(([name, { id }]) => this.#needs.say(answerText(id, answers[name] ?? NO_ANSWER)))
      Promise.all(said).then(() => { this.#handOut(call) }, (fault: unknown) => { this.#end(call, { fault }) })
    }
    return waiting.promise
  }

  /** The call can not come to its end any more. */
  fail(id: number, fault: unknown): void {
    const call = this.#calls.get(id)
    if (call !== undefined) this.#end(call, { fault })
  }

  /** The same, and the server is told that nobody waits any more. */
  giveUp(id: number, fault: unknown): void {
    const call = this.#calls.get(id)
    if (call !== undefined) this.#drop(call, fault)
  }

  failAll(fault: unknown): void {
    for (const call of this.#calls.values()) {
      this.#end(call, { fault })
      this.#forget(call)
    }
    for (const timer of this.#unattached.values()) clearTimeout(timer)
    this.#unattached.clear()
    for (const { withdrawn } of this.#outside) withdrawn.abort()
  }

  #watch(call: Call): void {
    const { signal } = call.along
    const onAbort = (): void => { this.#drop(call, signal.reason) }
    signal.addEventListener('abort', onAbort, { once: true })
    call.stopWatching = () => { signal.removeEventListener('abort', onAbort) }
  }

  /** Nobody wants the call any more: the server is told so, and nothing of it is passed on. */
  #drop(call: Call, reason: unknown): void {
    this.#needs.say(notificationText({ method: 'notifications/cancelled', params: { requestId: BigInt(call.id) } })).catch(() => undefined)
    this.#end(call, { fault: reason })
    this.#forget(call)
  }

  #end(call: Call, ended: NonNullable<Call['ended']>): void {
    call.over.abort()
    if (call.waiting === null) {
      call.ended ??= ended
      return
    }
    const { waiting } = call
    call.waiting = null
    this.#forget(call)
    if ('turn' in ended) waiting.resolve(ended.turn)
    else waiting.reject(ended.fault)
  }

  #forget(call: Call): void {
    call.stopWatching()
    clearTimeout(call.parked?.timer)
    call.parked = null
    this.#calls.delete(call.id)
  }

  #handOut(call: Call): void {
    if (call.waiting === null || call.questions.length === 0) return
    const { waiting } = call
    const asked = new Map(call.questions.splice(0).map((question, i) => [`input_${i + 1}`, question]))
    const state = toBase64url(this.#needs.entropy.bytes(24))
    const timer = setTimeout(() => { this.#drop(call, new UpstreamFault(this.#needs.server, 'unanswered')) }, this.#needs.limits.parkedMs)
    timer.unref()
    call.parked = { state, asked, timer }
    call.waiting = null
    const inputs: Inputs = Object.fromEntries([...asked].map(([name, { message }]) => [name, message]))
    waiting.resolve({ kind: 'input_required', inputs, state })
  }

  #asked(question: Question, on: Call | undefined): void {
    const { method } = question.message
    if (method === 'ping') return this.#answer(question, { kind: 'result', text: '{}' })
    const ability = ABILITY[method]
    if (ability === undefined || this.#needs.capabilities[ability] === undefined) return this.#answer(question, NOT_FOUND)
    const call = on?.mayAsk === true ? on : this.#likeliest()
    if (call !== undefined) {
      if (call.questions.length >= MOST_QUESTIONS) return this.#answer(question, NO_ANSWER)
      call.questions.push(question)
      return this.#handOut(call)
    }
    if (this.#unattached.size + this.#outside.size >= MOST_QUESTIONS) return this.#answer(question, NO_ANSWER)
    const outside: Outside = { id: question.id, withdrawn: new AbortController() }
    const asking = this.#needs.ask(question.message, outside.withdrawn.signal)
    if (asking !== undefined) return void this.#answerOutside(question, outside, asking)
    const timer = setTimeout(() => {
      this.#unattached.delete(question)
      this.#answer(question, NO_ANSWER)
    }, this.#needs.limits.unattachedMs)
    timer.unref()
    this.#unattached.set(question, timer)
  }

  async #answerOutside(question: Question, outside: Outside, asking: Promise<McpAnswer>): Promise<void> {
    this.#outside.add(outside)
    const answer = await asking
    this.#outside.delete(outside)
    if (!outside.withdrawn.signal.aborted) this.#answer(question, answer)
  }

  /** Where a question does not say to which call it belongs: the one that began last and still runs, be it that its client is being asked already. */
  #likeliest(): Call | undefined {
    return [...this.#calls.values()].findLast((call) => call.mayAsk && (call.waiting !== null || (call.parked !== null && call.ended === null)))
  }

  #answer(question: Question, answer: McpAnswer): void {
    this.#needs.say(answerText(question.id, answer)).catch(() => undefined)
  }

  /** Also while the client of the call is being asked something: a stream of its own stays open meanwhile. */
  #told(message: McpMessage, on: Call | undefined): void {
    const { method, params } = message
    if (method === 'notifications/cancelled') return this.#withdrawn(params['requestId'])
    if (method === 'notifications/progress') {
      const call = this.#calls.get(Number(params['progressToken']))
      if (call?.token !== undefined && call.ended === null) call.along.notify({ method, params: { ...params, progressToken: call.token } })
      return
    }
    const [only] = this.#calls.size === 1 ? this.#calls.values() : []
    const call = on ?? only
    if (method === 'notifications/message' && call?.ended === null) return call.along.notify(message)
    this.#needs.hear(message)
  }

  /** The server does not want an answer any more. */
  #withdrawn(requestId: ExactValue | undefined): void {
    const id = typeof requestId === 'bigint' ? requestId.toString() : JSON.stringify(requestId)
    for (const call of this.#calls.values()) {
      const index = call.questions.findIndex((question) => question.id === id)
      if (index !== -1) call.questions.splice(index, 1)
      for (const [name, question] of call.parked?.asked ?? []) if (question.id === id) call.parked?.asked.delete(name)
    }
    for (const outside of this.#outside) if (outside.id === id) outside.withdrawn.abort()
    for (const [question, timer] of this.#unattached) {
      if (question.id !== id) continue
      clearTimeout(timer)
      this.#unattached.delete(question)
    }
  }
}

/** What goes to the server, and the client's own token: the server gets ours, and no word of the newer generation. */
function withOwnToken(params: ExactRecord, id: number): { readonly params: ExactRecord; readonly token: ExactValue | undefined } {
  const { _meta: meta, ...rest } = params
  if (!isRecord(meta)) return { params, token: undefined }
  const { [LEVEL_KEY]: _, progressToken: token, ...others } = meta
  const all = token === undefined ? others : { ...others, progressToken: BigInt(id) }
  return { params: Object.keys(all).length === 0 ? rest : { ...rest, _meta: all }, token }
}

const NO_ANSWER: McpAnswer = { kind: 'error', error: { code: -32603, message: 'nobody was there to answer' } }
const NOT_FOUND: McpAnswer = { kind: 'error', error: { code: -32601, message: 'the client can not do that' } }
