import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { after, before, describe, test } from 'node:test'
import type { IdentityId } from '@writ/domain/id'
import { issuerSigner } from '../../test/fakes/issuer.ts'
import { encode, type Members } from '../../test/fakes/workload.ts'
import { AUDIENCE, federationStage, inSeconds, SUBJECT, SVID_SUBJECT, type FederationStage } from '../../test/federation-stage.ts'
import type { AuthenticateRefusal } from './authenticator.ts'

type Kind = AuthenticateRefusal['kind']

let stage: FederationStage
let identity: IdentityId
const ends: (() => unknown)[] = []
before(async () => {
  stage = await federationStage({ after: (end: unknown) => ends.unshift(end as () => unknown) })
  identity = await stage.addBound([
    { issuer: stage.issuer.url, audience: AUDIENCE, claims: { sub: SUBJECT } },
    { issuer: 'spiffe://workloads.example', audience: AUDIENCE, claims: { sub: SVID_SUBJECT } },
  ])
})
after(async () => { for (const end of ends) await end() })

const soon = (ahead: number): number => inSeconds(stage.writ, ahead)

describe('a token of a trusted issuer', () => {
  test('lets its workload in as the identity that is bound, and says what it was', async () => {
    const got = await stage.authenticator.authenticate(stage.token(), { thumbprint: 'a-key' })
    assert.ok(got.ok)
    const { caller, uses } = got.value
    assert.deepEqual([caller.identity, caller.thumbprint, caller.task, uses], [identity, 'a-key', null, []])
    assert.deepEqual(caller.evidence, { kind: 'oidc', issuer: stage.issuerId, subject: SUBJECT, credential: null, binding: caller.evidence.binding, expiresAt: caller.evidence.expiresAt })
    assert.equal(caller.evidence.expiresAt, soon(300) * 1000)
  })

  for (const { when, claims, header } of [
    { when: 'its audience is a list of one', claims: { aud: [AUDIENCE] } },
    { when: 'it has no type', header: { typ: undefined } },
    { when: 'it has no `nbf`', claims: { nbf: undefined } },
    { when: 'it has no `jti`', claims: { jti: undefined } },
    { when: 'it ended nine seconds ago', claims: () => ({ exp: soon(-9) }) },
    { when: 'it begins in nine seconds', claims: () => ({ iat: soon(9), nbf: soon(9) }) },
    { when: 'it lives a day', claims: () => ({ exp: soon(86_400) }) },
    { when: 'its header says the thumbprint of an X.509 certificate', header: { x5t: 'AAAA' } },
  ] as readonly { when: string; claims?: Members | (() => Members); header?: Members }[]) {
    test(`is taken when ${when}`, async () => {
      assert.equal(await stage.show(stage.token(typeof claims === 'function' ? claims() : claims, header === undefined ? {} : { header })), identity)
    })
  }

  for (const { when, claims, header, refused } of [
    { when: 'its issuer has a slash more', claims: () => ({ iss: `${stage.issuer.url}/` }), refused: 'unknown_issuer' },
    { when: 'its issuer is written in capitals', claims: () => ({ iss: stage.issuer.url.toUpperCase() }), refused: 'unknown_issuer' },
    { when: 'its issuer only begins like ours', claims: () => ({ iss: `${stage.issuer.url}.evil.example` }), refused: 'unknown_issuer' },
    { when: 'its issuer is a stranger', claims: { iss: 'https://stranger.example' }, refused: 'unknown_issuer' },
    { when: 'it has no issuer', claims: { iss: undefined }, refused: 'unknown_issuer' },
    { when: 'its issuer is a number', claims: { iss: 5 }, refused: 'unknown_issuer' },
    { when: 'its issuer is a list', claims: () => ({ iss: [stage.issuer.url] }), refused: 'unknown_issuer' },
    { when: 'its issuer is the trust domain', claims: { iss: 'spiffe://workloads.example' }, refused: 'unknown_issuer' },
    { when: 'it has no subject', claims: { sub: undefined }, refused: 'malformed_claim' },
    { when: 'its subject is empty', claims: { sub: '' }, refused: 'malformed_claim' },
    { when: 'its subject is a number', claims: { sub: 5 }, refused: 'malformed_claim' },
    { when: 'its subject is a list', claims: { sub: [SUBJECT] }, refused: 'malformed_claim' },
    { when: 'its subject is very long', claims: { sub: 's'.repeat(2049) }, refused: 'malformed_claim' },
    { when: 'its subject is another one', claims: { sub: 'system:serviceaccount:shop:other' }, refused: 'no_binding' },
    { when: 'its subject differs in case', claims: { sub: SUBJECT.toUpperCase() }, refused: 'no_binding' },
    { when: 'it has no audience', claims: { aud: undefined }, refused: 'wrong_audience' },
    { when: 'its audience is empty', claims: { aud: '' }, refused: 'wrong_audience' },
    { when: 'its audience is an empty list', claims: { aud: [] }, refused: 'wrong_audience' },
    { when: 'its audience is a number', claims: { aud: 5 }, refused: 'wrong_audience' },
    { when: 'its audience is several, ours among them', claims: { aud: [AUDIENCE, 'https://other.example'] }, refused: 'wrong_audience' },
    { when: 'its audience is ours twice', claims: { aud: [AUDIENCE, AUDIENCE] }, refused: 'wrong_audience' },
    { when: 'its audience is a list in a list', claims: { aud: [[AUDIENCE]] }, refused: 'wrong_audience' },
    { when: 'its audience has a slash more', claims: { aud: `${AUDIENCE}/` }, refused: 'no_binding' },
    { when: 'its audience is written in capitals', claims: { aud: AUDIENCE.toUpperCase() }, refused: 'no_binding' },
    { when: 'its audience has a port more', claims: { aud: `${AUDIENCE}:443` }, refused: 'no_binding' },
    { when: 'its audience only begins like ours', claims: { aud: `${AUDIENCE}.evil` }, refused: 'no_binding' },
    { when: 'it has no end', claims: { exp: undefined }, refused: 'malformed_claim' },
    { when: 'its end is a text', claims: { exp: '9999999999' }, refused: 'malformed_claim' },
    { when: 'its end is negative', claims: { exp: -1 }, refused: 'malformed_claim' },
    { when: 'its end is beyond all numbers', claims: { exp: 1e300 }, refused: 'malformed_token' },
    { when: 'it ended a minute ago', claims: () => ({ exp: soon(-60) }), refused: 'expired' },
    { when: 'it lives more than a day', claims: () => ({ exp: soon(86_401) }), refused: 'lives_too_long' },
    { when: 'it lives for ever', claims: { exp: 99_999_999_999 }, refused: 'lives_too_long' },
    { when: 'it does not say when it was made', claims: { iat: undefined }, refused: 'malformed_claim' },
    { when: 'it is made in the future', claims: () => ({ iat: soon(60) }), refused: 'not_yet_valid' },
    { when: 'it begins in the future', claims: () => ({ nbf: soon(60) }), refused: 'not_yet_valid' },
    { when: 'its beginning is a text', claims: { nbf: 'now' }, refused: 'malformed_claim' },
    { when: 'its `jti` is a number', claims: { jti: 5 }, refused: 'malformed_claim' },
    { when: 'its `jti` is empty', claims: { jti: '' }, refused: 'malformed_claim' },
    { when: 'a person signed in with it', claims: { nonce: 'n' }, refused: 'claim_not_allowed' },
    { when: 'it belongs to an access token', claims: { at_hash: 'h' }, refused: 'claim_not_allowed' },
    { when: 'it belongs to a code', claims: { c_hash: 'h' }, refused: 'claim_not_allowed' },
    { when: 'it is a logout', claims: { events: { 'http://schemas.openid.net/event/backchannel-logout': {} } }, refused: 'claim_not_allowed' },
    { when: 'it is a DPoP proof', claims: { htm: 'POST', htu: 'https://writ.acme.example/v1/tasks' }, refused: 'claim_not_allowed' },
    { when: 'it is bound to another key', claims: { cnf: { jkt: 'another' } }, refused: 'bound_to_another_key' },
    { when: 'it is bound to an X.509 certificate', claims: { cnf: { 'x5t#S256': 'x' } }, refused: 'bound_to_another_key' },
    { when: 'it is bound in two ways', claims: { cnf: { jkt: 'the-thumbprint-of-a-key-that-the-workload-has', kid: 'x' } }, refused: 'bound_to_another_key' },
    { when: 'it is bound to nothing', claims: { cnf: null }, refused: 'bound_to_another_key' },
    ...['at+jwt', 'dpop+jwt', 'logout+jwt', 'secevent+jwt', 'client-authentication+jwt', 'jwt', 'JOSE', 'application/at+jwt', 'oauth-id-jag+jwt', 'txntoken+jwt', ''].map((typ) => ({ when: `its type is \`${typ}\``, header: { typ }, refused: 'typ_not_allowed' as const })),
    { when: 'its type is a number', header: { typ: 5 }, refused: 'typ_not_allowed' },
    { when: 'its header brings a key', header: () => ({ jwk: issuerSigner().jwk }), refused: 'header_not_allowed' },
    { when: 'its header names a place of keys', header: { jku: 'https://evil.example/keys' }, refused: 'header_not_allowed' },
    { when: 'its header names a place of certificates', header: { x5u: 'https://evil.example/keys' }, refused: 'header_not_allowed' },
    { when: 'its header brings certificates', header: { x5c: ['MII'] }, refused: 'header_not_allowed' },
    { when: 'its payload is not encoded', header: { b64: false, crit: ['b64'] }, refused: 'header_not_allowed' },
    { when: 'its header has an extension', header: { crit: ['exp'], exp: 1 }, refused: 'header_not_allowed' },
    { when: 'its `kid` is unknown', header: { kid: 'another' }, refused: 'unknown_key' },
    { when: 'its `kid` is a path', header: { kid: '../../dev/null' }, refused: 'unknown_key' },
    { when: 'its `kid` is a number', header: { kid: 5 }, refused: 'header_not_allowed' },
    { when: 'its algorithm is none', header: { alg: 'none' }, refused: 'alg_not_allowed' },
    { when: 'its algorithm is nOnE', header: { alg: 'nOnE' }, refused: 'alg_not_allowed' },
    { when: 'its algorithm is symmetric', header: { alg: 'HS256' }, refused: 'alg_not_allowed' },
    { when: 'its algorithm is another type\'s', header: { alg: 'RS256' }, refused: 'unknown_key' },
    { when: 'its algorithm is of another length', header: { alg: 'ES384' }, refused: 'alg_not_allowed' },
  ] as readonly { when: string; claims?: Members | (() => Members); header?: Members | (() => Members); refused: Kind }[]) {
    test(`is refused when ${when}`, async () => {
      const said = { header: typeof header === 'function' ? header() : header ?? {} }
      assert.equal(await stage.show(stage.token(typeof claims === 'function' ? claims() : claims, said)), refused)
    })
  }

  test('is refused when another key signed it under the issuer\'s name for its own', async () => {
    assert.equal(await stage.show(stage.token({}, { by: { ...issuerSigner(), kid: stage.issuer.signer.kid } })), 'bad_signature')
  })

  test('is refused when its signature is a keyed hash under the public key', async () => {
    const pem = JSON.stringify(stage.issuer.signer.jwk)
    const input = `${encode({ alg: 'HS256', kid: stage.issuer.signer.kid })}.${encode({ iss: stage.issuer.url, sub: SUBJECT, aud: AUDIENCE, exp: soon(60), iat: soon(0) })}`
    assert.equal(await stage.show(`${input}.${createHmac('sha256', pem).update(input).digest('base64url')}`), 'alg_not_allowed')
  })

  test('is refused without its signature, with another one, and changed in one character', async () => {
    const token = stage.token()
    const [header, payload, signature] = token.split('.') as [string, string, string]
    const changed = encode({ ...JSON.parse(Buffer.from(payload, 'base64url').toString()) as object, sub: 'system:serviceaccount:shop:admin' })
    for (const [forged, refused] of [
      [`${header}.${payload}.`, 'malformed_token'], [`${header}.${payload}`, 'malformed_token'], [`${token}.${signature}`, 'malformed_token'], [`${token}=`, 'malformed_token'],
      [`${header}.${changed}.${signature}`, 'bad_signature'], [`${header}.${payload}.${encode(Buffer.alloc(64))}`, 'bad_signature'], ['', 'malformed_token'], ['...', 'malformed_token'],
    ] as const) assert.equal(await stage.show(forged), refused, forged)
  })

  test('is refused when it says a claim twice', async () => {
    const input = `${encode({ alg: 'ES256', kid: stage.issuer.signer.kid })}.${encode(`{"iss":"${stage.issuer.url}","sub":"x","sub":"${SUBJECT}","aud":"${AUDIENCE}","iat":1,"exp":2}`)}`
    assert.equal(await stage.show(`${input}.${encode(Buffer.alloc(64))}`), 'malformed_token')
  })
})

