import assert from 'node:assert/strict'
import { test } from 'node:test'
import { primitives, sha256 } from '../test/made-log.ts'
import { casesOf, noVectors } from '../test/vectors.ts'
import { openNote, parseVerifierKey, printVerifierKey } from './note.ts'

test('every verifier key of the C2SP and Go collections is read or refused as marked', { skip: noVectors }, () => {
  const cases = casesOf<{ vkey: string; valid: boolean }>('signed-notes/vkeys.json')
  assert.equal(cases.length, 5)
  for (const { vkey, valid } of cases) {
    const key = parseVerifierKey(sha256, vkey)
    assert.equal(key.ok, valid, vkey)
    if (key.ok) assert.equal(printVerifierKey(key.value), vkey)
  }
})

test('every signed note of the C2SP and Go collections opens or is refused as marked', { skip: noVectors }, () => {
  const cases = casesOf<{ name: string; vkey: string; note: string; valid: boolean }>('signed-notes/notes.json')
  assert.equal(cases.length, 8)
  for (const { name, vkey, note, valid } of cases) {
    const key = parseVerifierKey(sha256, vkey)
    assert.ok(key.ok)
    assert.equal(openNote(primitives, key.value, note).ok, valid, name)
  }
})
