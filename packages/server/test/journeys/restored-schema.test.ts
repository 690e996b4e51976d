import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { emptyPlace, openRestored, restored, restoreTo, sqlAt, temporaryFolder, writeBackup } from '../backups.ts'
import { fakeShop } from '../fake-shop.ts'
import { recordStarts } from '../recorded.ts'
import { everyRow, storeOfWrit, STORES, type StoreOfWrit } from '../store-of-writ.ts'

/** Every table, index, constraint and guard, as the database itself tells of them. */
const schemaOf = async ({ name, sql }: Pick<StoreOfWrit, 'name' | 'sql'>): Promise<readonly string[]> => (await sql(name === 'sqlite'
  ? 'select type || \' \' || name || \' \' || coalesce(sql, \'\') as said from sqlite_schema'
  : `
        select conrelid::regclass || ' ' || conname || ' ' || convalidated || ' ' || pg_get_constraintdef(oid) as said from pg_constraint where connamespace = 'public'::regnamespace
     union all
        select pg_get_indexdef(indexrelid) || ' ' || indisvalid from pg_index join pg_class on pg_class.oid = indrelid where relnamespace = 'public'::regnamespace
     union all
        select pg_get_triggerdef(oid) || ' ' || tgenabled::text from pg_trigger where not tgisinternal`)).map((row) => String(row['said'])).toSorted()

/** What no format may take for its own. */
const ODD = ['\t', '\n', '\r', '\r\n', '\\', '\\N', '\\.', '\n\\.\n', '\\t', '\\\\n', '\u0001', '\u2028', 'é', '😀', '', ' ', '"', '\'', ',', '{"end":true}\n{"end":', 'null'].join('|')

for (const store of STORES) {
  describe(`a store restored on ${store}`, () => {
    test('has every index, constraint and guard of a new one, and each text as it was', async (t) => {
      const of = await storeOfWrit('sqlite', t)
      await (await fakeShop(of)).task()
      await of.sealAll()
      await of.sql('insert into event_said (event_id, field, salt, value) values (\'evt_odd\', \'reason\', $1, $2)', [Buffer.from([0, 10, 92, 255]), ODD])
      const file = join(temporaryFolder(t), 'writ.backup')
      await writeBackup(of, file)
      const place = await emptyPlace(store, t)
      await restored(place, of, { file })
      const again = await openRestored(place, of, t)
      assert.deepEqual(await schemaOf(again), await schemaOf(await storeOfWrit(store, t)))
      const [odd] = await again.sql('select salt, value from event_said where event_id = \'evt_odd\'')
      assert.equal(odd!['value'], ODD)
      assert.deepEqual([...odd!['salt'] as Uint8Array], [0, 10, 92, 255])
      const rowsOf = async (writ: StoreOfWrit, table: string): Promise<number> => (await everyRow(writ)).get(table)!.length
      for (const table of ['identity', 'task', 'event_said']) assert.ok(await rowsOf(again, table) >= await rowsOf(of, table), table)
    })

    for (const { what, damage, said } of [
      { what: 'a row refers to one that is not there', said: /foreign.key/i, damage: '/**/ pragma foreign_keys = off; update finding set identity_id = \'nhi_gone\'' },
      { what: 'two events have one place', said: /event_leaf_is_one|event\.leaf_index/, damage: 'drop index event_leaf_is_one; update event set leaf_index = 0 where leaf_index is null' },
    ]) {
      test(`is refused as a whole when ${what} in an authentic backup`, async (t) => {
        const of = await storeOfWrit('sqlite', t)
        await (await fakeShop(of)).task()
        await of.sealAll()
        await recordStarts(of, 3)
        await of.sql('insert into finding (id, kind, subject, identity_id, evidence, state, raised_at) select \'fnd_1\', \'unused\', id, id, \'{}\', \'open\', 1 from identity limit 1')
        await of.sql(damage)
        const file = join(temporaryFolder(t), 'writ.backup')
        await writeBackup(of, file)
        const place = await emptyPlace(store, t)
        await assert.rejects(restoreTo(place, of, { file }), said)
        for (const table of ['installation', 'identity', 'event']) assert.equal(Number((await sqlAt(place)(`select count(*) as n from ${table}`))[0]!['n']), 0)
        assert.deepEqual(
          (await schemaOf({ name: store, sql: sqlAt(place) })).filter((said) => !said.includes('restore_under_way')), await schemaOf(await storeOfWrit(store, t)))
      })
    }
  })
}
