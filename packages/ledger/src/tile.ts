import { concat } from './bytes.ts'
import { HASH_BYTES, nodeHash, type Sha256 } from './hash.ts'
import { consistencyRanges, inclusionRanges, isSize } from './proof.ts'
import { foldRight, hashOfRange, rootAt, subtreesOf, type Node, type NodeHashes, type Range } from './tree.ts'

/** C2SP tlog-tiles: a full tile is 256 hashes wide, a subtree of height 8. */
export const TILE_WIDTH = 256
const TILE_HEIGHT = 8

export type TileId = { readonly level: number; readonly index: number }

/** `width` hashes of 32 bytes, one after the other. */
export type Tile = TileId & { readonly hashes: Uint8Array }

/** The log's right edge: its size, and the partial tile of each level that has one. All that the sealer has to read. */
export type TileEdge = { readonly size: number; readonly tiles: readonly Tile[] }

export type Appended = {
  readonly root: Uint8Array
  /** Every tile that grew or began, to be written over what the store holds at that place. */
  readonly changed: readonly Tile[]
  /** The right edge after the append, for the next one. */
  readonly edge: TileEdge
}

/** Answers with a tile's bytes, or undefined; a tile may be wider than the tree that is asked about. */
export type TileReader = (tile: TileId) => Uint8Array | undefined

export const EMPTY_EDGE: TileEdge = { size: 0, tiles: [] }

export const widthOf = (tile: Tile): number => tile.hashes.length / HASH_BYTES

/** The partial tiles of a log of this size: what the sealer reads before it appends. */
export function edgeTiles(size: number): readonly (TileId & { readonly width: number })[] {
  if (!isSize(size)) throw new RangeError(`no log has ${size} leaves`)
  const tiles: (TileId & { width: number })[] = []
  for (let level = 0, count = size; count > 0; level++, count = Math.floor(count / TILE_WIDTH)) {
    const width = count % TILE_WIDTH
    if (width > 0) tiles.push({ level, index: Math.floor(count / TILE_WIDTH), width })
  }
  return tiles
}

/** Appends leaves at the right edge. Throws when the edge is not the one of a log of that size: the store is damaged. */
export function appendToTiles(sha256: Sha256, edge: TileEdge, leaves: readonly Uint8Array[]): Appended {
  checkEdge(edge)
  const size = edge.size + leaves.length
  const changed: Tile[] = []
  const tiles: Tile[] = []
  let fresh = leaves
  for (let level = 0, count = edge.size; fresh.length > 0 || count > 0; level++, count = Math.floor(count / TILE_WIDTH)) {
    const before = edge.tiles.find((tile) => tile.level === level)
    const grown = growLevel(sha256, { level, index: Math.floor(count / TILE_WIDTH), hashes: before?.hashes ?? new Uint8Array(0) }, fresh)
    if (fresh.length > 0) changed.push(...grown.tiles)
    const last = grown.tiles.at(-1)
    if (last !== undefined && widthOf(last) < TILE_WIDTH) tiles.push(last)
    fresh = grown.roots
  }
  return { root: rootOfEdge(sha256, tiles), changed, edge: { size, tiles } }
}

/** The root of a log, from the partial tiles of its right edge. */
export function rootOfEdge(sha256: Sha256, tiles: readonly Tile[]): Uint8Array {
  const subtrees = tiles.toSorted((a, b) => b.level - a.level).flatMap((tile) =>
    subtreesOf({ from: 0, to: widthOf(tile) }).map((node) => subtreeOf(sha256, tile.hashes, node.index * 2 ** node.height, 2 ** node.height)))
  return foldRight(sha256, subtrees)
}

/** Which tiles a proof or root over these ranges is made of, each once. */
function tilesOf(ranges: readonly Range[]): readonly TileId[] {
  const found = new Map<string, TileId>()
  for (const node of ranges.flatMap(subtreesOf)) {
    const { tile } = placeOf(node)
    found.set(`${tile.level}/${tile.index}`, tile)
  }
  return [...found.values()]
}

