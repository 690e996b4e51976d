import assert from 'node:assert/strict'
import { createPublicKey, generateKeyPairSync, sign, verify } from 'node:crypto'
import { describe, test } from 'node:test'
import { calculateJwkThumbprint, createLocalJWKSet, jwtVerify } from 'jose'
import { plus, milliseconds } from '@writ/domain/time'
import { fixedClock } from '../../test/fakes/clock.ts'
import { hostEntropy } from '../platform/entropy.ts'
import { masterKeyOf } from './master-key.ts'
import { sealerOf, sealKeysOf, SealFault } from './seal.ts'
import { KEPT_AFTER_USE_MS, newTokenKey, rawOf, tokenKeys, type KeptTokenKey } from './token-keys.ts'

const clock = fixedClock()
const secrets = sealerOf(sealKeysOf([masterKeyOf(hostEntropy.bytes(32))], 'seal'), hostEntropy)

const kept = (state: KeptTokenKey['state'], more: Partial<KeptTokenKey> = {}): KeptTokenKey =>
  ({ ...newTokenKey(secrets), state, publishedAt: clock.now(), activatedAt: clock.now(), retiredAt: state === 'retired' ? clock.now() : null, ...more })

async function open(keys: KeptTokenKey[]) {
  const opened = tokenKeys({ list: async () => keys, secrets, clock })
  await opened.refresh()
  return opened
}

describe('the form of a signature', () => {
  test('2,000 signatures in DER become those that a verifier of ES256 accepts, whatever the length of their numbers', () => {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const lengths = new Set<number>()
    for (let i = 0; i < 2000; i++) {
      const bytes = Buffer.from(`message ${i}`)
      const der = sign('sha256', bytes, privateKey)
      lengths.add(der.length)
      assert.ok(verify('sha256', bytes, { key: publicKey, dsaEncoding: 'ieee-p1363' }, rawOf(der)))
    }
    assert.ok(lengths.size > 2)
  })

  test('a number that is short stands at the end of its place', () => {
    const raw = rawOf(Uint8Array.from([0x30, 0x09, 0x02, 0x01, 0x7f, 0x02, 0x04, 0x00, 0x80, 0x01, 0x02]))
    assert.deepEqual([raw.length, raw[31], ...raw.subarray(60)], [64, 0x7f, 0x00, 0x80, 0x01, 0x02])
  })
})

describe('the keys of access tokens', () => {
  test('jose verifies what the active key signed, with the key set as it is published', async () => {
    const active = kept('active')
    const keys = await open([active, kept('next')])
    const token = await keys.sign({ sub: 'a', iat: 1 }, active.kid)
    const verified = await jwtVerify(token, createLocalJWKSet(keys.jwks() as never))
    assert.deepEqual(verified.protectedHeader, { alg: 'ES256', typ: 'at+jwt', kid: active.kid })
  })

  test('a `kid` is the RFC 7638 thumbprint of its key, and no private part is published', async () => {
    const active = kept('active')
    const { keys } = (await open([active])).jwks() as { keys: Record<string, string>[] }
    assert.deepEqual(Object.keys(keys[0]!).toSorted(), ['alg', 'crv', 'kid', 'kty', 'use', 'x', 'y'])
    assert.equal(await calculateJwkThumbprint(active.jwk), active.kid)
    assert.doesNotThrow(() => createPublicKey({ key: { ...active.jwk }, format: 'jwk' }))
  })

  test('the next one is published before it signs, a retired one until its last token is long over, a revoked one never', async () => {
    const [next, active, retired] = [kept('next'), kept('active'), kept('retired', { sealedPrivate: null })]
    const keys = await open([next, active, retired, kept('revoked', { sealedPrivate: null })])
    const published = () => keys.jwks().keys.map((key) => (key as { kid: string }).kid)
    assert.deepEqual(published(), [next.kid, active.kid, retired.kid])
    clock.set(plus(retired.retiredAt!, milliseconds(KEPT_AFTER_USE_MS - 1)))
    assert.deepEqual(published(), [next.kid, active.kid, retired.kid])
    clock.advance(1)
    assert.deepEqual(published(), [next.kid, active.kid])
  })

  test('a token of a key that signs no more is signed with the active one', async () => {
    const [first, second] = [kept('active'), kept('active')]
    const list: KeptTokenKey[] = [first]
    const keys = await open(list)
    list.splice(0, 1, second, { ...first, state: 'retired', sealedPrivate: null, retiredAt: clock.now() })
    await keys.refresh()
    const { protectedHeader } = await jwtVerify(await keys.sign({ sub: 'a' }, first.kid), createLocalJWKSet(keys.jwks() as never))
    assert.equal(protectedHeader.kid, second.kid)
  })

  test('a key that another server has just made active is fetched when it is needed', async () => {
    const [first, second] = [kept('active'), kept('active')]
    const list: KeptTokenKey[] = [first]
    const keys = await open(list)
    list.splice(0, 1, second)
    const { protectedHeader } = await jwtVerify(await keys.sign({ sub: 'a' }, second.kid), createLocalJWKSet(keys.jwks() as never))
    assert.equal(protectedHeader.kid, second.kid)
    assert.equal(await keys.verificationKeyOf(first.kid), undefined)
  })

  test('a token of a key that is not known here yet is good, and a flood of unknown names reads the keys four times a second', async () => {
    const [first, second] = [kept('active'), kept('active')]
    let reads = 0
    const list: KeptTokenKey[] = [first]
    const keys = tokenKeys({ list: async () => { reads += 1; return list }, secrets, clock })
    await keys.refresh()
    list.push(second)
    clock.advance(250)
    assert.equal((await keys.verificationKeyOf(second.kid))?.thumbprint, second.kid)
    reads = 0
    for (let i = 0; i < 1000; i++) {
      assert.equal(await keys.verificationKeyOf(`stranger ${i}`), undefined)
      clock.advance(1)
    }
    assert.ok(reads >= 3 && reads <= 4)
  })

  test('a private part that was moved to another key\'s row does not open', async () => {
    const [one, other] = [kept('active'), kept('next')]
    await assert.rejects(open([{ ...one, sealedPrivate: other.sealedPrivate }]), SealFault)
  })

  test('without an active key nothing is signed', async () => {
    await assert.rejects(async () => (await open([kept('next')])).sign({}, 'none'), /no active key/)
  })

  test('a private part stands in no text that a log could print', () => {
    assert.doesNotMatch(JSON.stringify(newTokenKey(secrets)), /PRIVATE|"d":/)
  })
})
