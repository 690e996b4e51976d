import { parseExactJson } from '@writ/contract/strict-json'
import { exactText, InexactNumber, type ExactRecord, type ExactValue } from '@writ/domain/exact'
import { ok, refuse, type Outcome } from '@writ/domain/outcome'
import { isRecord } from '../tools/definition.ts'
import { membersOf, withoutMember } from '../upstreams/members.ts'
import { severityOf } from '../upstreams/older-handshake.ts'
import type { McpAnswer, McpClient, McpError, McpMessage, UpstreamDescription } from '../upstreams/upstream.ts'
import { RPC_CODES, rpcError } from './refused.ts'

/** The revisions with sessions that are spoken to clients, the newest first. */
export const OLDER_VERSIONS = ['2025-11-25', '2025-06-18', '2025-03-26'] as const
export type OlderVersion = (typeof OLDER_VERSIONS)[number]

export const isOlderVersion = (text: string): text is OlderVersion => (OLDER_VERSIONS as readonly string[]).includes(text)

const LONGEST_NAME = 200

export type Introduction = { readonly client: McpClient; readonly version: OlderVersion }

/** Who begins a session, and in which revision it goes on: the client's own, or our newest. */
export function readIntroduction({ protocolVersion, capabilities, clientInfo }: ExactRecord): Outcome<Introduction, McpError> {
  if (typeof protocolVersion !== 'string') return refuse(invalid('`protocolVersion` must be a text'))
  if (!isRecord(capabilities)) return refuse(invalid('`capabilities` must be an object'))
  if (!isRecord(clientInfo) || !isName(clientInfo['name']) || !isName(clientInfo['version'])) {
    return refuse(invalid(`\`clientInfo\` must have a \`name\` and a \`version\` of at most ${LONGEST_NAME} characters`))
  }
  const client = { name: clientInfo['name'], version: clientInfo['version'], capabilities: abilitiesOfClient(capabilities) }
  return ok({ client, version: isOlderVersion(protocolVersion) ? protocolVersion : OLDER_VERSIONS[0] })
}

const isName = (value: ExactValue | undefined): value is string => typeof value === 'string' && value.length <= LONGEST_NAME

/** Those that the gateway carries; what else a client can do, no server hears of. */
function abilitiesOfClient(said: ExactRecord): ExactRecord {
  return abilities(said, { roots: ['listChanged'], sampling: ['context', 'tools'], elicitation: ['form', 'url'] })
}

/** Those that the gateway carries: nothing of `tasks`, `experimental` and extensions. */
const SERVER_ABILITIES = { logging: [], completions: [], prompts: ['listChanged'], resources: ['subscribe', 'listChanged'], tools: ['listChanged'] } as const

/** Parts that are true or false; the others are objects. */
const IS_SWITCH: ReadonlySet<string> = new Set(['listChanged', 'subscribe'])

function abilities(said: ExactRecord, known: Readonly<Record<string, readonly string[]>>): ExactRecord {
  return Object.fromEntries(Object.entries(known).flatMap(([name, parts]) => {
    const value = said[name]
    if (!isRecord(value)) return []
    const own = parts.flatMap((part) => (IS_SWITCH.has(part) ? typeof value[part] === 'boolean' : isRecord(value[part])) ? [[part, IS_SWITCH.has(part) ? value[part]! : {}] as const] : [])
    return [[name, Object.fromEntries(own)]]
  }))
}

/** The result of `initialize`. The server goes by its own name; its pictures and whatever else it says of itself stay behind. */
export function introductionText(server: string, version: OlderVersion, { capabilities, info, instructions }: UpstreamDescription): string {
  const said = ['title', 'description', 'websiteUrl'].filter((part) => typeof info[part] === 'string').map((part) => [part, info[part]!] as const)
  return exactText({
    protocolVersion: version, capabilities: abilities(capabilities, SERVER_ABILITIES),
    serverInfo: { name: textOr(info['name'], server), version: textOr(info['version'], '0'), ...Object.fromEntries(said) },
    ...(instructions === null ? {} : { instructions }),
  })
}

const textOr = (value: ExactValue | undefined, otherwise: string): string => (typeof value === 'string' ? value : otherwise)

/** One of the levels of RFC 5424 §6.2.1, as MCP names them. */
export const isLogLevel = (level: ExactValue | undefined): level is string => severityOf(level) >= 0

export type Hearing = { readonly logLevel: string | null; readonly progressToken: ExactValue | undefined }

/**
 * What a server says besides its answers, as the client may have it: of the kinds that the revisions know, whole, and progress under the token
 * that the client itself gave. Undefined for all else.
 */
export function heardBy({ logLevel, progressToken }: Hearing, { method, params }: McpMessage): McpMessage | undefined {
  switch (method) {
    case 'notifications/progress':
      if (!isToken(progressToken) || !isNumber(params['progress'])) return undefined
      return { method, params: { ...only(params, { total: isNumber, message: isText }), progressToken, progress: params['progress'] } }
    case 'notifications/message':
      if (!isLogLevel(params['level']) || params['data'] === undefined) return undefined
      return severityOf(params['level']) < severityOf(logLevel ?? 'debug') ? undefined : { method, params: only(params, { level: isText, data: isAny, logger: isText }) }
    case 'notifications/resources/updated':
      return isText(params['uri']) ? { method, params: { uri: params['uri'] } } : undefined
    case 'notifications/elicitation/complete':
      return isText(params['elicitationId']) ? { method, params: { elicitationId: params['elicitationId'] } } : undefined
    case 'notifications/tools/list_changed':
    case 'notifications/resources/list_changed':
    case 'notifications/prompts/list_changed':
      return { method, params: {} }
    default: return undefined
  }
}