export const tilesForRoot = (size: number): readonly TileId[] => tilesOf([{ from: 0, to: size }])
export const tilesForInclusion = (index: number, size: number): readonly TileId[] => tilesOf(inclusionRanges(index, size))
export const tilesForConsistency = (size1: number, size2: number): readonly TileId[] => tilesOf(consistencyRanges(size1, size2))

export const rootFromTiles = (sha256: Sha256, tiles: TileReader, size: number): Uint8Array => rootAt(sha256, nodesOf(sha256, tiles), size)

export function inclusionFromTiles(sha256: Sha256, tiles: TileReader, index: number, size: number): readonly Uint8Array[] {
  const hashes = nodesOf(sha256, tiles)
  return inclusionRanges(index, size).map((range) => hashOfRange(sha256, hashes, range))
}

export function consistencyFromTiles(sha256: Sha256, tiles: TileReader, size1: number, size2: number): readonly Uint8Array[] {
  const hashes = nodesOf(sha256, tiles)
  return consistencyRanges(size1, size2).map((range) => hashOfRange(sha256, hashes, range))
}

function checkEdge(edge: TileEdge): void {
  const wanted = edgeTiles(edge.size)
  const fits = wanted.length === edge.tiles.length && wanted.every(({ level, index, width }) =>
    edge.tiles.some((tile) => tile.level === level && tile.index === index && tile.hashes.length === width * HASH_BYTES))
  if (!fits) throw new Error(`the tiles at the right edge are not those of a log of ${edge.size} leaves`)
}

type Grown = { readonly tiles: readonly Tile[]; readonly roots: readonly Uint8Array[] }

/** Fills the level's last tile and begins new ones; each that becomes full gives its root to the level above. */
function growLevel(sha256: Sha256, last: Tile, fresh: readonly Uint8Array[]): Grown {
  const tiles: Tile[] = []
  const roots: Uint8Array[] = []
  let { index, hashes } = last
  let at = 0
  while (at < fresh.length || hashes.length > 0) {
    const room = TILE_WIDTH - hashes.length / HASH_BYTES
    hashes = concat(hashes, ...fresh.slice(at, at + room))
    at += room
    tiles.push({ level: last.level, index, hashes })
    if (hashes.length < TILE_WIDTH * HASH_BYTES) break
    roots.push(subtreeOf(sha256, hashes, 0, TILE_WIDTH))
    hashes = new Uint8Array(0)
    index++
  }
  return { tiles, roots }
}

/** The root of `count` (a power of two) neighbouring hashes of one tile. */
function subtreeOf(sha256: Sha256, hashes: Uint8Array, from: number, count: number): Uint8Array {
  if (count === 1) return hashes.slice(from * HASH_BYTES, (from + 1) * HASH_BYTES)
  return nodeHash(sha256, subtreeOf(sha256, hashes, from, count / 2), subtreeOf(sha256, hashes, from + count / 2, count / 2))
}

/** The tile that a subtree is made of, and which of its hashes. */
function placeOf(node: Node): { readonly tile: TileId; readonly from: number; readonly count: number } {
  const count = 2 ** (node.height % TILE_HEIGHT)
  const first = node.index * count
  return { tile: { level: Math.floor(node.height / TILE_HEIGHT), index: Math.floor(first / TILE_WIDTH) }, from: first % TILE_WIDTH, count }
}

function nodesOf(sha256: Sha256, tiles: TileReader): NodeHashes {
  return (node) => {
    const { tile, from, count } = placeOf(node)
    const hashes = tiles(tile)
    if (hashes === undefined || hashes.length < (from + count) * HASH_BYTES) {
      throw new Error(`tile ${tile.level}/${tile.index} is missing or too narrow`)
    }
    return subtreeOf(sha256, hashes, from, count)
  }
}
