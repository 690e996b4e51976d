import assert from 'node:assert/strict'
import { createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { test } from 'node:test'
import { calculateJwkThumbprint } from 'jose'
import { parseRegisteredKey, thumbprintOf, type KeyRefusal } from './registered-key.ts'

const jwkOf = (pair: { readonly publicKey: KeyObject }) => pair.publicKey.export({ format: 'jwk' })
const ec = jwkOf(generateKeyPairSync('ec', { namedCurve: 'P-256' }))
const ed = jwkOf(generateKeyPairSync('ed25519'))
const rsa = jwkOf(generateKeyPairSync('rsa', { modulusLength: 2048 }))
const rsaOf = (bits: number) => jwkOf(generateKeyPairSync('rsa', { modulusLength: bits }))

function refusalOf(jwk: unknown): KeyRefusal {
  const parsed = parseRegisteredKey(jwk)
  return parsed.ok ? assert.fail('the key was registered') : parsed.refusal
}

for (const { what, jwk, alg } of [
  { what: 'a P-256 key', jwk: ec, alg: 'ES256' },
  { what: 'a P-256 key for ES256', jwk: { ...ec, alg: 'ES256' }, alg: 'ES256' },
  { what: 'an Ed25519 key', jwk: ed, alg: 'Ed25519' },
  { what: 'an Ed25519 key for EdDSA', jwk: { ...ed, alg: 'EdDSA' }, alg: 'Ed25519' },
  { what: 'an RSA key', jwk: rsa, alg: 'RS256' },
  { what: 'an RSA key for PS256', jwk: { ...rsa, alg: 'PS256' }, alg: 'PS256' },
  { what: 'an RSA key of 4096 bits', jwk: rsaOf(4096), alg: 'RS256' },
  { what: 'a key for signatures', jwk: { ...ec, use: 'sig', key_ops: ['verify'] }, alg: 'ES256' },
]) {
  test(`${what} is registered for ${alg} under its RFC 7638 thumbprint`, async () => {
    const parsed = parseRegisteredKey(jwk)
    assert.ok(parsed.ok)
    assert.equal(parsed.value.alg, alg)
    assert.equal(parsed.value.thumbprint, await calculateJwkThumbprint(jwk as Parameters<typeof calculateJwkThumbprint>[0]))
    createPublicKey({ key: { ...parsed.value.jwk }, format: 'jwk' })
  })
}

test('the thumbprint of the key in RFC 7638 §3.1 is the one printed there', () => {
  const n = '0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9'
    + 'yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0f'
    + 'M4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw'
  assert.equal(thumbprintOf({ kty: 'RSA', n, e: 'AQAB' }), 'NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs')
})

test('of a registered key only what verifies is kept', () => {
  const more = { kid: '../../etc/passwd', x5u: 'https://evil.example', x5c: ['AAAA'], jku: 'https://evil.example', note: '<b>' }
  const parsed = parseRegisteredKey({ ...ec, ...more })
  assert.ok(parsed.ok)
  assert.deepEqual(parsed.value.jwk, { kty: 'EC', crv: 'P-256', x: ec.x, y: ec.y })
})

for (const jwk of [undefined, null, 'key', 7, [], [ec]]) {
  test(`${JSON.stringify(jwk)?.slice(0, 20)} is no key`, () => {
    assert.deepEqual(refusalOf(jwk), { kind: 'not_a_key' })
  })
}

for (const { pair, member } of [
  { pair: generateKeyPairSync('ec', { namedCurve: 'P-256' }), member: 'd' },
  { pair: generateKeyPairSync('ed25519'), member: 'd' },
  { pair: generateKeyPairSync('rsa', { modulusLength: 2048 }), member: 'd' },
]) {
  const jwk = pair.privateKey.export({ format: 'jwk' })
  test(`a private ${jwk.kty} key is refused and not repeated`, () => {
    assert.deepEqual(refusalOf(jwk), { kind: 'secret_member', member })
  })
}

for (const member of ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k']) {
  test(`a public key with the secret member \`${member}\` is refused, even when it is empty`, () => {
    assert.deepEqual(refusalOf({ ...rsa, [member]: '' }), { kind: 'secret_member', member })
  })
}

const flipLast = (text: string): string => {
  const bytes = Buffer.from(text, 'base64url')
  bytes[bytes.length - 1]! ^= 1
  return bytes.toString('base64url')
}
const other = (text: string): string => text.slice(0, -1) + String.fromCharCode(text.charCodeAt(text.length - 1) + 1)
const evenModulus = Buffer.from(rsa.n!, 'base64url')
evenModulus[255]! &= 0xfe

for (const { what, jwk, refusal } of [
  { what: 'a shared secret', jwk: { kty: 'oct' }, refusal: { kind: 'unsupported_key', member: 'kty' } },
  { what: 'a key of no kind', jwk: { crv: 'P-256', x: ec.x, y: ec.y }, refusal: { kind: 'unsupported_key', member: 'kty' } },
  { what: 'a kind in lower case', jwk: { ...ec, kty: 'ec' }, refusal: { kind: 'unsupported_key', member: 'kty' } },
  { what: 'a P-384 key', jwk: jwkOf(generateKeyPairSync('ec', { namedCurve: 'P-384' })), refusal: { kind: 'unsupported_key', member: 'crv' } },
  { what: 'a secp256k1 key', jwk: { ...ec, crv: 'secp256k1' }, refusal: { kind: 'unsupported_key', member: 'crv' } },
  { what: 'an X25519 key', jwk: jwkOf(generateKeyPairSync('x25519')), refusal: { kind: 'unsupported_key', member: 'crv' } },
  { what: 'an Ed448 key', jwk: jwkOf(generateKeyPairSync('ed448')), refusal: { kind: 'unsupported_key', member: 'crv' } },
  { what: 'a curve of another kind', jwk: { ...ec, crv: 'Ed25519' }, refusal: { kind: 'unsupported_key', member: 'crv' } },
  { what: 'a point off the curve', jwk: { ...ec, y: flipLast(ec.y!) }, refusal: { kind: 'not_on_curve' } },
  { what: 'the point at nought', jwk: { ...ec, x: 'A'.repeat(43), y: 'A'.repeat(43) }, refusal: { kind: 'not_on_curve' } },
  { what: 'a coordinate above the field', jwk: { ...ec, x: Buffer.alloc(32, 255).toString('base64url') }, refusal: { kind: 'not_on_curve' } },
  { what: 'a short coordinate', jwk: { ...ec, x: 'AAAA' }, refusal: { kind: 'not_a_key', member: 'x' } },
  { what: 'a long coordinate', jwk: { ...ec, y: `${'A'.repeat(43)}A` }, refusal: { kind: 'not_a_key', member: 'y' } },
  { what: 'a coordinate with spare bits', jwk: { ...ec, x: other(ec.x!) }, refusal: { kind: 'not_a_key', member: 'x' } },
  { what: 'a coordinate with padding', jwk: { ...ec, x: `${ec.x}=` }, refusal: { kind: 'not_a_key', member: 'x' } },
  { what: 'no second coordinate', jwk: { kty: 'EC', crv: 'P-256', x: ec.x }, refusal: { kind: 'not_a_key', member: 'y' } },
  { what: 'a coordinate that is a number', jwk: { ...ec, x: 1 }, refusal: { kind: 'not_a_key', member: 'x' } },
  { what: 'the Ed25519 key of all zeros', jwk: { ...ed, x: 'A'.repeat(43) }, refusal: { kind: 'not_on_curve' } },
  { what: 'a short Ed25519 key', jwk: { ...ed, x: 'AAAA' }, refusal: { kind: 'not_a_key', member: 'x' } },
  { what: 'an RSA key of 1024 bits', jwk: rsaOf(1024), refusal: { kind: 'weak_key', why: 'modulus_too_short' } },
  { what: 'an RSA key of 2040 bits', jwk: rsaOf(2040), refusal: { kind: 'weak_key', why: 'modulus_too_short' } },
  { what: 'an RSA key of 4104 bits', jwk: { ...rsa, n: encodedOnes(513) }, refusal: { kind: 'weak_key', why: 'modulus_too_long' } },
  { what: 'an even modulus', jwk: { ...rsa, n: evenModulus.toString('base64url') }, refusal: { kind: 'weak_key', why: 'modulus_even' } },
  { what: 'a modulus with a leading zero', jwk: { ...rsa, n: `AA${rsa.n}` }, refusal: { kind: 'not_a_key', member: 'n' } },
  { what: 'no modulus', jwk: { kty: 'RSA', e: 'AQAB' }, refusal: { kind: 'not_a_key', member: 'n' } },
  { what: 'the exponent 1', jwk: { ...rsa, e: 'AQ' }, refusal: { kind: 'weak_key', why: 'exponent' } },
  { what: 'the exponent 3', jwk: { ...rsa, e: 'Aw' }, refusal: { kind: 'weak_key', why: 'exponent' } },
  { what: 'an exponent with a leading zero', jwk: { ...rsa, e: 'AAEAAQ' }, refusal: { kind: 'weak_key', why: 'exponent' } },
  { what: 'no exponent', jwk: { kty: 'RSA', n: rsa.n }, refusal: { kind: 'not_a_key', member: 'e' } },
  { what: 'a key for encryption', jwk: { ...ec, use: 'enc' }, refusal: { kind: 'not_for_signatures', member: 'use' } },
  { what: 'a key that signs', jwk: { ...ec, key_ops: ['sign', 'verify'] }, refusal: { kind: 'not_for_signatures', member: 'key_ops' } },
  { what: 'operations that are no list', jwk: { ...ec, key_ops: 'verify' }, refusal: { kind: 'not_for_signatures', member: 'key_ops' } },
  { what: 'an EC key for RS256', jwk: { ...ec, alg: 'RS256' }, refusal: { kind: 'alg_of_another_key' } },
  { what: 'an RSA key for ES256', jwk: { ...rsa, alg: 'ES256' }, refusal: { kind: 'alg_of_another_key' } },
  { what: 'a key for HS256', jwk: { ...rsa, alg: 'HS256' }, refusal: { kind: 'unsupported_key', member: 'alg' } },
  { what: 'a key for none', jwk: { ...ec, alg: 'none' }, refusal: { kind: 'unsupported_key', member: 'alg' } },
  { what: 'a key for RS1', jwk: { ...rsa, alg: 'RS1' }, refusal: { kind: 'unsupported_key', member: 'alg' } },
]) {
  test(`${what} is not registered`, () => {
    const found = refusalOf(jwk)
    assert.deepEqual({ ...found, ...refusal }, found)
  })
}

function encodedOnes(bytes: number): string {
  return Buffer.alloc(bytes, 255).toString('base64url')
}
