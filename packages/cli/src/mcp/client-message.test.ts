import assert from 'node:assert/strict'
import { test } from 'node:test'
import { cancelledIn, readClientMessage, type ClientNotification, type ClientRequest } from './client-message.ts'
import { paramHeadersIn, requestHeaders } from './param-headers.ts'

const bytesOf = (text: string): Uint8Array<ArrayBuffer> => new Uint8Array(Buffer.from(text))
const read = (text: string) => readClientMessage(bytesOf(text))

for (const { when, text, is } of [
  { when: 'a request has an id of any length', text: '{"jsonrpc":"2.0","id":90071992547409931,"method":"ping"}', is: { kind: 'request', id: '90071992547409931' } },
  { when: 'a request names its revision', text: '{"id":"a","method":"ping","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}', is: { kind: 'request', id: '"a"', version: '2026-07-28' } },
  { when: 'a notification has no id', text: '{"jsonrpc":"2.0","method":"notifications/initialized"}', is: { kind: 'notification', version: undefined } },
  { when: 'a response has no method', text: '{"jsonrpc":"2.0","id":"writ-1","result":{}}', is: { kind: 'response', id: '"writ-1"' } },
  { when: 'a name stands twice', text: '{"id":7,"method":"a","method":"b"}', is: { kind: 'unreadable', id: '7', code: -32600 } },
  { when: 'it is no JSON', text: '{"id":7', is: { kind: 'unreadable', id: undefined, code: -32700 } },
  { when: 'several come at once', text: '[{"id":7,"method":"a"}]', is: { kind: 'unreadable', id: undefined, code: -32600 } },
]) {
  test(`a client's message is understood when ${when}`, () => {
    const message = read(text)
    assert.deepEqual(Object.fromEntries(Object.keys(is).map((name) => [name, (message as Record<string, unknown>)[name]])), is)
    if ('bytes' in message) assert.equal(Buffer.from(message.bytes).toString(), text)
  })
}

test('a cancellation names its request as the request was named', () => {
  const of = (id: string): string | undefined => cancelledIn(read(`{"method":"notifications/cancelled","params":{"requestId":${id}}}`) as ClientNotification)
  assert.deepEqual([of('9007199254740993'), of('"x"'), of('null')], ['9007199254740993', '"x"', undefined])
})

test('what a tool wants to see in headers is said there, coded where it is not plain', () => {
  const known = paramHeadersIn([{ name: 'query', inputSchema: { properties: { region: { 'type': 'string', 'x-mcp-header': 'Region' }, of: { properties: { size: { 'type': 'integer', 'x-mcp-header': 'Size' } } } } } },
    { name: 'unsound', inputSchema: { properties: { not: { items: { 'type': 'string', 'x-mcp-header': 'No' } } } } }])
  const headersOf = (args: string): Readonly<Record<string, string>> => {
    const message = read(`{"id":1,"method":"tools/call","params":{"name":"query","arguments":${args}}}`) as ClientRequest
    return requestHeaders({ ...message, version: '2026-07-28' }, known)
  }
  const base = { 'mcp-protocol-version': '2026-07-28', 'mcp-method': 'tools/call', 'mcp-name': 'query' }
  assert.deepEqual(headersOf('{"region":"us-west1","of":{"size":9007199254740991}}'), { ...base, 'mcp-param-region': 'us-west1', 'mcp-param-size': '9007199254740991' })
  // Out of the range that a double holds it is in no header, and the gateway wants it in none.
  assert.deepEqual(headersOf('{"of":{"size":9007199254740993}}'), base)
  assert.deepEqual(headersOf('{"region":"Zürich\\nX: y"}'), { ...base, 'mcp-param-region': `=?base64?${Buffer.from('Zürich\nX: y').toString('base64')}?=` })
  assert.deepEqual(headersOf('{"region":null}'), base)
})
