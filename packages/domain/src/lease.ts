import type { BackendId, IdentityId, IncidentId, LeaseId, TaskId } from './id.ts'
import { milliseconds, type EpochMs, type Milliseconds } from './time.ts'

/**
 * intended: recorded, the back end may or may not know it. live: handed out. withdrawing: must stop, and is being stopped.
 * stuck: withdrawal failed too often; an incident is open. ended: over, with an outcome.
 */
export type LeaseState = 'intended' | 'live' | 'withdrawing' | 'stuck' | 'ended'

/**
 * proved: the dead secret was tried and refused, it had worked when minted, and the back end's catalogue shows it gone.
 * not_evaluated: withdrawn, but one of the three is missing. never_issued: its secret never left Writ.
 */
export type LeaseOutcome = 'proved' | 'not_evaluated' | 'never_issued'

/** One object that the lease had made and that stays, with who owns it now. */
export type Reassigned = {
  readonly database: string
  /** `table`, `sequence`, `function`, `view`, `schema`, `type`, ... as the back end calls it. */
  readonly kind: string
  readonly name: string
  readonly newOwner: string
  /** What was taken from the object so that it does not act with its new owner's rights, e.g. `security definer`. */
  readonly disarmed?: string
}

/** The login made at mint with the very secret that is probed at the end. */
export type ControlLogin = { readonly ok: true; readonly tookMs: number } | { readonly ok: false; readonly why: string }

/** What happened when the dead secret was tried. */
export type Probe =
  | { readonly kind: 'refused'; readonly by: string; readonly code: string; readonly message: string; readonly absentFromCatalogue: boolean; readonly tookMs: number }
  | { readonly kind: 'accepted'; readonly by: string }
  | { readonly kind: 'not_evaluated'; readonly why: string }

export type Lease = {
  readonly id: LeaseId
  readonly task: TaskId
  readonly identity: IdentityId
  readonly backend: BackendId
  readonly template: string
  /** What the back end calls it: a role name. Known before the back end is touched. */
  readonly handle: string
  readonly state: LeaseState
  readonly outcome: LeaseOutcome | null
  readonly intendedAt: EpochMs
  readonly expiresAt: EpochMs
  readonly control: ControlLogin | null
  readonly attempts: number
  readonly incident: IncidentId | null
}

/** Decision 10: a refusal proves only together with the control login and the empty catalogue. */
export function outcomeOf(everLive: boolean, control: ControlLogin | null, probe: Probe): LeaseOutcome | 'still_accepted' {
  if (probe.kind === 'accepted') return 'still_accepted'
  if (!everLive) return 'never_issued'
  return probe.kind === 'refused' && probe.absentFromCatalogue && control?.ok === true ? 'proved' : 'not_evaluated'
}

/** R23: six attempts; after the last an incident is open. */
export const MOST_ATTEMPTS = 6

/** How long to wait after the failed attempt number `attempt` (1, 2, ...): base x 2^(n-1), +-50 %. `random` is in [0, 1). */
export function retryDelay(attempt: number, base: Milliseconds, random: number): Milliseconds {
  return milliseconds(Math.round(base * 2 ** (attempt - 1) * (0.5 + random)))
}
