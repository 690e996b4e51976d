import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { inspect } from 'node:util'
import { ok } from '@writ/domain/outcome'
import { epochMs } from '@writ/domain/time'
import { sql, type Kysely } from 'kysely'
import { findBinaries, runAs } from '../../../../scripts/postgres-binaries.ts'
import { ask, startCluster, type Cluster } from '../../../../scripts/postgres-cluster.ts'
import { addJar, makeSmallContext, moveMarbles, runText, smallMigrations, takeMarbles, type SmallContext, type SmallTables, type SmallTx } from '../../test/small/world.ts'
import { executeBuilt } from './bound.ts'
import { change } from './change.ts'
import { ChangeFault, RuleBroken, StorageUnavailable, UnusableStore, type Left } from './faults.ts'
import { checkDatabase } from './postgres-check.ts'
import { openPostgres, type PostgresOrder } from './postgres.ts'
import type { Store } from './store.ts'

// A server of this file's own: it is misconfigured, stopped and frozen here.
let cluster: Cluster
before(async () => { cluster = await startCluster({ version: 15 }) })
after(() => cluster.stop('immediate'))

type SmallStore = Store<SmallTables, SmallContext>
const open = (more: Partial<PostgresOrder<SmallContext>> = {}): Promise<SmallStore> => openPostgres({
  url: cluster.url(), context: makeSmallContext(''), migrations: smallMigrations, now: epochMs(1), mostConnections: 4, ...more,
})

async function withStore(use: (store: SmallStore) => Promise<void>, more?: Partial<PostgresOrder<SmallContext>>): Promise<void> {
  const store = await open(more)
  try {
    await use(store)
  } finally {
    await store.close()
  }
}

const unavailable = (left: Left) => (error: unknown): boolean => {
  assert.ok(error instanceof StorageUnavailable, inspect(error))
  assert.equal(error.left, left)
  return true
}

const jarIds = async (store: SmallStore): Promise<readonly string[]> =>
  (await store.read((db) => db.selectFrom('jar').select('id').execute())).map((jar) => jar.id)

async function refusedStart(setting: string, found: string, more: Partial<PostgresOrder<SmallContext>> = {}): Promise<void> {
  await assert.rejects(open(more), (error) => {
    assert.ok(error instanceof UnusableStore, inspect(error))
    assert.equal(error.kind, 'unsafe_setting')
    assert.equal(error.exitCode, 78)
    assert.ok(error.message.startsWith(`PostgreSQL at \`127.0.0.1:${cluster.port}/`), error.message)
    assert.ok(error.message.includes(`has \`${setting} = ${found}\`: `), error.message)
    assert.ok(!error.message.includes(cluster.superuserPassword))
    return true
  })
}

for (const [setting, value, standbys] of [
  ['fsync', 'off', ''], ['full_page_writes', 'off', ''], ['synchronous_commit', 'off', ''], ['synchronous_commit', 'local', 'standby1'],
] as const) {
  test(`a server with ${setting} = ${value}${standbys && ' and a synchronous standby'} is refused at the start, and nothing is written`, async () => {
    const name = `unsafe_${setting}_${value}`
    await ask(cluster.url(), `create database ${name}`)
    await ask(cluster.url(), `alter system set ${setting} = ${value}`)
    await ask(cluster.url(), `alter system set synchronous_standby_names = '${standbys}'`)
    await ask(cluster.url(), 'select pg_reload_conf()')
    try {
      await untilSetting(setting, value)
      await refusedStart(setting, value, { url: cluster.url(name) })
    } finally {
      await ask(cluster.url(), `alter system reset ${setting}`)
      await ask(cluster.url(), 'alter system reset synchronous_standby_names')
      await ask(cluster.url(), 'select pg_reload_conf()')
      await untilSetting(setting, 'on')
    }
    assert.deepEqual(await tablesOf(cluster.url(name)), [])
  })
}

/** A reload reaches each server process in its own time; a new connection shows whether the postmaster has it. */
async function untilSetting(setting: string, value: string): Promise<void> {
  for (;;) {
    const rows = await ask(cluster.url(), `select setting from pg_settings where name = '${setting}'`)
    if (rows[0]?.['setting'] === value) return
  }
}

const tablesOf = (url: string) => ask(url, "select relname from pg_class where relnamespace = 'public'::regnamespace")

test('synchronous_commit = local is accepted where there is no synchronous standby', async () => {
  await ask(cluster.url(), 'create database alone')
  await ask(cluster.url(), 'alter database alone set synchronous_commit = local')
  await (await open({ url: cluster.url('alone') })).close()
})

test('a database that is not UTF-8 is refused at the start', async () => {
  await ask(cluster.url(), "create database ascii encoding 'SQL_ASCII' template template0")
  await refusedStart('server_encoding', 'SQL_ASCII', { url: cluster.url('ascii') })
})

