import assert from 'node:assert/strict'
import { createSecretKey } from 'node:crypto'
import { once } from 'node:events'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import fc from 'fast-check'
import { hostEntropy } from '../platform/entropy.ts'
import { eventMacOf } from './mac.ts'

const newKey = () => createSecretKey(hostEntropy.bytes(32))

test('an HMAC of RFC 4231 §4.3 comes out as printed there', () => {
  const mac = eventMacOf([createSecretKey(Buffer.from('Jefe'))])
  const expected = '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843'
  assert.equal(Buffer.from(mac.macOf(Buffer.from('what do ya want for nothing?'))).toString('hex'), expected)
})

test('a row is known by its mark, and no longer after any change of one bit', () => {
  const mac = eventMacOf([newKey()])
  fc.assert(fc.property(fc.uint8Array({ minLength: 1, maxLength: 200 }), fc.nat(), (leaf, at) => {
    const mark = mac.macOf(leaf)
    assert.ok(mac.isAuthentic(leaf, mark))
    assert.equal(mac.isAuthentic(flip(leaf, at), mark), false)
    assert.equal(mac.isAuthentic(leaf, flip(mark, at)), false)
  }))
})

function flip(bytes: Uint8Array, at: number): Uint8Array {
  const copy = bytes.slice()
  copy[at % copy.length]! ^= 1 << (at % 8)
  return copy
}

test('a mark of another length, or by a key that we do not have, is refused', () => {
  const mac = eventMacOf([newKey()])
  const leaf = Buffer.from('leaf')
  const mark = mac.macOf(leaf)
  for (const wrong of [new Uint8Array(), mark.slice(0, 31), Buffer.concat([mark, Buffer.alloc(1)]), eventMacOf([newKey()]).macOf(leaf)]) {
    assert.equal(mac.isAuthentic(leaf, wrong), false)
  }
})

test('rows written before a new master key are still known', () => {
  const [older, newer] = [newKey(), newKey()]
  const leaf = Buffer.from('leaf')
  const both = eventMacOf([newer, older])
  assert.ok(both.isAuthentic(leaf, eventMacOf([older]).macOf(leaf)))
  assert.deepEqual(both.macOf(leaf), eventMacOf([newer]).macOf(leaf))
})

test('a worker thread that is given the key marks as the main thread does', async () => {
  const key = newKey()
  const worker = new Worker(
    `const { parentPort, workerData } = require('node:worker_threads')
     const { createHmac } = require('node:crypto')
     parentPort.postMessage(createHmac('sha256', workerData.keys[0]).update('leaf').digest())`,
    { eval: true, workerData: { keys: [key] } },
  )
  const [mark] = await once(worker, 'message') as [Uint8Array]
  await worker.terminate()
  assert.ok(eventMacOf([key]).isAuthentic(Buffer.from('leaf'), mark))
})
