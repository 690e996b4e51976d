import { equal, fromBase64, toBase64 } from './bytes.ts'
import { isRecord, parseJson } from './canonical.ts'
import type { Checked } from './checked.ts'
import { openCheckpoint, type Checkpoint } from './checkpoint.ts'
import { HASH_BYTES, leafHashOfText, type Primitives, type Sha256 } from './hash.ts'
import { inert } from './inert.ts'
import type { Earlier } from './certificate.ts'
import { parseLeaf } from './leaf.ts'
import type { VerifierKey } from './note.ts'
import { readRestored, RESTORED, type Restored } from './restored.ts'
import { GrowingTree, type Range } from './tree.ts'

export const LOG_FORMAT = 'writ-log-export/1'

export type LogRefusalKind =
  /** The file is not an export: a line is not what `printLogLine` writes. */
  | 'malformed_export'
  | 'bad_checkpoint'
  | 'bad_earlier_checkpoint'
  /** Two signed checkpoints of one size have different roots. */
  | 'forked'
  /** The log is now smaller than it was: its tail was cut off, or an older copy put back. */
  | 'log_shorter'
  /** The export holds fewer leaves than its own checkpoint counts, or more. */
  | 'leaf_missing'
  | 'leaf_extra'
  /** Another number stands where this leaf should. */
  | 'leaf_number'
  /** The text of the leaf is not the one that was sealed. */
  | 'leaf_changed'
  /** The text is the one that was sealed, and the log's tile holds another hash for it. */
  | 'hash_changed'
  /** Leaf and tile agree with each other and not with the checkpoint. */
  | 'tree_changed'

export type LogRefusal = {
  readonly kind: LogRefusalKind
  readonly detail: string
  /** The number of the first bad leaf, where it can be told. */
  readonly firstBad: number | null
  /** Where the first bad leaf stands, when no more can be told. */
  readonly within: Range | null
}

export type VerifiedLog = {
  readonly checkpoint: Checkpoint
  /** The sizes of the earlier checkpoints that this log was found to continue. */
  readonly continues: readonly number[]
  /** What its first leaf says, where a restore opened it. */
  readonly restored: Restored | null
  /** Earlier checkpoints of the log before it, compared with what that leaf says. */
  readonly before: readonly Earlier[]
}

type Header = { readonly checkpoint: Checkpoint }
type Mark = { readonly size: number; readonly root: Uint8Array }
type Line = { readonly leaf: string; readonly hash: string }

/** The first line of an export, given its signed checkpoint. */
export const printLogHeader = ({ origin, size }: Pick<Checkpoint, 'origin' | 'size'>, note: string): string =>
  JSON.stringify({ format: LOG_FORMAT, origin, size, checkpoint: note })

/** The line of one leaf: its number, its canonical text, and its hash as the log's tile holds it. */
export const printLogLine = (index: number, leaf: string, tileHash: Uint8Array): string =>
  `${lineBefore(index)}${JSON.stringify(leaf)}${lineAfter(toBase64(tileHash))}`

/**
 * Reads a whole log once, in the memory of one line, and compares the tree of its leaves with its own checkpoint and with every
 * earlier one at its size. `lines` come from `linesOf`; `earlier` are signed notes that the auditor trusts.
 */
export function verifyLog(
  primitives: Primitives,
  key: VerifierKey,
  lines: Iterable<string | undefined>,
  earlier: readonly string[] = [],
): Checked<VerifiedLog, LogRefusal> {
  const marks: Mark[] = []
  const ofAnother: OfAnother[] = []
  for (const note of earlier) {
    const opened = openCheckpoint(primitives, key, note)
    if (opened.ok) marks.push(opened.value)
    else if (opened.refusal.kind === 'unsigned') ofAnother.push({ note, detail: opened.refusal.detail })
    else return refused('bad_earlier_checkpoint', `the earlier checkpoint: ${opened.refusal.detail}`)
  }
  let first: string | undefined
  let walk: Walk | undefined
  let checkpoint: Checkpoint | undefined
  for (const line of lines) {
    if (walk === undefined) {
      const header = readHeader(primitives, key, line)
      if (!header.ok) return header
      checkpoint = header.value.checkpoint
      const planned = planMarks(checkpoint, marks)
      if (!planned.ok) return planned
      walk = new Walk(primitives.sha256, planned.value)
    } else {
      const bad = walk.take(line)
      if (bad !== undefined) return { ok: false, refusal: bad }
      first ??= line
    }
  }
  if (walk === undefined || checkpoint === undefined) return refused('malformed_export', 'the file is empty')
  const bad = walk.end()
  if (bad !== undefined) return { ok: false, refusal: bad }
  const restored = restoredBy(primitives.sha256, first)
  const before = compareBefore(primitives, restored, ofAnother)
  return before.ok ? { ok: true, value: { checkpoint, continues: marks.map(({ size }) => size), restored, before: before.value } } : before
}

