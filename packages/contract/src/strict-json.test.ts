import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { exactText, InexactNumber, type ExactRecord } from '@writ/domain/exact'
import { parseExactJson, parseStrictJson, type StrictJsonLimits, type StrictJsonRefusal } from './strict-json.ts'

function refusalOf(text: string, limits?: StrictJsonLimits): StrictJsonRefusal {
  const parsed = parseStrictJson(text, limits)
  return parsed.ok ? assert.fail(`\`${text.slice(0, 60)}\` was read`) : parsed.refusal
}

function valueOf(text: string): unknown {
  const parsed = parseStrictJson(text)
  return parsed.ok ? parsed.value : assert.fail(`\`${text.slice(0, 60)}\` was refused: ${parsed.refusal.kind}`)
}

for (const text of [
  'null', 'true', '0', '-1', '1.5', '1e3', '0.1', '1E-7', '100e-2', '9007199254740991', '-9007199254740991', '[1,2,-3.25e+2]',
  '""', '"é"', '"\\ud83d\\ude00"', '"\\\\\\""', '[]', '{}', '{"":0}', '{"a\\\\":1,"a":2}',
  ' {"a" : [1, {"b" : "c:{\\"d\\":1}"}] } ', '{"a":{"a":{"a":1}},"b":[{"a":1},{"a":1}]}',
  '{"toString":1,"hasOwnProperty":2}', '{"é":1,"e\\u0301":2}',
]) {
  test(`\`${text}\` is read as it stands`, () => {
    assert.deepEqual(valueOf(text), JSON.parse(text))
  })
}

for (const { what, text } of [
  { what: 'nothing', text: '' },
  { what: 'blanks alone', text: ' \n' },
  { what: 'a byte order mark', text: '\ufeff{}' },
  { what: 'text after the end', text: '{} x' },
  { what: 'two values', text: '{}{}' },
  { what: 'a second value with members', text: '{"a":1}{"a":1}' },
  { what: 'a brace too many', text: '{"a":1}}' },
  { what: 'a bracket too many', text: ']' },
  { what: 'a brace too few', text: '{"a":{"b":1}' },
  { what: 'brackets that cross', text: '[{]}' },
  { what: 'a comma at the end', text: '{"a":1,}' },
  { what: 'a comma between nothing', text: '[1,,2]' },
  { what: 'a comment', text: '{/* a */}' },
  { what: 'single quotes', text: "{'a':1}" },
  { what: 'a name without quotes', text: '{a:1}' },
  { what: 'a member in an array', text: '["a":1]' },
  { what: 'a member outside of an object', text: '"a":1' },
  { what: 'a string without an end', text: '{"a":"b' },
  { what: 'a string that ends in a backslash', text: '"\\' },
  { what: 'an escape that there is not', text: '"\\x41"' },
  { what: 'an escape cut short', text: '{"\\u00":1}' },
  { what: 'a line break in a string', text: '"a\nb"' },
  { what: 'NaN', text: 'NaN' },
  { what: 'Infinity', text: '{"a":-Infinity}' },
  { what: 'undefined', text: 'undefined' },
  { what: 'a plus sign', text: '+1' },
  { what: 'a minus sign alone', text: '[-]' },
  { what: 'a leading zero', text: '01' },
  { what: 'a leading point', text: '.5' },
  { what: 'a point at the end', text: '1.' },
  { what: 'a hexadecimal number', text: '0x10' },
  { what: 'two numbers in one', text: '1-2' },
  { what: 'an exponent without digits', text: '1e' },
  { what: 'a no-break space', text: '\u00a0{}' },
  { what: 'a capital letter', text: 'True' },
]) {
  test(`${what} is malformed`, () => {
    assert.deepEqual(refusalOf(text), { kind: 'malformed_json' })
  })
}

