import type { EventActor, EventType } from '@writ/domain/event'
import type { IdentityId, TaskId } from '@writ/domain/id'
import { ok, refuse, type Outcome } from '@writ/domain/outcome'
import type { EpochMs } from '@writ/domain/time'
import { isLive, type ApprovalState } from '@writ/domain/approval'
import { append } from '../record/append.ts'
import { change, type Store, type Tx } from '../record/tx.ts'
import { hasDueApproval, hasMootApproval, lockApproval, lockDueApprovals, lockMootApprovals, markApprovalEnded, type Approval } from '../store/approvals.ts'

const WRIT: EventActor = { kind: 'writ', id: 'writ' }

type Ending = { readonly state: 'lapsed' | 'cancelled'; readonly why: string; readonly by: EventActor; readonly now: EpochMs }

/** The approval is locked. What was asked for is erased with its end. */
async function endIn(tx: Tx, approval: Approval, { state, why, by, now }: Ending): Promise<void> {
  await markApprovalEnded(tx.db, approval.id, { state, why, now })
  const type: EventType = `approval.${state}`
  await append(tx, now, { type, actor: by, task: approval.task, identity: approval.identity, facts: { approval: approval.id, was: approval.state, why, calls_used: approval.callsUsed } })
}

export const cancelIn = (tx: Tx, approval: Approval, about: Omit<Ending, 'state'>): Promise<void> => endIn(tx, approval, { ...about, state: 'cancelled' })

export type CancelInput = { readonly id: string; readonly by: IdentityId; readonly within: TaskId | null; readonly now: EpochMs }
export type CancelRefusal = { readonly kind: 'no_such_approval' } | { readonly kind: 'over'; readonly state: ApprovalState }

/** Its own identity takes it back; once more changes nothing. */
export const cancelApproval = change('approval.cancel', async (tx: Tx, { id, by, within, now }: CancelInput): Promise<Outcome<ApprovalState, CancelRefusal>> => {
  const approval = await lockApproval(tx, id)
  if (approval === undefined || approval.identity !== by || (within !== null && approval.task !== within)) return refuse({ kind: 'no_such_approval' })
  if (approval.state === 'cancelled') return ok('cancelled')
  if (!isLive(approval.state)) return refuse({ kind: 'over', state: approval.state })
  await cancelIn(tx, approval, { why: 'taken_back', by: { kind: 'identity', id: by }, now })
  return ok('cancelled')
})

type LapseInput = { readonly now: EpochMs; readonly limit: number; /** Also those whose task is over, or whose policies are no longer in force. */ readonly withMoot: boolean }

/** No answer in time is no, and an answer that was not used in time is none (APR-5). */
export const lapseApprovals = change('approval.lapse', async (tx: Tx, { now, limit, withMoot }: LapseInput) => {
  const due = await lockDueApprovals(tx, now, limit)
  for (const one of due) await endIn(tx, one, { state: 'lapsed', why: one.state === 'approved' ? 'not_used' : 'no_answer', by: WRIT, now })
  const taken = new Set(due.map(({ id }) => id))
  const moot = withMoot ? (await lockMootApprovals(tx, limit)).filter(({ approval: { id } }) => !taken.has(id)) : []
  for (const { approval, why } of moot) await endIn(tx, approval, { state: 'cancelled', why, by: WRIT, now })
  return ok(due.length + moot.length)
})

export type LapseNeeds = { readonly store: Pick<Store, 'read' | 'change'>; readonly clock: { now(): EpochMs } }

const MOST_LAPSED = 200
/** What is moot can not be used all the same: it is only taken off people's lists. */
const LOOK_FOR_MOOT_EVERY = 8

/** For the job: most looks find nothing, and hold up no writer. */
export function lapseRound({ store, clock }: LapseNeeds): () => Promise<boolean> {
  let round = 0
  return async () => {
    const now = clock.now()
    const looksForMoot = round++ % LOOK_FOR_MOOT_EVERY === 0
    const found = await store.read(async (db) => ({ due: await hasDueApproval(db, now), moot: looksForMoot && await hasMootApproval(db) }))
    if (!found.due && !found.moot) return false
    const lapsed = await store.change(lapseApprovals, { now, limit: MOST_LAPSED, withMoot: found.moot })
    if (found.moot) round = 0
    return lapsed.ok && lapsed.value >= MOST_LAPSED
  }
}
