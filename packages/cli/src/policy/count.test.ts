import assert from 'node:assert/strict'
import { test } from 'node:test'
import { count } from './count.ts'

test('numbers are counted as people read them', () => {
  assert.deepEqual([count(0, 'case'), count(1, 'case'), count(18_204, 'decision'), count(1_000_000, 'policy', 'policies')], ['0 cases', '1 case', '18,204 decisions', '1,000,000 policies'])
})
