import type { ExactRecord } from '@writ/domain/exact'
import type { Entropy } from '../platform/entropy.ts'
import type { Opened } from '../platform/outbound.ts'
import { brokenAs, exchange, isEventStream, letGo, newCursor, readOne, readUntil, type Cursor, type HttpNeeds } from './http-exchange.ts'
import { isRecord, notificationText, requestText, type Incoming } from './message.ts'
import { abilitiesOf, pause } from './newer-calls.ts'
import { OlderCalls, type OlderCall, type OlderLimits } from './older-calls.ts'
import { handshake, Hearers, initializeText, initializedText, Resubscriber, type Handshake } from './older-handshake.ts'
import { UpstreamFault, type Along, type AskClient, type McpClient, type McpMessage, type Turn, type Upstream } from './upstream.ts'

export type OlderHttpNeeds = HttpNeeds & { readonly client: McpClient; readonly entropy: Entropy; readonly limits: OlderLimits }

const FIRST_RETRY_MS = 1000
const LAST_RETRY_MS = 30_000
const MOST_FAILED_RESUMPTIONS = 3
const LONGEST_PAUSE_MS = 60_000
/** Only visible ASCII (2025-11-25, basic/transports, session management). */
const SESSION_ID = /^[\x21-\x7e]{1,1024}$/

/** What the server answered to `initialize`, and by which id it knows us from then on. */
type Begun = Handshake & { readonly sessionId: string | null }

/** Begins with `initialize`; throws where the server does not speak this generation. */
export async function openOlderHttp(needs: OlderHttpNeeds, signal: AbortSignal): Promise<Upstream> {
  const link = new OlderHttpLink(needs)
  const { description } = await link.begin(signal)
  return {
    description,
    request: (message, along) => link.request(message, along),
    resume: (_message, state, answers, along) => link.calls.resume(state, answers, along),
    tell: (message) => link.say(notificationText(message)),
    listen: (hear, ask) => link.listen(hear, ask),
    close: () => link.close(),
  }
}

class OlderHttpLink {
  readonly calls: OlderCalls
  readonly #needs: OlderHttpNeeds
  readonly #capabilities: ExactRecord
  readonly #hearers = new Hearers()
  readonly #closing = new AbortController()
  readonly #resubscriber = new Resubscriber()
  #begun: Begun | null = null
  /** Set while a lost beginning is made good, so that it happens once for all who notice. */
  #beginning: Promise<Begun> | null = null
  /** Ends the stream on which the server speaks on its own. */
  #stream = new AbortController()

