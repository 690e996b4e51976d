import type { ApprovalRoute } from '@writ/domain/approval'
import type { ApprovalId, EventId, PasskeyId, PersonId } from '@writ/domain/id'
import { epochMs, type EpochMs } from '@writ/domain/time'
import type { Kysely } from 'kysely'
import type { ApprovalVoteRow } from './approval-tables.ts'
import { fromJsonText, toJsonText } from './json.ts'
import { listEventsById, type StoredEvent } from './events.ts'
import { insertRows } from './prepared.ts'
import type { Tables } from './tables.ts'

type Db = Kysely<Tables>

/** What one person answered, and who that was then. */
export type Vote = {
  readonly approval: ApprovalId
  readonly person: PersonId
  readonly name: string
  /** Folded, so that the database compares what the program does. */
  readonly email: string | null
  readonly issuer: string | null
  readonly subject: string | null
  readonly groups: readonly string[]
  readonly answer: 'approve' | 'deny'
  readonly reason: string | null
  /** Of what was approved. */
  readonly envelopeSha256: string | null
  readonly signature: { readonly passkey: PasskeyId; /** JSON, as the browser made it. */ readonly assertion: string } | null
  readonly at: EpochMs
  readonly event: EventId
}

const parseVoteRow = (row: ApprovalVoteRow): Vote => ({
  approval: row.approval_id as ApprovalId, person: row.person_id as PersonId, name: row.name, email: row.email, issuer: row.issuer, subject: row.subject,
  groups: fromJsonText<readonly string[]>(row.group_names), answer: row.answer as Vote['answer'], reason: row.reason, envelopeSha256: row.envelope_sha256,
  signature: row.passkey_id === null || row.assertion === null ? null : { passkey: row.passkey_id as PasskeyId, assertion: row.assertion },
  at: epochMs(row.at), event: row.event_id as EventId,
})

export async function insertVote(db: Db, vote: Vote): Promise<void> {
  await insertRows(db, 'approval_vote', [{
    approval_id: vote.approval, person_id: vote.person, name: vote.name, email: vote.email, issuer: vote.issuer, subject: vote.subject, group_names: toJsonText(vote.groups),
    answer: vote.answer, reason: vote.reason, envelope_sha256: vote.envelopeSha256, passkey_id: vote.signature?.passkey ?? null, assertion: vote.signature?.assertion ?? null,
    at: vote.at, event_id: vote.event,
  }])
}

export async function listVotes(db: Db, approvals: readonly ApprovalId[]): Promise<readonly Vote[]> {
  if (approvals.length === 0) return []
  return (await db.selectFrom('approval_vote').selectAll().where('approval_id', 'in', approvals).orderBy('at').execute()).map(parseVoteRow)
}

/** A person's newest answers, with how long the request had waited. */
export async function listAnswersOf(db: Db, person: PersonId, limit: number): Promise<readonly { readonly answer: Vote['answer']; readonly afterMs: number }[]> {
  const rows = await db.selectFrom('approval_vote').innerJoin('approval', 'approval.id', 'approval_vote.approval_id').where('person_id', '=', person)
    .select(['answer', 'at', 'requested_at']).orderBy('at', 'desc').limit(limit).execute()
  return rows.map((row) => ({ answer: row.answer as Vote['answer'], afterMs: row.at - row.requested_at }))
}

/** A passkey, and the event of its enrolment. */
export type Enrolment = { readonly passkey: PasskeyId; readonly person: PersonId; readonly publicKey: Uint8Array; readonly removedAt: number | null; readonly event: StoredEvent }

export async function findEnrolments(db: Db, passkeys: readonly PasskeyId[]): Promise<readonly Enrolment[]> {
  if (passkeys.length === 0) return []
  const rows = await db.selectFrom('passkey').select(['id', 'person_id', 'public_key', 'removed_at', 'enrolled_event']).where('id', 'in', passkeys).execute()
  const events = new Map((await listEventsById(db, rows.map((row) => row.enrolled_event as EventId))).map((event) => [event.id, event]))
  return rows.flatMap((row) => {
    const event = events.get(row.enrolled_event as EventId)
    return event === undefined ? [] : [{ passkey: row.id as PasskeyId, person: row.person_id as PersonId, publicKey: row.public_key, removedAt: row.removed_at, event }]
  })
}

export type ApprovalRoutes = { readonly version: number; readonly routes: readonly ApprovalRoute[]; readonly reason: string | null; readonly setBy: string | null; readonly setAt: EpochMs | null }

/** Those in force. */
export async function findRoutes(db: Db): Promise<ApprovalRoutes> {
  const row = await db.selectFrom('approval_route').selectAll().orderBy('version', 'desc').limit(1).executeTakeFirst()
  return row === undefined
    ? { version: 0, routes: [], reason: null, setBy: null, setAt: null }
    : { version: row.version, routes: fromJsonText<readonly ApprovalRoute[]>(row.routes), reason: row.reason, setBy: row.set_by, setAt: epochMs(row.set_at) }
}

/** Whether it was this version's turn: nobody else was before. */
export async function insertRoutes(db: Db, { version, routes, reason, setBy, setAt }: { readonly version: number; readonly routes: readonly ApprovalRoute[]; readonly reason: string; readonly setBy: string; readonly setAt: EpochMs }): Promise<boolean> {
  const done = await db.insertInto('approval_route').values({ version, routes: toJsonText(routes), reason, set_by: setBy, set_at: setAt })
    .onConflict((conflict) => conflict.column('version').doNothing()).executeTakeFirst()
  return Number(done.numInsertedOrUpdatedRows ?? 0n) === 1
}
