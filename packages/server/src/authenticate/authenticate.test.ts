import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { IdentityId, IssuerId, OperatorId } from '@writ/domain/id'
import { ok, refuse } from '@writ/domain/outcome'
import type { IdentityClass } from '@writ/domain/profile'
import { SECRET_PREFIX, toSecret } from '@writ/domain/secret'
import type { SpiffeId } from '@writ/domain/spiffe-id'
import { toNumericDate } from '@writ/domain/time'
import { fixedClock } from '../../test/fakes/clock.ts'
import { hashOf, proofDesk, signProof } from '../../test/fakes/proof.ts'
import { tokenDesk } from '../../test/fakes/token-desk.ts'
import { DEPLOY_BOT, ISSUER, signToken, workload, type Members } from '../../test/fakes/workload.ts'
import { authentication, type Presented, type ShownAtTokenEndpoint } from './authenticate.ts'
import type { Authenticator, OneTimeUse } from './authenticator.ts'
import { privateKeyJwt } from './private-key-jwt.ts'

const KEY = toSecret(SECRET_PREFIX.operator, new Uint8Array(32).fill(5))
const bot = workload()
const GITHUB = 'https://token.actions.githubusercontent.com'

/** Everything that a server knows of evidence, with a plain issuer in the place of the federated ones. */
function server(more: { readonly class?: IdentityClass; readonly nonceRequired?: boolean; readonly room?: () => Promise<void> } = {}) {
  const clock = fixedClock()
  const tokens = tokenDesk(more)
  const proofs = proofDesk(more)
  const [used, chosen]: [Set<string>, string[]] = [new Set(), []]
  const told = (one: Authenticator): Authenticator => ({
    kind: one.kind,
    authenticate: (token, shown) => {
      chosen.push(one.kind)
      return one.authenticate(token, shown)
    },
  })
  const federated: Authenticator = {
    kind: 'federated',
    async authenticate(_token, { thumbprint }) {
      const evidence = { kind: 'oidc', issuer: 'iss_x' as IssuerId, subject: 'repo:acme/shop', credential: null, binding: null, expiresAt: clock.now() } as const
      return ok({ caller: { kind: 'identity', identity: 'nhi_x' as IdentityId, spiffeId: DEPLOY_BOT, class: more.class ?? 'autonomous', evidence, thumbprint, task: null, lease: null }, uses: [] })
    },
  }
  const known = authentication({
    operator: async (key) => (key === KEY ? ok({ kind: 'operator', operator: 'opr_x' as OperatorId, name: 'maya' }) : refuse({ kind: 'unknown_operator_key' })),
    signIn: async () => refuse({ kind: 'unknown_sign_in' }),
    privateKeyJwt: told(privateKeyJwt({ clock, issuer: ISSUER, notBefore: null, keysOf: async (id: SpiffeId) => (id === DEPLOY_BOT ? [bot.registered] : []) })),
    federated: told(federated),
    accessToken: told(tokens.authenticator),
    dpop: proofs.check,
    roomFor: more.room ?? (async () => {}),
    async useOnce(uses: readonly OneTimeUse[]) {
      const seen = uses.find((use) => used.has(Buffer.from(use.hash).toString('hex')))
      if (seen !== undefined) return seen.of
      for (const use of uses) used.add(Buffer.from(use.hash).toString('hex'))
      return undefined
    },
  })
  const now = toNumericDate(clock.now())
  const assertion = (changes: Members = {}) => signToken(bot, { alg: 'ES256' }, { iss: DEPLOY_BOT, sub: DEPLOY_BOT, aud: ISSUER, jti: `jti-${Math.random()}`, iat: now, exp: now + 60, ...changes })
  const proofFor = (token: string, by = tokens.holder, changes: Members = {}) => signProof(by, proofs.claims({ ath: hashOf(token), ...changes }))
  const workloadToken = signToken(workload(), { alg: 'ES256' }, { iss: GITHUB, sub: 'repo:acme/shop', aud: ISSUER })
  const atDoor = async (token: string, proof?: string, changes: Partial<Presented> = {}) => {
    const found = await known.atDoor({ scheme: proof === undefined ? 'Bearer' : 'DPoP', token, proof, method: 'POST', path: '/v1/tasks', ...changes })
    return found.ok ? (found.value.kind === 'identity' ? found.value.evidence.kind : found.value.kind) : found.refusal
  }
  const atTokenEndpoint = (as: ShownAtTokenEndpoint['as'], token: string, proof?: string) => known.atTokenEndpoint({ as, token, proof, method: 'POST', path: '/v1/tasks' })
  return { known, tokens, proofs, used, chosen, assertion, proofFor, workloadToken, atDoor, atTokenEndpoint }
}

