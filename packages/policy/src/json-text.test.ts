import assert from 'node:assert/strict'
import { test } from 'node:test'
import { InexactNumber } from '@writ/domain/exact'
import fc from 'fast-check'
import { exactOf, readJson } from './json-text.ts'

test('JSON reads as JSON.parse reads it, but for numbers, of which nothing is lost', () => {
  fc.assert(fc.property(fc.json(), fc.constantFrom(undefined, 2), (text, indent) => {
    const parsed: unknown = JSON.parse(text)
    if (text.includes('__proto__') || JSON.stringify(parsed) === '-0') return
    const read = readJson('a.json', JSON.stringify(parsed, null, indent))
    assert.ok(read.ok)
    const plain = JSON.stringify(exactOf(read.value.root), (_, value: unknown) =>
      (typeof value === 'bigint' ? Number(value) : value instanceof InexactNumber ? Number(value.text) : value))
    assert.deepEqual(JSON.parse(plain), JSON.parse(JSON.stringify(parsed)))
  }))
})

test('a number keeps its digits', () => {
  const read = readJson('a.json', '[9007199254740993, 1.0, -0, 1e2, -12345678901234567890]')
  assert.ok(read.ok)
  assert.deepEqual(exactOf(read.value.root),
    [9007199254740993n, new InexactNumber('1.0'), new InexactNumber('-0'), new InexactNumber('1e2'), -12345678901234567890n])
})

for (const { text, says } of [
  { text: '', says: '1:1: the text ends where a value is expected' },
  { text: '{"a": 1,\n "a": 2}', says: '2:2: the name `a` stands twice in one object' },
  { text: '[1 2]', says: '1:4: `2` where `,` or `]` is expected' },
  { text: '[1,\n', says: '2:1: the text ends where a value is expected' },
  { text: '{"a" 1}', says: '1:6: `1` where `:` is expected' },
  { text: '{a: 1}', says: '1:2: a name in quotes is expected' },
  { text: '["😀é", x]', says: '1:8: `x` where a value is expected' },
  { text: '"a\nb"', says: '1:1: a string that does not end, or holds what JSON escapes' },
  { text: '"\\ud800"', says: '1:1: half of a surrogate pair in a string' },
  { text: '01', says: '1:2: nothing may follow the value' },
  { text: `${'['.repeat(40)}`, says: '1:34: more than 32 arrays and objects inside of each other' },
]) {
  test(`the JSON ${JSON.stringify(text.slice(0, 20))} is refused at its place`, () => {
    const read = readJson('a.json', text)
    assert.equal(read.ok, false)
    const { line, column, message } = read.refusal
    assert.equal(`${line}:${column}: ${message}`, says)
  })
}
