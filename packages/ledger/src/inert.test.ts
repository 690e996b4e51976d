import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { inert, quoted } from './inert.ts'

for (const { what, text, shown } of [
  { what: 'ordinary text of any script', text: 'schéma 表 🙂', shown: 'schéma 表 🙂' },
  { what: 'an escape sequence', text: '\u001b[31mred', shown: '\\u{1b}[31mred' },
  { what: 'a forged line', text: 'x\n  outcome: proved', shown: 'x\\u{a}  outcome: proved' },
  { what: 'a line separator', text: 'a\u2028b\u2029c\u0085d', shown: 'a\\u{2028}b\\u{2029}c\\u{85}d' },
  { what: 'text turned around', text: 'a\u202eb\u2066c', shown: 'a\\u{202e}b\\u{2066}c' },
  { what: 'hidden letters', text: 'a\u200bb\u00adc\ufeffd\u{e0041}e\u3164f', shown: 'a\\u{200b}b\\u{ad}c\\u{feff}d\\u{e0041}e\\u{3164}f' },
  { what: 'a forged escape', text: '\\u{1b}', shown: '\\\\u{1b}' },
  { what: 'a lone surrogate', text: '\ud800', shown: '\\u{d800}' },
  { what: 'a text without end', text: 'x'.repeat(2001), shown: `${'x'.repeat(2000)}... (1 more characters)` },
]) {
  test(`${what} is shown as it is and does nothing`, () => assert.equal(inert(text), shown))
}

test('no text of anybody breaks its line, moves the cursor or hides a letter', () => {
  fc.assert(fc.property(fc.string({ unit: 'binary', maxLength: 50 }), (text) => {
    assert.doesNotMatch(inert(text), /[\p{C}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/u)
  }))
})

test('no text closes the quotes that it stands in', () => {
  fc.assert(fc.property(fc.string({ unit: fc.constantFrom('"', '\\', 'a') }), (text) => {
    assert.match(quoted(text), /^"(?:[^"\\]|\\.)*"$/u)
  }))
})