test('whoever understands the evidence is asked, and nobody else', async () => {
  const at = server()
  const token = at.tokens.token()
  assert.equal(await at.atDoor(KEY), 'operator')
  assert.equal(await at.atDoor(at.assertion()), 'private_key_jwt')
  assert.equal(await at.atDoor(token, at.proofFor(token)), 'access_token')
  assert.equal(await at.atDoor(at.workloadToken, at.proofFor(at.workloadToken)), 'oidc')
  assert.deepEqual(at.chosen, ['private_key_jwt', 'access_token', 'federated'])
})

for (const { what, claims, header, by } of [
  { what: 'an access token by its type', claims: { iss: DEPLOY_BOT, sub: DEPLOY_BOT }, header: { typ: 'application/at+jwt' }, by: 'access_token' },
  { what: 'a token of an issuer that is its own subject, and has no name of ours', claims: { iss: GITHUB, sub: GITHUB }, header: {}, by: 'federated' },
  { what: 'a token about a workload by somebody else', claims: { iss: GITHUB, sub: DEPLOY_BOT }, header: {}, by: 'federated' },
  { what: 'a token without an issuer', claims: { sub: DEPLOY_BOT }, header: { typ: 'JWT' }, by: 'federated' },
  { what: 'a token of no issuer about nobody', claims: {}, header: {}, by: 'federated' },
  { what: 'an assertion by its subject', claims: { iss: DEPLOY_BOT, sub: DEPLOY_BOT }, header: { typ: 'JWT' }, by: 'private_key_jwt' },
]) {
  test(`${what} is chosen for what it claims, and not believed`, async () => {
    const at = server()
    await at.atDoor(signToken(bot, { alg: 'ES256', ...header }, claims))
    assert.deepEqual(at.chosen, [by])
  })
}

for (const [what, token] of [['nothing that can be read', 'x.y.z'], ['a token of a megabyte', `${'x'.repeat(1_048_576)}.x.x`], ['a list', 'W10.W10.AAAA'], ['one part', 'x']] as const) {
  test(`${what} is refused by whoever reads most strictly`, async () => {
    const at = server()
    assert.match(JSON.stringify(await at.atDoor(token)), /malformed_token|token_too_long/)
    assert.deepEqual(at.chosen, ['private_key_jwt'])
  })
}

test('a proof belongs to the scheme DPoP and that scheme to a proof, whatever the evidence', async () => {
  const at = server()
  const token = at.tokens.token()
  for (const shown of [token, at.assertion(), at.workloadToken, KEY]) {
    assert.deepEqual(await at.atDoor(shown, at.proofFor(shown), { scheme: 'Bearer' }), { kind: 'scheme_and_proof_differ' })
    assert.deepEqual(await at.atDoor(shown, undefined, { scheme: 'DPoP' }), { kind: 'scheme_and_proof_differ' })
    assert.deepEqual(await at.atDoor(shown, '', { scheme: 'Bearer' }), { kind: 'scheme_and_proof_differ' })
  }
  assert.deepEqual(await at.atDoor(KEY, at.proofFor(KEY)), { kind: 'scheme_and_proof_differ' })
  assert.deepEqual([at.chosen, at.used.size], [[], 0])
})

test('a bound token that is shown as a bearer token is refused (RFC 9449 §7.2)', async () => {
  const at = server()
  assert.deepEqual(await at.atDoor(at.tokens.token()), { kind: 'bound_to_another_key' })
})

