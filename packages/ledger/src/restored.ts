import { fromBase64 } from './bytes.ts'
import { fails, holds, type Checked } from './checked.ts'
import { readFacts } from './facts.ts'
import { HASH_BYTES, type Sha256 } from './hash.ts'
import { inert } from './inert.ts'
import type { Leaf } from './leaf.ts'
import { parseVerifierKey, type VerifierKey } from './note.ts'

/** The type of the first leaf of a log that a restore opened. */
export const RESTORED = 'log.restored'

export type Tree = { readonly size: number; readonly root: Uint8Array }

/** What the first leaf of a log says of the log before it: where that stood in the backup, and what was known of it outside. */
export type Restored = {
  readonly at: number
  readonly restore: string
  readonly backup: string
  readonly backupAt: number
  /** The log that ended, and its key. */
  readonly before: VerifierKey
  readonly stood: Tree
  /** The newest checkpoint of it that was given to the restore; null where none was, or none newer than the backup. */
  readonly known: Tree | null
}

/** How many leaves of the log before are lost, by what was known; null where nothing was. `seen`: sizes at which others saw it. */
export function leavesLost({ stood, known }: Restored, seen: readonly number[] = []): number | null {
  const sizes = [...(known === null ? [] : [known.size]), ...seen]
  return sizes.length === 0 ? null : Math.max(0, Math.max(...sizes) - stood.size)
}

export function readRestored(sha256: Sha256, leaf: Leaf): Checked<Restored> {
  const read = readFacts(leaf, (facts) => ({
    restore: facts.text('restore'), backup: facts.text('backup'), backupAt: facts.instant('backup_at'), origin: facts.text('origin'), vkey: facts.text('vkey'),
    size: facts.count('size'), root: facts.text('root'),
    knownRoot: facts.textOrNull('known_root'), knownSize: facts.textOrNull('known_root') === null ? null : facts.count('known_size'),
  }))
  if (!read.ok) return read
  const { restore, backup, backupAt, origin, vkey, size, knownSize } = read.value
  const before = parseVerifierKey(sha256, vkey)
  const root = fromBase64(read.value.root)
  const knownRoot = read.value.knownRoot === null ? undefined : fromBase64(read.value.knownRoot)
  const known = knownSize === null || knownRoot === undefined ? null : { size: knownSize, root: knownRoot }
  if (!before.ok || before.value.name !== origin) return fails('malformed_facts', `the restore names no key of the log \`${inert(origin)}\``)
  if (root?.length !== HASH_BYTES || (knownRoot !== undefined && knownRoot.length !== HASH_BYTES)) return fails('malformed_facts', 'the restore names a root that is none')
  return holds({ at: leaf.at, restore, backup, backupAt, before: before.value, stood: { size, root }, known })
}
