import assert from 'node:assert/strict'
import { test } from 'node:test'
import { InexactNumber } from '@writ/domain/exact'
import { errorText, notificationText, readRpc, resultText } from './json-rpc.ts'
import { rpcError } from './refused.ts'

test('a request, a notification and a response are told apart, and every digit stays', () => {
  assert.deepEqual(readRpc('{"jsonrpc":"2.0","id":9007199254740993,"method":"tools/call","params":{"a":1.0}}'), {
    ok: true, value: { kind: 'request', id: 9007199254740993n, message: { method: 'tools/call', params: { a: new InexactNumber('1.0') } } },
  })
  assert.deepEqual(readRpc('{"jsonrpc":"2.0","method":"notifications/initialized"}'), { ok: true, value: { kind: 'notification', message: { method: 'notifications/initialized', params: {} } } })
  assert.deepEqual(readRpc('{"jsonrpc":"2.0","id":"1","result":{"n":12345678901234567890}}'), { ok: true, value: { kind: 'response', id: '1', answer: { kind: 'result', text: '{"n":12345678901234567890}' } } })
  assert.deepEqual(readRpc('{"jsonrpc":"2.0","id":"1","error":{"code":-1,"message":"no"}}'), { ok: true, value: { kind: 'response', id: '1', answer: { kind: 'error', error: { code: -1, message: 'no' } } } })
})

for (const { what, body, code, id = null } of [
  { what: 'no JSON', body: '{', code: -32700 },
  { what: 'nothing', body: '', code: -32700 },
  { what: 'a batch', body: '[{"jsonrpc":"2.0","id":1,"method":"ping"}]', code: -32600 },
  { what: 'a number', body: '1.5', code: -32600 },
  { what: 'a member twice', body: '{"jsonrpc":"2.0","id":1,"method":"a","method":"b"}', code: -32600 },
  { what: 'a member twice, once escaped', body: '{"jsonrpc":"2.0","id":1,"method":"a","m\\u0065thod":"b"}', code: -32600 },
  { what: 'an argument twice', body: '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"arguments":{"path":"a","path":"b"}}}', code: -32600 },
  { what: 'a name that reaches a prototype', body: '{"jsonrpc":"2.0","id":1,"method":"a","params":{"__proto__":{}}}', code: -32600 },
  { what: 'another version', body: '{"jsonrpc":"1.0","id":1,"method":"a"}', code: -32600, id: 1n },
  { what: 'an id of null', body: '{"jsonrpc":"2.0","id":null,"method":"a"}', code: -32600 },
  { what: 'an id that is no whole number', body: '{"jsonrpc":"2.0","id":1.0,"method":"a"}', code: -32600 },
  { what: 'a method that is no text', body: '{"jsonrpc":"2.0","id":"x","method":1}', code: -32600, id: 'x' },
  { what: 'parameters in a list', body: '{"jsonrpc":"2.0","id":"x","method":"a","params":[]}', code: -32602, id: 'x' },
  { what: 'a response that is both', body: '{"jsonrpc":"2.0","id":"x","result":{},"error":{"code":1,"message":"x"}}', code: -32600, id: 'x' },
  { what: 'a response to nothing', body: '{"jsonrpc":"2.0","result":{}}', code: -32600 },
  { what: 'a depth without end', body: '['.repeat(100_000), code: -32600 },
] as const) {
  test(`${what} is refused`, () => {
    const read = readRpc(body)
    assert.ok(!read.ok)
    assert.deepEqual([read.refusal.error.code, read.refusal.id], [code, id])
  })
}

test('answers are written with the id as it was', () => {
  assert.equal(resultText(9007199254740993n, '{"n":1.0}'), '{"jsonrpc":"2.0","id":9007199254740993,"result":{"n":1.0}}')
  assert.equal(errorText(null, rpcError(-32700, 'no')), '{"jsonrpc":"2.0","error":{"code":-32700,"message":"no"}}')
  assert.equal(notificationText({ method: 'notifications/tools/list_changed', params: {} }), '{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}')
})
