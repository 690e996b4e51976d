import assert from 'node:assert/strict'
import { test } from 'node:test'
import { epochMs, seconds } from '@writ/domain/time'
import fc from 'fast-check'
import { authenticatorFor, DEPLOY_BOT, ISSUER, signToken, workload, type Members } from '../../test/fakes/workload.ts'
import { privateKeyJwt } from './private-key-jwt.ts'
import { SIGNATURE_ALGS } from './registered-key.ts'

const bot = workload()
const HEADER = { alg: 'ES256' }

/** The refusal of one assertion, having seen that its `jti` was not used up. */
async function refusalOf(claims: Members, header: object = HEADER) {
  const server = authenticatorFor([bot])
  const answer = await server.authenticator.authenticate(signToken(bot, header, server.claims(claims)))
  assert.equal(server.used.size, 0)
  return answer.ok ? assert.fail('the assertion was accepted') : answer.refusal
}

for (const alg of SIGNATURE_ALGS) {
  for (const header of [{ alg }, { alg, typ: 'JWT' }, { alg, typ: 'client-authentication+jwt' }]) {
    test(`a workload that signs with ${alg} proves who it is (${JSON.stringify(header)})`, async () => {
      const one = workload(alg)
      const server = authenticatorFor([one])
      const claims = server.claims()
      const { identity, credential, thumbprint } = one.registered
      assert.deepEqual(await server.authenticator.authenticate(signToken(one, header, claims)), {
        ok: true,
        value: {
          kind: 'identity', identity, spiffeId: DEPLOY_BOT, class: 'autonomous', thumbprint, task: null, lease: null,
          evidence: { kind: 'private_key_jwt', issuer: null, subject: DEPLOY_BOT, credential, binding: null, expiresAt: server.clock.now() + 60_000 },
        },
      })
    })
  }
}

test('an Ed25519 workload may call its algorithm EdDSA, as older clients do', async () => {
  const one = workload('Ed25519')
  const server = authenticatorFor([one])
  assert.ok((await server.authenticator.authenticate(signToken(one, { alg: 'EdDSA' }, server.claims()))).ok)
})

test('of several keys the one that signed is found, with and without its thumbprint as `kid`', async () => {
  const [first, second, third] = [workload('RS256'), workload(), workload()] as const
  const server = authenticatorFor([first, second, third])
  for (const header of [HEADER, { ...HEADER, kid: third.registered.thumbprint }]) {
    const answer = await server.authenticator.authenticate(signToken(third, header, server.claims()))
    assert.ok(answer.ok && answer.value.thumbprint === third.registered.thumbprint)
  }
  const wrong = await server.authenticator.authenticate(signToken(third, { ...HEADER, kid: second.registered.thumbprint }, server.claims()))
  assert.deepEqual(wrong, { ok: false, refusal: { kind: 'bad_signature' } })
})

test('a workload with more than four keys has to name the one it signed with', async () => {
  const all = Array.from({ length: 5 }, () => workload())
  const server = authenticatorFor(all)
  const last = all[4]!
  assert.deepEqual(await server.authenticator.authenticate(signToken(last, HEADER, server.claims())), { ok: false, refusal: { kind: 'kid_needed' } })
  assert.ok((await server.authenticator.authenticate(signToken(last, { ...HEADER, kid: last.registered.thumbprint }, server.claims()))).ok)
})

test('an RSA key is used with the one algorithm that it was registered for', async () => {
  const one = workload('PS256')
  const server = authenticatorFor([one])
  const answer = await server.authenticator.authenticate(signToken({ alg: 'RS256', privateKey: one.privateKey }, { alg: 'RS256' }, server.claims()))
  assert.deepEqual(answer, { ok: false, refusal: { kind: 'unknown_key' } })
})

for (const state of ['suspended', 'retired'] as const) {
  test(`a ${state} identity proves nothing any more, and its assertion is not used up`, async () => {
    const one = workload('ES256', state)
    const server = authenticatorFor([one])
    const answer = await server.authenticator.authenticate(signToken(one, HEADER, server.claims()))
    assert.deepEqual(answer, { ok: false, refusal: { kind: 'identity_not_active', state } })
    assert.equal(server.used.size, 0)
  })
}

