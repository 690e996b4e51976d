import assert from 'node:assert/strict'
import { test } from 'node:test'
import { InexactNumber } from '@writ/domain/exact'
import { answerText, memberRecord, memberString, notificationText, readMessage, requestText } from './message.ts'

const read = (text: string) => {
  const got = readMessage(text)
  return got.ok ? got.value : got.refusal.kind
}

test('a result is the text that came, with every digit', () => {
  const text = '{ "n": 9007199254740993, "f": 1.10, "e": 1E400, "s": "\\u0041" }'
  const got = read(`{"jsonrpc":"2.0","id":7,"result":${text}}`)
  assert.ok(typeof got === 'object' && got.kind === 'answer' && got.answer.kind === 'result')
  assert.equal(got.id, '7')
  assert.equal(got.answer.text, text)
  assert.deepEqual(got.answer.members.map(({ name, value, to }) => [name, text.slice(value, to)]), [['n', '9007199254740993'], ['f', '1.10'], ['e', '1E400'], ['s', '"\\u0041"']])
  assert.equal(memberString(got.answer, 's'), 'A')
  assert.equal(memberRecord(got.answer, 'n'), undefined)
})

test('a question and a notification are read with every digit; a question\'s id stays as it was written', () => {
  assert.deepEqual(read('{"jsonrpc":"2.0","id":"a\\u0041\\n","method":"elicitation/create","params":{"n":18446744073709551615,"f":0.10}}'),
    { kind: 'request', id: '"a\\u0041\\n"', message: { method: 'elicitation/create', params: { n: 18446744073709551615n, f: new InexactNumber('0.10') } } })
  assert.deepEqual(read('{"method":"notifications/x","jsonrpc":"2.0"}'), { kind: 'notification', message: { method: 'notifications/x', params: {} } })
})

for (const { text, kind } of [
  { text: '{"id":1,"result":{}}', kind: 'not_json_rpc' }, { text: '{"jsonrpc":"1.0","id":1,"result":{}}', kind: 'not_json_rpc' }, { text: '{"jsonrpc":2.0,"id":1,"result":{}}', kind: 'not_json_rpc' },
  { text: '{"jsonrpc":"2.0","id":1}', kind: 'bad_message' }, { text: '{"jsonrpc":"2.0","id":1,"result":{},"error":{"code":1,"message":""}}', kind: 'bad_message' }, { text: '{"jsonrpc":"2.0","id":1,"result":{},"method":"x"}', kind: 'bad_message' },
  { text: '{"jsonrpc":"2.0","id":1,"result":5}', kind: 'bad_message' }, { text: '{"jsonrpc":"2.0","id":1,"result":[]}', kind: 'bad_message' }, { text: '{"jsonrpc":"2.0","id":[1],"result":{}}', kind: 'bad_message' }, { text: '{"jsonrpc":"2.0","id":1.5,"result":{}}', kind: 'bad_message' },
  { text: '{"jsonrpc":"2.0","id":1,"error":"no"}', kind: 'bad_message' }, { text: '{"jsonrpc":"2.0","id":1,"error":{"code":"1","message":""}}', kind: 'bad_message' }, { text: '{"jsonrpc":"2.0","id":1,"error":{"code":9007199254740993,"message":""}}', kind: 'bad_message' },
  { text: '{"jsonrpc":"2.0","id":null,"method":"x"}', kind: 'bad_message' }, { text: '{"jsonrpc":"2.0","id":1,"method":5}', kind: 'bad_message' }, { text: '{"jsonrpc":"2.0","id":1,"method":"x","params":[]}', kind: 'bad_message' },
  { text: '{"jsonrpc":"2.0","method":"x","params":{"a":1,"a":2}}', kind: 'duplicate_key' }, { text: '{"jsonrpc":"2.0","method":"x","params":{"a":{"b":1,"b":2}}}', kind: 'bad_notification' }, { text: '{"jsonrpc":"2.0","method":"x","params":{"__proto__":1}}', kind: 'bad_notification' },
  { text: '{"jsonrpc":"2.0","id":1,"id":2,"result":{}}', kind: 'duplicate_key' }, { text: '{"jsonrpc":"2.0","id":1,"result":{"resultType":"complete","resultType":"input_required"}}', kind: 'duplicate_key' },
  { text: '[{"jsonrpc":"2.0","id":1,"result":{}}]', kind: 'not_an_object' }, { text: 'null', kind: 'not_an_object' }, { text: '{"jsonrpc":"2.0","id":1,"result":{}', kind: 'malformed_json' },
]) {
  test(`\`${text}\` is ${kind}`, () => { assert.equal(read(text), kind) })
}

test('an error without an id, or with null, is an answer to nobody in particular', () => {
  for (const id of ['', '"id":null,']) {
    assert.deepEqual(read(`{"jsonrpc":"2.0",${id}"error":{"code":-32700,"message":"no"}}`), { kind: 'answer', id: null, answer: { kind: 'error', error: { code: -32700, message: 'no' } } })
  }
})

test('an error\'s text is cut, and its data kept', () => {
  const got = read(`{"jsonrpc":"2.0","id":1,"error":{"code":-1,"message":"${'x'.repeat(10_000)}","data":[9007199254740993]}}`)
  assert.ok(typeof got === 'object' && got.kind === 'answer' && got.answer.kind === 'error')
  assert.deepEqual([got.answer.error.message.length, got.answer.error.data], [4096, [9007199254740993n]])
})

test('what we write keeps every digit and the id as it came', () => {
  assert.equal(requestText(3, { method: 'tools/call', params: { n: 2n ** 64n, f: new InexactNumber('1.0') } }), '{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"n":18446744073709551616,"f":1.0}}')
  assert.equal(notificationText({ method: 'n', params: {} }), '{"jsonrpc":"2.0","method":"n"}')
  assert.equal(answerText('"x"', { kind: 'result', text: '{"n":1.0}' }), '{"jsonrpc":"2.0","id":"x","result":{"n":1.0}}')
  assert.equal(answerText('5', { kind: 'error', error: { code: -1, message: 'no', data: { n: 2n ** 60n } } }), '{"jsonrpc":"2.0","id":5,"error":{"code":-1,"message":"no","data":{"n":1152921504606846976}}}')
})
