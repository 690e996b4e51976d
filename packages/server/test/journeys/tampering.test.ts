import assert from 'node:assert/strict'
import { copyFileSync, existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync, type SQLInputValue } from 'node:sqlite'
import { after, before, describe, test } from 'node:test'
import * as events from '@writ/contract/events'
import * as registry from '@writ/contract/registry'
import { Client, types } from 'pg'
import type { Store } from '../../src/record/tx.ts'
import { bind, type Execute } from '../../src/store/bound.ts'
import type { Tables } from '../../src/store/tables.ts'
import { eventually } from '../eventually.ts'
import { exportOf, verifyText } from '../read-log.ts'
import { REGISTRATION, startWrit, type RunningWrit } from '../running-writ.ts'
import { logKeyIn, seeded, TAMPERINGS, type Superuser, type Target } from '../tamperer.ts'

type Log = Target & { readonly vkey: string; readonly earlier: string }

/** A log of people with more than 300 events in several batches, of which an auditor has noted one checkpoint and the key. */
async function grow(writ: RunningWrit): Promise<Log> {
  const head = async () => (await writ.stranger(events.listLogs)).reply.logs.find((log) => log.stream === 'human')!
  const decide = async (from: number, many: number): Promise<void> => {
    const identities = Array.from({ length: many }, (_, i) => ({ ...REGISTRATION, spiffe_id: `spiffe://acme.example/never-${from + i}`, admission: { answer: 'delegated_token', reason: `no ${from + i}` } }))
    const size = (await head()).size
    assert.equal((await writ.operator(registry.applyManifest, { body: { identities } })).status, 200)
    await eventually('the batch is sealed', async () => (await head()).size >= size + many)
  }
  for (const from of [0, 40, 80, 180, 280]) await decide(from, from < 80 ? 40 : 100 - (from === 280 ? 70 : 0))
  const noted = await head()
  await decide(900, 25)
  const { size, vkey, origin } = await head()
  const logKey = logKeyIn(readFileSync(join(`${writ.folder}/data-keys`, 'log-human.key'), 'utf8'))
  return { stream: 'human', origin, trusted: noted.size, size, vkey, earlier: noted.checkpoint, logKey }
}

/** Does it, looks at the export as an auditor does, and undoes it. */
async function isFound(log: Log, superuser: { readonly as: Superuser; readonly read: Store['read'] }, round: number): Promise<string> {
  const kind = TAMPERINGS[round % TAMPERINGS.length]!
  await superuser.as('begin')
  const firstBad = await kind.run(superuser.as, log, seeded(round))
  const found = verifyText(log.vkey, await exportOf(superuser.read, 'human'), [log.earlier])
  await superuser.as('rollback')
  assert.ok(!found.ok, `round ${round}: nobody saw ${kind.what}`)
  if (firstBad !== undefined) assert.equal(found.refusal.firstBad, firstBad, `round ${round}, ${kind.what}: ${found.refusal.kind}`)
  else if (found.refusal.within !== null) assert.ok(found.refusal.within.to <= log.size)
  return found.refusal.kind
}

describe('what a superuser changes below a checkpoint that was noted', () => {
  const running = new Map<'sqlite' | 'postgres', { readonly writ: RunningWrit; readonly log: Log }>()
  before(async () => {
    for (const store of ['sqlite', 'postgres'] as const) {
      const writ = await startWrit({ store })
      running.set(store, { writ, log: await grow(writ) })
    }
  })
  after(async () => { for (const { writ } of running.values()) await writ.stop() })

  test('is found 1,000 times of 1,000 in the embedded store, and the first bad event is named where the tiles still tell', async () => {
    const { writ, log } = running.get('sqlite')!
    await writ.kill('SIGTERM')
    const copy = join(writ.folder, 'copy.db')
    for (const part of ['', '-wal']) if (existsSync(join(writ.folder, 'data', `writ.db${part}`))) copyFileSync(join(writ.folder, 'data', `writ.db${part}`), `${copy}${part}`)
    const db = new DatabaseSync(copy)
    try {
      for (const { name } of db.prepare('select name from sqlite_schema where type = \'trigger\'').all()) db.exec(`drop trigger ${String(name)}`)
      db.exec('drop index event_leaf_is_one')
      const ask = (text: string, values: readonly unknown[]) => db.prepare(text.replaceAll(/\$(\d)/g, '?$1')).all(...(values as readonly SQLInputValue[]))
      const execute: Execute = async (text, values) => ({ rows: ask(text, values) })
      const bound = bind<Tables>('sqlite', execute)
      const superuser = { as: async (text: string, values: readonly unknown[] = []) => ask(text, values), read: <T>(query: (db: typeof bound.db) => Promise<T>) => query(bound.db) }
      assert.ok(verifyText(log.vkey, await exportOf(superuser.read, 'human'), [log.earlier]).ok, 'untouched, it holds')
      const kinds = new Map<string, number>()
      for (let round = 0; round < 1000; round++) {
        const kind = await isFound(log, superuser, round)
        kinds.set(kind, (kinds.get(kind) ?? 0) + 1)
      }
      assert.ok(kinds.size >= 6, `only these were told: ${[...kinds.keys()].join(', ')}`)
      assert.ok(verifyText(log.vkey, await exportOf(superuser.read, 'human'), [log.earlier]).ok, 'and holds again when all is undone')
    } finally {
      db.close()
    }
  })

  test('is found 100 times of 100 in PostgreSQL', async () => {
    const { writ, log } = running.get('postgres')!
    const INT8 = 20
    const client = new Client({
      connectionString: writ.databaseUrl!,
      types: { getTypeParser: (oid: number, format?: 'text' | 'binary') => (oid === INT8 ? Number : types.getTypeParser(oid, format as 'text')) } as never,
    })
    await client.connect()
    try {
      await client.query('set session_replication_role = replica')
      await client.query('drop index event_leaf_is_one')
      const as: Superuser = async (text, values = []) => (await client.query<Record<string, unknown>>(text, [...values])).rows
      const bound = bind<Tables>('postgres', async (text, values) => ({ rows: [...await as(text, values)] }))
      const superuser = { as, read: <T>(query: (db: typeof bound.db) => Promise<T>) => query(bound.db) }
      assert.ok(verifyText(log.vkey, await exportOf(superuser.read, 'human'), [log.earlier]).ok, 'untouched, it holds')
      for (let round = 0; round < 100; round++) await isFound(log, superuser, round)
    } finally {
      await client.end()
    }
  })
})
