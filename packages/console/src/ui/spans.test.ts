import assert from 'node:assert/strict'
import { test } from 'node:test'
import { agoText, spanText } from './spans.ts'

for (const [ms, is] of [
  [0, '0 s'], [3.4, '3 ms'], [999, '999 ms'], [1000, '1 s'], [61_000, '1 min 1 s'], [600_000, '10 min'], [601_000, '10 min'], [3_660_000, '1 h 1 min'], [90_000_000, '1 d'], [20_000_000_000, '231 d'], [70_000_000_000, '2 y'],
] as const) test(`${ms} ms are ${is}`, () => { assert.equal(spanText(ms), is) })

test('what was is ago, what comes is in', () => {
  assert.deepEqual([agoText(0, 61_000), agoText(61_000, 0), agoText(500, 0)], ['1 min 1 s ago', 'in 1 min 1 s', 'now'])
})
