import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { sha256 } from '../test/made-log.ts'
import { naiveConsistency, naiveInclusion, naiveRoot } from '../test/naive-tree.ts'
import { toBase64, utf8 } from './bytes.ts'
import { leafHash } from './hash.ts'
import { inclusionRanges, verifyConsistency, verifyInclusion } from './proof.ts'
import {
  appendToTiles, consistencyFromTiles, edgeTiles, EMPTY_EDGE, inclusionFromTiles, rootFromTiles, rootOfEdge,
  tilesForConsistency, tilesForInclusion, tilesForRoot,
  type Tile, type TileEdge, type TileId, type TileReader,
} from './tile.ts'

const LEAVES = Array.from({ length: 2000 }, (_, i) => leafHash(sha256, utf8(`leaf ${i}`)))
const nameOf = ({ level, index }: TileId): string => `${level}/${index}`

/** A store of tiles as rows, which the sealer overwrites. */
function sealed(batches: readonly number[]): { readonly rows: Map<string, Tile>; readonly edge: TileEdge; readonly root: Uint8Array } {
  const rows = new Map<string, Tile>()
  let edge = EMPTY_EDGE
  let root = rootOfEdge(sha256, [])
  let from = 0
  for (const count of batches) {
    const appended = appendToTiles(sha256, edge, LEAVES.slice(from, from + count))
    from += count
    root = appended.root
    for (const tile of appended.changed) rows.set(nameOf(tile), tile)
    // The next batch reads its edge from the rows, as another process would.
    edge = { size: from, tiles: edgeTiles(from).map((id) => rows.get(nameOf(id))!) }
    assert.deepEqual(appended.edge, edge)
  }
  return { rows, edge, root }
}

/** Reads only the tiles that were announced. */
const only = (rows: ReadonlyMap<string, Tile>, ids: readonly TileId[]): TileReader => {
  const allowed = new Set(ids.map(nameOf))
  return (id) => (allowed.has(nameOf(id)) ? rows.get(nameOf(id))?.hashes : undefined)
}

test('the tiles of a log of 70,000 are those of the specification', () => {
  assert.deepEqual(edgeTiles(70_000), [{ level: 0, index: 273, width: 112 }, { level: 1, index: 1, width: 17 }, { level: 2, index: 0, width: 1 }])
  assert.deepEqual(edgeTiles(256), [{ level: 1, index: 0, width: 1 }])
  assert.deepEqual(edgeTiles(0), [])
})

test('however the leaves come in batches, tiles, edge and root are the same', () => {
  fc.assert(fc.property(fc.array(fc.nat({ max: 400 }), { maxLength: 5 }), (batches) => {
    const size = batches.reduce((a, b) => a + b, 0)
    const { rows, root } = sealed(batches)
    assert.deepEqual(root, naiveRoot(LEAVES.slice(0, size)))
    assert.deepEqual(rows, sealed([size]).rows)
  }), { numRuns: 25 })
})

test('every leaf at every size up to 70 is proved from tiles as from the recursive definition', () => {
  for (let size = 1; size <= 70; size++) {
    const { rows, root } = sealed([size])
    for (let index = 0; index < size; index++) {
      const proof = inclusionFromTiles(sha256, only(rows, tilesForInclusion(index, size)), index, size)
      assert.deepEqual(proof, naiveInclusion(index, LEAVES.slice(0, size)))
      assert.ok(verifyInclusion(sha256, { index, size, leafHash: LEAVES[index]!, proof, root }))
      assert.ok(!verifyInclusion(sha256, { index: (index + 1) % (size + 1), size, leafHash: LEAVES[index]!, proof, root }))
    }
  }
})

