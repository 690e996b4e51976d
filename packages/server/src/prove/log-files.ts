import type { Stream } from '@writ/domain/event'
import { printEntries } from '@writ/ledger/entries'
import { printLogHeader, printLogLine } from '@writ/ledger/log'
import { TILE_WIDTH } from '@writ/ledger/tile'
import { parseTilePath } from '@writ/ledger/tile-path'
import type { Db } from '../record/tx.ts'
import { listLeaves } from '../store/events.ts'
import { findLog, readTile } from '../store/logs.ts'

/** The bytes of a C2SP tlog-tiles resource (`tile/0/x001/067`, `tile/entries/000.p/5`); undefined when there is none or not yet. */
export async function tileFile(db: Db, stream: Stream, path: string): Promise<Uint8Array | undefined> {
  const wanted = parseTilePath(path)
  const head = wanted && (await findLog(db, stream))
  if (wanted === undefined || head === undefined) return undefined
  const level = wanted.level === 'entries' ? 0 : wanted.level
  const full = Math.floor(head.size / TILE_WIDTH ** level)
  if (wanted.index * TILE_WIDTH + wanted.width > full) return undefined
  if (wanted.level !== 'entries') return (await readTile(db, stream, wanted.level, wanted.index))?.subarray(0, wanted.width * 32)
  const leaves = await listLeaves(db, stream, { from: wanted.index * TILE_WIDTH, count: wanted.width })
  return printEntries(leaves.map((leaf) => Buffer.from(leaf.text, 'utf8')))
}

const EXPORT_PAGE = 2000

/** The whole log as `writ verify` reads it: a header line, then one line for each leaf, with the hash that the tiles hold for it. */
export async function* exportLines(read: <T>(query: (db: Db) => Promise<T>) => Promise<T>, stream: Stream): AsyncGenerator<string> {
  const head = await read((db) => findLog(db, stream))
  if (head === undefined) return
  yield `${printLogHeader(head, head.note)}\n`
  for (let from = 0; from < head.size; from += EXPORT_PAGE) {
    const { leaves, tiles } = await read(async (db) => ({
      leaves: await listLeaves(db, stream, { from, count: Math.min(EXPORT_PAGE, head.size - from) }),
      tiles: await tilesFrom(db, stream, from),
    }))
    for (const leaf of leaves) {
      const tile = tiles.get(Math.floor(leaf.leafIndex! / TILE_WIDTH))
      const at = (leaf.leafIndex! % TILE_WIDTH) * 32
      yield `${printLogLine(leaf.leafIndex!, leaf.text, tile?.subarray(at, at + 32) ?? new Uint8Array(32))}\n`
    }
  }
}

async function tilesFrom(db: Db, stream: Stream, from: number): Promise<ReadonlyMap<number, Uint8Array>> {
  const tiles = new Map<number, Uint8Array>()
  for (let index = Math.floor(from / TILE_WIDTH); index <= Math.floor((from + EXPORT_PAGE) / TILE_WIDTH); index++) {
    const hashes = await readTile(db, stream, 0, index)
    if (hashes !== undefined) tiles.set(index, hashes)
  }
  return tiles
}
