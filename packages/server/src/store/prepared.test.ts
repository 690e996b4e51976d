import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bind, type Execute } from './bound.ts'
import { postgresDialect } from './dialect-postgres.ts'
import { sqliteDialect } from './dialect-sqlite.ts'
import { insertRows, justWrite, prepared, preparedLock, preparedWrite } from './prepared.ts'
import { forUpdate } from './row-locks.ts'
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

const lockKey = preparedLock((tx, of: { readonly kid: string }) => forUpdate({ ...tx, context: undefined }, tx.db.selectFrom('signing_key').select('id').where('id', '=', of.kid)))

test('what locks is built for each database, which locks in its own way or not at all', async () => {
  const [sqlite, postgres] = [asking('sqlite'), asking('postgres')]
  for (const kid of ['a', 'b']) {
    await lockKey({ db: sqlite.db, dialect: sqliteDialect }, { kid })
    await lockKey({ db: postgres.db, dialect: postgresDialect }, { kid })
  }
  assert.deepEqual(sqlite.asked.map(({ text, values }) => [text, ...values]), ['a', 'b'].map((kid) => ['select "id" from "signing_key" where "id" = ?', kid]))
  assert.deepEqual(postgres.asked.map(({ text, values }) => [text, ...values]), ['a', 'b'].map((kid) => ['select "id" from "signing_key" where "id" = $1 for no key update', kid]))
})

test('of what just writes nobody waits for a number of rows: it says itself that it needs no answer', async () => {
  const { asked, db } = asking('postgres')
  const retire = preparedWrite((to, of: { readonly kid: string }) => to.updateTable('signing_key').set({ state: 'retired' }).where('id', '=', of.kid))
  for (const kid of ['a', 'b']) await retire(db, { kid })
  await justWrite(db, db.insertInto('event_said').values([said('evt_1', 'purpose')]).onConflict((conflict) => conflict.doNothing()))
  await db.updateTable('signing_key').set({ state: 'retired' }).execute()
  assert.deepEqual(asked.map(({ rows }) => rows), [0, 0, 0, undefined])
  assert.deepEqual(asked.slice(0, 2).map(({ values }) => values), [['retired', 'a'], ['retired', 'b']])
})

test('what is asked at once arrives in the order in which it was asked, however it was built', async () => {
  const find = prepared((db, of: { readonly kid: string }) => db.selectFrom('signing_key').select('id').where('id', '=', of.kid))
  for (let round = 0; round < 3; round++) {
    const { asked, db } = asking('postgres')
    await Promise.all([
      lockKey({ db, dialect: postgresDialect }, { kid: '1' }), find(db, { kid: '2' }), db.selectFrom('signing_key').select('id').where('id', '=', '3').execute(),
      (async () => (await find(db, { kid: '4' })).rows)(), db.selectFrom('signing_key').select('id').where('id', '=', '5').executeTakeFirst(), find(db, { kid: '6' }),
    ])
    assert.deepEqual(asked.map(({ values }) => values[0]), ['1', '2', '3', '4', '5', '6'])
  }
})
