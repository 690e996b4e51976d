import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, describe } from 'node:test'
import * as events from '@writ/contract/events'
import { ask } from '../../../scripts/postgres-cluster.ts'
import { startWrit, type Got, type RunningWrit, type WritOrder } from './running-writ.ts'
import { askFile, STORES, type StoreName } from './store-of-writ.ts'

type Row = Readonly<Record<string, unknown>>

/** One statement in the store of a running Writ, past Writ; `$1` for values. */
export async function inStoreOf(writ: Pick<RunningWrit, 'folder' | 'databaseUrl'>, statement: string,
  values: readonly unknown[] = []): Promise<readonly Row[]> {
  return writ.databaseUrl === undefined ? askFile(join(writ.folder, 'data', 'writ.db'), statement, values) : ask(writ.databaseUrl, statement, values)
}

/** What a change would leave a row in. The log's own tables and the outbox of notices grow by themselves, and a proof is used up by whoever presents it. */
const TABLES = [
  'admission', 'identity', 'credential', 'trigger_hook', 'operator', 'bootstrap', 'person', 'role_rule', 'person_role', 'sign_in', 'passkey', 'invitation', 'issuer', 'binding', 'backend', 'task', 'lease', 'finding', 'incident',
    'event', 'event_said', 'idempotency', 'access_token', 'signing_key', 'policy_version', 'decision', 'tree_label', 'instance_label', 'mode', 'mcp_server', 'mcp_tool', 'tool_call', 'notice_target',
  'stop', 'stop_task', 'stop_lease', 'stop_server',
  'approval', 'approval_excluded', 'approval_vote', 'approval_route',
  'provider_sign_in', 'device_sign_in',
] as const

export type Kept = Readonly<Record<(typeof TABLES)[number], number>>

/** How many rows each table holds. */
export async function keptIn(writ: Pick<RunningWrit, 'folder' | 'databaseUrl'>): Promise<Kept> {
  const [row] = await inStoreOf(writ, `select ${TABLES.map((table) => `(select count(*) from ${table}) as "${table}"`).join(', ')}`)
  return Object.fromEntries(TABLES.map((table) => [table, Number(row![table])])) as Kept
}

/** The request is refused with this status and code, and the store holds what it held before. */
export async function refused(writ: RunningWrit, asked: () => Promise<Got<unknown>>,
  wanted: { readonly status: number; readonly code: string }): Promise<Got<unknown>> {
  const before = await keptIn(writ)
  const got = await asked()
  assert.deepEqual({ status: got.status, code: got.problem.code }, wanted, got.text)
  assert.equal(got.headers.get('content-type'), 'application/problem+json; charset=utf-8')
  assert.deepEqual(await keptIn(writ), before)
  return got
}

/** Every event, oldest first. */
export async function eventsOf(writ: RunningWrit, stream?: 'human' | 'non-human'): Promise<readonly events.EventReply[]> {
  const all: events.EventReply[] = []
  for (let cursor: string | undefined; ;) {
    const page = (await writ.operator(events.listEvents,
      { query: { limit: '1000', ...(cursor === undefined ? {} : { cursor }), ...(stream === undefined ? {} : { stream }) } })).reply
    all.push(...page.events)
    if (page.events.length < 1000) return all
    cursor = page.next ?? undefined
  }
}

/** One group of tests on each store, with a Writ that they share. */
export function onEachStore(what: string, suite: (writ: () => RunningWrit, store: StoreName) => void, order: WritOrder = {}): void {
  for (const store of STORES) {
    describe(`${what}, on ${store}`, () => {
      let running: RunningWrit | undefined
      before(async () => { running = await startWrit({ ...order, store }) })
      after(async () => { await running?.stop() })
      suite(() => running!, store)
    })
  }
}
