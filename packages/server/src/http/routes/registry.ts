import * as contract from '@writ/contract/registry'
import { mintId, type IdentityId } from '@writ/domain/id'
import type { IdentityChange } from '@writ/domain/identity'
import { unreachable } from '@writ/domain/outcome'
import type { Owner } from '@writ/domain/owner'
import { SECRET_PREFIX, toSecret } from '@writ/domain/secret'
import type { SpiffeId } from '@writ/domain/spiffe-id'
import type { EpochMs } from '@writ/domain/time'
import { parseRegisteredKey } from '../../authenticate/registered-key.ts'
import type { Sealer } from '../../keys/seal.ts'
import type { Clock } from '../../platform/clock.ts'
import type { Entropy } from '../../platform/entropy.ts'
import type { Db, Store } from '../../record/tx.ts'
import { applyManifest, type ManifestChange, type ManifestRefusal } from '../../registry/apply-manifest.ts'
import { changeIdentity, transferIdentity, type ChangeRefusal } from '../../registry/change-identity.ts'
import { toDraft, type IdentityDraft } from '../../registry/draft.ts'
import { addKey, registerIdentity, revokeKey, type RegisterInput, type RegisterRefusal } from '../../registry/register.ts'
import { listBindings } from '../../store/bindings.ts'
import { findIdentity, findIdentityIds, listCredentials, listIdentities } from '../../store/identities.ts'
import { findTriggerHook } from '../../store/installation.ts'
import { actorOf, ownersOf, route, type Answer, type Route } from '../call.ts'
import { problem, type ProblemAnswer } from '../problem.ts'
import { bindingProblem } from './bindings.ts'
import { identityReply } from '../replies.ts'

export type RegistryRoutesNeeds = { readonly store: Store; readonly secrets: Sealer; readonly clock: Clock; readonly entropy: Entropy; readonly wake: () => void }

const NO_IDENTITY = problem('not-found', { code: 'identity_not_found', detail: 'there is no such identity', hint: 'writ identity list' })
const KEY_REUSED = problem('idempotency-key-reused')

/** How long after its making a webhook's secret may be shown again to the repeat of the same request. */
const SECRET_SHOWN_MS = 60_000

export const hookPlace = (identity: string): string => `identity:${identity}:webhook`
export const hookPath = (identity: string): string => `/v1/triggers/${identity}`

