import assert from 'node:assert/strict'
import { createHmac, generateKeyPairSync } from 'node:crypto'
import { test } from 'node:test'
import { epochMs, toNumericDate } from '@writ/domain/time'
import fc from 'fast-check'
import { hashOf, jwkOf, proofClaims, proofDesk, signProof, TOKEN } from '../../test/fakes/proof.ts'
import { encode, ISSUER, signToken, workload, type Members } from '../../test/fakes/workload.ts'
import type { ProofFault } from './authenticator.ts'
import { PROOF_WINDOW, type DpopRefusal, type ShownProof } from './dpop.ts'
import { SIGNATURE_ALGS } from './registered-key.ts'

const holder = workload()
const rsaHolder = workload('RS256')
const other = workload()

/** What the server of these tests says of a proof: `accepted`, or what was wrong. */
function wordOn(proof: string, more: Partial<ShownProof> = {}, desk = proofDesk()): string {
  const checked = desk.check(desk.shown(proof, more))
  return checked.ok ? 'accepted' : checked.refusal.kind === 'bad_proof' ? checked.refusal.because : checked.refusal.kind
}

const now = proofDesk().clock.now()
const claims = (changes: Members = {}): Members => proofClaims(now, changes)
const seconds = toNumericDate(now)

for (const alg of SIGNATURE_ALGS) {
  test(`whoever signs with ${alg} proves to hold its key, and is told its thumbprint`, () => {
    const one = workload(alg)
    const desk = proofDesk()
    const checked = desk.check(desk.shown(signProof(one, desk.claims())))
    assert.ok(checked.ok)
    assert.equal(checked.value.thumbprint, one.registered.thumbprint)
    assert.equal(checked.value.use.of, 'proof')
  })
}

for (const { what, proof } of [
  { what: 'a key that names its algorithm', proof: () => signProof(holder, claims(), { jwk: { ...jwkOf(holder), alg: 'ES256', use: 'sig' } }) },
  { what: 'a key with a name', proof: () => signProof(holder, claims(), { jwk: { ...jwkOf(holder), kid: 'mine' }, kid: 'mine' }) },
  { what: 'a key that older clients call EdDSA', proof: () => { const ed = workload('Ed25519'); return signProof(ed, claims(), { alg: 'EdDSA', jwk: { ...jwkOf(ed), alg: 'EdDSA' } }) } },
  { what: 'PS256 and an RSA key without a word on it', proof: () => signProof(workload('PS256'), claims()) },
  { what: 'claims that nobody knows', proof: () => signProof(holder, claims({ scope: 'x', nbf: 5 })) },
  { what: 'a fraction of a second', proof: () => signProof(holder, claims({ iat: seconds + 0.5 })) },
]) {
  test(`a proof with ${what} is good`, () => { assert.equal(wordOn(proof()), 'accepted') })
}

type Attack = { readonly what: string; readonly proof: () => string; readonly because: ProofFault }
const changed = (changes: Members) => () => signProof(holder, claims(changes))
const headed = (header: Members, by = holder) => () => signProof(by, claims(), header)
const withKey = (more: Members) => headed({ jwk: { ...jwkOf(holder), ...more } })
const privateJwk = holder.privateKey.export({ format: 'jwk' })
const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' })
const shortRsa = generateKeyPairSync('rsa', { modulusLength: 1024 })
const hmacProof = (): string => {
  const input = `${encode({ typ: 'dpop+jwt', alg: 'HS256', jwk: { kty: 'oct', k: encode('secret') } })}.${encode(claims())}`
  return `${input}.${createHmac('sha256', 'secret').update(input).digest('base64url')}`
}

