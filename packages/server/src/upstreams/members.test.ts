import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { elementsOf, membersOf, withoutMember } from './members.ts'

const DEEP = { depth: 64 }
const has = (text: string): string => {
  const found = membersOf(text, DEEP)
  return found.ok ? 'ok' : found.refusal.kind
}
/** JSON text as people write it, with blanks wherever there may be some. */
const spacious = (value: unknown): string => JSON.stringify(value, null, ' ').replaceAll(',', '\t,\r\n')

const record = fc.dictionary(fc.string({ unit: 'grapheme' }), fc.jsonValue({ maxDepth: 4 })).filter((one) => !Object.hasOwn(one, '__proto__'))
  // There is no minus zero in what JSON.stringify writes.
  .map((one) => JSON.parse(JSON.stringify(one)) as Record<string, unknown>)

test('each member is where it is said to be, whatever the object', () => {
  fc.assert(fc.property(record, fc.boolean(), (value, isSpacious) => {
    const text = isSpacious ? ` ${JSON.stringify(value, null, 3)}\n` : JSON.stringify(value)
    const found = membersOf(text, DEEP)
    assert.ok(found.ok)
    assert.deepEqual(found.value.map(({ name, value: from, to }) => [name, JSON.parse(text.slice(from, to))]), Object.entries(value))
    for (const { value: from, to, members } of found.value) {
      const inner = JSON.parse(text.slice(from, to)) as unknown
      const isObject = typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      assert.deepEqual(members.map((one) => [one.name, JSON.parse(text.slice(one.value, one.to))]), isObject ? Object.entries(inner) : [])
    }
  }))
})

test('what is left without a member is the object without it, and nothing else has changed', () => {
  fc.assert(fc.property(record.filter((one) => Object.keys(one).length > 0), fc.nat(), fc.boolean(), (value, nth, isSpacious) => {
    const text = isSpacious ? JSON.stringify(value, null, 2) : JSON.stringify(value)
    const name = Object.keys(value)[nth % Object.keys(value).length]!
    const found = membersOf(text, DEEP)
    assert.ok(found.ok)
    const { [name]: _, ...rest } = value
    assert.deepEqual(JSON.parse(withoutMember(text, found.value, name)), rest)
    assert.equal(withoutMember(text, found.value, `${name} that is not there`), text)
  }))
})

test('each element of a list is where it is said to be, whatever the list', () => {
  fc.assert(fc.property(fc.array(fc.jsonValue({ maxDepth: 4 }), { maxLength: 6 }), fc.boolean(), (list, isSpacious) => {
    const text = isSpacious ? JSON.stringify({ list }, null, 2) : JSON.stringify({ list })
    const found = membersOf(text, DEEP)
    assert.ok(found.ok)
    assert.deepEqual(elementsOf(text, found.value[0]!)?.map((one) => JSON.parse(one)), (JSON.parse(text) as { list: unknown[] }).list)
    assert.equal(elementsOf(text, { value: 0, to: text.length }), undefined)
  }))
})

test('a text is read exactly where JSON.parse reads an object', () => {
  const characters = fc.constantFrom(...'{}[]:,"\\ \t\n\u0000\u001f\u2028ab/u00eE+-.012tfn'.split(''), 'true', 'false', 'null', '\\u0061', '"a":', '{"a":1}', '1e5', '-0', '01')
  const near = fc.tuple(record, fc.nat(), fc.nat(3), characters).map(([value, at, cut, put]) => {
    const text = spacious(value)
    const from = at % (text.length + 1)
    return text.slice(0, from) + put + text.slice(from + cut)
  })
  fc.assert(fc.property(fc.oneof(near, fc.array(characters, { maxLength: 12 }).map((parts) => `{${parts.join('')}}`)), (text) => {
    let parsed: unknown
    try {
      parsed = JSON.parse(text)
    } catch { /* it is none */ }
    const isObject = typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed)
    const outcome = has(text)
    // A name twice is JSON for others; it is not for us.
    assert.equal(outcome === 'ok' || outcome === 'duplicate_key', isObject || (outcome === 'duplicate_key'), `${outcome}: ${text}`)
    if (!isObject) assert.notEqual(outcome, 'ok')
  }), { numRuns: 3000 })
})

for (const { text, outcome } of [
  { text: '{"a":1,"a":1}', outcome: 'duplicate_key' }, { text: '{"a":1,"\\u0061":1}', outcome: 'duplicate_key' }, { text: '{"r":{"b":1,"b":2}}', outcome: 'duplicate_key' },
  { text: '[]', outcome: 'not_an_object' }, { text: '', outcome: 'not_an_object' }, { text: '"{}"', outcome: 'not_an_object' }, { text: '{}{}', outcome: 'malformed_json' }, { text: '{"a":1}x', outcome: 'malformed_json' },
  { text: '{"a":1,}', outcome: 'malformed_json' }, { text: '{a:1}', outcome: 'malformed_json' }, { text: "{'a':1}", outcome: 'malformed_json' }, { text: '{"a":01}', outcome: 'malformed_json' }, { text: '{"a":NaN}', outcome: 'malformed_json' },
  { text: '{"a":"\n"}', outcome: 'malformed_json' }, { text: '{"a":"\\x41"}', outcome: 'malformed_json' }, { text: '{"a":"\\u00g1"}', outcome: 'malformed_json' }, { text: '{"a":"', outcome: 'malformed_json' }, { text: '{"a":[1,]}', outcome: 'malformed_json' },
  { text: '{"a":[}', outcome: 'malformed_json' }, { text: '{"a":{]}', outcome: 'malformed_json' }, { text: '{"a":truex}', outcome: 'malformed_json' }, { text: '\ufeff{}', outcome: 'not_an_object' },
  { text: `{"a":${'['.repeat(62)}${']'.repeat(62)}}`, outcome: 'ok' }, { text: `{"a":${'['.repeat(64)}${']'.repeat(64)}}`, outcome: 'too_deep' }, { text: `{"a":{"b":${'['.repeat(100_000)}`, outcome: 'too_deep' },
]) {
  test(`\`${text.length > 60 ? `${text.slice(0, 20)}... of ${text.length}` : text}\` is ${outcome}`, () => { assert.equal(has(text), outcome) })
}

test('a text of sixteen megabytes is read in a time that grows with its length, however it is made', () => {
  for (const text of [`{"a":"${'x'.repeat(16e6)}"}`, `{"a":"${'\\n'.repeat(8e6)}"}`, `{"a":[${'1,'.repeat(8e6)}1]}`, `{"a":${' '.repeat(16e6)}1}`, `{"a":[${'{"b":1},'.repeat(2e6)}1]}`]) {
    const from = performance.now()
    assert.equal(has(text), 'ok')
    assert.ok(performance.now() - from < 10_000, `${text.slice(0, 20)} ${performance.now() - from}`)
  }
})
