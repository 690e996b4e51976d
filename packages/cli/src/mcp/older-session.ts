import { setTimeout as wait } from 'node:timers/promises'
import { messagesIn, type Left, type ServerMessage } from './answers.ts'
import { cancelledIn, type ClientMessage, type ClientNotification, type ClientRequest } from './client-message.ts'
import { ACCEPT_BOTH, type Gateway } from './gateway.ts'

export type OlderSessionNeeds = {
  readonly gateway: Gateway
  /** Hands a message of the server's to the client. */
  readonly hear: (message: ServerMessage) => Promise<void>
  /** Nothing can go on as it was: the client has to begin anew. */
  readonly lost: (why: string) => void
  readonly signal: AbortSignal
}

/** The gateway does not know the session any more, and another one would not be the same. */
export class SessionLost extends Error {}

const RETRY_MS = 1000

/** The state that MCP until 2025-11-25 has between a client and a server, as one that stands between them has to keep it. */
export class OlderSession {
  readonly #needs: OlderSessionNeeds
  readonly #initialize: ClientRequest
  /** What the server said of itself when it began: another one that says otherwise is another server. */
  readonly #introduction: string
  readonly #version: string | undefined
  #id: string | undefined
  #initialized: Uint8Array<ArrayBuffer> | undefined
  /** What the client has set and a new session has to be told: by what it sets. */
  readonly #kept = new Map<string, ClientRequest>()
  /** The ids of what the server asked and the client has not answered. */
  readonly #asked = new Set<string>()
  #renewing: Promise<void> | undefined

  constructor(needs: OlderSessionNeeds, initialize: ClientRequest, began: Began) {
    this.#needs = needs
    this.#initialize = initialize
    this.#introduction = introductionOf(began.answer)
    this.#version = versionOf(began.answer)
    this.#id = began.id
  }

  /** Sends what belongs to the session, once more in another one where the gateway has forgotten it: what it does not know it has not done. */
  async send(message: Exclude<ClientMessage, { readonly kind: 'unreadable' }>, signal: AbortSignal): Promise<Response> {
    await this.#renewing
    const id = this.#id
    const response = await this.#post(message.bytes, signal)
    if (response.status !== 404 || id === undefined) return response
    // 404 is the answer to a method that is unknown too.
    if (!(await isForgotten(response.clone()))) return response
    await response.body?.cancel()
    await this.#renew(id)
    return message.kind === 'response' || cancels(message) ? new Response(null, { status: 202 }) : this.#post(message.bytes, signal)
  }

  /** Goes on with the answer of a request whose connection broke; undefined where nothing of it will come any more. */
  async comeBack(left: Left, signal: AbortSignal): Promise<Response | undefined> {
    if (this.#id === undefined || left.lastEventId === undefined) return undefined
    await wait(left.retryMs ?? RETRY_MS, undefined, { signal })
    const response = await this.#get(left.lastEventId, signal)
    if (response.ok) return response
    await response.body?.cancel()
    return undefined
  }

  /** The client says that it is ready: from here on the server may speak by itself. */
  async ready(message: ClientNotification, signal: AbortSignal): Promise<Response> {
    const response = await this.send(message, signal)
    this.#initialized = message.bytes
    void this.#listen(this.#id)
    return response
  }

  keep(message: ClientRequest): void {
    const what = settingOf(message)
    if (what === undefined) return
    if (message.method === 'resources/unsubscribe') this.#kept.delete(what)
    else this.#kept.set(what, message)
  }

  asks({ id }: ServerMessage): void {
    if (id !== undefined) this.#asked.add(id)
  }

  /** Whether somebody waits for this answer: ids of one session may stand for other questions in the next. */
  awaits({ id }: Extract<ClientMessage, { readonly kind: 'response' }>): boolean {
    return this.#asked.delete(id)
  }

  #headers(): Record<string, string> {
    return {
      ...(this.#id === undefined ? {} : { 'mcp-session-id': this.#id }),
      ...(this.#version === undefined ? {} : { 'mcp-protocol-version': this.#version }),
    }
  }

  #post(body: Uint8Array<ArrayBuffer>, signal: AbortSignal): Promise<Response> {
    return this.#needs.gateway.send({ method: 'POST', headers: { 'content-type': 'application/json', accept: ACCEPT_BOTH, ...this.#headers() }, body, signal })
  }

  #get(lastEventId: string | undefined, signal: AbortSignal): Promise<Response> {
    const after = lastEventId === undefined ? {} : { 'last-event-id': lastEventId }
    return this.#needs.gateway.send({ method: 'GET', headers: { accept: 'text/event-stream', ...this.#headers(), ...after }, signal })
  }