for (const { what, text, key, at } of [
  { what: 'twice with another value', text: '{"a":1,"a":2}', key: 'a', at: 7 },
  { what: 'twice with the same value', text: '{"a":1,"a":1}', key: 'a', at: 7 },
  { what: 'twice with the same text', text: '{"a":"x","a":"x"}', key: 'a', at: 9 },
  { what: 'twice with nothing', text: '{"a":null,"a":null}', key: 'a', at: 10 },
  { what: 'plain and escaped', text: '{"a":1,"\\u0061":1}', key: 'a', at: 7 },
  { what: 'escaped and plain', text: '{"\\u0061":1,"a":1}', key: 'a', at: 12 },
  { what: 'with a slash and an escaped slash', text: '{"a/b":1,"a\\/b":1}', key: 'a/b', at: 9 },
  { what: 'with a blank before the colon', text: '{"a":1,"a"\n\t :1}', key: 'a', at: 7 },
  { what: 'deep inside', text: '[{"b":[{"a":1,"c":{"a":1},"a":3}]}]', key: 'a', at: 26 },
  { what: 'with an empty name', text: '{"":1,"":1}', key: '', at: 6 },
  { what: 'around an object with that name', text: '{"a":{"a":1},"a":1}', key: 'a', at: 13 },
]) {
  test(`a member that stands ${what} is refused by its name and place`, () => {
    assert.deepEqual(refusalOf(text), { kind: 'duplicate_key', at, key })
  })
}

test('a very long name is cut in the refusal, and never in the middle of a character', () => {
  const key = `${'k'.repeat(63)}😀${'k'.repeat(1_000)}`
  const refusal = refusalOf(`{"${key}":1,"${key}":1}`)
  assert.ok(refusal.kind === 'duplicate_key' && refusal.key.length < 70 && refusal.key.isWellFormed())
})

for (const key of ['__proto__', 'constructor', 'prototype', '\\u005f_proto__']) {
  test(`a member called \`${key}\` is refused, and no prototype has changed`, () => {
    const refusal = refusalOf(`{"a":{"${key}":{"isAdmin":true}}}`)
    assert.equal(refusal.kind, 'forbidden_key')
    assert.equal('isAdmin' in {}, false)
  })
}

for (const text of [
  '9007199254740992', '-9007199254740993', '9007199254740993.0', '1e16', '1e21', '1e400', '-1e400', '1e-400', '-0', '-0.0', '-0e5',
  '0.1000000000000000055', '123456789012345678901234567890', '3.14159265358979323846', `1${'0'.repeat(400)}`,
]) {
  test(`the number ${text.slice(0, 30)} is refused, for a reader might see another`, () => {
    assert.deepEqual(refusalOf(`{"n":${text}}`), { kind: 'unsafe_number', at: 5 })
  })
}

for (const { what, text } of [
  { what: 'half of a pair, escaped', text: '["\\ud800"]' },
  { what: 'the other half', text: '["\\udc00 "]' },
  { what: 'half of a pair as it is', text: '["\ud800"]' },
  { what: 'an escaped NUL', text: '["a\\u0000b"]' },
  { what: 'a NUL as it is', text: '["a\0b"]' },
  { what: 'half of a pair in a name', text: '{"\\ud800":1}' },
  { what: 'a NUL in a name', text: '{"a\\u0000":1}' },
]) {
  test(`a string with ${what} is refused`, () => {
    assert.deepEqual(refusalOf(text), { kind: 'unsafe_text', at: 1 })
  })
}

test('32 levels are read and 33 are refused, whatever they are made of', () => {
  assert.ok(parseStrictJson('['.repeat(32) + ']'.repeat(32)).ok)
  assert.ok(parseStrictJson('{"a":'.repeat(32) + '1' + '}'.repeat(32)).ok)
  assert.deepEqual(refusalOf('['.repeat(33) + ']'.repeat(33)), { kind: 'too_deep', at: 32, most: 32 })
  assert.equal(refusalOf('{"a":['.repeat(17) + ']}'.repeat(17)).kind, 'too_deep')
  assert.equal(refusalOf('[[]]', { depth: 1 }).kind, 'too_deep')
})

test('brackets in a string have no depth', () => {
  assert.equal(valueOf(`"${'[{'.repeat(1_000)}"`), '[{'.repeat(1_000))
})

