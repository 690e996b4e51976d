import type { EventActor, Stream } from '@writ/domain/event'
import { mintId, parseId } from '@writ/domain/id'
import { ok, refuse } from '@writ/domain/outcome'
import type { EpochMs } from '@writ/domain/time'
import { printCheckpoint } from '@writ/ledger/checkpoint'
import { parseVerifierKey, printVerifierKey, signedBy, toVerifierKey, type VerifierKey } from '@writ/ledger/note'
import { appendToTiles, edgeTiles, EMPTY_EDGE, type Tile, type TileEdge } from '@writ/ledger/tile'
import type { EventMac } from '../keys/mac.ts'
import type { Signer } from '../keys/signer.ts'
import type { Clock } from '../platform/clock.ts'
import type { Entropy } from '../platform/entropy.ts'
import { failpoint } from '../platform/failpoint.ts'
import { listUnsealed, type StoredEvent } from '../store/events.ts'
import { findLog, insertCheckpoint, insertLog, moveLog, placeEvents, readTile, rejectEvent, writeTiles, type LogHead, type StoredTile } from '../store/logs.ts'
import { findOpenFinding, insertFinding } from '../store/watches.ts'
import { append, sha256 } from './append.ts'
import { isAuthentic } from './authentic.ts'
import { change, type Db, type Store, type Tx } from './tx.ts'

export type SealNeeds = {
  readonly store: Pick<Store, 'change' | 'read'>
  readonly signers: Readonly<Record<Stream, Signer>>
  readonly eventMac: EventMac
  readonly clock: Clock
  readonly entropy: Entropy
}

/** One checkpoint covers at most this many new leaves: it bounds the work between two commits and the length of one statement. */
export const MOST_LEAVES = 1000

const WRIT: EventActor = { kind: 'writ', id: 'writ' }

type NextHead = Pick<LogHead, 'size' | 'note' | 'signedAt'>

type SealInput = {
  readonly from: LogHead
  readonly to: NextHead
  readonly seqs: readonly number[]
  readonly tiles: readonly StoredTile[]
}

type SealRefusal = { readonly kind: 'head_moved' | 'already_placed' }

/**
 * Moves the log's head by compare and swap, and places the leaves, their tiles and the checkpoint in the same transaction. A second
 * sealer that was stopped and comes back finds that the head has moved, and writes nothing (R15).
 */
export const sealBatch = change('log.seal', async (tx: Tx, input: SealInput) => {
  if (!(await moveLog(tx.db, input.from, input.to))) return refuse<SealRefusal>({ kind: 'head_moved' })
  const placed = await placeEvents(tx.db, input.from.stream, input.from.firstLeaf + input.from.size, input.seqs)
  if (placed !== input.seqs.length) return refuse<SealRefusal>({ kind: 'already_placed' })
  await writeTiles(tx.db, input.from.stream, input.tiles)
  await insertCheckpoint(tx.db, input.from.stream, input.to)
  failpoint('log.sealed.before_commit')
  return ok(null)
})

export const startLog = change('log.start', async (tx: Tx, head: LogHead) => {
  if (await insertLog(tx.db, head)) await insertCheckpoint(tx.db, head.stream, head)
  return ok(null)
})

type RejectInput = { readonly seq: number; readonly event: string; readonly stream: Stream; readonly finding: string; readonly now: EpochMs }

/** A row whose MAC is not ours was written past Writ: it gets no place, and is a finding. Of two sealers that see it, one says so. */
export const rejectForged = change('log.reject', async (tx: Tx, input: RejectInput) => {
  if (!(await rejectEvent(tx.db, input.seq))) return ok(null)
  await append(tx, input.now, { type: 'ledger.row_rejected', actor: WRIT, facts: { row: input.event, stream: input.stream } })
  if ((await findOpenFinding(tx.db, 'row_forged', input.event)) !== undefined) return ok(null)
  await insertFinding(tx.db, {
    id: input.finding as never, kind: 'row_forged', subject: input.event, identity: null, evidence: { row: input.event, stream: input.stream }, state: 'open', raisedAt: input.now,
  })
  await append(tx, input.now, { type: 'finding.raised', actor: WRIT, facts: { finding: input.finding, kind: 'row_forged', row: input.event } })
  return ok(null)
})