const ATTACKS: readonly Attack[] = [
  { what: 'nothing', proof: () => '', because: 'malformed' },
  { what: 'two proofs in one header', proof: () => `${signProof(holder, claims())}, ${signProof(holder, claims())}`, because: 'malformed' },
  { what: 'two proofs with a comma between', proof: () => `${signProof(holder, claims())},${signProof(holder, claims())}`, because: 'malformed' },
  { what: 'a claim twice', proof: () => signProof(holder, JSON.stringify(claims()).replace('{', '{"htm":"GET",')), because: 'malformed' },
  { what: 'a megabyte', proof: changed({ x: 'x'.repeat(1_048_576) }), because: 'malformed' },
  { what: 'padding', proof: () => `${signProof(holder, claims())}=`, because: 'malformed' },
  { what: 'no type', proof: headed({ typ: undefined }), because: 'typ' },
  ...['JWT', 'at+jwt', 'DPOP+JWT', 'dpop', 'dpop+jwt ', 'application/dpop+jwt', 'client-authentication+jwt'].map((typ): Attack =>
    ({ what: `the type ${typ}`, proof: headed({ typ }), because: 'typ' })),
  ...['none', 'NONE', 'HS256', 'ES384', 'ES256K', 'RS1', 'dir'].map((alg): Attack => ({ what: `alg ${alg}`, proof: headed({ alg }), because: 'alg' })),
  { what: 'a shared secret', proof: hmacProof, because: 'alg' },
  { what: 'no key', proof: headed({ jwk: undefined }), because: 'key' },
  { what: 'a key that is a text', proof: headed({ jwk: JSON.stringify(jwkOf(holder)) }), because: 'key' },
  { what: 'a list of keys', proof: headed({ jwk: [jwkOf(holder)] }), because: 'key' },
  { what: 'the private key', proof: withKey({ d: privateJwk.d }), because: 'key' },
  { what: 'a private member that is empty', proof: withKey({ d: '' }), because: 'key' },
  { what: 'a key for encryption', proof: withKey({ use: 'enc' }), because: 'key' },
  { what: 'a key that may not verify', proof: withKey({ key_ops: ['sign'] }), because: 'key' },
  { what: 'a key off its curve', proof: withKey({ y: encode(Buffer.alloc(32, 1)) }), because: 'key' },
  { what: 'a key of another curve', proof: withKey({ crv: 'P-384' }), because: 'key' },
  { what: 'a key that is really of another curve', proof: headed({ jwk: { ...p384.publicKey.export({ format: 'jwk' }) } }), because: 'key' },
  { what: 'a symmetric key', proof: headed({ jwk: { kty: 'oct', k: 'AAAA' } }), because: 'key' },
  { what: 'a key for another algorithm', proof: headed({ jwk: { ...jwkOf(rsaHolder), alg: 'PS256' } }, rsaHolder), because: 'key' },
  { what: 'an RSA key of 1024 bits', proof: () => signToken({ alg: 'RS256', privateKey: shortRsa.privateKey }, { typ: 'dpop+jwt', alg: 'RS256', jwk: shortRsa.publicKey.export({ format: 'jwk' }) }, claims()), because: 'key' },
  { what: 'an EC key for RS256', proof: headed({ jwk: jwkOf(holder) }, rsaHolder), because: 'key' },
  { what: 'the key of another', proof: headed({ jwk: jwkOf(other) }), because: 'signature' },
  { what: 'the signature of another', proof: () => `${signProof(holder, claims()).replace(/[^.]+$/, '')}${signProof(other, claims()).split('.')[2]}`, because: 'signature' },
  { what: 'r = s = 0', proof: () => signProof(holder, claims()).replace(/[^.]+$/, encode(Buffer.alloc(64))), because: 'signature' },
  ...['crit', 'b64', 'jku', 'x5u', 'x5c', 'cty', 'zip', 'enc'].map((member): Attack => ({ what: `the header member ${member}`, proof: headed({ [member]: 'x' }), because: 'header' })),
  { what: 'no jti', proof: changed({ jti: undefined }), because: 'jti' },
  { what: 'a jti of seven characters', proof: changed({ jti: '1234567' }), because: 'jti' },
  { what: 'a jti of 257 characters', proof: changed({ jti: 'x'.repeat(257) }), because: 'jti' },
  { what: 'a jti that is a number', proof: changed({ jti: 12_345_678 }), because: 'jti' },
  { what: 'no htm', proof: changed({ htm: undefined }), because: 'htm' },
  ...['GET', 'post', 'PUT', 'POST '].map((htm): Attack => ({ what: `htm ${htm}`, proof: changed({ htm }), because: 'htm' })),
  { what: 'a list of methods', proof: changed({ htm: ['POST'] }), because: 'htm' },
  ...[undefined, 7, [`${ISSUER}/v1/tasks`], '', '/v1/tasks', `${ISSUER}`, `${ISSUER}/`, `${ISSUER}/v1/tasks/`, `${ISSUER}/v1/task`, `${ISSUER}/V1/tasks`, `${ISSUER}/v1/tasks/x`,
    `${ISSUER}:444/v1/tasks`, `http://writ.acme.example/v1/tasks`, `https://writ.acme.example.evil/v1/tasks`, `https://writ.acme.example@evil/v1/tasks`,
    `https://evil/https://writ.acme.example/v1/tasks`, `${ISSUER}//v1/tasks`, `${ISSUER}\\v1\\tasks`, ` ${ISSUER}/v1/tasks`, `${ISSUER}/v1/tasks\n`, `${ISSUER}/v1%2Ftasks`, 'https://127.0.0.1/v1/tasks',
  ].map((htu): Attack => ({ what: `htu ${JSON.stringify(htu)}`, proof: changed({ htu }), because: 'htu' })),
  ...[undefined, null, 'now', String(seconds), -1, seconds * 1000, 1e15].map((iat): Attack => ({ what: `iat ${JSON.stringify(iat)}`, proof: changed({ iat }), because: 'iat' })),
  { what: 'no ath', proof: changed({ ath: undefined }), because: 'ath' },
  { what: 'the hash of another token', proof: changed({ ath: hashOf('b.c.d') }), because: 'ath' },
  { what: 'the token in the place of its hash', proof: changed({ ath: TOKEN }), because: 'ath' },
  { what: 'a padded hash', proof: changed({ ath: `${hashOf(TOKEN)}=` }), because: 'ath' },
]

