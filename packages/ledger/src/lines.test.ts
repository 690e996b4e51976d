import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { utf8 } from './bytes.ts'
import { linesOf, LONGEST_LINE } from './lines.ts'

const split = (bytes: Uint8Array, size: number): readonly Uint8Array[] =>
  Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) => bytes.slice(i * size, (i + 1) * size))

test('lines come out the same however the bytes come in', () => {
  const line = fc.string({ unit: fc.constantFrom('a', 'é', '🙂', '\r', '\ufeff') })
  fc.assert(fc.property(fc.array(line, { minLength: 1 }), fc.integer({ min: 1, max: 9 }), (lines, size) => {
    assert.deepEqual([...linesOf(split(utf8(`${lines.join('\n')}\n`), size))], lines)
  }))
})

test('a last line without its newline is a line, and nothing is none', () => {
  assert.deepEqual([...linesOf([utf8('a\nb')])], ['a', 'b'])
  assert.deepEqual([...linesOf([])], [])
})

test('a line that is not UTF-8 or has no end comes out as nothing, and is the last', () => {
  assert.deepEqual([...linesOf([new Uint8Array([0xff, 0x0a, 0x61, 0x0a])])], [undefined])
  assert.deepEqual([...linesOf(split(new Uint8Array(LONGEST_LINE + 2).fill(0x61), 65_536))], [undefined])
})