export function registryRoutes(needs: RegistryRoutesNeeds): readonly Route[] {
  const { store, clock, entropy } = needs
  const show = (db: Db, reference: string) => showOne(db, reference)
  return [
    route(contract.registerIdentity, async ({ caller, body, once }) => {
      const draft = toDraft(body)
      if (!draft.ok) return problem('invalid-fields', { errors: [{ field: draft.refusal.field, message: draft.refusal.message }] })
      const now = clock.now()
      const input: RegisterInput = { ...newEntry(needs, draft.value, now), by: actorOf(caller), now }
      const done = await store.changeOnce(registerIdentity, input, once)
      if (!done.ok) return done.refusal.kind === 'key_reused' ? KEY_REUSED : registerProblem(done.refusal)
      const { outcome, admission, identity } = done.value.value
      if (identity === null) return { reply: { outcome, admission, instead: 'use the delegated token of the caller on whose behalf it acts' } }
      return { reply: { outcome, admission, identity: (await store.read((db) => show(db, identity)))!, ...await webhookOf(needs, identity) } }
    }),
    route(contract.listIdentities, async ({ caller, query }) => ({
      reply: await store.read(async (db) => {
        const found = await listIdentities(db, { limit: query.limit + 1, ...(query.cursor === undefined ? {} : { after: query.cursor }), ...(query.state === undefined ? {} : { state: query.state }), ...ownersOf(caller) })
        const shown = found.slice(0, query.limit)
        const credentials = await listCredentials(db, shown.map((one) => one.id))
        const bindings = await listBindings(db, shown.map((one) => one.id))
        return { identities: shown.map((one) => identityReply(one, credentials, bindings)), next: found.length > query.limit ? shown.at(-1)!.id : null }
      }),
    })),
    route(contract.showIdentity, async ({ parameters }) => {
      const reply = await store.read((db) => show(db, parameters.id!))
      return reply === undefined ? NO_IDENTITY : { reply }
    }),
    ...(['suspend', 'resume', 'retire'] as const).map((change) => route(CHANGE_ENDPOINT[change], async ({ caller, parameters, body, once }) => {
      const done = await store.changeOnce(changeIdentity, { identity: parameters.id!, change, reason: body.reason, by: actorOf(caller), now: clock.now() }, once)
      if (!done.ok) return done.refusal.kind === 'key_reused' ? KEY_REUSED : changeProblem(done.refusal)
      needs.wake()
      return { reply: (await store.read((db) => show(db, done.value.value)))! }
    })),
    route(contract.transferIdentity, async ({ caller, parameters, body, once }) => {
      if (body.technical === undefined && body.business === undefined) {
        return problem('invalid-fields', { errors: [{ field: 'technical', message: 'name a new technical owner, a new business owner or both' }] })
      }
      const owners = { technical: (body.technical ?? null) as Owner | null, business: (body.business ?? null) as Owner | null }
      const done = await store.changeOnce(transferIdentity, { identity: parameters.id!, ...owners, reason: body.reason, by: actorOf(caller), now: clock.now() }, once)
      if (!done.ok) return done.refusal.kind === 'key_reused' ? KEY_REUSED : changeProblem(done.refusal)
      return { reply: (await store.read((db) => show(db, done.value.value)))! }
    }),
    route(contract.addKey, async ({ caller, parameters, body, once }): Promise<Answer<typeof contract.addKey>> => {
      const key = parseRegisteredKey(body.key)
      if (!key.ok) return problem('invalid-fields', { errors: [{ field: 'key', message: `not a public key that can be used: ${key.refusal.kind}` }] })
      const identity = await store.read((db) => findIdentity(db, parameters.id!))
      if (identity === undefined) return NO_IDENTITY
      const now = clock.now()
      const done = await store.changeOnce(addKey, {
        identity: identity.id, credential: mintId('credential', now, entropy.bytes(10)), key: key.value, replace: body.replace,
        by: actorOf(caller), now,
      }, once)
      if (!done.ok) {
        const { refusal } = done
        if (refusal.kind === 'key_reused') return KEY_REUSED
        return refusal.kind === 'key_in_use' ? keyInUse() : changeProblem(refusal)
      }
      const added = done.value.value
      if (added.outcome === 'shared') {
        return problem('conflict', { code: 'identity_may_not_be_shared', detail: `an identity of class \`${identity.class}\` has one live key or binding; this is finding ${added.finding}`, hint: 'register an identity for the second workload, or say `replace` to put this key in the place of the other' })
      }
      return { reply: (await store.read((db) => show(db, identity.id)))! }
    }),
    route(contract.revokeKey, async ({ caller, parameters, body, once }) => {
      const identity = await store.read((db) => findIdentity(db, parameters.id!))
      if (identity === undefined) return NO_IDENTITY
      const input = { identity: identity.id, credential: parameters.key!, reason: body.reason, by: actorOf(caller), now: clock.now() }
      const done = await store.changeOnce(revokeKey, input, once)
      if (!done.ok) return done.refusal.kind === 'key_reused' ? KEY_REUSED : problem('not-found', { code: 'key_not_found' })
      return { reply: (await store.read((db) => show(db, identity.id)))! }
    }),
    route(contract.applyManifest, async ({ caller, body, query, once }) => {
      const entries: Omit<RegisterInput, 'by' | 'now'>[] = []
      const now = clock.now()
      const known = await store.read((db) => findIdentityIds(db, body.identities.map((one) => one.spiffe_id as SpiffeId)))
      for (const [i, registration] of body.identities.entries()) {
        const draft = toDraft(registration)
        if (!draft.ok) return problem('invalid-fields', { errors: [{ field: `identities.${i}.${draft.refusal.field}`, message: draft.refusal.message }] })
        entries.push(newEntry(needs, draft.value, now, known.get(draft.value.spiffeId)))
      }
      const input = { entries, dryRun: query.dry_run === 'true', by: actorOf(caller), now }
      const done = await store.changeOnce(applyManifest, input, once)
      if (done.ok) return { reply: { applied: true, changes: await Promise.all(done.value.value.map((one) => changeReply(needs, one))) } }
      if (done.refusal.kind === 'dry_run') return { reply: { applied: false, changes: done.refusal.changes.map(({ spiffeId, action, fields }) => ({ spiffe_id: spiffeId, action, fields: [...fields] })) } }
      return done.refusal.kind === 'key_reused' ? KEY_REUSED : manifestProblem(done.refusal)
    }),
  ]
}

const CHANGE_ENDPOINT: Readonly<Record<IdentityChange, typeof contract.suspendIdentity>> = {
  suspend: contract.suspendIdentity, resume: contract.resumeIdentity, retire: contract.retireIdentity,
}