test('10,000 members are read and 10,001 are refused, all objects counted together', () => {
  const members = (count: number) => Array.from({ length: count }, (_, i) => `"k${i}":${i}`).join(',')
  assert.ok(parseStrictJson(`{${members(10_000)}}`).ok)
  assert.equal(refusalOf(`{${members(10_001)}}`).kind, 'too_many_keys')
  assert.equal(refusalOf(`[{${members(5_001)}},{${members(5_000)}}]`).kind, 'too_many_keys')
  assert.deepEqual(refusalOf('{"a":1,"b":2}', { keys: 1 }), { kind: 'too_many_keys', at: 7, most: 1 })
})

test('20,000 elements are read and 20,001 are refused, all arrays counted together', () => {
  const elements = (count: number) => Array.from({ length: count }, (_, i) => i).join(',')
  assert.ok(parseStrictJson(`[${elements(20_000)}]`).ok)
  assert.equal(refusalOf(`[${elements(20_001)}]`).kind, 'too_many_elements')
  assert.equal(refusalOf(`[[${elements(10_002)}],[${elements(10_001)}]]`).kind, 'too_many_elements')
  assert.ok(parseStrictJson('{"a":1,"b":2,"c":[3]}', { elements: 2 }).ok)
})

for (const { what, text, kind } of [
  { what: '100,000 brackets', text: '['.repeat(100_000), kind: 'too_deep' },
  { what: '100,000 objects in each other', text: '{"a":'.repeat(100_000), kind: 'too_deep' },
  { what: 'a million members', text: `{${Array.from({ length: 1_000_000 }, (_, i) => `"${i}":0`).join(',')}}`, kind: 'too_many_keys' },
  { what: 'a million elements', text: `[${'0,'.repeat(999_999)}0]`, kind: 'too_many_elements' },
  { what: 'a million of the same member', text: `{${'"a":0,'.repeat(1_000_000)}"a":0}`, kind: 'duplicate_key' },
  { what: 'a number with a million digits', text: '9'.repeat(1_000_000), kind: 'unsafe_number' },
  { what: 'a fraction with a million digits', text: `0.${'1'.repeat(1_000_000)}`, kind: 'unsafe_number' },
  { what: 'a million minus signs', text: '-'.repeat(1_000_000), kind: 'malformed_json' },
  { what: 'a million backslashes', text: `"${'\\'.repeat(1_000_001)}"`, kind: 'malformed_json' },
  { what: 'a million quotes', text: '"'.repeat(1_000_001), kind: 'malformed_json' },
  { what: 'a million blanks', text: `{"a"${' '.repeat(1_000_000)}`, kind: 'malformed_json' },
]) {
  test(`${what} are refused within a second and a hundred megabytes`, () => {
    const [before, start] = [process.memoryUsage().heapUsed, performance.now()]
    assert.equal(refusalOf(text).kind, kind)
    assert.ok(performance.now() - start < 1_000)
    assert.ok(process.memoryUsage().heapUsed - before < 100_000_000)
  })
}

for (const { what, poison, text } of [
  { what: 'in another text', poison: '{"h":[],"a\\\\":0}', text: '{"h":[],"a\\"":0}' },
  { what: 'in the same text', poison: '{}', text: '[{"i":1,"a\\\\":0},{"i":1,"a\\"":0}]' },
  { what: 'as a line break', poison: '{"j":[],"\\\\":0}', text: '{"j":[],"\\n":0}' },
]) {
  test(`a name is read as it is written when a name with a backslash came before it ${what}`, () => {
    parseStrictJson(poison)
    JSON.parse(poison)
    assert.equal(JSON.stringify(valueOf(text)), text)
  })
}

test('a string of a million characters is read within a second and a hundred megabytes', () => {
  const [before, start] = [process.memoryUsage().heapUsed, performance.now()]
  assert.deepEqual(valueOf(JSON.stringify({ text: 'x\n'.repeat(500_000) })), { text: 'x\n'.repeat(500_000) })
  assert.ok(performance.now() - start < 1_000)
  assert.ok(process.memoryUsage().heapUsed - before < 100_000_000)
})

