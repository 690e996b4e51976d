import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { binsOf, LANES } from './event-bins.ts'

const event = (at: number, stream: 'human' | 'non-human', type = 'task.opened', facts: Record<string, unknown> = {}) => ({ at: new Date(at).toISOString(), stream, type, facts })

test('denials of both lanes are counted in the step of time that they fell into', () => {
  const bins = binsOf([
    event(0, 'human'), event(61_000, 'non-human', 'decision.made', { answer: 'deny' }), event(61_500, 'non-human', 'decision.made', { answer: 'allow' }), event(61_900, 'human', 'approval.denied'),
  ], {})!
  assert.equal(bins.step, 1000)
  assert.deepEqual(bins.bins.at(-1), { 'from': 61_000, 'to': 62_000, 'non-human': { all: 2, denied: 1 }, 'human': { all: 1, denied: 1 } })
  assert.equal(binsOf([], {}), undefined)
})

test('every event stands in exactly one step, however long the time', () => {
  fc.assert(fc.property(fc.array(fc.tuple(fc.integer({ min: 0, max: 4e12 }), fc.constantFrom(...LANES)), { minLength: 1, maxLength: 50 }), (all) => {
    const { bins, from, to } = binsOf(all.map(([at, lane]) => event(at, lane)), {})!
    assert.equal(bins.reduce((sum, bin) => sum + LANES.reduce((inBin, lane) => inBin + bin[lane].all, 0), 0), all.length)
    assert.ok(bins.length <= 90 && bins[0]!.from === from && bins.at(-1)!.to === to)
  }))
})