test('a proof is looked at before the token, and its use is the last thing', async () => {
  const at = server()
  const token = at.tokens.token()
  assert.deepEqual(await at.atDoor(token, at.proofFor(token, bot)), { kind: 'bound_to_another_key' })
  assert.deepEqual(await at.atDoor(token, at.proofFor('other')), { kind: 'bad_proof', because: 'ath' })
  assert.deepEqual(at.chosen, ['access_token'])
  assert.equal(at.used.size, 0)
  const proof = at.proofFor(token)
  assert.equal(await at.atDoor(token, proof), 'access_token')
  for (let i = 0; i < 100; i++) assert.deepEqual(await at.atDoor(token, proof), { kind: 'bad_proof', because: 'replayed' })
  assert.equal(at.used.size, 1)
})

test('an assertion with a proof of a second key is known by that key, and both work once', async () => {
  const at = server()
  const assertion = at.assertion()
  const found = await at.known.atDoor({ scheme: 'DPoP', token: assertion, proof: at.proofFor(assertion), method: 'POST', path: '/v1/tasks' })
  assert.ok(found.ok && found.value.kind === 'identity' && found.value.thumbprint === at.tokens.holder.registered.thumbprint)
  assert.equal(at.used.size, 2)
  assert.deepEqual(await at.atDoor(assertion), { kind: 'replayed' })
  assert.deepEqual(await at.atDoor(assertion, at.proofFor(assertion)), { kind: 'replayed' })
})

for (const [of, isEnough] of [['autonomous', false], ['script', false], ['chatbot', true], ['assisted', true]] as const) {
  test(`an identity of class ${of} ${isEnough ? 'may' : 'may not'} come with an issuer's word alone`, async () => {
    const at = server({ class: of })
    assert.deepEqual(await at.atDoor(at.workloadToken), isEnough ? 'oidc' : { kind: 'proof_needed' })
    assert.equal(await at.atDoor(at.workloadToken, at.proofFor(at.workloadToken)), 'oidc')
  })
}

test('a nonce that is needed is told of, and nothing else is, when something else is wrong', async () => {
  const at = server({ nonceRequired: true })
  const token = at.tokens.token()
  const refusal = await at.atDoor(token, at.proofFor(token))
  assert.ok(typeof refusal === 'object' && refusal.kind === 'use_dpop_nonce')
  assert.equal(await at.atDoor(token, at.proofFor(token, at.tokens.holder, { nonce: refusal.nonce })), 'access_token')
  assert.deepEqual(await at.atDoor(token, at.proofFor(token, at.tokens.holder, { htm: 'GET' })), { kind: 'bad_proof', because: 'htm' })
})

test('when no more uses can be remembered nobody gets in, and nothing is used up', async () => {
  const at = server({ room: async () => Promise.reject(new Error('full')) })
  await assert.rejects(at.atDoor(at.assertion()), /full/)
  await assert.rejects(at.atTokenEndpoint('client_assertion', at.assertion()), /full/)
  assert.equal(at.used.size, 0)
  assert.equal(await at.atDoor(KEY), 'operator')
})

test('at the token endpoint nothing is used up yet, and the key to bind to is that of the proof', async () => {
  const at = server()
  const assertion = at.assertion()
  const bound = await at.atTokenEndpoint('client_assertion', assertion, at.proofFor(assertion, at.tokens.holder, { ath: undefined }))
  assert.ok(bound.ok)
  assert.equal(bound.value.jkt, at.tokens.holder.registered.thumbprint)
  assert.deepEqual(bound.value.uses.map((use) => use.of), ['evidence', 'proof'])
  const unbound = await at.atTokenEndpoint('client_assertion', assertion)
  assert.ok(unbound.ok && unbound.value.jkt === null && unbound.value.caller.thumbprint === bot.registered.thumbprint)
  assert.equal(at.used.size, 0)
})

