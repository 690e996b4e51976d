import assert from 'node:assert/strict'
import { test } from 'node:test'
import { mirrored, paramHeadersOf as wantedByGateway } from '@writ/contract/param-headers'
import { parseExactJson } from '@writ/contract/strict-json'
import fc from 'fast-check'
import { jsonOf, type Arguments } from './arguments.ts'
import { headersFor, headerValue, paramHeadersOf } from './param-headers.ts'

/** Those of MCP 2026-07-28, Streamable HTTP, "Value Encoding". */
for (const { value, header } of [
  { value: 'us-west1', header: 'us-west1' },
  { value: 'Hello, 世界', header: '=?base64?SGVsbG8sIOS4lueVjA==?=' },
  { value: ' padded ', header: '=?base64?IHBhZGRlZCA=?=' },
  { value: 'line1\nline2', header: '=?base64?bGluZTEKbGluZTI=?=' },
  { value: '=?base64?literal?=', header: '=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?=' },
  { value: 'a b\tc', header: 'a b\tc' },
  { value: '', header: '=?base64??=' },
]) {
  test(`a header says ${JSON.stringify(value)} as ${header}`, () => {
    assert.equal(headerValue(value), header)
  })
}

const text = (more: object = {}): object => ({ type: 'string', ...more })
const REGION = { 'x-mcp-header': 'Region' }

test('arguments stand in headers where the schema says so, and are left out where there is none', () => {
  const marks = paramHeadersOf({
    type: 'object',
    properties: { region: text(REGION), at: { type: 'object', properties: { size: { type: 'integer', 'x-mcp-header': 'Size' } } }, dry: { type: 'boolean', 'x-mcp-header': 'Dry' }, free: text() },
  })!
  assert.deepEqual(headersFor(marks, { region: 'x', at: { size: 9007199254740991n }, dry: false, free: 'y' }), { 'mcp-param-Region': 'x', 'mcp-param-Size': '9007199254740991', 'mcp-param-Dry': 'false' })
  for (const at of ['x', { size: 9007199254740993n }, { size: 1.5 }, { size: 2 ** 53 }]) assert.deepEqual(headersFor(marks, { region: null, at }), {})
  assert.deepEqual(paramHeadersOf({ type: 'object' }), [])
})

for (const { what, schema } of [
  { what: 'no text', schema: { properties: { a: text({ 'x-mcp-header': 7 }) } } },
  { what: 'empty', schema: { properties: { a: text({ 'x-mcp-header': '' }) } } },
  { what: 'no name of a header', schema: { properties: { a: text({ 'x-mcp-header': 'a b' }) } } },
  { what: 'there twice', schema: { properties: { a: text(REGION), b: text({ 'x-mcp-header': 'region' }) } } },
  { what: 'on a number', schema: { properties: { a: { type: 'number', ...REGION } } } },
  { what: 'on an object', schema: { properties: { a: { type: 'object', ...REGION } } } },
  { what: 'on the whole', schema: { type: 'object', ...REGION } },
  { what: 'in a list', schema: { properties: { a: { type: 'array', items: text(REGION) } } } },
  { what: 'in a choice', schema: { properties: { a: { anyOf: [text(REGION)] } } } },
  { what: 'in a condition', schema: { if: { properties: { a: text(REGION) } } } },
  { what: 'behind a reference', schema: { $defs: { a: text(REGION) }, properties: { a: { $ref: '#/$defs/a' } } } },
]) {
  test(`a tool is not used whose mark is ${what}`, () => {
    assert.equal(paramHeadersOf(schema), undefined)
  })
}

const NAMES = fc.constantFrom('a', 'b', 'c')
const KEYWORDS = {
  'type': fc.constantFrom('string', 'integer', 'boolean', 'object', 'number'), 'x-mcp-header': fc.constantFrom('A', 'a', 'B', 'C', 'c c', '', 7), 'default': fc.constant({ 'x-mcp-header': 'A' }),
}
const schemasAbove = (below: fc.Arbitrary<object>) => fc.record(
  { ...KEYWORDS, properties: fc.dictionary(NAMES, below, { maxKeys: 2, noNullPrototype: true }), anyOf: fc.array(below, { maxLength: 1 }), items: below }, { requiredKeys: ['type'], noNullPrototype: true },
)
const SCHEMAS = schemasAbove(schemasAbove(fc.record(KEYWORDS, { requiredKeys: ['type'], noNullPrototype: true })))
const PLAIN = fc.oneof(fc.string(), fc.boolean(), fc.constant(null), fc.maxSafeInteger(), fc.double({ noNaN: true, noDefaultInfinity: true }), fc.bigInt({ min: -(2n ** 60n), max: 2n ** 60n }), fc.constantFrom(2 ** 53, -(2 ** 53), 2n ** 53n, -0))
const ARGS = fc.dictionary(NAMES, fc.oneof(PLAIN, fc.dictionary(NAMES, PLAIN, { noNullPrototype: true })), { noNullPrototype: true })

test('what goes into headers is what the gateway wants there, whatever the schema and the arguments', () => {
  fc.assert(fc.property(fc.dictionary(NAMES, SCHEMAS, { maxKeys: 3, noNullPrototype: true }), ARGS, (properties, args) => {
    const schema = { type: 'object', properties }
    const exact = (value: unknown) => {
      const read = parseExactJson(jsonOf(value))
      return read.ok ? read.value : assert.fail(read.refusal.kind)
    }
    const [marks, wanted] = [paramHeadersOf(schema), wantedByGateway(exact(schema))]
    assert.equal(marks === undefined, wanted === undefined)
    if (marks === undefined || wanted === undefined) return
    const sent = Object.entries(headersFor(marks, args as Arguments)).map(([name, value]) => [name.toLowerCase(), value])
    assert.deepEqual(Object.fromEntries(sent), mirrored(wanted, exact(args)))
  }), { numRuns: 1000 })
})
