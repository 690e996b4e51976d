import assert from 'node:assert/strict'
import { test } from 'node:test'
import { generateKeyPairSync } from 'node:crypto'
import * as issuers from '@writ/contract/issuers'
import * as registry from '@writ/contract/registry'
import { issuerSigner } from '../fakes/issuer.ts'
import { testAuthority } from '../fakes/x509.ts'
import { eventsOf, keptIn, onEachStore, refused } from '../kept.ts'
import { REGISTRATION, type Got, type RunningWrit } from '../running-writ.ts'

const CLUSTER = 'https://cluster.acme.example'
const GITHUB = 'https://token.actions.githubusercontent.com'
const AUDIENCE = 'https://writ.acme.example'
const DEPLOYER = { sub: 'system:serviceaccount:shop:deployer' }
const INVALID = { status: 400, code: 'invalid_fields' } as const

const trust = (writ: RunningWrit, body: Readonly<Record<string, unknown>>) => writ.operator(issuers.trustIssuer, { body })
const bind = (writ: RunningWrit, id: string, body: Readonly<Record<string, unknown>>) => writ.operator(registry.bindIdentity, { parameters: { id }, body })
/** Claims of any shape: the server is asked about some that no honest client sends. */
const binding = (claims: unknown = DEPLOYER, issuer = CLUSTER) => ({ issuer, audience: AUDIENCE, claims: claims as Record<string, string> })
const fieldsOf = (got: Got<unknown>): readonly string[] => got.problem.errors?.map(({ field }) => field) ?? []
const newJwk = () => generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'jwk' })