/** JSON texts with names that collide often, escaped or not, at any depth. None of them has a backslash: JSON.parse is the yardstick. */
const { text: jsonText } = fc.letrec<{ text: string }>((tie) => ({
  text: fc.oneof(
    { maxDepth: 4 },
    fc.constantFrom('null', 'true', '1', '-2.5', '"x"', '"a:\\"{"', '"\\u0061"', '[]', '{}'),
    fc.array(tie('text'), { maxLength: 3 }).map((items) => `[${items.join(' , ')}]`),
    fc.array(fc.tuple(fc.constantFrom('"a"', '"\\u0061"', '"b"', '"a:{"', '""'), tie('text')), { maxLength: 3 })
      .map((members) => `{${members.map(([key, value]) => `${key} : ${value}`).join(',')}}`),
  ),
}))

test('a text is refused exactly when a name stands twice in an object, and is otherwise read as JSON.parse reads it', () => {
  fc.assert(fc.property(jsonText, (text) => {
    const parsed = parseStrictJson(text)
    const isTwice = countMembers(JSON.parse(text)) < countColons(text)
    if (parsed.ok) assert.deepEqual(parsed.value, JSON.parse(text))
    else assert.equal(parsed.refusal.kind, 'duplicate_key')
    assert.equal(parsed.ok, !isTwice)
  }), { numRuns: 2_000 })
})

function countMembers(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0
  const inner = Object.values(value).reduce((sum: number, one) => sum + countMembers(one), 0)
  return Array.isArray(value) ? inner : inner + Object.keys(value).length
}

/** The members as written: a colon outside of a string. */
const countColons = (text: string): number => text.replaceAll(/"(?:[^"\\]|\\.)*"/g, '').split(':').length - 1

test('a text that was changed at random is refused where JSON.parse refuses it, and never read as anything else', () => {
  const insert = fc.constantFrom('', '"', '{', '}', '[', ']', ':', ',', '1', '-', '.', 'e', ' ', 't', '\\n', '\u0001')
  const change = fc.record({ at: fc.nat(), insert })
  fc.assert(fc.property(jsonText, fc.array(change, { minLength: 1, maxLength: 3 }), (text, changes) => {
    const changed = changes.reduce((one, { at, insert }) => one.slice(0, at % one.length) + insert + one.slice((at % one.length) + 1), `${text} `)
    const parsed = parseStrictJson(changed)
    if (parsed.ok) assert.deepEqual(parsed.value, JSON.parse(changed))
    else if (parsed.refusal.kind === 'malformed_json') assert.throws(() => JSON.parse(changed), SyntaxError)
  }), { numRuns: 5_000 })
})

test('whatever JavaScript prints, but for its largest numbers, is read back', () => {
  const safe = fc.oneof(fc.maxSafeInteger(), fc.double({ noNaN: true, noDefaultInfinity: true, min: -1e15, max: 1e15 }))
  const value = fc.dictionary(fc.string(), fc.oneof(safe, fc.string({ unit: 'grapheme' }), fc.boolean(), fc.array(safe)))
  fc.assert(fc.property(value, (one) => {
    const text = JSON.stringify(one)
    const parsed = parseStrictJson(text)
    if (parsed.ok) assert.equal(JSON.stringify(parsed.value), text)
    else assert.ok(parsed.refusal.kind === 'forbidden_key' || parsed.refusal.kind === 'unsafe_text')
  }))
})

test('read exactly, no number loses anything, and what is no JSON of one meaning is refused all the same', () => {
  const text = '{"n":9223372036854775807,"m":-9223372036854775808,"f":1.0,"e":1e2,"z":-0,"long":100000000000000000000}'
  const read = parseExactJson(text)
  assert.ok(read.ok)
  assert.equal(exactText(read.value), text)
  assert.equal((read.value as ExactRecord).n, 9_223_372_036_854_775_807n)
  for (const kind of ['f', 'e', 'z', 'long']) assert.ok((read.value as ExactRecord)[kind] instanceof InexactNumber, kind)
  for (const [wrong, kind] of [['{"a":1,"a":1}', 'duplicate_key'], ['{"a":01}', 'malformed_json'], ['{"__proto__":1}', 'forbidden_key'], ['{"a":"\\u0000"}', 'unsafe_text']] as const) {
    const refused = parseExactJson(wrong)
    assert.equal(refused.ok ? 'read' : refused.refusal.kind, kind)
  }
})
