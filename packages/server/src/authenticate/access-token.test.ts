import assert from 'node:assert/strict'
import { test } from 'node:test'
import { mintId } from '@writ/domain/id'
import { epochMs } from '@writ/domain/time'
import fc from 'fast-check'
import { HOLDER, tokenDesk, type TokenDesk } from '../../test/fakes/token-desk.ts'
import { DEPLOY_BOT, ISSUER, signToken, workload, type Members } from '../../test/fakes/workload.ts'
import type { TokenStanding } from './access-token.ts'

/** What the server says of a token that comes with a proof of the right key. */
async function wordOn(desk: TokenDesk, token: string, thumbprint: string | null = desk.holder.registered.thumbprint) {
  const answer = await desk.authenticator.authenticate(token, { thumbprint })
  return answer.ok ? 'accepted' : answer.refusal
}

for (const typ of ['at+jwt', 'application/at+jwt']) {
  test(`the holder of a token (${typ}) with a proof of its key is who it was issued to, in its task`, async () => {
    const desk = tokenDesk()
    const thumbprint = desk.holder.registered.thumbprint
    assert.deepEqual(await desk.authenticator.authenticate(desk.token({}, { typ }), { thumbprint }), {
      ok: true,
      value: {
        caller: {
          kind: 'identity', identity: HOLDER, spiffeId: DEPLOY_BOT, class: 'autonomous', thumbprint, task: desk.task, lease: desk.jti,
          evidence: { kind: 'access_token', issuer: null, subject: DEPLOY_BOT, credential: null, binding: null, expiresAt: desk.clock.now() + 300_000 },
        },
        uses: [],
      },
    })
  })
}

test('on behalf of somebody else the holder is still the holder, and `sub` is evidence', async () => {
  const desk = tokenDesk()
  const answer = await desk.authenticator.authenticate(desk.token({ sub: 'spiffe://acme.example/root', act: { sub: DEPLOY_BOT } }), { thumbprint: desk.holder.registered.thumbprint })
  assert.ok(answer.ok && answer.value.caller.spiffeId === DEPLOY_BOT && answer.value.caller.evidence.subject === 'spiffe://acme.example/root')
})

test('a token that is bound to no key needs none, and comes without one', async () => {
  const desk = tokenDesk({ bound: false, class: 'chatbot' })
  assert.equal(await wordOn(desk, desk.token(), null), 'accepted')
  assert.deepEqual(await wordOn(desk, desk.token()), { kind: 'bound_to_another_key' })
})

test('a token that is bound to a key is worth nothing without it', async () => {
  const desk = tokenDesk()
  for (const thumbprint of [null, '', workload().registered.thumbprint]) assert.deepEqual(await wordOn(desk, desk.token(), thumbprint), { kind: 'bound_to_another_key' })
  assert.equal(desk.asked.length, 0)
})

const stranger = workload()
type Attack = { readonly what: string; readonly token: (desk: TokenDesk) => string; readonly refusal: Members }
const claimed = (what: string, changes: Members, refusal: Members): Attack => ({ what, token: (desk) => desk.token(changes), refusal })
const headed = (what: string, header: Members, refusal: Members): Attack => ({ what, token: (desk) => desk.token({}, header), refusal })
const malformed = (claim: string, values: readonly unknown[]): readonly Attack[] =>
  values.map((value) => claimed(`${claim} ${JSON.stringify(value)}`, { [claim]: value }, { kind: 'malformed_claim', claim }))

