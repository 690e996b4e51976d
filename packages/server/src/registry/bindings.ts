import { parseMatchers, type AskedMatchers, type ClaimMatchers, type MatcherFault } from '@writ/domain/binding'
import type { EventActor } from '@writ/domain/event'
import { mintId, type BindingId, type FindingId, type IdentityId } from '@writ/domain/id'
import type { Identity } from '@writ/domain/identity'
import { ok, refuse, type Outcome } from '@writ/domain/outcome'
import { PROFILES } from '@writ/domain/profile'
import type { EpochMs } from '@writ/domain/time'
import { append } from '../record/append.ts'
import { change, type Tx } from '../record/tx.ts'
import { revokeEvidence, revokeOneBinding } from '../revoke/revoke-evidence.ts'
import { insertBinding, listBindings, type ShownBinding } from '../store/bindings.ts'
import { listCredentials, lockIdentity, type Credential } from '../store/identities.ts'
import { findIssuer, type Issuer } from '../store/issuers.ts'
import { toJsonText } from '../store/json.ts'
import { raiseSecondWorkload } from '../watch/second-workload.ts'

/** A binding as somebody asks for it: the issuer by its URL or id. */
export type AskedBinding = { readonly issuer: string; readonly audience: string; readonly claims: AskedMatchers }

export type BadBinding =
  | { readonly kind: 'no_such_issuer'; readonly issuer: string }
  | { readonly kind: 'bad_matcher'; readonly fault: MatcherFault; readonly claim: string | null }

type NewBinding = { readonly identity: IdentityId; readonly asked: AskedBinding; readonly by: EventActor; readonly now: EpochMs }

/** What of an identity's evidence is good for something now: its live keys, and its live bindings to issuers that are trusted. */
export async function liveEvidence(tx: Tx, identity: IdentityId): Promise<{ readonly keys: readonly Credential[]; readonly bindings: readonly ShownBinding[] }> {
  const keys = (await listCredentials(tx.db, [identity])).filter((one) => one.state === 'live')
  return { keys, bindings: (await listBindings(tx.db, [identity])).filter((one) => one.state === 'live') }
}

export const textOfBindings = (bindings: readonly ShownBinding[]): string => bindings.map(textOf).toSorted().join('; ')

function textOf({ issuerUrl, audience, claims }: ShownBinding): string {
  const said = Object.entries(claims).map(([claim, matcher]) => `${claim}=${typeof matcher === 'string' ? matcher : matcher.join('|')}`)
  return `${issuerUrl} for ${audience}: ${said.join(' and ')}`
}

type ReadBinding = { readonly issuer: Issuer; readonly claims: ClaimMatchers; readonly text: string }

async function readBinding(tx: Tx, asked: AskedBinding): Promise<Outcome<ReadBinding, BadBinding>> {
  const issuer = await findIssuer(tx.db, asked.issuer)
  if (issuer?.state !== 'trusted') return refuse({ kind: 'no_such_issuer', issuer: asked.issuer })
  const claims = parseMatchers(issuer, asked.claims)
  if (!claims.ok) return refuse({ kind: 'bad_matcher', fault: claims.refusal.kind, claim: claims.refusal.claim })
  return ok({ issuer, claims: claims.value, text: toJsonText(claims.value) })
}

async function insertRead(tx: Tx, { issuer, claims, text }: ReadBinding, { identity, asked, by, now }: NewBinding): Promise<BindingId> {
  const id = mintId('binding', now, tx.context.entropy.bytes(10))
  await insertBinding(tx.db, { id, identity, issuer: issuer.id, audience: asked.audience, claims, registeredAt: now, registeredBy: by.id })
  await append(tx, now, {
    type: 'binding.registered', actor: by, identity, facts: { binding: id, issuer: issuer.id, audience: asked.audience, claims: Object.keys(claims) },
    // What a claim must say may be somebody's address.
    said: { claims: text },
  })
  return id
}

const isSame = (one: ShownBinding, { issuer, text }: ReadBinding, { audience }: AskedBinding): boolean =>
  one.issuer === issuer.id && one.audience === audience && toJsonText(one.claims) === text

