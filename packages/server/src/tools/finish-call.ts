import type { Label } from '@writ/domain/decision'
import type { EventActor, EventDraft } from '@writ/domain/event'
import type { DecisionId } from '@writ/domain/id'
import { ok } from '@writ/domain/outcome'
import type { EpochMs } from '@writ/domain/time'
import type { CallOutcome } from '@writ/domain/tool-call'
import { appendAll } from '../record/append.ts'
import { change, type Tx } from '../record/tx.ts'
import { lockToolCalls, markCallsFinished, type CallResult, type ToolCall } from '../store/tool-calls.ts'

const WRIT: EventActor = { kind: 'writ', id: 'writ' }

/** What became of a call. */
export type EndOfCall = {
  readonly decision: DecisionId
  readonly outcome: Exclude<CallOutcome, 'unknown'>
  /** Null where nothing came back. */
  readonly result: CallResult | null
  readonly durationMs: number
  /** What the call may have brought into the task tree, as its decision says. */
  readonly labels: readonly Label[]
  readonly at: EpochMs
}

export type FinishCallsInput = { readonly ends: readonly EndOfCall[]; readonly now: EpochMs }

/** An end that was not taken, and why. */
export type NotTaken = { readonly decision: DecisionId } & ({ readonly kind: 'no_such_call' } | { readonly kind: 'already_finished'; readonly outcome: CallOutcome })

/**
 * What became of calls, each with its event. One that was taken for lost has its end after all. An end that can not be taken, because there is
 * no such call or it has its end already, is answered and keeps none of the others from being written.
 */
export const finishCalls = change('call.finish', async (tx: Tx, { ends, now }: FinishCallsInput) => {
  const calls = new Map((await lockToolCalls(tx, ends.map(({ decision }) => decision))).map((call) => [call.decision, call]))
  const taken: Finished[] = []
  const notTaken: NotTaken[] = []
  for (const end of ends) {
    const { decision } = end
    const call = calls.get(decision)
    if (call === undefined) notTaken.push({ decision, kind: 'no_such_call' })
    else if (call.status !== 'in_flight' && call.status !== 'unknown') notTaken.push({ decision, kind: 'already_finished', outcome: call.status })
    else {
      taken.push({ call, end })
      calls.set(decision, { ...call, status: end.outcome })
    }
  }
  await finishAllIn(tx, taken, now)
  return ok<readonly NotTaken[]>(notTaken)
})

type End = Omit<EndOfCall, 'decision' | 'outcome' | 'durationMs'> & { readonly outcome: CallOutcome; readonly durationMs: number | null }
export type Finished = { readonly call: ToolCall; readonly end: End }

/** The calls are locked. */
export async function finishAllIn(tx: Tx, finished: readonly Finished[], now: EpochMs): Promise<void> {
  await markCallsFinished(tx.db, finished.map(({ call: { decision }, end: { outcome, result, durationMs, at } }) => ({ decision, outcome, result, durationMs, finishedAt: at })))
  await appendAll(tx, now, finished.map(finishedEvent))
}

/** The hash of a result is committed to and not shown: of a result that is short, anybody could guess it. */
function finishedEvent({ call: { decision, task, identity, server, tool, status }, end: { outcome, result, durationMs, labels } }: Finished): EventDraft {
  return {
    type: 'call.finished', actor: WRIT, task, identity,
    facts: { decision, mcp_server: server, tool, outcome, bytes: result?.bytes ?? null, duration_ms: durationMs, labels, ...(status === 'unknown' ? { before: status } : {}) },
    ...(result === null ? {} : { said: { result_sha256: result.sha256 } }),
  }
}