const ATTACKS: readonly Attack[] = [
  ...['JWT', undefined, 'AT+JWT', 'at+jwt ', 'dpop+jwt', 'client-authentication+jwt', 'logout+jwt', 'secevent+jwt', 'token-introspection+jwt', 'id_token', 'application/AT+jwt', null, ['at+jwt']].map((typ) =>
    headed(`the type ${JSON.stringify(typ)}`, { typ }, { kind: 'typ_not_allowed' })),
  headed('alg none', { alg: 'none' }, { kind: 'alg_not_allowed' }),
  headed('alg HS256', { alg: 'HS256' }, { kind: 'alg_not_allowed' }),
  headed('the name of another algorithm', { alg: 'RS256' }, { kind: 'unknown_key' }),
  headed('its own key', { jwk: stranger.registered.jwk }, { kind: 'header_not_allowed', member: 'jwk' }),
  headed('the right key', { jwk: { kty: 'EC' } }, { kind: 'header_not_allowed', member: 'jwk' }),
  headed('a key set to fetch', { jku: 'https://evil.example/jwks' }, { kind: 'header_not_allowed', member: 'jku' }),
  headed('`crit`', { crit: ['exp'] }, { kind: 'header_not_allowed', member: 'crit' }),
  headed('no `kid`', { kid: undefined }, { kind: 'kid_needed' }),
  ...['', 'x', '../master.key', "' or '1'='1", 'https://evil.example/key', '__proto__', stranger.registered.thumbprint].map((kid) => headed(`the kid ${kid}`, { kid }, { kind: 'unknown_key' })),
  { what: 'the signature of a stranger', token: (desk) => signToken(stranger, { typ: 'at+jwt', alg: 'ES256', kid: desk.signer.registered.thumbprint }, desk.claims()), refusal: { kind: 'bad_signature' } },
  { what: 'the signature of its holder', token: (desk) => signToken(desk.holder, { typ: 'at+jwt', alg: 'ES256', kid: desk.signer.registered.thumbprint }, desk.claims()), refusal: { kind: 'bad_signature' } },
  ...[undefined, '', `${ISSUER}/`, ISSUER.toUpperCase(), 'https://writ.other.example', DEPLOY_BOT, [ISSUER], null].map((iss) => claimed(`the issuer ${JSON.stringify(iss)}`, { iss }, { kind: 'wrong_issuer' })),
  ...malformed('sub', [undefined, 7, ['x'], null]),
  ...malformed('client_id', [undefined, 7, [DEPLOY_BOT]]),
  ...malformed('jti', [undefined, '', 'x', 7, 'tsk_00000000000000000000000000', "' or 1=1"]),
  ...malformed('txn', [undefined, '', 'x', 7, 'lse_00000000000000000000000000']),
  ...malformed('cnf', [null, 'x', {}, { jkt: 7 }, { jkt: null }, { 'x5t#S256': 'x' }, { jwk: {} }, { jkt: 'x', 'x5t#S256': 'y' }, []]),
  ...malformed('exp', [undefined, '9999999999', -1, null]),
  ...malformed('iat', [undefined, 'now', -1]),
  claimed('no binding', { cnf: undefined }, { kind: 'bound_to_another_key' }),
  claimed('the binding to another key', { cnf: { jkt: stranger.registered.thumbprint } }, { kind: 'bound_to_another_key' }),
  claimed('an id that the store does not know', { jti: mintId('lease', epochMs(0), new Uint8Array(10)) }, { kind: 'token_not_live', why: 'unknown' }),
  claimed('another task than the store has', { txn: mintId('task', epochMs(0), new Uint8Array(10)) }, { kind: 'token_not_live', why: 'differs' }),
  claimed('another holder than the store has', { client_id: 'spiffe://acme.example/other' }, { kind: 'token_not_live', why: 'differs' }),
]

for (const { what, token, refusal } of ATTACKS) {
  test(`a token with ${what} is refused`, async () => {
    const desk = tokenDesk()
    assert.deepEqual(await wordOn(desk, token(desk)), refusal)
  })
}

test('a token ends to the second, and begins no more than ten seconds ahead of us', async () => {
  const desk = tokenDesk()
  const now = desk.clock.now() / 1000
  assert.equal(await wordOn(desk, desk.token({ exp: now + 0.001 })), 'accepted')
  assert.deepEqual(await wordOn(desk, desk.token({ exp: now })), { kind: 'expired' })
  assert.equal(await wordOn(desk, desk.token({ iat: now + 10 })), 'accepted')
  assert.deepEqual(await wordOn(desk, desk.token({ iat: now + 10.001 })), { kind: 'not_yet_valid' })
})

for (const why of ['unknown', 'signing_key', 'expired', 'stopped', 'task_over', 'identity_not_active']) {
  test(`a token with a good signature that the store calls ${why} is refused`, async () => {
    const desk = tokenDesk({ standing: { kind: 'not_live', why } })
    assert.deepEqual(await wordOn(desk, desk.token()), { kind: 'token_not_live', why })
  })
}

test('what the store keeps of a token counts, also against whoever can sign with our key', async () => {
  const desk = tokenDesk()
  const live = { kind: 'live', token: { task: desk.task, jkt: desk.holder.registered.thumbprint, audience: ISSUER }, identity: { id: HOLDER, spiffeId: DEPLOY_BOT, class: 'autonomous' } } as TokenStanding & { kind: 'live' }
  for (const token of [{ ...live.token, jkt: null }, { ...live.token, jkt: 'x' }, { ...live.token, audience: 'https://shop.example' }]) {
    const other = tokenDesk({ standing: { ...live, token } })
    assert.deepEqual(await wordOn(other, other.token()), { kind: 'token_not_live', why: 'differs' })
  }
})

test('a token from before a restore is refused', async () => {
  const now = tokenDesk().clock.now()
  const desk = tokenDesk({ needs: { notBefore: epochMs(now + 1) } })
  assert.deepEqual(await wordOn(desk, desk.token()), { kind: 'from_before_restore' })
})

test('a key that is revoked ends what it signed, at once', async () => {
  const desk = tokenDesk({ needs: { verificationKeyOf: async () => undefined } })
  assert.deepEqual(await wordOn(desk, desk.token()), { kind: 'unknown_key' })
})

test('a token is asked about each time that it is shown', async () => {
  const desk = tokenDesk()
  const token = desk.token()
  for (let i = 0; i < 3; i++) assert.equal(await wordOn(desk, token), 'accepted')
  assert.equal(desk.asked.length, 3)
})

test('a token with any one character changed is refused, and throws nothing', async () => {
  const desk = tokenDesk()
  const token = desk.token()
  await fc.assert(fc.asyncProperty(fc.nat(token.length - 1), fc.string({ unit: 'binary', maxLength: 3 }), async (at, text) => {
    const changed = token.slice(0, at) + text + token.slice(at + 1)
    return changed === token || await wordOn(desk, changed) !== 'accepted'
  }), { numRuns: 300 })
})
