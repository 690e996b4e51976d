import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { sealOnce, type SealNeeds } from '../../src/record/seal.ts'
import type { Store } from '../../src/record/tx.ts'
import { assertOneChain } from '../read-log.ts'
import { recordNos, recordStarts, sizeOf } from '../recorded.ts'
import { storeForSuite, STORES, type StoreOfWrit } from '../store-of-writ.ts'

/** A sealer that stops between reading and writing until it is let go. */
function sleepingSealer(writ: StoreOfWrit): { readonly needs: SealNeeds; readonly asleep: Promise<void>; wake(): void } {
  const asleep = Promise.withResolvers<void>()
  const woken = Promise.withResolvers<void>()
  const change: Store['change'] = async (of, input) => {
    if (of.name === 'log.seal') {
      asleep.resolve()
      await woken.promise
    }
    return writ.store.change(of, input)
  }
  return { needs: { ...writ.sealing, store: { read: (query) => writ.store.read(query), change } }, asleep: asleep.promise, wake: woken.resolve }
}

for (const name of STORES) {
  describe(`the sealer on ${name}`, () => {
    const opened = storeForSuite(name)

    test('places 1,000 events in one batch, and the rest in the next', async () => {
      const writ = opened()
      await writ.sealAll()
      const had = await sizeOf(writ, 'human')
      await recordNos(writ, 1000)
      await recordNos(writ, 300)
      assert.equal(await writ.seal('human'), 1000)
      assert.equal(await writ.seal('human'), 300)
      assert.equal(await writ.seal('human'), 0)
      assert.equal(await assertOneChain(writ, 'human'), had + 1300)
      const notes = await writ.sql('select size from checkpoint where stream = \'human\' order by size')
      assert.deepEqual(notes.map((row) => Number(row['size'])).slice(-3), [had, had + 1000, had + 1300])
    })

    test('eight sealers at once while events arrive make one chain, with no number twice and none left out', async () => {
      const writ = opened()
      let writing = true
      const sealer = async (): Promise<void> => {
        while (writing) {
          await sealOnce(writ.sealing, 'non-human')
          await new Promise(setImmediate)
        }
      }
      const sealers = Array.from({ length: 8 }, sealer)
      await recordStarts(writ, 400)
      writing = false
      await Promise.all(sealers)
      await writ.sealAll()
      assert.equal(await assertOneChain(writ, 'non-human'), 401)
    })

    test('a sealer that was stopped between reading and writing, and comes back, writes nothing', async () => {
      const writ = opened()
      const before = await sizeOf(writ, 'non-human')
      await recordStarts(writ, 3)
      const stale = sleepingSealer(writ)
      const sealing = sealOnce(stale.needs, 'non-human')
      await stale.asleep
      await recordStarts(writ, 2)
      assert.equal(await writ.seal('non-human'), 5)
      stale.wake()
      assert.equal(await sealing, 0)
      assert.equal(await assertOneChain(writ, 'non-human'), before + 5)
    })

    test('a stopped sealer writes nothing also when another has placed the very same events', async () => {
      const writ = opened()
      const before = await sizeOf(writ, 'non-human')
      await recordStarts(writ, 2)
      const stale = sleepingSealer(writ)
      const sealing = sealOnce(stale.needs, 'non-human')
      await stale.asleep
      assert.equal(await writ.seal('non-human'), 2)
      stale.wake()
      assert.equal(await sealing, 0)
      assert.equal(await assertOneChain(writ, 'non-human'), before + 2)
    })
  })
}
