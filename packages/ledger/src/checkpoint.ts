import { equal, fromBase64, toBase64 } from './bytes.ts'
import { fails, holds, type Checked } from './checked.ts'
import { emptyRoot, HASH_BYTES, type Primitives } from './hash.ts'
import { inert } from './inert.ts'
import { openNote, type VerifierKey } from './note.ts'

/** C2SP tlog-checkpoint: what a log says of itself at one size. */
export type Checkpoint = {
  readonly origin: string
  readonly size: number
  readonly root: Uint8Array
  /** Opaque lines. Ours write none; the specification advises against them. */
  readonly extensions: readonly string[]
}

/** The note text to be signed. Throws on what no checkpoint can say. */
export function printCheckpoint({ origin, size, root, extensions }: Checkpoint): string {
  const lines = [origin, String(size), toBase64(root), ...extensions]
  const good = Number.isSafeInteger(size) && size >= 0 && root.length === HASH_BYTES && lines.every((line) => line !== '' && !line.includes('\n'))
  if (!good) throw new Error('a checkpoint has an origin, a size, a root of 32 bytes and no empty line')
  return `${lines.join('\n')}\n`
}

export function parseCheckpoint(text: string): Checked<Checkpoint> {
  const lines = text.split('\n')
  if (lines.pop() !== '' || lines.length < 3 || lines.includes('')) {
    return fails('malformed_checkpoint', 'a checkpoint is three or more lines, none of them empty')
  }
  const [origin = '', size = '', root = '', ...extensions] = lines
  if (!/^(0|[1-9]\d{0,15})$/.test(size) || !Number.isSafeInteger(Number(size))) return fails('malformed_checkpoint', `no size \`${inert(size)}\``)
  const hash = fromBase64(root)
  if (hash?.length !== HASH_BYTES) return fails('malformed_checkpoint', 'the root is not 32 bytes in base64')
  return holds({ origin, size: Number(size), root: hash, extensions })
}

/** The checkpoint in a note, signed by this log's key; the key is named for the log, so that one log's checkpoint can't stand for another's. */
export function openCheckpoint(primitives: Primitives, key: VerifierKey, note: string): Checked<Checkpoint> {
  const opened = openNote(primitives, key, note)
  if (!opened.ok) return opened
  const parsed = parseCheckpoint(opened.value)
  if (!parsed.ok) return parsed
  const { origin, size, root } = parsed.value
  if (origin !== key.name) return fails('wrong_origin', `the checkpoint is of \`${inert(origin)}\` and the key of \`${inert(key.name)}\``)
  if (size === 0 && !equal(root, emptyRoot(primitives.sha256))) {
    return fails('malformed_checkpoint', 'the root of an empty log is not the hash of nothing')
  }
  return parsed
}
