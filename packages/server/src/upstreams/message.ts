import { parseExactJson } from '@writ/contract/strict-json'
import { exactText, InexactNumber, type ExactRecord, type ExactValue } from '@writ/domain/exact'
import { ok, refuse, type Outcome } from '@writ/domain/outcome'
import { membersOf, type Member, type MembersRefusal } from './members.ts'
import type { McpAnswer, McpError, McpMessage } from './upstream.ts'

/** The most that one message may have, in bytes on its way and in characters once read (R46). */
export const MOST_MESSAGE_BYTES = 16 * 1024 * 1024
const MOST_DEPTH = 128
const MOST_ERROR_TEXT = 4096
/** A question of a server's or its notification; a result is not read, so it has no such bounds. */
const MOST_SAID = { depth: 64, keys: 20_000, elements: 50_000 } as const

/** A result as it came, with the places of its own members. */
export type RawResult = { readonly kind: 'result'; readonly text: string; readonly members: readonly Member[] }
export type RawAnswer = RawResult | { readonly kind: 'error'; readonly error: McpError }

/** What the other side sent. `id` is the text of the id as it was written, so that it goes back as it came. */
export type Incoming =
  | { readonly kind: 'request'; readonly id: string; readonly message: McpMessage }
  | { readonly kind: 'notification'; readonly message: McpMessage }
  | { readonly kind: 'answer'; readonly id: string | null; readonly answer: RawAnswer }

/** `not_json_rpc`: no message at all. A notification that can not be read matters to nobody's call. */
export type MessageRefusal = MembersRefusal | { readonly kind: 'not_json_rpc' | 'bad_message' | 'bad_notification' }

/** Reads one JSON-RPC 2.0 message. A batch is none: no generation after 2025-03-26 has them, and we ask for none. */
export function readMessage(text: string): Outcome<Incoming, MessageRefusal> {
  const found = membersOf(text, { depth: MOST_DEPTH })
  if (!found.ok) return found
  const member = (name: string): Member | undefined => found.value.find((one) => one.name === name)
  const textOf = (of: Member): string => text.slice(of.value, of.to)
  const bad = refuse<MessageRefusal>({ kind: 'bad_message' })
  const [version, id, method, params, result, error] = ['jsonrpc', 'id', 'method', 'params', 'result', 'error'].map(member)
  if (version === undefined || textOf(version) !== '"2.0"') return refuse({ kind: 'not_json_rpc' })
  const idText = id === undefined ? null : textOf(id)
  if (method !== undefined) {
    if (result !== undefined || error !== undefined) return bad
    const said = messageFrom(textOf(method), params === undefined ? '{}' : textOf(params))
    if (idText === null) return said === undefined ? refuse({ kind: 'bad_notification' }) : ok({ kind: 'notification', message: said })
    return said !== undefined && isId(idText) ? ok({ kind: 'request', id: idText, message: said }) : bad
  }
  if ((result === undefined) === (error === undefined)) return bad
  const answer = result === undefined ? errorFrom(textOf(error!)) : resultFrom(text, result)
  // An error about a message that could not be read has no id, or null.
  const answered = idText === 'null' ? null : idText
  return answer === undefined || (answered !== null && !isId(answered)) ? bad : ok({ kind: 'answer', id: answered, answer })
}

const isId = (text: string): boolean => text.startsWith('"') || /^-?\d+$/.test(text)

function messageFrom(methodText: string, paramsText: string): McpMessage | undefined {
  if (!methodText.startsWith('"')) return undefined
  const params = recordOf(paramsText)
  return params && { method: JSON.parse(methodText) as string, params }
}

/** The object that the text is, every digit kept; undefined where it is none, or is one that two readers may read in two ways. */
export function recordOf(text: string): ExactRecord | undefined {
  const read = parseExactJson(text, MOST_SAID)
  return read.ok && isRecord(read.value) ? read.value : undefined
}

export function isRecord(value: ExactValue | undefined): value is ExactRecord {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof InexactNumber)
}

function resultFrom(text: string, { value, to, members }: Member): RawResult | undefined {
  if (text[value] !== '{') return undefined
  const moved = members.map((one) => ({ ...one, from: one.from - value, value: one.value - value, to: one.to - value }))
  return { kind: 'result', text: text.slice(value, to), members: moved }
}

function errorFrom(text: string): RawAnswer | undefined {
  const read = recordOf(text)
  if (read === undefined) return undefined
  const { code, message, data } = read
  if (typeof code !== 'bigint' || BigInt.asIntN(53, code) !== code || typeof message !== 'string') return undefined
  return { kind: 'error', error: { code: Number(code), message: message.slice(0, MOST_ERROR_TEXT).toWellFormed(), ...(data === undefined ? {} : { data }) } }
}

/** The text of a member's value, undefined where there is none. */
export function memberText({ text, members }: RawResult, name: string): string | undefined {
  const found = members.find((one) => one.name === name)
  return found && text.slice(found.value, found.to)
}

/** The string that a member is; undefined where it is none. */
export function memberString(result: RawResult, name: string): string | undefined {
  const text = memberText(result, name)
  return text?.startsWith('"') ? JSON.parse(text) as string : undefined
}

/** The object that a member is, every digit kept; undefined where it is none. */
export function memberRecord(result: RawResult, name: string): ExactRecord | undefined {
  const text = memberText(result, name)
  return text?.startsWith('{') ? recordOf(text) : undefined
}

export const requestText = (id: number, { method, params }: McpMessage): string => exactText({ jsonrpc: '2.0', id: BigInt(id), method, params })

export const notificationText = ({ method, params }: McpMessage): string => exactText({ jsonrpc: '2.0', method, ...(Object.keys(params).length === 0 ? {} : { params }) })

/** Our side's answer to a question of the server's, with the id as it was written there. */
export function answerText(id: string, answer: McpAnswer): string {
  if (answer.kind === 'result') return `{"jsonrpc":"2.0","id":${id},"result":${answer.text}}`
  const { code, message, data } = answer.error
  return `{"jsonrpc":"2.0","id":${id},"error":${exactText({ code: BigInt(code), message, ...(data === undefined ? {} : { data }) })}}`
}
