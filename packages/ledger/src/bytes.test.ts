import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { concat, equal, fromBase64, fromBase64url, toBase64, toBase64url, toHex } from './bytes.ts'

test('base64, base64url and hex are written as Node writes them, and read back', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 70 }), (bytes) => {
    const node = Buffer.from(bytes)
    assert.equal(toBase64(bytes), node.toString('base64'))
    assert.equal(toBase64url(bytes), node.toString('base64url'))
    assert.equal(toHex(bytes), node.toString('hex'))
    assert.deepEqual(fromBase64(toBase64(bytes)), bytes)
    assert.deepEqual(fromBase64url(toBase64url(bytes)), bytes)
  }))
})

for (const text of ['A', 'AA', 'AA=', 'AB==', 'AAB=', 'AAAA====', 'AA A', 'AAAA\n', '-_==', 'AAé=']) {
  test(`a second spelling of base64 is refused: ${JSON.stringify(text)}`, () => assert.equal(fromBase64(text), undefined))
}

for (const text of ['A', 'AA==', 'AB', '+/', 'AA A']) {
  test(`a second spelling of base64url is refused: ${JSON.stringify(text)}`, () => assert.equal(fromBase64url(text), undefined))
}

test('bytes are joined in order and compared by length and content', () => {
  assert.deepEqual(concat(new Uint8Array([1]), new Uint8Array(0), new Uint8Array([2, 3])), new Uint8Array([1, 2, 3]))
  assert.ok(equal(new Uint8Array([1, 2]), new Uint8Array([1, 2])))
  assert.ok(!equal(new Uint8Array([1, 2]), new Uint8Array([1])))
  assert.ok(!equal(new Uint8Array([1, 2]), new Uint8Array([1, 3])))
})
