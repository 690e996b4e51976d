import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { leafText, makeKey, makeLog, primitives, sealNote, sha256 } from '../test/made-log.ts'
import { noise } from '../test/story.ts'
import { leafHashOfText } from './hash.ts'
import { printLogHeader, printLogLine, verifyLog, type LogRefusal } from './log.ts'

const SIZE = 120
const EARLIER = 80
const logKey = makeKey()
const LEAVES = Array.from({ length: SIZE }, (_, i) => leafText(noise(i)))
const log = makeLog(logKey, LEAVES)
const earlier = makeLog(logKey, LEAVES.slice(0, EARLIER)).note
const HEADER = log.lines[0]!

const refusalOf = (lines: Iterable<string | undefined>, notes: readonly string[] = [earlier]): LogRefusal | undefined => {
  const verified = verifyLog(primitives, logKey.key, lines, notes)
  return verified.ok ? undefined : verified.refusal
}
/** The lines of these leaves as an exporter would write them over the tiles of the true log. */
const exported = (leaves: readonly string[], header = HEADER): readonly string[] =>
  [header, ...leaves.map((leaf, i) => printLogLine(i, leaf, log.hashes[i] ?? leafHashOfText(sha256, leaf)))]
/** The lines of these leaves with tiles that were computed anew for them. */
const recomputed = (leaves: readonly string[]): readonly string[] =>
  [HEADER, ...leaves.map((leaf, i) => printLogLine(i, leaf, leafHashOfText(sha256, leaf)))]

test('a whole log verifies, and continues every earlier checkpoint that it is given', () => {
  const notes = [0, 1, EARLIER, SIZE].map((size) => makeLog(logKey, LEAVES.slice(0, size)).note)
  const verified = verifyLog(primitives, logKey.key, log.lines, notes)
  assert.ok(verified.ok)
  assert.equal(verified.value.checkpoint.size, SIZE)
  assert.deepEqual(verified.value.continues, [0, 1, EARLIER, SIZE])
})

test('an empty log verifies', () => assert.equal(refusalOf(makeLog(logKey, []).lines, []), undefined))

test('a leaf that was changed in the table is named', () => {
  assert.deepEqual(pick(refusalOf(exported(LEAVES.with(17, leafText(noise(9999)))))), ['leaf_changed', 17, null])
})

test('a hash that was changed in a tile is named, and its leaf is told to be as sealed', () => {
  const lines = log.lines.with(18, printLogLine(17, LEAVES[17]!, log.hashes[16]!))
  assert.deepEqual(pick(refusalOf(lines)), ['hash_changed', 17, null])
})

test('of two changed leaves the first is named', () => {
  assert.deepEqual(pick(refusalOf(exported(LEAVES.with(90, 'x').with(17, 'y')))), ['leaf_changed', 17, null])
})

test('a leaf changed with its tiles is somewhere below the first checkpoint that differs', () => {
  assert.deepEqual(pick(refusalOf(recomputed(LEAVES.with(17, 'x')))), ['tree_changed', null, { from: 0, to: EARLIER }])
  assert.deepEqual(pick(refusalOf(recomputed(LEAVES.with(90, 'x')))), ['tree_changed', null, { from: EARLIER, to: SIZE }])
})

test('a leaf that is missing is named, and so is where the export is cut off', () => {
  assert.deepEqual(pick(refusalOf(log.lines.toSpliced(18, 1))), ['leaf_number', 17, null])
  assert.deepEqual(pick(refusalOf(log.lines.slice(0, -1))), ['leaf_missing', SIZE - 1, null])
  assert.deepEqual(pick(refusalOf([HEADER])), ['leaf_missing', 0, null])
})

test('a leaf that was put in is named, and so is what stands behind the end', () => {
  assert.deepEqual(pick(refusalOf(log.lines.toSpliced(18, 0, log.lines[18]!))), ['leaf_number', 18, null])
  assert.deepEqual(pick(refusalOf([...log.lines, printLogLine(SIZE, 'x', log.hashes[0]!)])), ['leaf_extra', SIZE, null])
  assert.deepEqual(pick(refusalOf([...log.lines, ''])), ['leaf_extra', SIZE, null])
})

test('two leaves in each other\'s place are found at the first of them', () => {
  assert.deepEqual(pick(refusalOf(exported(LEAVES.with(17, LEAVES[60]!).with(60, LEAVES[17]!)))), ['leaf_changed', 17, null])
})

test('a log put back from an older copy is told by its first lost leaf', () => {
  assert.deepEqual(pick(refusalOf(makeLog(logKey, LEAVES.slice(0, 50)).lines)), ['log_shorter', 50, null])
})

test('a log written wholly anew with its own key is found by the earlier checkpoint, and not without one', () => {
  const anew = makeLog(logKey, LEAVES.with(17, leafText(noise(9999)))).lines
  assert.deepEqual(pick(refusalOf(anew)), ['tree_changed', null, { from: 0, to: EARLIER }])
  assert.equal(refusalOf(anew, []), undefined)
})

test('two signed checkpoints of one size with different trees show a fork', () => {
  const fork = makeLog(logKey, LEAVES.toReversed()).note
  assert.equal(refusalOf(log.lines, [fork])?.kind, 'forked')
  assert.equal(refusalOf(log.lines, [earlier, makeLog(logKey, LEAVES.slice(0, EARLIER).toReversed()).note])?.kind, 'forked')
})

