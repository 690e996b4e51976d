import { open, type FileHandle } from 'node:fs/promises'
import { setTimeout as pause } from 'node:timers/promises'
import { STREAMS, type Stream } from '@writ/domain/event'
import { mintId, type BackupId, type RestoreId } from '@writ/domain/id'
import { ok, refuse, type Outcome } from '@writ/domain/outcome'
import { epochMs, plus, type EpochMs } from '@writ/domain/time'
import { CLOCK_TOLERANCE } from './authenticate/private-key-jwt.ts'
import type { Config } from './config/config.ts'
import { keysMessage, openKeys, type Keys } from './keys/keys.ts'
import type { Clock } from './platform/clock.ts'
import { changeContextOf } from './change-context.ts'
import { hostEntropy } from './platform/entropy.ts'
import { failpoint } from './platform/failpoint.ts'
import { openStore, RELEASE } from './open-store.ts'
import { compareKnown, openKnown, openLogAfter, type KnownCheckpoint, type KnownRefusal } from './record/restored-log.ts'
import type { Tx } from './record/tx.ts'
import { endRestored, type EndedByRestore } from './revoke/end-restored.ts'
import { bare, dress } from './store/bare-tables.ts'
import { readBackup, type BackupFileRefusal, type BackupHead } from './store/backup-file.ts'
import { setNotBefore } from './store/installation.ts'
import { guardEvents, loader, openEvents } from './store/load-backup.ts'
import { MIGRATIONS } from './store/migrations/all.ts'
import { beginRestore, finishRestore, forgetBegun, type PastLog } from './store/past-logs.ts'
import { postgresIsTaken, sqliteIsTaken } from './store/peek.ts'
import { markRestore, unmarkRestore } from './store/restore-mark.ts'
import { openRestoreTarget, type RestoreTarget } from './store/restore-target.ts'

export type RestoreOrder = {
  readonly file: string
  /** Signed notes that were kept outside. */
  readonly checkpoints: readonly string[]
  readonly trustsIdentities: boolean
  readonly by: string
}

export type RestoreRefusal =
  | BackupFileRefusal
  | KnownRefusal
  /** The key directory can not be read, or holds another master key. */
  | { readonly kind: 'keys'; readonly message: string }
  | { readonly kind: 'other_release'; readonly backup: string; readonly isNewer: boolean }
  | { readonly kind: 'not_empty' }
  | { readonly kind: 'servers_running'; readonly count: number }

export type RestoredLog = { readonly stream: Stream; readonly before: string; readonly origin: string; readonly size: number; readonly leavesLost: number | null }

export type RestoreDone = EndedByRestore & {
  readonly restore: RestoreId
  readonly backup: string
  readonly backupAt: EpochMs
  readonly rows: number
  readonly logs: readonly RestoredLog[]
}

type Needs = { readonly config: Pick<Config, 'store' | 'keyDirectory'>; readonly clock: Clock }

/** Writes nothing before the whole file has proved itself; then loads it in one transaction, and ends what was live in it. */
export async function restoreBackup(needs: Needs, order: RestoreOrder): Promise<Outcome<RestoreDone, RestoreRefusal>> {
  const { store, keyDirectory } = needs.config
  const keys = openKeys(keyDirectory, hostEntropy)
  if (!keys.ok) return refuse({ kind: 'keys', message: keysMessage(keys.refusal) })
  if (store.kind === 'sqlite' ? sqliteIsTaken(store.directory) : await postgresIsTaken(store.url)) return refuse({ kind: 'not_empty' })
  const file = await open(order.file, 'r')
  try {
    const checked = await checkFile(file, keys.value)
    if (!checked.ok) return checked
    const known = openKnown(checked.value.logs, order.checkpoints)
    if (!known.ok) return known
    return await restoreInto(needs, { ...order, file, head: checked.value, keys: keys.value, known: known.value })
  } finally {
    await file.close()
  }
}

class OtherRelease extends Error {
  readonly isNewer: boolean
  constructor(head: BackupHead) {
    super('other release')
    this.isNewer = head.migrations.length > MIGRATIONS.length || head.release > RELEASE
  }
}

/** Reads the file to its end, and keeps nothing. */
async function checkFile(file: FileHandle, keys: Keys): Promise<Outcome<BackupHead, RestoreRefusal>> {
  let head: BackupHead | undefined
  let keyMessage: string | undefined
  try {
    const read = await readBackup(piecesOf(file), {
      keyFor: (found) => {
        head = found
        const key = keys.backupKey(found.key_check)
        if (!key.ok) keyMessage = keysMessage(key.refusal)
        else if (!isOurSchema(found)) throw new OtherRelease(found)
        return key.ok ? key.value : undefined
      },
    })
    if (keyMessage !== undefined) return refuse({ kind: 'keys', message: keyMessage })
    return read.ok ? ok(read.value.head) : read
  } catch (cause) {
    if (cause instanceof OtherRelease) return refuse({ kind: 'other_release', backup: head!.version, isNewer: cause.isNewer })
    throw cause
  }
}

const isOurSchema = ({ migrations }: BackupHead): boolean => JSON.stringify(migrations) === JSON.stringify(MIGRATIONS.map(({ name }) => name))

const piecesOf = (file: FileHandle): AsyncIterable<Uint8Array> => file.createReadStream({ start: 0, autoClose: false, highWaterMark: 256 * 1024 })

