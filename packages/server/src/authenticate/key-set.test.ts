import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { test } from 'node:test'
import { issuerSigner } from '../../test/fakes/issuer.ts'
import { MOST_KEYS_IN_A_SET, parseKeySet, type LeftOut } from './key-set.ts'

const [one, other] = [issuerSigner('ES256', 'one').jwk, issuerSigner('ES256', 'other').jwk]
const rsa = issuerSigner('RS256', 'rsa').jwk
const privateEc = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' })
const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' }).publicKey.export({ format: 'jwk' })
const without = (jwk: object, member: string): object => Object.fromEntries(Object.entries(jwk).filter(([name]) => name !== member))

for (const { when, set, refused } of [
  { when: 'it is nothing', set: undefined, refused: 'not_a_key_set' },
  { when: 'it is a list', set: [one], refused: 'not_a_key_set' },
  { when: 'it is one key', set: one, refused: 'not_a_key_set' },
  { when: 'its keys are no list', set: { keys: { one } }, refused: 'not_a_key_set' },
  { when: 'it has 101 keys', set: { keys: Array(MOST_KEYS_IN_A_SET + 1).fill(one) }, refused: 'too_many_keys' },
  { when: 'it has 200 keys', set: { keys: Array(200).fill(one) }, refused: 'too_many_keys' },
]) {
  test(`a key set is refused when ${when}`, () => {
    const parsed = parseKeySet(set, 'oidc')
    assert.equal(parsed.ok ? 'taken' : parsed.refusal.kind, refused)
  })
}

for (const { when, key, because } of [
  { when: 'it is private', key: { ...privateEc, kid: 'x' }, because: 'secret_member' },
  { when: 'it is symmetric', key: { kty: 'oct', k: 'c2VjcmV0', kid: 'x', alg: 'HS256' }, because: 'secret_member' },
  { when: 'it says that it is symmetric', key: { kty: 'oct', kid: 'x' }, because: 'unsupported_key' },
  { when: 'it is for encryption', key: { ...one, kid: 'x', use: 'enc' }, because: 'not_for_signatures' },
  { when: 'it is for deriving keys', key: { ...one, kid: 'x', key_ops: ['deriveKey'] }, because: 'not_for_signatures' },
  { when: 'its algorithm is another curve\'s', key: { ...one, kid: 'x', alg: 'ES384' }, because: 'unsupported_key' },
  { when: 'its algorithm is another type\'s', key: { ...one, kid: 'x', alg: 'RS256' }, because: 'alg_of_another_key' },
  { when: 'its algorithm is none', key: { ...one, kid: 'x', alg: 'none' }, because: 'unsupported_key' },
  { when: 'its curve is not ours', key: { ...p384, kid: 'x' }, because: 'unsupported_key' },
  { when: 'its point is off the curve', key: { ...one, kid: 'x', x: one['y'] }, because: 'not_on_curve' },
  { when: 'its modulus is short', key: { ...rsa, kid: 'x', n: String(rsa['n']).slice(0, 100) }, because: 'weak_key' },
  { when: 'its name is a number', key: { ...one, kid: 5 }, because: 'kid_not_text' },
  { when: 'its name is empty', key: { ...one, kid: '' }, because: 'kid_not_text' },
  { when: 'its name is very long', key: { ...one, kid: 'x'.repeat(513) }, because: 'kid_not_text' },
  { when: 'it is no key', key: 'nonsense', because: 'not_a_key' },
  { when: 'it is null', key: null, because: 'not_a_key' },
] as readonly { when: string; key: unknown; because: LeftOut['because'] }[]) {
  test(`a key is left out when ${when}, and the others hold`, () => {
    const parsed = parseKeySet({ keys: [key, other] }, 'oidc')
    assert.ok(parsed.ok)
    assert.deepEqual([parsed.value.leftOut, parsed.value.keys.map(({ kid }) => kid)], [[{ at: 0, because }], ['other']])
  })
}

test('keys that share a name are all left out', () => {
  const parsed = parseKeySet({ keys: [one, { ...other, kid: 'one' }, rsa] }, 'oidc')
  assert.ok(parsed.ok)
  assert.deepEqual([parsed.value.leftOut, parsed.value.keys.map(({ kid }) => kid)], [[{ at: 0, because: 'kid_taken_twice' }, { at: 1, because: 'kid_taken_twice' }], ['rsa']])
})

test('an OpenID provider\'s key may go without a name; a trust domain\'s may not', () => {
  const set = { keys: [without(one, 'kid')] }
  const [oidc, spiffe] = [parseKeySet(set, 'oidc'), parseKeySet({ keys: [without(without(one, 'kid'), 'use')] }, 'spiffe')]
  assert.deepEqual(oidc.ok && oidc.value.keys.map(({ kid }) => kid), [null])
  assert.deepEqual(spiffe, { ok: false, refusal: { kind: 'kid_missing', at: 0 } })
})

test('of a bundle only the keys for JWT-SVIDs count', () => {
  const parsed = parseKeySet({ keys: [{ ...one, use: 'x509-svid', kid: undefined }, { ...other, use: 'jwt-svid' }, { ...rsa, use: 'wit-svid' }] }, 'spiffe')
  assert.ok(parsed.ok)
  assert.deepEqual([parsed.value.keys.map(({ kid }) => kid), parsed.value.leftOut.map(({ at, because }) => [at, because])], [['other'], [[0, 'for_another_use'], [2, 'for_another_use']]])
})

test('nothing of a key is kept but what verifies', () => {
  const parsed = parseKeySet({ keys: [{ ...one, x5c: ['MII'], x5u: 'https://evil.example', extra: 1 }] }, 'oidc')
  assert.ok(parsed.ok)
  assert.deepEqual(Object.keys(parsed.value.keys[0]!.jwk), ['kty', 'crv', 'x', 'y'])
})
