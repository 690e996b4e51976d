import type { EventActor, EventType } from '@writ/domain/event'
import type { IdentityId } from '@writ/domain/id'
import type { IdentityChange, IdentityRefusal } from '@writ/domain/identity'
import { ok, refuse } from '@writ/domain/outcome'
import type { Owner } from '@writ/domain/owner'
import type { EpochMs } from '@writ/domain/time'
import { append } from '../record/append.ts'
import { change, type Tx } from '../record/tx.ts'
import { changeIdentityState } from '../revoke/stop-identity.ts'
import { identityDueAt, lockIdentity, parseIdentityRow, updateIdentity } from '../store/identities.ts'
import { takeProof } from '../store/installation.ts'
import { claimDue } from '../store/row-locks.ts'

export type ChangeRefusal = IdentityRefusal | { readonly kind: 'no_such_identity' }

const EVENT_OF: Readonly<Record<IdentityChange, Extract<EventType, `identity.${string}`>>> = {
  suspend: 'identity.suspended', resume: 'identity.resumed', retire: 'identity.retired',
}

type ChangeInput = { readonly identity: string; readonly change: IdentityChange; readonly reason: string; readonly by: EventActor; readonly now: EpochMs }

/** An operator suspends, resumes or retires. */
export const changeIdentity = change('identity.change', async (tx: Tx, input: ChangeInput) => {
  const identity = await lockIdentity(tx, input.identity)
  if (identity === undefined) return refuse<ChangeRefusal>({ kind: 'no_such_identity' })
  const changed = await changeIdentityState(tx, identity, { change: input.change, event: EVENT_OF[input.change], by: input.by, reason: input.reason, now: input.now })
  return changed.ok ? ok(identity.id) : refuse<ChangeRefusal>(changed.refusal)
})

type TransferInput = { readonly identity: string; readonly technical: Owner | null; readonly business: Owner | null; readonly reason: string; readonly by: EventActor; readonly now: EpochMs }

export const transferIdentity = change('identity.transfer', async (tx: Tx, input: TransferInput) => {
  const identity = await lockIdentity(tx, input.identity)
  if (identity === undefined) return refuse<ChangeRefusal>({ kind: 'no_such_identity' })
  if (identity.state === 'retired') return refuse<ChangeRefusal>({ kind: 'identity_retired' })
  const next = { ...identity, technicalOwner: input.technical ?? identity.technicalOwner, businessOwner: input.business ?? identity.businessOwner }
  await updateIdentity(tx.db, next)
  await append(tx, input.now, {
    type: 'identity.transferred', actor: input.by, identity: identity.id, facts: { spiffe_id: identity.spiffeId },
    said: {
      technical_owner_before: identity.technicalOwner, business_owner_before: identity.businessOwner,
      technical_owner: next.technicalOwner, business_owner: next.businessOwner, reason: input.reason,
    },
  })
  return ok(identity.id)
})

type FireInput = { readonly identity: IdentityId; readonly message: string; readonly proof: { readonly hash: Uint8Array; readonly expiresAt: EpochMs }; readonly now: EpochMs }

/**
 * The signed word of a system that it is gone: retires the identity with no person acting (INV-5). False when it already was.
 * The message is used up by the change that it brings about: one that a crash cut off may be sent again.
 */
export const fireTrigger = change('identity.fire_trigger', async (tx: Tx, input: FireInput) => {
  if (!(await takeProof(tx.db, input.proof.hash, input.proof.expiresAt))) return refuse<ChangeRefusal | { readonly kind: 'replayed' }>({ kind: 'replayed' })
  const identity = await lockIdentity(tx, input.identity)
  if (identity === undefined || identity.trigger.kind !== 'webhook') return refuse<ChangeRefusal | { readonly kind: 'replayed' }>({ kind: 'no_such_identity' })
  const retired = await changeIdentityState(tx, identity, {
    change: 'retire', event: 'identity.trigger_fired', by: { kind: 'writ', id: 'writ' }, reason: `webhook ${input.message}`, now: input.now,
  })
  return ok(retired.ok)
})

/** Retires identities whose end has come, or that were not used for as long as their trigger allows. Answers how many. */
export const retireDueIdentities = change('identity.retire_due', async (tx: Tx, input: { readonly now: EpochMs; readonly until: EpochMs; readonly limit: number }) => {
  const rows = await claimDue(tx, { table: 'identity', key: 'id', dueAt: 'due_at', claimedUntil: 'due_at', ...input })
  let retired = 0
  for (const row of rows) {
    const identity = parseIdentityRow(row)
    if (identity.state === 'retired' || identityDueAt(identity) > input.now) continue
    const isOver = input.now >= identity.endsAt
    const done = await changeIdentityState(tx, identity, {
      change: 'retire', event: isOver ? 'identity.expired' : 'identity.trigger_fired', by: { kind: 'writ', id: 'writ' },
      reason: isOver ? 'its end date has come' : 'it was not used for as long as its trigger allows', now: input.now,
    })
    if (done.ok) retired++
  }
  return ok(retired)
})
