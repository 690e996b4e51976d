import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as approvals from '@writ/contract/approvals'
import type { BackendReply } from '@writ/contract/backends'
import * as issuers from '@writ/contract/issuers'
import * as notices from '@writ/contract/notices'
import * as people from '@writ/contract/people'
import * as registry from '@writ/contract/registry'
import * as stops from '@writ/contract/stops'
import * as tasks from '@writ/contract/tasks'
import { accessTo, connected, denied, governServer } from '../../server/test/mcp/estate.ts'
import { EVERYTHING, filesystemServer } from '../../server/test/mcp/everything.ts'
import { opened } from '../../server/test/governed-writ.ts'
import type { RunningWrit, TestIdentity } from '../../server/test/running-writ.ts'

/** What an agent may say to trick whoever reads it: markup, marks that turn text around, that hide it, and a great deal of it. */
export const HOSTILE = [
  '<img src=x onerror=alert(1)><script>alert(2)</script>', '[approve](javascript:alert(3))', 'pay \u202efdp.exe\u202c now', 'zero\u200bwidth\u{e0041}\u{e0042}',
  `\u001b[2J\u001b]8;;https://evil.example\u0007click\u001b]8;;\u0007`, `line${'\n'.repeat(200)}end`, 'раyраl of maya', `Z${'\u0337\u0321'.repeat(40)}algo`, '=HYPERLINK("https://evil.example";"open")',
].join(' | ')

const FILE_TOOLS = ['read_text_file', 'list_directory', 'write_file'] as const

export type Estate = { readonly agent: TestIdentity; readonly worked: string; readonly hostile: string; readonly ended: string }

/** Identities, servers of tools in every state, and tasks that were allowed, denied, stopped and are at work. */
export async function fillEstate(writ: RunningWrit): Promise<Estate> {
  const details = [{ type: 'mcp', locations: ['files'], actions: [...FILE_TOOLS] }, { type: 'mcp', locations: ['everything'], actions: ['echo'] }]
  const terms = { authorization_details: details, ttl_seconds: 3600, heartbeat_seconds: 3600 }
  const agent = await writ.register('desk/refund-agent', { purpose: 'answers support tickets and refunds what was lost', authority: ['postgres:shop:read', ...FILE_TOOLS.map((tool) => `mcp:files:${tool}`), 'mcp:everything:echo'] })
  const others = await Promise.all(['deploy-bot', 'nightly-export', 'triage-agent'].map((name) => writ.register(name, { class: name === 'triage-agent' ? 'assisted' : 'script' })))
  await writ.operator(registry.suspendIdentity, { parameters: { id: others[2]!.id }, body: { reason: 'prompt injection suspected, ticket 8840' } })
  const folder = mkdtempSync(join(writ.folder, 'files-'))
  writeFileSync(join(folder, 'orders.csv'), 'order,amount\n551,4200\n')
  const accepted = (tool: string) => (['read_text_file', 'list_directory'].includes(tool) ? { labels: tool === 'read_text_file' ? ['confidential'] : [] } : undefined)
  const started = ({ command, args }: { readonly command: string; readonly args: readonly string[] }) => ({ transport: 'stdio' as const, command, args: [...args] })
  await governServer(writ, { name: 'files', ...started(filesystemServer(folder)) }, accepted)
  await governServer(writ, { name: 'everything', ...started(EVERYTHING) }, (tool) => (tool === 'echo' ? { effect: 'external', reversible: false } : undefined))
  const worked = await work(writ, agent, folder)
  const hostile = await opened(agent, { purpose: HOSTILE, ...terms })
  const ended = await opened(agent, { purpose: 'refund order 552', ...terms })
  await agent.api(tasks.completeTask, { parameters: { id: ended } })
  return { agent, worked, hostile, ended }
}

/** Reads, lists, asks for what nobody pinned, and for what it was not granted. */
async function work(writ: RunningWrit, agent: TestIdentity, folder: string): Promise<string> {
  const purpose = 'refund order 551, parcel lost; customer wrote ticket 8812'
  const access = await accessTo(writ, agent, { server: 'files', tools: FILE_TOOLS, form: { purpose } })
  const { client, close } = await connected(access, '2025-11-25')
  for (const call of [
    { name: 'list_directory', arguments: { path: folder } }, { name: 'read_text_file', arguments: { path: join(folder, 'orders.csv') } },
    { name: 'read_text_file', arguments: { path: '/etc/passwd' } }, { name: 'write_file', arguments: { path: join(folder, 'x'), content: 'x' } }, { name: 'directory_tree', arguments: { path: folder } },
  ]) await client.callTool(call).catch(() => undefined)
  await close()
  return access.task
}

export type Deeds = { readonly approval: string; readonly decision: string; readonly stopped: string }

/** Asks for what a person has to approve, and stops a task. */
export async function askAndStop(writ: RunningWrit, { agent }: Estate): Promise<Deeds> {
  const access = await accessTo(writ, agent, { server: 'everything', tools: ['echo'], form: { purpose: 'tell the customer what became of order 551' } })
  const { client, close } = await connected(access, '2025-11-25')
  const approval = String((await denied(client.callTool({ name: 'echo', arguments: { message: 'it is lost' } }))).data['approval'])
  await close()
  const task = await opened(agent, { purpose: 'look through every folder', authorization_details: [{ type: 'mcp', locations: ['files'], actions: ['list_directory'] }], ttl_seconds: 3600, heartbeat_seconds: 3600 })
  const stopped = (await writ.operator(stops.makeStop, { body: { target: { kind: 'task', id: task }, reason: 'it says strange things' } })).reply.stop!.id
  const { decision } = (await writ.operator(approvals.showApproval, { parameters: { id: approval } })).reply
  return { approval, decision, stopped }
}

/** One of each that the settings show. */
export async function fillSettings(writ: RunningWrit): Promise<void> {
  const reason = 'asked for in the stand-up'
  const key = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'jwk' })
  const replies = [
    await writ.operator(people.setRoleRule, { body: { group: 'finance', roles: ['reviewer'], reason } }),
    await writ.operator(approvals.setApprovalRoutes, { body: { version: 0, reason, routes: [{ name: 'refunds', when: { amount: { argument: 'amount', from: 100 } }, group: 'finance', quorum: 1, seconds: 300, signed: false }] } }),
    await writ.operator(notices.addNoticeTarget, { body: { kind: 'slack', name: 'ops', about: ['incident.opened', 'identity.contained'], url: 'https://hooks.acme.example/services/x' } }),
    await writ.operator(issuers.trustIssuer, { body: { url: 'https://token.ci.example', jwks: { keys: [{ ...key, kid: 'ci-1', alg: 'ES256' }] } } }),
  ]
  for (const { status, text } of replies) assert.ok(status < 300, text)
}

/** As the server would list it; a real one takes a PostgreSQL. */
export const BACKEND: BackendReply = {
  id: 'bck_01kxyz', name: 'shop', kind: 'postgres', settings: { host: 'db.acme.example', port: 5432, database: 'shop', user: 'writ_admin', tls: 'verify-full' },
  templates: { read: { database: 'shop', owner: 'app_owner', member_of: ['app_reader'], grants: [], connection_limit: 5 } }, version: '17.6', state: 'active', added_at: '2026-01-01T00:00:00Z', secret_rotated_at: null,
}