test('a workload that nobody registered is refused', async () => {
  const [iss, sub] = ['spiffe://acme.example/nobody', 'spiffe://acme.example/nobody']
  assert.deepEqual(await refusalOf({ iss, sub }), { kind: 'unknown_identity' })
})

for (const { what, aud } of [
  { what: 'with a slash at the end', aud: `${ISSUER}/` },
  { what: 'in capitals', aud: ISSUER.toUpperCase() },
  { what: 'with a capital in the host', aud: 'https://Writ.acme.example' },
  { what: 'with the default port', aud: `${ISSUER}:443` },
  { what: 'with another port', aud: `${ISSUER}:8443` },
  { what: 'as the prefix of a stranger', aud: `${ISSUER}.evil` },
  { what: 'with a user', aud: 'https://evil@writ.acme.example' },
  { what: 'with a path', aud: `${ISSUER}/v1/tasks` },
  { what: 'with a query', aud: `${ISSUER}?` },
  { what: 'with a fragment', aud: `${ISSUER}#` },
  { what: 'without encryption', aud: 'http://writ.acme.example' },
  { what: 'with a blank', aud: ` ${ISSUER}` },
  { what: 'with a dot at the end of the host', aud: `${ISSUER}.` },
  { what: 'of another server', aud: 'https://other.acme.example' },
  { what: 'in a list of one', aud: [ISSUER] },
  { what: 'in a list with another', aud: [ISSUER, 'https://other.acme.example'] },
  { what: 'in an empty list', aud: [] },
  { what: 'as a list in a list', aud: [[ISSUER]] },
  { what: 'as nothing', aud: '' },
  { what: 'as null', aud: null },
  { what: 'left out', aud: undefined },
]) {
  test(`an assertion with the audience ${what} is refused`, async () => {
    assert.deepEqual(await refusalOf({ aud }), { kind: 'wrong_audience' })
  })
}

for (const { what, claims, claim } of [
  { what: 'no issuer', claims: { iss: undefined }, claim: 'iss' },
  { what: 'no subject', claims: { sub: undefined }, claim: 'sub' },
  { what: 'a list as its subject', claims: { sub: [DEPLOY_BOT] }, claim: 'sub' },
  { what: 'a name that is no SPIFFE ID', claims: { iss: 'deploy-bot', sub: 'deploy-bot' }, claim: 'sub' },
  { what: 'a name with dots for a path', claims: { iss: 'spiffe://acme.example/../x', sub: 'spiffe://acme.example/../x' }, claim: 'sub' },
  { what: 'no end', claims: { exp: undefined }, claim: 'exp' },
  { what: 'an end in words', claims: { exp: '1795327260' }, claim: 'exp' },
  { what: 'an end before 1970', claims: { exp: -1 }, claim: 'exp' },
  { what: 'an end beyond counting', claims: { exp: Number.MAX_SAFE_INTEGER }, claim: 'exp' },
  { what: 'no beginning', claims: { iat: undefined }, claim: 'iat' },
  { what: 'a beginning in words', claims: { iat: 'now' }, claim: 'iat' },
  { what: 'a "not before" in words', claims: { nbf: 'now' }, claim: 'nbf' },
  { what: 'no `jti`', claims: { jti: undefined }, claim: 'jti' },
  { what: 'a number for a `jti`', claims: { jti: 12345678 }, claim: 'jti' },
  { what: 'a `jti` of 7 characters', claims: { jti: '1234567' }, claim: 'jti' },
  { what: 'a `jti` of 257 characters', claims: { jti: 'j'.repeat(257) }, claim: 'jti' },
]) {
  test(`an assertion with ${what} is refused by the name of the claim`, async () => {
    assert.deepEqual(await refusalOf(claims), { kind: 'malformed_claim', claim })
  })
}