test('a server without page checksums is refused at the start, unless that is allowed', async (t) => {
  const as = runAs()
  const folder = mkdtempSync(join(tmpdir(), 'writ-binaries-'))
  t.after(() => { rmSync(folder, { recursive: true }) })
  const tool = join(findBinaries(15, folder, as).bin, 'pg_checksums')
  if (!existsSync(tool)) {
    t.skip('npm\'s PostgreSQL has no pg_checksums to switch them off with')
    return
  }
  const switchTo = async (how: '--enable' | '--disable'): Promise<void> => {
    await cluster.halt()
    execFileSync(tool, [how, '--no-sync', '-D', cluster.dataDir], { stdio: 'ignore', cwd: '/', ...as })
    await cluster.resume()
  }
  await switchTo('--disable')
  await refusedStart('data_checksums', 'off')
  await (await open({ allowMissingChecksums: true })).close()
  await switchTo('--enable')
})

test('the message of an unsafe setting says what was found, what may happen and the way out', async () => {
  const safe = { fsync: 'on', full_page_writes: 'on', synchronous_commit: 'on', synchronous_standby_names: '', server_encoding: 'UTF8' }
  const ask = async () => Object.entries({ ...safe, data_checksums: 'off' }).map(([name, setting]) => ({ name, setting }))
  await assert.rejects(checkDatabase(ask, { place: 'db.example:5432/writ' }), {
    message: 'PostgreSQL at `db.example:5432/writ` has `data_checksums = off`: a damaged page would be read as if it were sound; '
      + 'stop the server and run `pg_checksums --enable`',
  })
})

test('while the server is down every caller is told within a second, and when it is up again the same store goes on', async () => {
  await withStore(async (store) => {
    await Promise.all(['r1', 'r2', 'r3', 'r4'].map((id) => store.change(addJar, { id, marbles: 1 })))
    await cluster.halt('immediate')
    for (let i = 0; i < 3; i++) {
      const started = performance.now()
      await Promise.all([
        assert.rejects(store.change(addJar, { id: 'lost', marbles: 1 }), unavailable('nothing')),
        assert.rejects(store.read((db) => db.selectFrom('jar').selectAll().execute()), unavailable('nothing')),
        assert.rejects(store.ping(), unavailable('nothing')),
      ])
      assert.ok(performance.now() - started < 1000)
    }
    await cluster.resume()
    assert.ok((await store.change(addJar, { id: 'r5', marbles: 1 })).ok)
    assert.deepEqual((await jarIds(store)).filter((id) => id === 'lost'), [])
  })
})

test('a server that is frozen is told from a slow statement: callers are answered, and it recovers', async () => {
  await withStore(async (store) => {
    await Promise.all([store.change(addJar, { id: 'f1', marbles: 1 }), store.change(addJar, { id: 'g0', marbles: 1 })])
    await jarIds(store)
    const frozen = await serverProcesses()
    for (const pid of frozen) process.kill(pid, 'SIGSTOP')
    try {
      const started = performance.now()
      await Promise.all([
        assert.rejects(store.change(takeMarbles, { id: 'f1', count: 1 }), unavailable('nothing')),
        // One that only writes went out together with its commit.
        assert.rejects(store.change(addJar, { id: 'g1', marbles: 1 }), unavailable('unknown')),
        assert.rejects(jarIds(store), unavailable('nothing')),
      ])
      assert.ok(performance.now() - started < 1500)
    } finally {
      for (const pid of frozen) process.kill(pid, 'SIGCONT')
    }
    assert.ok((await store.change(addJar, { id: 'f3', marbles: 1 })).ok)
    const jars = await store.read((db) => db.selectFrom('jar').select(['id', 'marbles']).where('id', 'like', 'f%').orderBy('id').execute())
    assert.deepEqual(jars, [{ id: 'f1', marbles: 1 }, { id: 'f3', marbles: 1 }])
  })
})

test('what was parsed before another server migrated is parsed anew: no caller notices', async () => {
  await withStore(async (store) => {
    const all = (): Promise<unknown> => Promise.all(Array.from({ length: 8 }, async (_, i) => {
      assert.ok((await store.change(takeMarbles, { id: 'm1', count: i % 2 })).ok)
      assert.equal((await store.read((db) => db.selectFrom('jar').selectAll().where('id', '=', 'm1').execute())).length, 1)
    }))
    await store.change(addJar, { id: 'm1', marbles: 100 })
    await all()
    await ask(cluster.url(), 'alter table jar add column shelf text')
    await all()
    await ask(cluster.url(), 'alter table jar drop column shelf')
    await all()
    assert.deepEqual(await store.read((db) => db.selectFrom('jar').select('marbles').where('id', '=', 'm1').execute()), [{ marbles: 88 }])
  })
})

test('a connection keeps a few hundred statements parsed, however many different ones it is asked, and goes on after one that fails', async () => {
  await withStore(async (store) => {
    const before = await parsed(store)
    for (let i = 0; i < 320; i++) {
      assert.deepEqual(await store.change(runText, { text: `select ${i} as n` }), { ok: true, value: [{ n: i }] })
      if (i % 10 === 0) await assert.rejects(store.change(runText, { text: `select ${i} / 0 as n` }), ChangeFault)
    }
    const now = await parsed(store)
    assert.ok(before < 20 && now >= 290 && now <= 301, `${before}, ${now}`)
    await assert.rejects(store.change(addJar, { id: 'p', marbles: -1 }), RuleBroken)
    await assert.rejects(store.change(addJar, { id: 'p', marbles: -2 }), RuleBroken)
    assert.ok((await store.change(addJar, { id: 'p', marbles: 2 })).ok)
  }, { mostConnections: 1 })
})