/** What the log's first leaf says of a log before it; null where it says nothing that can be read. */
function restoredBy(sha256: Sha256, line: string | undefined): Restored | null {
  const read = readLine(line, 0)
  const leaf = typeof read === 'string' ? undefined : parseLeaf(read.leaf)
  if (leaf?.ok !== true || leaf.value.type !== RESTORED) return null
  const restored = readRestored(sha256, leaf.value)
  return restored.ok ? restored.value : null
}

type OfAnother = { readonly note: string; readonly detail: string }

/** Checkpoints that this log's key did not sign: of the log before it, or of none that is known. */
function compareBefore(primitives: Primitives, restored: Restored | null, notes: readonly OfAnother[]): Checked<readonly Earlier[], LogRefusal> {
  const answers: Earlier[] = []
  for (const { note, detail } of notes) {
    const opened = restored === null ? undefined : openCheckpoint(primitives, restored.before, note)
    if (restored === null || opened?.ok !== true) return refused('bad_earlier_checkpoint', `the earlier checkpoint: ${detail}`)
    const { size, root } = opened.value
    const tree = [restored.stood, restored.known].find((one) => one?.size === size)
    if (tree && !equal(tree.root, root)) return refused('forked', `the log before had two different trees of ${size} leaves`)
    answers.push({ size, kind: tree ? 'same_tree' : 'not_evaluated' })
  }
  return { ok: true, value: answers }
}

function readHeader(primitives: Primitives, key: VerifierKey, line: string | undefined): Checked<Header, LogRefusal> {
  const parsed = line === undefined ? undefined : parseJson(line)
  const header = parsed?.ok === true ? parsed.value : undefined
  if (!isRecord(header, ['format', 'origin', 'size', 'checkpoint']) || header['format'] !== LOG_FORMAT) {
    return refused('malformed_export', `the first line is not the head of a \`${LOG_FORMAT}\``)
  }
  if (typeof header['checkpoint'] !== 'string') return refused('malformed_export', 'the checkpoint is not a text')
  const opened = openCheckpoint(primitives, key, header['checkpoint'])
  if (!opened.ok) return refused('bad_checkpoint', opened.refusal.detail)
  const { origin, size } = opened.value
  if (header['origin'] !== origin || header['size'] !== size) {
    return refused('bad_checkpoint', 'the head of the export names another origin or size than its checkpoint')
  }
  return { ok: true, value: { checkpoint: opened.value } }
}

/** The sizes at which the tree is compared, smallest first, each once. */
function planMarks(checkpoint: Checkpoint, earlier: readonly Mark[]): Checked<readonly Mark[], LogRefusal> {
  const bySize = new Map<number, Mark>()
  for (const mark of [checkpoint, ...earlier]) {
    const other = bySize.get(mark.size)
    if (other !== undefined && !equal(other.root, mark.root)) {
      return refused('forked', `two signed checkpoints show different trees of ${mark.size} leaves`, null, { from: 0, to: mark.size })
    }
    bySize.set(mark.size, mark)
  }
  const largest = earlier.reduce((most, { size }) => Math.max(most, size), 0)
  if (largest > checkpoint.size) {
    return refused('log_shorter', `the log has ${checkpoint.size} leaves and had ${largest} at the earlier checkpoint`, checkpoint.size)
  }
  return { ok: true, value: [...bySize.values()].toSorted((a, b) => a.size - b.size) }
}

/** One reading of a log. Two trees grow: of the leaves as they are, and, from the first difference on, of the hashes in the tiles. */
class Walk {
  readonly #sha256: Sha256
  readonly #marks: readonly Mark[]
  readonly #computed: GrowingTree
  #held: GrowingTree | undefined
  /** The first leaf whose text does not have the hash that its tile holds. */
  #differs: number | undefined
  #nextMark = 0
  /** Below this size all is as some trusted checkpoint says. */
  #soundBelow = 0

