import type { NoticeId, NoticeTargetId } from '@writ/domain/id'
import type { NoticeKind, NoticeMatter, NoticeState } from '@writ/domain/notice'
import { epochMs, type EpochMs } from '@writ/domain/time'
import type { Kysely } from 'kysely'
import type { TxOf } from './change.ts'
import { fromJsonText, toJsonText } from './json.ts'
import type { NoticeRow, NoticeTargetRow } from './notice-tables.ts'
import { claimDue, forUpdate } from './row-locks.ts'
import type { Tables } from './tables.ts'

type Db = Kysely<Tables>

export type NoticeTarget = {
  readonly id: NoticeTargetId
  readonly name: string
  readonly kind: NoticeKind
  readonly about: readonly NoticeMatter[]
  /** As much of where it is as nobody could use. */
  readonly place: string
  /** Null once it is removed. */
  readonly sealedAddress: string | null
  readonly state: 'active' | 'removed'
  readonly addedBy: string
  readonly addedAt: EpochMs
  readonly removedAt: EpochMs | null
  /** The number of the last event that was looked at for it. */
  readonly toldUpTo: number
  readonly lastSentAt: EpochMs | null
  readonly trouble: string | null
}

export type Notice = {
  readonly id: NoticeId
  readonly target: NoticeTargetId
  readonly event: string
  readonly matter: NoticeMatter
  readonly state: NoticeState
  /** Those that have begun. */
  readonly attempts: number
  readonly madeAt: EpochMs
}

/** Where the sealed address of a target belongs. */
export const noticeAddressPlace = (id: NoticeTargetId): string => `notice_target:${id}:address`

const orNull = (at: number | null): EpochMs | null => (at === null ? null : epochMs(at))

const parseTargetRow = (row: NoticeTargetRow): NoticeTarget => ({
  id: row.id as NoticeTargetId, name: row.name, kind: row.kind as NoticeKind, about: fromJsonText<readonly NoticeMatter[]>(row.about), place: row.place,
  sealedAddress: row.sealed_address, state: row.state as NoticeTarget['state'], addedBy: row.added_by, addedAt: epochMs(row.added_at), removedAt: orNull(row.removed_at),
  toldUpTo: row.told_up_to, lastSentAt: orNull(row.last_sent_at), trouble: row.trouble,
})

const parseNoticeRow = (row: NoticeRow): Notice => ({
  id: row.id as NoticeId, target: row.target_id as NoticeTargetId, event: row.event_id, matter: row.matter as NoticeMatter, state: row.state as NoticeState,
  attempts: row.attempts, madeAt: epochMs(row.made_at),
})

/** False when an active one has this name. */
export async function insertNoticeTarget(db: Db, target: NoticeTarget): Promise<boolean> {
  const inserted = await db.insertInto('notice_target').values({
    id: target.id, name: target.name, kind: target.kind, about: toJsonText(target.about), place: target.place, sealed_address: target.sealedAddress, state: target.state,
    added_by: target.addedBy, added_at: target.addedAt, removed_at: target.removedAt, told_up_to: target.toldUpTo, last_sent_at: target.lastSentAt, trouble: target.trouble,
  }).onConflict((conflict) => conflict.doNothing()).executeTakeFirst()
  return inserted.numInsertedOrUpdatedRows === 1n
}

/** The removed ones too. */
export async function listNoticeTargets(db: Db): Promise<readonly NoticeTarget[]> {
  return (await db.selectFrom('notice_target').selectAll().orderBy('name').orderBy('id').execute()).map(parseTargetRow)
}

export async function listActiveTargets(db: Db): Promise<readonly NoticeTarget[]> {
  return (await db.selectFrom('notice_target').selectAll().where('state', '=', 'active').orderBy('id').execute()).map(parseTargetRow)
}

/** By id, or the active one by name. */
const byReference = (db: Db, reference: string) => db.selectFrom('notice_target').selectAll()
  .where((eb) => eb.or([eb('id', '=', reference), eb.and([eb('name', '=', reference), eb('state', '=', 'active')])]))

export async function findNoticeTarget(db: Db, reference: string): Promise<NoticeTarget | undefined> {
  const row = await byReference(db, reference).executeTakeFirst()
  return row && parseTargetRow(row)
}

