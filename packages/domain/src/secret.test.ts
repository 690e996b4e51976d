import assert from 'node:assert/strict'
import { test } from 'node:test'
import { crc32 } from 'node:zlib'
import fc from 'fast-check'
import { isSecret, SECRET_PREFIX, toSecret, type SecretPrefix } from './secret.ts'

const entropy = fc.uint8Array({ minLength: 32, maxLength: 32 })
const prefix = fc.constantFrom<SecretPrefix>(...Object.values(SECRET_PREFIX))
const CHARACTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'.split('')

test('a secret holds all of its 256 bits and is known for one', () => {
  fc.assert(fc.property(prefix, entropy, (of, bytes) => {
    const secret = toSecret(of, bytes)
    assert.ok(isSecret(secret))
    const held = secret.slice(of.length + 1, -6)
    assert.deepEqual(new Uint8Array(Buffer.from(held, 'base64url')), Uint8Array.from(bytes))
    assert.equal(held.length, 43)
  }))
})

test('the checksum is the CRC-32 that zlib computes, in base 62', () => {
  fc.assert(fc.property(prefix, entropy, (of, bytes) => {
    const secret = toSecret(of, bytes)
    let value = 0
    for (const digit of secret.slice(-6)) value = value * 62 + '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'.indexOf(digit)
    assert.equal(value, crc32(secret.slice(0, -6)))
  }))
})

test('a secret with one character changed, lost or added is a look-alike', () => {
  fc.assert(fc.property(prefix, entropy, fc.nat(), fc.constantFrom(...CHARACTERS), (of, bytes, where, character) => {
    const secret = toSecret(of, bytes)
    const at = of.length + 1 + (where % (secret.length - of.length - 1))
    if (secret[at] !== character) assert.equal(isSecret(secret.slice(0, at) + character + secret.slice(at + 1)), false)
    assert.equal(isSecret(secret.slice(0, at) + secret.slice(at + 1)), false)
    assert.equal(isSecret(secret.slice(0, at) + character + secret.slice(at)), false)
  }), { numRuns: 5000 })
})

const secret = toSecret('writ_op', Uint8Array.from({ length: 32 }, (_, i) => i))
for (const { when, text } of [
  { when: 'it is empty', text: '' },
  { when: 'a line ends it', text: `${secret}\n` },
  { when: 'it stands in a sentence', text: `key ${secret}` },
  { when: 'its kind was exchanged', text: secret.replace('writ_op', 'writ_pg') },
  { when: 'it is in lower case', text: secret.toLowerCase() },
  { when: 'it has the shape and no checksum', text: `writ_op_${'A'.repeat(43)}000000` },
  { when: 'it is of another house', text: `ghp_${secret.slice('writ_op_'.length)}` },
]) {
  test(`a text is no secret of ours when ${when}`, () => {
    assert.equal(isSecret(text), false)
  })
}

test('a text is no secret of ours when Writ mints no such kind', () => {
  assert.equal(isSecret(toSecret('writ_zz' as SecretPrefix, new Uint8Array(32))), false)
})

for (const length of [0, 31, 33]) {
  test(`a secret is not made from ${length} bytes of entropy`, () => {
    assert.throws(() => toSecret('writ_op', new Uint8Array(length)), { message: 'a secret needs 32 bytes of entropy' })
  })
}
