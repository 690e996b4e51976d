import assert from 'node:assert/strict'
import { test } from 'node:test'
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
  assert.deepEqual(headersFor(marks, { region: 'x', at: { size: 9007199254740993n }, dry: false, free: 'y' }), { 'mcp-param-Region': 'x', 'mcp-param-Size': '9007199254740993', 'mcp-param-Dry': 'false' })
  assert.deepEqual(headersFor(marks, { region: null, at: 'x' }), {})
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
