import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import type { IssuerKind } from '@writ/domain/binding'
import type { IdentityId, IssuerId } from '@writ/domain/id'
import type { IdentityClass } from '@writ/domain/profile'
import { epochMs, type EpochMs } from '@writ/domain/time'
import type { Authenticator } from '../src/authenticate/authenticator.ts'
import { federated } from '../src/authenticate/federated.ts'
import { issuerKeys } from '../src/authenticate/issuer-keys.ts'
import { parseKeySet } from '../src/authenticate/key-set.ts'
import { outbound } from '../src/platform/outbound.ts'
import { bindIdentity, type AskedBinding } from '../src/registry/bindings.ts'
import { trustIssuer } from '../src/registry/issuers.ts'
import type { InlineKey, KeySource } from '../src/store/issuers.ts'
import { fakeIssuer, issuerSigner, signWith, type FakeIssuer, type IssuerSigner } from './fakes/issuer.ts'
import type { Members } from './fakes/workload.ts'
import { addIdentity, done } from './laws/estate.ts'
import { OPERATOR } from './recorded.ts'
import { storeOfWrit, type StoreName, type StoreOfWrit } from './store-of-writ.ts'

export const AUDIENCE = 'https://writ.acme.example'
export const SUBJECT = 'system:serviceaccount:shop:deployer'
export const THUMBPRINT = 'the-thumbprint-of-a-key-that-the-workload-has'

/** A store with an OpenID provider on a real socket and a trust domain whose bundle is given, and an identity that a token of each may claim. */
export type FederationStage = {
  readonly writ: StoreOfWrit
  readonly issuer: FakeIssuer
  readonly issuerId: IssuerId
  readonly svidSigner: IssuerSigner
  readonly domainId: IssuerId
  readonly troubles: string[]
  readonly authenticator: Authenticator
  /** What the identity's word is: its own id when it is let in, else the refusal. */
  show(token: string, shown?: Partial<Parameters<Authenticator['authenticate']>[1]>): Promise<string>
  /** A good token of the provider; a test takes away from it or adds to it. */
  token(claims?: Members, more?: { readonly header?: Members; readonly by?: IssuerSigner }): string
  /** A good JWT-SVID. */
  svid(claims?: Members, header?: Members, by?: IssuerSigner): string
  addBound(bindings: readonly AskedBinding[], identityClass?: IdentityClass): Promise<IdentityId>
}

export const DOMAIN = 'spiffe://workloads.example'
export const SVID_SUBJECT = `${DOMAIN}/shop/deployer`

export async function federationStage(t: Pick<TestContext, 'after'>, { store = 'sqlite', notBefore = null }: { readonly store?: StoreName; readonly notBefore?: EpochMs | null } = {}): Promise<FederationStage> {
  const writ = await storeOfWrit(store, t)
  const issuer = await fakeIssuer()
  t.after(() => issuer.close())
  const troubles: string[] = []
  const keys = issuerKeys({
    clock: writ.clock, outbound: outbound({ allow: [{ kind: 'host', host: issuer.host }], deadlineMs: 500 }), onTrouble: (_, trouble) => { troubles.push(trouble.kind) },
  })
  const authenticator = federated({ store: writ.store, clock: writ.clock, keys, notBefore })
  const svidSigner = issuerSigner('ES256', 'of-the-domain')
  const trust = async (kind: IssuerKind, url: string, source: KeySource): Promise<IssuerId> =>
    (await done(writ.store.change(trustIssuer, { id: writ.newId('issuer'), url, kind, source, ca: null, by: OPERATOR, now: writ.now() }))).issuer
  const issuerId = await trust('oidc', issuer.url, { kind: 'discovery' })
  const domainId = await trust('spiffe', DOMAIN, { kind: 'inline', keys: bundleOf(svidSigner) })
  const addBound: FederationStage['addBound'] = async (bindings, identityClass = 'script') => {
    const identity = await addIdentity(writ, { class: identityClass })
    for (const asked of bindings) {
      const bound = await done(writ.store.change(bindIdentity, { identity, asked, replace: false, by: OPERATOR, now: writ.now() }))
      assert.equal(bound.outcome, 'bound')
    }
    return identity
  }
  return {
    writ, issuer, issuerId, svidSigner, domainId, troubles, authenticator, addBound,
    async show(token, shown = {}) {
      const got = await authenticator.authenticate(token, { thumbprint: THUMBPRINT, ...shown })
      return got.ok ? got.value.caller.identity : got.refusal.kind
    },
    token: (claims, more) => issuer.token({ sub: SUBJECT, aud: AUDIENCE, ...claims }, { ...more, at: writ.now() }),
    svid: (claims, header, by = svidSigner) => signWith(by, { sub: SVID_SUBJECT, aud: [AUDIENCE], jti: undefined, nbf: undefined, ...claims }, header, writ.now()),
  }
}

export function bundleOf(...signers: readonly IssuerSigner[]): readonly InlineKey[] {
  const set = parseKeySet({ keys: signers.map(({ jwk }) => ({ ...jwk, use: 'jwt-svid' })) }, 'spiffe')
  return set.ok ? set.value.keys : assert.fail(set.refusal.kind)
}

export const inSeconds = (of: StoreOfWrit, ahead: number): number => Math.floor(of.now() / 1000) + ahead
export const LONG_AGO = epochMs(1)
