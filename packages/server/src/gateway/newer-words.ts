import { exactText, type ExactRecord, type ExactValue } from '@writ/domain/exact'
import { ok, refuse, type Outcome } from '@writ/domain/outcome'
import { membersOf, withoutMember } from '../upstreams/members.ts'
import { nameOf } from '@writ/contract/param-headers'
import { GENERATIONS, type McpClient, type McpMessage, type UpstreamDescription } from '../upstreams/upstream.ts'
import type { Exchange } from './exchange.ts'
import type { FaceCall } from './face.ts'
import { isRecord, type RpcMessage } from './json-rpc.ts'
import { decodedHeader } from './mirrored.ts'
import { Refused, RPC_CODES, rpcError } from './refused.ts'

export const NEWER = '2026-07-28'
const PREFIX = 'io.modelcontextprotocol/'
export const SUBSCRIPTION_ID = `${PREFIX}subscriptionId`

/** Whether a request says of itself that it is of the generation without sessions. */
export const isOfNewer = (headers: FaceCall['headers'], params: ExactRecord | undefined): boolean =>
  headers['mcp-protocol-version'] === NEWER || (isRecord(params?.['_meta']) && Object.hasOwn(params['_meta'], `${PREFIX}protocolVersion`))

/** What every request of this generation says of itself. */
export type Envelope = { readonly client: McpClient; readonly logLevel: string | null; readonly progressToken: ExactValue | undefined }

/**
 * The checks of MCP 2026-07-28, Streamable HTTP, server validation. What headers and body say has to be the same, or two of those who handle the
 * request would see two requests; what is decided on is the body.
 */
export function readEnvelope({ headers }: Pick<FaceCall, 'headers'>, { method, params }: McpMessage): Outcome<Envelope, Refused> {
  const wrong = (code: number, message: string, data?: ExactRecord): Outcome<never, Refused> => refuse(new Refused(400, rpcError(code, message, data)))
  const meta = isRecord(params['_meta']) ? params['_meta'] : {}
  const { [`${PREFIX}protocolVersion`]: version, [`${PREFIX}clientCapabilities`]: capabilities, [`${PREFIX}logLevel`]: logLevel, progressToken } = meta
  if (typeof version !== 'string') return wrong(RPC_CODES.invalidParams, `\`_meta\` has no \`${PREFIX}protocolVersion\``)
  if (headers['mcp-protocol-version'] !== version) return wrong(RPC_CODES.headerMismatch, 'the header `MCP-Protocol-Version` and `_meta` differ')
  if (version !== NEWER) return wrong(RPC_CODES.unsupportedVersion, 'this revision of the protocol is not spoken here', { supported: [...GENERATIONS].toReversed(), requested: version.slice(0, 64) })
  if (headers['mcp-method'] !== method) return wrong(RPC_CODES.headerMismatch, 'the header `Mcp-Method` and `method` differ')
  const [name, named] = [nameOf(method, params), headers['mcp-name']]
  if (name !== undefined && (named === undefined || decodedHeader(named) !== name)) return wrong(RPC_CODES.headerMismatch, 'the header `Mcp-Name` and the body differ')
  if (!isRecord(capabilities)) return wrong(RPC_CODES.invalidParams, `\`_meta\` has no \`${PREFIX}clientCapabilities\``)
  if (!acceptsBoth(headers['accept'])) return refuse(new Refused(406, rpcError(RPC_CODES.invalidRequest, '`Accept` must list application/json and text/event-stream')))
  return ok({ client: { ...calledIn(meta[`${PREFIX}clientInfo`]), capabilities }, logLevel: typeof logLevel === 'string' ? logLevel : null, progressToken })
}

/** RFC 9110 §12.5.1: who says nothing takes everything. */
function acceptsBoth(accept = '*/*'): boolean {
  const ranges = new Set(accept.split(',').map((range) => range.split(';', 1)[0]!.trim().toLowerCase()))
  return ['application/json', 'text/event-stream'].every((type) => ['*/*', `${type.split('/', 1)[0]!}/*`, type].some((range) => ranges.has(range)))
}

const LONGEST_WORD = 200

function calledIn(info: ExactValue | undefined): Pick<McpClient, 'name' | 'version'> {
  const word = (value: ExactValue | undefined): string => (typeof value === 'string' && value !== '' ? value.slice(0, LONGEST_WORD).toWellFormed() : 'unknown')
  return isRecord(info) ? { name: word(info['name']), version: word(info['version']) } : { name: 'unknown', version: 'unknown' }
}

export type Enveloped = Extract<RpcMessage, { readonly kind: 'request' }> & { readonly envelope: Envelope }

export function exchangeOf({ server, caller, uses, traceId }: FaceCall, { message, envelope: { client } }: Enveloped, signal: AbortSignal): Exchange {
  return { server, caller, uses, traceId, message: withoutEnvelope(message), client, signal, notify: () => {} }
}

/** The headers that mirror arguments. */
export const mirroredIn = (headers: FaceCall['headers']): Readonly<Record<string, string>> =>
  Object.fromEntries(Object.entries(headers).filter(([name]) => name.startsWith('mcp-param-')))

/** The request as it is decided: without what belongs to the way, and without what goes on with an earlier one. */
export function withoutEnvelope({ method, params }: McpMessage): McpMessage {
  const { inputResponses: _, requestState: __, ...asked } = params
  return { method, params: asked }
}

/** Results that say how long they hold: none of ours longer than at this moment, and for nobody else (a list that depends on the task is `private`). */
const HELD: ReadonlySet<string> = new Set(['server/discover', 'tools/list', 'resources/list', 'resources/templates/list', 'prompts/list', 'resources/read'])
const OWN_MEMBERS = ['resultType', 'ttlMs', 'cacheScope']
const HOLDS_NOT = '"ttlMs":0,"cacheScope":"private"'

/** The text of a result as this generation has it; every digit of it stays. */
export function completedText(method: string, result: string): string {
  let text = result
  if (HELD.has(method)) {
    for (const name of OWN_MEMBERS) {
      const members = membersOf(text, { depth: 128 })
      if (members.ok) text = withoutMember(text, members.value, name)
    }
  }
  const own = `"resultType":"complete"${HELD.has(method) ? `,${HOLDS_NOT}` : ''}`
  const inner = text.slice(text.indexOf('{') + 1).trimStart()
  return inner.startsWith('}') ? `{${own}}` : `{${own},${inner}`
}

/** What `server/discover` answers. */
export function discoveryText({ capabilities, info, instructions }: UpstreamDescription): string {
  return exactText({ supportedVersions: [...GENERATIONS].toReversed(), capabilities, ...(instructions === null ? {} : { instructions }), _meta: { [`${PREFIX}serverInfo`]: info } })
}
