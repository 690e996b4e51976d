import assert from 'node:assert/strict'
import { test } from 'node:test'
import { exactText, InexactNumber } from './exact.ts'

test('an integer keeps every digit, and another number its text', () => {
  const value = { amount: 9_223_372_036_854_775_807n, rate: new InexactNumber('1.0'), deep: [{ n: -1n }, null, 'x', true] }
  assert.equal(exactText(value), '{"amount":9223372036854775807,"rate":1.0,"deep":[{"n":-1},null,"x",true]}')
})
