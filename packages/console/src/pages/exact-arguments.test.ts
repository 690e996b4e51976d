import assert from 'node:assert/strict'
import { test } from 'node:test'
import { argumentsIn, formOf, lowerableIn, loweredText, wayKey } from './exact-arguments.ts'

const TEXT = '{"amount":9007199254740993,"rate":1.0,"items":[{"count":3,"debt":-2}],"order":"551\\u202e"}'

test('arguments are shown digit for digit and in their order', () => {
  assert.deepEqual(argumentsIn(TEXT)?.map(({ name, value }) => `${name} ${value}`), ['amount 9007199254740993', 'rate 1.0', 'items [{"count":3,"debt":-2}]', 'order "551\u202e"'])
  assert.equal(argumentsIn('[1]'), null)
  assert.equal(argumentsIn('{"a":1,"a":2}'), null)
})

test('only whole numbers above zero are lowered, wherever they stand, and nothing else changes', () => {
  assert.deepEqual(lowerableIn(TEXT).map(({ way, asked }) => [...way, asked]), [['amount', 9007199254740993n], ['items', '0', 'count', 3n]])
  assert.equal(loweredText('{"amount":9007199254740993,"rate":1.0,"n":[7]}', new Map([[wayKey(['n', '0']), 0n]])), '{"amount":9007199254740993,"rate":1.0,"n":[0]}')
})

test('calls of one form have the same names', () => {
  assert.equal(formOf('{"a":1,"b":"x"}'), formOf('{"b":2,"a":{}}'))
  assert.notEqual(formOf('{"a":1}'), formOf('{"a":1,"b":1}'))
})
