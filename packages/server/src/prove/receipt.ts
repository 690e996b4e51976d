import type { Disclosure, Receipt } from '@writ/ledger/receipt'
import { inclusionFromTiles, tilesForInclusion, type TileId } from '@writ/ledger/tile'
import { sha256 } from '../record/append.ts'
import type { Db } from '../record/tx.ts'
import type { Said, StoredEvent } from '../store/events.ts'
import { logHolding, logsOf, tileOfLog, type ReadableLog } from './logs-of-stream.ts'

export type StoodEvent = { readonly log: ReadableLog; readonly receipt: Receipt }

/** One event's receipt, in the log that it stands in; undefined while no checkpoint covers it. `said`: what is to be disclosed of it. */
export async function receiptIn(db: Db, event: StoredEvent, said: readonly Said[]): Promise<StoodEvent | undefined> {
  const log = logHolding(await logsOf(db, event.stream), event.leafIndex)
  return log && { log, receipt: await receiptOf(db, log, event, said) }
}

export async function receiptOf(db: Db, log: ReadableLog, event: StoredEvent, said: readonly Said[] = []): Promise<Receipt> {
  const index = event.leafIndex! - log.firstLeaf
  const proof = await inclusionOf(db, log, index)
  const disclosures = Object.fromEntries(said.map((one): [string, Disclosure] => [one.field, { salt: Buffer.from(one.salt).toString('base64url'), value: one.value }]))
  return { leaf: event.text, index, proof: proof.map((hash) => Buffer.from(hash).toString('base64')), ...(said.length === 0 ? {} : { disclosures }) }
}

async function inclusionOf(db: Db, log: ReadableLog, index: number): Promise<readonly Uint8Array[]> {
  const tiles = new Map<string, Uint8Array>()
  const nameOf = (tile: TileId): string => `${tile.level}/${tile.index}`
  for (const tile of tilesForInclusion(index, log.size)) {
    const hashes = await tileOfLog(db, log, tile.level, tile.index)
    if (hashes !== undefined) tiles.set(nameOf(tile), hashes)
  }
  return inclusionFromTiles(sha256, (tile) => tiles.get(nameOf(tile)), index, log.size)
}
