import assert from 'node:assert/strict'
import { test } from 'node:test'
import { changedLines, linesOf } from './tool-changes.ts'

test('exact JSON stands in lines, and its numbers as they were written', () => {
  assert.deepEqual(linesOf('{"a":9007199254740993,"b":["x, {",{}],"c":{}}'), ['{', '  "a": 9007199254740993,', '  "b": [', '    "x, {",', '    {', '    }', '  ],', '  "c": {', '  }', '}'])
})

test('only what changed is told as changed', () => {
  const told = changedLines('{"name":"read","description":"reads"}', '{"name":"read","description":"reads, and sends","more":1}')
  assert.deepEqual(told.map((line) => `${line.kind[0]} ${line.text.trim()}`), ['s {', 's "name": "read",', 'r "description": "reads"', 'a "description": "reads, and sends",', 'a "more": 1', 's }'])
})