onEachStore('issuers and bindings', (writ, store) => {
  /** An identity without a key. */
  const identity = async (name: string, more: Partial<registry.Registration> = {}): Promise<registry.IdentityReply> => {
    const got = await writ().operator(registry.registerIdentity, { body: { ...REGISTRATION, spiffe_id: `spiffe://acme.example/${name}`, class: 'script', ...more } })
    assert.equal(got.status, 201, got.text)
    return got.reply.identity!
  }

  test('an issuer is trusted exactly as it is written, and shown by id and by URL', async () => {
    for (const url of [CLUSTER, `${CLUSTER}/`, GITHUB, 'https://idp.acme.example/realms/shop']) assert.equal((await trust(writ(), { url })).status, 201, url)
    await refused(writ(), () => trust(writ(), { url: CLUSTER }), { status: 409, code: 'already_exists' })
    const shown = (await writ().operator(issuers.showIssuer, { parameters: { id: CLUSTER } })).reply
    assert.deepEqual((await writ().operator(issuers.showIssuer, { parameters: { id: shown.id } })).reply, shown)
    assert.deepEqual([shown.kind, shown.keys, shown.own_ca, shown.bindings, shown.changed_at], ['oidc', { source: 'discovery', url: null, inline: [] }, false, 0, null])
    assert.equal((await writ().operator(issuers.showIssuer, { parameters: { id: `${CLUSTER}//` } })).status, 404)
    const event = (await eventsOf(writ(), 'human')).find((one) => one.type === 'issuer.trusted')!
    assert.deepEqual(event.facts, { issuer: shown.id, url: CLUSTER, kind: 'oidc', key_source: 'discovery', own_ca: 'no' })
  })

  const jwks = { keys: [issuerSigner('ES256', 'one').jwk] }
  const bundle = { keys: [{ ...issuerSigner('ES256', 'one').jwk, use: 'jwt-svid' }] }
  for (const { when, body, field } of [
    { when: 'it is plain http', body: { url: 'http://issuer.example' }, field: 'url' },
    { when: 'it is plain http on this machine, which nobody has allowed', body: { url: 'http://127.0.0.1:9999' }, field: 'url' },
    { when: 'it lies in a private network, which nobody has allowed', body: { url: 'https://10.0.0.1' }, field: 'url' },
    { when: 'it is where a cloud keeps credentials', body: { url: 'https://169.254.169.254' }, field: 'url' },
    { when: 'it has a query', body: { url: 'https://issuer.example?a=b' }, field: 'url' },
    { when: 'it has a fragment', body: { url: 'https://issuer.example#a' }, field: 'url' },
    { when: 'it holds a password', body: { url: 'https://a:b@issuer.example' }, field: 'url' },
    { when: 'it has a blank', body: { url: 'https://issuer.example/ ' }, field: 'url' },
    { when: 'it is no URL', body: { url: 'issuer.example' }, field: 'url' },
    { when: 'its keys lie in a private network', body: { url: 'https://keys.example', jwks_uri: 'https://192.168.0.1/keys' }, field: 'jwks_uri' },
    { when: 'its keys lie in a file', body: { url: 'https://keys.example', jwks_uri: 'file:///etc/passwd' }, field: 'jwks_uri' },
    { when: 'its keys come in two ways', body: { url: 'https://keys.example', jwks, jwks_uri: 'https://keys.example/keys' }, field: 'jwks' },
    { when: 'its keys are none', body: { url: 'https://keys.example', jwks: { keys: [] } }, field: 'jwks.keys' },
    { when: 'its keys are no key set', body: { url: 'https://keys.example', jwks: {} }, field: 'jwks.keys' },
    { when: 'a key is private', body: { url: 'https://keys.example', jwks: { keys: [{ ...issuerSigner().privateKey.export({ format: 'jwk' }) }] } }, field: 'jwks.keys.0' },
    { when: 'a key is symmetric', body: { url: 'https://keys.example', jwks: { keys: [{ kty: 'oct', k: 'c2VjcmV0' }] } }, field: 'jwks.keys.0' },
    { when: 'no key can be used', body: { url: 'https://keys.example', jwks: { keys: [{ kty: 'EC', crv: 'P-384', x: 'a', y: 'b' }] } }, field: 'jwks' },
    { when: 'its authority is no X.509 certificate', body: { url: 'https://keys.example', ca: 'nonsense' }, field: 'ca' },
    { when: 'its authority is damaged', body: { url: 'https://keys.example', ca: '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----' }, field: 'ca' },
    { when: 'its authority is of no use', body: { url: 'https://keys.example', jwks, ca: testAuthority().cert }, field: 'ca' },
    { when: 'it is a provider with a bundle', body: { url: 'https://keys.example', bundle }, field: 'bundle' },
    { when: 'it is a trust domain without a bundle', body: { url: 'spiffe://prod.example', kind: 'spiffe' }, field: 'bundle' },
    { when: 'it is a trust domain with a key set', body: { url: 'spiffe://prod.example', kind: 'spiffe', jwks }, field: 'jwks' },
    { when: 'it is a trust domain by a URL', body: { url: 'https://prod.example', kind: 'spiffe', bundle }, field: 'url' },
    { when: 'it is a provider by a trust domain', body: { url: 'spiffe://prod.example' }, field: 'url' },
    { when: 'it is a workload and no trust domain', body: { url: 'spiffe://prod.example/shop', kind: 'spiffe', bundle }, field: 'url' },
    { when: 'a key of the bundle has no name', body: { url: 'spiffe://prod.example', kind: 'spiffe', bundle: { keys: [{ ...bundle.keys[0], kid: undefined }] } }, field: 'bundle.keys.0.kid' },
    { when: 'the bundle has no key for JWT-SVIDs', body: { url: 'spiffe://prod.example', kind: 'spiffe', bundle: { keys: [{ ...bundle.keys[0], use: 'x509-svid' }] } }, field: 'bundle' },
    { when: 'the bundle lies in a private network', body: { url: 'spiffe://prod.example', kind: 'spiffe', bundle_url: 'https://10.1.2.3/bundle' }, field: 'bundle_url' },
    { when: 'it says something unknown', body: { url: 'https://keys.example', insecure: true }, field: 'insecure' },
  ] as readonly { when: string; body: Readonly<Record<string, unknown>>; field: string }[]) {
    test(`an issuer is refused by the name of its field when ${when}`, async () => {
      const got = await refused(writ(), () => trust(writ(), body), INVALID)
      assert.ok(fieldsOf(got).includes(field), got.text)
    })
  }

  test('a binding is registered, shown, and revoked; what its claims must say stands in no public fact', async () => {
    const { id } = await identity('bound')
    const got = await bind(writ(), id, binding({ ...DEPLOYER, '/kubernetes.io/namespace': 'shop' }))
    assert.equal(got.status, 201, got.text)
    const [one] = got.reply.bindings
    assert.deepEqual({ ...one, id: '', registered_at: '' }, { id: '', issuer: CLUSTER, audience: AUDIENCE, claims: { '/kubernetes.io/namespace': 'shop', ...DEPLOYER }, state: 'live', registered_at: '' })
    const event = (await eventsOf(writ(), 'human')).at(-1)!
    assert.deepEqual([event.type, event.identity, event.facts['claims'], JSON.parse(event.said['claims']!)], ['binding.registered', id, ['/kubernetes.io/namespace', 'sub'], one!.claims])
    assert.ok(!JSON.stringify(event.facts).includes('deployer'))
    await refused(writ(), () => writ().operator(registry.unbindIdentity, { parameters: { id, binding: 'bnd_none' }, body: { reason: 'x' } }), { status: 404, code: 'binding_not_found' })
    const gone = await writ().operator(registry.unbindIdentity, { parameters: { id, binding: one!.id }, body: { reason: 'moved' } })
    assert.deepEqual([gone.status, gone.reply.bindings.map(({ state }) => state)], [200, ['revoked']], gone.text)
    const before = await keptIn(writ())
    assert.equal((await writ().operator(registry.unbindIdentity, { parameters: { id, binding: one!.id }, body: { reason: 'again' } })).status, 200)
    assert.deepEqual(await keptIn(writ()), before)
  })

  for (const { when, body, field, code = 'bad_matcher' } of [
    { when: 'it names nothing', body: binding({}), field: 'claims', code: 'invalid_fields' },
    { when: 'a matcher is empty', body: binding({ sub: '' }), field: 'claims.sub' },
    { when: 'a matcher is blank', body: binding({ sub: '  ' }), field: 'claims.sub' },
    { when: 'a matcher is `*`', body: binding({ sub: '*' }), field: 'claims.sub' },
    { when: 'a matcher is a list of nothing', body: binding({ sub: [] }), field: 'claims.sub', code: 'invalid_fields' },
    { when: 'a matcher is a number', body: binding({ sub: 5 }), field: 'claims.sub', code: 'invalid_fields' },
    { when: 'a matcher is an object', body: binding({ sub: {} }), field: 'claims.sub', code: 'invalid_fields' },
    { when: 'a matcher is a pattern', body: binding({ sub: 'system:*:deployer' }), field: 'claims.sub' },
    { when: 'it names every pod', body: binding({ sub: 'system:serviceaccount:*' }), field: 'claims.sub' },
    { when: 'it names no subject', body: binding({ namespace: 'shop' }), field: 'claims' },
    { when: 'it names another matcher that is `*`', body: binding({ ...DEPLOYER, namespace: '*' }), field: 'claims.namespace' },
    { when: 'it says the audience again', body: binding({ ...DEPLOYER, aud: 'x' }), field: 'claims.aud' },
    { when: 'it has no audience', body: { issuer: CLUSTER, claims: DEPLOYER }, field: 'audience', code: 'invalid_fields' },
    { when: 'its audience is empty', body: { ...binding(), audience: '' }, field: 'audience', code: 'invalid_fields' },
    { when: 'its issuer is unknown', body: binding(DEPLOYER, 'https://nobody.example'), field: 'issuer', code: 'no_such_issuer' },
    { when: 'its issuer has another slash', body: binding(DEPLOYER, `${CLUSTER}//`), field: 'issuer', code: 'no_such_issuer' },
    { when: 'GitHub\'s word is bound to nobody\'s branch', body: binding({ ref: 'refs/heads/main' }, GITHUB), field: 'claims' },
    { when: 'GitHub\'s word is bound to all of GitHub', body: binding({ sub: 'repo:*' }, GITHUB), field: 'claims.sub' },
  ] as readonly { when: string; body: Readonly<Record<string, unknown>>; field: string; code?: string }[]) {
    test(`a binding is refused when it is written, by the name of its field, when ${when} (R36)`, async () => {
      const { id } = await identity(`strict-${when.replaceAll(/\W/g, '-')}`)
      const got = await refused(writ(), () => bind(writ(), id, body), { status: 400, code })
      assert.ok(fieldsOf(got).includes(field), got.text)
      // The same at registration, and then there is no identity either.
      const registration = { ...REGISTRATION, spiffe_id: `spiffe://acme.example/never-${when.replaceAll(/\W/g, '-')}`, class: 'script', bindings: [binding(), body] }
      const whole = await refused(writ(), () => writ().operator(registry.registerIdentity, { body: registration }), { status: 400, code })
      assert.ok(fieldsOf(whole).includes(`bindings.1.${field}`), whole.text)
    })
  }

  test('an identity that has one workload has one key or one binding, and a second is a finding (WID-2)', async () => {
    const { id } = await identity('lonely', { class: 'autonomous', bindings: [binding()] })
    const shared = { status: 409, code: 'identity_may_not_be_shared' } as const
    const findings = async () => (await writ().operator(registry.listFindings)).reply.findings.filter((one) => one.identity === id)
    for (const asked of [() => bind(writ(), id, binding({ sub: 'system:serviceaccount:shop:other' })), () => writ().operator(registry.addKey, { parameters: { id }, body: { key: newJwk() } })]) {
      const got = await asked()
      assert.deepEqual({ status: got.status, code: got.problem.code }, shared, got.text)
    }
    assert.deepEqual((await findings()).map(({ kind }) => kind), ['shared_identity'])
    const keyed = await writ().operator(registry.addKey, { parameters: { id }, body: { key: newJwk(), replace: true } })
    assert.deepEqual([keyed.status, keyed.reply.credentials.map(({ state }) => state), keyed.reply.bindings.map(({ state }) => state)], [201, ['live'], ['revoked']], keyed.text)
    const rebound = await bind(writ(), id, { ...binding(), replace: true })
    assert.deepEqual([rebound.status, rebound.reply.credentials.map(({ state }) => state), rebound.reply.bindings.map(({ state }) => state).toSorted()], [201, ['revoked'], ['live', 'revoked']], rebound.text)
    const two = { ...REGISTRATION, spiffe_id: 'spiffe://acme.example/two', class: 'autonomous', key: newJwk(), bindings: [binding()] }
    await refused(writ(), () => writ().operator(registry.registerIdentity, { body: two }), shared)
  })

  test('a retired identity has no live binding and gets none', async () => {
    const { id } = await identity('gone', { bindings: [binding()] })
    const retired = await writ().operator(registry.retireIdentity, { parameters: { id }, body: { reason: 'done' } })
    assert.deepEqual(retired.reply.bindings.map(({ state }) => state), ['revoked'])
    await refused(writ(), () => bind(writ(), id, binding()), { status: 409, code: 'identity_retired' })
  })

  test('the same request again binds once', async () => {
    const { id } = await identity('repeated')
    const ask = () => writ().operator(registry.bindIdentity, { parameters: { id }, body: binding(), headers: { 'idempotency-key': `bind-it-once-${store}` } })
    assert.deepEqual((await ask()).reply, (await ask()).reply)
  })

  test('an issuer that was removed by mistake is trusted again as a new one, and what was bound to it before stays revoked, as the reply says', async () => {
    const url = 'https://mistaken.acme.example'
    const first = await trust(writ(), { url })
    assert.deepEqual([first.status, first.reply.bindings_revoked], [201, null], first.text)
    const { id } = await identity('bound-before', { class: 'autonomous', bindings: [binding(DEPLOYER, url)] })
    const removed = await writ().operator(issuers.removeIssuer, { parameters: { id: url }, body: { reason: 'a slip' } })
    assert.equal(removed.status, 200, removed.text)
    const again = await trust(writ(), { url, jwks })
    assert.deepEqual(
      [again.status, again.reply.id, again.reply.state, again.reply.bindings, again.reply.bindings_revoked, again.reply.keys.source], [201, first.reply.id, 'trusted', 0, 1, 'inline'], again.text,
    )
    assert.ok(again.reply.trusted_at > first.reply.trusted_at)
    const shown = async () => (await writ().operator(registry.showIdentity, { parameters: { id } })).reply.bindings.map(({ state }) => state)
    assert.deepEqual(await shown(), ['revoked'])
    await refused(writ(), () => trust(writ(), { url }), { status: 409, code: 'already_exists' })
    assert.equal((await bind(writ(), id, binding(DEPLOYER, url))).status, 201)
    assert.deepEqual((await shown()).toSorted(), ['live', 'revoked'])
    const told = (await eventsOf(writ(), 'human')).filter(({ facts }) => facts['issuer'] === first.reply.id).map(({ type, facts }) => [type, facts['because'] ?? facts['bindings_revoked'] ?? null])
    assert.deepEqual(told, [
      ['issuer.trusted', null], ['binding.registered', null], ['issuer.removed', null], ['binding.revoked', 'issuer_removed'], ['issuer.trusted', 1], ['binding.registered', null],
    ])
  })

  test('a manifest says which bindings there are: what is missing comes, what is too much goes, and what it leaves out stays', async () => {
    const of = (more: object) => ({ identities: [{ ...REGISTRATION, spiffe_id: 'spiffe://acme.example/declared', class: 'script', ...more }] })
    const apply = (body: object, dryRun = 'false') => writ().operator(registry.applyManifest, { query: { dry_run: dryRun }, body })
    const states = async () => (await writ().operator(registry.showIdentity, { parameters: { id: 'spiffe://acme.example/declared' } })).reply.bindings.map(({ claims, state }) => `${String(claims['sub'])} ${state}`)
    const [one, other] = [binding({ sub: 'system:serviceaccount:shop:one' }), binding({ sub: 'system:serviceaccount:shop:other' })]
    const made = await apply(of({ bindings: [one] }))
    assert.ok(made.reply.changes[0]!.fields.some(({ field, to }) => field === 'bindings' && to === `${CLUSTER} for ${AUDIENCE}: sub=system:serviceaccount:shop:one`), made.text)
    assert.deepEqual((await apply(of({ bindings: [one] }))).reply.changes[0]!.action, 'none')
    assert.deepEqual((await apply(of({}))).reply.changes[0]!.action, 'none')
    const before = await keptIn(writ())
    const planned = await apply(of({ bindings: [other] }), 'true')
    assert.deepEqual([planned.reply.changes[0]!.action, planned.reply.changes[0]!.fields.map(({ field }) => field)], ['change', ['bindings']], planned.text)
    assert.deepEqual(await keptIn(writ()), before)
    assert.equal((await apply(of({ bindings: [other] }))).reply.applied, true)
    assert.deepEqual((await states()).toSorted(), ['system:serviceaccount:shop:one revoked', 'system:serviceaccount:shop:other live'])
    await refused(writ(), () => apply(of({ bindings: [binding({ sub: '*' })] })), { status: 400, code: 'bad_matcher' })
    assert.equal((await apply(of({ bindings: [] }))).reply.changes[0]!.action, 'change')
    assert.deepEqual((await states()).map((one) => one.split(' ')[1]), ['revoked', 'revoked'])
  })
})
