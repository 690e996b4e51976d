import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { countingEntropy } from '../../test/fakes/entropy.ts'
import { fromBase64url, toBase64url } from './base64url.ts'
import { fractionOf, hostEntropy } from './entropy.ts'

test('ten thousand draws of 16 bytes are all different', () => {
  const seen = new Set(Array.from({ length: 10_000 }, () => toBase64url(hostEntropy.bytes(16))))
  assert.equal(seen.size, 10_000)
})

test('a draw has exactly as many bytes as asked for', () => {
  for (const count of [0, 1, 10, 12, 32, 100_000]) assert.equal(hostEntropy.bytes(count).length, count)
})

test('a fraction lies in [0, 1) at both ends of what can be drawn', () => {
  assert.equal(fractionOf({ bytes: (count) => new Uint8Array(count) }), 0)
  const largest = fractionOf({ bytes: (count) => new Uint8Array(count).fill(255) })
  assert.ok(largest < 1 && largest > 0.999_999)
  assert.ok(Array.from({ length: 1_000 }, () => fractionOf(hostEntropy)).some((fraction) => fraction > 0.5))
})

test('the counting entropy of the tests is the same in every run and never repeats', () => {
  const [one, other] = [countingEntropy(), countingEntropy()]
  const drawn = Array.from({ length: 1_000 }, () => toBase64url(one.bytes(10)))
  assert.deepEqual(drawn, Array.from({ length: 1_000 }, () => toBase64url(other.bytes(10))))
  assert.equal(new Set(drawn).size, 1_000)
})

test('every run of bytes has one spelling in base64url, and it reads back', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
    assert.deepEqual(fromBase64url(toBase64url(bytes)), bytes)
  }))
})

for (const { what, text } of [
  { what: 'padding', text: 'YQ==' },
  { what: 'spare bits that are not zero', text: 'YR' },
  { what: 'the alphabet of plain base64', text: '+/+/' },
  { what: 'a line break', text: 'YWJj\n' },
  { what: 'a space in the middle', text: 'YW Jj' },
  { what: 'one character too many', text: 'YWJjZ' },
  { what: 'a character outside of the alphabet', text: 'YW*j' },
  { what: 'a character beyond ASCII', text: 'YWJjé' },
]) {
  test(`base64url with ${what} is not read`, () => {
    assert.equal(fromBase64url(text), undefined)
  })
}
