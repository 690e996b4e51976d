import assert from 'node:assert/strict'
import { test } from 'node:test'
import { placeAtByte } from './cedar-check.ts'

test('what Cedar says of a byte is shown at its line and character', () => {
  const text = 'permit(\n  // zwölf 𝒜\n  x'
  const byte = new TextEncoder().encode('permit(\n  // zwölf 𝒜\n  ').length
  assert.deepEqual(placeAtByte(text, byte), { line: 3, column: 3 })
  assert.deepEqual(placeAtByte(text, 0), { line: 1, column: 1 })
  assert.deepEqual(placeAtByte(text, new TextEncoder().encode('permit(\n  // zwölf 𝒜').length), { line: 2, column: 13 })
})