/** The target, locked until the end of the change. */
export async function lockNoticeTarget<Context>(tx: TxOf<Tables, Context>, reference: string): Promise<NoticeTarget | undefined> {
  const row = await forUpdate(tx, byReference(tx.db, reference)).executeTakeFirst()
  return row && parseTargetRow(row)
}

/** Its address is destroyed, and what still waits for it is given up. */
export async function markTargetRemoved(db: Db, id: NoticeTargetId, now: EpochMs): Promise<void> {
  await db.updateTable('notice_target').set({ state: 'removed', removed_at: now, sealed_address: null }).where('id', '=', id).execute()
  await db.updateTable('notice').set({ state: 'failed', due_at: null, ended_at: now }).where('target_id', '=', id).where('state', '=', 'waiting').execute()
}

export async function setToldUpTo(db: Db, id: NoticeTargetId, seq: number): Promise<void> {
  await db.updateTable('notice_target').set({ told_up_to: seq }).where('id', '=', id).execute()
}

export type NewNotice = Pick<Notice, 'id' | 'target' | 'event' | 'matter'>

/** What is there already for this target and event stays as it is. */
export async function insertNotices(db: Db, notices: readonly NewNotice[], now: EpochMs): Promise<void> {
  if (notices.length === 0) return
  await db.insertInto('notice').values(notices.map((one) => ({
    id: one.id, target_id: one.target, event_id: one.event, matter: one.matter, state: 'waiting', attempts: 0, made_at: now, due_at: now, ended_at: null,
  }))).onConflict((conflict) => conflict.doNothing()).execute()
}

export async function hasDueNotice(db: Db, now: EpochMs): Promise<boolean> {
  return (await db.selectFrom('notice').select('id').where('due_at', '<=', now).limit(1).executeTakeFirst()) !== undefined
}

export type NoticeClaim = { readonly now: EpochMs; readonly until: EpochMs; readonly limit: number }

/** For this server alone until then. */
export async function claimNotices<Context>(tx: TxOf<Tables, Context>, claim: NoticeClaim): Promise<readonly Notice[]> {
  return (await claimDue(tx, { table: 'notice', key: 'id', dueAt: 'due_at', claimedUntil: 'due_at', ...claim })).map(parseNoticeRow)
}

/** The notice, locked until the end of the change. Lock its target before it. */
export async function lockNotice<Context>(tx: TxOf<Tables, Context>, id: NoticeId): Promise<Notice | undefined> {
  const row = await forUpdate(tx, tx.db.selectFrom('notice').selectAll().where('id', '=', id)).executeTakeFirst()
  return row && parseNoticeRow(row)
}

/** `again`: when it is tried once more; null ends it in this state. */
export type NoticeOutcome = { readonly state: NoticeState; readonly again: EpochMs | null; readonly now: EpochMs }

export async function settleNotice(db: Db, { id, attempts }: Pick<Notice, 'id' | 'attempts'>, { state, again, now }: NoticeOutcome): Promise<void> {
  await db.updateTable('notice').set({ state, attempts: attempts + 1, due_at: again, ended_at: again === null ? now : null }).where('id', '=', id).execute()
}

export async function markTargetSent(db: Db, id: NoticeTargetId, now: EpochMs): Promise<void> {
  await db.updateTable('notice_target').set({ last_sent_at: now, trouble: null }).where('id', '=', id).execute()
}

export async function setTargetTrouble(db: Db, id: NoticeTargetId, trouble: string): Promise<void> {
  await db.updateTable('notice_target').set({ trouble }).where('id', '=', id).execute()
}

/** How many are in this state, per target. */
export async function countNotices(db: Db, state: NoticeState): Promise<ReadonlyMap<string, number>> {
  const rows = await db.selectFrom('notice').select((eb) => ['target_id', eb.fn.countAll<number>().as('count')]).where('state', '=', state).groupBy('target_id').execute()
  return new Map(rows.map((row) => [row.target_id, Number(row.count)]))
}

/** Those that have ended before. */
export async function forgetNotices(db: Db, before: EpochMs): Promise<void> {
  await db.deleteFrom('notice').where('ended_at', '<', before).execute()
}
