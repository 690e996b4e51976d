import * as contract from '@writ/contract/access-requests'
import { mintId, parseId, type ApprovalId } from '@writ/domain/id'
import { unreachable } from '@writ/domain/outcome'
import { holderOf } from '../../authenticate/holder.ts'
import type { Caller as IdentityCaller } from '../../authenticate/authenticator.ts'
import { cancelApproval } from '../../approvals/end.ts'
import { requestApproval, type RequestRefusal } from '../../approvals/request.ts'
import type { ApprovalWaiters } from '../../approvals/waiting.ts'
import type { Clock } from '../../platform/clock.ts'
import type { Entropy } from '../../platform/entropy.ts'
import type { Store } from '../../record/tx.ts'
import { findApproval, type Approval } from '../../store/approvals.ts'
import { isOf, route, type Route } from '../call.ts'
import { badField, problem, type ProblemAnswer } from '../problem.ts'
import { ROUTES_DAMAGED } from './approval-replies.ts'
import { accessRequestReply } from './access-request-profile.ts'

export type AccessRequestRoutesNeeds = {
  readonly store: Store
  readonly clock: Clock
  readonly entropy: Entropy
  /** What clients call this server. */
  readonly origin: () => string
  readonly approvalUrl: (id: string) => string
  readonly waiters: ApprovalWaiters
}

const NO_REQUEST = problem('not-found', { code: 'approval_not_found', detail: 'there is no such request, or it is not yours' })

/** The agent's side of approvals, in the words of the AuthZEN access request profile: it asks, waits, takes back, and decides nothing. */
export function accessRequestRoutes(needs: AccessRequestRoutesNeeds): readonly Route[] {
  const { store, clock, entropy, origin, approvalUrl, waiters } = needs
  const own = async (caller: IdentityCaller, id: string): Promise<Approval | undefined> => {
    const approval = await store.read((db) => findApproval(db, id))
    return approval !== undefined && isOf(caller, approval) ? approval : undefined
  }
  const waitingId = async (caller: IdentityCaller, id: string): Promise<ApprovalId | undefined> => {
    const approval = await own(caller, id)
    return approval?.state === 'waiting' ? approval.id : undefined
  }
  const shown = (approval: Approval) => {
    const reply = accessRequestReply(approval, { origin: origin(), page: approvalUrl(approval.id) })
    return { reply, headers: { location: reply.task.status_endpoint } }
  }
  return [
    route(contract.requestAccess, async ({ caller, body }) => {
      const decision = parseId('decision', body.denial.evaluation_id)
      if (decision === undefined) return badField('denial.evaluation_id', 'must be that of a denial')
      const now = clock.now()
      const requested = await store.change(requestApproval, {
        id: mintId('approval', now, entropy.bytes(10)), decision, by: caller.identity, within: caller.task, lease: caller.lease,
        workload: caller.lease === null ? holderOf(caller.evidence).workload : null, intent: body.justification?.toWellFormed() ?? null, isExplicit: true, now,
      })
      if (!requested.ok) return problemOf(requested.refusal)
      return shown((await store.read((db) => findApproval(db, requested.value.approval.id)))!)
    }),
    route(contract.showAccessRequest, async ({ caller, parameters, query }) => {
      // Thousands may wait at once: nothing of the request is held meanwhile.
      const awaited = query.wait_seconds === 0 ? undefined : await waitingId(caller, parameters.id!)
      if (awaited !== undefined) await waiters.wait(awaited, query.wait_seconds * 1000)
      const approval = await own(caller, parameters.id!)
      return approval === undefined ? NO_REQUEST : shown(approval)
    }),
    route(contract.cancelAccessRequest, async ({ caller, parameters }) => {
      const done = await store.change(cancelApproval, { id: parameters.id!, by: caller.identity, within: caller.task, now: clock.now() })
      if (done.ok) return shown((await own(caller, parameters.id!))!)
      return done.refusal.kind === 'no_such_approval' ? NO_REQUEST : problem('conflict', { code: `approval_${done.refusal.state}`, detail: `the request is ${done.refusal.state} already` })
    }),
  ]
}

const NOT_REQUESTABLE: Readonly<Record<Extract<RequestRefusal, { kind: 'not_requestable' }>['why'], string>> = {
  allowed: 'it was allowed', no_person_could: 'no person could allow this', advice: 'advice opens nothing: ask in a task', too_old: 'the denial is too old: ask again, and request that',
  erased: 'what was asked has been erased', policies_changed: 'other policies are in force by now: ask again, and request that',
}

function problemOf(refusal: RequestRefusal): ProblemAnswer {
  const code = refusal.kind
  switch (refusal.kind) {
    case 'no_such_denial': return problem('not-found', { code, detail: 'there is no such denial, or it is not yours' })
    case 'not_requestable': return problem('conflict', { code: `not_requestable_${refusal.why}`, detail: NOT_REQUESTABLE[refusal.why] })
    case 'task_over': return problem('conflict', { code, detail: 'the task is over' })
    case 'too_many_waiting': return problem('too-many-requests', { code, detail: `${refusal.most} requests of this ${refusal.of} wait already` })
    case 'routes_damaged': return problem('conflict', ROUTES_DAMAGED)
    case 'too_large': return problem('too-large', { code, detail: `nobody reads arguments of more than ${refusal.most} characters` })
    default: return unreachable(refusal)
  }
}
