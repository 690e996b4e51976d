import assert from 'node:assert/strict'
import { createSecretKey } from 'node:crypto'
import { test } from 'node:test'
import { epochMs } from '@writ/domain/time'
import { dpopNonces } from './dpop-nonce.ts'

const keyOf = (byte: number) => createSecretKey(Buffer.alloc(32, byte))
const NOW = epochMs(1_795_327_200_000)
const later = (ms: number) => epochMs(NOW + ms)

test('a nonce is good for one minute at least and two at most, and on a server whose clock is a little behind', () => {
  const nonces = dpopNonces([keyOf(1)])
  for (let at = 0; at < 60_000; at += 7_000) {
    const nonce = nonces.current(later(at))
    assert.ok(nonces.isRecent(nonce, later(at + 60_000)))
    assert.ok(nonces.isRecent(nonce, later(at - 10_000)))
    assert.ok(!nonces.isRecent(nonce, later(at + 120_000)))
    assert.ok(!nonces.isRecent(nonce, later(at - 120_000)))
  }
})

test('two servers with one key know each other\'s nonces, and no others', () => {
  const [one, two, stranger] = [dpopNonces([keyOf(1)]), dpopNonces([keyOf(1)]), dpopNonces([keyOf(2)])]
  assert.ok(two.isRecent(one.current(NOW), NOW))
  assert.ok(!stranger.isRecent(one.current(NOW), NOW))
})

test('after a new master key the nonces of the one before are still known', () => {
  const after = dpopNonces([keyOf(2), keyOf(1)])
  assert.ok(after.isRecent(dpopNonces([keyOf(1)]).current(NOW), NOW))
  assert.notEqual(after.current(NOW), dpopNonces([keyOf(1)]).current(NOW))
})

test('a nonce is 256 bits that a header can hold, and nothing else is one', () => {
  const nonces = dpopNonces([keyOf(1)])
  const nonce = nonces.current(NOW)
  assert.match(nonce, /^[A-Za-z0-9_-]{43}$/)
  for (const other of ['', 'x', nonce.slice(1), `${nonce}x`, nonce.toUpperCase(), `${nonce}\u0100`, nonce.split('').toReversed().join('')]) assert.ok(!nonces.isRecent(other, NOW))
})
