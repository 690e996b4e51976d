import type { AuthzenAnswerContext } from '@writ/contract/authzen'
import { plus, seconds, toIso, type EpochMs } from '@writ/domain/time'
import type { Decided } from '../../decide/record-decision.ts'

/**
 * AuthZEN Access Request and Approval Profile 1.0, as its working draft of 2026-08 says it: what makes a denial one that an access request can
 * be made of. It moves; nothing but this file knows its words.
 */

/** For so long a request may refer to the denial. */
const REQUESTABLE_FOR = seconds(600)

/** There is one way to approve: a person answers for this very use. */
const TEMPLATE = 'use'

/** "Requestable Denial Context": empty unless a person could allow what was denied. It permits nothing (law 6). */
export function requestableDenial({ id, answer, approvable }: Decided, at: EpochMs): Pick<AuthzenAnswerContext, 'evaluation_id' | 'evaluated_at' | 'access_request'> {
  if (answer !== 'deny' || !approvable) return {}
  return { evaluation_id: id, evaluated_at: toIso(at), access_request: { template: TEMPLATE, expires_at: toIso(plus(at, REQUESTABLE_FOR)) } }
}
