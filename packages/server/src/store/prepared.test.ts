import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bind, type Execute } from './bound.ts'
import { insertRows, prepared } from './prepared.ts'
import type { Tables } from './tables.ts'

type Asked = { readonly text: string; readonly values: readonly unknown[]; readonly rows: number | undefined }

/** A database that keeps what it is asked. */
function asking(dialect: 'sqlite' | 'postgres') {
  const asked: Asked[] = []
  const execute: Execute = async (text, values, rows) => {
    asked.push({ text, values, rows })
    return { rows: [], numAffectedRows: 1n }
  }
  return { asked, db: bind<Tables>(dialect, execute).db }
}

const said = (event: string, field: string) => ({ event_id: event, field, salt: new Uint8Array(32), value: `${field} of ${event}` })

for (const dialect of ['sqlite', 'postgres'] as const) {
  test(`rows go to ${dialect} in the very statement that Kysely builds anew, however many there are and whatever came before`, async () => {
    const [ours, plain] = [asking(dialect), asking(dialect)]
    for (const count of [1, 3, 1, 8, 9, 3, 12]) {
      const rows = Array.from({ length: count }, (_, i) => said(`evt_${count}_${i}`, 'purpose'))
      await insertRows(ours.db, 'event_said', rows)
      await plain.db.insertInto('event_said').values(rows).execute()
    }
    assert.deepEqual(ours.asked, plain.asked)
  })

  test(`a row with other columns of the same table has a statement of its own on ${dialect}`, async () => {
    const [ours, plain] = [asking(dialect), asking(dialect)]
    const { value, ...first } = said('evt_1', 'purpose')
    for (const row of [{ ...first, value }, { value, ...first }, { event_id: 'evt_2', field: 'owner', salt: new Uint8Array(1), value: 'x' }]) {
      await insertRows(ours.db, 'event_said', [row])
      await plain.db.insertInto('event_said').values([row]).execute()
    }
    assert.deepEqual(ours.asked, plain.asked)
  })
}

test('a statement is built once for each database and filled with the values of each call, in the order of its text', async () => {
  let built = 0
  const find = prepared((db, of: { readonly kid: string; readonly state: string }) => {
    built++
    return db.selectFrom('signing_key').select('id').where('state', '=', of.state).where('id', '=', of.kid).where('id', '<>', of.kid)
  })
  const [sqlite, postgres] = [asking('sqlite'), asking('postgres')]
  for (const kid of ['a', 'b']) for (const { db } of [sqlite, postgres]) await find(db, { kid, state: 'active' })
  assert.equal(built, 2)
  assert.deepEqual(sqlite.asked.map((one) => one.values), [['active', 'a', 'a'], ['active', 'b', 'b']])
  assert.equal(sqlite.asked[0]!.text, 'select "id" from "signing_key" where "state" = ? and "id" = ? and "id" <> ?')
  assert.equal(postgres.asked[1]!.text, 'select "id" from "signing_key" where "state" = $1 and "id" = $2 and "id" <> $3')
})

test('a value that is missing is a fault, and nothing is asked', async () => {
  const { asked, db } = asking('sqlite')
  await insertRows(db, 'event_said', [said('evt_1', 'purpose')])
  await assert.rejects(insertRows(db, 'event_said', [said('evt_1', 'purpose'), { event_id: 'evt_1' } as never]), TypeError)
  await assert.rejects(insertRows(db, 'event_said', [{ ...said('evt_1', 'purpose'), value: undefined } as never]), TypeError)
  assert.equal(asked.length, 1)
})