  constructor(sha256: Sha256, marks: readonly Mark[]) {
    this.#sha256 = sha256
    this.#marks = marks
    this.#computed = new GrowingTree(sha256)
    // A checkpoint of the empty log was compared when it was opened.
    while (this.#marks[this.#nextMark]?.size === 0) this.#nextMark++
  }

  /** Reads the next leaf; what is wrong, where something is. */
  take(text: string | undefined): LogRefusal | undefined {
    const index = this.#computed.size
    if (this.#nextMark === this.#marks.length) return this.#stop('leaf_extra', `the export goes on after its ${index} leaves`)
    const line = readLine(text, index)
    if (typeof line === 'string') {
      return this.#stop(line === 'malformed' ? 'malformed_export' : 'leaf_number', `line ${index + 2} is not that of leaf ${index}`)
    }
    const hash = leafHashOfText(this.#sha256, line.leaf)
    if (toBase64(hash) !== line.hash) {
      this.#differs ??= index
      this.#held ??= this.#computed.copy()
    }
    if (this.#held !== undefined) {
      const held = fromBase64(line.hash)
      if (held?.length !== HASH_BYTES) return this.#stop('malformed_export', `the hash of leaf ${index} is not 32 bytes in base64`)
      this.#held.append(held)
    }
    this.#computed.append(hash)
    return this.#computed.size === this.#marks[this.#nextMark]!.size ? this.#compare(this.#marks[this.#nextMark]!) : undefined
  }

  end(): LogRefusal | undefined {
    const size = this.#computed.size
    return this.#nextMark < this.#marks.length
      ? this.#stop('leaf_missing', `the export ends after ${size} leaves, its checkpoint counts ${this.#marks.at(-1)!.size}`)
      : undefined
  }

  #compare({ size, root }: Mark): LogRefusal | undefined {
    this.#nextMark++
    const differs = this.#differs ?? null
    if (equal(this.#computed.root(), root)) {
      this.#soundBelow = size
      return differs === null ? undefined : refusalOf('hash_changed', `leaf ${differs} is as sealed, and its tile holds another hash`, differs)
    }
    if (differs !== null && this.#held !== undefined && equal(this.#held.root(), root)) {
      return refusalOf('leaf_changed', `leaf ${differs} is not the text that was sealed`, differs)
    }
    const within = { from: this.#soundBelow, to: size }
    return refusalOf('tree_changed', `the leaves from ${within.from} to ${size - 1} are not those of the checkpoint at ${size}`, null, within)
  }

  /** The walk can't go on; a leaf that differed before was the first bad one. */
  #stop(kind: LogRefusalKind, detail: string): LogRefusal {
    return refusalOf(kind, detail, this.#differs ?? this.#computed.size)
  }
}

/**
 * Reads exactly what `printLogLine` writes. Only the leaf's text goes through a JSON parser: a string has no names that could stand
 * twice, and nothing else in the line has a second spelling.
 */
function readLine(text: string | undefined, index: number): Line | 'malformed' | 'number' {
  if (text === undefined) return 'malformed'
  const before = lineBefore(index)
  if (!text.startsWith(before)) return /^\{"i":\d{1,16},"leaf":"/.test(text) ? 'number' : 'malformed'
  const after = text.length - lineAfter('').length - BASE64_HASH
  const hash = text.slice(-BASE64_HASH - 2, -2)
  if (text.slice(after) !== lineAfter(hash)) return 'malformed'
  let leaf: unknown
  try {
    leaf = JSON.parse(text.slice(before.length, after))
  } catch {
    return 'malformed'
  }
  return typeof leaf === 'string' && leaf.isWellFormed() ? { leaf, hash } : 'malformed'
}

/** 32 bytes take 44 characters of base64. */
const BASE64_HASH = 44

const lineBefore = (index: number): string => `{"i":${index},"leaf":`
const lineAfter = (hash: string): string => `,"h":"${hash}"}`

const refusalOf = (kind: LogRefusalKind, detail: string, firstBad: number | null = null, within: Range | null = null): LogRefusal =>
  ({ kind, detail: inert(detail), firstBad, within })

const refused = (
  kind: LogRefusalKind, detail: string, firstBad: number | null = null, within: Range | null = null,
): { readonly ok: false; readonly refusal: LogRefusal } =>
  ({ ok: false, refusal: refusalOf(kind, detail, firstBad, within) })
