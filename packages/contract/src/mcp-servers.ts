import { EFFECTS } from '@writ/domain/decision'
import { leaseVariableNames, LIBPQ } from '@writ/domain/lease-variables'
import { CALL_STATUSES, MCP_TRANSPORTS } from '@writ/domain/tool-call'
import { z } from 'zod'
import { endpoint } from './endpoint.ts'
import { action, environment, freeText, name, page, reason } from './words.ts'

const plainText = (most: number) => z.string().min(1).max(most).refine((text) => !text.includes('\0'), { error: 'must not hold NUL' })

/** RFC 9110 §5.1 and §5.5. What belongs to the way and to the protocol is Writ's own to say. */
const headerName = z.string().regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}$/, { error: 'must be the name of an HTTP header' })
  .refine((text) => !OURS.test(text), { error: 'is a header that Writ sets itself' })
const OURS = /^(?:host|connection|content-.*|transfer-encoding|te|trailer|upgrade|expect|keep-alive|proxy-.*|accept|origin|last-event-id|mcp-.*)$/i
const headerValue = z.string().regex(/^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/, { error: 'must be visible ASCII without blanks at its ends' }).max(8192)
const variableName = z.string().regex(/^[A-Za-z_][A-Za-z0-9_]{0,99}$/, { error: 'must be letters, digits and `_`, and begin with no digit' })

const fewest = (most: number) => (record: Readonly<Record<string, unknown>>): boolean => Object.keys(record).length <= most
/** Sealed before they are stored and never shown again. */
const headers = z.record(headerName, headerValue).refine(fewest(50), { error: 'must hold at most 50' })
  .refine((record) => new Set(Object.keys(record).map((one) => one.toLowerCase())).size === Object.keys(record).length, { error: 'must not name a header twice' })
const variables = z.record(variableName, z.string().max(32_768).refine((text) => !text.includes('\0'), { error: 'must not hold NUL' })).refine(fewest(100), { error: 'must hold at most 100' })

/** A login of a back end that a program is lent by each task that starts it: one permit of the task's grant. */
const programLease = z.strictObject({
  /** How its variables begin: `PG` for those that libpq reads, `SHOP` for `SHOP_HOST`, `SHOP_PASSWORD` and the rest. */
  variables: variableName.default(LIBPQ),
  type: z.literal('postgres'),
  resource: name,
  /** A template of the back end. */
  action,
})
const programLeases = z.array(programLease).max(10)
  .refine((leases) => new Set(leases.map((one) => one.variables)).size === leases.length, { error: 'must not name the same variables twice' })

/** The first of the variables that a lease of these would bring too. */
export const variableOfLease = (leases: readonly { readonly variables: string }[], given: Readonly<Record<string, unknown>>): string | undefined =>
  leases.flatMap(({ variables: prefix }) => leaseVariableNames(prefix)).find((one) => Object.hasOwn(given, one))

const command = z.string().regex(/^(?:\/[^\0]*[^/\0]|[A-Za-z0-9_][A-Za-z0-9_.+-]*)$/, { error: 'must be an absolute path, or the bare name of a program' }).max(4096)
const directory = z.string().regex(/^\/[^\0]*$/, { error: 'must be an absolute path' }).max(4096)

export const addMcpServerBody = z.discriminatedUnion('transport', [
  z.strictObject({
    name, transport: z.literal('http'),
    /** The endpoint of Streamable HTTP. */
    url: z.string().min(1).max(2048),
    /** Certification authorities in PEM, in place of those that everybody trusts. */
    ca: z.string().max(100_000).optional(),
    /** What Writ shows the server as its own. */
    headers: headers.default({}),
    environment: environment.optional(),
  }),
  z.strictObject({
    name, transport: z.literal('stdio'),
    /** Started once for each task that uses it, on the server that serves the task. */
    command,
    args: z.array(plainText(8192)).max(100).default([]),
    cwd: directory.optional(),
    /** Beside these it sees next to nothing of Writ's own environment. */
    variables: variables.default({}),
    /** Minted when a task starts it, shown to it alone, and ended with the task, or before when the program is stopped. */
    leases: programLeases.default([]),
    environment: environment.optional(),
  }),
])
export type AddMcpServerBody = z.input<typeof addMcpServerBody>

export const mcpServer = z.object({
  id: z.string(),
  name: z.string(),
  transport: z.enum(MCP_TRANSPORTS),
  url: z.string().nullable(),
  own_ca: z.boolean(),
  command: z.string().nullable(),
  args: z.array(z.string()),
  cwd: z.string().nullable(),
  /** Whether headers or variables of its own are kept for it. */
  has_secrets: z.boolean(),
  leases: z.array(programLease),
  environment: environment.nullable(),
  state: z.enum(['active', 'retired']),
  added_by: z.string(),
  added_at: z.string(),
  secret_set_at: z.string().nullable(),
  /** Where tasks reach it. */
  endpoint: z.string(),
})
export type McpServerReply = z.infer<typeof mcpServer>

/** What a person says of a tool, and policies decide by. */
const terms = {
  effect: z.enum(EFFECTS),
  /** Whether what it does can be taken back. */
  reversible: z.boolean(),
  /** What a task tree may have seen once it was called. */
  labels: z.array(z.string().min(1).max(100)).max(50),
  /** `untrusted`: what it brings may have been written by anybody. */
  trust: z.string().min(1).max(100).nullable(),
  /** Arguments, by name, whose values stand in the record of each call; of all others no value ever does. */
  public: z.array(z.string().max(200)).max(16).default([]),
}
const toolTerms = z.object(terms)
export type ToolTerms = z.infer<typeof toolTerms>

