import assert from 'node:assert/strict'
import { hash } from 'node:crypto'
import { test } from 'node:test'
import { canonical } from '@writ/ledger/canonical'
import fc from 'fast-check'
import { canonicalText, pinOf, PSEUDO_TOOLS, readDefinition, readList } from './definition.ts'
import { proposalOf } from './proposal.ts'

const read = (text: string) => {
  const found = readDefinition(text)
  return found.ok ? found.value : assert.fail(found.refusal)
}

test('a tool is pinned by the SHA-256 of its canonical definition, in base64url', () => {
  const tool = read('{ "name": "look", "inputSchema": {"b":1.0, "a":[true,null,"é"]} }')
  assert.equal(tool.text, '{"inputSchema":{"a":[true,null,"é"],"b":1},"name":"look"}')
  assert.equal(tool.hash, `sha256:${hash('sha256', tool.text, 'base64url')}`)
  assert.match(tool.hash, /^sha256:[A-Za-z0-9_-]{43}$/)
})

test('the order of members and the way a number or a character is written change no pin', () => {
  const pins = ['{"name":"look","a":{"x":1e2,"10":1,"9":"\\u00e9"}}', '{"a":{"9":"é","10":1.0,"x":100},"name":"look"}'].map((text) => read(text).hash)
  assert.equal(pins[0], pins[1])
})

test('whatever a server says of its tool is part of the pin', () => {
  const base = { name: 'look', title: 'Look', description: 'Looks', inputSchema: { type: 'object', properties: {} }, outputSchema: { type: 'object' }, annotations: { readOnlyHint: true }, icons: [], _meta: { a: 1 } }
  const pins = Object.keys(base).map((name) => read(JSON.stringify({ ...base, [name]: name === 'name' ? 'see' : name === 'icons' ? [1] : { other: true }, more: name })).hash)
  assert.equal(new Set([...pins, read(JSON.stringify(base)).hash]).size, pins.length + 1)
})

test('two numbers that a double takes for one are two pins', () => {
  const pins = ['9007199254740993', '9007199254740992', '0.1', '0.10000000000000000555', '1e400', '2e400'].map((number) => read(`{"name":"look","most":${number}}`).hash)
  assert.equal(new Set(pins).size, pins.length)
})

test('of JSON that doubles hold, the canonical form is that of RFC 8785', () => {
  fc.assert(fc.property(fc.jsonValue({ noUnicodeString: false }), (value) => {
    const text = JSON.stringify({ name: 'look', value })
    const found = readDefinition(text)
    // What holds half of a pair, U+0000 or a name that reaches a prototype is left out.
    if (found.ok) assert.equal(found.value.text, canonical(JSON.parse(text)))
  }))
})

test('the canonical form of a canonical form is itself', () => {
  fc.assert(fc.property(fc.jsonValue(), (value) => {
    const found = readDefinition(JSON.stringify({ name: 'look', value }))
    if (found.ok) assert.equal(read(found.value.text).text, canonicalText(found.value.value))
  }))
})

for (const { what, text, because } of [
  { what: 'is no JSON', text: '{', because: 'malformed' },
  { what: 'is no object', text: '["look"]', because: 'malformed' },
  { what: 'has one name twice', text: '{"name":"look","name":"send"}', because: 'malformed' },
  { what: 'reaches for a prototype', text: '{"name":"look","__proto__":{}}', because: 'malformed' },
  { what: 'is 10^5 deep', text: `{"name":"look","a":${'['.repeat(1e5)}${']'.repeat(1e5)}}`, because: 'malformed' },
  { what: 'has no name', text: '{}', because: 'bad_name' },
  { what: 'has a name with a blank', text: '{"name":"look at"}', because: 'bad_name' },
  { what: 'has a name with a line end', text: '{"name":"look\\n"}', because: 'bad_name' },
  { what: 'has a name that is too long', text: `{"name":"${'a'.repeat(201)}"}`, because: 'bad_name' },
  { what: 'is too large', text: JSON.stringify({ name: 'look', description: 'x'.repeat(262_144) }), because: 'too_large' },
]) {
  test(`a definition that ${what} is no tool`, () => {
    const found = readDefinition(text)
    assert.deepEqual(found, { ok: false, refusal: because })
  })
}

