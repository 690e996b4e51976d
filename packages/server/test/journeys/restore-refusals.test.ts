import assert from 'node:assert/strict'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { before, describe, test } from 'node:test'
import { gunzipSync, gzipSync } from 'node:zlib'
import type { RestoreRefusal } from '../../src/restore.ts'
import { findLog } from '../../src/store/logs.ts'
import { emptyPlace, folderForSuite, restored, restoreTo, sqlAt, temporaryFolder, writeBackup, type Place } from '../backups.ts'
import { fakeShop } from '../fake-shop.ts'
import { recordStarts } from '../recorded.ts'
import { storeForSuite, storeOfWrit, STORES } from '../store-of-writ.ts'

type Damage = { readonly what: string; readonly refusal: readonly RestoreRefusal['kind'][]; readonly damage: (whole: Buffer) => Buffer }

const lines = (whole: Buffer): string[] => gunzipSync(whole).toString('utf8').split('\n')
const packed = (text: readonly string[]): Buffer => gzipSync(text.join('\n'))
const inHead = (whole: Buffer, change: (head: Record<string, unknown>) => Record<string, unknown>): Buffer => {
  const [head, ...rest] = lines(whole)
  return packed([JSON.stringify(change(JSON.parse(head!) as Record<string, unknown>)), ...rest])
}

const DAMAGES: readonly Damage[] = [
  { what: 'nothing in it', refusal: ['malformed', 'cut'], damage: () => Buffer.alloc(0) },
  { what: 'other bytes in it', refusal: ['malformed'], damage: () => Buffer.from('this is no backup at all, but a letter') },
  { what: 'something else compressed', refusal: ['malformed'], damage: () => packed(['{"hello":"world"}', '']) },
  { what: 'half of its bytes', refusal: ['cut', 'malformed'], damage: (whole) => whole.subarray(0, whole.length >> 1) },
  { what: 'all of its bytes but the last', refusal: ['cut', 'malformed'], damage: (whole) => whole.subarray(0, -1) },
  { what: 'no last line', refusal: ['cut'], damage: (whole) => packed([...lines(whole).slice(0, -2), '']) },
  { what: 'no newline at its end', refusal: ['cut'], damage: (whole) => packed(lines(whole).slice(0, -1)) },
  { what: 'a line after its end', refusal: ['malformed'], damage: (whole) => packed([...lines(whole).slice(0, -1), '["more"]', '']) },
  { what: 'another backup after its end', refusal: ['malformed'], damage: (whole) => Buffer.concat([whole, whole]) },
  { what: 'a row left out', refusal: ['not_authentic'], damage: (whole) => packed(lines(whole).filter((line) => !line.includes('"server.started"'))) },
  { what: 'a row twice', refusal: ['not_authentic'], damage: (whole) => packed(lines(whole).flatMap((line) => (line.startsWith('["tsk_') ? [line, line] : [line]))) },
  { what: 'a value changed', refusal: ['not_authentic'], damage: (whole) => packed(lines(whole).map((line) => line.replace('keeps the shop tidy', 'keeps the shop untidy'))) },
  { what: 'a table of another name', refusal: ['not_authentic'], damage: (whole) => packed(lines(whole).map((line) => line.replace('{"table":"finding"', '{"table":"pg_authid"'))) },
  { what: 'a row with a column too many', refusal: ['not_authentic'], damage: (whole) => packed(lines(whole).map((line) => (line.startsWith('["tsk_') ? line.replace(/\]$/, ',1]') : line))) },
  { what: 'another id in its head', refusal: ['not_authentic'], damage: (whole) => inHead(whole, (head) => ({ ...head, backup: 'bkp_another' })) },
  { what: 'another size of a log in its head', refusal: ['not_authentic'], damage: (whole) => inHead(whole, (head) => ({ ...head, logs: (head['logs'] as object[]).map((log) => ({ ...log, size: 1 })) })) },
  { what: 'a later format', refusal: ['unknown_format'], damage: (whole) => inHead(whole, (head) => ({ ...head, format: 'writ-backup/2' })) },
  { what: 'migrations of a newer release', refusal: ['other_release'], damage: (whole) => inHead(whole, (head) => ({ ...head, release: 3, migrations: [...head['migrations'] as string[], '0099-later'] })) },
  { what: 'migrations of an older release', refusal: ['other_release'], damage: (whole) => inHead(whole, (head) => ({ ...head, release: 1, migrations: (head['migrations'] as string[]).slice(0, 3) })) },
]

