import type { ExactRecord, ExactValue } from '@writ/domain/exact'
import { ok, refuse, type Outcome } from '@writ/domain/outcome'
import { canonicalText } from '../tools/definition.ts'
import { LEVEL_KEY } from '../upstreams/older-handshake.ts'
import type { McpError, McpMessage } from '../upstreams/upstream.ts'
import { isRecord } from './json-rpc.ts'
import { RPC_CODES, rpcError } from './refused.ts'

/** What a list is of: what its result holds it under, and the tool without which nothing of it is of use. */
export type Listed = { readonly of: 'tools' | 'resources' | 'resourceTemplates' | 'prompts'; readonly usedBy: string | null }

/** A request as it is decided and as it is forwarded. Nothing is forwarded that is not named here. */
export type Asking =
  /** Of a tool, or of one that stands for another ability; decided on `arguments`. */
  | { readonly kind: 'call'; readonly tool: string; readonly arguments: ExactRecord; readonly forward: McpMessage }
  /** It tells what there is, or how to be told of it. */
  | { readonly kind: 'look'; readonly list: Listed | null; readonly forward: McpMessage }
  /** Answered by the gateway itself. */
  | { readonly kind: 'ping' }

/** A closed list: what is not here no client reaches. */
const READERS: Readonly<Record<string, (params: ExactRecord) => Outcome<Asking, string>>> = {
  'ping': () => ok({ kind: 'ping' }),
  'tools/call': readToolCall,
  'tools/list': (params) => readList('tools/list', { of: 'tools', usedBy: null }, params),
  'resources/list': (params) => readList('resources/list', { of: 'resources', usedBy: 'resources/read' }, params),
  'resources/templates/list': (params) => readList('resources/templates/list', { of: 'resourceTemplates', usedBy: 'resources/read' }, params),
  'resources/read': (params) => readResource('resources/read', params),
  'resources/subscribe': (params) => readResource('resources/subscribe', params),
  'resources/unsubscribe': (params) => textIn(params, 'uri', (uri) => ok({ kind: 'look', list: null, forward: { method: 'resources/unsubscribe', params: { uri } } })),
  'prompts/list': (params) => readList('prompts/list', { of: 'prompts', usedBy: 'prompts/get' }, params),
  'prompts/get': readPrompt,
  'completion/complete': readCompletion,
  'logging/setLevel': (params) => textIn(params, 'level', (level) => ok({ kind: 'look', list: null, forward: { method: 'logging/setLevel', params: { level } } })),
}

export function readAsking({ method, params }: McpMessage): Outcome<Asking, McpError> {
  if (!Object.hasOwn(READERS, method)) return refuse(rpcError(RPC_CODES.methodNotFound, 'there is no such method'))
  const read = READERS[method]!(params)
  return read.ok ? read : refuse(rpcError(RPC_CODES.invalidParams, read.refusal))
}

/** In UTF-8 that many bytes at most, for it is looked up and recorded. */
const LONGEST_NAME = 200

function readToolCall(params: ExactRecord): Outcome<Asking, string> {
  const { name, arguments: args } = params
  if (typeof name !== 'string' || name === '' || name.length > LONGEST_NAME) return refuse('`name` must be a text')
  if (args !== undefined && !isRecord(args)) return refuse('`arguments` must be an object')
  return ok({ kind: 'call', tool: name, arguments: args ?? {}, forward: { method: 'tools/call', params: { name, ...(args === undefined ? {} : { arguments: args }), ...metaOf(params) } } })
}

const readResource = (method: string, params: ExactRecord): Outcome<Asking, string> =>
  textIn(params, 'uri', (uri) => ok({ kind: 'call', tool: 'resources/read', arguments: { uri }, forward: { method, params: { uri, ...metaOf(params) } } }))

function readPrompt(params: ExactRecord): Outcome<Asking, string> {
  const { arguments: args = {} } = params
  const pairs = pairsIn(args)
  if (pairs === undefined) return refuse('`arguments` must be an object of texts')
  return textIn(params, 'name', (name) => ok({
    kind: 'call', tool: 'prompts/get', arguments: { name, ...(pairs.length === 0 ? {} : { arguments: pairs }) },
    forward: { method: 'prompts/get', params: { name, ...(pairs.length === 0 ? {} : { arguments: args }), ...metaOf(params) } },
  }))
}

/** As the policies take an object whose names nobody knows before; undefined of one that does not hold texts alone. */
const pairsIn = (texts: ExactValue): readonly ExactRecord[] | undefined =>
  (isRecord(texts) && Object.values(texts).every((value) => typeof value === 'string') ? Object.entries(texts).map(([name, value]) => ({ name, value })) : undefined)

function readCompletion(params: ExactRecord): Outcome<Asking, string> {
  const { ref, argument } = params
  const of = isRecord(ref) ? namedBy(ref) : undefined
  if (of === undefined) return refuse('`ref` must name a prompt or a resource template')
  if (!isRecord(argument) || typeof argument['name'] !== 'string' || typeof argument['value'] !== 'string') return refuse('`argument` must have a `name` and a `value`')
  const chosen = isRecord(params['context']) ? params['context']['arguments'] ?? {} : params['context'] ?? {}
  const pairs = pairsIn(chosen)
  if (pairs === undefined) return refuse('`context` must have `arguments`, an object of texts')
  const { name, value } = argument as { readonly name: string; readonly value: string }
  return ok({
    kind: 'call', tool: 'completion/complete', arguments: { ref: of.text, argument: name, value, ...(pairs.length === 0 ? {} : { context: pairs }) },
    forward: { method: 'completion/complete', params: { ref: of.ref, argument: { name, value }, ...(pairs.length === 0 ? {} : { context: { arguments: chosen } }), ...metaOf(params) } },
  })
}

function namedBy({ type, name, uri }: ExactRecord): { readonly text: string; readonly ref: ExactRecord } | undefined {
  if (type === 'ref/prompt' && typeof name === 'string') return { text: name, ref: { type, name } }
  return type === 'ref/resource' && typeof uri === 'string' ? { text: uri, ref: { type, uri } } : undefined
}

function readList(method: string, list: Listed, params: ExactRecord): Outcome<Asking, string> {
  const { cursor } = params
  if (cursor !== undefined && typeof cursor !== 'string') return refuse('`cursor` must be a text')
  return ok({ kind: 'look', list, forward: { method, params: cursor === undefined ? {} : { cursor } } })
}

const textIn = <T>(params: ExactRecord, name: string, read: (text: string) => Outcome<T, string>): Outcome<T, string> => {
  const text = params[name]
  return typeof text === 'string' && text !== '' ? read(text) : refuse(`\`${name}\` must be a text`)
}

/** Of what goes beside the parameters nothing is forwarded that a policy could not see, but for the client's wish to hear how far it is. */
const KEPT_META = ['progressToken', LEVEL_KEY] as const

function metaOf({ _meta }: ExactRecord): ExactRecord {
  if (!isRecord(_meta)) return {}
  const kept = KEPT_META.filter((name) => isPlain(_meta[name])).map((name) => [name, _meta[name]!] as const)
  return kept.length === 0 ? {} : { _meta: Object.fromEntries(kept) }
}

const isPlain = (value: ExactValue | undefined): boolean => typeof value === 'string' || typeof value === 'bigint'

/** What a request asks, whole, in one text: two requests are the same where these are. */
export const signatureOf = ({ method, params }: McpMessage): string => {
  const { _meta, ...asked } = params
  return canonicalText([method, asked])
}
