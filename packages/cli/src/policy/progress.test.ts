import assert from 'node:assert/strict'
import { test } from 'node:test'
import { barOf } from './progress.ts'

for (const { part, bar } of [
  { part: 0, bar: '[........................]   0 %' },
  { part: 0.5, bar: '[############............]  50 %' },
  { part: 1, bar: '[########################] 100 %' },
  { part: -1, bar: '[........................]   0 %' },
  { part: 7, bar: '[########################] 100 %' },
]) {
  test(`the part ${part} is drawn as ${bar}`, () => assert.equal(barOf(part), bar))
}