type Test = (value: ExactValue | undefined) => boolean
const isText = (value: ExactValue | undefined): value is string => typeof value === 'string'
const isNumber = (value: ExactValue | undefined): value is bigint | InexactNumber => typeof value === 'bigint' || value instanceof InexactNumber
const isToken = (value: ExactValue | undefined): value is string | bigint => typeof value === 'string' || typeof value === 'bigint'
const isAny: Test = (value) => value !== undefined

const only = (record: ExactRecord, parts: Readonly<Record<string, Test>>): ExactRecord =>
  Object.fromEntries(Object.entries(parts).filter(([name, test]) => test(record[name])).map(([name]) => [name, record[name]!]))

/** A server's question to the client, as the client gets it; or why it can not be asked. `id` names it where an elicitation has to have a name. */
export function questionFor({ capabilities }: McpClient, { method, params }: McpMessage, id: string): Outcome<McpMessage, McpError> {
  const { task: _, _meta: __, ...asked } = params
  switch (method) {
    case 'roots/list': return isRecord(capabilities['roots']) ? ok({ method, params: {} }) : refuse(unable('roots'))
    case 'sampling/createMessage': {
      const { sampling } = capabilities
      if (!isRecord(sampling)) return refuse(unable('sampling'))
      if ((asked['tools'] !== undefined || asked['toolChoice'] !== undefined) && !isRecord(sampling['tools'])) return refuse(unable('sampling with tools'))
      return Array.isArray(asked['messages']) && typeof asked['maxTokens'] === 'bigint' ? ok({ method, params: asked }) : refuse(MISSHAPEN)
    }
    case 'elicitation/create': return elicitationFor(capabilities['elicitation'], asked, id)
    default: return refuse(rpcError(RPC_CODES.methodNotFound, 'a client is not asked this'))
  }
}

/** An ability without parts is that of forms: so it was before there was another. */
function elicitationFor(ability: ExactValue | undefined, asked: ExactRecord, id: string): Outcome<McpMessage, McpError> {
  if (!isRecord(ability)) return refuse(unable('elicitation'))
  const { mode = 'form', message } = asked
  const takesForms = isRecord(ability['form']) || !isRecord(ability['url'])
  if (mode === 'form' && !takesForms) return refuse(unable('elicitation by form'))
  if (mode === 'url' && !isRecord(ability['url'])) return refuse(unable('elicitation by URL'))
  if (!isText(message)) return refuse(MISSHAPEN)
  if (mode === 'form') {
    const { requestedSchema: schema } = asked
    return isRecord(schema) && schema['type'] === 'object' && isRecord(schema['properties']) ? ok({ method: 'elicitation/create', params: asked }) : refuse(MISSHAPEN)
  }
  if (mode !== 'url' || !isText(asked['url'])) return refuse(MISSHAPEN)
  return ok({ method: 'elicitation/create', params: { ...asked, elicitationId: isText(asked['elicitationId']) ? asked['elicitationId'] : id } })
}

const unable = (ability: string): McpError => rpcError(RPC_CODES.methodNotFound, `the client has no ${ability}`)
const MISSHAPEN = rpcError(RPC_CODES.invalidParams, 'the question to the client is not as the protocol has it')
const invalid = (message: string): McpError => rpcError(RPC_CODES.invalidParams, message)

const WHOLE_RESULT = { depth: 256, keys: 1_000_000, elements: 1_000_000 } as const

/**
 * An answer of a newer server, as an older client can read it: until 2025-11-25 structured content is an object, and so is what an output schema
 * describes. What is not, is left out; the same stands in `content` as text.
 */
export function answerForOlder(method: string, answer: McpAnswer): McpAnswer {
  if (answer.kind === 'error') return answer
  if (method === 'tools/call') return { kind: 'result', text: withObjectContent(answer.text) }
  return method === 'tools/list' && answer.text.includes('"outputSchema"') ? { kind: 'result', text: withObjectSchemas(answer.text) } : answer
}

const CONTENT = 'structuredContent'

function withObjectContent(text: string): string {
  const members = text.includes(CONTENT) ? membersOf(text, WHOLE_RESULT) : undefined
  const content = members?.ok === true ? members.value.find(({ name }) => name === CONTENT) : undefined
  return members?.ok !== true || content === undefined || text[content.value] === '{' ? text : withoutMember(text, members.value, CONTENT)
}

function withObjectSchemas(text: string): string {
  const read = parseExactJson(text, WHOLE_RESULT)
  if (!read.ok || !isRecord(read.value)) return text
  const { tools } = read.value
  return Array.isArray(tools) ? exactText({ ...read.value, tools: tools.map(withObjectSchema) }) : text
}

function withObjectSchema(tool: ExactValue): ExactValue {
  if (!isRecord(tool)) return tool
  const { outputSchema, ...rest } = tool
  return isRecord(outputSchema) && outputSchema['type'] === 'object' ? tool : rest
}
