import assert from 'node:assert/strict'
import { createSecretKey, randomBytes } from 'node:crypto'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { epochMs } from '@writ/domain/time'
import { ask } from '../../../../../scripts/postgres-cluster.ts'
import { temporaryDirectory } from '../../../test/both-stores.ts'
import { postgres } from '../../../test/postgres.ts'
import { askFile } from '../../../test/store-of-writ.ts'
import { hostEntropy } from '../../platform/entropy.ts'
import { listTasks } from '../tasks.ts'
import { openPostgres } from '../postgres.ts'
import { openSqlite } from '../sqlite.ts'
import type { Migrations } from '../migrate.ts'
import type { Store } from '../store.ts'
import type { Tables } from '../tables.ts'
import { MIGRATIONS } from './all.ts'

const upTo = (release: number): Migrations => ({ release, list: MIGRATIONS.filter((one) => one.release <= release) })

/** What release 1 wrote, column by column. */
const IDENTITY = [
  `insert into admission (id, spiffe_id, answer, reason, decided_by, decided_at) values ('adm_1', 'spiffe://a/b', 'identity', 'x', 'x', 1)`,
  `insert into identity (id, spiffe_id, kind, class, purpose, technical_owner, business_owner, system_scope, environment, authority, ends_at, trigger, trigger_kind, trigger_on,
     admission_id, state, state_reason, registered_at)
   values ('nhi_1', 'spiffe://a/b', 'agent', 'autonomous', 'x', 'team:x', 'team:y', '["shop"]', 'test', '[]', 9, '{}', 'unused', '', 'adm_1', 'active', 'x', 1)`,
]
const taskOf = (id: string): string =>
  `insert into task (id, identity_id, root_id, depth, depth_left, purpose, authority, opened_at, deadline, budget_calls, calls_used, idle_timeout, heartbeat, last_heard_at,
     last_call_at, state, due_at)
   values ('${id}', 'nhi_1', '${id}', 0, 1, 'x', '[1]', 1, 9, 5, 0, 5, 5, 1, 1, 'open', 6)`
const heardOf = (id: string): string => `update task set calls_used = calls_used + 1, last_heard_at = 2, due_at = 7 where id = '${id}'`
const endingOf = (id: string): string => `update task set state = 'ending', end_reason = 'completed', ended_at = 3, due_at = null where id = '${id}'`
const widening = (id: string): string => `update task set authority = '[1,2]', widenings = widenings + 1 where id = '${id}'`

const counts = async (store: Store<Tables, unknown>): Promise<unknown> => (await store.read((db) => listTasks(db, { limit: 9 }))).map((task) => [task.id, task.state, task.widenings])

test('sqlite: tasks of release 1 are there, not widened, and can be', async (t) => {
  const directory = temporaryDirectory()
  t.after(() => { rmSync(directory, { recursive: true }) })
  const open = (release: number): Promise<Store<Tables, unknown>> => openSqlite({
    directory, writer: new URL('../../writer.ts', import.meta.url), context: { eventMac: [createSecretKey(randomBytes(32))], question: [{ id: '000000000000', key: createSecretKey(randomBytes(32)) }] }, migrations: upTo(release), now: epochMs(1), onFault: (error) => { throw error },
  })
  const file = join(directory, 'writ.db')
  await (await open(1)).close()
  for (const statement of [...IDENTITY, taskOf('tsk_1'), taskOf('tsk_2'), endingOf('tsk_2')]) askFile(file, statement)
  assert.throws(() => askFile(file, `update task set authority = '[1,2]' where id = 'tsk_1'`), /task_terms_are_frozen/)
  const store = await open(2)
  t.after(() => store.close())
  assert.deepEqual(await counts(store), [['tsk_2', 'ending', 0], ['tsk_1', 'open', 0]])
  askFile(file, widening('tsk_1'))
  assert.throws(() => askFile(file, widening('tsk_2')), /task_grant_widens_while_open/)
  assert.deepEqual(await counts(store), [['tsk_2', 'ending', 0], ['tsk_1', 'open', 1]])
})

test('postgres: a server of release 1 that still runs opens, hears of and ends its tasks on the schema of release 2', async (t) => {
  const database = await (await postgres(18)).createDatabase()
  t.after(() => database.drop())
  const open = async (release: number): Promise<Store<Tables, unknown>> => {
    const store = await openPostgres<Tables, unknown>({ url: database.url, context: { entropy: hostEntropy }, migrations: upTo(release), now: epochMs(1), mostConnections: 2 })
    t.after(() => store.close())
    return store
  }
  const older = await open(1)
  for (const statement of [...IDENTITY, taskOf('tsk_1')]) await ask(database.url, statement)
  const seen = () => older.read((db) => db.selectFrom('task').selectAll().orderBy('id').execute())
  assert.deepEqual((await seen()).map((row) => [row.id, row.widenings]), [['tsk_1', undefined]])
  const newer = await open(2)
  for (const statement of [heardOf('tsk_1'), taskOf('tsk_2'), heardOf('tsk_2'), endingOf('tsk_2'), widening('tsk_1'), heardOf('tsk_1'), endingOf('tsk_1')]) await ask(database.url, statement)
  assert.deepEqual((await seen()).map((row) => [row.id, row.state, row.calls_used]), [['tsk_1', 'ending', 2], ['tsk_2', 'ending', 1]])
  assert.deepEqual(await counts(newer), [['tsk_2', 'ending', 0], ['tsk_1', 'ending', 1]])
})