for (const { what, proof, because } of ATTACKS) {
  test(`a proof with ${what} is refused: ${because}`, () => { assert.equal(wordOn(proof()), because) })
}

for (const htu of [`${ISSUER}/v1/tasks?limit=5`, `${ISSUER}/v1/tasks#x`, 'HTTPS://WRIT.acme.example/v1/tasks', `${ISSUER}:443/v1/tasks`, `${ISSUER}/v1/./tasks`, `${ISSUER}/v1/x/../tasks`, `${ISSUER}/v1/%74asks`, `${ISSUER}/v1/t%61sks`]) {
  test(`htu ${htu} is another spelling of the same address (RFC 3986 §6.2.2, §6.2.3)`, () => { assert.equal(wordOn(signProof(holder, claims({ htu }))), 'accepted') })
}

test('the query of the request does not count, and its path does', () => {
  const proof = signProof(holder, claims({ htu: `${ISSUER}/v1/tasks` }))
  assert.equal(wordOn(proof, { path: '/v1/tasks?limit=5' }), 'accepted')
  for (const path of ['/v1/tasks/', '/v1/other', '//v1/tasks', '', 'v1/tasks', 'https://writ.acme.example/v1/tasks', '*', '/v1/tasks|']) assert.equal(wordOn(proof, { path }), 'htu', path)
  assert.equal(wordOn(proof, { method: 'GET' }), 'htm')
})

test('a proof holds for less than a minute to either side of when it was made', () => {
  for (const { off, word } of [
    { off: 0, word: 'accepted' }, { off: -10_000, word: 'accepted' }, { off: 10_000, word: 'accepted' }, { off: -59_999, word: 'accepted' }, { off: 59_999, word: 'accepted' },
    { off: -60_000, word: 'iat' }, { off: 60_000, word: 'iat' }, { off: -61_000, word: 'iat' }, { off: 86_400_000, word: 'iat' }, { off: -3_600_000, word: 'iat' },
  ]) {
    const desk = proofDesk()
    assert.equal(wordOn(signProof(holder, desk.claims({ iat: (desk.clock.now() + off) / 1000 })), {}, desk), word, `${off} ms`)
  }
})

test('its use is remembered for as long as it could be shown, on clocks that are ten seconds apart', () => {
  for (const off of [-59, 0, 59]) {
    const desk = proofDesk()
    const checked = desk.check(desk.shown(signProof(holder, desk.claims({ iat: seconds + off }))))
    assert.ok(checked.ok && checked.value.use.until === (seconds + off) * 1000 + PROOF_WINDOW + 10_000)
  }
})

