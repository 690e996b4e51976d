import { OutboundFault, type Opened, type OutboundRefusal, type OutboundStreams } from '../platform/outbound.ts'
import { textOf } from '../platform/utf8.ts'
import { MOST_MESSAGE_BYTES, readMessage, type Incoming } from './message.ts'
import { readEvents, StreamFlaw } from './sse.ts'
import { UpstreamFault } from './upstream.ts'

export type HttpBounds = {
  /** How long nothing may come. */
  readonly idleMs: number
  /** How much may come in one exchange, its resumptions included. */
  readonly exchangeBytes: number
  /** How long the steps take at most that no tool's work stands behind. */
  readonly handshakeMs: number
}

export const HTTP_BOUNDS: HttpBounds = { idleMs: 10 * 60_000, exchangeBytes: 64 * 1024 * 1024, handshakeMs: 30_000 }

export type HttpNeeds = {
  readonly server: string
  readonly url: string
  readonly ca: string | null
  /** What the server wants to see of us, such as `authorization`. */
  readonly secretHeaders: Readonly<Record<string, string>>
  readonly outbound: OutboundStreams
  readonly bounds: HttpBounds
}

export type HttpOrder = {
  readonly method: 'GET' | 'POST' | 'DELETE'
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string
  readonly signal: AbortSignal
  /** Within which the head of the answer comes. */
  readonly withinMs: number
}

/** What one event stream has said so far of how to go on with it. */
export type Cursor = { lastId: string | null; retryMs: number | null; bytes: number }

export const newCursor = (): Cursor => ({ lastId: null, retryMs: null, bytes: 0 })

/** How long a stream may go on that has said all that it had to say. */
const AFTERMATH_MS = 1000

/** No header of ours comes from a secret, and none that says where a message ends. */
const NOT_OF_A_SECRET = /^(?:host|connection|content-.*|transfer-encoding|te|trailer|upgrade|keep-alive|proxy-.*|expect|accept.*|mcp-.*|last-event-id)$/i

export async function exchange(needs: HttpNeeds, { method, headers, body, signal, withinMs }: HttpOrder): Promise<Opened> {
  const secret = Object.entries(needs.secretHeaders).filter(([name]) => !NOT_OF_A_SECRET.test(name)).map(([name, value]) => [name.toLowerCase(), value])
  const opened = await needs.outbound.open(needs.url, {
    method, headers: { ...Object.fromEntries(secret) as Record<string, string>, ...headers },
    ...(body === undefined ? {} : { body }), ca: needs.ca, signal, headersDeadlineMs: withinMs,
  })
  if (!opened.ok) throw new UpstreamFault(needs.server, codeOf(opened.refusal))
  if ((opened.value.headers['content-encoding'] ?? 'identity').toLowerCase() !== 'identity') {
    opened.value.close()
    throw new UpstreamFault(needs.server, 'compressed')
  }
  return opened.value
}

function codeOf(refusal: OutboundRefusal): string {
  if (refusal.kind === 'no_connection') return refusal.code
  return refusal.kind === 'status' ? `status_${refusal.status}` : refusal.kind
}

export const isEventStream = (opened: Opened): boolean => /^text\/event-stream\s*(?:;|$)/i.test(opened.headers['content-type'] ?? '')
const isJson = (opened: Opened): boolean => /^application\/json\s*(?:;|$)/i.test(opened.headers['content-type'] ?? '')

/** The one message of an answer that is no stream; undefined where it is none. */
export async function readOne(needs: HttpNeeds, opened: Opened): Promise<Incoming | undefined> {
  const text = isJson(opened) ? await readWhole(needs, opened) : undefined
  if (text === undefined) {
    opened.close()
    return undefined
  }
  const read = readMessage(text)
  return read.ok ? read.value : undefined
}

async function readWhole(needs: HttpNeeds, opened: Opened): Promise<string | undefined> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of bounded(needs, opened)) {
    size += chunk.length
    if (size > MOST_MESSAGE_BYTES) throw new UpstreamFault(needs.server, 'too_large')
    chunks.push(chunk)
  }
  return textOf(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks))
}

/** Reads what is left of an answer that nobody needs, so that the connection serves again; what is long is cut instead. */
export function letGo(opened: Opened): void {
  const length = Number(opened.headers['content-length'] ?? Number.NaN)
  if (!(length <= 64 * 1024) && opened.status !== 202 && opened.status !== 204) return opened.close()
  const impatience = setTimeout(() => { opened.close() }, 2000)
  impatience.unref()
  void (async () => {
    try {
      for await (const chunk of opened.body) void chunk
    } catch { /* nobody needs it */ }
    clearTimeout(impatience)
  })()
}

/**
 * Reads a stream to its end, in the background once `take` has said that it has what it wanted: a server that ends its streams, as it should,
 * leaves a connection that serves again. Answers whether `take` was content.
 */
export async function readUntil(needs: HttpNeeds, opened: Opened, cursor: Cursor, take: (incoming: Incoming) => boolean): Promise<boolean> {
  const messages = readStream(needs, opened, cursor)
  for (;;) {
    const next = await messages.next()
    if (next.done) return false
    if (!take(next.value)) continue
    const impatience = setTimeout(() => { opened.close() }, AFTERMATH_MS)
    impatience.unref()
    messages.next().catch(() => undefined).finally(() => {
      clearTimeout(impatience)
      opened.close()
    }).catch(() => undefined)
    return true
  }
}

/** The messages of an event stream; `cursor` says afterwards where it stopped. Ends where the stream ends, however it does. */
export async function* readStream(needs: HttpNeeds, opened: Opened, cursor: Cursor): AsyncGenerator<Incoming, void, undefined> {
  try {
    for await (const event of readEvents(bounded(needs, opened, cursor), MOST_MESSAGE_BYTES)) {
      cursor.lastId = event.lastId ?? cursor.lastId
      cursor.retryMs = event.retryMs ?? cursor.retryMs
      if (event.data === null) continue
      const read = readMessage(event.data)
      if (read.ok) yield read.value
      else if (read.refusal.kind !== 'bad_notification') throw new UpstreamFault(needs.server, 'bad_answer')
    }
  } catch (cause) {
    if (cause instanceof StreamFlaw) throw new UpstreamFault(needs.server, cause.code === 'too_large' ? 'too_large' : 'bad_answer', { cause })
    // A broken line is an end like any other of a stream that may go on elsewhere.
    if (!(cause instanceof OutboundFault)) throw cause
  } finally {
    opened.close()
  }
}

/** The body, cut when nothing comes for too long or too much comes. */
async function* bounded({ server, bounds }: HttpNeeds, opened: Opened, cursor: Cursor = newCursor()): AsyncGenerator<Uint8Array, void, undefined> {
  let isIdle = false
  const timer = setTimeout(() => {
    isIdle = true
    opened.close()
  }, bounds.idleMs)
  timer.unref()
  try {
    for await (const chunk of opened.body) {
      timer.refresh()
      cursor.bytes += chunk.length
      if (cursor.bytes > bounds.exchangeBytes) throw new UpstreamFault(server, 'too_large')
      yield chunk
    }
    if (isIdle) throw new UpstreamFault(server, 'idle')
  } catch (cause) {
    throw isIdle ? new UpstreamFault(server, 'idle', { cause }) : cause
  } finally {
    clearTimeout(timer)
    opened.close()
  }
}

/** What a broken answer is for whoever asked. */
export const brokenAs = (server: string, cause: unknown): unknown => (cause instanceof OutboundFault ? new UpstreamFault(server, cause.code, { cause }) : cause)
