import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ExactRecord } from '@writ/domain/exact'
import { exactOf, readJson } from './json-text.ts'
import { pinTools, shownInput, type PinnedTool } from './pin-tools.ts'
import { readTools } from './tools.ts'

const PIN = `sha256:${'A'.repeat(43)}`
const tool = (more: Partial<PinnedTool> = {}): PinnedTool =>
  ({ server: 'mail', name: 'look', effect: 'read', reversible: true, labels: [], trust: null, pin: PIN, public: [], description: null, input: { type: 'object' }, ...more })

const written = (text: string | undefined, ...tools: readonly PinnedTool[]): string => {
  const pinned = pinTools(text, tools)
  return pinned.ok ? pinned.value : assert.fail(pinned.refusal.message)
}
const readBack = (text: string) => {
  const file = readJson('tools.json', text)
  return file.ok ? readTools(file.value) : assert.fail(file.refusal.message)
}
const exact = (text: string): ExactRecord => {
  const file = readJson('x', text)
  return file.ok ? exactOf(file.value.root) as ExactRecord : assert.fail(file.refusal.message)
}

test('a tool that is pinned is read back with its pin and everything that was said of it', () => {
  const text = written(undefined, tool({ labels: ['pii'], trust: 'untrusted', description: 'Looks "around"', input: exact('{"type":"object","properties":{"id":{"type":"integer"}}}') }))
  const { tools, complaints } = readBack(text)
  assert.deepEqual(complaints, [])
  assert.deepEqual(tools.map(({ id, effect, reversible, labels, trust, pin, argumentsType }) => [id, effect, reversible, labels, trust, pin, argumentsType]), [
    ['mail/look', 'read', true, ['pii'], 'untrusted', PIN, '{ "id"?: Long }'],
  ])
})

test('a tool takes the place of what the file had of its name, and of all others not a digit changes', () => {
  const before = '[{"server":"bank","name":"pay","effect":"external","input":{"type":"object","properties":{"amount":{"type":"integer","maximum":9223372036854775807,"multipleOf":0.10}}}},'
    + '{"server":"mail","name":"look","effect":"write"},{"server":"mail","name":"send","effect":"external","trust":"x"}]'
  const after = written(before, tool({ name: 'new' }), tool())
  assert.deepEqual(readBack(after).tools.map((one) => [one.id, one.effect, one.pin ?? null]), [
    ['bank/pay', 'external', null], ['mail/look', 'read', PIN], ['mail/send', 'external', null], ['mail/new', 'read', PIN],
  ])
  assert.match(after, /"maximum": 9223372036854775807,\s+"multipleOf": 0\.10/)
  assert.equal(written(after, tool()), after)
})

test('a file that is no JSON is not overwritten', () => {
  const pinned = pinTools('[', [tool()])
  assert.ok(!pinned.ok && pinned.refusal.file === 'tools.json')
})

for (const pin of ['', 'sha256:', `sha256:${'A'.repeat(42)}`, `sha256:${'A'.repeat(44)}`, `sha256:${'A'.repeat(42)}=`, `SHA256:${'A'.repeat(43)}`, `${PIN}\n`]) {
  test(`a pin ${JSON.stringify(pin)} is refused by its place`, () => {
    const { tools, complaints } = readBack(written(undefined, tool({ pin })))
    assert.deepEqual([tools.length, complaints.map((one) => one.message)], [0, ['`pin` is `sha256:` and 43 characters of base64url']])
  })
}

for (const { what, schema, input, unshown } of [
  { what: 'has types for all', schema: '{"type":"object","properties":{"a":{"type":"string"}},"additionalProperties":false}', input: 'same', unshown: [] },
  { what: 'says nothing', schema: 'null', input: '{"type":"object"}', unshown: [] },
  {
    what: 'lets several types through in one', schema: '{"type":"object","properties":{"a":{"type":"string"},"b":{"type":["string","array"]}},"required":["a","b"]}',
    input: '{"type":"object","properties":{"a":{"type":"string"}},"required":["a"]}', unshown: ['b'],
  },
  {
    what: 'does not name all its members', schema: '{"type":"object","properties":{"a":{"type":"string"}},"additionalProperties":{"type":"string"}}',
    input: '{"type":"object","properties":{"a":{"type":"string"}},"required":[]}', unshown: [],
  },
  {
    what: 'refers to its own parts', schema: '{"properties":{"a":{"$ref":"#/$defs/text"},"b":{"$ref":"#/$defs/any"}},"$defs":{"text":{"type":"string"},"any":true}}',
    input: '{"properties":{"a":{"$ref":"#/$defs/text"}},"$defs":{"text":{"type":"string"},"any":true},"type":"object","required":[]}', unshown: ['b'],
  },
  { what: 'has a name that is Cedar\'s own', schema: '{"type":"object","properties":{"__x":{"type":"string"}}}', input: '{"type":"object","properties":{},"required":[]}', unshown: ['__x'] },
  { what: 'is no schema', schema: '{"type":"array"}', input: '{"type":"object","properties":{},"required":[]}', unshown: [] },
]) {
  test(`of arguments whose schema ${what}, policies are shown what has a type`, () => {
    const shown = shownInput((exact(`{"s":${schema}}`))['s'])
    assert.deepEqual(shown, { input: input === 'same' ? exact(schema) : exact(input), unshown })
    assert.deepEqual(readBack(written(undefined, tool({ input: shown.input }))).complaints, [])
  })
}

const PATHS = exact('{"type":"object","properties":{"path":{"type":"string"},"head":{"type":"integer"},"deep":{"type":"object","properties":{"inner":{"type":"string"}}}}}')

test('arguments that a person made public are read back, and without the word none is', () => {
  const first = written(undefined, tool({ public: ['path', 'head'], input: PATHS }))
  assert.deepEqual(readBack(first).tools.map((one) => one.public), [['path', 'head']])
  const second = written(first, tool({ input: PATHS }))
  assert.deepEqual([readBack(second).tools.map((one) => one.public), second.includes('public')], [[[]], false])
})

const LIST = '`public` is a list of at most 16 names of arguments, each once'
for (const { what, open, message, hint } of [
  { what: 'is mistyped', open: ['paht'], message: 'the tool has no argument `paht`', hint: 'did you mean `path`?' },
  { what: 'is none of them', open: ['path', 'contents'], message: 'the tool has no argument `contents`', hint: undefined },
  { what: 'stands inside of another', open: ['inner'], message: 'the tool has no argument `inner`', hint: undefined },
  { what: 'is of every object', open: ['constructor'], message: 'the tool has no argument `constructor`', hint: undefined },
  { what: 'stands there twice', open: ['path', 'path'], message: LIST, hint: undefined },
  { what: 'is one of too many', open: Array.from({ length: 17 }, (_, i) => `a${i}`), message: LIST, hint: undefined },
  { what: 'is longer than any', open: ['p'.repeat(201)], message: LIST, hint: undefined },
  { what: 'is no name', open: [7n as never], message: LIST, hint: undefined },
]) {
  test(`a public argument that ${what} is refused by its place`, () => {
    const { tools, complaints } = readBack(written(undefined, tool({ public: open, input: PATHS })))
    assert.deepEqual([tools.length, complaints.map((one) => [one.message, one.hint])], [0, [[message, hint]]])
  })
}