describe('a JWT-SVID of a trusted domain', () => {
  test('lets its workload in as the identity that is bound, without an issuer and without a `jti`', async () => {
    const got = await stage.authenticator.authenticate(stage.svid(), { thumbprint: 'a-key' })
    assert.ok(got.ok)
    assert.deepEqual([got.value.caller.identity, got.value.caller.evidence.kind, got.value.caller.evidence.subject], [identity, 'jwt_svid', SVID_SUBJECT])
  })

  for (const { when, claims, header } of [
    { when: 'its type is JOSE', header: { typ: 'JOSE' } },
    { when: 'it has no type', header: { typ: undefined } },
    { when: 'it does not say when it was made', claims: { iat: undefined } },
    { when: 'its audience is a text', claims: { aud: AUDIENCE } },
    { when: 'it names no key, and the domain has few', header: { kid: undefined } },
    { when: 'it says some issuer that nobody trusts', claims: { iss: 'https://spire.example' } },
  ] as readonly { when: string; claims?: Members; header?: Members }[]) {
    test(`is taken when ${when}`, async () => { assert.equal(await stage.show(stage.svid(claims, header)), identity) })
  }

  for (const { when, claims, header, refused } of [
    { when: 'its subject is of another domain', claims: { sub: 'spiffe://other.example/shop/deployer' }, refused: 'unknown_issuer' },
    { when: 'its subject is the domain itself', claims: { sub: 'spiffe://workloads.example' }, refused: 'unknown_issuer' },
    { when: 'its subject begins like the domain', claims: { sub: 'spiffe://workloads.example.evil/shop/deployer' }, refused: 'unknown_issuer' },
    { when: 'its subject is written in capitals', claims: { sub: SVID_SUBJECT.toUpperCase() }, refused: 'unknown_issuer' },
    { when: 'its subject climbs', claims: { sub: 'spiffe://workloads.example/a/../shop/deployer' }, refused: 'unknown_issuer' },
    { when: 'its subject ends with a slash', claims: { sub: `${SVID_SUBJECT}/` }, refused: 'unknown_issuer' },
    { when: 'its subject is another workload', claims: { sub: 'spiffe://workloads.example/shop/web' }, refused: 'no_binding' },
    { when: 'it has no audience', claims: { aud: undefined }, refused: 'wrong_audience' },
    { when: 'its audience is several', claims: { aud: [AUDIENCE, 'other'] }, refused: 'wrong_audience' },
    { when: 'it has no end', claims: { exp: undefined }, refused: 'malformed_claim' },
    { when: 'it ended', claims: () => ({ exp: soon(-60) }), refused: 'expired' },
    { when: 'it lives for ever', claims: { exp: 99_999_999_999, iat: undefined }, refused: 'lives_too_long' },
    { when: 'its header has a member that is not in the standard', header: { x5t: 'AAAA' }, refused: 'header_not_allowed' },
    { when: 'its header has a private member', header: { purpose: 'x' }, refused: 'header_not_allowed' },
    { when: 'its type is another', header: { typ: 'wit+jwt' }, refused: 'typ_not_allowed' },
    { when: 'its key is unknown', header: { kid: 'another' }, refused: 'unknown_key' },
  ] as readonly { when: string; claims?: Members | (() => Members); header?: Members; refused: Kind }[]) {
    test(`is refused when ${when}`, async () => {
      assert.equal(await stage.show(stage.svid(typeof claims === 'function' ? claims() : claims, header)), refused)
    })
  }

  test('is refused when an OpenID provider that is trusted signs it, and when the domain signs for the provider', async () => {
    assert.equal(await stage.show(stage.svid({}, { kid: stage.svidSigner.kid }, stage.issuer.signer)), 'bad_signature')
    assert.equal(await stage.show(stage.token({}, { by: { ...stage.svidSigner, kid: stage.issuer.signer.kid } })), 'bad_signature')
  })

  test('of a provider\'s token with such a subject the provider alone is asked', async () => {
    assert.equal(await stage.show(stage.token({ sub: SVID_SUBJECT })), 'no_binding')
  })
})
