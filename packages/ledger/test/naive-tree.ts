import { splitPoint } from '../src/tree.ts'
import { emptyRoot, nodeHash } from '../src/hash.ts'
import { sha256 } from './made-log.ts'

/** RFC 9162 §2.1.1 MTH, word for word. */
export function naiveRoot(leaves: readonly Uint8Array[]): Uint8Array {
  if (leaves.length === 0) return emptyRoot(sha256)
  if (leaves.length === 1) return leaves[0]!
  const k = splitPoint(leaves.length)
  return nodeHash(sha256, naiveRoot(leaves.slice(0, k)), naiveRoot(leaves.slice(k)))
}

/** RFC 9162 §2.1.3.1 PATH, word for word. */
export function naiveInclusion(index: number, leaves: readonly Uint8Array[]): readonly Uint8Array[] {
  if (leaves.length === 1) return []
  const k = splitPoint(leaves.length)
  return index < k
    ? [...naiveInclusion(index, leaves.slice(0, k)), naiveRoot(leaves.slice(k))]
    : [...naiveInclusion(index - k, leaves.slice(k)), naiveRoot(leaves.slice(0, k))]
}

/** RFC 9162 §2.1.4.1 PROOF, word for word. */
export const naiveConsistency = (size1: number, leaves: readonly Uint8Array[]): readonly Uint8Array[] => subproof(size1, leaves, true)

function subproof(m: number, leaves: readonly Uint8Array[], whole: boolean): readonly Uint8Array[] {
  if (m === leaves.length) return whole ? [] : [naiveRoot(leaves)]
  const k = splitPoint(leaves.length)
  return m <= k
    ? [...subproof(m, leaves.slice(0, k), whole), naiveRoot(leaves.slice(k))]
    : [...subproof(m - k, leaves.slice(k), false), naiveRoot(leaves.slice(0, k))]
}
