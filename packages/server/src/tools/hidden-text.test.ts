import assert from 'node:assert/strict'
import { test } from 'node:test'
import { findHiddenText, hiddenIn } from './hidden-text.ts'

const char = (...points: readonly number[]): string => String.fromCodePoint(...points)

for (const { what, text, found } of [
  { what: 'a zero-width space', text: `a${char(0x200b)}b`, found: ['U+200B'] },
  { what: 'a zero-width joiner between letters', text: `a${char(0x200d)}b`, found: ['U+200D'] },
  { what: 'a word joiner and a byte order mark', text: `${char(0x2060)}a${char(0xfeff)}`, found: ['U+2060', 'U+FEFF'] },
  { what: 'a right-to-left override', text: `a${char(0x202e)}fdp.exe`, found: ['U+202E'] },
  { what: 'isolates', text: `${char(0x2066)}a${char(0x2069)}`, found: ['U+2066', 'U+2069'] },
  { what: 'words in tag characters', text: `ok${char(0xe0069, 0xe0067, 0xe006e)}`, found: ['U+E0069', 'U+E0067', 'U+E006E'] },
  { what: 'tags behind a flag', text: char(0x1f3f4, 0xe0067, 0xe007f), found: ['U+E0067', 'U+E007F'] },
  { what: 'bytes in variation selectors', text: `a${char(0xfe01, 0xe0101)}`, found: ['U+FE01', 'U+E0101'] },
  { what: 'an emoji selector that makes no emoji', text: `a${char(0xfe0f)}`, found: ['U+FE0F'] },
  { what: 'two emoji selectors in a row', text: char(0x26a0, 0xfe0f, 0xfe0f), found: ['U+FE0F'] },
  { what: 'a soft hyphen', text: `pass${char(0xad)}word`, found: ['U+00AD'] },
  { what: 'Hangul fillers', text: char(0x115f, 0x3164, 0xffa0), found: ['U+115F', 'U+3164', 'U+FFA0'] },
  { what: 'a combining grapheme joiner', text: `a${char(0x34f)}`, found: ['U+034F'] },
  { what: 'the blank of Braille', text: char(0x2800), found: ['U+2800'] },
  { what: 'line and paragraph separators', text: char(0x2028, 0x2029), found: ['U+2028', 'U+2029'] },
  { what: 'an escape', text: char(0x1b, 0x5b, 0x38, 0x6d), found: ['U+001B'] },
  { what: 'a backspace and a delete', text: char(8, 0x7f), found: ['U+0008', 'U+007F'] },
  { what: 'private use', text: char(0xe000, 0xf0000), found: ['U+E000', 'U+F0000'] },
  { what: 'what is not assigned', text: char(0xfffff, 0x378), found: ['U+FFFFF', 'U+0378'] },
  { what: 'an interlinear annotation', text: char(0xfff9), found: ['U+FFF9'] },
  { what: 'the same one twice', text: `a${char(0x200b)}b${char(0x200b)}`, found: ['U+200B'] },
  { what: 'nothing in words of many scripts', text: 'Grüße 日本語 עברית हिन्दी ไทย العربية — “x” … €', found: [] },
  { what: 'nothing in lines and columns', text: 'a\tb\r\nc', found: [] },
  { what: 'nothing in emoji', text: `${char(0x26a0, 0xfe0f)} ${char(0x1f468, 0x200d, 0x1f469, 0x200d, 0x1f467)} 1${char(0xfe0f, 0x20e3)} ${char(0x1f44d, 0x1f3fd)} ${char(0x2764, 0xfe0f, 0x200d, 0x1f525)}`, found: [] },
]) {
  test(`in a definition ${what} ${found.length === 0 ? 'is flagged' : 'is seen'}`, () => {
    assert.deepEqual(hiddenIn(text), found)
  })
}

test('where invisible text stands is told by a pointer, in names of members too, and never shown raw', () => {
  const hidden = char(0x200b)
  const flags = findHiddenText({ name: `se${hidden}nd`, inputSchema: { properties: { [`to${hidden}/~`]: { type: 'string', enum: ['a', `b${hidden}`] } } } })
  assert.deepEqual(flags, [
    { at: '/name', in: 'value', characters: ['U+200B'] },
    { at: '/inputSchema/properties/to\\u{200b}~1~0', in: 'name', characters: ['U+200B'] },
    { at: '/inputSchema/properties/to\\u{200b}~1~0/enum/1', in: 'value', characters: ['U+200B'] },
  ])
})

test('of a definition full of invisible text no more is kept than a person looks at', () => {
  const flags = findHiddenText({ name: 'x', list: Array.from({ length: 1000 }, () => char(...Array.from({ length: 100 }, (_, i) => 0xe0001 + i))) })
  assert.equal(flags.length, 50)
  assert.equal(flags[0]!.characters.length, 20)
})
