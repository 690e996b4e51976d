import assert from 'node:assert/strict'
import { test } from 'node:test'
import { headerValue, mirrored, nameOf, paramHeadersOf } from './param-headers.ts'

// The values of the specification's own table (2026-07-28, basic/transports/streamable-http, value encoding).
for (const [text, value] of [
  ['us-west1', 'us-west1'], ['Hello, 世界', '=?base64?SGVsbG8sIOS4lueVjA==?='], [' padded ', '=?base64?IHBhZGRlZCA=?='], ['line1\nline2', '=?base64?bGluZTEKbGluZTI=?='],
  ['=?base64?literal?=', '=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?='], ['a b', 'a b'], ['a\tb', 'a\tb'], ['', '=?base64??='], ['\t', '=?base64?CQ==?='], ['a\r\nx-other: 1', '=?base64?YQ0KeC1vdGhlcjogMQ==?='], ['a\u0000', '=?base64?YQA=?='],
  ['=?base64?', '=?base64?'],
] as const) {
  test(`\`${JSON.stringify(text)}\` goes in a header as \`${value}\``, () => { assert.equal(headerValue(text), value) })
}

const schema = (properties: Record<string, never> | object) => ({ type: 'object', properties }) as never

for (const { what, inputSchema, isSound } of [
  { what: 'strings, integers and booleans, also in objects', inputSchema: schema({ a: { type: 'string', 'x-mcp-header': 'A' }, b: { type: 'object', properties: { c: { type: 'integer', 'x-mcp-header': 'C' }, d: { type: 'boolean', 'x-mcp-header': 'D' } } } }), isSound: true },
  { what: 'nothing', inputSchema: schema({ a: { type: 'string' } }), isSound: true },
  { what: 'a number', inputSchema: schema({ a: { type: 'number', 'x-mcp-header': 'A' } }), isSound: false },
  { what: 'an object', inputSchema: schema({ a: { type: 'object', 'x-mcp-header': 'A' } }), isSound: false },
  { what: 'the same header twice in other letters', inputSchema: schema({ a: { type: 'string', 'x-mcp-header': 'A' }, b: { type: 'string', 'x-mcp-header': 'a' } }), isSound: false },
  { what: 'no name', inputSchema: schema({ a: { type: 'string', 'x-mcp-header': '' } }), isSound: false },
  { what: 'a name that ends the header', inputSchema: schema({ a: { type: 'string', 'x-mcp-header': 'A\r\nhost' } }), isSound: false },
  { what: 'a name that is no text', inputSchema: schema({ a: { type: 'string', 'x-mcp-header': true } }), isSound: false },
  { what: 'an element of a list', inputSchema: schema({ a: { type: 'array', items: { type: 'string', 'x-mcp-header': 'A' } } }), isSound: false },
  { what: 'a choice', inputSchema: { type: 'object', anyOf: [{ properties: { a: { type: 'string', 'x-mcp-header': 'A' } } }] } as never, isSound: false },
  { what: 'a reference', inputSchema: { type: 'object', $defs: { a: { type: 'string', 'x-mcp-header': 'A' } } } as never, isSound: false },
  { what: 'the root', inputSchema: { type: 'string', 'x-mcp-header': 'A' } as never, isSound: false },
  { what: 'a default that only looks like it', inputSchema: schema({ a: { type: 'object', default: { 'x-mcp-header': 'A' } } }), isSound: true },
]) {
  test(`a tool that wants in a header ${what} is ${isSound ? 'sound' : 'not'}`, () => { assert.equal(paramHeadersOf(inputSchema) !== undefined, isSound) })
}

test('arguments are mirrored where the schema says so, and nothing else is', () => {
  const wanted = paramHeadersOf(schema({
    region: { type: 'string', 'x-mcp-header': 'Region' }, size: { type: 'integer', 'x-mcp-header': 'Size' }, isNew: { type: 'boolean', 'x-mcp-header': 'New' }, other: { type: 'string' },
    inner: { type: 'object', properties: { deep: { type: 'string', 'x-mcp-header': 'Deep' } } },
  }))!
  assert.deepEqual(mirrored(wanted, { region: 'é', size: 42n, isNew: false, other: 'x', inner: { deep: 'd' } }), { 'mcp-param-region': '=?base64?w6k=?=', 'mcp-param-size': '42', 'mcp-param-new': 'false', 'mcp-param-deep': 'd' })
  assert.deepEqual(mirrored(wanted, { region: null, size: 2n ** 60n, inner: 'x' }), {})
  assert.deepEqual(mirrored(wanted, undefined), {})
})

test('the name of what a request is about is known for three methods', () => {
  assert.deepEqual([nameOf('tools/call', { name: 'a' }), nameOf('prompts/get', { name: 'b' }), nameOf('resources/read', { uri: 'c', name: 'x' }), nameOf('tools/list', { name: 'd' }), nameOf('tools/call', { name: 5n })], ['a', 'b', 'c', undefined, undefined])
})
