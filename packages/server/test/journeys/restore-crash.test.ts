import assert from 'node:assert/strict'
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { before, describe, test } from 'node:test'
import * as registry from '@writ/contract/registry'
import { MIGRATIONS } from '../../src/store/migrations/all.ts'
import { emptyPlace, folderForSuite, openRestored, restored, restoreTo, runRestore, sqlAt, temporaryFolder, writeBackup, type Place } from '../backups.ts'
import { CHILD_ENVIRONMENT } from '../child-environment.ts'
import { fakeShop } from '../fake-shop.ts'
import { inFull } from '../long.ts'
import { recordStarts } from '../recorded.ts'
import { refusedStart } from '../refused-start.ts'
import { startWrit } from '../running-writ.ts'
import { storeForSuite, storeOfWrit, STORES, type StoreName } from '../store-of-writ.ts'

/** Each dies in the midst of a restore. `tables`: all of them are there by then. `long`: only in the long form. */
const POINTS = [
  { at: 'restore.marked', on: ['sqlite', 'postgres'], tables: false },
  { at: 'migrate.before_commit:0003-ledger', on: ['sqlite'], tables: false, long: true },
  { at: `migrate.after_commit:${MIGRATIONS.at(-1)!.name}`, on: ['sqlite', 'postgres'], tables: true, long: true },
  { at: 'restore.begun', on: ['sqlite'], tables: true },
  { at: 'restore.loading:event#2', on: ['sqlite', 'postgres'], tables: true },
  { at: 'restore.loaded', on: ['sqlite', 'postgres'], tables: true },
  { at: 'task.ended.before_commit', on: ['sqlite'], tables: true, long: true },
  { at: 'restore.before_commit', on: ['postgres'], tables: true },
] as const satisfies readonly { readonly at: string; readonly on: readonly StoreName[]; readonly tables: boolean; readonly long?: true }[]

for (const name of STORES) {
  describe(`a restore on ${name} that dies`, () => {
    const of = storeForSuite('sqlite')
    const folder = folderForSuite()
    let file: string
    before(async () => {
      const shop = await fakeShop(of())
      await shop.lease(await shop.task())
      await recordStarts(of(), 300)
      await of().sealAll()
      file = join(folder(), 'writ.backup')
      await writeBackup(of(), file)
    })
    const envOf = (place: Place, more: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv => ({
      ...CHILD_ENVIRONMENT, WRIT_KEYS: of().place.keyDirectory, WRIT_PORT: '0',
      ...(place.kind === 'sqlite' ? { WRIT_DATA: place.directory } : { WRIT_DATA: join(folder(), 'data'), WRIT_DATABASE_URL: place.url }), ...more,
    })
    for (const { at, tables } of POINTS.filter((one) => (one.on as readonly StoreName[]).includes(name) && (inFull || !('long' in one)))) {
      test(`at ${at} leaves nothing of the backup, and is done by the next one`, async (t) => {
        const place = await emptyPlace(name, t)
        const died = await runRestore(envOf(place, { WRIT_FAILPOINT: at }), [file])
        assert.equal(died.code, 'SIGKILL', died.err)
        if (tables) {
          for (const table of ['installation', 'identity', 'event']) assert.equal(Number((await sqlAt(place)(`select count(*) as n from ${table}`))[0]!['n']), 0)
        }
        const { code, said } = await refusedStart(envOf(place))
        assert.equal(code, 78)
        assert.match(said, /a restore into this store was not finished: run `writ restore` again/)
        await restored(place, of(), { file })
        const again = await openRestored(place, of(), t)
        assert.deepEqual((await again.sql('select state from restore')).map((row) => row['state']), ['done'])
        assert.deepEqual((await again.sql('select state, end_reason from task')).map((row) => [row['state'], row['end_reason']]), [['ending', 'restored']])
        await assert.rejects(again.sql('insert into event (id, stream, type, at, leaf, leaf_hash, mac, leaf_index) select \'evt_placed\', stream, type, at, leaf, leaf_hash, mac, 99999 from event where seq = 1'), /event_is_born_without_place/)
      })
    }

    test('after its end has done it: the next one finds a store that is not empty', async (t) => {
      const place = await emptyPlace(name, t)
      const died = await runRestore(envOf(place, { WRIT_FAILPOINT: 'restore.done' }), [file])
      assert.equal(died.code, 'SIGKILL', died.err)
      const refused = await restoreTo(place, of(), { file })
      assert.ok(!refused.ok && refused.refusal.kind === 'not_empty')
      const again = await openRestored(place, of(), t)
      await recordStarts(again, 3)
      await again.sealAll()
      assert.equal(Number((await again.sql('select count(*) as n from event where leaf_index is null'))[0]!['n']), 0)
    })
  })
}

test('a restore on sqlite that dies when rows are on the disk already is done by the next one, whether or not anybody looked in between', async (t) => {
  const of = await storeOfWrit('sqlite', t)
  // More than a restore keeps in memory before it commits.
  await of.sql(`
    insert into event_said (event_id, field, salt, value)
    with recursive n (i) as (select 1 union all select i + 1 from n where i < 80)
    select 'evt_large_' || i, 'reason', zeroblob(32), hex(zeroblob(500000)) from n`)
  const file = join(temporaryFolder(t), 'writ.backup')
  await writeBackup(of, file)
  const place = await emptyPlace('sqlite', t)
  const env = { ...CHILD_ENVIRONMENT, WRIT_KEYS: of.place.keyDirectory, WRIT_DATA: place.kind === 'sqlite' ? place.directory : '' }
  const died = await runRestore({ ...env, WRIT_FAILPOINT: 'restore.loaded' }, [file])
  assert.equal(died.code, 'SIGKILL', died.err)
  assert.ok(statSync(join(env.WRIT_DATA, 'writ.db')).size > 1_000_000)
  const second = await runRestore(env, [file])
  assert.equal(second.code, 0, second.err)
  assert.equal(Number((await sqlAt(place)('select count(*) as n from event_said where field = \'reason\''))[0]!['n']), 80)
  assert.ok((await restoreTo(place, of, { file })).ok === false)
})

for (const store of STORES) {
  test(`a first start on ${store} that died in its tables is no restore, and goes on`, async () => {
    const writ = await startWrit({ store, diesFirstAt: 'migrate.before_commit:0003-ledger' })
    try {
      assert.equal((await writ.operator(registry.whoAmI)).status, 200)
    } finally {
      await writ.stop()
    }
  })
}
