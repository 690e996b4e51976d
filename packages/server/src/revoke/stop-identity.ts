import type { EventActor, EventType } from '@writ/domain/event'
import { changeIdentity, type Identity, type IdentityChange, type IdentityRefusal } from '@writ/domain/identity'
import { ok, refuse, type Outcome } from '@writ/domain/outcome'
import type { EpochMs } from '@writ/domain/time'
import { failpoint } from '../platform/failpoint.ts'
import { append } from '../record/append.ts'
import type { Tx } from '../record/tx.ts'
import { lockIdentity, updateIdentity } from '../store/identities.ts'
import { endTasksOf } from './end-task.ts'
import { revokeEvidence } from './revoke-evidence.ts'

export type IdentityStep = {
  readonly change: IdentityChange
  readonly event: Extract<EventType, `identity.${string}`>
  readonly by: EventActor
  readonly reason: string
  readonly now: EpochMs
}

/** Suspends, resumes or retires. Whatever stops the identity stops its tasks in the same transaction; retiring revokes its keys and bindings too. */
export async function changeIdentityState(tx: Tx, identity: Identity, step: IdentityStep): Promise<Outcome<Identity, IdentityRefusal>> {
  const next = changeIdentity(identity.state, step.change)
  if (!next.ok) return refuse(next.refusal)
  const changed: Identity = { ...identity, state: next.value, stateReason: step.reason }
  await updateIdentity(tx.db, changed)
  await append(tx, step.now, {
    type: step.event, actor: step.by, identity: identity.id,
    facts: { spiffe_id: identity.spiffeId, from: identity.state, to: next.value, trigger: identity.trigger.kind }, said: { reason: step.reason },
  })
  if (step.change === 'resume') return ok(changed)
  failpoint('identity.stopped.before_its_tasks')
  await endTasksOf(tx, identity.id, { because: step.change === 'retire' ? 'identity_retired' : 'identity_suspended', by: step.by, now: step.now })
  if (step.change === 'retire') await revokeEvidence(tx, identity.id, { by: step.by, now: step.now, because: 'identity_retired' })
  return ok(changed)
}

/** Nothing that this identity does is let through until a person resumes it: its dead credential was not refused. */
export async function containIdentity(tx: Tx, id: string, why: string, now: EpochMs): Promise<void> {
  const identity = await lockIdentity(tx, id)
  if (identity?.state !== 'active') return
  await changeIdentityState(tx, identity, { change: 'suspend', event: 'identity.contained', by: { kind: 'writ', id: 'writ' }, reason: why, now })
}