  /** Another session in the place of the one that was forgotten, for whoever comes with that one. */
  #renew(forgotten: string): Promise<void> {
    if (this.#id !== forgotten) return this.#renewing ?? Promise.resolve()
    this.#renewing ??= this.#beginAgain().catch((fault: unknown) => {
      if (fault instanceof SessionLost) this.#needs.lost(fault.message)
      throw fault
    }).finally(() => { this.#renewing = undefined })
    return this.#renewing
  }

  async #beginAgain(): Promise<void> {
    const { gateway, signal } = this.#needs
    this.#asked.clear()
    const began = await beginSession(gateway, this.#initialize, signal)
    if (began.answer === undefined || introductionOf(began.answer) !== this.#introduction) throw new SessionLost('the gateway has forgotten the session, and the server says otherwise of itself than before')
    this.#id = began.id
    if (this.#initialized === undefined) return
    await (await this.#post(this.#initialized, signal)).body?.cancel()
    for (const message of this.#kept.values()) {
      const told = await answerOf(await this.#post(message.bytes, signal))
      if (told === undefined || told.value.error !== undefined) throw new SessionLost(`the gateway has forgotten the session, and \`${message.method}\` is refused in another`)
    }
    void this.#listen(this.#id)
  }

  /** Hears what the server says of its own accord, for as long as there is this session. */
  async #listen(id: string | undefined): Promise<void> {
    const { signal } = this.#needs
    const left: Left = { lastEventId: undefined, retryMs: undefined }
    while (!signal.aborted && this.#id === id) {
      try {
        const response = await this.#get(left.lastEventId, signal)
        if (response.status === 405 && left.lastEventId === undefined) return await response.body?.cancel()
        if (response.status === 404 && id !== undefined) return await this.#renew(id)
        if (response.ok) for await (const message of messagesIn(response, left)) await this.#needs.hear(message)
        else await response.body?.cancel()
        if (response.status === 405) left.lastEventId = undefined
      } catch (fault) {
        // What ends the task or the session is told to those who wait for it; a broken connection is made again.
        if (signal.aborted || fault instanceof SessionLost) return
      }
      await wait(left.retryMs ?? RETRY_MS, undefined, { signal }).catch(() => undefined)
    }
  }
}

/** How a session began: `answer` is undefined where it did not. */
export type Began = { readonly id: string | undefined; readonly answer: ServerMessage | undefined; readonly response: Response }

export async function beginSession(gateway: Gateway, initialize: ClientRequest, signal: AbortSignal): Promise<Began> {
  const response = await gateway.send({ method: 'POST', headers: { 'content-type': 'application/json', accept: ACCEPT_BOTH }, body: initialize.bytes, signal })
  const answer = await answerOf(response.clone())
  const isBegun = response.ok && answer?.value.result !== undefined
  return { id: isBegun ? response.headers.get('mcp-session-id') ?? undefined : undefined, answer: isBegun ? answer : undefined, response }
}

async function answerOf(response: Response): Promise<ServerMessage | undefined> {
  for await (const message of messagesIn(response, { lastEventId: undefined, retryMs: undefined })) if (message.kind === 'answer') return message
  return undefined
}

/** An unknown session, and not an unknown method (-32601). */
async function isForgotten(response: Response): Promise<boolean> {
  const answer = await answerOf(response)
  return answer?.value.error?.code !== -32601
}

const cancels = (message: ClientMessage): boolean => message.kind === 'notification' && cancelledIn(message) !== undefined

function settingOf({ method, params }: ClientRequest): string | undefined {
  if (method === 'logging/setLevel') return method
  return (method === 'resources/subscribe' || method === 'resources/unsubscribe') && typeof params['uri'] === 'string' ? `subscribed ${params['uri']}` : undefined
}

const introductionOf = (answer: ServerMessage | undefined): string => JSON.stringify(answer?.value.result)
function versionOf(answer: ServerMessage | undefined): string | undefined {
  const { protocolVersion } = Object(answer?.value.result) as { readonly protocolVersion?: unknown }
  return typeof protocolVersion === 'string' && /^[\x21-\x7e]{1,64}$/.test(protocolVersion) ? protocolVersion : undefined
}
