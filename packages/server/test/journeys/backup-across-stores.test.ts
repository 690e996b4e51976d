import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { describe, test } from 'node:test'
import { STREAMS } from '@writ/domain/event'
import { verifyCertificate } from '@writ/ledger/certificate'
import { certificateOf } from '../../src/prove/certificate.ts'
import { exportLines } from '../../src/prove/log-files.ts'
import { logsOf } from '../../src/prove/logs-of-stream.ts'
import { withdrawLease } from '../../src/revoke/withdraw.ts'
import { KEPT_TABLES, LEFT_OUT } from '../../src/store/backup-tables.ts'
import { findLog } from '../../src/store/logs.ts'
import { findTask } from '../../src/store/tasks.ts'
import { emptyPlace, openRestored, restored, temporaryFolder, writeBackup } from '../backups.ts'
import { fakeShop } from '../fake-shop.ts'
import { claimAll } from '../laws/estate.ts'
import { nodePrimitives, verifierKey, verifyText } from '../read-log.ts'
import { recordStarts } from '../recorded.ts'
import { everyRow, storeOfWrit, STORES, type StoreOfWrit } from '../store-of-writ.ts'

/** Some of everything: a closed task with its proof, an open one with a lease, and a log of more than one tile. */
async function busyStore(of: StoreOfWrit): Promise<void> {
  const shop = await fakeShop(of)
  const closed = await shop.task()
  await shop.lease(closed)
  await shop.end(closed)
  await shop.sweep()
  await shop.lease(await shop.task())
  await recordStarts(of, 300)
  await of.sealAll()
  await recordStarts(of, 2)
}

for (const from of STORES) {
  for (const to of STORES) {
    test(`a backup of ${from} becomes a store on ${to} with every row that it had`, async (t) => {
      const of = await storeOfWrit(from, t)
      await busyStore(of)
      const file = join(temporaryFolder(t), 'writ.backup')
      await writeBackup(of, file)
      const before = await everyRow(of)
      const place = await emptyPlace(to, t)
      const done = await restored(place, of, { file, trustsIdentities: true })
      assert.equal(done.tasksEnded, 1)
      const again = await openRestored(place, of, t)
      const after = await everyRow(again)

      for (const { name } of KEPT_TABLES.filter((one) => !['task', 'lease', 'event', 'event_said', 'installation', 'restore', 'log', 'checkpoint', 'tile', 'past_log', 'past_checkpoint', 'past_tile'].includes(one.name))) {
        assert.deepEqual(after.get(name)!.map(alike), before.get(name)!.map(alike), name)
      }
      const events = new Set(after.get('event')!.map((row) => JSON.stringify(alike(row))))
      for (const row of before.get('event')!) assert.ok(events.has(JSON.stringify(alike(row))), `event ${String(row['id'])} is there, in its place`)
      assert.deepEqual(after.get('past_checkpoint')!.length, before.get('checkpoint')!.length)
      assert.deepEqual(new Set(after.get('past_tile')!.map((row) => plainBytes(row['hashes']))), new Set(before.get('tile')!.map((row) => plainBytes(row['hashes']))))
      for (const stream of STREAMS) {
        const [old, now] = [await of.store.read((db) => findLog(db, stream)), await again.store.read((db) => findLog(db, stream))]
        assert.equal(now!.origin, `${old!.origin}/${done.restore}`)
        assert.deepEqual([now!.firstLeaf, now!.size], [old!.size, 1])
      }
      await recordStarts(again, 3)
      await again.sealAll()
      assert.deepEqual(await again.sql('select count(*) as n from event where leaf_index is null').then(([row]) => Number(row!['n'])), 0)
    })
  }
}

/** A row as both databases show it: numbers as numbers, bytes as hexadecimal digits. */
const alike = (row: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> =>
  Object.fromEntries(Object.entries(row).toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([column, value]) => [column, plainBytes(value)]))
const plainBytes = (value: unknown): unknown => (typeof value === 'string' && value.startsWith('\\x') ? value.slice(2) : value)

for (const name of STORES) {
  test(`a store on ${name} that is restored and restored again keeps the logs of all its lives apart, and one certificate reaches through them`, async (t) => {
    const of = await storeOfWrit(name, t)
    const shop = await fakeShop(of)
    const task = await shop.task()
    await shop.lease(task)
    await of.sealAll()
    const folder = temporaryFolder(t)
    await writeBackup(of, join(folder, 'first'))
    const place = await emptyPlace(name, t)
    const first = await restored(place, of, { file: join(folder, 'first') })
    const second = await openRestored(place, of, t)
    await recordStarts(second, 2)
    await second.sealAll()
    await writeBackup(second, join(folder, 'second'))

    // The same backup once more is another log: what one of the two signs never fits the other.
    const twin = await restored(await emptyPlace(name, t), of, { file: join(folder, 'first') })
    assert.notDeepEqual(twin.logs.map((log) => log.origin), first.logs.map((log) => log.origin))

    const last = await emptyPlace(name, t)
    const again = await restored(last, second, { file: join(folder, 'second') })
    const third = await openRestored(last, of, t)
    of.clock.advance(60_000)
    for (const lease of await claimAll(third, 100)) await withdrawLease({ ...shop.withdrawing, store: third.store }, lease)
    await third.sealAll()
    const logs = await third.store.read((db) => logsOf(db, 'non-human'))
    assert.deepEqual(logs.map((log) => log.endedBy), [first.restore, again.restore, null])
    assert.deepEqual(logs.map((log) => log.firstLeaf), logs.map((_, i) => logs.slice(0, i).reduce((sum, log) => sum + log.size, 0)))
    for (const log of logs) {
      let text = ''
      for await (const line of exportLines((query) => third.store.read(query), log)) text += line
      const verified = verifyText(log.vkey, text)
      assert.ok(verified.ok, JSON.stringify(verified))
    }
    const certificate = await third.store.read(async (db) => certificateOf(db, (await findTask(db, task.id))!))
    const verified = verifyCertificate(nodePrimitives, verifierKey(logs[2]!.vkey), certificate!)
    assert.ok(verified.ok, JSON.stringify(verified))
    assert.equal(verified.value.closure.reason, 'restored')
    assert.ok(verified.value.restores.map((one) => one.restore).includes(first.restore))
  })
}

describe('a table', () => {
  for (const name of STORES) {
    test(`of the schema on ${name} is either in a backup or left out by name`, async (t) => {
      const of = await storeOfWrit(name, t)
      assert.deepEqual([...(await everyRow(of)).keys()].toSorted(), [...KEPT_TABLES.map((one) => one.name), ...LEFT_OUT].toSorted())
    })
  }
})

test('two backups of one store hold the same rows, and neither any secret that was sealed in it', async (t) => {
  const of = await storeOfWrit('sqlite', t)
  const shop = await fakeShop(of)
  const lease = await shop.lease(await shop.task())
  const secret = of.keys.secrets.unseal(lease.sealedSecret!, `lease:${lease.id}:secret`)
  const folder = temporaryFolder(t)
  await writeBackup(of, join(folder, 'one'))
  await writeBackup(of, join(folder, 'two'))
  const [one, two] = ['one', 'two'].map((file) => gunzipSync(readFileSync(join(folder, file))).toString('utf8').split('\n'))
  assert.deepEqual(one!.slice(1, -2), two!.slice(1, -2))
  assert.ok(!one!.some((line) => line.includes(secret)))
  assert.ok(one!.some((line) => line.includes(lease.id)))
})
