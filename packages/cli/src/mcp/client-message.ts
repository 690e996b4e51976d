import { parseExactJson } from '@writ/contract/strict-json'
import { exactText, InexactNumber, type ExactRecord, type ExactValue } from '@writ/domain/exact'

type Bytes = Uint8Array<ArrayBuffer>

/** What a client wrote on its line: `bytes` go on as they are; the rest is what has to be known of them on the way. */
export type ClientMessage =
  | { readonly kind: 'request'; readonly bytes: Bytes; /** As JSON text. */ readonly id: string; readonly method: string; readonly params: ExactRecord; /** Said in `_meta`, which only the generation without sessions does. */ readonly version: string | undefined }
  | { readonly kind: 'notification'; readonly bytes: Bytes; readonly method: string; readonly params: ExactRecord; readonly version: string | undefined }
  | { readonly kind: 'response'; readonly bytes: Bytes; readonly id: string }
  /** Nothing that could go on; `id` where that much of it can be told. */
  | { readonly kind: 'unreadable'; readonly id: string | undefined; readonly code: number; readonly why: string }

export type ClientRequest = Extract<ClientMessage, { readonly kind: 'request' }>
export type ClientNotification = Extract<ClientMessage, { readonly kind: 'notification' }>

/** JSON-RPC 2.0 §5.1. */
const PARSE_ERROR = -32700
const INVALID_REQUEST = -32600

export const META_VERSION = 'io.modelcontextprotocol/protocolVersion'

/** Reads a line as the gateway will read it, which takes only what has one meaning. */
export function readClientMessage(bytes: Bytes): ClientMessage {
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    return { kind: 'unreadable', id: undefined, code: PARSE_ERROR, why: 'the message is not UTF-8' }
  }
  const read = parseExactJson(text)
  if (!read.ok) return unreadable(text, read.refusal.kind)
  const { value } = read
  if (!isRecord(value)) return { kind: 'unreadable', id: undefined, code: INVALID_REQUEST, why: 'a message is an object, and one at a time' }
  const { id, method, params = {} } = value
  const isId = typeof id === 'string' || typeof id === 'bigint'
  if (typeof method === 'string') {
    const known = isRecord(params) ? params : {}
    const about = { bytes, method, params: known, version: versionIn(known) }
    return isId ? { kind: 'request', id: exactText(id), ...about } : { kind: 'notification', ...about }
  }
  if (isId) return { kind: 'response', bytes, id: exactText(id) }
  return { kind: 'unreadable', id: undefined, code: INVALID_REQUEST, why: 'neither `method` nor `id` is there' }
}

/** The client waits for an answer to what can't be carried: a lenient reader finds out to which. */
function unreadable(text: string, flaw: string): ClientMessage {
  try {
    const { id } = Object(JSON.parse(text)) as { readonly id?: unknown }
    const isId = typeof id === 'string' || Number.isSafeInteger(id)
    return { kind: 'unreadable', id: isId ? JSON.stringify(id) : undefined, code: INVALID_REQUEST, why: `the message is not JSON that has one meaning: ${flaw}` }
  } catch {
    return { kind: 'unreadable', id: undefined, code: PARSE_ERROR, why: 'the message is not JSON' }
  }
}

function versionIn({ _meta: meta }: ExactRecord): string | undefined {
  const version = isRecord(meta) ? meta[META_VERSION] : undefined
  return typeof version === 'string' ? version : undefined
}

/** Of `notifications/cancelled`: the request that is not wanted any more, by its id as JSON text. */
export function cancelledIn({ method, params: { requestId } }: ClientNotification): string | undefined {
  return method === 'notifications/cancelled' && (typeof requestId === 'string' || typeof requestId === 'bigint') ? exactText(requestId) : undefined
}

export const isRecord = (value: ExactValue | undefined): value is ExactRecord =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof InexactNumber)
