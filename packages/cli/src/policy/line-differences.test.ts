import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { lineDifferences } from './line-differences.ts'

const shown = (before: string | null, after: string | null): readonly string[] => lineDifferences(before, after).map(({ sign, line }) => `${sign}${line}`)

for (const { what, before, after, lines } of [
  { what: 'a text that came', before: null, after: 'a\nb', lines: ['+a', '+b'] },
  { what: 'a text that went', before: 'a\nb', after: null, lines: ['-a', '-b'] },
  { what: 'a line that changed', before: 'a\nb\nc', after: 'a\nB\nc', lines: [' a', '-b', '+B', ' c'] },
  { what: 'a line that moved', before: 'a\nb\nc', after: 'b\nc\na', lines: ['-a', ' b', ' c', '+a'] },
  { what: 'nothing', before: 'a', after: 'a', lines: [' a'] },
]) {
  test(`${what} is shown as what it is`, () => assert.deepEqual(shown(before, after), lines))
}

test('without what was added a text is the one before, and without what was removed the one after', () => {
  const text = fc.array(fc.constantFrom('a', 'b', 'c', ''), { minLength: 1, maxLength: 12 }).map((lines) => lines.join('\n'))
  fc.assert(fc.property(text, text, (before, after) => {
    const found = lineDifferences(before, after)
    assert.equal(found.filter(({ sign }) => sign !== '+').map(({ line }) => line).join('\n'), before)
    assert.equal(found.filter(({ sign }) => sign !== '-').map(({ line }) => line).join('\n'), after)
  }))
})

test('texts of very many lines are shown one after the other, at once', () => {
  const [before, after] = [Array.from({ length: 5000 }, (_, i) => `a${i}`).join('\n'), Array.from({ length: 5000 }, (_, i) => `b${i}`).join('\n')]
  assert.equal(lineDifferences(before, after).length, 10_000)
})
