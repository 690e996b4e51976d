import { setTimeout as wait } from 'node:timers/promises'
import { exactText } from '@writ/domain/exact'
import { parseExactJson } from '@writ/contract/strict-json'
import { CommandFailure } from '../exit.ts'
import { NoAccess } from './access.ts'
import { errorLine, messagesIn, readServerMessage, type Left, type RpcErrorOf, type ServerMessage } from './answers.ts'
import { cancelledIn, isRecord, readClientMessage, type ClientMessage, type ClientNotification, type ClientRequest } from './client-message.ts'
import { ACCEPT_BOTH, type Gateway } from './gateway.ts'
import type { Line } from './lines.ts'
import { beginSession, OlderSession, SessionLost } from './older-session.ts'
import { paramHeadersIn, requestHeaders, type ParamHeaders } from './param-headers.ts'
import { codeOf } from './patience.ts'

export type BridgeNeeds = {
  readonly gateway: Gateway
  /** Writes one message to the client, and waits while it does not read. */
  readonly write: (line: string) => Promise<void>
  /** The task may be over: somebody should look. */
  readonly doubt: () => void
  /** The bridge can't go on. */
  readonly lost: (why: string) => void
}

/** A request of the client that has no answer yet. */
type Flight = { readonly request: ClientRequest; readonly cancelling: AbortController; /** A subscription is acknowledged once, however often it is asked for again. */ isAcknowledged: boolean }

const INTERNAL = -32603
const HEADER_MISMATCH = -32020
const ACKNOWLEDGED = 'notifications/subscriptions/acknowledged'
const LISTEN_AGAIN_MS = 1000
/** How often the answer of one request is gone after when its connection breaks. */
const MOST_RETURNS = 20

/** Carries the messages of one client, of either generation, to one door of the gateway, and what comes back to the client. */
export class Bridge {
  readonly #needs: BridgeNeeds
  readonly #flights = new Map<string, Flight>()
  readonly #ended = new AbortController()
  #session: OlderSession | undefined
  #paramHeaders: ParamHeaders = new Map()
  #isOver = false
  #quiet = Promise.withResolvers<void>()

  constructor(needs: BridgeNeeds) {
    this.#needs = needs
  }

