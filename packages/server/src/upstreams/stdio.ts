import type { Entropy } from '../platform/entropy.ts'
import { handshake, Hearers, initializedText, initializeText, Resubscriber } from './older-handshake.ts'
import { OlderCalls, type OlderLimits } from './older-calls.ts'
import { abilitiesOf, describedBy, metaOf, newerUpstream, pause, type NewerWire } from './newer-calls.ts'
import { isRecord, notificationText, readMessage, requestText, type RawAnswer } from './message.ts'
import { startChild, type ChildEnd, type ChildOrder, type StdioChild } from './stdio-child.ts'
import { isOtherVersion } from './streamable-http-2026.ts'
import { UpstreamFault, type Along, type Generation, type McpClient, type McpMessage, type Turn, type Upstream } from './upstream.ts'

export type StdioBounds = {
  /** How long a server may be silent that is asked for its generation, before it is taken for one that does not know the question. */
  readonly probeMs: number
  readonly handshakeMs: number
  /** How long a call may be without any word of it. */
  readonly idleMs: number
  readonly firstRestartMs: number
  readonly lastRestartMs: number
  /** Who lives longer than this starts from the first wait again. */
  readonly healthyMs: number
  /** How long a request waits for a server that is being started again. */
  readonly patienceMs: number
}

export const STDIO_BOUNDS: StdioBounds = {
  probeMs: 5000, handshakeMs: 30_000, idleMs: 10 * 60_000, firstRestartMs: 250, lastRestartMs: 30_000, healthyMs: 60_000, patienceMs: 5000,
}

export type StdioNeeds = Omit<ChildOrder, 'hear'> & {
  readonly client: McpClient
  readonly entropy: Entropy
  readonly limits: OlderLimits
  readonly bounds: StdioBounds
  /** The generation that the server is known to speak; null when it has to be found out. */
  readonly known: Generation | null
  /** An end that nobody asked for. */
  readonly onEnd: (end: ChildEnd) => void
}

type Waiting = { readonly answer: PromiseWithResolvers<RawAnswer>; readonly hear: (message: McpMessage) => void; readonly timer: NodeJS.Timeout; readonly isCall: boolean }

/** Starts the server, finds out its generation, and keeps it running until it is closed. */
export async function openStdio(needs: StdioNeeds, signal: AbortSignal): Promise<Upstream> {
  const supervised = new SupervisedServer(needs)
  const onAbort = (): void => { void supervised.close() }
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    return await supervised.open()
  } catch (cause) {
    await supervised.close()
    signal.throwIfAborted()
    throw cause
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}

/** One child process after the other, as long as the upstream is open; what it is to whoever asks is the same all the time. */
class SupervisedServer {
  readonly #needs: StdioNeeds
  readonly #older: OlderCalls
  readonly #client: McpClient
  readonly #hearers = new Hearers()
  readonly #resubscriber = new Resubscriber()
  readonly #closing = new AbortController()
  /** Requests of ours whose answers are awaited here: those of the newer generation, and the handshake. */
  readonly #waiting = new Map<string, Waiting>()
  #generation: Generation | null = null
  #child: StdioChild | null = null
  /** Resolves once a child is ready to be asked. */
  #ready: Promise<void> = Promise.resolve()
  #restartMs: number

