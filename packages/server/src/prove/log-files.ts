import { printEntries } from '@writ/ledger/entries'
import { printLogHeader, printLogLine } from '@writ/ledger/log'
import { TILE_WIDTH } from '@writ/ledger/tile'
import { parseTilePath } from '@writ/ledger/tile-path'
import type { Db } from '../record/tx.ts'
import { listLeaves } from '../store/events.ts'
import { tileOfLog, type ReadableLog } from './logs-of-stream.ts'

/** The bytes of a C2SP tlog-tiles resource (`tile/0/x001/067`, `tile/entries/000.p/5`); undefined when there is none or not yet. */
export async function tileFile(db: Db, log: ReadableLog, path: string): Promise<Uint8Array | undefined> {
  const wanted = parseTilePath(path)
  if (wanted === undefined) return undefined
  const level = wanted.level === 'entries' ? 0 : wanted.level
  const full = Math.floor(log.size / TILE_WIDTH ** level)
  if (wanted.index * TILE_WIDTH + wanted.width > full) return undefined
  if (wanted.level !== 'entries') return (await tileOfLog(db, log, wanted.level, wanted.index))?.subarray(0, wanted.width * 32)
  const leaves = await listLeaves(db, log.stream, { from: log.firstLeaf + wanted.index * TILE_WIDTH, count: wanted.width })
  return printEntries(leaves.map((leaf) => Buffer.from(leaf.text, 'utf8')))
}

const EXPORT_PAGE = 2000

/** The whole log as `writ verify` reads it: a header line, then one line for each leaf, with the hash that the tiles hold for it. */
export async function* exportLines(read: <T>(query: (db: Db) => Promise<T>) => Promise<T>, log: ReadableLog): AsyncGenerator<string> {
  yield `${printLogHeader(log, log.note)}\n`
  for (let from = 0; from < log.size; from += EXPORT_PAGE) {
    const { leaves, tiles } = await read(async (db) => ({
      leaves: await listLeaves(db, log.stream, { from: log.firstLeaf + from, count: Math.min(EXPORT_PAGE, log.size - from) }),
      tiles: await tilesFrom(db, log, from),
    }))
    for (const leaf of leaves) {
      const index = leaf.leafIndex! - log.firstLeaf
      const tile = tiles.get(Math.floor(index / TILE_WIDTH))
      const at = (index % TILE_WIDTH) * 32
      yield `${printLogLine(index, leaf.text, tile?.subarray(at, at + 32) ?? new Uint8Array(32))}\n`
    }
  }
}

async function tilesFrom(db: Db, log: ReadableLog, from: number): Promise<ReadonlyMap<number, Uint8Array>> {
  const tiles = new Map<number, Uint8Array>()
  for (let index = Math.floor(from / TILE_WIDTH); index <= Math.floor((from + EXPORT_PAGE) / TILE_WIDTH); index++) {
    const hashes = await tileOfLog(db, log, 0, index)
    if (hashes !== undefined) tiles.set(index, hashes)
  }
  return tiles
}
