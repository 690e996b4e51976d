import type { Stream } from '@writ/domain/event'
import type { BackupId, RestoreId } from '@writ/domain/id'
import { ok, refuse, type Outcome } from '@writ/domain/outcome'
import type { EpochMs } from '@writ/domain/time'
import { equal } from '@writ/ledger/bytes'
import { openCheckpoint, type Checkpoint } from '@writ/ledger/checkpoint'
import { parseVerifierKey, printVerifierKey, toVerifierKey } from '@writ/ledger/note'
import { nodePrimitives } from '@writ/ledger/offline/primitives'
import { appendToTiles, EMPTY_EDGE, rootFromTiles, tilesForRoot } from '@writ/ledger/tile'
import type { Signer } from '../keys/signer.ts'
import { insertCheckpoint, insertLog, writeTiles, type LogHead } from '../store/logs.ts'
import { readPastTile, type PastLog } from '../store/past-logs.ts'
import { append, sha256 } from './append.ts'
import { originOf, signCheckpoint } from './seal.ts'
import type { Db, Tx } from './tx.ts'

/** A checkpoint that somebody outside kept, and what it shows. */
export type KnownCheckpoint = { readonly note: string; readonly checkpoint: Checkpoint }

export type KnownRefusal =
  /** Signed by neither of the logs in the backup. */
  | { readonly kind: 'foreign_checkpoint'; readonly nth: number }
  /** The backup's log is not the one that this checkpoint shows: one of the two was written anew. */
  | { readonly kind: 'forked'; readonly stream: string; readonly size: number }

type LogOfBackup = Pick<LogHead, 'origin' | 'vkey' | 'size' | 'note'> & { readonly stream: string }

/** Opens each note with the key of the log that it is of; refused when it is of none. By origin, largest last. */
export function openKnown(logs: readonly LogOfBackup[], notes: readonly string[]): Outcome<ReadonlyMap<string, readonly KnownCheckpoint[]>, KnownRefusal> {
  const found = new Map<string, KnownCheckpoint[]>()
  for (const [nth, note] of notes.entries()) {
    const opened = logs.flatMap(({ origin, vkey }) => {
      const checkpoint = openedBy(vkey, note)
      return checkpoint === undefined ? [] : [{ origin, checkpoint }]
    })
    if (opened.length === 0) return refuse({ kind: 'foreign_checkpoint', nth })
    for (const { origin, checkpoint } of opened) found.set(origin, [...(found.get(origin) ?? []), { note, checkpoint }])
  }
  for (const known of found.values()) known.sort((a, b) => a.checkpoint.size - b.checkpoint.size)
  return ok(found)
}

function openedBy(vkey: string, note: string): Checkpoint | undefined {
  const key = parseVerifierKey(sha256, vkey)
  if (!key.ok) return undefined
  const opened = openCheckpoint(nodePrimitives, key.value, note)
  return opened.ok ? opened.value : undefined
}

/** Compares each checkpoint that is not larger than the backup's log with that log; the larger ones show only how much is lost. */
export async function compareKnown(db: Db, log: PastLog, known: readonly KnownCheckpoint[]): Promise<Outcome<null, KnownRefusal>> {
  for (const { checkpoint } of known) {
    if (checkpoint.size > log.size || checkpoint.size === 0) continue
    if (!equal(await rootOfPast(db, log.origin, checkpoint.size), checkpoint.root)) return refuse({ kind: 'forked', stream: log.stream, size: checkpoint.size })
  }
  return ok(null)
}

async function rootOfPast(db: Db, origin: string, size: number): Promise<Uint8Array> {
  const tiles = new Map<string, Uint8Array>()
  for (const { level, index } of tilesForRoot(size)) {
    const hashes = await readPastTile(db, origin, level, index)
    if (hashes !== undefined) tiles.set(`${level}/${index}`, hashes)
  }
  return rootFromTiles(sha256, ({ level, index }) => tiles.get(`${level}/${index}`), size)
}

/** The origin of a log that a restore opens. The restore's id makes it new, also when one backup is restored twice. */
export const originAfter = (installation: string, stream: Stream, restore: RestoreId): string => `${originOf(installation, stream)}/${restore}`

export type OpenedByRestore = {
  readonly installation: string
  readonly restore: RestoreId
  readonly backup: BackupId
  readonly backupAt: EpochMs
  readonly trustsIdentities: boolean
  /** The person at the command line, as the host knows them. */
  readonly by: string
  readonly signer: Signer
  readonly now: EpochMs
}

/**
 * Ends a log and opens the next: its first leaf names the one before, where that stood in the backup, and the newest checkpoint of it that
 * was known outside. The old origin is never signed for again, so nothing can be put in the place of what was lost.
 */
export async function openLogAfter(tx: Tx, past: PastLog, order: OpenedByRestore): Promise<LogHead> {
  const { installation, restore, signer, now } = order
  const { stream } = past
  const stood = openedBy(past.vkey, past.note)
  const known = past.known === null ? undefined : openedBy(past.vkey, past.known.note)
  if (stood === undefined || (past.known !== null && known === undefined)) throw new Error(`a checkpoint of the ${stream} log in the backup does not open`)
  const firstLeaf = past.firstLeaf + past.size
  const first = await append(tx, now, {
    type: 'log.restored', stream, actor: { kind: 'writ', id: 'writ' },
    facts: {
      restore, backup: order.backup, backup_at: order.backupAt, origin: past.origin, vkey: past.vkey,
      size: stood.size, root: base64(stood.root),
      known_size: known?.size ?? null, known_root: known === undefined ? null : base64(known.root),
      // Law 12: who gave no checkpoint does not know.
      leaves_lost: known === undefined ? null : Math.max(0, known.size - stood.size),
      first_leaf: firstLeaf, trusts_identities: order.trustsIdentities ? 'yes' : 'no',
    },
    said: { by: order.by },
  })
  await tx.db.updateTable('event').set({ leaf_index: firstLeaf }).where('id', '=', first.id).execute()
  const { root, changed } = appendToTiles(sha256, EMPTY_EDGE, [first.leafHash])
  const origin = originAfter(installation, stream, restore)
  const key = toVerifierKey(sha256, origin, signer.publicKey())
  const head: LogHead = { stream, origin, vkey: printVerifierKey(key), size: 1, note: signCheckpoint(signer, key, { origin, size: 1, root }), signedAt: now, firstLeaf }
  if (!(await insertLog(tx.db, head))) throw new Error(`the ${stream} log is open already`)
  await insertCheckpoint(tx.db, stream, head)
  await writeTiles(tx.db, stream, changed)
  return head
}

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64')
