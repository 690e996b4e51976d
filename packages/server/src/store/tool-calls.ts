import type { DecisionId, IdentityId, ServerInstanceId, TaskId } from '@writ/domain/id'
import { epochMs, type EpochMs } from '@writ/domain/time'
import type { CallOutcome, CallStatus } from '@writ/domain/tool-call'
import { sql, type Kysely } from 'kysely'
import type { TxOf } from './change.ts'
import { insertRows } from './prepared.ts'
import { forUpdate, forUpdateOfFree } from './row-locks.ts'
import type { Tables, ToolCallRow } from './tables.ts'

type Db = Kysely<Tables>

/** A call that is about to go to an MCP server; written with its decision. */
export type NewToolCall = {
  readonly decision: DecisionId
  readonly task: TaskId
  readonly identity: IdentityId
  /** Names, as the client said them. */
  readonly server: string
  readonly tool: string
  /** Who serves it. */
  readonly instance: ServerInstanceId
  readonly startedAt: EpochMs
}

/** What came back: how long the result's text is in UTF-8, and its SHA-256 in hexadecimal digits. */
export type CallResult = { readonly bytes: number; readonly sha256: string }

export type ToolCall = NewToolCall & {
  readonly status: CallStatus
  readonly finishedAt: EpochMs | null
  readonly result: CallResult | null
  readonly durationMs: number | null
}

const parseToolCallRow = (row: ToolCallRow): ToolCall => ({
  decision: row.decision_id as DecisionId, task: row.task_id as TaskId, identity: row.identity_id as IdentityId, server: row.server, tool: row.tool,
  instance: row.instance_id as ServerInstanceId, startedAt: epochMs(row.started_at), status: row.status as CallStatus,
  finishedAt: row.finished_at === null ? null : epochMs(row.finished_at),
  result: row.bytes === null || row.sha256 === null ? null : { bytes: row.bytes, sha256: row.sha256 }, durationMs: row.duration_ms,
})

/** Its decision is written before, in the same change. */
export async function insertToolCall(db: Db, call: NewToolCall): Promise<void> {
  await insertRows(db, 'tool_call', [{
    decision_id: call.decision, task_id: call.task, identity_id: call.identity, server: call.server, tool: call.tool, instance_id: call.instance, started_at: call.startedAt,
    status: 'in_flight', finished_at: null, bytes: null, sha256: null, duration_ms: null,
  }])
}

export async function findToolCall(db: Db, decision: string): Promise<ToolCall | undefined> {
  const row = await db.selectFrom('tool_call').selectAll().where('decision_id', '=', decision).executeTakeFirst()
  return row && parseToolCallRow(row)
}

/** Locked until the end of the change, in one order whoever asks. */
export async function lockToolCalls<Context>(tx: TxOf<Tables, Context>, decisions: readonly DecisionId[]): Promise<readonly ToolCall[]> {
  if (decisions.length === 0) return []
  return (await forUpdate(tx, tx.db.selectFrom('tool_call').selectAll().where('decision_id', 'in', decisions).orderBy('decision_id')).execute()).map(parseToolCallRow)
}

export type FinishedCall = { readonly decision: DecisionId; readonly outcome: CallOutcome; readonly result: CallResult | null; readonly durationMs: number | null; readonly finishedAt: EpochMs }

/** They are locked, and none is there twice. In one statement, of which PostgreSQL reads the table's rules once. */
export async function markCallsFinished(db: Db, ends: readonly FinishedCall[]): Promise<void> {
  if (ends.length === 0) return
  const rows = ends.map(({ decision, outcome, result, durationMs, finishedAt }) => sql`(
    cast(${decision} as text), cast(${outcome} as text), cast(${finishedAt} as bigint), cast(${result?.bytes ?? null} as bigint), cast(${result?.sha256 ?? null} as text), cast(${durationMs} as bigint))`)
  await sql`
      with ends (id, outcome, finished_at, bytes, sha256, duration_ms) as (values ${sql.join(rows)})
    update tool_call
       set status = ends.outcome, finished_at = ends.finished_at, bytes = ends.bytes, sha256 = ends.sha256, duration_ms = ends.duration_ms
      from ends
     where tool_call.decision_id = ends.id`.execute(db)
}

const lostIn = (db: Db) => db.selectFrom('tool_call').where('status', '=', 'in_flight')
  .where((eb) => eb.not(eb.exists(eb.selectFrom('server_instance').select('server_instance.id').whereRef('server_instance.id', '=', 'tool_call.instance_id').where('gone_at', 'is', null))))

/** Whether a call is in flight that nobody serves any more. */
export async function hasLostCall(db: Db): Promise<boolean> {
  return (await lostIn(db).select('decision_id').limit(1).executeTakeFirst()) !== undefined
}

/** Calls in flight whose server is gone, locked until the end of the change; those that another server is at are left out. */
export async function lockLostCalls<Context>(tx: TxOf<Tables, Context>, limit: number): Promise<readonly ToolCall[]> {
  return (await forUpdateOfFree(tx, lostIn(tx.db).selectAll('tool_call').orderBy('decision_id').limit(limit)).execute()).map(parseToolCallRow)
}

/** `before`: of the decision that the page before ended with. */
export type CallPage = { readonly limit: number; readonly task?: string; readonly before?: string }

/** Newest first. */
export async function listToolCalls(db: Db, { limit, task, before }: CallPage): Promise<readonly ToolCall[]> {
  let query = db.selectFrom('tool_call').selectAll().orderBy('decision_id', 'desc').limit(limit)
  if (task !== undefined) query = query.where('task_id', '=', task)
  if (before !== undefined) query = query.where('decision_id', '<', before)
  return (await query.execute()).map(parseToolCallRow)
}
