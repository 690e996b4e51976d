import { eventsIn } from './sse.ts'

/** A message of the server's, as one line, with what has to be known of it on the way. */
export type ServerMessage = { readonly line: string; readonly kind: 'answer' | 'request' | 'notification'; readonly method: string | undefined; /** As JSON text. */ readonly id: string | undefined; readonly value: ServerValue }
type ServerValue = { readonly id?: unknown; readonly method?: unknown; readonly result?: unknown; readonly error?: { readonly code?: unknown; readonly data?: unknown } }

/** The text stays as it is but for line feeds, which in JSON stand between its words only. Undefined of what is no message. */
export function readServerMessage(text: string): ServerMessage | undefined {
  let value: ServerValue
  try {
    value = JSON.parse(text) as ServerValue
  } catch {
    return undefined
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
  const id = value.id === undefined || value.id === null ? undefined : JSON.stringify(value.id)
  const method = typeof value.method === 'string' ? value.method : undefined
  const kind = method === undefined ? 'answer' : id === undefined ? 'notification' : 'request'
  return { line: /[\r\n]/.test(text) ? text.replaceAll(/[\r\n]+/g, ' ') : text, kind, method, id, value }
}

/** Where a stream was left: the id of its last event, and how long to wait before coming back. */
export type Left = { lastEventId: string | undefined; retryMs: number | undefined }

/** The messages of an answer, one text or many, in their order. `left` is kept up to date on the way. */
export async function* messagesIn(response: Response, left: Left): AsyncGenerator<ServerMessage, void> {
  if (!isEventStream(response)) {
    const message = readServerMessage(await response.text())
    if (message !== undefined) yield message
    return
  }
  for await (const { data, id, retryMs } of eventsIn(response.body!)) {
    left.lastEventId = id ?? left.lastEventId
    left.retryMs = retryMs ?? left.retryMs
    const message = data === null ? undefined : readServerMessage(data)
    if (message !== undefined) yield message
  }
}

const isEventStream = ({ headers, body }: Response): boolean => body !== null && /^text\/event-stream\b/i.test(headers.get('content-type') ?? '')

export type RpcErrorOf = { readonly code: number; readonly message: string; readonly data?: object }

/** JSON-RPC 2.0 §5.1; `id` as JSON text, and left out where none is known. */
export const errorLine = (id: string | undefined, error: RpcErrorOf): string => `{"jsonrpc":"2.0",${id === undefined ? '' : `"id":${id},`}"error":${JSON.stringify(error)}}`