test('a log is consistent with each of its earlier sizes up to 70, from tiles as from the recursive definition', () => {
  const { rows } = sealed([70])
  const roots = Array.from({ length: 71 }, (_, size) => naiveRoot(LEAVES.slice(0, size)))
  for (let size2 = 1; size2 <= 70; size2++) {
    for (let size1 = 1; size1 <= size2; size1++) {
      const proof = consistencyFromTiles(sha256, only(rows, tilesForConsistency(size1, size2)), size1, size2)
      assert.deepEqual(proof, naiveConsistency(size1, LEAVES.slice(0, size2)))
      assert.ok(verifyConsistency(sha256, { size1, size2, root1: roots[size1]!, root2: roots[size2]!, proof }))
      if (size1 < size2) assert.ok(!verifyConsistency(sha256, { size1, size2, root1: roots[size1 - 1]!, root2: roots[size2]!, proof }))
    }
  }
})

test('proofs and roots of any smaller log come from the tiles of a larger one', () => {
  const { rows } = sealed([2000])
  fc.assert(fc.property(fc.integer({ min: 1, max: 2000 }), fc.nat(), fc.nat(), (size, a, b) => {
    const index = a % size
    const size1 = 1 + (b % size)
    const root = rootFromTiles(sha256, only(rows, tilesForRoot(size)), size)
    assert.deepEqual(root, naiveRoot(LEAVES.slice(0, size)))
    const proof = inclusionFromTiles(sha256, only(rows, tilesForInclusion(index, size)), index, size)
    assert.ok(verifyInclusion(sha256, { index, size, leafHash: LEAVES[index]!, proof, root }))
    const root1 = rootFromTiles(sha256, only(rows, tilesForRoot(size1)), size1)
    const older = consistencyFromTiles(sha256, only(rows, tilesForConsistency(size1, size)), size1, size)
    assert.ok(verifyConsistency(sha256, { size1, size2: size, root1, root2: root, proof: older }))
  }), { numRuns: 60 })
})

test('a proof damaged in any one bit, and any other length of proof, is refused', () => {
  const { rows } = sealed([2000])
  fc.assert(fc.property(fc.integer({ min: 2, max: 2000 }), fc.nat(), fc.nat(), (size, a, b) => {
    const index = a % size
    const reader = only(rows, [...tilesForInclusion(index, size), ...tilesForRoot(size)])
    const root = rootFromTiles(sha256, reader, size)
    const claim = { index, size, leafHash: LEAVES[index]!, proof: inclusionFromTiles(sha256, reader, index, size), root }
    const at = b % claim.proof.length
    assert.ok(!verifyInclusion(sha256, { ...claim, proof: claim.proof.map((hash, i) => (i === at ? flip(hash, b % 256) : hash)) }))
    assert.ok(!verifyInclusion(sha256, { ...claim, root: flip(root, b % 256) }))
    assert.ok(!verifyInclusion(sha256, { ...claim, leafHash: flip(claim.leafHash, b % 256) }))
    assert.ok(!verifyInclusion(sha256, { ...claim, proof: claim.proof.toSpliced(at, 1) }))
    assert.ok(!verifyInclusion(sha256, { ...claim, proof: [...claim.proof, root] }))
  }), { numRuns: 60 })
})

test('a receipt from a log of ten million leaves is smaller than two kilobytes', () => {
  const hashes = Math.max(...[0, 4_999_999, 9_999_999].map((index) => inclusionRanges(index, 10_000_000).length))
  assert.ok(JSON.stringify(Array.from({ length: hashes }, () => toBase64(LEAVES[0]!))).length < 2000)
})

test('a sealer whose edge is not that of the size it holds stops', () => {
  const { edge } = sealed([300])
  assert.throws(() => appendToTiles(sha256, { ...edge, size: 301 }, [LEAVES[0]!]), /right edge/)
  assert.throws(() => appendToTiles(sha256, { size: 300, tiles: edge.tiles.slice(1) }, []), /right edge/)
})

test('a tile that is missing or too narrow gives no proof', () => {
  const { rows } = sealed([300])
  assert.throws(() => rootFromTiles(sha256, () => undefined, 300), /missing or too narrow/)
  assert.throws(() => rootFromTiles(sha256, ({ level, index }) => rows.get(`${level}/${index}`)?.hashes.slice(0, 32), 300), /missing or too narrow/)
})

const flip = (bytes: Uint8Array, bit: number): Uint8Array => bytes.map((byte, i) => (i === bit >> 3 ? byte ^ (1 << (bit & 7)) : byte))
