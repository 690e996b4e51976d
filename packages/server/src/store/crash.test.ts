import assert from 'node:assert/strict'
import { rmSync } from 'node:fs'
import { test, type TestContext } from 'node:test'
import { epochMs } from '@writ/domain/time'
import { sqliteOrder, temporaryDirectory } from '../../test/both-stores.ts'
import { postgres } from '../../test/postgres.ts'
import { runChild } from '../../test/small/run-child.ts'
import { makeSmallContext, smallMigrations, smallWorld, type SmallContext, type SmallTables } from '../../test/small/world.ts'
import { openPostgres } from './postgres.ts'
import { openSqlite } from './sqlite.ts'
import type { Store } from './store.ts'

type SmallStore = Store<SmallTables, SmallContext>
type Place = { readonly place: string; readonly reopen: () => Promise<SmallStore> }

const places: readonly { readonly name: string; readonly make: (t: TestContext) => Promise<Place> }[] = [
  {
    name: 'sqlite',
    make: async (t) => {
      const directory = temporaryDirectory()
      t.after(() => { rmSync(directory, { recursive: true }) })
      return { place: directory, reopen: () => openSqlite({ ...sqliteOrder(smallWorld, directory), onFault: (error) => { throw error } }) }
    },
  },
  {
    name: 'postgres',
    make: async (t) => {
      const database = await (await postgres(18)).createDatabase()
      t.after(() => database.drop())
      const order = { url: database.url, context: makeSmallContext(''), migrations: smallMigrations, now: epochMs(2) }
      return { place: database.url, reopen: () => openPostgres<SmallTables, SmallContext>(order) }
    },
  },
]

async function withReopened<T>(place: Place, look: (store: SmallStore) => Promise<T>): Promise<T> {
  const store = await place.reopen()
  try {
    return await look(store)
  } finally {
    await store.close()
  }
}

const jarIds = (store: SmallStore) => store.read(async (db) => new Set((await db.selectFrom('jar').select('id').execute()).map((jar) => jar.id)))
const migrationNames = (store: SmallStore) => store.read(async (db) => {
  const rows = await db.withTables<{ migration: { name: string } }>().selectFrom('migration').select('name').orderBy('name').execute()
  return rows.map((one) => one.name)
})

for (const { name, make } of places) {
  test(`${name}: whatever was acknowledged is there after kill -9`, async (t) => {
    const place = await make(t)
    const acknowledged: string[] = []
    for (const [cycle, killAfter] of [7, 100, 250].entries()) {
      const child = runChild([`c${cycle}-`, place.place, '100000'])
      child.lines.on('line', () => { if (child.said.length >= killAfter) child.process.kill('SIGKILL') })
      assert.equal(await child.ended, 'SIGKILL')
      acknowledged.push(...child.said.filter((line) => line !== 'open'))
    }
    const found = await withReopened(place, jarIds)
    assert.ok(acknowledged.length >= 350)
    assert.deepEqual(acknowledged.filter((id) => !found.has(id)), [])
  })

  test(`${name}: killed before the commit nothing of the change is there, killed after it all of it`, async (t) => {
    const place = await make(t)
    const before = runChild(['before', place.place, '1'], 'store.before_commit:add_jar')
    assert.equal(await before.ended, 'SIGKILL')
    assert.deepEqual(before.said, ['open'])
    assert.deepEqual([...await withReopened(place, jarIds)], [])
    const after = runChild(['after', place.place, '1'], 'store.after_commit:add_jar')
    assert.equal(await after.ended, 'SIGKILL')
    assert.deepEqual(after.said, ['open'])
    assert.deepEqual([...await withReopened(place, jarIds)], ['after0'])
  })

  for (const failpoint of ['migrate.before_commit:jars', 'migrate.after_commit:jars', 'migrate.before_commit:marks', 'migrate.after_commit:marks']) {
    test(`${name}: a migration killed at ${failpoint} is finished by the next start`, async (t) => {
      const place = await make(t)
      const child = runChild(['m', place.place, '1'], failpoint)
      assert.equal(await child.ended, 'SIGKILL')
      assert.deepEqual(child.said, [])
      assert.deepEqual(await withReopened(place, migrationNames), ['jars', 'marks'])
      assert.deepEqual([...await withReopened(place, jarIds)], [])
    })
  }
}