  constructor(needs: StdioNeeds) {
    this.#needs = needs
    this.#restartMs = needs.bounds.firstRestartMs
    this.#client = { ...needs.client, capabilities: abilitiesOf(needs.client.capabilities) }
    this.#older = new OlderCalls({
      server: needs.server, capabilities: this.#client.capabilities, entropy: needs.entropy, limits: needs.limits,
      say: (text) => this.#write(text),
      hear: (message) => { this.#hearers.hear(message) },
      ask: (question, withdrawn) => this.#hearers.ask(question, withdrawn),
    })
  }

  async open(): Promise<Upstream> {
    await this.#start()
    const newer = this.#needs.known === '2025-11-25' ? undefined : await this.#discovered()
    if (newer !== undefined) {
      this.#generation = '2026-07-28'
      return newer
    }
    const description = await this.#initialized(this.#needs.known === null)
    this.#generation = '2025-11-25'
    return this.#olderUpstream(description)
  }

  /** Some servers end when they are asked what they do not know, be it only once they are ready to read. */
  async #initialized(wasProbed: boolean): Promise<Upstream['description']> {
    if (this.#child === null) await this.#start()
    try {
      return await this.#initialize()
    } catch (cause) {
      if (!wasProbed || this.#child !== null || !(cause instanceof UpstreamFault && cause.code === 'ended')) throw cause
      await this.#start()
      return this.#initialize()
    }
  }

  async #start(): Promise<void> {
    if (this.#closing.signal.aborted) throw new UpstreamFault(this.#needs.server, 'closed')
    const child = await startChild({ ...this.#needs, hear: (line) => { this.#arrive(line) } })
    if (this.#closing.signal.aborted) {
      await child.end()
      throw new UpstreamFault(this.#needs.server, 'closed')
    }
    this.#child = child
    const healthy = setTimeout(() => { this.#restartMs = this.#needs.bounds.firstRestartMs }, this.#needs.bounds.healthyMs)
    healthy.unref()
    void child.ended.then((end) => {
      clearTimeout(healthy)
      this.#gone(end)
    })
  }

  #gone(end: ChildEnd): void {
    this.#child = null
    const fault = new UpstreamFault(this.#needs.server, end.code)
    this.#failAll(fault)
    if (this.#closing.signal.aborted) return
    this.#needs.onEnd(end)
    if (this.#generation === null) return
    this.#ready = this.#startAgain()
    this.#ready.catch(() => undefined)
  }

  #failAll(fault: UpstreamFault): void {
    for (const one of this.#waiting.values()) one.answer.reject(fault)
    this.#older.failAll(fault)
  }

  async #startAgain(): Promise<void> {
    while (this.#child === null) {
      await pause(this.#restartMs, this.#closing.signal)
      if (this.#closing.signal.aborted) throw new UpstreamFault(this.#needs.server, 'closed')
      this.#restartMs = Math.min(this.#restartMs * 2, this.#needs.bounds.lastRestartMs)
      await this.#start().catch(() => { this.#needs.onEnd({ code: 'cannot_run', lastWords: [] }) })
    }
    if (this.#generation !== '2025-11-25') return
    try {
      await this.#initialize()
      for (const text of this.#resubscriber.texts(() => this.#older.nextId())) await this.#write(text)
    } catch (cause) {
      // It may be better the next time.
      void this.#child?.end()
      throw cause
    }
  }

  async #discovered(): Promise<Upstream | undefined> {
    const { server, client, bounds } = this.#needs
    const signal = AbortSignal.timeout(bounds.probeMs)
    const probe = { method: 'server/discover', params: { _meta: metaOf(client) } }
    const answer = await this.#ask(this.#older.nextId(), probe, { hear: () => undefined, signal, isQuiet: true }).catch(() => undefined)
    if (answer === undefined) return undefined
    if (isOtherVersion(answer)) throw new UpstreamFault(server, 'unsupported_version')
    const description = answer.kind === 'result' ? describedBy(answer) : undefined
    if (description === undefined) return undefined
    const wire: NewerWire = {
      ask: (id, message, hear, over) => this.#askOnceReady(id, message, hear, over),
      close: () => this.close(),
    }
    return newerUpstream({ server, wire, description, client, ids: () => this.#older.nextId() })
  }

  async #askOnceReady(id: number, message: McpMessage, hear: (message: McpMessage) => void, signal: AbortSignal): Promise<RawAnswer> {
    await this.#untilReady(signal)
    return this.#ask(id, message, { hear, signal, isQuiet: false })
  }

  async #untilReady(signal: AbortSignal): Promise<void> {
    if (this.#closing.signal.aborted) throw new UpstreamFault(this.#needs.server, 'closed')
    let isReady = false
    const late = new AbortController()
    await Promise.race([
      this.#ready.then(() => { isReady = true }, () => undefined),
      pause(this.#needs.bounds.patienceMs, AbortSignal.any([signal, late.signal])),
    ])
    late.abort()
    signal.throwIfAborted()
    if (!isReady || this.#child === null) throw new UpstreamFault(this.#needs.server, 'restarting')
  }

  async #initialize(): Promise<Upstream['description']> {
    const { server, bounds } = this.#needs
    const id = this.#older.nextId()
    const answer = await this.#answerTo(id, initializeText(id, this.#client), { hear: () => undefined, signal: AbortSignal.timeout(bounds.handshakeMs), isQuiet: true })
    const { description } = handshake(server, { kind: 'answer', id: String(id), answer })
    await this.#write(initializedText())
    return description
  }

  #olderUpstream(description: Upstream['description']): Upstream {
    return {
      description,
      request: async (message, along) => {
        const level = isRecord(description.capabilities['logging']) ? this.#resubscriber.levelFor(message) : undefined
        return this.#request(message, along, level)
      },
      resume: (_message, state, answers, along) => this.#older.resume(state, answers, along),
      tell: (message) => this.#write(notificationText(message)),
      listen: (hear, ask) => this.#hearers.add(hear, ask),
      close: () => this.close(),
    }
  }

  async #request(message: McpMessage, along: Along, level: McpMessage | undefined): Promise<Turn> {
    await this.#untilReady(along.signal)
    if (level !== undefined) this.#write(requestText(this.#older.nextId(), level)).catch(() => undefined)
    const call = this.#older.begin(message, along)
    this.#resubscriber.note(message)
    const idle = setTimeout(() => { this.#older.giveUp(call.id, new UpstreamFault(this.#needs.server, 'idle')) }, this.#needs.bounds.idleMs)
    idle.unref()
    call.over.addEventListener('abort', () => { clearTimeout(idle) }, { once: true })
    this.#write(call.text).then(() => { this.#older.sent(call.id) }, (fault: unknown) => { this.#older.fail(call.id, fault) })
    return call.turn
  }

  #ask(id: number, message: McpMessage, how: Asking): Promise<RawAnswer> {
    return this.#answerTo(id, requestText(id, message), { isCall: message.method !== 'subscriptions/listen', ...how })
  }

  async #answerTo(id: number, text: string, { hear, signal, isQuiet, isCall = true }: Asking): Promise<RawAnswer> {
    signal.throwIfAborted()
    const answer = Promise.withResolvers<RawAnswer>()
    const giveUp = (reason: unknown): void => {
      answer.reject(reason)
      if (!isQuiet) this.#write(notificationText({ method: 'notifications/cancelled', params: { requestId: BigInt(id) } })).catch(() => undefined)
    }
    const timer = setTimeout(() => { giveUp(new UpstreamFault(this.#needs.server, 'idle')) }, this.#needs.bounds.idleMs)
    timer.unref()
    this.#waiting.set(String(id), { answer, hear, timer, isCall })
    const onAbort = (): void => { giveUp(signal.reason) }
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      this.#write(text).catch((fault: unknown) => { answer.reject(fault) })
      return await answer.promise
    } finally {
      clearTimeout(timer)
      signal.removeEventListener('abort', onAbort)
      this.#waiting.delete(String(id))
    }
  }

  async #write(text: string): Promise<void> {
    if (this.#closing.signal.aborted) throw new UpstreamFault(this.#needs.server, 'closed')
    if (this.#child === null) throw new UpstreamFault(this.#needs.server, 'ended')
    await this.#child.write(text)
  }

  #arrive(line: string): void {
    const read = readMessage(line)
    if (!read.ok) {
      // Some servers write their logs among their messages. What was meant as a message is an answer that cannot be told apart from others.
      if (['bad_message', 'duplicate_key', 'too_deep'].includes(read.refusal.kind)) this.#failAll(new UpstreamFault(this.#needs.server, 'bad_answer'))
      return
    }
    const incoming = read.value
    if (incoming.kind === 'answer') {
      const waiting = incoming.id === null ? undefined : this.#waiting.get(incoming.id)
      if (waiting === undefined) this.#older.arrive(incoming)
      else waiting.answer.resolve(incoming.answer)
      return
    }
    if (this.#generation !== '2026-07-28') return this.#older.arrive(incoming)
    // In the newer generation a server has no requests of its own.
    if (incoming.kind === 'notification') this.#told(incoming.message)
  }

  /** Everything comes on one line: a notification says itself to what it belongs. */
  #told(message: McpMessage): void {
    const { method, params } = message
    const meta = params['_meta']
    const subscription = typeof meta === 'object' && meta !== null && 'io.modelcontextprotocol/subscriptionId' in meta ? meta['io.modelcontextprotocol/subscriptionId'] : undefined
    const about = method === 'notifications/progress' ? params['progressToken'] : method === 'notifications/cancelled' ? params['requestId'] : subscription
    const waiting = about === undefined ? this.#only() : this.#waiting.get(typeof about === 'bigint' ? about.toString() : JSON.stringify(about))
    if (waiting === undefined) return
    waiting.timer.refresh()
    // A server ends a subscription by cancelling it.
    if (method === 'notifications/cancelled') waiting.answer.resolve({ kind: 'result', text: '{}', members: [] })
    else waiting.hear(message)
  }

  #only(): Waiting | undefined {
    const [first, second] = [...this.#waiting.values()].filter(({ isCall }) => isCall)
    return second === undefined ? first : undefined
  }

  async close(): Promise<void> {
    this.#closing.abort(new UpstreamFault(this.#needs.server, 'closed'))
    this.#failAll(new UpstreamFault(this.#needs.server, 'closed'))
    this.#hearers.clear()
    await this.#child?.end()
  }
}

type Asking = {
  readonly hear: (message: McpMessage) => void
  readonly signal: AbortSignal
  /** Nobody is told of an abort: the other side may not know the word for it yet. */
  readonly isQuiet: boolean
  /** False for what only listens: no log belongs to it. */
  readonly isCall?: boolean
}
