import assert from 'node:assert/strict'
import { test } from 'node:test'
import { epochMs } from '@writ/domain/time'
import { sql } from 'kysely'
import { onBothStores } from '../../test/both-stores.ts'
import {
  addJar, addOnce, claimJars, forgetToAwait, moveMarbles, runText, setJar, smallWorld, swallowError, takeMarbles, throwAfterWriting,
  type SmallContext, type SmallTables,
} from '../../test/small/world.ts'
import { ChangeFault, RuleBroken, StatementFault } from './faults.ts'
import type { Store } from './store.ts'

type SmallStore = Store<SmallTables, SmallContext>

const marks = (store: SmallStore) => store.read((db) => db.selectFrom('mark').select('text').orderBy('seq').execute())
const jar = (store: SmallStore, id: string) => store.read((db) => db.selectFrom('jar').selectAll().where('id', '=', id).executeTakeFirst())
const keys = (store: SmallStore) => store.read((db) => db.selectFrom('idempotency').selectAll().execute())

onBothStores<SmallTables, SmallContext>(smallWorld, (name, open) => {
  test(`${name}: a committed change is seen by the next read, with its types`, async (t) => {
    const store = await open(t)
    const added = await store.change(addJar, { id: 'a', marbles: 2 ** 52, label: new Uint8Array([0, 255, 7]) })
    assert.deepEqual(added, { ok: true, value: { id: 'a', stamp: 'stamped once' } })
    const label = new Uint8Array([0, 255, 7])
    assert.deepEqual(await jar(store, 'a'), { id: 'a', marbles: 2 ** 52, state: 'open', sealed_at: null, label, due_at: 0 })
    const [counted] = await store.read((db) =>
      db.selectFrom('jar').select((e) => [e.fn.countAll().as('jars'), e.fn.sum('marbles').as('marbles')]).execute())
    assert.deepEqual(counted, { jars: 1, marbles: 2 ** 52 })
    await store.ping()
  })

  test(`${name}: a refused change leaves nothing behind`, async (t) => {
    const store = await open(t)
    await store.change(addJar, { id: 'a', marbles: 3 })
    assert.deepEqual(await store.change(takeMarbles, { id: 'a', count: 4 }), { ok: false, refusal: { kind: 'too_few', left: 3 } })
    assert.deepEqual(await store.change(takeMarbles, { id: 'b', count: 1 }), { ok: false, refusal: { kind: 'no_such_jar' } })
    assert.deepEqual(await marks(store), [])
    assert.deepEqual(await store.change(takeMarbles, { id: 'a', count: 1 }), { ok: true, value: { left: 2 } })
    assert.deepEqual(await marks(store), [{ text: 'asked a' }])
  })

  test(`${name}: a change that throws leaves nothing behind and says which it was`, async (t) => {
    const store = await open(t)
    await assert.rejects(store.change(throwAfterWriting, { id: 'x' }), (error) => {
      assert.ok(error instanceof ChangeFault)
      assert.equal(error.change, 'throw_after_writing')
      assert.match((error.cause as Error).stack ?? '', /world\.ts/)
      return true
    })
    await assert.rejects(store.change(swallowError, { id: 'x' }), ChangeFault)
    assert.deepEqual(await marks(store), [])
  })

  test(`${name}: a change may answer what is there already with a refusal`, async (t) => {
    const store = await open(t)
    assert.deepEqual(await store.change(addOnce, { id: 'a' }), { ok: true, value: null })
    assert.deepEqual(await store.change(addOnce, { id: 'a' }), { ok: false, refusal: { kind: 'exists' } })
    assert.deepEqual(await store.change(addOnce, { id: 'b' }), { ok: true, value: null })
    assert.deepEqual(await marks(store), [{ text: 'a' }, { text: 'b' }])
  })

  test(`${name}: a statement that comes after the end of its change is not executed`, async (t) => {
    const store = await open(t)
    await store.change(forgetToAwait, { id: 'late' })
    for (let i = 0; i < 5; i++) await store.change(addJar, { id: `j${i}`, marbles: 1 })
    assert.deepEqual(await marks(store), [])
  })

  test(`${name}: one guard after another refuses with the name of its rule, and nothing is written`, async (t) => {
    const store = await open(t)
    await store.change(addJar, { id: 'a', marbles: 1, label: new Uint8Array([1]) })
    await store.change(takeMarbles, { id: 'a', count: 0 })
    const refusedBy = async (work: Promise<unknown>, rule: string): Promise<void> => {
      await assert.rejects(work, (error) => error instanceof RuleBroken && error.rule === rule, rule)
    }
    await refusedBy(store.change(setJar, { id: 'a', set: { marbles: -1 } }), 'jar_is_not_in_debt')
    await refusedBy(store.change(setJar, { id: 'a', set: { label: new Uint8Array([2]) } }), 'jar_label_is_frozen')
    await refusedBy(store.change(setJar, { id: 'a', set: { label: null } }), 'jar_label_is_frozen')
    await refusedBy(store.change(setJar, { id: 'a', set: { state: 'broken' } }), 'jar_state_moves_forward')
    await refusedBy(store.change(runText, { text: 'delete from jar' }), 'jar_is_kept')
    await refusedBy(store.change(runText, { text: 'delete from mark' }), 'mark_is_append_only_delete')
    await refusedBy(store.change(runText, { text: 'update mark set text = text' }), 'mark_is_append_only_update')
    assert.deepEqual(await store.change(setJar, { id: 'a', set: { sealed_at: 5, state: 'shut' } }), { ok: true, value: 1 })
    await refusedBy(store.change(setJar, { id: 'a', set: { sealed_at: 6 } }), 'jar_is_sealed_once')
    await refusedBy(store.change(setJar, { id: 'a', set: { sealed_at: null } }), 'jar_is_sealed_once')
    await refusedBy(store.change(setJar, { id: 'a', set: { state: 'open' } }), 'jar_state_moves_forward')
    assert.deepEqual(await store.change(setJar, { id: 'a', set: { sealed_at: 5, state: 'broken' } }), { ok: true, value: 1 })
    assert.deepEqual(await jar(store, 'a'), { id: 'a', marbles: 1, state: 'broken', sealed_at: 5, label: new Uint8Array([1]), due_at: 0 })
    await assert.rejects(store.change(addJar, { id: 'a', marbles: 1 }), RuleBroken)
  })

  test(`${name}: rows can't be emptied or replaced past their guards`, async (t) => {
    const store = await open(t)
    await store.change(addJar, { id: 'a', marbles: 1 })
    const text = name === 'sqlite' ? "insert or replace into jar (id, marbles, state) values ('a', 9, 'open')" : 'truncate jar'
    await assert.rejects(store.change(runText, { text }), RuleBroken)
    assert.equal((await jar(store, 'a'))?.marbles, 1)
  })

  test(`${name}: values that the two databases would keep differently are refused`, async (t) => {
    const store = await open(t)
    for (const value of [true, new Date(0), 'a\0b', undefined, Number.NaN, { a: 1 }]) {
      await assert.rejects(store.read((db) => sql`select ${value} as value`.execute(db)), TypeError)
    }
  })

  test(`${name}: reading does not write`, async (t) => {
    const store = await open(t)
    await assert.rejects(store.read((db) => db.insertInto('mark').values({ text: 'x' }).execute()), StatementFault)
    assert.deepEqual(await marks(store), [])
  })

  test(`${name}: a repeat with the same key is answered alike and done once`, async (t) => {
    const store = await open(t)
    await store.change(addJar, { id: 'a', marbles: 10 })
    const once = { caller: 'ann', key: 'k1', requestHash: 'h1', now: epochMs(7) }
    const take = { id: 'a', count: 4 }
    assert.deepEqual(await store.changeOnce(takeMarbles, take, once), { ok: true, value: { value: { left: 6 }, repeated: false } })
    assert.deepEqual(await store.changeOnce(takeMarbles, take, once), { ok: true, value: { value: { left: 6 }, repeated: true } })
    assert.equal((await jar(store, 'a'))?.marbles, 6)
    const reused = { ok: false, refusal: { kind: 'key_reused' } }
    assert.deepEqual(await store.changeOnce(takeMarbles, take, { ...once, requestHash: 'h2' }), reused)
    assert.deepEqual(await store.changeOnce(addJar, { id: 'b', marbles: 1 }, once), reused)
    assert.equal((await jar(store, 'a'))?.marbles, 6)
    assert.equal(await jar(store, 'b'), undefined)
    const bob = { ...once, caller: 'bob' }
    assert.deepEqual(await store.changeOnce(takeMarbles, take, bob), { ok: true, value: { value: { left: 2 }, repeated: false } })
  })

  test(`${name}: a request without a key is done each time and leaves nothing to remember it by`, async (t) => {
    const store = await open(t)
    await store.change(addJar, { id: 'a', marbles: 10 })
    const once = { caller: 'ann', key: null, requestHash: 'h1', now: epochMs(7) }
    const take = { id: 'a', count: 4 }
    assert.deepEqual(await store.changeOnce(takeMarbles, take, once), { ok: true, value: { value: { left: 6 }, repeated: false } })
    assert.deepEqual(await store.changeOnce(takeMarbles, take, once), { ok: true, value: { value: { left: 2 }, repeated: false } })
    assert.deepEqual(await store.changeOnce(takeMarbles, take, once), { ok: false, refusal: { kind: 'too_few', left: 2 } })
    assert.deepEqual(await keys(store), [])
  })

  test(`${name}: a refused change is not remembered, and its repeat may pass`, async (t) => {
    const store = await open(t)
    await store.change(addJar, { id: 'a', marbles: 1 })
    const once = { caller: 'ann', key: 'k1', requestHash: 'h1', now: epochMs(7) }
    assert.deepEqual(await store.changeOnce(takeMarbles, { id: 'a', count: 2 }, once), { ok: false, refusal: { kind: 'too_few', left: 1 } })
    await assert.rejects(store.changeOnce(throwAfterWriting, { id: 'a' }, once), ChangeFault)
    assert.deepEqual(await keys(store), [])
    await store.change(setJar, { id: 'a', set: { marbles: 2 } })
    assert.deepEqual(await store.changeOnce(takeMarbles, { id: 'a', count: 2 }, once), { ok: true, value: { value: { left: 0 }, repeated: false } })
  })

  test(`${name}: twenty requests of one key at once are done once`, async (t) => {
    const store = await open(t)
    await store.change(addJar, { id: 'a', marbles: 100 })
    const once = { caller: 'ann', key: 'k1', requestHash: 'h1', now: epochMs(7) }
    const answers = await Promise.all(Array.from({ length: 20 }, () => store.changeOnce(takeMarbles, { id: 'a', count: 1 }, once)))
    const done = answers.map((answer) => (answer.ok ? answer.value : assert.fail('refused')))
    assert.ok(done.every(({ value }) => value.left === 99))
    assert.equal(done.filter(({ repeated }) => !repeated).length, 1)
    assert.equal((await jar(store, 'a'))?.marbles, 99)
  })

  test(`${name}: a count checked and used by fifty at once is never overdrawn`, async (t) => {
    const store = await open(t)
    await store.change(addJar, { id: 'a', marbles: 20 })
    const answers = await Promise.all(Array.from({ length: 50 }, () => store.change(takeMarbles, { id: 'a', count: 1 })))
    assert.equal(answers.filter((answer) => answer.ok).length, 20)
    assert.equal((await jar(store, 'a'))?.marbles, 0)
    assert.equal((await marks(store)).length, 20)
  })

  test(`${name}: due rows are claimed by one claimer each, oldest first, up to the limit`, async (t) => {
    const store = await open(t)
    for (let i = 0; i < 30; i++) await store.change(addJar, { id: `j${i}`, marbles: 1, dueAt: i })
    await store.change(setJar, { id: 'j0', set: { state: 'shut' } })
    const first = await store.change(claimJars, { now: 24, until: 100, limit: 5 })
    assert.deepEqual(first.ok && first.value.toSorted(), ['j1', 'j2', 'j3', 'j4', 'j5'])
    const claims = await Promise.all(Array.from({ length: 8 }, () => store.change(claimJars, { now: 24, until: 100, limit: 4 })))
    const claimed = claims.flatMap((claim) => (claim.ok ? claim.value : []))
    assert.equal(new Set(claimed).size, claimed.length, 'none twice')
    const rest = await store.change(claimJars, { now: 24, until: 100, limit: 100 })
    assert.equal(claimed.length + (rest.ok ? rest.value.length : 0), 19)
    assert.deepEqual(await store.change(claimJars, { now: 24, until: 100, limit: 100 }), { ok: true, value: [] })
    const again = await store.change(claimJars, { now: 100, until: 200, limit: 100 })
    assert.equal(again.ok && again.value.length, 29, 'a claim that was not kept is due again')
  })

  test(`${name}: two changes that move marbles crosswise both pass`, async (t) => {
    const store = await open(t)
    await store.change(addJar, { id: 'a', marbles: 10 })
    await store.change(addJar, { id: 'b', marbles: 10 })
    const pause = name === 'postgres' ? { pause: 0.2 } : {}
    await Promise.all([
      store.change(moveMarbles, { from: 'a', to: 'b', count: 1, ...pause }),
      store.change(moveMarbles, { from: 'b', to: 'a', count: 3, ...pause }),
    ])
    assert.equal((await jar(store, 'a'))?.marbles, 12)
    assert.equal((await jar(store, 'b'))?.marbles, 8)
  })
})