async function assertNothingWritten(place: Place): Promise<void> {
  if (place.kind === 'sqlite') assert.ok(!existsSync(place.directory), 'there is no data directory')
  else assert.equal(Number((await sqlAt(place)('select count(*) as n from information_schema.tables where table_schema = \'public\''))[0]!['n']), 0)
}

describe('a restore is refused and writes nothing when the backup has', () => {
  const of = storeForSuite('sqlite')
  const folder = folderForSuite()
  let whole: Buffer
  before(async () => {
    const shop = await fakeShop(of())
    await shop.lease(await shop.task())
    await of().sealAll()
    const file = join(folder(), 'whole')
    await writeBackup(of(), file)
    whole = readFileSync(file)
  })
  for (const name of STORES) {
    for (const { what, refusal, damage } of DAMAGES) {
      test(`${what}, on ${name}`, async (t) => {
        const place = await emptyPlace(name, t)
        const file = join(temporaryFolder(t), 'damaged')
        writeFileSync(file, damage(whole))
        const outcome = await restoreTo(place, of(), { file })
        assert.ok(!outcome.ok && refusal.includes(outcome.refusal.kind), JSON.stringify(outcome))
        await assertNothingWritten(place)
      })
    }
  }
  test('any one byte changed', async (t) => {
    const file = join(temporaryFolder(t), 'damaged')
    for (let i = 0; i < 100; i++) {
      const place = await emptyPlace('sqlite', t)
      const damaged = Buffer.from(whole)
      const at = 10 + Math.floor((whole.length - 19) * (i / 100)) // the head and tail of gzip hold bytes that nobody reads
      damaged[at] = damaged[at]! ^ (1 << (i % 8))
      writeFileSync(file, damaged)
      const outcome = await restoreTo(place, of(), { file })
      assert.ok(!outcome.ok, `byte ${at}`)
      await assertNothingWritten(place)
    }
  })
  test('another installation\'s master key', async (t) => {
    const other = await storeOfWrit('sqlite', t)
    const place = await emptyPlace('sqlite', t)
    const file = join(temporaryFolder(t), 'whole')
    writeFileSync(file, whole)
    const outcome = await restoreTo(place, other, { file })
    assert.ok(!outcome.ok && outcome.refusal.kind === 'keys' && outcome.refusal.message.includes('sealed under master key'))
    await assertNothingWritten(place)
  })
})

for (const name of STORES) {
  test(`a restore into a store of ${name} that holds something is refused, and leaves it as it is`, async (t) => {
    const of = await storeOfWrit(name, t)
    const file = join(temporaryFolder(t), 'whole')
    await writeBackup(of, file)
    const count = async (): Promise<number> => Number((await of.sql('select count(*) as n from event'))[0]!['n'])
    const before = await count()
    const outcome = await restoreTo(of.place.store, of, { file })
    assert.ok(!outcome.ok && outcome.refusal.kind === 'not_empty')
    assert.equal(await count(), before)
  })

  test(`a checkpoint from outside that the backup's log on ${name} does not continue is refused, and so is one of another log`, async (t) => {
    const of = await storeOfWrit(name, t)
    await recordStarts(of, 30)
    await of.sealAll()
    const file = join(temporaryFolder(t), 'whole')
    await writeBackup(of, file)
    // The same log, written anew: another tree of the same size under the same key.
    const twin = await emptyPlace(name, t)
    const { note, size } = (await of.store.read((db) => findLog(db, 'non-human')))!
    const other = await storeOfWrit('sqlite', t)
    await recordStarts(other, 30)
    await other.sealAll()
    const foreign = (await other.store.read((db) => findLog(db, 'non-human')))!
    const strange = await restoreTo(twin, of, { file, checkpoints: [note, foreign.note] })
    assert.ok(!strange.ok && strange.refusal.kind === 'foreign_checkpoint' && strange.refusal.nth === 1)
    await assertNothingWritten(twin)

    const { signCheckpoint } = await import('../../src/record/seal.ts')
    const { toVerifierKey } = await import('@writ/ledger/note')
    const { sha256 } = await import('../../src/record/append.ts')
    const head = (await of.store.read((db) => findLog(db, 'non-human')))!
    const forged = signCheckpoint(of.keys.signers['non-human'], toVerifierKey(sha256, head.origin, of.keys.signers['non-human'].publicKey()), { origin: head.origin, size: size - 1, root: new Uint8Array(32) })
    const forked = await restoreTo(twin, of, { file, checkpoints: [forged] })
    assert.ok(!forked.ok && forked.refusal.kind === 'forked' && forked.refusal.size === size - 1)
    assert.deepEqual((await sqlAt(twin)('select count(*) as n from restore')).map((row) => Number(row['n'])), [0])
    await restored(twin, of, { file, checkpoints: [note] })
  })
}