test('where the uses are left to what is asked, the door uses up nothing, and lets in nobody else', async () => {
  const at = server()
  const token = at.tokens.token()
  const presented = { scheme: 'DPoP', token, proof: at.proofFor(token), method: 'POST', path: '/v1/tasks' } as const
  for (let i = 0; i < 2; i++) {
    const found = await at.known.atDoorUnused(presented)
    assert.deepEqual(found.ok ? found.value.uses.map(({ of }) => of) : found.refusal, ['proof'])
  }
  assert.equal(at.used.size, 0)
  const operator = await at.known.atDoorUnused({ scheme: 'Bearer', token: KEY, proof: undefined, method: 'POST', path: '/v1/tasks' })
  assert.deepEqual(operator.ok ? [operator.value.caller.kind, operator.value.uses] : operator.refusal, ['operator', []])
  assert.deepEqual(await at.known.atDoorUnused({ ...presented, scheme: 'Bearer' }), { ok: false, refusal: { kind: 'scheme_and_proof_differ' } })
})

test('a resource with a name of its own takes an access token for just that name, and nothing else', async () => {
  const at = server()
  const [resource, other] = [`${ISSUER}/mcp/shop`, `${ISSUER}/mcp/shop/`]
  const asked = async (token: string, audience: string, proof: string | undefined = at.proofFor(token)) => {
    const found = await at.known.atResource({ scheme: proof === undefined ? 'Bearer' : 'DPoP', token, proof, method: 'POST', path: '/v1/tasks' }, audience)
    return found.ok ? found.value.uses.map(({ of }) => of) : found.refusal.kind
  }
  // The store of these tests holds one that is for the server as a whole.
  assert.deepEqual(await asked(at.tokens.token(), ISSUER), ['proof'])
  assert.equal(await asked(at.tokens.token(), resource), 'wrong_audience')
  assert.equal(await asked(at.tokens.token({ aud: other }), resource), 'wrong_audience')
  assert.equal(await asked(at.tokens.token({ aud: [resource] }), resource), 'wrong_audience')
  assert.equal(await asked(at.tokens.token({ aud: resource }), resource), 'token_not_live')
  const forShop = at.tokens.token({ aud: resource })
  assert.deepEqual(await at.atDoor(forShop, at.proofFor(forShop)), { kind: 'wrong_audience' })
  for (const token of [KEY, at.assertion(), at.workloadToken]) assert.ok(typeof await asked(token, resource) === 'string', token.slice(0, 20))
  assert.equal(at.used.size, 0)
  assert.deepEqual([...new Set(at.chosen)], ['access_token'])
})

test('each parameter of a token request takes its own kind of evidence', async () => {
  const at = server()
  const token = at.tokens.token()
  const shown = { client_assertion: at.assertion(), federated: at.workloadToken, access_token: token }
  for (const as of ['client_assertion', 'client_svid', 'federated', 'access_token'] as const) {
    for (const [kind, one] of Object.entries(shown)) {
      // The issuer of these tests believes whatever it is shown; a real one has its own checks of the type.
      if (as === 'federated') continue
      const found = await at.atTokenEndpoint(as, one, at.proofFor(one, at.tokens.holder))
      assert.equal(found.ok, as === kind, `${kind} as ${as}`)
    }
  }
  assert.ok((await at.atTokenEndpoint('federated', at.workloadToken, at.proofFor(at.workloadToken))).ok)
  assert.equal(at.used.size, 0)
})

test('a server that trusts no issuer and signs no tokens refuses both', async () => {
  const at = server()
  const plain = authentication({
    operator: async () => refuse({ kind: 'not_an_operator_key' }), signIn: async () => refuse({ kind: 'not_a_sign_in' }), dpop: at.proofs.check, roomFor: async () => {}, useOnce: async () => undefined,
    privateKeyJwt: privateKeyJwt({ clock: fixedClock(), issuer: ISSUER, notBefore: null, keysOf: async () => [bot.registered] }),
  })
  for (const token of [at.tokens.token(), at.workloadToken]) {
    assert.equal((await plain.atDoor({ scheme: 'DPoP', token, proof: at.proofFor(token), method: 'POST', path: '/v1/tasks' })).ok, false)
    for (const as of ['client_svid', 'federated', 'access_token'] as const) {
      assert.deepEqual(await plain.atTokenEndpoint({ as, token, proof: undefined, method: 'POST', path: '/oauth/token' }), { ok: false, refusal: { kind: 'typ_not_allowed' } })
    }
  }
})
