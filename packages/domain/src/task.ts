import { covers, MOST_PERMITS, textOf, toAuthority, type Authority } from './authority.ts'
import type { IdentityId, TaskId } from './id.ts'
import { ok, refuse, type Outcome } from './outcome.ts'
import type { Profile } from './profile.ts'
import { earliest, plus, type EpochMs, type Milliseconds } from './time.ts'

/** Why a task stopped; recorded, never inferred (LIF-4). */
export const END_REASONS = [
  'completed', 'deadline', 'silence', 'idle', 'budget_exhausted', 'identity_suspended', 'identity_retired', 'ended_by_person', 'parent_ended', 'restored',
] as const
export type EndReason = (typeof END_REASONS)[number]

/** open: may act. ending: may not act, its leases are being withdrawn. closed: every lease has its recorded end. */
export type TaskState = 'open' | 'ending' | 'closed'

/** The user for whom the task acts, as an issuer vouched for; never the caller's word (RFC 8693 §4.1 `sub`). */
export type OnBehalfOf = { readonly issuer: string; readonly subject: string }

/** What a task may be and how long: fixed when it opens, but for its authority, which may be widened. */
export type TaskTerms = {
  readonly authority: Authority
  readonly deadline: EpochMs
  /** How many calls the task, with all its descendants, may make. */
  readonly budgetCalls: number
  /** The task ends when it makes no call for this long. */
  readonly idleTimeout: Milliseconds
  /** The task ends when its holder is not heard of for this long. */
  readonly heartbeat: Milliseconds
  readonly onBehalfOf: OnBehalfOf | null
  /** One of the operator's purposes, by its id: policies decide by it, and never by the words (decision 12). Null: it named none. */
  readonly purposeId: string | null
  /** The change that it carries out, by its name in the operator's change management. */
  readonly changeReference: string | null
}

export type Task = TaskTerms & {
  readonly id: TaskId
  readonly identity: IdentityId
  readonly parent: TaskId | null
  /** The task at the top of its tree: itself when it has no parent. */
  readonly root: TaskId
  readonly depth: number
  /** How many generations may still hang below: the least that it and every task above it were opened with. */
  readonly depthLeft: number
  readonly purpose: string
  readonly openedAt: EpochMs
  readonly callsUsed: number
  /** How often its authority was widened since it opened. */
  readonly widenings: number
  readonly lastHeardAt: EpochMs
  readonly lastCallAt: EpochMs
  readonly state: TaskState
  readonly endReason: EndReason | null
  readonly endedAt: EpochMs | null
  readonly closedAt: EpochMs | null
}

export type AskedTerms = {
  readonly authority: Authority
  readonly length: Milliseconds
  readonly budgetCalls: number
  readonly idleTimeout: Milliseconds
  readonly heartbeat: Milliseconds
  readonly onBehalfOf: OnBehalfOf | null
  readonly purposeId?: string | null
  readonly changeReference?: string | null
}

export type TermsRefusal =
  | { readonly kind: 'empty_grant' }
  | { readonly kind: 'grant_not_covered'; readonly by: 'identity' | 'parent' }
  | { readonly kind: 'too_long'; readonly most: Milliseconds }
  | { readonly kind: 'bad_number'; readonly field: 'length' | 'budget' | 'idle_timeout' | 'heartbeat' }
  | { readonly kind: 'parent_not_open' }
  | { readonly kind: 'no_time_left'; readonly of: 'identity' | 'parent' }
  | { readonly kind: 'too_deep'; readonly most: number }
  | { readonly kind: 'budget_not_covered'; readonly left: number }
  | { readonly kind: 'other_user' }
  | { readonly kind: 'other_purpose' }
  | { readonly kind: 'other_change' }

/** 2^31 - 1: the widest number that both databases, JSON and timers hold without surprise. */
const WIDEST = 2_147_483_647

