import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { canonical, parseCanonical, parseJson, toCanonical, type JsonValue } from './canonical.ts'

// RFC 8785 §3.2.3 and appendix B.
for (const { value, text } of [
  {
    value: { '\u20ac': 1, '\r': 2, '\ufb33': 3, '1': 4, '\u{1f600}': 5, '\u0080': 6, '\u00f6': 7 },
    text: '{"\\r":2,"1":4,"\u0080":6,"\u00f6":7,"\u20ac":1,"\u{1f600}":5,"\ufb33":3}',
  },
  {
    value: [-0, 5e-324, 1.7976931348623157e308, 9007199254740992, 1e21, 1e-7, 0.000001],
    text: '[0,5e-324,1.7976931348623157e+308,9007199254740992,1e+21,1e-7,0.000001]',
  },
  { value: '\u0000\u001f"\\/\u007f\u2028', text: '"\\u0000\\u001f\\"\\\\/\u007f\u2028"' },
  { value: { b: [true, false, null], a: {} }, text: '{"a":{},"b":[true,false,null]}' },
]) {
  test(`the canonical form is ${JSON.stringify(text)}`, () => assert.equal(canonical(value as JsonValue), text))
}

test('the canonical form of any JSON says the same and is its own canonical form', () => {
  fc.assert(fc.property(fc.jsonValue(), (value) => {
    const text = canonical(value as JsonValue)
    assert.deepEqual(JSON.parse(text), JSON.parse(JSON.stringify(value)))
    assert.equal(canonical(JSON.parse(text)), text)
    assert.ok(parseCanonical(text).ok)
  }))
})

for (const { what, value } of [
  { what: 'a lone surrogate', value: ['\ud800'] },
  { what: 'a name with a lone surrogate', value: { '\udc00': 1 } },
  { what: 'a number that is not finite', value: { a: Infinity } },
  { what: 'not a number', value: NaN },
  { what: 'undefined', value: { a: undefined } },
  { what: 'a bigint', value: 1n },
  { what: 'an endless depth', value: JSON.parse(`${'['.repeat(100)}${']'.repeat(100)}`) },
]) {
  test(`${what} has no canonical form`, () => {
    const answer = toCanonical(value)
    assert.equal(answer.ok ? 'ok' : answer.refusal.kind, 'not_canonical')
    assert.throws(() => canonical(value as JsonValue), /no canonical form/)
  })
}

for (const text of [
  '{"a":1,"a":1}', '{"a":{"b":1,"\\u0062":2}}', '[{"a\\"":1,"a\\"" : 2}]', '{"__proto__":1,"__proto__":2}',
  '"\\ud800"', '{', '1e999', `${'['.repeat(5000)}${']'.repeat(5000)}`,
]) {
  test(`JSON that two readers could read differently is refused: ${text.slice(0, 40)}`, () => {
    const answer = parseJson(text)
    assert.equal(answer.ok ? 'ok' : answer.refusal.kind, 'malformed_json')
  })
}

test('JSON with colons and quotes inside its strings is read', () => {
  const text = '{"a\\":":"b\\\\\\": \\"c\\":","d":["e:","\\\\"]}'
  assert.deepEqual(parseJson(text), { ok: true, value: JSON.parse(text) })
})

for (const text of ['{"b":1,"a":2}', '{"a": 1}', '[1.0]', '"\\u0061"', '"\\/"', ' 1', '[1]\n']) {
  test(`a text that is not its own canonical form is refused: ${text}`, () => {
    const answer = parseCanonical(text)
    assert.equal(answer.ok ? 'ok' : answer.refusal.kind, 'not_canonical')
  })
}
