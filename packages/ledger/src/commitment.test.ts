import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { sha256 } from '../test/made-log.ts'
import { commit, opens } from './commitment.ts'

const salt = fc.uint8Array({ minLength: 32, maxLength: 32 })
const text = fc.string({ unit: 'binary' })

test('a commitment is the SHA-256 of salt and text, and opens with both', () => {
  fc.assert(fc.property(salt, text, (bytes, words) => {
    const commitment = commit(sha256, bytes, words)
    assert.equal(commitment, createHash('sha256').update(bytes).update(words, 'utf8').digest('base64url'))
    assert.ok(opens(sha256, commitment, bytes, words))
  }))
})

test('a commitment opens with no other text and no other salt', () => {
  fc.assert(fc.property(salt, salt, text, text, (bytes, otherBytes, words, otherWords) => {
    const commitment = commit(sha256, bytes, words)
    assert.equal(opens(sha256, commitment, bytes, otherWords), words === otherWords)
    assert.equal(opens(sha256, commitment, otherBytes, words), Buffer.compare(bytes, otherBytes) === 0)
  }))
})

test('a short salt commits to nothing, and a lone surrogate opens nothing', () => {
  assert.throws(() => commit(sha256, new Uint8Array(31), 'a'), /32 bytes/)
  const bytes = new Uint8Array(32)
  assert.ok(!opens(sha256, commit(sha256, bytes, '\ufffd'), bytes, '\ud800'))
  assert.ok(!opens(sha256, commit(sha256, bytes, 'a'), new Uint8Array(0), 'a'))
})
