import { parseExactJson } from '@writ/contract/strict-json'
import { exactText, InexactNumber, type ExactRecord, type ExactValue } from '@writ/domain/exact'
import { ok, refuse, type Outcome } from '@writ/domain/outcome'
import type { McpAnswer, McpError, McpMessage } from '../upstreams/upstream.ts'
import { RPC_CODES, rpcError } from './refused.ts'

/** MCP: a text or a whole number, never null. */
export type RpcId = string | bigint

/** One JSON-RPC 2.0 message of a client. */
export type RpcMessage =
  | { readonly kind: 'request'; readonly id: RpcId; readonly message: McpMessage }
  | { readonly kind: 'notification'; readonly message: McpMessage }
  | { readonly kind: 'response'; readonly id: RpcId; readonly answer: McpAnswer }

/** What could not be read; `id` where that much of it could. */
export type Unread = { readonly id: RpcId | null; readonly error: McpError }

const LONGEST_ID = 256
const LONGEST_METHOD = 128

/**
 * INVARIANT: the only reading of the body. What is decided and what is forwarded are both taken from this value, so that no two readers of one
 * text can see two requests.
 */
export function readRpc(body: string): Outcome<RpcMessage, Unread> {
  const read = parseExactJson(body)
  if (!read.ok) {
    const error = read.refusal.kind === 'malformed_json' ? rpcError(RPC_CODES.parse, 'the body is not JSON') : rpcError(RPC_CODES.invalidRequest, `the body is not JSON that has one meaning: ${read.refusal.kind}`)
    return refuse({ id: null, error })
  }
  const { value } = read
  if (Array.isArray(value)) return refuse({ id: null, error: invalid('one message at a time: batches are not taken') })
  if (!isRecord(value)) return refuse({ id: null, error: invalid('a message is an object') })
  const id = idIn(value)
  const wrong = (message: string): Outcome<never, Unread> => refuse({ id: id ?? null, error: invalid(message) })
  if (value.jsonrpc !== '2.0') return wrong('`jsonrpc` must be "2.0"')
  if (Object.hasOwn(value, 'id') && id === undefined) return wrong('`id` must be a text or a whole number')
  if (Object.hasOwn(value, 'method')) return readCall(value, id)
  return id === undefined ? wrong('neither `method` nor `id` is there') : readResponse(value, id)
}

function readCall({ method, params = {} }: ExactRecord, id: RpcId | undefined): Outcome<RpcMessage, Unread> {
  const wrong = (error: McpError): Outcome<never, Unread> => refuse({ id: id ?? null, error })
  if (typeof method !== 'string' || method === '' || method.length > LONGEST_METHOD) return wrong(invalid('`method` must be a text'))
  if (!isRecord(params)) return wrong(rpcError(RPC_CODES.invalidParams, '`params` must be an object'))
  const message = { method, params }
  return ok(id === undefined ? { kind: 'notification', message } : { kind: 'request', id, message })
}

function readResponse({ result, error }: ExactRecord, id: RpcId): Outcome<RpcMessage, Unread> {
  const wrong = refuse({ id, error: invalid('a response has either a `result` or an `error`') })
  if ((result === undefined) === (error === undefined)) return wrong
  if (result !== undefined) return isRecord(result) ? ok({ kind: 'response', id, answer: { kind: 'result', text: exactText(result) } }) : wrong
  if (!isRecord(error!) || typeof error.code !== 'bigint' || typeof error.message !== 'string') return wrong
  const { code, message, data } = error
  return ok({ kind: 'response', id, answer: { kind: 'error', error: { code: Number(code), message, ...(data === undefined ? {} : { data }) } } })
}

function idIn({ id }: ExactRecord): RpcId | undefined {
  return typeof id === 'bigint' || (typeof id === 'string' && id.length <= LONGEST_ID) ? id : undefined
}

const invalid = (message: string): McpError => rpcError(RPC_CODES.invalidRequest, message)

export const isRecord = (value: ExactValue | undefined): value is ExactRecord =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof InexactNumber)

/** `result`: JSON as it stands, so that what an upstream wrote keeps every digit. */
export const resultText = (id: RpcId, result: string): string => `{"jsonrpc":"2.0","id":${exactText(id)},"result":${result}}`

/** Without an id where none could be read. */
export const errorText = (id: RpcId | null, error: McpError): string =>
  `{"jsonrpc":"2.0",${id === null ? '' : `"id":${exactText(id)},`}"error":${exactText(errorRecord(error))}}`

const errorRecord = ({ code, message, data }: McpError): ExactRecord => ({ code: BigInt(code), message, ...(data === undefined ? {} : { data }) })

/** A notification of a server. */
export const notificationText = ({ method, params }: McpMessage): string =>
  exactText({ jsonrpc: '2.0', method, ...(Object.keys(params).length === 0 ? {} : { params }) })

/** A request of a server: the older generation's alone. */
export const requestText = (id: RpcId, { method, params }: McpMessage): string => exactText({ jsonrpc: '2.0', id, method, params })
