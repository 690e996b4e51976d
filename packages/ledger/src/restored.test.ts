import assert from 'node:assert/strict'
import { test } from 'node:test'
import { leafText, makeKey, makeLog, primitives, receiptsOf, sealNote, type MadeEvent } from '../test/made-log.ts'
import { story } from '../test/story.ts'
import { toBase64 } from './bytes.ts'
import { printCertificate, verifyCertificate } from './certificate.ts'
import { describeLog } from './describe.ts'
import { linesOf } from './lines.ts'
import { verifyLog, type VerifiedLog } from './log.ts'
import { printVerifierKey } from './note.ts'
import type { Receipt } from './receipt.ts'

const oldKey = makeKey('writ.example/logs/non-human')
const newKey = makeKey('writ.example/logs/non-human/rst_1')

type Known = { readonly size: number; readonly root: Uint8Array } | null

/** The story, cut in two by a restore: the first `cut` events stand in the old log, the others in the new one, behind its first leaf. */
function cutStory(cut: number, known: Known = null, more: Readonly<Record<string, string>> = {}) {
  const old = makeLog(oldKey, story.slice(0, cut).map(leafText))
  const { size, root } = old.checkpoint
  const first: MadeEvent = {
    id: 'evt_restored', type: 'log.restored', at: 1_795_327_300_000,
    facts: {
      restore: 'rst_1', backup: 'bkp_1', backup_at: 1_795_327_200_000, origin: oldKey.key.name, vkey: printVerifierKey(oldKey.key), size, root: toBase64(root),
      known_size: known?.size ?? null, known_root: known === null ? null : toBase64(known.root), first_leaf: size, ...more,
    },
  }
  const later = [first, ...story.slice(cut)]
  const log = makeLog(newKey, later.map(leafText))
  const receipts: readonly Receipt[] = [
    ...receiptsOf(old, story.slice(0, cut)).map((receipt) => ({ ...receipt, log: oldKey.key.name })),
    ...receiptsOf(log, later),
  ]
  return { old, log, receipts }
}

const printed = (note: string, receipts: readonly Receipt[]) => printCertificate(primitives.sha256, note, receipts)

test('a task that a restore cut in two has one certificate, which the new key alone proves', () => {
  for (let cut = 1; cut < story.length; cut++) {
    const { old, log, receipts } = cutStory(cut)
    const certificate = printed(log.note, receipts)
    assert.ok(certificate.ok, JSON.stringify(certificate))
    const verified = verifyCertificate(primitives, newKey.key, certificate.value, [old.note])
    assert.ok(verified.ok, JSON.stringify(verified))
    assert.deepEqual(verified.value.restores.map((one) => one.restore), ['rst_1'])
    assert.deepEqual(verified.value.earlier, [{ size: cut, kind: 'same_tree' }])
    assert.ok(!verifyCertificate(primitives, oldKey.key, certificate.value).ok)
  }
})

test('its summary is the one that it would have had without the restore', () => {
  const whole = makeLog(oldKey, story.map(leafText))
  const undisturbed = printed(whole.note, receiptsOf(whole, story))
  const { log, receipts } = cutStory(2)
  const cut = printed(log.note, receipts)
  assert.ok(undisturbed.ok && cut.ok)
  const summaryOf = (text: string): unknown => (JSON.parse(text) as { summary: unknown }).summary
  assert.deepEqual(summaryOf(cut.value), summaryOf(undisturbed.value))
})