for (const { what, lines, kind } of [
  { what: 'is empty', lines: [], kind: 'malformed_export' },
  { what: 'has no head', lines: log.lines.slice(1), kind: 'malformed_export' },
  { what: 'has another format', lines: [HEADER.replace('export/1', 'export/2'), ...log.lines.slice(1)], kind: 'malformed_export' },
  { what: 'has a field too many in its head', lines: [HEADER.replace('{', '{"a":1,'), ...log.lines.slice(1)], kind: 'malformed_export' },
  { what: 'counts another size in its head', lines: [HEADER.replace(`"size":${SIZE}`, '"size":3'), ...log.lines.slice(1)], kind: 'bad_checkpoint' },
  { what: 'names another log in its head', lines: [HEADER.replace('"origin":"writ', '"origin":"w'), ...log.lines.slice(1)], kind: 'bad_checkpoint' },
  {
    what: 'is signed by a stranger',
    lines: [printLogHeader(log.checkpoint, sealNote(makeKey(), log.checkpoint)), ...log.lines.slice(1)],
    kind: 'bad_checkpoint',
  },
  { what: 'has a line with a space', lines: log.lines.with(5, log.lines[5]!.replace(',', ', ')), kind: 'malformed_export' },
  { what: 'has a line with a field too many', lines: log.lines.with(5, log.lines[5]!.replace(/}$/, ',"x":1}')), kind: 'malformed_export' },
  {
    what: 'has a line with a second leaf',
    lines: log.lines.with(5, log.lines[5]!.replace('"leaf":', '"leaf":"x","leaf":')),
    kind: 'malformed_export',
  },
  {
    what: 'has a line with a lone surrogate',
    lines: log.lines.with(5, log.lines[5]!.replace('"leaf":"', '"leaf":"\\ud800')),
    kind: 'malformed_export',
  },
  { what: 'has Windows line ends', lines: log.lines.map((line, i) => (i === 0 ? line : `${line}\r`)), kind: 'malformed_export' },
  { what: 'has a line that is not UTF-8', lines: log.lines.with(5, undefined!), kind: 'malformed_export' },
  { what: 'has an empty line', lines: log.lines.with(5, ''), kind: 'malformed_export' },
  { what: 'has a hash that is none', lines: log.lines.with(5, log.lines[5]!.replace(/.{44}"}$/, `${'!'.repeat(44)}"}`)), kind: 'malformed_export' },
]) {
  test(`an export is refused when it ${what}`, () => {
    assert.equal(refusalOf(lines)?.kind, kind)
  })
}

test('an earlier checkpoint that the log\'s key did not sign is refused', () => {
  assert.equal(refusalOf(log.lines, [makeLog(makeKey(), LEAVES).note])?.kind, 'bad_earlier_checkpoint')
  assert.equal(refusalOf(log.lines, [''])?.kind, 'bad_earlier_checkpoint')
})

test('of 1,000 random changes below an earlier checkpoint, 1,000 are found', () => {
  let tried = 0
  const below = fc.nat({ max: EARLIER - 1 })
  const how = fc.constantFrom('change', 'delete', 'insert', 'swap', 'truncate', 'older copy', 'shuffle')
  const who = fc.constantFrom('rows only', 'rows and tiles', 'rows, tiles and the log key')
  fc.assert(fc.property(how, who, below, below, fc.string(), (change, hand, a, b, text) => {
    const leaves = mutate(change, LEAVES, a, b, text)
    if (leaves.length === LEAVES.length && leaves.every((leaf, i) => leaf === LEAVES[i])) return
    tried++
    const lines = hand === 'rows only' ? exported(leaves) : hand === 'rows and tiles' ? recomputed(leaves) : makeLog(logKey, leaves).lines
    const refusal = refusalOf(lines)
    assert.ok(refusal !== undefined, `${change} by ${hand} at ${a}`)
    const first = LEAVES.findIndex((leaf, i) => leaf !== leaves[i])
    if (refusal.firstBad !== null) assert.equal(refusal.firstBad, hand === 'rows only' ? first : leaves.length)
    else assert.ok(refusal.within!.from <= first && first < refusal.within!.to)
  }), { numRuns: 1200 })
  assert.ok(tried >= 1000, `${tried} changes`)
})

function mutate(change: string, leaves: readonly string[], a: number, b: number, text: string): readonly string[] {
  switch (change) {
    case 'change': return leaves.with(a, text)
    case 'delete': return leaves.toSpliced(a, 1)
    case 'insert': return leaves.toSpliced(a, 0, text)
    case 'swap': return leaves.with(a, leaves[b]!).with(b, leaves[a]!)
    case 'truncate': return leaves.slice(0, a)
    case 'older copy': return [...leaves.slice(0, a), ...leaves.slice(a, b).map(() => text)]
    default: return leaves.toSorted((x, y) => (leafHashOfText(sha256, x)[0]! + a) % 256 - (leafHashOfText(sha256, y)[0]! + a) % 256)
  }
}

const pick = (refusal: LogRefusal | undefined): unknown => refusal === undefined ? 'ok' : [refusal.kind, refusal.firstBad, refusal.within]
