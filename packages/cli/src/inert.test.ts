import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inert } from '@writ/ledger/inert'
import fc from 'fast-check'
import { inertJson, inertLines } from './inert.ts'

/** What a terminal acts on, what reorders, and what nobody sees. */
const ACTIVE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/u

const CORPUS: readonly (readonly [string, string])[] = [
  ['a colour', '\u001b[31mred\u001b[0m'],
  ['a cleared screen', '\u001b[2J\u001b[H'],
  ['a one-byte control sequence', '\u009b31m'],
  ['a link (OSC 8)', '\u001b]8;;https://evil.example\u0007click\u001b]8;;\u0007'],
  ['a window title (OSC 0)', '\u001b]0;root\u0007'],
  ['a clipboard write (OSC 52)', '\u001b]52;c;cm0gLXJm\u0007'],
  ['a carriage return', 'refused\rallowed'],
  ['a line end', 'purpose\nerror: nothing\r\n'],
  ['a backspace', 'deny\b\b\b\bok'],
  ['a right-to-left override', 'gpj.\u202eexe'],
  ['a bidi isolate', '\u2066a\u2069'],
  ['a zero-width space', 'ad\u200bmin'],
  ['a zero-width joiner', 'ad\u200dmin'],
  ['a byte order mark', '\ufeffadmin'],
  ['a tag', 'hi\u{e0041}\u{e0042}'],
  ['a variation selector', 'a\ufe0f\u{e0100}'],
  ['a soft hyphen', 'ad\u00admin'],
  ['a hangul filler', 'a\u3164b'],
  ['a line separator', 'a\u2028b\u2029c'],
  ['a lone surrogate', 'a\ud800b'],
  ['a NUL', 'a\0b'],
]

for (const [what, text] of CORPUS) {
  test(`${what} is shown and does not act, in text and in JSON`, () => {
    assert.doesNotMatch(inert(text), ACTIVE)
    const json = inertJson({ text })
    assert.doesNotMatch(json, ACTIVE)
    assert.deepEqual(JSON.parse(json), { text })
  })
}

test('whatever is said, JSON keeps it and nothing in it acts', () => {
  fc.assert(fc.property(fc.anything({ values: [fc.string({ unit: 'binary' })], withBigInt: false }), (value) => {
    const plain: unknown = JSON.parse(JSON.stringify({ value }))
    const json = inertJson(plain)
    return !ACTIVE.test(json) && JSON.stringify(JSON.parse(json)) === JSON.stringify(plain)
  }))
})

test('the line ends that JSON is laid out with stay', () => {
  assert.equal(inertJson({ a: [1] }, 2), '{\n  "a": [\n    1\n  ]\n}')
})

test('the lines of a checkpoint stay lines, and its dashes dashes', () => {
  assert.equal(inertLines('origin\n12\n\n\u2014 name\r abc=\n'), 'origin\n12\n\n\u2014 name\\u{d} abc=\n')
})
