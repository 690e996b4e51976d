import assert from 'node:assert/strict'
import { test } from 'node:test'
import { barOf } from './progress.ts'
import { count } from './count.ts'

for (const { part, bar } of [
  { part: 0, bar: '[........................]   0 %' },
  { part: 0.5, bar: '[############............]  50 %' },
  { part: 1, bar: '[########################] 100 %' },
  { part: -1, bar: '[........................]   0 %' },
  { part: 7, bar: '[########################] 100 %' },
]) {
  test(`the part ${part} is drawn as ${bar}`, () => assert.equal(barOf(part), bar))
}

test('numbers are counted as people read them', () => {
  assert.deepEqual([count(0, 'case'), count(1, 'case'), count(18_204, 'decision'), count(1_000_000, 'policy', 'policies')], ['0 cases', '1 case', '18,204 decisions', '1,000,000 policies'])
})
