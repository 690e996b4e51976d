import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { parse } from 'lossless-json'
import { findFlaw, type JsonLimits } from './json-flaw.ts'
import { readJson } from './json-reader.ts'

const MOST: JsonLimits = { depth: 5, keys: 12, elements: 12 }
const isLong = (number: string): boolean => number.length > 6

/** Another reader of JSON, which takes any text, after the pass that finds flaws. */
function readOtherwise(text: string): { readonly value: unknown } | undefined {
  try {
    return findFlaw(text, MOST, isLong) === undefined ? { value: parse(text, null, (number) => `number ${number}`) } : undefined
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}

const read = (text: string): { readonly value: unknown } | undefined => readJson(text, MOST, (number) => (isLong(number) ? undefined : `number ${number}`))

const blank = fc.constantFrom('', '', '', ' ', '\n', '\t\r ')
const string = fc.oneof(
  fc.constantFrom('"a"', '"\\u0061"', '"a\\\\"', '"a\\""', '"\\n"', '"\\/"', '""', '"__proto__"', '"\\u005f_proto__"', '"constructor"', '"\\ud83d\\ude00"', '"\\ud83d"', '"😀"', '"\\u0000"'),
  fc.string({ unit: 'binary' }).map((one) => JSON.stringify(one)),
)
const number = fc.oneof(fc.constantFrom('0', '-0', '1', '-1', '1.5', '1e5', '-1.0E+2', '123456', '1234567', '0.1'), fc.integer().map(String), fc.double().map(String))
const { text: jsonText } = fc.letrec<{ text: string }>((tie) => ({
  text: fc.oneof(
    { maxDepth: 6 },
    { weight: 2, arbitrary: fc.constantFrom('null', 'true', 'false', '[]', '{}', '[ ]', '{ }') },
    { weight: 2, arbitrary: string },
    { weight: 2, arbitrary: number },
    { weight: 3, arbitrary: fc.tuple(blank, fc.array(tie('text'), { maxLength: 5 })).map(([space, items]) => `[${space}${items.join(`${space},${space}`)}${space}]`) },
    { weight: 3, arbitrary: fc.tuple(blank, fc.array(fc.tuple(string, tie('text')), { maxLength: 5 }))
      .map(([space, members]) => `{${space}${members.map(([name, value]) => `${name}${space}:${space}${value}`).join(`${space},${space}`)}${space}}`) },
  ),
}))

test('a text is read exactly where it has no flaw and another reader of JSON takes it, and as that reader takes it', () => {
  const counts = { read: 0, refused: 0 }
  fc.assert(fc.property(jsonText, (text) => {
    const [ours, theirs] = [read(text), readOtherwise(text)]
    assert.deepEqual(ours, theirs)
    counts[ours === undefined ? 'refused' : 'read'] += 1
  }), { numRuns: 5000 })
  assert.ok(counts.read > 500 && counts.refused > 500, JSON.stringify(counts))
})

test('the same holds of a text that was changed at random', () => {
  const insert = fc.constantFrom('', '"', '{', '}', '[', ']', ':', ',', '1', '-', '.', 'e', '+', ' ', 't', 'n', '\\', '\\n', '\\u', '\u0001', '\u00a0', '\ufeff', '\ud800', '0')
  const change = fc.record({ at: fc.nat(), insert })
  fc.assert(fc.property(jsonText, fc.array(change, { minLength: 1, maxLength: 3 }), (text, changes) => {
    const changed = changes.reduce((one, { at, insert: more }) => one.slice(0, at % one.length) + more + one.slice((at % one.length) + 1), `${text} `)
    assert.deepEqual(read(changed), readOtherwise(changed))
  }), { numRuns: 10_000 })
})

test('what a name reaches is never the prototype of what is read', () => {
  for (const name of ['"__proto__"', '"\\u005f\\u005fproto__"', '"constructor"', '"prototype"']) assert.equal(read(`{${name}:{"polluted":1}}`), undefined)
  assert.equal(({} as { polluted?: unknown }).polluted, undefined)
})