async function parsed(store: SmallStore): Promise<number> {
  const counted = await store.change(runText, { text: 'select count(*) as n from pg_prepared_statements' })
  return counted.ok ? (counted.value as { n: number }[])[0]!.n : Number.NaN
}

/** The postmaster and the sessions of our store. */
async function serverProcesses(): Promise<readonly number[]> {
  const sessions = await ask(cluster.url(), "select pid from pg_stat_activity where application_name = 'writ'")
  return [Number(readFileSync(join(cluster.dataDir, 'postmaster.pid'), 'utf8').split('\n')[0]), ...sessions.map((one) => Number(one['pid']))]
}

test('what is kept is planned once and by key, and what comes after it on the connection as ever, also where it failed', async () => {
  const now = "select current_setting('plan_cache_mode') as mode, current_setting('enable_seqscan') as scans"
  const [kept, anew] = [[{ mode: 'force_generic_plan', scans: 'off' }], [{ mode: 'force_custom_plan', scans: 'on' }]]
  const asKept = async (db: Kysely<SmallTables>, text = now) => (await executeBuilt(db, { sql: text, parameters: [], rows: undefined, isKept: true })).rows
  const asEver = async (db: Kysely<SmallTables>) => (await sql.raw(now).execute(db)).rows
  const both = change('both', async ({ db }: SmallTx) => ok([...await Promise.all([asEver(db), asKept(db), asKept(db), asEver(db)]), await asKept(db), await asEver(db)]))
  const fails = change('fails', async ({ db }: SmallTx) => ok(await asKept(db, 'select 1 / 0')))
  await withStore(async (store) => {
    for (let i = 0; i < 2; i++) {
      assert.deepEqual(await store.change(both, null), { ok: true, value: [anew, kept, kept, anew, kept, anew] })
      await assert.rejects(store.change(fails, null), ChangeFault)
      assert.deepEqual([await store.read(asEver), await store.read((db) => asKept(db)), await store.read(asEver)], [anew, kept, anew])
      await assert.rejects(store.read((db) => asKept(db, 'select 1 / 0')))
    }
  }, { mostConnections: 1 })
})

test('a slow statement of a server that is there is waited for', async () => {
  await withStore(async (store) => {
    assert.ok((await store.change(runText, { text: 'select pg_sleep(1.5)' })).ok)
    await assert.rejects(store.change(runText, { text: 'select pg_sleep(9)' }), unavailable('nothing'), 'but not for ever')
  })
})

test('a connection that is cut in the middle of a change leaves nothing of it', async () => {
  await withStore(async (store) => {
    await store.change(addJar, { id: 'c1', marbles: 5 })
    await store.change(addJar, { id: 'c2', marbles: 5 })
    const moving = store.change(moveMarbles, { from: 'c1', to: 'c2', count: 1, pause: 3 })
    const cut = async (): Promise<void> => {
      for (;;) {
        const rows = await ask(cluster.url(), `
          select pg_terminate_backend(pid)
            from pg_stat_activity
           where application_name = 'writ'
             and query like '%pg_sleep%'
             and state = 'active'`)
        if (rows.length > 0) return
      }
    }
    await Promise.all([assert.rejects(moving, unavailable('nothing')), cut()])
    const jars = await store.read((db) => db.selectFrom('jar').select('marbles').where('id', 'in', ['c1', 'c2']).execute())
    assert.deepEqual(jars, [{ marbles: 5 }, { marbles: 5 }])
  })
})

test('a wrong password is told without the password', async () => {
  const url = new URL(cluster.url())
  url.password = 'correct-horse-battery'
  await assert.rejects(open({ url: url.href }), (error) => {
    assert.ok(error instanceof StorageUnavailable)
    assert.equal(error.code, '28P01')
    assert.ok(!inspect(error, { depth: 10, showHidden: true }).includes('correct-horse-battery'))
    return true
  })
})

test('a row\'s values stand in no error', async () => {
  await withStore(async (store) => {
    const twice = "('canary-4711', 'k', '', '', '', 1), ('canary-4711', 'k', '', '', '', 1)"
    const texts = ["select 'canary-4711'::integer", `insert into idempotency values ${twice}`]
    for (const text of texts) {
      await assert.rejects(store.change(runText, { text }), (error) => !inspect(error, { depth: 10, showHidden: true }).includes('canary-4711'))
    }
  })
})

test('a whole number past 2^53 - 1 is a fault and never a rounded one', async () => {
  await withStore(async (store) => {
    const past = store.change(runText, { text: 'select 9007199254740993::bigint as n' })
    await assert.rejects(past, (error) => error instanceof ChangeFault && error.cause instanceof RangeError)
    const last = await store.change(runText, { text: 'select 9007199254740991::bigint as n' })
    assert.deepEqual(last, { ok: true, value: [{ n: Number.MAX_SAFE_INTEGER }] })
  })
})
