import { textOf } from '@writ/domain/authority'
import type { EventActor } from '@writ/domain/event'
import type { Identity } from '@writ/domain/identity'
import { ok, refuse, type Outcome } from '@writ/domain/outcome'
import { PROFILES } from '@writ/domain/profile'
import { toIso, type EpochMs } from '@writ/domain/time'
import { append } from '../record/append.ts'
import { change, type Tx } from '../record/tx.ts'
import { findCredentialByThumbprint, lockIdentity, updateIdentity } from '../store/identities.ts'
import { findTriggerHook, insertTriggerHook } from '../store/installation.ts'
import { liveEvidence, settleBindings, textOfBindings } from './bindings.ts'
import type { IdentityDraft } from './draft.ts'
import { describe, registerIn, triggerWatches, type RegisterInput, type RegisterRefusal } from './register.ts'

export type FieldChange = { readonly field: string; readonly from: string | null; readonly to: string }
export type ManifestChange = {
  readonly spiffeId: string
  readonly action: 'register' | 'decline' | 'change' | 'none'
  readonly fields: readonly FieldChange[]
  /** Set when a webhook was made for it. */
  readonly hookOf: string | null
}

export type ManifestRefusal =
  | (RegisterRefusal & { readonly at: string })
  | { readonly kind: 'retired'; readonly at: string }
  | { readonly kind: 'named_twice'; readonly at: string }
  | { readonly kind: 'key_not_registered'; readonly at: string }
  /** Not a failure: everything was tried, and is now undone. */
  | { readonly kind: 'dry_run'; readonly changes: readonly ManifestChange[] }

export type ApplyInput = { readonly entries: readonly Omit<RegisterInput, 'by' | 'now'>[]; readonly dryRun: boolean; readonly by: EventActor; readonly now: EpochMs }

/** All of the manifest or nothing. A dry run does everything and is then refused, so that what it shows is what would happen. */
export const applyManifest = change('manifest.apply', async (tx: Tx, input: ApplyInput): Promise<Outcome<readonly ManifestChange[], ManifestRefusal>> => {
  const changes: ManifestChange[] = []
  const seen = new Set<string>()
  for (const entry of input.entries) {
    const at = entry.draft.spiffeId
    if (seen.has(at)) return refuse({ kind: 'named_twice', at })
    seen.add(at)
    const done = await applyOne(tx, { ...entry, by: input.by, now: input.now })
    if (!done.ok) return done
    changes.push(done.value)
  }
  return input.dryRun ? refuse({ kind: 'dry_run', changes }) : ok(changes)
})

async function applyOne(tx: Tx, input: RegisterInput): Promise<Outcome<ManifestChange, ManifestRefusal>> {
  const { draft } = input
  const at = draft.spiffeId
  const existing = await lockIdentity(tx, at)
  if (existing !== undefined) return changeOne(tx, existing, input)
  if (draft.admission.answer === 'delegated_token' && (await wasDeclined(tx, at))) return ok({ spiffeId: at, action: 'none', fields: [], hookOf: null })
  const registered = await registerIn(tx, input)
  if (!registered.ok) return refuse({ ...registered.refusal, at })
  const isDeclined = registered.value.outcome === 'declined'
  const fields: FieldChange[] = isDeclined ? [] : fieldsOf(draft).map(([field, to]) => ({ field, from: null, to }))
  if (!isDeclined && draft.bindings !== null) fields.push({ field: 'bindings', from: null, to: textOfBindings((await liveEvidence(tx, input.ids.identity)).bindings) })
  return ok({ spiffeId: at, action: isDeclined ? 'decline' : 'register', fields, hookOf: isDeclined || input.sealedHook === null ? null : input.ids.identity })
}

async function changeOne(tx: Tx, existing: Identity, input: RegisterInput): Promise<Outcome<ManifestChange, ManifestRefusal>> {
  const { draft } = input
  const at = draft.spiffeId
  if (draft.admission.answer === 'delegated_token') return refuse({ kind: 'already_registered', spiffeId: at, at })
  const before = new Map(fieldsOf(existing))
  const fields: FieldChange[] = fieldsOf(draft).filter(([field, to]) => before.get(field) !== to).map(([field, to]) => ({ field, from: before.get(field) ?? null, to }))
  const registeredTo = draft.key === null ? undefined : await findCredentialByThumbprint(tx.db, draft.key.thumbprint)
  if (draft.key !== null && registeredTo?.identity !== existing.id) return refuse({ kind: 'key_not_registered', at })
  if (draft.bindings !== null) {
    const settled = await settleBindings(tx, { identity: { id: existing.id, class: draft.class }, asked: draft.bindings, by: input.by, now: input.now })
    if (!settled.ok) return refuse({ ...settled.refusal, at })
    if (settled.value.from !== settled.value.to) fields.push({ field: 'bindings', ...settled.value })
  }
  if (fields.length === 0) return ok({ spiffeId: at, action: 'none', fields, hookOf: null })
  if (existing.state === 'retired') return refuse({ kind: 'retired', at })
  if (draft.endsAt <= input.now) return refuse({ kind: 'ends_in_the_past', at })
  const watched = await triggerWatches(tx, draft.trigger)
  if (!watched.ok) return refuse({ ...watched.refusal, at })
  if (!PROFILES[draft.class].mayBeShared && (await countEvidence(tx, existing)) > 1) return refuse({ kind: 'identity_may_not_be_shared', at })
  const newHook = draft.trigger.kind === 'webhook' && (await findTriggerHook(tx.db, existing.id)) === undefined ? input.sealedHook : null
  // Sealed for the identity that the caller saw: one that was registered since then has another id.
  if (newHook !== null && input.ids.identity !== existing.id) return refuse({ kind: 'already_registered', spiffeId: at, at })
  if (newHook !== null) await insertTriggerHook(tx.db, existing.id, newHook, input.now)
  const { admission: _answer, key: _key, bindings: _bindings, ...terms } = draft
  await updateIdentity(tx.db, { ...existing, ...terms })
  await append(tx, input.now, { type: 'identity.changed', actor: input.by, identity: existing.id, ...describe(draft) })
  return ok({ spiffeId: at, action: 'change', fields, hookOf: newHook === null ? null : existing.id })
}

async function countEvidence(tx: Tx, { id }: Identity): Promise<number> {
  const { keys, bindings } = await liveEvidence(tx, id)
  return keys.length + bindings.length
}

async function wasDeclined(tx: Tx, spiffeId: string): Promise<boolean> {
  return (await tx.db.selectFrom('admission').select('id').where('spiffe_id', '=', spiffeId).where('answer', '=', 'delegated_token').executeTakeFirst()) !== undefined
}

/** The fields as people write them in a manifest, in the order in which a difference is shown. */
function fieldsOf(of: Omit<IdentityDraft, 'admission' | 'key' | 'bindings'>): readonly (readonly [string, string])[] {
  return [
    ['kind', of.kind],
    ['class', of.class],
    ['purpose', of.purpose],
    ['owners.technical', of.technicalOwner],
    ['owners.business', of.businessOwner],
    ['system_scope', of.systemScope.join(', ')],
    ['environment', of.environment],
    ['authority', of.authority.map(textOf).join(', ')],
    ['tasks_per_hour', of.tasksPerHour === null ? '' : String(of.tasksPerHour)],
    ['ends_at', toIso(of.endsAt)],
    ['trigger', Object.values(of.trigger).join(' ')],
  ]
}
