import assert from 'node:assert/strict'
import { after, before, describe, test, type TestContext } from 'node:test'
import * as contract from '@writ/contract/registry'
import { Client } from 'pg'
import { ask, startCluster, type Cluster } from '../../../../scripts/postgres-cluster.ts'
import { eventually } from '../eventually.ts'
import { open } from '../governed-writ.ts'
import { keptIn } from '../kept.ts'
import { startWrit, type RunningWrit, type TestIdentity } from '../running-writ.ts'

/** R18: whoever asks knows it within this time. */
const KNOWN_WITHIN_MS = 5000

/** Why the server is not ready, once it says so, and how long that took. */
async function becomesUnready(writ: RunningWrit, t: TestContext): Promise<string> {
  const began = performance.now()
  const said = await eventually('it is not ready', async () => {
    const got = await writ.stranger(contract.ready)
    return got.status === 503 && got
  }, KNOWN_WITHIN_MS + 1000)
  const ms = performance.now() - began
  t.diagnostic(`not ready after ${Math.round(ms)} ms: ${said.problem.detail ?? said.problem.code}`)
  assert.ok(ms <= KNOWN_WITHIN_MS, `${Math.round(ms)} ms`)
  assert.ok(Number(said.headers.get('retry-after')) >= 1)
  assert.equal((await writ.stranger(contract.health)).status, 200, 'the process lives')
  return said.problem.detail ?? said.problem.code
}

const becomesReady = (writ: RunningWrit): Promise<unknown> => eventually('it is ready again', async () => (await writ.stranger(contract.ready)).status === 200, 5000)

describe('a server whose PostgreSQL is there and does not do its work', () => {
  let cluster: Cluster
  let writ: RunningWrit
  let agent: TestIdentity
  before(async () => {
    cluster = await startCluster({ version: 18 })
    await ask(cluster.url(), 'create database writ')
    writ = await startWrit({ env: { WRIT_DATABASE_URL: cluster.url('writ') } })
    agent = await writ.register('agent')
  })
  after(async () => {
    await writ.stop()
    await cluster.stop('immediate')
  })
  const kept = () => keptIn({ folder: writ.folder, databaseUrl: cluster.url('writ') })
  const set = async (value: 'on' | 'off'): Promise<void> => {
    await ask(cluster.url(), `alter system set default_transaction_read_only = ${value}`)
    await ask(cluster.url(), 'select pg_reload_conf()')
  }

  test('says that it is not ready while the database takes no writes, refuses what it is asked, and goes on once it does', async (t) => {
    const had = await kept()
    await set('on')
    await becomesUnready(writ, t)
    const got = await open(agent)
    assert.deepEqual([got.status, got.problem.code], [503, 'storage_unavailable'], got.text)
    assert.deepEqual(await kept(), had)
    await set('off')
    await becomesReady(writ)
    assert.equal((await open(agent)).status, 201)
  })

  test('says that it is not ready while nothing is sealed, also where another server ought to', async (t) => {
    const holder = new Client({ connectionString: cluster.url('writ') })
    await holder.connect()
    await holder.query('begin')
    // Whoever seals waits for this; whoever reads does not.
    await holder.query('lock table log in exclusive mode')
    try {
      assert.equal((await open(agent)).status, 201)
      assert.match(await becomesUnready(writ, t), /seal/)
    } finally {
      await holder.query('rollback')
      await holder.end()
    }
    await becomesReady(writ)
  })

  test('says that it is not ready while no key signs access tokens', async (t) => {
    const database = cluster.url('writ')
    await ask(database, 'create function never() returns trigger language plpgsql as $$ begin raise exception \'never\'; end $$')
    await ask(database, 'create trigger never before insert on signing_key for each row execute function never()')
    await ask(database, 'update signing_key set state = \'revoked\', revoked_at = 1, sealed_private = null where state in (\'active\', \'next\')')
    assert.match(await becomesUnready(writ, t), /signs access tokens/)
    await ask(database, 'drop trigger never on signing_key')
    await becomesReady(writ)
  })
})
