import type { Label } from '@writ/domain/decision'
import type { EventActor } from '@writ/domain/event'
import type { DecisionId } from '@writ/domain/id'
import { ok, refuse } from '@writ/domain/outcome'
import type { EpochMs } from '@writ/domain/time'
import type { CallOutcome } from '@writ/domain/tool-call'
import { append } from '../record/append.ts'
import { change, type Tx } from '../record/tx.ts'
import { lockToolCall, markCallFinished, type CallResult, type ToolCall } from '../store/tool-calls.ts'

const WRIT: EventActor = { kind: 'writ', id: 'writ' }

export type FinishCallInput = {
  readonly decision: DecisionId
  readonly outcome: Exclude<CallOutcome, 'unknown'>
  /** Null where nothing came back. */
  readonly result: CallResult | null
  readonly durationMs: number
  /** What the call may have brought into the task tree, as its decision says. */
  readonly labels: readonly Label[]
  readonly now: EpochMs
}

export type FinishRefusal = { readonly kind: 'no_such_call' } | { readonly kind: 'already_finished'; readonly outcome: CallOutcome }

/** What became of a call. One that was taken for lost has its end after all. */
export const finishCall = change('call.finish', async (tx: Tx, { decision, outcome, result, durationMs, labels, now }: FinishCallInput) => {
  const call = await lockToolCall(tx, decision)
  if (call === undefined) return refuse<FinishRefusal>({ kind: 'no_such_call' })
  if (call.status !== 'in_flight' && call.status !== 'unknown') return refuse<FinishRefusal>({ kind: 'already_finished', outcome: call.status })
  await finishIn(tx, call, { outcome, result, durationMs, labels, now })
  return ok(decision)
})

type End = Omit<FinishCallInput, 'decision' | 'outcome' | 'durationMs'> & { readonly outcome: CallOutcome; readonly durationMs: number | null }

/** The call is locked. The hash of its result is committed to and not shown: of a result that is short, anybody could guess it. */
export async function finishIn(tx: Tx, { decision, task, identity, server, tool, status }: ToolCall, { outcome, result, durationMs, labels, now }: End): Promise<void> {
  await markCallFinished(tx.db, decision, { outcome, result, durationMs, finishedAt: now })
  await append(tx, now, {
    type: 'call.finished', actor: WRIT, task, identity,
    facts: { decision, mcp_server: server, tool, outcome, bytes: result?.bytes ?? null, duration_ms: durationMs, labels, ...(status === 'unknown' ? { before: status } : {}) },
    ...(result === null ? {} : { said: { result_sha256: result.sha256 } }),
  })
}
