import { textOf } from '@writ/domain/authority'
import type { EventActor } from '@writ/domain/event'
import type { AdmissionId, CredentialId, FindingId, IdentityId } from '@writ/domain/id'
import type { Identity, Trigger } from '@writ/domain/identity'
import { ok, refuse, type Outcome } from '@writ/domain/outcome'
import { PROFILES } from '@writ/domain/profile'
import type { EpochMs } from '@writ/domain/time'
import type { VerificationKey } from '../authenticate/registered-key.ts'
import { append } from '../record/append.ts'
import { change, type Tx } from '../record/tx.ts'
import { endTasksOpenedBy } from '../revoke/end-task.ts'
import { revokeEvidence } from '../revoke/revoke-evidence.ts'
import { findBackend } from '../store/backends.ts'
import { findIdentity, insertCredential, insertIdentity, listCredentials, lockIdentity, revokeCredential } from '../store/identities.ts'
import { insertTriggerHook } from '../store/installation.ts'
import { findIssuer } from '../store/issuers.ts'
import { raiseSecondWorkload } from '../watch/second-workload.ts'
import { liveEvidence, settleBindings, type SettleRefusal } from './bindings.ts'
import type { IdentityDraft } from './draft.ts'

/** Ids and secrets are minted by the caller, so that the change is a function of its input. */
export type RegisterInput = {
  readonly draft: IdentityDraft
  readonly ids: { readonly admission: AdmissionId; readonly identity: IdentityId; readonly credential: CredentialId }
  /** The sealed secret of the webhook, when the trigger is one. */
  readonly sealedHook: string | null
  readonly by: EventActor
  readonly now: EpochMs
}

export type RegisterRefusal =
  | { readonly kind: 'already_registered'; readonly spiffeId: string }
  | { readonly kind: 'ends_in_the_past' }
  | { readonly kind: 'trigger_watches_nothing'; readonly what: 'backend' | 'issuer'; readonly name: string }
  | { readonly kind: 'key_in_use' }
  | SettleRefusal

export type Registered = { readonly outcome: 'registered' | 'declined'; readonly admission: AdmissionId; readonly identity: IdentityId | null }

export const registerIdentity = change('identity.register', (tx: Tx, input: RegisterInput) => registerIn(tx, input))

/** The admission question is answered and recorded before anything exists that could hold a credential (CLS-1). */
export async function registerIn(tx: Tx, input: RegisterInput): Promise<Outcome<Registered, RegisterRefusal>> {
  const { draft, ids, now } = input
  // Also when the answer is no: it would stand beside an identity that lives on.
  if ((await findIdentity(tx.db, draft.spiffeId)) !== undefined) return refuse({ kind: 'already_registered', spiffeId: draft.spiffeId })
  await tx.db.insertInto('admission').values({
    id: ids.admission, spiffe_id: draft.spiffeId, answer: draft.admission.answer, reason: draft.admission.reason, decided_by: input.by.id, decided_at: now,
  }).execute()
  await append(tx, now, {
    type: 'admission.decided', actor: input.by, facts: { admission: ids.admission, spiffe_id: draft.spiffeId, answer: draft.admission.answer }, said: { reason: draft.admission.reason },
  })
  if (draft.admission.answer === 'delegated_token') return ok({ outcome: 'declined', admission: ids.admission, identity: null })
  if (draft.endsAt <= now) return refuse({ kind: 'ends_in_the_past' })
  const watched = await triggerWatches(tx, draft.trigger)
  if (!watched.ok) return watched
  if (!(await insertIdentity(tx.db, identityOf(input)))) return refuse({ kind: 'already_registered', spiffeId: draft.spiffeId })
  await append(tx, now, { type: 'identity.registered', actor: input.by, identity: ids.identity, ...describe(draft, { admission: ids.admission }) })
  if (input.sealedHook !== null) await insertTriggerHook(tx.db, ids.identity, input.sealedHook, now)
  if (draft.key !== null) {
    const added = await addKeyIn(tx, { identity: ids.identity, credential: ids.credential, key: draft.key, by: input.by, now })
    if (!added.ok) return added
  }
  const bound = draft.bindings === null ? ok(null) : await settleBindings(tx, { identity: { id: ids.identity, class: draft.class }, asked: draft.bindings, by: input.by, now })
  if (!bound.ok) return bound
  return ok({ outcome: 'registered', admission: ids.admission, identity: ids.identity })
}

function identityOf({ draft, ids, now }: RegisterInput): Identity {
  const { admission: _answer, key: _key, bindings: _bindings, ...fields } = draft
  return { ...fields, id: ids.identity, admission: ids.admission, state: 'active', stateReason: 'registered', registeredAt: now, lastUsedAt: null }
}

