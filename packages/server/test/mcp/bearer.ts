import assert from 'node:assert/strict'
import { askToken } from '../oauth-client.ts'
import type { RunningWrit, TestIdentity } from '../running-writ.ts'

/** An access token that is bound to no key, as some classes of identities may have: whoever shows it is let in. */
export type Bearer = { readonly task: string; readonly token: string; readonly server: string; readonly url: string }

export type BearerOrder = { readonly server: string; readonly tools: readonly string[]; readonly form?: Readonly<Record<string, string>> }

/** For the gateway to one server, in a new task that may call these tools of it. `identity` is of a class whose tokens need no key. */
export async function bearerTo(writ: Pick<RunningWrit, 'url' | 'issuer'>, identity: TestIdentity, { server, tools, form = {} }: BearerOrder): Promise<Bearer> {
  const details = JSON.stringify([{ type: 'mcp', locations: [server], actions: tools }])
  const got = await askToken(writ, identity, { purpose: 'works with tools', authorization_details: details, resource: `${writ.issuer}/mcp/${server}`, ...form })
  assert.equal(got.status, 200, got.text)
  assert.equal(got.reply.token_type, 'Bearer')
  return { task: got.reply.task, token: got.reply.access_token, server, url: `${writ.url}/mcp/${server}` }
}

export const NEWER = '2026-07-28'
export const OLDER = '2025-11-25'
const PREFIX = 'io.modelcontextprotocol/'
/** What every request of the newer generation says of its client. */
export const ENVELOPE = { [`${PREFIX}protocolVersion`]: NEWER, [`${PREFIX}clientInfo`]: { name: 'raw', version: '1' }, [`${PREFIX}clientCapabilities`]: { elicitation: { form: {} } } } as const

const COMMON = { 'content-type': 'application/json', 'accept': 'application/json, text/event-stream' } as const

/** The headers of a request of the newer generation. */
export const newerHead = ({ token }: Bearer, method: string, name?: string): Readonly<Record<string, string>> =>
  ({ authorization: `Bearer ${token}`, ...COMMON, 'mcp-protocol-version': NEWER, 'mcp-method': method, ...(name === undefined ? {} : { 'mcp-name': name }) })

/** The headers of a request of a session. */
export const olderHead = ({ token }: Bearer, session?: string): Readonly<Record<string, string>> =>
  ({ authorization: `Bearer ${token}`, ...COMMON, 'mcp-protocol-version': OLDER, ...(session === undefined ? {} : { 'mcp-session-id': session }) })

/** Begins a session; answers its id. */
export async function beginWith(bearer: Bearer): Promise<string> {
  const begun = await fetch(bearer.url, { method: 'POST', headers: olderHead(bearer), body: JSON.stringify({ jsonrpc: '2.0', id: 0, method: 'initialize', params: { protocolVersion: OLDER, capabilities: {}, clientInfo: { name: 'raw', version: '1' } } }) })
  const text = await begun.text()
  assert.equal(begun.status, 200, text)
  return begun.headers.get('mcp-session-id') ?? assert.fail('no session')
}