/** `known`: the identity that has this name already, for whom a webhook's secret would be. */
function newEntry(needs: RegistryRoutesNeeds, draft: IdentityDraft, now: EpochMs, known?: IdentityId): Omit<RegisterInput, 'by' | 'now'> {
  const { entropy } = needs
  const ids = { admission: mintId('admission', now, entropy.bytes(10)), identity: known ?? mintId('identity', now, entropy.bytes(10)), credential: mintId('credential', now, entropy.bytes(10)) }
  const sealedHook = draft.trigger.kind === 'webhook' ? needs.secrets.seal(toSecret(SECRET_PREFIX.webhook, entropy.bytes(32)), hookPlace(ids.identity)) : null
  return { draft, ids, sealedHook }
}

async function webhookOf(needs: RegistryRoutesNeeds, id: IdentityId): Promise<{ webhook?: { path: string; secret: string } }> {
  const hook = await needs.store.read((db) => findTriggerHook(db, id))
  if (hook === undefined || needs.clock.now() >= hook.createdAt + SECRET_SHOWN_MS) return {}
  return { webhook: { path: hookPath(id), secret: needs.secrets.unseal(hook.sealedSecret, hookPlace(id)) } }
}

async function changeReply(needs: RegistryRoutesNeeds, { spiffeId, action, fields, hookOf }: ManifestChange) {
  return { spiffe_id: spiffeId, action, fields: [...fields], ...(hookOf === null ? {} : await webhookOf(needs, hookOf as IdentityId)) }
}

export async function showOne(db: Db, reference: string): Promise<contract.IdentityReply | undefined> {
  const identity = await findIdentity(db, reference)
  return identity && identityReply(identity, await listCredentials(db, [identity.id]), await listBindings(db, [identity.id]))
}

const keyInUse = (): ProblemAnswer => problem('already-exists', { code: 'key_in_use', detail: 'this key is registered already; a key belongs to one identity for ever' })

export function changeProblem(refusal: ChangeRefusal): ProblemAnswer {
  switch (refusal.kind) {
    case 'no_such_identity': return NO_IDENTITY
    case 'identity_retired': return problem('conflict', { code: refusal.kind, detail: 'the identity is retired, which is for ever', hint: 'register a new identity' })
    case 'already_in_state': return problem('conflict', { code: refusal.kind, detail: `the identity is ${refusal.state} already` })
    default: return unreachable(refusal)
  }
}

function registerProblem(refusal: RegisterRefusal): ProblemAnswer {
  switch (refusal.kind) {
    case 'already_registered': return problem('already-exists', { code: refusal.kind, detail: `\`${refusal.spiffeId}\` is registered`, hint: 'an id is used once, also after its identity was retired' })
    case 'ends_in_the_past': return problem('invalid-fields', { code: refusal.kind, errors: [{ field: 'ends_at', message: 'must be in the future' }] })
    case 'trigger_watches_nothing': return problem('invalid-fields', { code: refusal.kind, errors: [{ field: `trigger.${refusal.what}`, message: `there is no active ${refusal.what} \`${refusal.name}\`, so the trigger would never fire` }] })
    case 'key_in_use': return keyInUse()
    case 'identity_may_not_be_shared': return problem('conflict', { code: refusal.kind, detail: 'an identity of this class has one live key or one live binding; nothing was written', hint: 'register an identity for each workload' })
    case 'no_such_issuer':
    case 'bad_matcher': return bindingProblem(refusal, `bindings.${refusal.nth}.`)
    default: return unreachable(refusal)
  }
}

function manifestProblem(refusal: Exclude<ManifestRefusal, { kind: 'dry_run' }>): ProblemAnswer {
  const at = `\`${refusal.at}\``
  switch (refusal.kind) {
    case 'retired': return problem('conflict', { code: refusal.kind, detail: `${at} is retired, which is for ever; nothing was written` })
    case 'named_twice': return problem('invalid-fields', { code: refusal.kind, errors: [{ field: 'identities', message: `${at} stands twice` }] })
    case 'identity_may_not_be_shared': return problem('conflict', { code: refusal.kind, detail: `${at} would have several live keys and bindings, and an identity of this class has one; nothing was written`, hint: 'revoke all but one first' })
    case 'key_not_registered': return problem('conflict', { code: refusal.kind, detail: `the key of ${at} is not the registered one; nothing was written`, hint: 'a manifest never changes keys: use `writ identity key`' })
    case 'already_registered':
    case 'ends_in_the_past':
    case 'trigger_watches_nothing':
    case 'no_such_issuer':
    case 'bad_matcher':
    case 'key_in_use': {
      const inner = registerProblem(refusal)
      return { ...inner, details: { ...inner.details, detail: `${at}: ${inner.details.detail ?? inner.details.errors?.[0]?.message ?? refusal.kind}; nothing was written` } }
    }
    default: return unreachable(refusal)
  }
}
