import assert from 'node:assert/strict'
import { test } from 'node:test'
import { casesOf, noVectors } from '../test/vectors.ts'
import { toHex, utf8 } from './bytes.ts'
import { toCanonical } from './canonical.ts'

test('every JSON of the RFC 8785 author has his canonical bytes', { skip: noVectors }, () => {
  const cases = casesOf<{ name: string; input_text: string; canonical_hex: string }>('jcs-rfc8785/cases.json')
  assert.equal(cases.length, 6)
  for (const { name, input_text: input, canonical_hex: hex } of cases) {
    const answer = toCanonical(JSON.parse(input))
    assert.ok(answer.ok, name)
    assert.equal(toHex(utf8(answer.value)), hex, name)
  }
})