  /** Takes the client's messages until it says no more. */
  async take(lines: AsyncIterable<Line>): Promise<void> {
    for await (const line of lines) {
      if (this.#isOver) return
      await this.#takeOne(line)
    }
  }

  /** When everything that is on its way has its answer. */
  async settled(): Promise<void> {
    if (this.#flights.size > 0) await this.#quiet.promise
  }

  /** Nothing goes on: what waits for an answer is told why. */
  async end(error: RpcErrorOf): Promise<void> {
    if (this.#isOver) return
    const waiting = [...this.#flights.keys()]
    this.#isOver = true
    this.#ended.abort()
    for (const id of waiting) await this.#needs.write(errorLine(id, error))
  }

  /** What follows waits until this one is on its way; for an answer it waits only where there is no going on without it. */
  async #takeOne(line: Line): Promise<void> {
    if (line.kind === 'too_long') return this.#say(errorLine(undefined, { code: -32600, message: 'the message is too long' }))
    const message = readClientMessage(line.bytes)
    switch (message.kind) {
      case 'unreadable': return this.#say(errorLine(message.id, { code: message.code, message: message.why }))
      case 'request': {
        const carried = this.#carry(message)
        return message.method === 'initialize' ? carried : undefined
      }
      case 'notification': return this.#tell(message)
      case 'response': return this.#respond(message)
    }
  }

  async #carry(request: ClientRequest): Promise<void> {
    const flight: Flight = { request, cancelling: new AbortController(), isAcknowledged: false }
    if (this.#flights.has(request.id)) return this.#say(errorLine(request.id, { code: -32600, message: 'a request with this `id` is on its way' }))
    this.#flights.set(request.id, flight)
    try {
      if (request.version !== undefined) await this.#carryNewer(flight, request.version)
      else if (request.method === 'initialize') await this.#begin(flight)
      else await this.#carryOlder(flight)
    } catch (fault) {
      await this.#answerFault(flight, fault)
    } finally {
      if (this.#flights.get(request.id) === flight) this.#flights.delete(request.id)
      if (this.#flights.size === 0) {
        this.#quiet.resolve()
        this.#quiet = Promise.withResolvers()
      }
    }
  }

  #signalOf({ cancelling }: Flight): AbortSignal {
    return AbortSignal.any([cancelling.signal, this.#ended.signal])
  }

  /** A session begins with its first answer, which nothing may overtake. */
  async #begin(flight: Flight): Promise<void> {
    const { gateway, lost } = this.#needs
    const began = await beginSession(gateway, flight.request, this.#signalOf(flight))
    if (began.answer !== undefined) {
      this.#session = new OlderSession({ gateway, lost, signal: this.#ended.signal, hear: (message) => this.#pass(message) }, flight.request, began)
    }
    await this.#deliver(flight, began.response)
  }

  async #carryOlder(flight: Flight): Promise<void> {
    const { request } = flight
    const signal = this.#signalOf(flight)
    const left: Left = { lastEventId: undefined, retryMs: undefined }
    const session = this.#session
    let response: Response | undefined = session === undefined ? await this.#post(request, {}, signal) : await session.send(request, signal)
    session?.keep(request)
    for (let returns = 0; response !== undefined; returns++) {
      if (await this.#deliver(flight, response, left)) return
      response = returns < MOST_RETURNS ? await session?.comeBack(left, signal) : undefined
    }
    await this.#answer(flight, errorLine(request.id, BROKEN))
  }

  async #carryNewer(flight: Flight, version: string): Promise<void> {
    const { request } = flight
    const signal = this.#signalOf(flight)
    for (let tries = 0; ; tries++) {
      const response = await this.#post(request, requestHeaders({ ...request, version }, this.#paramHeaders), signal)
      if (response.status === 400 && request.method === 'tools/call' && tries === 0 && await this.#learns(request, version, response.clone())) {
        await response.body?.cancel()
        continue
      }
      if (await this.#deliver(flight, response)) return
      // What the client listens to ends with a connection and not for the client, which hears of no connections: it is asked for again.
      if (request.method !== 'subscriptions/listen' || !response.ok) return this.#answer(flight, errorLine(request.id, BROKEN))
      await wait(LISTEN_AGAIN_MS, undefined, { signal })
    }
  }

  /** MCP 2026-07-28, client behaviour: what a tool wants in headers stands in the list. Whether that is news. */
  async #learns({ params }: ClientRequest, version: string, refused: Response): Promise<boolean> {
    const told = readServerMessage(await refused.text())
    if (told?.value.error?.code !== HEADER_MISMATCH) return false
    const meta = isRecord(params['_meta']) ? params['_meta'] : {}
    const list = { method: 'tools/list', params: { _meta: meta } }
    const body = new TextEncoder().encode(exactText({ jsonrpc: '2.0', id: 'writ-tools', ...list }))
    const response = await this.#needs.gateway.send({ method: 'POST', headers: { ...BOTH, ...requestHeaders({ ...list, version }, this.#paramHeaders) }, body, signal: this.#ended.signal })
    for await (const message of messagesIn(response, { lastEventId: undefined, retryMs: undefined })) if (message.kind === 'answer') this.#learn(message)
    return true
  }

  #learn({ line }: ServerMessage): void {
    if (!line.includes('x-mcp-header')) return
    const read = parseExactJson(line, { depth: 256, keys: 1_000_000, elements: 1_000_000 })
    const result = read.ok && isRecord(read.value) ? read.value['result'] : undefined
    if (isRecord(result)) this.#paramHeaders = new Map([...this.#paramHeaders, ...paramHeadersIn(result['tools'])])
  }

  #post({ bytes }: ClientRequest | ClientNotification, headers: Readonly<Record<string, string>>, signal: AbortSignal): Promise<Response> {
    return this.#needs.gateway.send({ method: 'POST', headers: { ...BOTH, ...headers }, body: bytes, signal })
  }

  /** Hands on what comes with a response. Whether the answer was among it. */
  async #deliver(flight: Flight, response: Response, left: Left = { lastEventId: undefined, retryMs: undefined }): Promise<boolean> {
    const { request } = flight
    try {
      for await (const message of messagesIn(response, left)) {
        if (flight.cancelling.signal.aborted || this.#isOver) return true
        if (message.kind !== 'answer') {
          const isRepeated = message.method === ACKNOWLEDGED && flight.isAcknowledged
          flight.isAcknowledged ||= message.method === ACKNOWLEDGED
          if (!isRepeated) await this.#pass(message)
          continue
        }
        if (request.version !== undefined && request.method === 'tools/list') this.#learn(message)
        if (isAboutEnd(message)) this.#needs.doubt()
        // An error that HTTP brings may not know to which request.
        await this.#answer(flight, message.id === undefined && message.value.error !== undefined ? withId(message, request.id) : message.line)
        return true
      }
    } catch (fault) {
      if (!response.ok || flight.cancelling.signal.aborted || this.#isOver || left.lastEventId === undefined) throw fault
      return false
    }
    if (!response.ok) {
      await this.#answer(flight, errorLine(request.id, { code: INTERNAL, message: `Writ answered ${response.status}`, data: { code: `http_${response.status}` } }))
      if (response.status === 401) this.#needs.doubt()
      return true
    }
    return false
  }

  async #answer(flight: Flight, line: string): Promise<void> {
    if (flight.cancelling.signal.aborted || this.#isOver || this.#flights.get(flight.request.id) !== flight) return
    this.#flights.delete(flight.request.id)
    await this.#needs.write(line)
  }

  async #answerFault(flight: Flight, fault: unknown): Promise<void> {
    if (flight.cancelling.signal.aborted || this.#isOver) return
    if (fault instanceof NoAccess) return this.#needs.lost(fault.endReason ?? fault.message)
    const why = fault instanceof CommandFailure || fault instanceof SessionLost ? fault.message : `the connection to Writ broke (${codeOf(fault) ?? 'unknown'}): whether it was done is not known`
    await this.#answer(flight, errorLine(flight.request.id, { code: INTERNAL, message: why, data: { code: 'connection_broken' } }))
  }

  async #tell(message: ClientNotification): Promise<void> {
    const cancelled = cancelledIn(message)
    const flight = cancelled === undefined ? undefined : this.#flights.get(cancelled)
    // In the generation without sessions, to close the answer's connection is to cancel, and nothing else is told to a server.
    if (flight !== undefined && flight.request.version !== undefined) {
      this.#flights.delete(cancelled!)
      return flight.cancelling.abort()
    }
    if (this.#session === undefined) return
    await this.#quietly(async () => {
      const session = this.#session!
      const sent = message.method === 'notifications/initialized' ? session.ready(message, this.#ended.signal) : session.send(message, this.#ended.signal)
      await (await sent).body?.cancel()
    })
    // The gateway answers nothing more; the request's own connection may wait for ever.
    if (flight !== undefined) {
      this.#flights.delete(cancelled!)
      flight.cancelling.abort()
    }
  }

  async #respond(message: Extract<ClientMessage, { readonly kind: 'response' }>): Promise<void> {
    const session = this.#session
    if (session?.awaits(message) !== true) return
    await this.#quietly(async () => { await (await session.send(message, this.#ended.signal)).body?.cancel() })
  }

  /** Nobody waits for an answer to what was told. */
  async #quietly(work: () => Promise<void>): Promise<void> {
    try {
      await work()
    } catch (fault) {
      if (fault instanceof NoAccess && !this.#isOver) this.#needs.lost(fault.endReason ?? fault.message)
    }
  }

  async #pass(message: ServerMessage): Promise<void> {
    if (message.kind === 'answer') return
    if (message.kind === 'request') this.#session?.asks(message)
    await this.#say(message.line)
  }

  async #say(line: string): Promise<void> {
    if (!this.#isOver) await this.#needs.write(line)
  }
}

const BOTH = { 'content-type': 'application/json', accept: ACCEPT_BOTH } as const

const BROKEN: RpcErrorOf = { code: INTERNAL, message: 'the connection to Writ broke before the answer came: whether it was done is not known', data: { code: 'connection_broken' } }

const withId = ({ value }: ServerMessage, id: string): string => `{"jsonrpc":"2.0","id":${id},"error":${JSON.stringify(value.error)}}`

/** The gateway says so in the errors of what it cancels. */
function isAboutEnd({ value: { error } }: ServerMessage): boolean {
  const { code } = Object(error?.data) as { readonly code?: unknown }
  return code === 'task_ended' || code === 'token_ended'
}