test('an assertion by one identity about another is refused', async () => {
  assert.deepEqual(await refusalOf({ iss: 'spiffe://acme.example/other' }), { kind: 'issuer_is_not_subject' })
  assert.deepEqual(await refusalOf({ sub: 'spiffe://acme.example/other' }), { kind: 'issuer_is_not_subject' })
})

// Seconds from the server's now; the client's clock is off by `iat`.
for (const { when, iat, exp, nbf, refused } of [
  { when: 'was made just now', iat: 0, exp: 60 },
  { when: 'comes from a clock 10 s ahead', iat: 10, exp: 70 },
  { when: 'comes from a clock 10 s ahead and lives as long as allowed', iat: 10, exp: 310 },
  { when: 'comes from a clock 10 s behind', iat: -10, exp: 50 },
  { when: 'comes from a clock 10 s behind and ended 9 s ago by ours', iat: -14, exp: -9 },
  { when: 'comes from a clock 11 s ahead', iat: 11, exp: 71, refused: 'not_yet_valid' },
  { when: 'comes from a clock 60 s ahead', iat: 60, exp: 120, refused: 'not_yet_valid' },
  { when: 'comes from a clock an hour ahead', iat: 3_600, exp: 3_660, refused: 'not_yet_valid' },
  { when: 'ended 10 s ago', iat: -70, exp: -10, refused: 'expired' },
  { when: 'ended an hour ago', iat: -3_660, exp: -3_600, refused: 'expired' },
  { when: 'ended in 1970', iat: -1_795_327_200, exp: -1_795_327_199, refused: 'expired' },
  { when: 'lives for 300 s', iat: 0, exp: 300 },
  { when: 'lives for 301 s', iat: 0, exp: 301, refused: 'lives_too_long' },
  { when: 'is old and ends soon', iat: -290, exp: 11, refused: 'lives_too_long' },
  { when: 'lives for a year', iat: 0, exp: 31_536_000, refused: 'lives_too_long' },
  { when: 'begins 10 s from now', iat: 0, exp: 60, nbf: 10 },
  { when: 'begins 11 s from now', iat: 0, exp: 60, nbf: 11, refused: 'not_yet_valid' },
  { when: 'began before it was made', iat: 0, exp: 60, nbf: -3_600 },
  { when: 'is counted in milliseconds', iat: 0, exp: 1_795_327_260_000 - 1_795_327_200, refused: 'lives_too_long' },
  { when: 'has fractions of a second', iat: -0.5, exp: 59.75 },
]) {
  test(`an assertion that ${when} is ${refused === undefined ? 'accepted' : `refused as ${refused}`}`, async () => {
    const server = authenticatorFor([bot])
    const now = server.clock.now() / 1000
    const times = { iat: now + iat, exp: now + exp, ...(nbf === undefined ? {} : { nbf: now + nbf }) }
    const answer = await server.authenticator.authenticate(signToken(bot, HEADER, server.claims(times)))
    assert.equal(answer.ok ? undefined : answer.refusal.kind, refused)
    assert.equal(server.used.size, refused === undefined ? 1 : 0)
  })
}

test('the same assertion is refused a hundred times out of a hundred, one after the other', async () => {
  const server = authenticatorFor([bot])
  const token = signToken(bot, HEADER, server.claims())
  assert.ok((await server.authenticator.authenticate(token)).ok)
  for (let i = 0; i < 100; i++) {
    assert.deepEqual(await server.authenticator.authenticate(token), { ok: false, refusal: { kind: 'replayed' } })
  }
})

test('of a hundred copies of an assertion that come at once, one is accepted', async () => {
  const server = authenticatorFor([bot])
  const token = signToken(bot, HEADER, server.claims())
  const answers = await Promise.all(Array.from({ length: 100 }, () => server.authenticator.authenticate(token)))
  assert.equal(answers.filter(({ ok }) => ok).length, 1)
  assert.ok(answers.every((answer) => answer.ok || answer.refusal.kind === 'replayed'))
})