test('of two tools of one name neither is a tool, and nobody takes the names of what is no tool', () => {
  const list = readList(['{"name":"a"}', '{"name":"b","v":1}', '{"name":"b","v":2}', '{"name":"resources/read"}', 'x'], ['resources'])
  assert.deepEqual(list.tools.map((one) => one.name), ['a', 'resources/read'])
  assert.equal(list.tools[1], PSEUDO_TOOLS[0]!.definition)
  assert.deepEqual(list.leftOut, [{ because: 'name_reserved', count: 1 }, { because: 'malformed', count: 1 }, { because: 'named_twice', count: 1 }])
})

for (const parameter of ['constructor', 'prototype', '__proto__']) {
  test(`a tool with a parameter called \`${parameter}\` is left out by its name, and takes no other with it`, () => {
    const text = `{"name":"odd","inputSchema":{"type":"object","properties":{"${parameter}":{"type":"string"}}}}`
    const list = readList(['{"name":"a"}', text, '{"name":"b\\u200b","name":"b"}'], [])
    assert.deepEqual(list.tools.map((one) => one.name), ['a'])
    assert.deepEqual([list.leftOut, list.unreadable], [[{ because: 'malformed', count: 2 }], [{ name: 'odd', because: 'malformed', hash: pinOf(text) }]])
  })
}

test('a name that nobody can see as it is names no entry', () => {
  for (const name of ['b\\u200b', 'a b', '', '\\ud800', 'x'.repeat(300)]) assert.deepEqual(readList([`{"name":"${name}","constructor":1}`], []).unreadable, [])
})

test('a list that does not end is cut, and what was cut is counted', () => {
  const many = readList(Array.from({ length: 1200 }, (_, i) => `{"name":"t${i}"}`), [])
  assert.deepEqual([many.tools.length, many.leftOut], [1000, [{ because: 'too_many', count: 200 }]])
  const large = readList(Array.from({ length: 40 }, (_, i) => JSON.stringify({ name: `t${i}`, description: 'x'.repeat(200_000) })), [])
  assert.deepEqual([large.tools.length, large.leftOut], [20, [{ because: 'too_many', count: 20 }]])
})

/** People's policies hold these: a change here has to be meant. */
test('what stands for resources, prompts and completions has the pins that it always had', () => {
  assert.deepEqual(PSEUDO_TOOLS.map(({ definition: { name, hash: pin } }) => [name, pin]), [
    ['resources/read', 'sha256:U8EJQsIoA9hP_Dydw4pFGfwQpNmuV1QWPaU3DF_FDwo'],
    ['prompts/get', 'sha256:rkiSmGN3Do4W41EP_QB8NWiKNMjsx57ATcoBdZD_JnY'],
    ['completion/complete', 'sha256:pt8J2LLLz9w3wv-QT6P2qRivC5reECX0x05LoL0WxCw'],
  ])
})

for (const { annotations, effect, reversible, trust } of [
  { annotations: undefined, effect: 'external', reversible: false, trust: 'untrusted' },
  { annotations: { readOnlyHint: true }, effect: 'read', reversible: true, trust: 'untrusted' },
  { annotations: { readOnlyHint: true, openWorldHint: false }, effect: 'read', reversible: true, trust: null },
  { annotations: { openWorldHint: false }, effect: 'write', reversible: false, trust: null },
  { annotations: { openWorldHint: false, destructiveHint: false }, effect: 'write', reversible: true, trust: null },
  { annotations: { openWorldHint: true, destructiveHint: false }, effect: 'external', reversible: true, trust: 'untrusted' },
  { annotations: { readOnlyHint: 'true', destructiveHint: 0, openWorldHint: 'false' }, effect: 'external', reversible: false, trust: 'untrusted' },
  { annotations: ['readOnlyHint'], effect: 'external', reversible: false, trust: 'untrusted' },
]) {
  test(`hints ${JSON.stringify(annotations)} come to ${effect}${reversible ? ', reversible' : ''}${trust === null ? '' : `, ${trust}`}`, () => {
    assert.deepEqual(proposalOf(read(JSON.stringify({ name: 'look', annotations }))), { effect, reversible, labels: [], trust, public: [] })
  })
}