test('one jti is another use with another key, and the same with the same key, whatever it is for', () => {
  const desk = proofDesk()
  const hash = (by: typeof holder, changes: Members) => {
    const checked = desk.check(desk.shown(signProof(by, desk.claims({ jti: 'once-and-only', ...changes }))))
    return checked.ok ? Buffer.from(checked.value.use.hash).toString('hex') : assert.fail(checked.refusal.kind)
  }
  assert.equal(hash(holder, {}), hash(holder, { iat: seconds - 5 }))
  assert.notEqual(hash(holder, {}), hash(other, {}))
})

test('at the token endpoint a proof need not be about a token, and if it is, it is about this one', () => {
  assert.equal(wordOn(signProof(holder, claims({ ath: undefined })), { aboutToken: 'may' }), 'accepted')
  assert.equal(wordOn(signProof(holder, claims()), { aboutToken: 'may' }), 'accepted')
  assert.equal(wordOn(signProof(holder, claims({ ath: hashOf('b.c.d') })), { aboutToken: 'may' }), 'ath')
})

test('a nonce that is shown has to be ours and recent, and where one is needed the refusal brings a fresh one that opens', () => {
  const desk = proofDesk({ nonceRequired: true })
  const nonceOf = (nonce: unknown): DpopRefusal | 'accepted' => {
    const checked = desk.check(desk.shown(signProof(holder, desk.claims({ nonce }))))
    return checked.ok ? 'accepted' : checked.refusal
  }
  for (const nonce of ['', 'x', 7, null, [desk.nonces.current(now)], `${desk.nonces.current(now)}=`, desk.nonces.current(epochMs(now - 300_000))]) {
    const refusal = nonceOf(nonce)
    assert.ok(refusal !== 'accepted' && refusal.kind === 'use_dpop_nonce', JSON.stringify(nonce))
    assert.equal(nonceOf(refusal.nonce), 'accepted')
  }
  const fresh = desk.nonces.current(desk.clock.now())
  desk.clock.advance(59_000)
  assert.equal(nonceOf(fresh), 'accepted')
  desk.clock.advance(180_000)
  assert.notEqual(nonceOf(fresh), 'accepted')
})

test('where none is needed none is given, so that nobody may leave it out again (RFC 9449 §11.3)', () => {
  assert.equal(wordOn(signProof(holder, claims({ nonce: 'x'.repeat(43) }))), 'nonce')
  assert.equal(wordOn(signProof(holder, claims({ nonce: 7 }))), 'nonce')
})

test('where a nonce is required, none is not enough, and everything else is still looked at first', () => {
  const desk = proofDesk({ nonceRequired: true })
  assert.equal(wordOn(signProof(holder, desk.claims()), {}, desk), 'use_dpop_nonce')
  assert.equal(wordOn(signProof(holder, desk.claims({ nonce: desk.nonces.current(now) })), {}, desk), 'accepted')
  assert.equal(wordOn(signProof(holder, desk.claims({ ath: 'x' })), {}, desk), 'ath')
})

test('a proof from before a restore is refused', () => {
  const desk = proofDesk({ notBefore: epochMs(now) })
  assert.equal(wordOn(signProof(holder, desk.claims({ iat: seconds - 1 })), {}, desk), 'before_restore')
  assert.equal(wordOn(signProof(holder, desk.claims()), {}, desk), 'accepted')
})

test('a proof with any one character changed is refused, and nothing throws', () => {
  const desk = proofDesk()
  const proof = signProof(holder, desk.claims())
  fc.assert(fc.property(fc.nat(proof.length - 1), fc.string({ unit: 'binary', maxLength: 3 }), (at, text) => {
    const other = proof.slice(0, at) + text + proof.slice(at + 1)
    return other === proof || !desk.check(desk.shown(other)).ok
  }), { numRuns: 500 })
})

test('more than sixty forgeries were tried', () => { assert.ok(ATTACKS.length > 60, `${ATTACKS.length}`) })