  constructor(needs: OlderHttpNeeds) {
    this.#needs = needs
    this.#capabilities = abilitiesOf(needs.client.capabilities)
    this.calls = new OlderCalls({
      server: needs.server, capabilities: this.#capabilities, entropy: needs.entropy, limits: needs.limits,
      say: (text) => this.say(text),
      hear: (message) => { this.#hearers.hear(message) },
      ask: (question, withdrawn) => this.#hearers.ask(question, withdrawn),
    })
  }

  async begin(signal: AbortSignal): Promise<Begun> {
    const { server, bounds } = this.#needs
    const id = this.calls.nextId()
    const body = initializeText(id, { ...this.#needs.client, capabilities: this.#capabilities })
    const opened = await exchange(this.#needs, { method: 'POST', headers: JSON_POST, body, signal, withinMs: bounds.handshakeMs })
    const answer = await this.#answerTo(id, opened, AbortSignal.any([signal, AbortSignal.timeout(bounds.handshakeMs)]))
    if (answer === undefined) throw new UpstreamFault(server, opened.status === 200 ? 'bad_answer' : `status_${opened.status}`)
    const sessionId = opened.headers['mcp-session-id']
    if (sessionId !== undefined && (typeof sessionId !== 'string' || !SESSION_ID.test(sessionId))) throw new UpstreamFault(server, 'bad_answer')
    this.#begun = { ...handshake(server, answer), sessionId: sessionId ?? null }
    await this.say(initializedText())
    this.#stream.abort()
    this.#stream = new AbortController()
    void this.#hearOnItsOwn(AbortSignal.any([this.#stream.signal, this.#closing.signal]))
    return this.#begun
  }

  async #answerTo(id: number, opened: Opened, signal: AbortSignal): Promise<Extract<Incoming, { kind: 'answer' }> | undefined> {
    let found: Extract<Incoming, { kind: 'answer' }> | undefined
    const take = (incoming: Incoming): boolean => {
      if (incoming.kind !== 'answer') this.calls.arrive(incoming)
      else if (isAnswerTo(incoming, id)) found = incoming
      return found !== undefined
    }
    const onAbort = (): void => { opened.close() }
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      if (isEventStream(opened)) await readUntil(this.#needs, opened, newCursor(), take)
      else {
        const one = await readOne(this.#needs, opened)
        if (one !== undefined) take(one)
      }
      return found
    } catch (cause) {
      throw signal.aborted ? new UpstreamFault(this.#needs.server, 'too_slow', { cause }) : brokenAs(this.#needs.server, cause)
    } finally {
      signal.removeEventListener('abort', onAbort)
    }
  }

  /** An answer or a notification of ours. */
  async say(text: string): Promise<void> {
    const { server, bounds } = this.#needs
    const opened = await exchange(this.#needs, { method: 'POST', headers: this.#headers(JSON_POST), body: text, signal: this.#closing.signal, withinMs: bounds.handshakeMs })
    letGo(opened)
    if (opened.status < 200 || opened.status > 299) throw new UpstreamFault(server, `status_${opened.status}`)
  }

  async request(message: McpMessage, along: Along): Promise<Turn> {
    if (this.#closing.signal.aborted) throw new UpstreamFault(this.#needs.server, 'closed')
    const level = isRecord(this.#begun?.description.capabilities['logging']) ? this.#resubscriber.levelFor(message) : undefined
    if (level !== undefined) await this.#ask(requestText(this.calls.nextId(), level))
    const call = this.calls.begin(message, along)
    this.#resubscriber.note(message)
    this.#carry(call).catch((cause: unknown) => {
      const fault = brokenAs(this.#needs.server, cause)
      if (fault instanceof UpstreamFault && STILL_AT_WORK.has(fault.code)) this.calls.giveUp(call.id, fault)
      else this.calls.fail(call.id, fault)
    })
    return call.turn
  }

  /** Sends the call and hands over all that comes of it. A server that has forgotten us did not get it: it is sent once more. */
  async #carry(call: OlderCall): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      const before = this.#begun
      const sending = this.#send(call)
      this.calls.sent(call.id)
      const opened = await sending
      if (opened.status === 200 && isEventStream(opened)) return this.#follow(call, opened)
      const one = await readOne(this.#needs, opened)
      const isForgotten = typeof before?.sessionId === 'string' && (opened.status === 404 || (opened.status === 400 && isServerError(one)))
      if (isForgotten && attempt === 1) {
        await this.#beginAgain(before)
        continue
      }
      if (one !== undefined && isAnswerTo(one, call.id)) return this.calls.arrive(one, call.id)
      throw new UpstreamFault(this.#needs.server, opened.status === 200 ? 'bad_answer' : `status_${opened.status}`)
    }
  }

  #send(call: OlderCall): Promise<Opened> {
    return exchange(this.#needs, { method: 'POST', headers: this.#headers(JSON_POST), body: call.text, signal: call.over, withinMs: this.#needs.bounds.idleMs })
  }

  /** Reads the call's stream to its answer; where it breaks off, and has said by which id to go on, on another one. */
  async #follow(call: OlderCall, first: Opened): Promise<void> {
    const cursor = newCursor()
    const take = (incoming: Incoming): boolean => {
      this.calls.arrive(incoming, call.id)
      return isAnswerTo(incoming, call.id)
    }
    let opened = first
    for (let failed = 0; ;) {
      const before = cursor.bytes
      if (await readUntil(this.#needs, opened, cursor, take) || call.over.aborted) return
      if (cursor.bytes === before) failed += 1
      if (cursor.lastId === null || failed > MOST_FAILED_RESUMPTIONS) throw new UpstreamFault(this.#needs.server, 'ended')
      await pause(Math.min(cursor.retryMs ?? FIRST_RETRY_MS, LONGEST_PAUSE_MS), call.over)
      if (call.over.aborted) return
      opened = await this.#resumed(cursor, call.over)
    }
  }

  async #resumed(cursor: Cursor, signal: AbortSignal): Promise<Opened> {
    const headers = this.#headers({ accept: 'text/event-stream', ...(cursor.lastId === null ? {} : { 'last-event-id': cursor.lastId }) })
    const opened = await exchange(this.#needs, { method: 'GET', headers, signal, withinMs: this.#needs.bounds.handshakeMs })
    if (opened.status === 200 && isEventStream(opened)) return opened
    opened.close()
    throw new UpstreamFault(this.#needs.server, opened.status === 200 ? 'bad_answer' : `status_${opened.status}`)
  }

  /** The stream on which the server speaks on its own, for as long as it offers one. */
  async #hearOnItsOwn(signal: AbortSignal): Promise<void> {
    let lastId: string | null = null
    for (let waitMs = FIRST_RETRY_MS; !signal.aborted;) {
      const cursor: Cursor = { ...newCursor(), lastId }
      try {
        const opened = await this.#resumed(cursor, signal)
        await readUntil(this.#needs, opened, cursor, (incoming) => {
          this.calls.arrive(incoming)
          return false
        })
        waitMs = cursor.retryMs ?? FIRST_RETRY_MS
      } catch (cause) {
        // Not offered, or not to us: it will not be otherwise in a moment.
        if (cause instanceof UpstreamFault && /^status_4|^bad_answer$/.test(cause.code)) return
        waitMs = Math.min(waitMs * 2, LAST_RETRY_MS)
      }
      ;({ lastId } = cursor)
      await pause(Math.min(waitMs, LONGEST_PAUSE_MS), signal)
    }
  }

  async #beginAgain(forgotten: Begun | null): Promise<void> {
    if (this.#begun !== forgotten) return
    this.#beginning ??= this.begin(this.#closing.signal).finally(() => { this.#beginning = null })
    await this.#beginning
    for (const text of this.#resubscriber.texts(() => this.calls.nextId())) void this.#ask(text)
  }

  /** Asks what nobody awaits. */
  async #ask(text: string): Promise<void> {
    try {
      letGo(await exchange(this.#needs, { method: 'POST', headers: this.#headers(JSON_POST), body: text, signal: this.#closing.signal, withinMs: this.#needs.bounds.handshakeMs }))
    } catch { /* the next call says what is wrong */ }
  }

  listen(hear: (message: McpMessage) => void, ask: AskClient | undefined): () => void {
    return this.#hearers.add(hear, ask)
  }

  async close(): Promise<void> {
    if (this.#closing.signal.aborted) return
    const { server } = this.#needs
    const headers = this.#headers({})
    this.calls.failAll(new UpstreamFault(server, 'closed'))
    this.#hearers.clear()
    this.#closing.abort(new UpstreamFault(server, 'closed'))
    if (typeof this.#begun?.sessionId !== 'string') return
    try {
      letGo(await exchange(this.#needs, { method: 'DELETE', headers, signal: AbortSignal.timeout(2000), withinMs: 2000 }))
    } catch { /* it forgets us on its own */ }
  }

  #headers(own: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
    const begun = this.#begun
    if (begun === null) return own
    return { ...own, 'mcp-protocol-version': begun.version, ...(begun.sessionId === null ? {} : { 'mcp-session-id': begun.sessionId }) }
  }
}

/** Where it was we who broke off: to close the stream is not to cancel in this generation. */
const STILL_AT_WORK: ReadonlySet<string> = new Set(['idle', 'too_large', 'too_slow', 'bad_answer', 'compressed'])

const JSON_POST = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' } as const

/** An answer without an id is about a message that the server could not read. */
const isAnswerTo = (incoming: Incoming, id: number): boolean => incoming.kind === 'answer' && (incoming.id === null || incoming.id === String(id))

/** Some servers say by this, and not by 404, that they do not know the id (server-everything does). */
const isServerError = (incoming: Incoming | undefined): boolean =>
  incoming?.kind === 'answer' && incoming.answer.kind === 'error' && incoming.answer.error.code === -32000
