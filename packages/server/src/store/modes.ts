import type { Mode, ModeSubject } from '@writ/domain/decision'
import type { IdentityId, TaskId } from '@writ/domain/id'
import { epochMs, type EpochMs } from '@writ/domain/time'
import type { Kysely } from 'kysely'
import type { TxOf } from './change.ts'
import { BY_KEY, prepared } from './prepared.ts'
import { forUpdate } from './row-locks.ts'
import type { ModeRow, Tables } from './tables.ts'

type Db = Kysely<Tables>

/** `subject`: an identity's id, or the name of a back end or a server of tools. */
export type ModeOf = { readonly kind: ModeSubject; readonly subject: string }

/** As it was set. `until`: null of one that is enforced. */
export type StoredMode = ModeOf & { readonly mode: Mode; readonly reason: string; readonly until: EpochMs | null; readonly setBy: string; readonly setAt: EpochMs }

const parseModeRow = (row: ModeRow): StoredMode => ({
  kind: row.subject_kind as ModeSubject, subject: row.subject, mode: row.mode as Mode, reason: row.reason,
  until: row.until === null ? null : epochMs(row.until), setBy: row.set_by, setAt: epochMs(row.set_at),
})

/** What holds at this instant: enforced where nothing was said, and after the end of what was. */
export const modeAt = (stored: StoredMode | undefined, now: EpochMs): Mode =>
  (stored?.mode === 'observe' && stored.until !== null && now < stored.until ? 'observe' : 'enforce')

/** Which of the two is observed at this instant: none means that everything is enforced. */
export async function findModes(db: Db, { identity, server }: { readonly identity: IdentityId; readonly server: string }, now: EpochMs): Promise<readonly StoredMode[]> {
  return observedAt((await modesOf(db, { identity, server })).rows, now)
}

const observedAt = (rows: readonly ModeRow[], now: EpochMs): readonly StoredMode[] => rows.map(parseModeRow).filter((stored) => modeAt(stored, now) === 'observe')

const modesOf = prepared((db, of: { readonly identity: IdentityId; readonly server: string }) => db.selectFrom('mode').selectAll().where((eb) => eb.or([
  eb.and([eb('subject_kind', '=', 'identity'), eb('subject', '=', of.identity)]), eb.and([eb('subject_kind', '=', 'server'), eb('subject', '=', of.server)]),
])), BY_KEY)

/** Where it is not known yet who holds the task and which of these names is the server's: all that are observed of them. */
export async function findModesAround(db: Db, { task, servers: [first, second, third] }: { readonly task: TaskId; readonly servers: readonly [string, string, string] }, now: EpochMs): Promise<readonly StoredMode[]> {
  return observedAt((await modesAround(db, { task, first, second, third })).rows, now)
}

const modesAround = prepared((db, of: { readonly task: TaskId; readonly first: string; readonly second: string; readonly third: string }) => db.selectFrom('mode').selectAll().where((eb) => eb.or([
  eb.and([eb('subject_kind', '=', 'identity'), eb('subject', '=', (one) => one.selectFrom('task').select('task.identity_id').where('task.id', '=', of.task))]),
  eb.and([eb('subject_kind', '=', 'server'), eb('subject', 'in', [of.first, of.second, of.third])]),
])), BY_KEY)

/** Everything that was ever set, by subject. */
export async function listModes(db: Db): Promise<readonly StoredMode[]> {
  return (await db.selectFrom('mode').selectAll().orderBy('subject_kind').orderBy('subject').execute()).map(parseModeRow)
}

/** Locked until the end of the change. */
export async function lockMode<Context>(tx: TxOf<Tables, Context>, { kind, subject }: ModeOf): Promise<StoredMode | undefined> {
  const row = await forUpdate(tx, tx.db.selectFrom('mode').selectAll().where('subject_kind', '=', kind).where('subject', '=', subject)).executeTakeFirst()
  return row && parseModeRow(row)
}

export async function setMode(db: Db, { kind, subject, ...set }: StoredMode): Promise<void> {
  const now = { mode: set.mode, reason: set.reason, until: set.until, set_by: set.setBy, set_at: set.setAt }
  await db.insertInto('mode').values({ subject_kind: kind, subject, ...now })
    .onConflict((conflict) => conflict.columns(['subject_kind', 'subject']).doUpdateSet(now)).execute()
}
