import assert from 'node:assert/strict'
import { sign } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { makeKey, primitives, sha256 } from '../test/made-log.ts'
import { toBase64, utf8 } from './bytes.ts'
import { openNote, parseNote, parseVerifierKey, printNote, printVerifierKey, signedBy, toVerifierKey } from './note.ts'

const { key, privateKey } = makeKey('writ.example/log')
const stranger = makeKey('other.example')
const TEXT = 'first\n\nsecond\n'
const NOTE = signedBy(key, TEXT, new Uint8Array(sign(null, utf8(TEXT), privateKey)))

const kindOf = (note: string): string => {
  const opened = openNote(primitives, key, note)
  return opened.ok ? 'ok' : opened.refusal.kind
}

test('a signed note opens to its text, blank lines and all', () => {
  assert.deepEqual(openNote(primitives, key, NOTE), { ok: true, value: TEXT })
})

test('a note with signatures of others beside ours opens', () => {
  const [ours] = printLines(NOTE)
  const other = printLines(signedBy(stranger.key, TEXT, new Uint8Array(64)))[0]
  assert.equal(kindOf(`${TEXT}\n${other}\n${ours}\n`), 'ok')
})

for (const { what, note, kind } of [
  {
    what: 'is signed by a stranger only',
    note: signedBy(stranger.key, TEXT, new Uint8Array(sign(null, utf8(TEXT), stranger.privateKey))),
    kind: 'unsigned',
  },
  {
    what: 'bears our name over another key',
    note: signedBy({ ...stranger.key, name: key.name }, TEXT, new Uint8Array(sign(null, utf8(TEXT), stranger.privateKey))),
    kind: 'unsigned',
  },
  {
    what: 'bears our name and id over the signature of another',
    note: signedBy(key, TEXT, new Uint8Array(sign(null, utf8(TEXT), stranger.privateKey))),
    kind: 'bad_signature',
  },
  {
    what: 'has a good and a bad signature of ours',
    note: `${NOTE}${printLines(signedBy(key, TEXT, new Uint8Array(64)))[0]}\n`,
    kind: 'bad_signature',
  },
  { what: 'has a signature that is too short', note: signedBy(key, TEXT, new Uint8Array(63)), kind: 'bad_signature' },
  { what: 'has no signature', note: `${TEXT}\n`, kind: 'malformed_note' },
  { what: 'has a tab in its text', note: NOTE.replace('first', 'fi\trst'), kind: 'malformed_note' },
  { what: 'has text after its signatures', note: `${NOTE}more\n`, kind: 'malformed_note' },
  { what: 'has more signatures than anybody needs', note: `${NOTE}${`${printLines(NOTE)[0]}\n`.repeat(200)}`, kind: 'malformed_note' },
  { what: 'has a signature that is not base64', note: NOTE.replace(/.{4}\n$/, '****\n'), kind: 'malformed_note' },
]) {
  test(`a note is refused when it ${what}`, () => assert.equal(kindOf(note), kind))
}

test('a note that is changed in one character never opens', () => {
  fc.assert(fc.property(fc.nat(), fc.string({ minLength: 1, maxLength: 1 }), (at, character) => {
    const place = at % NOTE.length
    if (NOTE[place] === character) return
    assert.notEqual(kindOf(NOTE.slice(0, place) + character + NOTE.slice(place + 1)), 'ok')
  }))
})

test('a note is read back as it was printed', () => {
  const parsed = parseNote(NOTE)
  assert.ok(parsed.ok)
  assert.equal(printNote(parsed.value), NOTE)
  assert.throws(() => printNote({ text: 'no newline', signatures: [] }), /ends in a newline/)
})

test('a verifier key is read back as it was printed, and refused when any part of it changes', () => {
  const text = printVerifierKey(key)
  assert.deepEqual(parseVerifierKey(sha256, text), { ok: true, value: key })
  fc.assert(fc.property(fc.nat(), fc.constantFrom('0', 'a', 'B', '+', '/', ' ', '='), (at, character) => {
    const place = at % text.length
    const changed = text.slice(0, place) + character + text.slice(place + 1)
    const parsed = parseVerifierKey(sha256, changed)
    assert.equal(parsed.ok, changed === text)
  }))
})

for (const name of ['', 'a b', 'a+b', 'a\u2003b', 'a\nb', 'a\u001bb']) {
  test(`no key bears the name ${JSON.stringify(name)}`, () => {
    assert.throws(() => toVerifierKey(sha256, name, new Uint8Array(32)), /no key name/)
    assert.equal(parseVerifierKey(sha256, `${name}+00000000+${toBase64(new Uint8Array([1, ...new Uint8Array(32)]))}`).ok, false)
  })
}

function printLines(note: string): readonly string[] {
  return note.slice(note.lastIndexOf('\n\n') + 2).split('\n').slice(0, -1)
}
