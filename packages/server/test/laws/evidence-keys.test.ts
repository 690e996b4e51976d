import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { changeIdentity } from '../../src/registry/change-identity.ts'
import { unbindIdentity, bindIdentity } from '../../src/registry/bindings.ts'
import { changeIssuer, removeIssuer, trustIssuer } from '../../src/registry/issuers.ts'
import { forget } from '../../src/jobs/forget.ts'
import { listFindings } from '../../src/store/watches.ts'
import { listBindings } from '../../src/store/bindings.ts'
import { issuerSigner } from '../fakes/issuer.ts'
import { AUDIENCE, bundleOf, federationStage, inSeconds, SUBJECT, SVID_SUBJECT, type FederationStage } from '../federation-stage.ts'
import { addIdentity, done } from './estate.ts'
import { OPERATOR } from '../recorded.ts'
import { STORES, type StoreName } from '../store-of-writ.ts'

const findingsOf = async (stage: FederationStage, of: string) => (await stage.writ.store.read((db) => listFindings(db, { limit: 100 }))).filter(({ identity }) => identity === of).map(({ kind }) => kind)
const countOf = async (stage: FederationStage, table: string): Promise<number> => Number((await stage.writ.sql(`select count(*) as n from ${table}`))[0]!['n'])
const bySubject = (stage: FederationStage, sub: string) => ({ issuer: stage.issuer.url, audience: AUDIENCE, claims: { sub } })

