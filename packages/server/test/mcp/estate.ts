import assert from 'node:assert/strict'
import { Client, StreamableHTTPClientTransport, type ClientOptions } from '@modelcontextprotocol/client'
import * as mcp from '@writ/contract/mcp-servers'
import { askToken, proofKey, type ProofKey } from '../oauth-client.ts'
import type { RunningWrit, TestIdentity } from '../running-writ.ts'

export type Terms = mcp.ToolTerms
const READS: Terms = { effect: 'read', reversible: true, labels: [], trust: null, public: [] }

/** Puts an MCP server under Writ; `terms` says which of its tools are accepted and as what. Answers what is listed afterwards. */
export async function governServer(
  writ: RunningWrit, server: mcp.AddMcpServerBody, terms: (tool: string) => Partial<Terms> | undefined = () => ({}),
): Promise<readonly mcp.McpToolReply[]> {
  const added = await writ.operator(mcp.addMcpServer, { body: server })
  assert.equal(added.status, 201, added.text)
  return acceptAll(writ, server.name, terms)
}

export async function acceptAll(writ: RunningWrit, name: string, terms: (tool: string) => Partial<Terms> | undefined = () => ({})): Promise<readonly mcp.McpToolReply[]> {
  const listed = await writ.operator(mcp.listMcpTools, { parameters: { name }, query: { fresh: 'true' } })
  assert.equal(listed.status, 200, listed.text)
  const tools = listed.reply.tools.flatMap((tool) => {
    const own = terms(tool.name)
    return own === undefined || tool.hash === null ? [] : [{ name: tool.name, hash: tool.hash, ...READS, ...own }]
  })
  if (tools.length === 0) return listed.reply.tools
  const accepted = await writ.operator(mcp.acceptMcpTools, { parameters: { name }, body: { tools: tools.map((tool) => ({ ...tool, labels: [...tool.labels], public: [...tool.public] })), reason: 'read and understood' } })
  assert.equal(accepted.status, 200, accepted.text)
  return accepted.reply.tools
}

export type Access = {
  readonly task: string
  readonly token: string
  readonly key: ProofKey
  readonly server: string
  readonly url: string
  /** What everybody calls it, whichever server is asked. */
  readonly resource: string
}

export type Order = {
  readonly server: string
  readonly tools?: readonly string[]
  readonly task?: string
  readonly form?: Readonly<Record<string, string>>
  readonly key?: ProofKey
}

/** An access token for the gateway to one server: in a new task that may call these tools of it, or in one that is there. */
export async function accessTo(writ: Pick<RunningWrit, 'url' | 'issuer'>, identity: TestIdentity, { server, tools = [], task, form = {}, key }: Order): Promise<Access> {
  const own = key ?? await proofKey()
  const resource = `${writ.issuer}/mcp/${server}`
  const details = JSON.stringify([{ type: 'mcp', locations: [server], actions: tools }])
  const wish = task === undefined ? { purpose: 'works with tools', authorization_details: details } : { task }
  const got = await askToken(writ, identity, { ...wish, resource, ...form }, { proof: own.proof({ htu: `${writ.issuer}/oauth/token` }) })
  assert.equal(got.status, 200, got.text)
  return { task: got.reply.task, token: got.reply.access_token, key: own, server, url: `${writ.url}/mcp/${server}`, resource }
}

/** The headers that show the token, with a proof of its own for each request. */
export const shown = ({ token, key, resource }: Access, method = 'POST'): Readonly<Record<string, string>> =>
  ({ authorization: `DPoP ${token}`, dpop: key.proof({ htu: resource, htm: method, token }) })

const fetchWith = (access: Access): typeof fetch => async (url, init) => {
  const headers = new Headers(init?.headers)
  for (const [name, value] of Object.entries(shown(access, init?.method ?? 'GET'))) headers.set(name, value)
  return fetch(url, { ...init, headers })
}

export type Generation = '2026-07-28' | '2025-11-25'

export type Connected = { readonly client: Client; readonly close: () => Promise<void> }

/** The official client, in this generation, at the gateway. */
export async function connected(access: Access, generation: Generation = '2026-07-28', options: ClientOptions = {}, prepare: (client: Client) => void = () => {}): Promise<Connected> {
  const mode = generation === '2026-07-28' ? { pin: generation } as const : 'legacy'
  const client = new Client({ name: 'an agent', version: '1.0.0' }, { ...options, versionNegotiation: { mode } })
  prepare(client)
  await client.connect(new StreamableHTTPClientTransport(new URL(access.url), { fetch: fetchWith(access) }))
  return { client, close: () => client.close() }
}

/** What a request is denied with. */
export type Denied = { readonly code: number; readonly message: string; readonly data: Readonly<Record<string, unknown>> }

export async function denied(work: Promise<unknown>): Promise<Denied> {
  try {
    await work
  } catch (error) {
    return error as Denied
  }
  return assert.fail('it was let through')
}

const NEWER = '2026-07-28'
const PREFIX = 'io.modelcontextprotocol/'

export type RawOrder = {
  readonly params?: Readonly<Record<string, unknown>>
  readonly headers?: Readonly<Record<string, string | undefined>>
  readonly id?: string | number
  readonly capabilities?: object
  readonly body?: string
  readonly signal?: AbortSignal
}

/** One request of the newer generation, whole, as a client would send it; each part can be said otherwise. */
export async function rawNewer(access: Access, method: string, { params = {}, headers = {}, id = 1, capabilities = {}, body, signal }: RawOrder = {}): Promise<Response> {
  const meta = { [`${PREFIX}protocolVersion`]: NEWER, [`${PREFIX}clientInfo`]: { name: 'raw', version: '1' }, [`${PREFIX}clientCapabilities`]: capabilities, ...(params['_meta'] as object | undefined) }
  const name = params['name'] ?? params['uri']
  const all = {
    'content-type': 'application/json', 'accept': 'application/json, text/event-stream', 'mcp-protocol-version': NEWER, 'mcp-method': method,
    ...(typeof name === 'string' ? { 'mcp-name': name } : {}), ...shown(access), ...headers,
  }
  return fetch(access.url, {
    method: 'POST', headers: Object.fromEntries(Object.entries(all).filter((one): one is [string, string] => one[1] !== undefined)),
    body: body ?? JSON.stringify({ jsonrpc: '2.0', id, method, params: { ...params, _meta: meta } }), ...(signal === undefined ? {} : { signal }),
  })
}