test('another signature over the same `jti` is a replay too', async () => {
  const server = authenticatorFor([bot])
  const claims = server.claims()
  assert.ok((await server.authenticator.authenticate(signToken(bot, HEADER, claims))).ok)
  const again = await server.authenticator.authenticate(signToken(bot, { ...HEADER, typ: 'JWT' }, { ...claims, exp: Number(claims.exp) + 1 }))
  assert.deepEqual(again, { ok: false, refusal: { kind: 'replayed' } })
})

test('a `jti` is remembered for as long as its assertion could be accepted, and no shorter', async () => {
  const server = authenticatorFor([bot])
  const claims = server.claims()
  const token = signToken(bot, HEADER, claims)
  await server.authenticator.authenticate(token)
  const until = [...server.used.values()][0]!
  server.clock.set(until - 1)
  assert.deepEqual(await server.authenticator.authenticate(token), { ok: false, refusal: { kind: 'replayed' } })
  server.clock.set(until)
  assert.deepEqual(await server.authenticator.authenticate(token), { ok: false, refusal: { kind: 'expired' } })
  assert.equal(until, Number(claims.exp) * 1000 + seconds(10))
})

test('no other spelling of an assertion gets past the memory of the first', async () => {
  const server = authenticatorFor([bot])
  const token = signToken(bot, HEADER, server.claims())
  assert.ok((await server.authenticator.authenticate(token)).ok)
  for (const spelling of spellingsOf(token)) {
    const answer = await server.authenticator.authenticate(spelling)
    assert.ok(!answer.ok)
    assert.equal(answer.refusal.kind, 'malformed_token')
  }
  assert.equal(server.used.size, 1)
})

/** Texts that a lenient reader takes for the same token. */
function spellingsOf(token: string): readonly string[] {
  const parts = token.split('.')
  const each = (change: (part: string) => string) => parts.map((_, i) => parts.map((part, j) => (i === j ? change(part) : part)).join('.'))
  const spare = (part: string) => (part.length % 4 === 0 ? `${part}=` : part.slice(0, -1) + String.fromCharCode(part.charCodeAt(part.length - 1) + 1))
  return [
    ...each((part) => `${part}=`), ...each((part) => `${part}==`), ...each(spare), ...each((part) => `${part}\n`), ...each((part) => ` ${part}`),
    ...each((part) => `${part.slice(0, 4)}\r\n${part.slice(4)}`), ...each((part) => `${part}!`), `${token}.`, `.${token}`,
  ]
}

test('an assertion with any one character changed is refused, and throws nothing', async () => {
  const server = authenticatorFor([bot])
  const token = signToken(bot, HEADER, server.claims())
  await fc.assert(fc.asyncProperty(fc.nat(token.length - 1), fc.string({ unit: 'binary', maxLength: 3 }), async (at, text) => {
    const changed = token.slice(0, at) + text + token.slice(at + 1)
    if (changed === token) return
    const answer = await server.authenticator.authenticate(changed)
    assert.equal(answer.ok, false)
  }), { numRuns: 500 })
  assert.equal(server.used.size, 0)
})

test('when the store can not be asked, the fault goes up and nobody is let in', async () => {
  const server = authenticatorFor([bot])
  const token = signToken(bot, HEADER, server.claims())
  const keysOf = async () => Promise.reject(new Error('the store is down'))
  const broken = privateKeyJwt({ clock: server.clock, issuer: ISSUER, notBefore: null, keysOf })
  await assert.rejects(broken.authenticate(token, { thumbprint: null }), /the store is down/)
})

test('an assertion from before a restore is refused, since the store may have forgotten its use', async () => {
  const server = authenticatorFor([bot])
  const claims = server.claims()
  const at = server.clock.now()
  const kindOf = async (notBefore: number) => {
    const restored = privateKeyJwt({ clock: server.clock, issuer: ISSUER, notBefore: epochMs(notBefore), keysOf: async () => [bot.registered] })
    const answer = await restored.authenticate(signToken(bot, HEADER, claims), { thumbprint: null })
    return answer.ok ? 'accepted' : answer.refusal.kind
  }
  assert.equal(await kindOf(at + 1), 'from_before_restore')
  assert.equal(await kindOf(at), 'accepted')
})
