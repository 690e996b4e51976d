import type { EventReply, LogReply, PastLogReply } from '@writ/contract/events'
import { toBase64, toHex } from '@writ/ledger/bytes'
import { toCanonical } from '@writ/ledger/canonical'
import { openCheckpoint, type Checkpoint } from '@writ/ledger/checkpoint'
import { parseEntries } from '@writ/ledger/entries'
import { HASH_BYTES, type Primitives } from '@writ/ledger/hash'
import type { Leaf } from '@writ/ledger/leaf'
import { parseVerifierKey } from '@writ/ledger/note'
import { checkReceipt } from '@writ/ledger/receipt'
import { inclusionFromTiles, TILE_WIDTH, tilesForInclusion, type TileId } from '@writ/ledger/tile'
import { printTilePath } from '@writ/ledger/tile-path'
import { ask, askBytes } from './api.ts'
import { canVerify, withBrowserCrypto } from './browser-crypto.ts'
import { listLogs } from './endpoints.ts'
import { seenKeys } from './log-check.ts'

/** What became of proving, here in this browser, that an event stands in the log as it is shown. */
export type EventProof =
  | { readonly kind: 'verified'; readonly origin: string; readonly size: number; readonly checkpointAt: string; readonly isKeyKnown: boolean; readonly hash: string; readonly leaf: string }
  | { readonly kind: 'failed'; readonly says: string }
  | { readonly kind: 'not_evaluated'; readonly says: string }

const failed = (says: string): EventProof => ({ kind: 'failed', says })
const notEvaluated = (says: string): EventProof => ({ kind: 'not_evaluated', says })

/** The log that an event stands in: the stream's own, or one before it that ended with a restore. */
type Stood = Pick<LogReply, 'origin' | 'vkey' | 'checkpoint'> & { readonly at: string; readonly prefix: string }

/** Takes nothing from the server at its word but the log's key, and that only the first time. */
export async function proveEvent(event: EventReply, mayReadEntries: boolean): Promise<EventProof> {
  if (!(await canVerify())) return notEvaluated('this browser can not check Ed25519 signatures here')
  if (event.leaf_index === null) return notEvaluated('it has no place in the log yet: whatever is recorded is sealed within seconds')
  if (!mayReadEntries) return notEvaluated('the entries of a log tell who works on what, and only an auditor or an admin may read them')
  const { logs } = await ask(listLogs, {})
  const log = logHolding(logs, event)
  if (log === undefined) return failed(`it is said to stand in the log \`${event.log}\`, and the server has no such log`)
  const seen = seenKeys()[log.origin]
  if (seen !== undefined && seen !== log.vkey) return failed('its log shows another key than this browser knows it by')
  const checkpoint = await withBrowserCrypto((primitives) => checkpointOf(primitives, log))
  if (typeof checkpoint === 'string') return failed(checkpoint)
  if (event.leaf_index >= checkpoint.size) return failed(`it is said to be leaf ${event.leaf_index}, and the log has ${checkpoint.size}`)
  const leaf = await leafAt(log, event.leaf_index, checkpoint.size)
  if (leaf === undefined) return failed('the entries of the log are cut, or are not text')
  return provedBy(event, { log, checkpoint, leaf, index: event.leaf_index, isKeyKnown: seen !== undefined })
}

function logHolding(logs: readonly LogReply[], { stream, log: origin }: EventReply): Stood | undefined {
  const current = logs.find((log) => log.stream === stream)
  if (current?.origin === origin) return { ...current, at: current.checkpoint_at, prefix: `/logs/${stream}` }
  const past: PastLogReply | undefined = current?.past.find((log) => log.origin === origin)
  return past && { ...past, at: past.checkpoint_at, prefix: `/past-logs/${past.restore}/${stream}` }
}

function checkpointOf(primitives: Primitives, { vkey, checkpoint: note }: Stood): Checkpoint | string {
  const key = parseVerifierKey(primitives.sha256, vkey)
  if (!key.ok) return key.refusal.detail
  const checkpoint = openCheckpoint(primitives, key.value, note)
  return checkpoint.ok ? checkpoint.value : checkpoint.refusal.detail
}

