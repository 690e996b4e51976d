import assert from 'node:assert/strict'
import { test } from 'node:test'
import { hostEntropy } from './entropy.ts'

test('no value is drawn twice, whatever lengths are drawn in between', () => {
  const seen = new Set<string>()
  const lengths = [8, 10, 16, 32, 8000, 8192, 9000]
  for (let i = 0; i < 7000; i++) {
    const bytes = hostEntropy.bytes(lengths[i % lengths.length]!)
    assert.equal(bytes.length, lengths[i % lengths.length])
    assert.ok(bytes.some((byte) => byte !== 0), 'what is handed out was never wiped')
    seen.add(Buffer.from(bytes.subarray(0, 16)).toString('hex'))
  }
  assert.equal(seen.size, 7000)
})

test('what one caller does to its bytes is not seen by the next', () => {
  const first = hostEntropy.bytes(32)
  first.fill(7)
  assert.notDeepEqual(hostEntropy.bytes(32), first)
})
