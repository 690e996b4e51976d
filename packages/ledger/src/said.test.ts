import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { inertDeeply, marked, speakerOf, unlinked } from './said.ts'

for (const { what, text, shown } of [
  { what: 'an address of a page', text: 'see https://evil.example/x', shown: 'see https[:]//evil[.]example/x' },
  { what: 'a bare name of a host', text: 'www.evil.example', shown: 'www[.]evil[.]example' },
  { what: 'a mailbox', text: 'a@b.example', shown: 'a[@]b[.]example' },
  { what: 'an address without slashes', text: 'mailto:x javascript:y', shown: 'mailto[:]x javascript[:]y' },
  { what: 'a name that calls everybody', text: '@channel', shown: '[@]channel' },
  { what: 'a version, a time or a price', text: 'v1.2 at 10:30 for 3.50', shown: 'v1.2 at 10:30 for 3.50' },
]) {
  test(`${what} is ${text === shown ? 'left as it is' : 'no link'}`, () => assert.equal(unlinked(text), shown))
}

test('words are marked with whose they are, by who the event says did it', () => {
  assert.deepEqual(['identity', 'operator', 'person', 'writ', 'anything'].map((kind) => speakerOf({ kind })), ['agent', 'person', 'person', 'stranger', 'stranger'])
  assert.equal(marked('agent', 'all is "well"\n'), 'the agent\'s words, not verified: "all is \\"well\\"\\u{a}"')
})

test('no words of anybody close their quotes, break their line or make a link', () => {
  fc.assert(fc.property(fc.string({ unit: 'binary', maxLength: 60 }), fc.constantFrom('', 'https://a.bc', 'www.a.bc', '"', '\\', '@here'), (text, more) => {
    const shown = unlinked(marked('agent', text + more + text))
    assert.match(shown, /^the agent's words, not verified: "(?:[^"\\]|\\.)*"$/u)
    assert.doesNotMatch(shown, /[\p{C}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]|:\/\/|@[\p{L}\p{N}]/u)
  }))
})

test('a value of any depth keeps its shape, and every text in it is inert', () => {
  assert.deepEqual(inertDeeply({ 'a\u202e': ['b\n', 1, null, true, { c: '\u200b' }] }), { 'a\\u{202e}': ['b\\u{a}', 1, null, true, { c: '\\u{200b}' }] })
})