/** The facts of an identity as events tell them; who owns it is personal, what it is for is free text. */
export function describe(draft: Omit<IdentityDraft, 'admission' | 'key' | 'bindings'>, more: Readonly<Record<string, string>> = {}) {
  return {
    facts: {
      spiffe_id: draft.spiffeId, kind: draft.kind, class: draft.class, environment: draft.environment, system_scope: draft.systemScope,
      authority: draft.authority.map(textOf), tasks_per_hour: draft.tasksPerHour, ends_at: draft.endsAt, trigger: draft.trigger, ...more,
    },
    said: { purpose: draft.purpose, technical_owner: draft.technicalOwner, business_owner: draft.businessOwner },
  }
}

/** A trigger on something that does not exist would never fire. */
export async function triggerWatches(tx: Tx, trigger: Trigger): Promise<Outcome<null, RegisterRefusal>> {
  if (trigger.kind === 'backend_removed' && (await findBackend(tx.db, trigger.backend))?.state !== 'active') {
    return refuse({ kind: 'trigger_watches_nothing', what: 'backend', name: trigger.backend })
  }
  if (trigger.kind === 'issuer_removed' && (await findIssuer(tx.db, trigger.issuer))?.state !== 'trusted') {
    return refuse({ kind: 'trigger_watches_nothing', what: 'issuer', name: trigger.issuer })
  }
  return ok(null)
}

type NewKey = { readonly identity: IdentityId; readonly credential: CredentialId; readonly key: VerificationKey; readonly by: EventActor; readonly now: EpochMs }

async function addKeyIn(tx: Tx, input: NewKey): Promise<Outcome<null, { readonly kind: 'key_in_use' }>> {
  const { thumbprint, alg, jwk } = input.key
  const isNew = await insertCredential(tx.db, { id: input.credential, identity: input.identity, thumbprint, alg, jwk, state: 'live', registeredAt: input.now, registeredBy: input.by.id })
  if (!isNew) return refuse({ kind: 'key_in_use' })
  await append(tx, input.now, { type: 'credential.registered', actor: input.by, identity: input.identity, facts: { credential: input.credential, thumbprint, alg } })
  return ok(null)
}

export type AddKeyInput = NewKey & { readonly replace: boolean }
export type AddKeyRefusal = { readonly kind: 'no_such_identity' } | { readonly kind: 'identity_retired' } | { readonly kind: 'key_in_use' }

/** `shared`: refused, and kept as a finding (WID-2); it is a value and not a refusal so that the finding is kept. */
export type AddedKey = { readonly outcome: 'added' } | { readonly outcome: 'shared'; readonly finding: FindingId }

export const addKey = change('credential.add', async (tx: Tx, input: AddKeyInput) => {
  const identity = await lockIdentity(tx, input.identity)
  if (identity === undefined) return refuse<AddKeyRefusal>({ kind: 'no_such_identity' })
  if (identity.state === 'retired') return refuse<AddKeyRefusal>({ kind: 'identity_retired' })
  if (input.replace) await revokeEvidence(tx, identity.id, { by: input.by, now: input.now, because: 'replaced' })
  const { keys, bindings } = await liveEvidence(tx, identity.id)
  if (keys.length + bindings.length > 0 && !PROFILES[identity.class].mayBeShared) {
    return ok<AddedKey>({ outcome: 'shared', finding: await raiseSecondWorkload(tx, identity, { second_key: input.key.thumbprint }, input.now) })
  }
  const added = await addKeyIn(tx, input)
  return added.ok ? ok<AddedKey>({ outcome: 'added' }) : refuse<AddKeyRefusal>(added.refusal)
})

type RevokeKeyInput = { readonly identity: IdentityId; readonly credential: string; readonly reason: string; readonly by: EventActor; readonly now: EpochMs }

export const revokeKey = change('credential.revoke', async (tx: Tx, input: RevokeKeyInput) => {
  await lockIdentity(tx, input.identity)
  const found = (await listCredentials(tx.db, [input.identity])).find((one) => one.id === input.credential || one.thumbprint === input.credential)
  if (found === undefined) return refuse({ kind: 'no_such_key' } as const)
  if (found.state === 'live') {
    await revokeCredential(tx.db, found.id, input.now)
    await append(tx, input.now, {
      type: 'credential.revoked', actor: input.by, identity: input.identity, facts: { credential: found.id, thumbprint: found.thumbprint, because: 'revoked' }, said: { reason: input.reason },
    })
    await endTasksOpenedBy(tx, input.identity, found.id, input.by, input.now)
  }
  return ok(null)
})