type Checked = Omit<RestoreOrder, 'file'> & {
  readonly file: FileHandle
  readonly head: BackupHead
  readonly keys: Keys
  readonly known: ReadonlyMap<string, readonly KnownCheckpoint[]>
}

async function restoreInto({ config, clock }: Needs, order: Checked): Promise<Outcome<RestoreDone, RestoreRefusal>> {
  const now = clock.now()
  await mark(config)
  // Its tables, by the way every start goes.
  await (await openStore(config, order.keys, { now, onFault: (error) => { throw error } })).close()
  const target = await openRestoreTarget(config.store)
  try {
    const begun = await begin(target, order, now)
    if (!begun.ok) {
      await unmarkRestore(target)
      return begun
    }
    failpoint('restore.begun')
    const done = await inTransaction(target, () => load(target, order, begun.value, clock))
    failpoint('restore.done')
    // Refused in the end: the store is as empty as it was, and says so.
    if (!done.ok) await forgetBegun(target.db)
    return done
  } finally {
    await target.close()
  }
}

async function mark({ store }: Needs['config']): Promise<void> {
  const target = await openRestoreTarget(store)
  try {
    await markRestore(target)
    failpoint('restore.marked')
  } finally {
    await target.close()
  }
}

async function begin(target: RestoreTarget, { head, trustsIdentities }: Checked, now: EpochMs): Promise<Outcome<RestoreId, RestoreRefusal>> {
  const others = await othersOf(target)
  if (others > 0) return refuse({ kind: 'servers_running', count: others })
  return inTransaction(target, async () => {
    if (await isTaken(target)) return refuse<RestoreRefusal>({ kind: 'not_empty' })
    const id = mintId('restore', now, hostEntropy.bytes(10))
    await beginRestore(target.db, { id, backup: head.backup as BackupId, backupAt: epochMs(head.created_at), trustsIdentities }, now)
    await unmarkRestore(target)
    return ok(id)
  })
}

const isTaken = async ({ db }: RestoreTarget): Promise<boolean> => (await db.selectFrom('installation').select('id').executeTakeFirst()) !== undefined

/** Connections that were closed a moment ago may still be listed. */
async function othersOf(target: RestoreTarget): Promise<number> {
  for (let tries = 0; ; tries++) {
    const count = await target.others()
    if (count === 0 || tries === 20) return count
    await pause(100)
  }
}

/** A refusal or a fault leaves nothing behind. */
async function inTransaction<Value>({ ask, dialect }: RestoreTarget, work: () => Promise<Outcome<Value, RestoreRefusal>>): Promise<Outcome<Value, RestoreRefusal>> {
  await ask(dialect.name === 'sqlite' ? 'begin immediate' : 'begin isolation level read committed')
  try {
    const outcome = await work()
    await ask(outcome.ok ? 'commit' : 'rollback')
    return outcome
  } catch (cause) {
    await ask('rollback').catch(() => undefined)
    throw cause
  }
}

async function load(target: RestoreTarget, order: Checked, restore: RestoreId, clock: Clock): Promise<Outcome<RestoreDone, RestoreRefusal>> {
  const { file, head, keys, known, trustsIdentities } = order
  const logs = new Map<Stream, PastLog>()
  const knownOf = (origin: string): PastLog['known'] => {
    const newest = known.get(origin)?.at(-1)
    // A checkpoint from before the backup tells nothing of what came after it.
    const isBehind = newest === undefined || newest.checkpoint.size < head.logs.find((log) => log.origin === origin)!.size
    return isBehind ? null : { note: newest.note, size: newest.checkpoint.size }
  }
  await openEvents(target)
  const taken = await bare(target)
  const read = await readBackup(piecesOf(file), {
    visitor: loader({ target, restore, knownOf }, logs),
    keyFor: ({ backup, key_check: keyCheck }) => {
      const key = keys.backupKey(keyCheck)
      return key.ok && backup === head.backup ? key.value : undefined
    },
  })
  if (!read.ok) return read
  await dress(target, taken)
  await guardEvents(target)
  failpoint('restore.loaded')
  for (const log of logs.values()) {
    const compared = await compareKnown(target.db, log, known.get(log.origin) ?? [])
    if (!compared.ok) return compared
  }
  const now = clock.now()
  const tx: Tx = { db: target.db, dialect: target.dialect, context: changeContextOf(keys.forChanges) }
  const opened: RestoredLog[] = []
  for (const stream of STREAMS) {
    const past = logs.get(stream)
    if (past === undefined) throw new Error(`the backup holds no ${stream} log`)
    const next = await openLogAfter(tx, past, {
      installation: head.installation, restore, backup: head.backup as BackupId, backupAt: epochMs(head.created_at), trustsIdentities, by: order.by, signer: keys.signers[stream], now,
    })
    opened.push({ stream, before: past.origin, origin: next.origin, size: past.size, leavesLost: past.known === null ? null : past.known.size - past.size })
  }
  const ended = await endRestored(tx, { restore, trustsIdentities, now })
  await setNotBefore(target.db, plus(now, CLOCK_TOLERANCE))
  if (!(await finishRestore(target.db, restore, now))) throw new Error('another restore has taken the place of this one')
  const others = await target.others()
  if (others > 0) return refuse({ kind: 'servers_running', count: others })
  failpoint('restore.before_commit')
  const rows = Object.values(read.value.end.rows).reduce((sum, count) => sum + count, 0)
  return ok({ restore, backup: head.backup, backupAt: epochMs(head.created_at), rows, logs: opened, ...ended })
}