for (const store of STORES) {
  const ends: (() => unknown)[] = []
  let stage: FederationStage
  before(async () => { stage = await federationStage({ after: (end: unknown) => ends.unshift(end as () => unknown) }, { store: store as StoreName }) })
  after(async () => { for (const end of ends) await end() })
  /** A service account of each test's own. */
  let nth = 0
  const newSubject = (): string => `system:serviceaccount:space-${++nth}:deployer`

  describe(`a federated token belongs to the first key that shows it, on ${store}`, () => {
    test('that key may show it again, another may not, and that is one finding', async () => {
      const sub = newSubject()
      const identity = await stage.addBound([bySubject(stage, sub)])
      const token = stage.token({ sub })
      for (let i = 0; i < 3; i++) assert.equal(await stage.show(token, { thumbprint: 'one' }), identity)
      for (let i = 0; i < 3; i++) assert.equal(await stage.show(token, { thumbprint: 'two' }), 'shown_by_another_key')
      assert.equal(await stage.show(token, { thumbprint: 'one' }), identity)
      assert.deepEqual(await findingsOf(stage, identity), ['evidence_shown_by_another_key'])
      const events = await stage.writ.sql(`select type from event where type = 'finding.raised' and identity_id = '${identity}'`)
      assert.equal(events.length, 1)
    })

    test('another signature under the same words is the same token', async () => {
      const sub = newSubject()
      const identity = await stage.addBound([bySubject(stage, sub)])
      const [header, payload] = stage.token({ sub, jti: undefined }).split('.') as [string, string]
      // ECDSA is not deterministic: the issuer that signs the same bytes again makes another token, as good as the first.
      const { signBytes } = await import('../fakes/workload.ts')
      const again = (): string => `${header}.${payload}.${Buffer.from(signBytes(stage.issuer.signer, `${header}.${payload}`)).toString('base64url')}`
      assert.equal(await stage.show(again(), { thumbprint: 'one' }), identity)
      assert.equal(await stage.show(again(), { thumbprint: 'two' }), 'shown_by_another_key')
    })

    test('the issuer\'s own name for it is enough, whatever else it says', async () => {
      const sub = newSubject()
      const identity = await stage.addBound([bySubject(stage, sub)])
      assert.equal(await stage.show(stage.token({ sub, jti: 'the-one' }), { thumbprint: 'one' }), identity)
      assert.equal(await stage.show(stage.token({ sub, jti: 'the-one', more: 1 }), { thumbprint: 'two' }), 'shown_by_another_key')
      assert.equal(await stage.show(stage.token({ sub, jti: 'the-other' }), { thumbprint: 'two' }), identity)
    })

    test('of a dozen that show it at once one key wins, and the others are refused', async () => {
      const sub = newSubject()
      const identity = await stage.addBound([bySubject(stage, sub)])
      const token = stage.token({ sub })
      const answers = await Promise.all(Array.from({ length: 12 }, (_, i) => stage.show(token, { thumbprint: `key-${i}` })))
      assert.deepEqual([answers.filter((one) => one === identity).length, answers.filter((one) => one === 'shown_by_another_key').length], [1, 11])
      assert.deepEqual(await findingsOf(stage, identity), ['evidence_shown_by_another_key'])
    })

    test('a class that must be bound refuses one without a key, and the honest owner is not locked out', async () => {
      for (const [of, refused] of [['script', 'proof_needed'], ['autonomous', 'proof_needed'], ['chatbot', undefined], ['assisted', undefined]] as const) {
        const sub = newSubject()
        const identity = await stage.addBound([bySubject(stage, sub)], of)
        const token = stage.token({ sub })
        const first = await stage.authenticator.authenticate(token, { thumbprint: null })
        assert.equal(first.ok ? undefined : first.refusal.kind, refused)
        assert.equal(await stage.show(token, { thumbprint: 'mine' }), refused === undefined ? 'shown_by_another_key' : identity)
      }
    })

    test('a token that is refused for anything else is not remembered', async () => {
      const sub = newSubject()
      const identity = await stage.addBound([bySubject(stage, sub)])
      const before = await countOf(stage, 'evidence_key')
      await stage.show(stage.token({ sub: newSubject() }))
      await stage.show(stage.token({ sub, exp: inSeconds(stage.writ, -100) }))
      await stage.show(stage.token({ sub }, { by: { ...issuerSigner(), kid: stage.issuer.signer.kid } }))
      await stage.writ.store.change(changeIdentity, { identity, change: 'suspend', reason: 'a look', by: OPERATOR, now: stage.writ.now() })
      assert.equal(await stage.show(stage.token({ sub })), 'identity_not_active')
      assert.equal(await countOf(stage, 'evidence_key'), before)
    })

    test('what is remembered goes when the token could not be shown any more, and not before', async () => {
      const sub = newSubject()
      const sweep = () => stage.writ.store.change(forget, { now: stage.writ.now() })
      await stage.addBound([bySubject(stage, sub)])
      stage.writ.clock.advance(600_000)
      await sweep()
      assert.equal(await countOf(stage, 'evidence_key'), 0)
      const token = stage.token({ sub, exp: inSeconds(stage.writ, 60) })
      await stage.show(token, { thumbprint: 'one' })
      assert.equal(await countOf(stage, 'evidence_key'), 2)
      stage.writ.clock.advance(69_000)
      await sweep()
      assert.equal(await stage.show(token, { thumbprint: 'two' }), 'shown_by_another_key')
      stage.writ.clock.advance(120_000)
      await sweep()
      assert.equal(await countOf(stage, 'evidence_key'), 0)
      assert.equal(await stage.show(token, { thumbprint: 'two' }), 'expired')
    })
  })

  const next = issuerSigner('ES256', 'next')

  describe(`a binding says whose identity a token may claim, on ${store}`, () => {
    test('a token that fits two identities is nobody\'s, unless the caller says whom it means', async () => {
      const sub = newSubject()
      const first = await stage.addBound([bySubject(stage, sub)])
      const second = await stage.addBound([{ ...bySubject(stage, sub), claims: { sub: sub.replace('deployer', '*') } }])
      assert.equal(await stage.show(stage.token({ sub })), 'ambiguous_binding')
      assert.equal(await stage.show(stage.token({ sub }), { client: first }), first)
      assert.equal(await stage.show(stage.token({ sub }), { client: second }), second)
      assert.equal(await stage.show(stage.token({ sub }), { client: 'nhi_nobody' }), 'no_binding')
      const alone = sub.replace('deployer', 'web')
      assert.equal(await stage.show(stage.token({ sub: alone })), second)
      assert.equal(await stage.show(stage.token({ sub: alone }), { client: first }), 'no_binding')
    })

    test('two bindings of one identity that both fit are no trouble', async () => {
      const sub = newSubject()
      const identity = await stage.addBound([bySubject(stage, sub), { ...bySubject(stage, sub), claims: { sub: [sub, newSubject()] } }])
      assert.equal(await stage.show(stage.token({ sub })), identity)
    })

    test('keys that the operator takes away from a trust domain are refused at once', async () => {
      const identity = await stage.addBound([{ issuer: 'spiffe://workloads.example', audience: AUDIENCE, claims: { sub: SVID_SUBJECT } }])
      const before = stage.svid()
      assert.equal(await stage.show(before), identity)
      await done(stage.writ.store.change(changeIssuer, { reference: 'spiffe://workloads.example', source: { kind: 'inline', keys: bundleOf(next) }, ca: null, reason: 'rotated', by: OPERATOR, now: stage.writ.now() }))
      assert.equal(await stage.show(before), 'unknown_key')
      assert.equal(await stage.show(stage.svid({}, {}, next)), identity)
    })

    test('an identity whose class has one workload gets no second binding: it is a finding, and nothing else is written', async () => {
      const sub = newSubject()
      const identity = await stage.addBound([bySubject(stage, sub)], 'autonomous')
      const second = newSubject()
      const more = { issuer: stage.issuer.url, audience: AUDIENCE, claims: { sub: second } }
      for (let i = 0; i < 2; i++) {
        const bound = await done(stage.writ.store.change(bindIdentity, { identity, asked: more, replace: false, by: OPERATOR, now: stage.writ.now() }))
        assert.equal(bound.outcome, 'shared')
      }
      assert.deepEqual(await findingsOf(stage, identity), ['shared_identity'])
      assert.equal((await stage.writ.store.read((db) => listBindings(db, [identity]))).length, 1)
      const replaced = await done(stage.writ.store.change(bindIdentity, { identity, asked: more, replace: true, by: OPERATOR, now: stage.writ.now() }))
      assert.equal(replaced.outcome, 'bound')
      assert.equal(await stage.show(stage.token({ sub })), 'no_binding')
      assert.equal(await stage.show(stage.token({ sub: second })), identity)
    })

    test('the same binding twice is one', async () => {
      const sub = newSubject()
      const identity = await addIdentity(stage.writ, { class: 'autonomous' })
      const bind = () => done(stage.writ.store.change(bindIdentity, { identity, asked: bySubject(stage, sub), replace: false, by: OPERATOR, now: stage.writ.now() }))
      assert.deepEqual(await bind(), await bind())
      assert.equal((await stage.writ.store.read((db) => listBindings(db, [identity]))).length, 1)
    })

    test('a binding that is revoked lets nobody in, and neither does a removed issuer\'s', async () => {
      const sub = newSubject()
      const identity = await stage.addBound([bySubject(stage, sub), { issuer: 'spiffe://workloads.example', audience: AUDIENCE, claims: { sub: `${SVID_SUBJECT}-2` } }])
      const token = stage.token({ sub })
      assert.equal(await stage.show(token), identity)
      const binding = (await stage.writ.store.read((db) => listBindings(db, [identity]))).find((one) => one.issuer === stage.issuerId)
      await done(stage.writ.store.change(unbindIdentity, { identity, binding: binding!.id, reason: 'it moved', by: OPERATOR, now: stage.writ.now() }))
      assert.equal(await stage.show(token), 'no_binding')
      assert.equal(await stage.show(stage.svid({ sub: `${SVID_SUBJECT}-2` }, {}, next)), identity)
      await done(stage.writ.store.change(removeIssuer, { reference: 'spiffe://workloads.example', reason: 'gone', by: OPERATOR, now: stage.writ.now() }))
      assert.equal(await stage.show(stage.svid({ sub: `${SVID_SUBJECT}-2` }, {}, next)), 'unknown_issuer')
      const after = await stage.writ.store.read((db) => listBindings(db, [identity]))
      assert.deepEqual(after.map(({ state }) => state).toSorted(), ['issuer_removed', 'revoked'])
    })

    test('an issuer that is trusted again lets nobody in by what was bound before, and believes no key of before', async () => {
      const again = await federationStage({ after: (end: unknown) => ends.unshift(end as () => unknown) }, { store: store as StoreName })
      const { writ: of } = again
      const now = () => of.now()
      const sub = newSubject()
      const identity = await again.addBound([bySubject(again, sub)])
      assert.equal(await again.show(again.token({ sub })), identity)
      await done(of.store.change(removeIssuer, { reference: again.issuer.url, reason: 'a slip', by: OPERATOR, now: now() }))
      of.clock.advance(1000)
      const other = issuerSigner('ES256', 'another')
      const source = { kind: 'inline' as const, keys: bundleOf(other) }
      await done(of.store.change(trustIssuer, { id: of.newId('issuer'), url: again.issuer.url, kind: 'oidc', source, ca: null, by: OPERATOR, now: now() }))
      assert.equal(await again.show(again.token({ sub })), 'unknown_key')
      await done(of.store.change(changeIssuer, { reference: again.issuer.url, source: { kind: 'discovery' }, ca: null, reason: 'as before', by: OPERATOR, now: now() }))
      assert.equal(await again.show(again.token({ sub })), 'no_binding')
      await done(of.store.change(bindIdentity, { identity, asked: bySubject(again, sub), replace: false, by: OPERATOR, now: now() }))
      assert.equal(await again.show(again.token({ sub })), identity)
    })
  })

  test(`a store that was restored takes nothing that was made before, on ${store}`, async (t) => {
    const sub = SUBJECT
    const stage = await federationStage(t, { store: store as StoreName, notBefore: (1_795_327_200_000 + 5000) as never })
    await stage.addBound([bySubject(stage, SUBJECT), { issuer: 'spiffe://workloads.example', audience: AUDIENCE, claims: { sub: SVID_SUBJECT } }])
    assert.equal(await stage.show(stage.token({ sub })), 'from_before_restore')
    stage.writ.clock.advance(5000)
    assert.match(await stage.show(stage.token({ sub })), /^nhi_/)
    assert.equal(await stage.show(stage.svid({ iat: undefined })), 'from_before_restore')
  })
}
