import assert from 'node:assert/strict'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, before, describe, test } from 'node:test'
import * as contract from '@writ/contract/registry'
import { Client } from 'pg'
import { ask as query, startCluster, type Cluster } from '../../../../scripts/postgres-cluster.ts'
import { eventually } from '../eventually.ts'
import { governedPostgres, type GovernedPostgres } from '../governed-postgres.ts'
import { addShop, ask, handlePrefixOf, open, opened, show } from '../governed-writ.ts'
import { keptIn } from '../kept.ts'
import { assertLogsHold } from '../proofs.ts'
import { REGISTRATION, startWrit, type Got, type RunningWrit, type TestIdentity } from '../running-writ.ts'

/** R55. */
const LONGEST_MS = 3000

/** The call is refused because it can not be recorded, in time, and its answer holds no secret. */
async function refusedUnrecorded(what: string, call: () => Promise<Got<unknown>>): Promise<void> {
  const began = performance.now()
  const got = await call()
  const ms = performance.now() - began
  assert.deepEqual([got.status, got.problem.code], [503, 'storage_unavailable'], `${what}: ${got.text}`)
  assert.ok(Number(got.headers.get('retry-after')) >= 1)
  assert.doesNotMatch(got.text, /writ_[a-z]+_[A-Za-z0-9_-]{40}|secret/)
  assert.ok(ms <= LONGEST_MS, `${what}: ${Math.round(ms)} ms`)
}

describe('an audit that can not be written, on PostgreSQL', () => {
  let cluster: Cluster
  let shop: GovernedPostgres
  let writ: RunningWrit
  let agent: TestIdentity
  let prefix: string
  before(async () => {
    cluster = await startCluster({ version: 18 })
    shop = await governedPostgres(18, cluster)
    // Writ's own role is no superuser here: a right can be taken from it.
    await query(cluster.url(), 'create role writ login password \'w\'')
    await query(cluster.url(), 'create database writ owner writ')
    const url = new URL(cluster.url('writ'))
    url.username = 'writ'
    url.password = 'w'
    writ = await startWrit({ env: { WRIT_DATABASE_URL: url.href } })
    await addShop(writ, shop)
    agent = await writ.register('agent')
    prefix = await handlePrefixOf(writ)
  })
  after(async () => {
    await writ.stop()
    await cluster.stop('immediate')
  })
  const kept = () => keptIn({ folder: writ.folder, databaseUrl: cluster.url('writ') })
  const register = (name: string) => writ.operator(contract.registerIdentity, { body: { ...REGISTRATION, spiffe_id: `spiffe://acme.example/${name}` } })
  const becomesReady = (): Promise<unknown> => eventually('it goes on', async () => (await writ.stranger(contract.ready)).status === 200, 10_000)

  /** Holds a lock on the audit while the work is done. */
  async function whileLocked(work: () => Promise<void>): Promise<void> {
    const holder = new Client({ connectionString: cluster.url('writ') })
    await holder.connect()
    await holder.query('begin')
    await holder.query('lock table event in access exclusive mode')
    try {
      await work()
    } finally {
      await holder.query('rollback')
      await holder.end()
    }
  }

  for (const { what, during } of [
    { what: 'because somebody locks it', during: whileLocked },
    {
      what: 'because the right was taken away',
      during: async (work: () => Promise<void>) => {
        await query(cluster.url('writ'), 'revoke insert on event from writ')
        try {
          await work()
        } finally {
          await query(cluster.url('writ'), 'grant insert on event to writ')
        }
      },
    },
  ]) {
    test(`${what}: nothing is done, no login is made, and the answer comes within 3 s`, async () => {
      const task = await opened(agent)
      const before = await kept()
      await during(async () => {
        await refusedUnrecorded('a lease', () => ask(agent, task))
        await refusedUnrecorded('a task', () => open(agent))
        await refusedUnrecorded('a registration', () => register('unrecorded'))
      })
      await becomesReady()
      assert.deepEqual(await shop.rolesNamed(prefix), [])
      // Readiness has tried whether there is room: that row is its own.
      assert.deepEqual({ ...await kept(), idempotency: 0 }, { ...before, idempotency: 0 })
      await assertLogsHold(writ)
    })
  }

  test('when the login has just been made, it does not leave', async () => {
    const task = await opened(agent)
    const holder = new Client({ connectionString: cluster.url() })
    await holder.connect()
    await holder.query('begin')
    // Whoever makes a role waits for this.
    await holder.query('lock table pg_catalog.pg_authid in share row exclusive mode')
    const asking = ask(agent, task)
    await eventually('the login is being made', async () => (await query(cluster.url(), 'select 1 from pg_stat_activity where wait_event_type = \'Lock\'')).length > 0)
    await whileLocked(async () => {
      await holder.query('rollback')
      await holder.end()
      await refusedUnrecorded('a lease', () => asking)
      assert.equal((await shop.rolesNamed(prefix)).length, 1, 'it is there, and nobody has it')
    })
    await becomesReady()
    const { leases } = (await show(agent, task)).reply
    assert.deepEqual(leases.map((one) => one.state), ['intended'], 'it is known, and withdrawn when it is due')
    await assertLogsHold(writ)
  })
})

describe('an audit that can not be written, on SQLite', () => {
  let writ: RunningWrit
  before(async () => { writ = await startWrit() })
  after(() => writ.stop())

  test('because somebody locks the file: nothing is done, and the answer comes within 3 s', async () => {
    const before = await keptIn(writ)
    const agent = await writ.register('agent')
    assert.equal((await keptIn(writ)).identity, before.identity + 1)
    const holder = new DatabaseSync(join(writ.folder, 'data', 'writ.db'), { timeout: 5000 })
    holder.exec('begin immediate')
    try {
      await refusedUnrecorded('a task', () => open(agent))
      await refusedUnrecorded('a registration', () => writ.operator(contract.registerIdentity, { body: { ...REGISTRATION, spiffe_id: 'spiffe://acme.example/unrecorded' } }))
    } finally {
      holder.exec('rollback')
      holder.close()
    }
    await eventually('it goes on', async () => (await open(agent)).status === 201)
    assert.equal((await keptIn(writ)).identity, before.identity + 1)
    await assertLogsHold(writ)
  })
})
