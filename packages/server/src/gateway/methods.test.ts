import assert from 'node:assert/strict'
import { test } from 'node:test'
import { exactText, type ExactRecord } from '@writ/domain/exact'
import fc from 'fast-check'
import { readRpc } from './json-rpc.ts'
import { readAsking, signatureOf } from './methods.ts'

const asked = (method: string, params: ExactRecord) => readAsking({ method, params })

for (const { method, params, tool, args } of [
  { method: 'tools/call', params: { name: 'echo', arguments: { message: 'x' } }, tool: 'echo', args: { message: 'x' } },
  { method: 'tools/call', params: { name: 'echo' }, tool: 'echo', args: {} },
  { method: 'resources/read', params: { uri: 'note:///a' }, tool: 'resources/read', args: { uri: 'note:///a' } },
  { method: 'resources/subscribe', params: { uri: 'note:///a' }, tool: 'resources/read', args: { uri: 'note:///a' } },
  { method: 'prompts/get', params: { name: 'greet', arguments: { who: 'Ann' } }, tool: 'prompts/get', args: { name: 'greet', arguments: [{ name: 'who', value: 'Ann' }] } },
  { method: 'completion/complete', params: { ref: { type: 'ref/prompt', name: 'greet' }, argument: { name: 'who', value: 'A' } }, tool: 'completion/complete', args: { ref: 'greet', argument: 'who', value: 'A' } },
  {
    method: 'completion/complete', params: { ref: { type: 'ref/prompt', name: 'greet' }, argument: { name: 'who', value: 'A' }, context: { arguments: { team: 'sales' } } },
    tool: 'completion/complete', args: { ref: 'greet', argument: 'who', value: 'A', context: [{ name: 'team', value: 'sales' }] },
  },
] as const) {
  test(`${method} is decided on as a call of ${tool}, with all that goes on`, () => {
    const read = asked(method, { ...params, _meta: { 'progressToken': 'p', 'com.example/secret': 'x' }, task: { ttl: 1n }, more: 'x' })
    assert.ok(read.ok && read.value.kind === 'call')
    assert.deepEqual([read.value.tool, read.value.arguments], [tool, args])
    const { _meta, ...forwarded } = read.value.forward.params
    assert.deepEqual([read.value.forward.method, forwarded, _meta], [method, params, { progressToken: 'p' }])
  })
}

for (const { what, method, params, code } of [
  { what: 'a method that nobody knows', method: 'tools/invent', params: {}, code: -32601 },
  { what: 'a method of the object itself', method: 'constructor', params: {}, code: -32601 },
  { what: 'a call of no tool', method: 'tools/call', params: {}, code: -32602 },
  { what: 'arguments in a list', method: 'tools/call', params: { name: 'x', arguments: [] }, code: -32602 },
  { what: 'an argument of a prompt that is no text', method: 'prompts/get', params: { name: 'x', arguments: { a: 1n } }, code: -32602 },
  { what: 'a completion of nothing', method: 'completion/complete', params: { ref: { type: 'ref/prompt' }, argument: { name: 'a', value: 'b' } }, code: -32602 },
  { what: 'a completion in a context that is no object', method: 'completion/complete', params: { ref: { type: 'ref/prompt', name: 'x' }, argument: { name: 'a', value: 'b' }, context: 'x' }, code: -32602 },
  { what: 'a completion in a context that holds no texts', method: 'completion/complete', params: { ref: { type: 'ref/prompt', name: 'x' }, argument: { name: 'a', value: 'b' }, context: { arguments: { c: 1n } } }, code: -32602 },
  { what: 'a cursor that is no text', method: 'tools/list', params: { cursor: 1n }, code: -32602 },
] as const) {
  test(`${what} is refused`, () => {
    const read = asked(method, params)
    assert.deepEqual(read.ok ? undefined : read.refusal.code, code)
  })
}

/** Names that differ and look alike, texts with escapes, numbers that a double changes. */
const value = fc.letrec<{ readonly value: unknown }>((tie) => ({
  value: fc.oneof({ depthSize: 'small' }, fc.string({ unit: 'grapheme', maxLength: 6 }), fc.constantFrom('9007199254740993', '1.0', '1e400', '-0', '0.10').map((text) => ({ raw: text })), fc.boolean(), fc.constant(null),
    fc.array(tie('value'), { maxLength: 3 }), fc.dictionary(fc.constantFrom('a', 'A', 'path', 'name', 'arguments', 'x'), tie('value'), { maxKeys: 3 })),
})).value

function write(one: unknown, escape: boolean): string {
  const text = (of: string): string => (escape ? `"${Array.from({ length: of.length }, (_, i) => `\\u${of.charCodeAt(i).toString(16).padStart(4, '0')}`).join('')}"` : JSON.stringify(of))
  if (typeof one === 'string') return text(one)
  if (Array.isArray(one)) return `[${one.map((each) => write(each, escape)).join(',')}]`
  if (typeof one === 'object' && one !== null) return 'raw' in one ? String(one.raw) : `{${Object.entries(one).map(([name, each]) => `${text(name)}:${write(each, escape)}`).join(',')}}`
  return JSON.stringify(one)
}

test('what is decided on is what goes on, whatever the arguments are and however they are written (10,000 cases)', () => {
  const twice = fc.option(fc.constantFrom('name', 'arguments', 'method', 'params', 'id'), { freq: 3 })
  fc.assert(fc.property(fc.dictionary(fc.string({ unit: 'grapheme', maxLength: 8 }), value, { maxKeys: 4 }), fc.string({ minLength: 1, maxLength: 8 }), fc.boolean(), twice, (args, name, escape, doubled) => {
    const call = `"name":${write(name, escape)},"arguments":${write(args, escape)}${doubled === 'name' ? ',"n\\u0061me":"other"' : doubled === 'arguments' ? ',"arguments":{}' : ''}`
    const outer = doubled === 'method' ? '"method":"tools/list",' : doubled === 'params' ? '"params":{"name":"other"},' : doubled === 'id' ? '"id":2,' : ''
    const body = `{"jsonrpc":"2.0",${outer}"id":1,"method":"tools/call","params":{${call}}}`
    const read = readRpc(body)
    if (doubled !== null) return assert.ok(!read.ok, body)
    if (!read.ok) return
    assert.ok(read.value.kind === 'request')
    const asking = readAsking(read.value.message)
    if (!asking.ok) return
    assert.ok(asking.value.kind === 'call')
    const { forward } = asking.value
    assert.equal(exactText(asking.value.arguments), exactText(forward.params['arguments'] as ExactRecord))
    assert.equal(asking.value.tool, forward.params['name'])
    // And another reader of what goes on reads the same: name, and every digit.
    const text = exactText(forward.params)
    assert.equal((JSON.parse(text) as { readonly name: string }).name, name)
    for (const digits of body.match(/9007199254740993|1e400/g) ?? []) assert.ok(text.includes(digits))
  }), { numRuns: 10_000 })
})

test('two requests are the same where all that they ask is, in whatever order', () => {
  const of = (params: ExactRecord): string => signatureOf({ method: 'tools/call', params })
  assert.equal(of({ name: 'a', arguments: { x: 1n, y: 2n } }), of({ arguments: { y: 2n, x: 1n }, name: 'a', _meta: { progressToken: 'p' } }))
  assert.notEqual(of({ name: 'a', arguments: { x: 1n } }), of({ name: 'a', arguments: { x: '1' } }))
})
