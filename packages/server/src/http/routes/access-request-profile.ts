import type { AccessRequestReply } from '@writ/contract/access-requests'
import type { AuthzenAnswerContext } from '@writ/contract/authzen'
import type { ApprovalState } from '@writ/domain/approval'
import { plus, toIso, type EpochMs } from '@writ/domain/time'
import { REQUESTABLE_FOR } from '../../approvals/request.ts'
import { whoCanDecide } from '../../approvals/say.ts'
import { usableUntil } from '../../decide/approved.ts'
import type { Decided } from '../../decide/record-decision.ts'
import type { Approval } from '../../store/approvals.ts'

/**
 * AuthZEN Access Request and Approval Profile 1.0, as its working draft of 2026-08 says it: what makes a denial one that an access request can
 * be made of. It moves; nothing but this file knows its words.
 */

/** There is one way to approve: a person answers for this very use. */
const TEMPLATE = 'use'

/** "Requestable Denial Context": empty unless a person could allow what was denied. It permits nothing (law 6). */
export function requestableDenial({ id, answer, approvable }: Decided, at: EpochMs): Pick<AuthzenAnswerContext, 'evaluation_id' | 'evaluated_at' | 'access_request'> {
  if (answer !== 'deny' || !approvable) return {}
  return { evaluation_id: id, evaluated_at: toIso(at), access_request: { template: TEMPLATE, expires_at: toIso(plus(at, REQUESTABLE_FOR)) } }
}

/** "Access Request Task": terminal once, and whatever is none of these is not approved. */
const STATUS_OF: Readonly<Record<ApprovalState, AccessRequestReply['task']['status']>> = {
  waiting: 'pending', approved: 'approved', used: 'approved', denied: 'denied', lapsed: 'expired', cancelled: 'cancelled',
}

/** How far a request is. What was approved is asked for again, as it was asked before: the approval grants nothing. */
export function accessRequestReply(approval: Approval, { origin, page }: { readonly origin: string; readonly page: string }): AccessRequestReply {
  const { id, state, decidedAt, choice, expiresAt, why } = approval
  const here = `${origin}/access/v1/requests/${id}`
  return {
    task: { id, status: STATUS_OF[state], status_endpoint: here, expires_at: toIso(expiresAt), links: { cancel: `${here}/cancel`, page } },
    ...((state === 'approved' || state === 'used') && decidedAt !== null && choice !== null
      ? { result: { mode: 'reevaluate', approval: { id, approved_at: toIso(decidedAt), approved_until: toIso(usableUntil(approval, choice)), state: state === 'used' ? 'used' : 'active' } } } : {}),
    ...(why === null ? {} : { reason: why }), who_can_decide: whoCanDecide(approval.route),
  }
}
