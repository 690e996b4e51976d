import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseEntries } from '@writ/ledger/entries'
import { TILE_WIDTH } from '@writ/ledger/tile'
import { tileFile } from '../../src/prove/log-files.ts'
import { logsOf } from '../../src/prove/logs-of-stream.ts'
import { fakeShop } from '../fake-shop.ts'
import { countEvents, eventsOf, intendedOne, leaseRows, openOne, tryIntend } from '../laws/estate.ts'
import { copyLease, STORES, storeOfWrit } from '../store-of-writ.ts'

/** C2SP tlog-tiles: the length of an entry is a uint16. */
const MOST_ENTRY_BYTES = 65_535

for (const store of STORES) {
  test(`a task on ${store} takes as many leases as its closing can name in one entry of the log, and refuses the next`, async (t) => {
    const shop = await fakeShop(await storeOfWrit(store, t))
    const { of } = shop
    const task = await openOne(of, { identity: shop.identity, budgetCalls: 5000 })
    const first = await intendedOne(of, task, shop.backend)
    await of.sql(`update lease set state = 'withdrawing', stop_at = intended_at`)
    const ended = 'state = \'ended\', outcome = \'never_issued\', due_at = null, sealed_secret = null, end_leaf = $1'
    await of.sql(`update lease set ${ended}`, [Buffer.alloc(32, 7)])
    await copyLease(of, first, 598)
    await intendedOne(of, task, shop.backend)
    const before = { events: await countEvents(of), leases: (await leaseRows(of)).length }
    const refused = await tryIntend(of, task, shop.backend)
    assert.deepEqual(!refused.ok && refused.refusal, { kind: 'too_many_leases', most: 600 })
    assert.deepEqual({ events: await countEvents(of), leases: (await leaseRows(of)).length }, before)

    await shop.end(task)
    of.clock.advance(16_000)
    await shop.sweep()
    const [closed] = await eventsOf(of, 'task.closed')
    assert.equal(JSON.parse(closed!.leaf).facts.leases.length, 600)
    assert.ok(Buffer.byteLength(closed!.leaf) <= MOST_ENTRY_BYTES, `${Buffer.byteLength(closed!.leaf)} bytes`)
    await of.sealAll()
    const size = Number((await of.sql('select count(*) as n from event where stream = \'non-human\''))[0]!['n'])
    const bundle = await of.store.read(async (db) => tileFile(db, (await logsOf(db, 'non-human')).at(-1)!, `tile/entries/000.p/${size % TILE_WIDTH}`))
    assert.equal(parseEntries(bundle!)?.length, size)
  })
}

test('an event that no entry of the log can hold is not written, and what it would have recorded does not happen', async (t) => {
  const shop = await fakeShop(await storeOfWrit('sqlite', t))
  const { of } = shop
  const before = { events: await countEvents(of), tasks: await of.sql('select id from task') }
  const limits = Object.fromEntries(Array.from({ length: 3000 }, (_, i) => [`a-limit-with-a-long-name-${i}`, i]))
  const authority = [{ type: 'postgres', resource: 'shop', action: 'ddl', limits }]
  await assert.rejects(openOne(of, { identity: shop.identity, authority }), /does not fit/)
  assert.deepEqual({ events: await countEvents(of), tasks: await of.sql('select id from task') }, before)
})
