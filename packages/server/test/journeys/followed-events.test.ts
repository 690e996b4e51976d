import assert from 'node:assert/strict'
import { setTimeout as pause } from 'node:timers/promises'
import { describe, test } from 'node:test'
import * as contract from '@writ/contract/events'
import { addOperator } from '@writ/contract/operators'
import { Client } from 'pg'
import { listEvents } from '../../src/store/events.ts'
import { wholeUpTo } from '../../src/store/whole-events.ts'
import { eventually } from '../eventually.ts'
import { complete, opened } from '../governed-writ.ts'
import { postgres } from '../postgres.ts'
import { allEvents } from '../proofs.ts'
import { inStoreOf } from '../kept.ts'
import { listen } from '../live-stream.ts'
import { recordStarts } from '../recorded.ts'
import { startWrit } from '../running-writ.ts'
import { startSeveral } from '../several-writs.ts'
import { storeOfWrit, type StoreOfWrit } from '../store-of-writ.ts'

/** A transaction that has taken an event's number and has not committed. */
async function slowWriter(of: StoreOfWrit, name: string): Promise<Client> {
  const [row] = await of.sql('select current_database() as database')
  const client = new Client({ connectionString: (await postgres(18)).url(String(row!['database'])) })
  await client.connect()
  await client.query('begin')
  await client.query(`insert into event (id, stream, type, at, leaf, leaf_hash, mac) values ($1, 'human', 'backend.tested', 1, '{}', '\\x00', '\\x00')`, [name])
  return client
}

const idsAfter = async (of: StoreOfWrit, afterSeq: number, upToSeq: number): Promise<readonly string[]> =>
  (await of.store.read((db) => listEvents(db, { limit: 100, afterSeq, upToSeq }))).map((event) => event.id)

describe('events followed by their cursor on postgres', () => {
  for (const end of ['commit', 'rollback'] as const) {
    test(`one whose transaction took its number first and came to its ${end} last is waited for`, async (t) => {
      const of = await storeOfWrit('postgres', t)
      const from = (await wholeUpTo(of.store))!
      const slow = await slowWriter(of, 'slow')
      await recordStarts(of, 1)
      const [newest] = await of.sql('select id from event order by seq desc limit 1')
      let upTo: number | null | undefined
      const asking = wholeUpTo(of.store).then((found) => { upTo = found })
      await pause(200)
      assert.equal(upTo, undefined, 'nothing is answered while a lower number may still come')
      await slow.query(end)
      await asking
      assert.deepEqual(await idsAfter(of, from, upTo!), end === 'commit' ? ['slow', newest!['id']] : [newest!['id']])
      await slow.end()
    })
  }

  test('one whose transaction does not end in time holds up the others\' view and nothing else; who only reads holds up nothing', async (t) => {
    const of = await storeOfWrit('postgres', t)
    const reader = await slowWriter(of, 'none')
    await reader.query('rollback')
    await reader.query('begin')
    await reader.query('select count(*) from event')
    assert.notEqual(await wholeUpTo(of.store), null)
    const slow = await slowWriter(of, 'slow')
    await recordStarts(of, 1)
    assert.equal(await wholeUpTo(of.store), null)
    await slow.query('commit')
    assert.notEqual(await wholeUpTo(of.store), null)
    await Promise.all([slow.end(), reader.end()])
  })

  test('what Writ\'s own transactions commit out of order is lost to nobody: not by cursor, not backwards, not on a stream that was cut meanwhile', async (t) => {
    const writ = await startWrit({ store: 'postgres' })
    const holder = new Client({ connectionString: writ.databaseUrl! })
    t.after(async () => {
      await holder.end()
      await writ.stop()
    })
    await holder.connect()
    await holder.query('select pg_advisory_lock(4711)')
    await inStoreOf(writ, 'create function late() returns trigger language plpgsql as $$ begin perform pg_advisory_xact_lock(4711); return new; end $$')
    await inStoreOf(writ, 'create trigger late before insert on event for each row when (new.type = \'operator.key_issued\') execute function late()')
    const first = await listen(writ)
    await writ.register('before')
    await first.sees('identity.registered')
    const { next: cursor } = (await writ.operator(contract.listEvents, { query: { newest: 'true', limit: '1' } })).reply
    // Its event takes the lower number, and is committed last.
    const late = writ.operator(addOperator, { body: { name: 'Noor' } })
    await eventually('the late one has its number', async () => (await inStoreOf(writ, 'select 1 as one from pg_locks where locktype = \'advisory\' and not granted')).length === 1)
    await writ.register('behind')
    first.cut()
    const second = await listen(writ, { lastId: first.lastId() })
    const [forward, backward] = [{ cursor: cursor!, wait_seconds: '5' }, { order: 'newest_first', limit: '3' }].map((query) => writ.operator(contract.listEvents, { query }))
    await pause(300)
    assert.deepEqual([second.hello().resumed, second.events()], [true, []], 'nothing is told that something may come to stand before')
    await holder.query('select pg_advisory_unlock(4711)')
    assert.equal((await late).status, 201)
    const all = await allEvents(writ)
    const since = all.slice(all.findIndex((event) => event.id === first.lastId()) + 1)
    assert.deepEqual(since.map((event) => event.type).filter((type) => ['operator.key_issued', 'identity.registered'].includes(type)), ['operator.key_issued', 'identity.registered'])
    const followed = (await forward)!.reply.events.map((event) => event.id)
    assert.deepEqual(followed, since.slice(0, followed.length).map((event) => event.id))
    assert.ok(followed.length > 1)
    await eventually('all of it is told', () => second.events().length >= since.length)
    assert.deepEqual(second.events().slice(0, since.length).map((event) => event.id), since.map((event) => event.id))
    const back = (await backward)!.reply
    const older = (await writ.operator(contract.listEvents, { query: { order: 'newest_first', limit: '1000', cursor: back.next! } })).reply.events
    const seen = [...back.events, ...older].map((event) => event.id).toReversed()
    assert.deepEqual(seen, all.slice(0, seen.length).map((event) => event.id))
    assert.ok(seen.length >= all.length - since.length + 2)
    second.cut()
  })

  test('two servers write while a third party follows each of them page by page: it sees every event, once', async (t) => {
    const several = await startSeveral({ env: { WRIT_LOG: 'warn' } })
    t.after(() => several.stop())
    const workers = await Promise.all(Array.from({ length: 8 }, (_, i) => several.writs[0].register(`worker-${i}`)))
    let isOver = false
    const followers = several.writs.map(async (writ) => {
      const seen: string[] = []
      for (let cursor: string | undefined; ;) {
        const was = isOver
        const got = await writ.operator(contract.listEvents, { query: { limit: '7', ...(cursor === undefined ? {} : { cursor }) } })
        assert.equal(got.status, 200, got.text)
        seen.push(...got.reply.events.map((event) => event.id))
        cursor = got.reply.next ?? cursor
        if (was && got.reply.events.length === 0) return seen
      }
    })
    await Promise.all(workers.map(async (worker, i) => {
      const by = several.through(several.writs[i % 2]!, worker)
      for (let turn = 0; turn < 12; turn++) assert.equal((await complete(by, await opened(by))).status, 200)
    }))
    await eventually('all is recorded', async () => (await allEvents(several.writs[0])).filter((event) => event.type === 'task.closed').length === 96)
    isOver = true
    const all = (await allEvents(several.writs[0])).map((event) => event.id).toSorted((a, b) => a.localeCompare(b))
    for (const seen of await Promise.all(followers)) assert.deepEqual(seen.toSorted((a, b) => a.localeCompare(b)), all)
  })
})