/** The origin of a log: who runs it and which of the two it is. It is the name of its key too. */
export const originOf = (installation: string, stream: Stream): string => `writ.local/${installation}/${stream}`

/** Whether the key at hand signs this log: signing with another would fork it. True of a log that is still to be opened. */
export async function isKeyOfLog(needs: Pick<SealNeeds, 'store' | 'signers'>, stream: Stream): Promise<boolean> {
  const head = await needs.store.read((db) => findLog(db, stream))
  return head === undefined || head.vkey === printVerifierKey(toVerifierKey(sha256, head.origin, needs.signers[stream].publicKey()))
}

/** Opens the log when the store is new. */
export async function openLog(needs: SealNeeds, stream: Stream, origin: string): Promise<void> {
  const key = toVerifierKey(sha256, origin, needs.signers[stream].publicKey())
  const root = appendToTiles(sha256, EMPTY_EDGE, []).root
  await needs.store.change(startLog, {
    stream, origin, vkey: printVerifierKey(key), size: 0, note: signCheckpoint(needs.signers[stream], key, { origin, size: 0, root }), signedAt: needs.clock.now(), firstLeaf: 0,
  })
  if (!(await isKeyOfLog(needs, stream))) throw new Error(`the ${stream} log was opened by a server with another key`)
}

/** Seals one batch; answers how many leaves it placed. Zero when there was nothing, or when another sealer was first. */
export async function sealOnce(needs: SealNeeds, stream: Stream): Promise<number> {
  const seen = await needs.store.read(async (db) => ({ head: await findLog(db, stream), unsealed: await listUnsealed(db, stream, MOST_LEAVES) }))
  if (seen.head === undefined || seen.unsealed.length === 0) return 0
  const events = await authentic(needs, stream, seen.unsealed)
  if (events.length === 0) return 0
  const { head } = seen
  const edge = await needs.store.read((db) => readEdge(db, head))
  // Another sealer may have moved on between the two reads: then the edge is not the head's, and its numbers fit no tree.
  if (edge === undefined) return 0
  const appended = appendToTiles(sha256, edge, events.map((event) => event.leafHash))
  const key = parseVerifierKey(sha256, head.vkey)
  if (!key.ok) throw new Error(`the ${stream} log has no readable key`)
  const size = head.size + events.length
  const to = { size, note: signCheckpoint(needs.signers[stream], key.value, { origin: head.origin, size, root: appended.root }), signedAt: needs.clock.now() }
  failpoint('log.seal.before_commit')
  const sealed = await needs.store.change(sealBatch, { from: head, to, seqs: events.map((event) => event.seq), tiles: appended.changed.map(toStored) })
  failpoint('log.seal.after_commit')
  return sealed.ok ? events.length : 0
}

/** The events whose rows carry our MAC and hash; the others are rejected for good. */
async function authentic(needs: SealNeeds, stream: Stream, unsealed: readonly StoredEvent[]): Promise<readonly StoredEvent[]> {
  const good: StoredEvent[] = []
  for (const event of unsealed) {
    if (isAuthentic(needs.eventMac, event)) {
      good.push(event)
      continue
    }
    const now = needs.clock.now()
    // A forger chose the id too: only one that is shaped like ours goes into the log.
    const name = parseId('event', event.id) ?? `row ${event.seq}`
    await needs.store.change(rejectForged, { seq: event.seq, event: name, stream, finding: mintId('finding', now, needs.entropy.bytes(10)), now })
  }
  return good
}

async function readEdge(db: Db, head: LogHead): Promise<TileEdge | undefined> {
  const tiles: Tile[] = []
  for (const wanted of edgeTiles(head.size)) {
    const hashes = await readTile(db, head.stream, wanted.level, wanted.index)
    if (hashes?.length !== wanted.width * 32) return undefined
    tiles.push({ level: wanted.level, index: wanted.index, hashes })
  }
  return { size: head.size, tiles }
}

export function signCheckpoint(signer: Signer, key: VerifierKey, at: { readonly origin: string; readonly size: number; readonly root: Uint8Array }): string {
  const text = printCheckpoint({ ...at, extensions: [] })
  return signedBy(key, text, signer.sign(Buffer.from(text, 'utf8')))
}

const toStored = (tile: Tile): StoredTile => ({ level: tile.level, index: tile.index, hashes: tile.hashes })
