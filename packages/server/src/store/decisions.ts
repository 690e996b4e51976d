import type { Answer, DecisionCause, Mode } from '@writ/domain/decision'
import { firstIdAt, type DecisionId, type EventId, type IdentityId, type TaskId } from '@writ/domain/id'
import { epochMs, type EpochMs } from '@writ/domain/time'
import type { EntityRef } from '@writ/policy/question'
import type { Kysely } from 'kysely'
import type { TxOf } from './change.ts'
import { fromJsonText, toJsonText } from './json.ts'
import { BY_KEY, insertRows, preparedWrite } from './prepared.ts'
import { forUpdate } from './row-locks.ts'
import type { DecisionRow, Tables } from './tables.ts'

type Db = Kysely<Tables>

export type Decision = {
  /** Minted at `at`. */
  readonly id: DecisionId
  readonly at: EpochMs
  /** Null of an advisory one, and of one that named a task which is not there. */
  readonly task: TaskId | null
  readonly identity: IdentityId | null
  /** Of an advisory one, what its caller said. */
  readonly principal: EntityRef
  readonly action: string
  readonly resource: EntityRef
  /** Which part of the grant it needed, as grants are written; null of an advisory one. */
  readonly permit: string | null
  readonly answer: Answer
  readonly cause: DecisionCause
  readonly approvable: boolean
  readonly mode: Mode
  /** Observed: it passed, and would not have. */
  readonly wouldDeny: boolean
  /** Policy only; it opens nothing. */
  readonly advisory: boolean
  readonly policyVersion: number
  /** The ids of the policies that decided. */
  readonly by: readonly string[]
  readonly errors: readonly string[]
  /** The sealed question, and the salt of its hash in the leaf; both null once erased. */
  readonly evaluated: string | null
  readonly evaluatedSalt: Uint8Array | null
  readonly traceId: string | null
  /** `decision.made`, appended in the same change. */
  readonly event: EventId
}

const yes = (claim: boolean): 'yes' | 'no' => (claim ? 'yes' : 'no')

function parseDecisionRow(row: DecisionRow): Decision {
  return {
    id: row.id as DecisionId,
    at: epochMs(row.at),
    task: row.task_id as TaskId | null,
    identity: row.identity_id as IdentityId | null,
    principal: { type: row.principal_type, id: row.principal_id },
    action: row.action,
    resource: { type: row.resource_type, id: row.resource_id },
    permit: row.permit,
    answer: row.answer as Answer,
    cause: row.cause as DecisionCause,
    approvable: row.approvable === 'yes',
    mode: row.mode as Mode,
    wouldDeny: row.would_deny === 'yes',
    advisory: row.advisory === 'yes',
    policyVersion: row.policy_version,
    by: fromJsonText<readonly string[]>(row.by_policies),
    errors: fromJsonText<readonly string[]>(row.errors),
    evaluated: row.evaluated,
    evaluatedSalt: row.evaluated_salt,
    traceId: row.trace_id,
    event: row.event_id as EventId,
  }
}

/** `dec_` and the ten characters that are the milliseconds. */
const INSTANT_LENGTH = 14

/** Its event is appended before, in the same change. */
export async function insertDecision(db: Db, decision: Decision): Promise<void> {
  // INVARIANT: pages go by id alone, which is by time only as long as ids are minted at the instant of their decision.
  if (!decision.id.startsWith(firstIdAt('decision', decision.at).slice(0, INSTANT_LENGTH))) throw new Error(`${decision.id} was not minted at the instant of its decision`)
  await insertRows(db, 'decision', [{
    id: decision.id,
    at: decision.at,
    task_id: decision.task,
    identity_id: decision.identity,
    principal_type: decision.principal.type,
    principal_id: decision.principal.id,
    action: decision.action,
    resource_type: decision.resource.type,
    resource_id: decision.resource.id,
    permit: decision.permit,
    answer: decision.answer,
    cause: decision.cause,
    approvable: yes(decision.approvable),
    mode: decision.mode,
    would_deny: yes(decision.wouldDeny),
    advisory: yes(decision.advisory),
    policy_version: decision.policyVersion,
    by_policies: toJsonText(decision.by),
    errors: toJsonText(decision.errors),
    evaluated: decision.evaluated,
    evaluated_salt: decision.evaluatedSalt,
    trace_id: decision.traceId,
    event_id: decision.event,
  }])
}

export async function findDecision(db: Db, id: string): Promise<Decision | undefined> {
  const row = await db.selectFrom('decision').selectAll().where('id', '=', id).executeTakeFirst()
  return row && parseDecisionRow(row)
}

/** Locked until the end of the change. */
export async function lockDecision<Context>(tx: TxOf<Tables, Context>, id: string): Promise<Decision | undefined> {
  const row = await forUpdate(tx, tx.db.selectFrom('decision').selectAll().where('id', '=', id)).executeTakeFirst()
  return row && parseDecisionRow(row)
}

export type DecisionSpan = {
  /** From this instant on. */
  readonly since?: EpochMs
  /** Up to this instant, and not at it. */
  readonly until?: EpochMs
}

export type DecisionPage = DecisionSpan & {
  readonly limit: number
  readonly task?: string
  readonly identity?: string
  readonly answer?: Answer
  /** Beyond this id, in the order that is asked for. */
  readonly beyond?: string
  /** Newest first unless said. */
  readonly oldestFirst?: boolean
}

export async function listDecisions(db: Db, page: DecisionPage): Promise<readonly Decision[]> {
  const { oldestFirst = false } = page
  let query = db.selectFrom('decision').selectAll().orderBy('id', oldestFirst ? 'asc' : 'desc').limit(page.limit)
  if (page.since !== undefined) query = query.where('id', '>=', firstIdAt('decision', page.since))
  if (page.until !== undefined) query = query.where('id', '<', firstIdAt('decision', page.until))
  if (page.beyond !== undefined) query = query.where('id', oldestFirst ? '>' : '<', page.beyond)
  if (page.task !== undefined) query = query.where('task_id', '=', page.task)
  if (page.identity !== undefined) query = query.where('identity_id', '=', page.identity)
  if (page.answer !== undefined) query = query.where('answer', '=', page.answer)
  return (await query.execute()).map(parseDecisionRow)
}

export async function countDecisions(db: Db, { since, until }: DecisionSpan): Promise<number> {
  let query = db.selectFrom('decision').select((eb) => eb.fn.countAll().as('count'))
  if (since !== undefined) query = query.where('id', '>=', firstIdAt('decision', since))
  if (until !== undefined) query = query.where('id', '<', firstIdAt('decision', until))
  return Number((await query.executeTakeFirstOrThrow()).count)
}

/** The salt goes with it: the hash in the leaf says nothing of it any more. */
export async function eraseEvaluated(db: Db, id: DecisionId): Promise<void> {
  await db.updateTable('decision').set({ evaluated: null, evaluated_salt: null }).where('id', '=', id).execute()
}

/** One more call that the task tried and may not. */
export async function countDenied(db: Db, task: TaskId): Promise<void> {
  await countOne(db, { task })
}

const countOne = preparedWrite((db, of: { readonly task: TaskId }) => db.updateTable('task').set((eb) => ({ denied_calls: eb('denied_calls', '+', 1) })).where('id', '=', of.task), BY_KEY)
