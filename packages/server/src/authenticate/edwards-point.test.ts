import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { test } from 'node:test'
import { isUsableEd25519Point } from './edwards-point.ts'

const P = 2n ** 255n - 19n

function littleEndian(value: bigint): Uint8Array {
  return Uint8Array.from({ length: 32 }, (_, i) => Number((value >> BigInt(8 * i)) & 255n))
}

test('every key that is generated is usable', () => {
  for (let i = 0; i < 100; i++) {
    const { x } = generateKeyPairSync('ed25519').publicKey.export({ format: 'jwk' })
    assert.ok(isUsableEd25519Point(Buffer.from(x!, 'base64url')))
  }
})

test('about half of all numbers are not on the curve', () => {
  const usable = Array.from({ length: 200 }, (_, i) => isUsableEd25519Point(littleEndian(BigInt(i + 1_000)))).filter(Boolean).length
  assert.ok(usable > 60 && usable < 140, `${usable} of 200`)
})

// In bytes as libsodium and others list them, with either sign of x.
for (const hex of [
  '0000000000000000000000000000000000000000000000000000000000000000',
  '0100000000000000000000000000000000000000000000000000000000000000',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
]) {
  test(`the point of small order ${hex.slice(0, 8)}... is no key`, () => {
    const bytes = Buffer.from(hex, 'hex')
    assert.equal(isUsableEd25519Point(bytes), false)
    bytes[31]! |= 0x80
    assert.equal(isUsableEd25519Point(bytes), false)
  })
}

test('a number that is not below the field is no key, though its rest would be', () => {
  const { x } = generateKeyPairSync('ed25519').publicKey.export({ format: 'jwk' })
  assert.ok(isUsableEd25519Point(Buffer.from(x!, 'base64url')))
  for (let rest = 0n; rest < 19n; rest++) assert.equal(isUsableEd25519Point(littleEndian(P + rest)), false)
})

test('31 or 33 bytes are no key', () => {
  for (const length of [0, 31, 33]) assert.equal(isUsableEd25519Point(new Uint8Array(length).fill(7)), false)
})