const BROKEN: readonly { readonly what: string; readonly kind: string; readonly receipts: () => { readonly note: string; readonly receipts: readonly Receipt[] } }[] = [
  { what: 'the leaf of the restore is left out', kind: 'foreign_receipt', receipts: () => { const { log, receipts } = cutStory(2); return { note: log.note, receipts: receipts.filter((one) => !one.leaf.includes('log.restored')) } } },
  { what: 'a receipt of the old log says that it is of the new one', kind: 'not_included', receipts: () => { const { log, receipts } = cutStory(2); return { note: log.note, receipts: receipts.map(({ log: _log, ...one }) => one) } } },
  { what: 'a receipt names a log that nobody told of', kind: 'foreign_receipt', receipts: () => { const { log, receipts } = cutStory(2); return { note: log.note, receipts: receipts.map((one) => (one.log === undefined ? one : { ...one, log: 'writ.example/elsewhere' })) } } },
  { what: 'the old log is named after a key that is none', kind: 'malformed_facts', receipts: () => { const { log, receipts } = cutStory(2, null, { vkey: 'no key' }); return { note: log.note, receipts } } },
  { what: 'the root that the restore names is another', kind: 'not_included', receipts: () => { const { log, receipts } = cutStory(2, null, { root: toBase64(new Uint8Array(32)) }); return { note: log.note, receipts } } },
  { what: 'the new receipts stand before the old ones', kind: 'foreign_receipt', receipts: () => { const { log, receipts } = cutStory(2); return { note: log.note, receipts: receipts.toReversed() } } },
]

for (const { what, kind, receipts } of BROKEN) {
  test(`a certificate over a restore is refused when ${what}`, () => {
    const { note, receipts: given } = receipts()
    const certificate = printed(note, given)
    assert.ok(!certificate.ok)
    assert.equal(certificate.refusal.kind, kind)
  })
}

function readLog(known: Known, earlier: readonly string[]) {
  const { log } = cutStory(3, known)
  return verifyLog(primitives, newKey.key, linesOf([Buffer.from(`${log.lines.join('\n')}\n`)]), earlier)
}

const lostIn = (value: VerifiedLog): string => describeLog(value).find((line) => line.includes('lost'))!.trim()

test('the export of a restored log says how much of the one before is lost, or that nobody knows', () => {
  const unknown = readLog(null, [])
  assert.ok(unknown.ok && unknown.value.restored !== null)
  assert.equal(lostIn(unknown.value), 'leaves of it that are lost: not evaluated')
  const known = readLog({ size: 10, root: new Uint8Array(32).fill(7) }, [])
  assert.ok(known.ok)
  assert.equal(lostIn(known.value), 'leaves of it that are lost: at least 7, from 3 on')
})

test('an auditor\'s own checkpoint of the log before counts more than what the restore was told', () => {
  const later = sealNote(oldKey, { origin: oldKey.key.name, size: 12, root: new Uint8Array(32).fill(9), extensions: [] })
  const read = readLog({ size: 10, root: new Uint8Array(32).fill(7) }, [later])
  assert.ok(read.ok, JSON.stringify(read))
  assert.deepEqual(read.value.before, [{ size: 12, kind: 'not_evaluated' }])
  assert.equal(lostIn(read.value), 'leaves of it that are lost: at least 9, from 3 on')
})

test('a checkpoint of the log before with another tree of the same size is a fork, and one of a stranger is refused', () => {
  const twin = sealNote(oldKey, { origin: oldKey.key.name, size: 3, root: new Uint8Array(32).fill(9), extensions: [] })
  const forked = readLog(null, [twin])
  assert.ok(!forked.ok && forked.refusal.kind === 'forked')
  const knownTwin = readLog({ size: 10, root: new Uint8Array(32).fill(7) }, [sealNote(oldKey, { origin: oldKey.key.name, size: 10, root: new Uint8Array(32).fill(9), extensions: [] })])
  assert.ok(!knownTwin.ok && knownTwin.refusal.kind === 'forked')
  const stranger = makeKey('writ.example/logs/human')
  const refused = readLog(null, [sealNote(stranger, { origin: stranger.key.name, size: 3, root: new Uint8Array(32), extensions: [] })])
  assert.ok(!refused.ok && refused.refusal.kind === 'bad_earlier_checkpoint')
})
