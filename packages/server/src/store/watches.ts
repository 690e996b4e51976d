import type { FindingKind, FindingState, IncidentKind, IncidentState } from '@writ/domain/finding'
import type { FindingId, IdentityId, IncidentId, LeaseId, TaskId } from '@writ/domain/id'
import { epochMs, type EpochMs } from '@writ/domain/time'
import type { Kysely } from 'kysely'
import type { TxOf } from './change.ts'
import { fromJsonText, toJsonText } from './json.ts'
import { forUpdate } from './row-locks.ts'
import type { FindingRow, Tables } from './tables.ts'

type Db = Kysely<Tables>

/** `subject`: what the finding is about; one of a kind is open per subject at a time. */
export type Finding = {
  readonly id: FindingId
  readonly kind: FindingKind
  readonly subject: string
  readonly identity: IdentityId | null
  readonly evidence: Readonly<Record<string, unknown>>
  readonly state: FindingState
  readonly raisedAt: EpochMs
}

const parseFindingRow = (row: FindingRow): Finding => ({
  id: row.id as FindingId, kind: row.kind as FindingKind, subject: row.subject, identity: row.identity_id as IdentityId | null,
  evidence: fromJsonText<Record<string, unknown>>(row.evidence), state: row.state as FindingState, raisedAt: epochMs(row.raised_at),
})

export async function findOpenFinding(db: Db, kind: FindingKind, subject: string): Promise<FindingId | undefined> {
  const row = await db.selectFrom('finding').select('id').where('kind', '=', kind).where('subject', '=', subject).where('state', '=', 'open').executeTakeFirst()
  return row?.id as FindingId | undefined
}

export async function insertFinding(db: Db, finding: Finding): Promise<void> {
  await db.insertInto('finding').values(findingRow(finding)).execute()
}

/** False when one of its kind and subject is open already, also from a server that has raised it this moment. */
export async function insertFindingOnce(db: Db, finding: Finding): Promise<boolean> {
  const inserted = await db.insertInto('finding').values(findingRow(finding)).onConflict((conflict) => conflict.doNothing()).executeTakeFirst()
  return inserted.numInsertedOrUpdatedRows === 1n
}

const findingRow = (finding: Finding) => ({
  id: finding.id, kind: finding.kind, subject: finding.subject, identity_id: finding.identity, evidence: toJsonText(finding.evidence),
  state: finding.state, raised_at: finding.raisedAt, resolved_at: null,
})

/** The open finding, locked until the end of the change. */
export async function lockOpenFinding<Context>(tx: TxOf<Tables, Context>, kind: FindingKind, subject: string): Promise<{ readonly id: FindingId; readonly evidence: Finding['evidence'] } | undefined> {
  const row = await forUpdate(tx, tx.db.selectFrom('finding').selectAll().where('kind', '=', kind).where('subject', '=', subject).where('state', '=', 'open')).executeTakeFirst()
  return row && { id: row.id as FindingId, evidence: fromJsonText<Finding['evidence']>(row.evidence) }
}

export async function setEvidence(db: Db, id: FindingId, evidence: Finding['evidence']): Promise<void> {
  await db.updateTable('finding').set({ evidence: toJsonText(evidence) }).where('id', '=', id).execute()
}

/** The open ones of these kinds whose subject begins like this. */
export async function listOpenFindings(db: Db, kinds: readonly FindingKind[], subjectBegins: string): Promise<readonly Finding[]> {
  const rows = await db.selectFrom('finding').selectAll().where('kind', 'in', kinds).where('state', '=', 'open')
    .where((eb) => eb(eb.fn<string>('substr', ['subject', eb.val(1), eb.val(subjectBegins.length)]), '=', subjectBegins)).execute()
  return rows.map(parseFindingRow)
}

/** Of any state, locked until the end of the change. */
export async function lockFinding<Context>(tx: TxOf<Tables, Context>, id: string): Promise<Finding | undefined> {
  const row = await forUpdate(tx, tx.db.selectFrom('finding').selectAll().where('id', '=', id)).executeTakeFirst()
  return row && parseFindingRow(row)
}

export async function findFinding(db: Db, id: string): Promise<Finding | undefined> {
  const row = await db.selectFrom('finding').selectAll().where('id', '=', id).executeTakeFirst()
  return row && parseFindingRow(row)
}

export async function markFindingResolved(db: Db, id: FindingId, now: EpochMs): Promise<void> {
  await db.updateTable('finding').set({ state: 'resolved', resolved_at: now }).where('id', '=', id).execute()
}

export type WatchPage = { readonly limit: number; readonly before?: string }

export async function listFindings(db: Db, page: WatchPage): Promise<readonly Finding[]> {
  let query = db.selectFrom('finding').selectAll().orderBy('id', 'desc').limit(page.limit)
  if (page.before !== undefined) query = query.where('id', '<', page.before)
  return (await query.execute()).map(parseFindingRow)
}

export type Incident = {
  readonly id: IncidentId
  readonly kind: IncidentKind
  readonly lease: LeaseId | null
  readonly task: TaskId | null
  readonly identity: IdentityId | null
  readonly why: string
  readonly state: IncidentState
  readonly openedAt: EpochMs
  readonly resolvedAt: EpochMs | null
}

export async function insertIncident(db: Db, incident: Incident): Promise<void> {
  await db.insertInto('incident').values({
    id: incident.id, kind: incident.kind, lease_id: incident.lease, task_id: incident.task, identity_id: incident.identity, why: incident.why,
    state: incident.state, opened_at: incident.openedAt, resolved_at: incident.resolvedAt,
  }).execute()
}

export async function markIncidentResolved(db: Db, id: IncidentId, now: EpochMs): Promise<void> {
  await db.updateTable('incident').set({ state: 'resolved', resolved_at: now }).where('id', '=', id).where('state', '=', 'open').execute()
}

export async function listIncidents(db: Db, page: WatchPage): Promise<readonly Incident[]> {
  let query = db.selectFrom('incident').selectAll().orderBy('id', 'desc').limit(page.limit)
  if (page.before !== undefined) query = query.where('id', '<', page.before)
  return (await query.execute()).map((row) => ({
    id: row.id as IncidentId, kind: row.kind as IncidentKind, lease: row.lease_id as LeaseId | null, task: row.task_id as TaskId | null,
    identity: row.identity_id as IdentityId | null, why: row.why, state: row.state as IncidentState, openedAt: epochMs(row.opened_at),
    resolvedAt: row.resolved_at === null ? null : epochMs(row.resolved_at),
  }))
}