export type SettleRefusal = (BadBinding & { readonly nth: number }) | { readonly kind: 'identity_may_not_be_shared' }

/** The bindings before and after, as people read them; the same where nothing changed. */
export type Settled = { readonly from: string; readonly to: string }

type SettleInput = {
  readonly identity: Pick<Identity, 'id' | 'class'>
  readonly asked: readonly AskedBinding[]
  readonly by: EventActor
  readonly now: EpochMs
}

/**
 * Makes the live bindings of an identity exactly these: what is missing comes, what is too much goes. The identity is locked, or new; its keys
 * stay, and count as evidence of a workload too.
 */
export async function settleBindings(tx: Tx, { identity, asked, by, now }: SettleInput): Promise<Outcome<Settled, SettleRefusal>> {
  const { keys, bindings: before } = await liveEvidence(tx, identity.id)
  const kept = new Set<BindingId>()
  let added = 0
  for (const [nth, one] of asked.entries()) {
    const read = await readBinding(tx, one)
    if (!read.ok) return refuse({ ...read.refusal, nth })
    const same = before.find((other) => isSame(other, read.value, one))
    if (same !== undefined) kept.add(same.id)
    else {
      await insertRead(tx, read.value, { identity: identity.id, asked: one, by, now })
      added++
    }
  }
  for (const other of before.filter(({ id }) => !kept.has(id))) await revokeOneBinding(tx, other, { by, now, because: 'replaced' })
  const count = keys.length + kept.size + added
  if (count > 1 && !PROFILES[identity.class].mayBeShared) return refuse({ kind: 'identity_may_not_be_shared' })
  return ok({ from: textOfBindings(before), to: textOfBindings((await liveEvidence(tx, identity.id)).bindings) })
}

export type BindInput = NewBinding & { readonly replace: boolean }
export type BindRefusal = BadBinding | { readonly kind: 'no_such_identity' } | { readonly kind: 'identity_retired' }

/** `shared`: refused, and kept as a finding (WID-2); it is a value and not a refusal so that the finding is kept. */
export type Bound = { readonly outcome: 'bound'; readonly binding: BindingId } | { readonly outcome: 'shared'; readonly finding: FindingId }

export const bindIdentity = change('binding.add', async (tx: Tx, input: BindInput) => {
  const identity = await lockIdentity(tx, input.identity)
  if (identity === undefined) return refuse<BindRefusal>({ kind: 'no_such_identity' })
  if (identity.state === 'retired') return refuse<BindRefusal>({ kind: 'identity_retired' })
  const read = await readBinding(tx, input.asked)
  if (!read.ok) return refuse<BindRefusal>(read.refusal)
  if (input.replace) await revokeEvidence(tx, identity.id, { by: input.by, now: input.now, because: 'replaced' })
  const { keys, bindings } = await liveEvidence(tx, identity.id)
  const same = bindings.find((one) => isSame(one, read.value, input.asked))
  if (same !== undefined) return ok<Bound>({ outcome: 'bound', binding: same.id })
  if (keys.length + bindings.length > 0 && !PROFILES[identity.class].mayBeShared) {
    const seen = { second_binding: read.value.issuer.id, audience: input.asked.audience }
    return ok<Bound>({ outcome: 'shared', finding: await raiseSecondWorkload(tx, identity, seen, input.now) })
  }
  return ok<Bound>({ outcome: 'bound', binding: await insertRead(tx, read.value, input) })
})

type UnbindInput = {
  readonly identity: IdentityId
  readonly binding: string
  readonly reason: string
  readonly by: EventActor
  readonly now: EpochMs
}

/** From here on it lets nobody in, on any server, and what was opened through it has ended. */
export const unbindIdentity = change('binding.revoke', async (tx: Tx, input: UnbindInput) => {
  const identity = await lockIdentity(tx, input.identity)
  const found = identity && (await listBindings(tx.db, [identity.id])).find((one) => one.id === input.binding)
  if (found === undefined) return refuse({ kind: 'no_such_binding' } as const)
  if (found.state !== 'revoked') await revokeOneBinding(tx, found, { by: input.by, now: input.now, because: 'revoked', reason: input.reason })
  return ok(null)
})