/** The terms of a new task, or why it may not be opened. A child is bounded by its parent in all of them (laws 2 and 3). */
export function settleTerms(
  asked: AskedTerms,
  identity: { readonly authority: Authority; readonly endsAt: EpochMs; readonly profile: Profile },
  parent: Pick<Task, 'authority' | 'deadline' | 'budgetCalls' | 'callsUsed' | 'state' | 'depth' | 'depthLeft' | 'onBehalfOf' | 'purposeId' | 'changeReference'> | null,
  now: EpochMs,
): Outcome<TaskTerms & Pick<Task, 'depth' | 'depthLeft'>, TermsRefusal> {
  const bad = firstBadNumber(asked)
  if (bad) return refuse({ kind: 'bad_number', field: bad })
  if (asked.authority.length === 0) return refuse({ kind: 'empty_grant' })
  if (asked.length > identity.profile.longestTask) return refuse({ kind: 'too_long', most: identity.profile.longestTask })
  if (!covers(identity.authority, asked.authority)) return refuse({ kind: 'grant_not_covered', by: 'identity' })
  if (identity.endsAt <= now) return refuse({ kind: 'no_time_left', of: 'identity' })
  const own = { authority: asked.authority, budgetCalls: asked.budgetCalls, idleTimeout: asked.idleTimeout, heartbeat: asked.heartbeat }
  const deadline = earliest(plus(now, asked.length), identity.endsAt)
  const { onBehalfOf, purposeId = null, changeReference = null } = asked
  if (parent === null) return ok({ ...own, deadline, onBehalfOf, purposeId, changeReference, depth: 0, depthLeft: identity.profile.delegationDepth })

  if (parent.state !== 'open') return refuse({ kind: 'parent_not_open' })
  if (parent.deadline <= now) return refuse({ kind: 'no_time_left', of: 'parent' })
  if (parent.depthLeft < 1) return refuse({ kind: 'too_deep', most: parent.depth + parent.depthLeft })
  if (!covers(parent.authority, asked.authority)) return refuse({ kind: 'grant_not_covered', by: 'parent' })
  const left = parent.budgetCalls - parent.callsUsed
  if (asked.budgetCalls > left) return refuse({ kind: 'budget_not_covered', left })
  if (onBehalfOf !== null && !sameUser(onBehalfOf, parent.onBehalfOf)) return refuse({ kind: 'other_user' })
  // Whoever could choose another for its child would choose by which rules it is decided on.
  if (purposeId !== null && purposeId !== parent.purposeId) return refuse({ kind: 'other_purpose' })
  if (changeReference !== null && changeReference !== parent.changeReference) return refuse({ kind: 'other_change' })
  const depthLeft = Math.min(parent.depthLeft - 1, identity.profile.delegationDepth)
  return ok({
    ...own, deadline: earliest(deadline, parent.deadline), onBehalfOf: parent.onBehalfOf, purposeId: parent.purposeId, changeReference: parent.changeReference,
    depth: parent.depth + 1, depthLeft,
  })
}

/** The authority after a widening, and what of it came new: nothing, where the task had all of it. */
export type Widening = { readonly authority: Authority; readonly added: Authority }

export type WidenRefusal =
  | Extract<TermsRefusal, { readonly kind: 'empty_grant' | 'grant_not_covered' }>
  | { readonly kind: 'too_many_permits'; readonly count: number; readonly most: number }
  | { readonly kind: 'too_many_widenings'; readonly most: number }

/** A task that asks more often is feeling for its bounds, or is several tasks. */
export const MOST_WIDENINGS = 20

/**
 * What an open task may after it asked for more, or why it may not. The whole is bounded as it was at the opening (law 2), so that a task
 * whose identity may less by now gets nothing new; what was opened below it stays covered.
 */
export function widenAuthority(
  task: Pick<Task, 'authority' | 'widenings'>, asked: Authority, identityAuthority: Authority, parentAuthority: Authority | null,
): Outcome<Widening, WidenRefusal> {
  if (asked.length === 0) return refuse({ kind: 'empty_grant' })
  if (covers(task.authority, asked)) return ok({ authority: task.authority, added: [] })
  if (task.widenings >= MOST_WIDENINGS) return refuse({ kind: 'too_many_widenings', most: MOST_WIDENINGS })
  const authority = toAuthority([...task.authority, ...asked])
  if (authority.length > MOST_PERMITS) return refuse({ kind: 'too_many_permits', count: authority.length, most: MOST_PERMITS })
  if (!covers(identityAuthority, authority)) return refuse({ kind: 'grant_not_covered', by: 'identity' })
  if (parentAuthority !== null && !covers(parentAuthority, authority)) return refuse({ kind: 'grant_not_covered', by: 'parent' })
  const had = new Set(task.authority.map(textOf))
  return ok({ authority, added: authority.filter((permit) => !had.has(textOf(permit))) })
}

/** The next instant at which the task ends unless somebody acts: the sweeper's index. */
export function nextDueAt(task: Pick<Task, 'deadline' | 'lastHeardAt' | 'heartbeat' | 'lastCallAt' | 'idleTimeout'>): EpochMs {
  return earliest(task.deadline, plus(task.lastHeardAt, task.heartbeat), plus(task.lastCallAt, task.idleTimeout))
}

/** Which of its clocks has run out for an open task; undefined when none has. */
export function dueReason(task: Pick<Task, 'deadline' | 'lastHeardAt' | 'heartbeat' | 'lastCallAt' | 'idleTimeout'>, now: EpochMs): EndReason | undefined {
  if (now >= task.deadline) return 'deadline'
  if (now >= plus(task.lastHeardAt, task.heartbeat)) return 'silence'
  if (now >= plus(task.lastCallAt, task.idleTimeout)) return 'idle'
  return undefined
}

function firstBadNumber(asked: AskedTerms): 'length' | 'budget' | 'idle_timeout' | 'heartbeat' | undefined {
  const good = (value: number): boolean => Number.isSafeInteger(value) && value > 0 && value <= WIDEST
  if (!good(asked.length)) return 'length'
  if (!good(asked.budgetCalls)) return 'budget'
  if (!good(asked.idleTimeout)) return 'idle_timeout'
  if (!good(asked.heartbeat)) return 'heartbeat'
  return undefined
}

const sameUser = (a: OnBehalfOf, b: OnBehalfOf | null): boolean => b !== null && a.issuer === b.issuer && a.subject === b.subject