/** Text that nobody sees: where, as a JSON pointer, and which characters. */
const hiddenText = z.object({ at: z.string(), in: z.enum(['value', 'name']), characters: z.array(z.string()) })

export const mcpTool = z.object({
  name: z.string(),
  /** `new`: never accepted. `changed`: accepted, and defined otherwise now: blocked. `gone`: in the policies, and not listed. */
  state: z.enum(['pinned', 'new', 'changed', 'gone']),
  /** Of the definition that is listed; null where there is none. */
  hash: z.string().nullable(),
  /** Exact JSON as a text of its own, in canonical form. */
  definition: z.string().nullable(),
  pin: z.string().nullable(),
  /** Of the definition that was accepted, where Writ still has it. */
  pinned_definition: z.string().nullable(),
  /** What is in force. */
  terms: toolTerms.nullable(),
  /** What the server's own hints come to: no more than hints. */
  proposal: toolTerms.nullable(),
  flags: z.array(hiddenText),
  /** Arguments for which policies have no type: a call that gives one is denied. */
  unshown: z.array(z.string()),
  first_seen: z.string().nullable(),
  last_seen: z.string().nullable(),
})
export type McpToolReply = z.infer<typeof mcpTool>

const leftOut = z.object({ because: z.string(), count: z.number() })

export const mcpTools = z.object({
  tools: z.array(mcpTool),
  /** Of a look that was just taken: what in the list is no tool that anybody could be allowed. */
  left_out: z.array(leftOut),
})
export type McpToolsReply = z.infer<typeof mcpTools>

export const addMcpServer = endpoint({
  method: 'POST', path: '/v1/mcp-servers', who: 'operator', summary: 'Register an MCP server: over HTTP, or a program that Writ starts',
  body: addMcpServerBody, reply: mcpServer, status: 201, problems: ['invalid-fields', 'already-exists', 'idempotency-key-reused'],
})
export const listMcpServers = endpoint({
  method: 'GET', path: '/v1/mcp-servers', who: 'operator', summary: 'List MCP servers, the retired ones too', reply: z.object({ servers: z.array(mcpServer) }), problems: [],
})
export const showMcpServer = endpoint({ method: 'GET', path: '/v1/mcp-servers/{name}', who: 'operator', summary: 'One MCP server', reply: mcpServer, problems: ['not-found'] })
export const retireMcpServer = endpoint({
  method: 'POST', path: '/v1/mcp-servers/{name}/retire', who: 'operator', summary: 'Retire an MCP server: no task reaches it from here on',
  body: reason, reply: mcpServer, problems: ['not-found', 'idempotency-key-reused'],
})
export const setMcpServerSecrets = endpoint({
  method: 'PUT', path: '/v1/mcp-servers/{name}/secrets', who: 'operator', summary: 'Give an MCP server other headers or variables, in place of all that it had',
  body: z.strictObject({ headers: headers.optional(), variables: variables.optional() }), reply: mcpServer, problems: ['invalid-fields', 'not-found', 'idempotency-key-reused'],
})
export const listMcpTools = endpoint({
  method: 'GET', path: '/v1/mcp-servers/{name}/tools', who: 'operator', summary: 'The tools of an MCP server: as they were seen, as they are pinned, and what is proposed',
  query: z.strictObject({
    /** Whether the server is asked now. */
    fresh: z.enum(['true', 'false']).default('false'),
  }),
  reply: mcpTools, problems: ['invalid-fields', 'not-found', 'backend-unavailable'],
})
export const acceptMcpTools = endpoint({
  method: 'POST', path: '/v1/mcp-servers/{name}/tools/accept', who: 'operator', summary: 'Pin tools as they are listed now: a new version of the policies with these tools in it',
  body: z.strictObject({
    tools: z.array(z.strictObject({
      name: z.string().min(1).max(200),
      /** Of the definition that was looked at: where another is listed by now, nothing is pinned. */
      hash: z.string().max(100),
      ...terms,
    })).min(1).max(1000).refine((tools) => new Set(tools.map((one) => one.name)).size === tools.length, { error: 'must not name a tool twice' }),
    reason: freeText(500),
  }),
  reply: mcpTools.extend({ policy_version: z.number() }), problems: ['invalid-fields', 'not-found', 'conflict', 'policy-refused', 'idempotency-key-reused'],
})

export const toolCall = z.object({
  /** The decision that let it through. */
  decision: z.string(),
  task: z.string(),
  identity: z.string(),
  server: z.string(),
  tool: z.string(),
  /** `in_flight`: not finished. `unknown`: whoever served it did not live to tell. */
  status: z.enum(CALL_STATUSES),
  started_at: z.string(),
  finished_at: z.string().nullable(),
  duration_ms: z.number().nullable(),
  /** Of the result's text, in UTF-8. */
  bytes: z.number().nullable(),
  sha256: z.string().nullable(),
})
export type ToolCallReply = z.infer<typeof toolCall>

export const listToolCalls = endpoint({
  method: 'GET', path: '/v1/tool-calls', who: 'operator', summary: 'Calls that went to MCP servers, newest first',
  query: page.extend({ task: z.string().max(100).optional() }),
  reply: z.object({ calls: z.array(toolCall), next: z.string().nullable() }), problems: ['invalid-fields'],
})
