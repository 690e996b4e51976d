import { equal } from './bytes.ts'
import { HASH_BYTES, nodeHash, type Sha256 } from './hash.ts'
import { splitPoint, type Range } from './tree.ts'

export type Inclusion = {
  readonly index: number
  readonly size: number
  readonly leafHash: Uint8Array
  readonly proof: readonly Uint8Array[]
  readonly root: Uint8Array
}

export type Consistency = {
  readonly size1: number
  readonly root1: Uint8Array
  readonly size2: number
  readonly root2: Uint8Array
  readonly proof: readonly Uint8Array[]
}

/** RFC 9162 §2.1.3.1 PATH: the ranges whose hashes prove that a leaf stands in the tree, leaf first. */
export function inclusionRanges(index: number, size: number): readonly Range[] {
  if (!isSize(size) || !isSize(index) || index >= size) throw new RangeError(`no leaf ${index} in a tree of ${size}`)
  const ranges: Range[] = []
  let from = 0
  let to = size
  while (to - from > 1) {
    const middle = from + splitPoint(to - from)
    if (index < middle) {
      ranges.push({ from: middle, to })
      to = middle
    } else {
      ranges.push({ from, to: middle })
      from = middle
    }
  }
  return ranges.toReversed()
}

/** RFC 9162 §2.1.4.1 SUBPROOF: the ranges whose hashes prove that the first `size1` leaves of a tree of `size2` did not change. */
export function consistencyRanges(size1: number, size2: number): readonly Range[] {
  if (!isSize(size1) || !isSize(size2) || size1 < 1 || size1 > size2) throw new RangeError(`no consistency proof from ${size1} to ${size2}`)
  const ranges: Range[] = []
  let from = 0
  let to = size2
  // The old tree ends inside [from, to); everything left of `from` belongs to both trees.
  while (size1 < to) {
    const middle = from + splitPoint(to - from)
    if (size1 <= middle) {
      ranges.push({ from: middle, to })
      to = middle
    } else {
      ranges.push({ from, to: middle })
      from = middle
    }
  }
  // The last subtree is the old tree itself when nothing was left of it, and the verifier has that root already.
  if (from > 0) ranges.push({ from, to })
  return ranges.toReversed()
}

/** RFC 9162 §2.1.3.2. */
export function verifyInclusion(sha256: Sha256, { index, size, leafHash, proof, root }: Inclusion): boolean {
  if (!isSize(size) || !isSize(index) || index >= size || !areHashes([leafHash, root, ...proof])) return false
  let fn = index
  let sn = size - 1
  let hash = leafHash
  for (const beside of proof) {
    if (sn === 0) return false
    if (fn % 2 === 1 || fn === sn) {
      hash = nodeHash(sha256, beside, hash)
      while (fn % 2 === 0 && fn !== 0) {
        fn /= 2
        sn = half(sn)
      }
    } else {
      hash = nodeHash(sha256, hash, beside)
    }
    fn = half(fn)
    sn = half(sn)
  }
  return sn === 0 && equal(hash, root)
}

/**
 * RFC 9162 §2.1.4.2. Consistency with the empty tree is refused: every log is consistent with it, so that a proof of it proves
 * nothing, and a caller that asks for one has lost the checkpoint it meant.
 */
export function verifyConsistency(sha256: Sha256, { size1, root1, size2, root2, proof }: Consistency): boolean {
  if (!isSize(size1) || !isSize(size2) || size1 < 1 || size1 > size2) return false
  if (size1 === size2) return proof.length === 0 && equal(root1, root2)
  if (!areHashes([root1, root2, ...proof])) return false
  const path = isPowerOfTwo(size1) ? [root1, ...proof] : proof
  const [first, ...rest] = path
  if (first === undefined || proof.length === 0) return false
  let fn = size1 - 1
  let sn = size2 - 1
  while (fn % 2 === 1) {
    fn = half(fn)
    sn = half(sn)
  }
  let fr = first
  let sr = first
  for (const beside of rest) {
    if (sn === 0) return false
    if (fn % 2 === 1 || fn === sn) {
      fr = nodeHash(sha256, beside, fr)
      sr = nodeHash(sha256, beside, sr)
      while (fn % 2 === 0 && fn !== 0) {
        fn /= 2
        sn = half(sn)
      }
    } else {
      sr = nodeHash(sha256, sr, beside)
    }
    fn = half(fn)
    sn = half(sn)
  }
  return sn === 0 && equal(fr, root1) && equal(sr, root2)
}

// Sizes go past 2^32, where shifts would cut them.
const half = (value: number): number => Math.floor(value / 2)

/** A number of leaves, or the number of a leaf, that a double holds exactly. */
export const isSize = (value: number): boolean => Number.isSafeInteger(value) && value >= 0

const areHashes = (hashes: readonly Uint8Array[]): boolean => hashes.every((hash) => hash.length === HASH_BYTES)

function isPowerOfTwo(value: number): boolean {
  let rest = value
  while (rest % 2 === 0) rest /= 2
  return rest === 1
}
