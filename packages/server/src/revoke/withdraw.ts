import { outcomeOf, retryDelay, type Probe, type Reassigned } from '@writ/domain/lease'
import type { BackendId } from '@writ/domain/id'
import { milliseconds, plus, type Milliseconds } from '@writ/domain/time'
import { BackendFault, type Connector, type Template, type Withdrawal } from '../connectors/connector.ts'
import { SealFault, type Sealer } from '../keys/seal.ts'
import type { Clock } from '../platform/clock.ts'
import { fractionOf, type Entropy } from '../platform/entropy.ts'
import { failpoint } from '../platform/failpoint.ts'
import type { Store } from '../record/tx.ts'
import type { StoredLease, Survey } from '../store/leases.ts'
import { endLease, failWithdrawal, newIncidentId, surveyLease } from './lease-changes.ts'

/** A back end as the withdrawal needs it. */
export type Reached = { readonly connector: Connector; templateOf(name: string): Template }

export type WithdrawNeeds = {
  readonly store: Pick<Store, 'change'>
  readonly reach: (backend: BackendId) => Promise<Reached>
  readonly secrets: Pick<Sealer, 'unseal'>
  readonly clock: Clock
  readonly entropy: Entropy
  /** The first pause after a failed attempt; the later ones double. */
  readonly retryBase: Milliseconds
}

export const leaseSecretPlace = (lease: string): string => `lease:${lease}:secret`

/** After an incident is open the withdrawal is still tried, at this pace, until it succeeds. */
const STUCK_PACE = milliseconds(600_000)

/**
 * Takes a claimed lease to its end: withdraw, end live sessions, try the dead credential, record who refused it (decision 10). What fails
 * is recorded and tried again later. The back end is touched before the record is written, so that a crash between the two repeats the
 * withdrawal, which is idempotent, and never forgets it.
 */
export async function withdrawLease(needs: WithdrawNeeds, lease: StoredLease): Promise<void> {
  let end: { readonly withdrawal: Withdrawal; readonly probe: Probe; readonly canRevoke: boolean }
  try {
    end = await stopAtBackend(needs, lease)
  } catch (cause) {
    const code = codeOf(cause)
    if (code === undefined) throw cause
    await recordFailure(needs, lease, 'withdrawal_failed', code)
    return
  }
  const outcome = outcomeOf(lease.mintedAt !== null, lease.control, end.probe)
  if (outcome === 'still_accepted') {
    await recordFailure(needs, lease, 'still_accepted', 'accepted')
    return
  }
  failpoint('lease.withdrawn.before_record')
  const residualUntil = end.canRevoke ? null : lease.expiresAt
  await needs.store.change(endLease, { lease: lease.id, outcome, withdrawal: end.withdrawal, probe: end.probe, residualUntil, now: needs.clock.now() })
  failpoint('lease.withdrawn.after_record')
}

async function stopAtBackend(needs: WithdrawNeeds, lease: StoredLease): Promise<{ readonly withdrawal: Withdrawal; readonly probe: Probe; readonly canRevoke: boolean }> {
  const backend = await needs.reach(lease.backend)
  const { connector } = backend
  const template = backend.templateOf(lease.template)
  if (!connector.canRevoke) {
    return { withdrawal: { existed: true, sessionsEnded: 0, reassigned: [] }, probe: { kind: 'not_evaluated', why: 'the back end can not revoke; the credential expires' }, canRevoke: false }
  }
  failpoint('lease.withdraw.before_backend')
  let kept = lease.survey
  const survey = async (found: Survey): Promise<void> => {
    kept = joined(kept, { existed: true, ...found })
    await needs.store.change(surveyLease, { lease: lease.id, reassigned: kept.reassigned, sessionsEnded: kept.sessionsEnded })
  }
  const withdrawal = joined(kept, await connector.withdraw(lease.handle, template, survey))
  failpoint('lease.withdraw.before_probe')
  const dead = deadSecret(needs, lease)
  const probe: Probe = 'why' in dead ? { kind: 'not_evaluated', why: dead.why } : await connector.probe(lease.handle, dead.secret, template)
  return { withdrawal, probe, canRevoke: true }
}

/** A secret that was moved or damaged in the store never opens again: its end can't be proved, and trying once more would change nothing. */
function deadSecret(needs: WithdrawNeeds, lease: StoredLease): { readonly secret: string } | { readonly why: string } {
  if (lease.sealedSecret === null) return { why: 'the secret is gone' }
  try {
    return { secret: needs.secrets.unseal(lease.sealedSecret, leaseSecretPlace(lease.id)) }
  } catch (cause) {
    if (cause instanceof SealFault) return { why: `the sealed secret does not open: ${cause.reason}` }
    throw cause
  }
}

/** What kept a withdrawal from the back end; undefined for a fault of our own store or a bug, of which nothing can be recorded here. */
function codeOf(cause: unknown): string | undefined {
  if (cause instanceof BackendFault) return cause.code
  return cause instanceof SealFault ? `sealed_${cause.reason}` : undefined
}

/** An attempt that broke off had already handed over what it had found. */
function joined(before: Survey | null, last: Withdrawal): Withdrawal {
  if (before === null) return last
  const nameOf = (one: Reassigned): string => JSON.stringify([one.database, one.kind, one.name])
  const seen = new Set(last.reassigned.map(nameOf))
  return {
    existed: true,
    sessionsEnded: Math.max(before.sessionsEnded, last.sessionsEnded),
    reassigned: [...before.reassigned.filter((one) => !seen.has(nameOf(one))), ...last.reassigned],
  }
}

async function recordFailure(needs: WithdrawNeeds, lease: StoredLease, kind: 'withdrawal_failed' | 'still_accepted', code: string): Promise<void> {
  const now = needs.clock.now()
  const pause = lease.incident !== null || kind === 'still_accepted' ? STUCK_PACE : retryDelay(lease.attempts + 1, needs.retryBase, fractionOf(needs.entropy))
  await needs.store.change(failWithdrawal, { lease: lease.id, kind, code, incident: newIncidentId(now, needs.entropy.bytes(10)), retryAt: plus(now, pause), now })
}
