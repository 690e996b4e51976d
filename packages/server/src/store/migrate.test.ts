import assert from 'node:assert/strict'
import { rmSync } from 'node:fs'
import { test, type TestContext } from 'node:test'
import { epochMs } from '@writ/domain/time'
import { Client } from 'pg'
import { ask } from '../../../../scripts/postgres-cluster.ts'
import { sqliteOrder, temporaryDirectory } from '../../test/both-stores.ts'
import { eventually } from '../../test/eventually.ts'
import { postgres } from '../../test/postgres.ts'
import { makeSmallContext, smallMigrations, smallWorld, type SmallContext, type SmallTables } from '../../test/small/world.ts'
import { UnusableStore } from './faults.ts'
import type { Migration, Migrations } from './migrate.ts'
import { openPostgres } from './postgres.ts'
import { openSqlite } from './sqlite.ts'
import type { Store } from './store.ts'

type SmallStore = Store<SmallTables, SmallContext>
type Open = (migrations: Migrations) => Promise<SmallStore>

const databases: readonly { readonly name: string; readonly make: (t: TestContext) => Promise<Open> }[] = [
  {
    name: 'sqlite',
    make: async (t) => {
      const directory = temporaryDirectory()
      t.after(() => { rmSync(directory, { recursive: true }) })
      return (migrations) => openSqlite({ ...sqliteOrder(smallWorld, directory), migrations, onFault: (error) => { throw error } })
    },
  },
  {
    name: 'postgres',
    make: async (t) => {
      const database = await (await postgres(18)).createDatabase()
      t.after(() => database.drop())
      return (migrations) => openPostgres({ url: database.url, context: makeSmallContext(''), migrations, now: epochMs(1) })
    },
  },
]

const table = (release: number, name: string): Migration => ({ release, name, up: (d) => [`create table ${name} (n ${d.types.bigint})${d.strict}`] })
const upTo = (release: number, list = [table(1, 'one'), table(2, 'two'), table(3, 'three'), table(3, 'three_more')]): Migrations =>
  ({ release, list: list.filter((one) => one.release <= release) })

const applied = (store: SmallStore) => store.read((db) => db
  .withTables<{ migration: { release: number; name: string; applied_by: number } }>()
  .selectFrom('migration').select(['release', 'name', 'applied_by']).orderBy('release').orderBy('name').execute())

async function openAndClose(open: Open, migrations: Migrations): Promise<readonly { name: string; applied_by: number }[]> {
  const store = await open(migrations)
  const found = await applied(store)
  await store.close()
  return found
}

for (const { name, make } of databases) {
  test(`${name}: an empty database gets every migration, and a second start changes nothing`, async (t) => {
    const open = await make(t)
    const first = await openAndClose(open, upTo(3))
    assert.deepEqual(first.map((one) => one.name), ['one', 'two', 'three', 'three_more'])
    assert.deepEqual(await openAndClose(open, upTo(3)), first)
  })

  test(`${name}: a database of the release before is brought forward`, async (t) => {
    const open = await make(t)
    await openAndClose(open, upTo(2))
    assert.deepEqual((await openAndClose(open, upTo(3))).map((one) => one.applied_by), [2, 2, 3, 3])
  })

  test(`${name}: a database newer than the program is refused, and is as it was`, async (t) => {
    const open = await make(t)
    const before = await openAndClose(open, upTo(3))
    await assert.rejects(open(upTo(2)), (error) => {
      assert.ok(error instanceof UnusableStore)
      assert.equal(error.kind, 'too_new')
      assert.equal(error.exitCode, 78)
      assert.equal(error.message, 'the database is of release 3 (migration `three`), this program is of release 2 and supports 1 to 2: '
        + 'start the newer Writ, or restore the backup taken before it')
      return true
    })
    assert.deepEqual(await openAndClose(open, upTo(3)), before)
  })

  test(`${name}: a database more than one release older is refused, and is as it was`, async (t) => {
    const open = await make(t)
    const before = await openAndClose(open, upTo(1))
    await assert.rejects(open(upTo(3)), (error) => {
      assert.ok(error instanceof UnusableStore)
      assert.equal(error.kind, 'too_old')
      assert.equal(error.message, 'the database is of release 1, this program is of release 3 and supports 2 to 3: '
        + 'start each release from 2 to this one once, in turn')
      return true
    })
    assert.deepEqual(await openAndClose(open, upTo(1)), before)
  })

  test(`${name}: a release that has changed nothing in the schema may be skipped`, async (t) => {
    const open = await make(t)
    const list = [table(1, 'one'), table(3, 'three')]
    await openAndClose(open, upTo(1, list))
    assert.deepEqual((await openAndClose(open, upTo(3, list))).map((one) => one.name), ['one', 'three'])
  })

  test(`${name}: a migration that fails leaves nothing behind`, async (t) => {
    const open = await make(t)
    const broken: Migration = { release: 1, name: 'broken', up: () => ['create table half (n integer)', 'create table half (n integer)'] }
    await assert.rejects(open({ release: 1, list: [table(1, 'one'), broken] }))
    const store = await open({ release: 1, list: [table(1, 'one'), table(1, 'half')] })
    assert.deepEqual((await applied(store)).map((one) => one.name), ['half', 'one'])
    await store.close()
  })
}

test('postgres: three servers that start together migrate once', async (t) => {
  const open = await databases[1]!.make(t)
  const stores = await Promise.all([open(smallMigrations), open(smallMigrations), open(smallMigrations)])
  assert.deepEqual((await applied(stores[0]!)).map((one) => one.name), ['jars', 'marks'])
  await Promise.all(stores.map((store) => store.close()))
})

test('migrations in the wrong order are a bug and are told before anything is done', async (t) => {
  const open = await databases[0]!.make(t)
  for (const list of [[table(2, 'two'), table(1, 'one')], [table(1, 'one'), table(1, 'one')], [table(9, 'nine')]]) {
    await assert.rejects(open({ release: 2, list }), /in the order of their releases/)
  }
})

test('postgres: a migration that loses to a change of a server that is serving is tried again, and both are done', async (t) => {
  const database = await (await postgres(18)).createDatabase()
  const open = (migrations: Migrations): Promise<SmallStore> => openPostgres({ url: database.url, context: makeSmallContext(''), migrations, now: epochMs(1) })
  await (await open(upTo(2))).close()
  const serving = new Client({ connectionString: database.url })
  await serving.connect()
  t.after(async () => {
    await serving.end()
    await database.drop()
  })
  // Of the two that wait for each other it is the migration that PostgreSQL ends.
  await serving.query(`set deadlock_timeout = '60s'`)
  await serving.query('begin; insert into one (n) values (1)')
  const columns: Migration = { release: 3, name: 'columns', up: () => ['alter table two add column more int', 'alter table one add column more int'] }
  const opening = open(upTo(3, [...upTo(2).list, columns]))
  await eventually('the migration waits for the change', async () => (await ask(database.url, `select from pg_stat_activity where wait_event_type = 'Lock' and query like 'alter table one%'`)).length === 1)
  await serving.query('insert into two (n) values (2); commit')
  const store = await opening
  const names = (await applied(store)).map((one) => one.name)
  await store.close()
  assert.deepEqual(names, ['one', 'two', 'columns'])
  assert.equal((await serving.query('select more from two where n = 2')).rowCount, 1)
})
