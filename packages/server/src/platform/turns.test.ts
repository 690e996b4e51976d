import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { turns } from './turns.ts'

test('no more than so many run at a time, all run, in the order in which they came, and a failure blocks nobody', async () => {
  const someWork = fc.array(fc.tuple(fc.nat(3), fc.boolean()), { maxLength: 20 })
  await fc.assert(fc.asyncProperty(fc.integer({ min: 1, max: 4 }), someWork, async (atOnce, works) => {
    const pass = turns(atOnce)
    let running = 0
    const started: number[] = []
    const outcomes = await Promise.allSettled(works.map(([ticks, fails], at) => pass(async () => {
      started.push(at)
      assert.ok(++running <= atOnce)
      for (let tick = 0; tick < ticks; tick++) await Promise.resolve()
      running--
      if (fails) throw new Error('on purpose')
    })))
    assert.deepEqual(started, works.map((_, at) => at))
    assert.deepEqual(outcomes.map(({ status }) => status === 'rejected'), works.map(([, fails]) => fails))
  }), { numRuns: 50 })
})