/** How wide a tile is in a log of this size: the last one of a level is partial. */
const widthAt = ({ level, index }: TileId, size: number): number => Math.min(TILE_WIDTH, Math.floor(size / TILE_WIDTH ** level) - index * TILE_WIDTH)

async function leafAt(log: Stood, leaf: number, size: number): Promise<string | undefined> {
  const index = Math.floor(leaf / TILE_WIDTH)
  const bundle = await askBytes(`${log.prefix}/${printTilePath({ level: 'entries', index, width: widthAt({ level: 0, index }, size) })}`)
  const entry = parseEntries(bundle)?.[leaf % TILE_WIDTH]
  try {
    return entry && new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(entry)
  } catch {
    return undefined
  }
}

type Found = { readonly log: Stood; readonly checkpoint: Checkpoint; readonly leaf: string; readonly index: number; readonly isKeyKnown: boolean }

async function provedBy(event: EventReply, { log, checkpoint, leaf, index, isKeyKnown }: Found): Promise<EventProof> {
  const { size } = checkpoint
  const nameOf = ({ level, index: of }: TileId): string => `${level}/${of}`
  const tiles = new Map(await Promise.all(tilesForInclusion(index, size).map(async (tile) =>
    [nameOf(tile), await askBytes(`${log.prefix}/${printTilePath({ ...tile, width: widthAt(tile, size) })}`)] as const)))
  const narrow = tilesForInclusion(index, size).find((tile) => tiles.get(nameOf(tile))!.length !== widthAt(tile, size) * HASH_BYTES)
  if (narrow !== undefined) return failed(`the hash tile ${nameOf(narrow)} of the log is not as wide as its checkpoint says`)
  const nodes = await nodesAbove([...tiles.values()])
  const proved = await withBrowserCrypto(({ sha256 }) => {
    const known = (bytes: Uint8Array): Uint8Array => nodes.get(toHex(bytes)) ?? sha256(bytes)
    const proof = inclusionFromTiles(known, (tile) => tiles.get(nameOf(tile)), index, size).map(toBase64)
    return checkReceipt(sha256, checkpoint, { leaf, index, proof })
  })
  if (!proved.ok) return failed(proved.refusal.detail)
  const other = differences(event, proved.value.leaf)
  if (other.length > 0) return failed(`the log says otherwise than what is shown: ${other.join(', ')}`)
  return { kind: 'verified', origin: log.origin, size, checkpointAt: log.at, isKeyKnown, hash: toHex(proved.value.hash), leaf }
}

/** Every hash above those of the tiles, by what it is made of: computed side by side, which the arithmetic could only ask for one by one. */
async function nodesAbove(tiles: readonly Uint8Array[]): Promise<ReadonlyMap<string, Uint8Array>> {
  const found = new Map<string, Uint8Array>()
  for (const tile of tiles) {
    let level = Array.from({ length: tile.length / HASH_BYTES }, (_, i) => tile.slice(i * HASH_BYTES, (i + 1) * HASH_BYTES))
    while (level.length > 1) {
      level = await Promise.all(Array.from({ length: Math.floor(level.length / 2) }, async (_, i) => {
        const made = new Uint8Array([1, ...level[2 * i]!, ...level[2 * i + 1]!])
        const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', made))
        found.set(toHex(made), hash)
        return hash
      }))
    }
  }
  return found
}

/** Which of what is shown the leaf does not say: a server that tells one thing and has logged another is found out. */
function differences(event: EventReply, leaf: Leaf): readonly string[] {
  const shown: Readonly<Record<string, unknown>> = { ...event, at: Date.parse(event.at) }
  const logged: Readonly<Record<string, unknown>> = { ...leaf }
  const same = (a: unknown, b: unknown): boolean => {
    const [x, y] = [toCanonical(a), toCanonical(b)]
    return x.ok && y.ok && x.value === y.value
  }
  const other = ['id', 'stream', 'type', 'at', 'actor', 'task', 'identity', 'lease', 'facts'].filter((field) => !same(shown[field], logged[field]))
  return [...other, ...Object.keys(event.said).filter((field) => !Object.hasOwn(leaf.commitments, field)).map((field) => `${field}, which it does not commit to`)]
}
