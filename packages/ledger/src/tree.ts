import { emptyRoot, nodeHash, type Sha256 } from './hash.ts'

/** A perfect subtree: the leaves [index x 2^height, (index + 1) x 2^height). */
export type Node = { readonly height: number; readonly index: number }

/** The leaves [from, to). */
export type Range = { readonly from: number; readonly to: number }

/** Answers with the hash of a perfect subtree. */
export type NodeHashes = (node: Node) => Uint8Array

/** A tree that only grows: the hashes of the perfect subtrees at its right edge, largest first. Constant memory. */
export class GrowingTree {
  readonly #sha256: Sha256
  readonly #edge: Uint8Array[]
  #size: number

  constructor(sha256: Sha256, size = 0, edge: readonly Uint8Array[] = []) {
    this.#sha256 = sha256
    this.#size = size
    this.#edge = [...edge]
  }

  get size(): number {
    return this.#size
  }

  append(leaf: Uint8Array): void {
    let hash = leaf
    // Each one bit at the low end of the size is a perfect subtree that the new one completes.
    for (let rest = this.#size; rest % 2 === 1; rest = (rest - 1) / 2) hash = nodeHash(this.#sha256, this.#edge.pop()!, hash)
    this.#edge.push(hash)
    this.#size++
  }

  root(): Uint8Array {
    return foldRight(this.#sha256, this.#edge)
  }

  copy(): GrowingTree {
    return new GrowingTree(this.#sha256, this.#size, this.#edge)
  }
}

/** RFC 9162 §2.1.1, given the perfect subtrees of a range from left to right. */
export function foldRight(sha256: Sha256, subtrees: readonly Uint8Array[]): Uint8Array {
  const last = subtrees.at(-1)
  if (last === undefined) return emptyRoot(sha256)
  return subtrees.slice(0, -1).reduceRight((right, left) => nodeHash(sha256, left, right), last)
}

/** The largest power of two smaller than `size` (RFC 9162 §2.1.1 `k`); `size` is at least 2. */
export function splitPoint(size: number): number {
  let k = 1
  while (k * 2 < size) k *= 2
  return k
}

/** The perfect subtrees of a range that starts where one of its own length may start, left to right. */
export function subtreesOf(range: Range): readonly Node[] {
  const nodes: Node[] = []
  let from = range.from
  while (from < range.to) {
    let height = 0
    for (let width = 2; from + width <= range.to && from % width === 0; width *= 2) height++
    nodes.push({ height, index: from / 2 ** height })
    from += 2 ** height
  }
  return nodes
}

export const hashOfRange = (sha256: Sha256, hashes: NodeHashes, range: Range): Uint8Array => foldRight(sha256, subtreesOf(range).map(hashes))

/** The root of the tree of the first `size` leaves. */
export const rootAt = (sha256: Sha256, hashes: NodeHashes, size: number): Uint8Array => hashOfRange(sha256, hashes, { from: 0, to: size })
