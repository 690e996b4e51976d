import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { inertPieces, isPlain } from './inert-text.ts'

const shown = (text: string): string => inertPieces(text).map((piece) => (piece.kind === 'mark' ? `[${piece.text}]` : piece.kind === 'mixed' ? `<${piece.text}>` : piece.text)).join('')

for (const { what, text, is } of [
  { what: 'plain words as they are', text: 'refund order 551, parcel lost', is: 'refund order 551, parcel lost' },
  { what: 'what turns text around, by its number', text: 'pay \u202efdp.exe', is: 'pay [U+202E]fdp.exe' },
  { what: 'what nobody would see, by its number', text: 'zero\u200bwidth\u{e0041}', is: 'zero[U+200B]width[U+E0041]' },
  { what: 'an escape of a terminal', text: '\u001b[2J', is: '[U+001B][2J' },
  { what: 'two hundred line ends as one mark', text: `a${'\n'.repeat(200)}b`, is: 'a[↵ ×200]b' },
  { what: 'letters of two scripts in one word', text: 'for раypal', is: 'for <раypal>' },
  { what: 'words of two scripts that are two words', text: 'Москва Moscow', is: 'Москва Moscow' },
  { what: 'three marks on one letter, and the rest as a number', text: `Z${'\u0337'.repeat(10)}`, is: `Z${'\u0337'.repeat(3)}[+7]` },
  { what: 'letters that are written from right to left', text: 'שלום', is: 'שלום' },
]) test(`it shows ${what}`, () => { assert.equal(shown(text), is) })

test('whatever is said, no piece that is shown as it is holds what a reader would not see', () => {
  fc.assert(fc.property(fc.string({ unit: 'binary', maxLength: 60 }), (text) => {
    for (const piece of inertPieces(text)) assert.ok(isPlain(piece.text) || piece.kind === 'mark', JSON.stringify(piece))
  }))
})
