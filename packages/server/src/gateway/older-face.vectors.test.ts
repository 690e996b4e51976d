import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { ExactRecord, ExactValue } from '@writ/domain/exact'
import { begun, messagesOf, nextMessage, refusedWith, request, stage } from '../../test/fakes/older-stage.ts'
import { ALL_ABILITIES, eventsOf } from '../../test/fakes/pipeline.ts'
import { NO_SCHEMA, olderSchema } from '../../test/mcp/older-schema.ts'
import type { Inputs, McpMessage, Turn } from '../upstreams/upstream.ts'
import { errorText } from './json-rpc.ts'
import { Refused, RPC_CODES } from './refused.ts'

const skip = NO_SCHEMA

test('the beginning of a session is as the schema has it, in every revision and whatever the server says of itself', { skip }, async () => {
  const check = olderSchema()
  for (const info of [{ name: 'files', version: '1', title: 't', description: 'd', websiteUrl: 'https://a.example', icons: [{ src: 'x' }] }, {}, { name: 7n, version: null, title: [] }]) {
    for (const capabilities of [ALL_ABILITIES, {}, { tools: { listChanged: 'yes' }, resources: { subscribe: { a: 1n } }, logging: { more: 1n } }]) {
      const { begin, pipeline } = stage()
      pipeline.description = { ...pipeline.description, info: info as ExactRecord, capabilities: capabilities as ExactRecord }
      check(JSON.parse((await begin()).body as string), 'initialize')
    }
  }
})

test('what is answered here is as the schema has it', { skip }, async () => {
  const check = olderSchema()
  const { show } = await begun()
  for (const [method, params] of [['ping', {}], ['logging/setLevel', { level: 'info' }], ['logging/setLevel', { level: 'loud' }]] as const) {
    check(JSON.parse((await show({ body: request('a', method, params) })).body as string), method)
  }
})

test('the refusals of a session are errors as the schema has them, with or without an id', { skip }, async () => {
  const check = olderSchema()
  const { show } = await begun()
  for (const headers of [{ 'mcp-session-id': 'none' }, { 'mcp-protocol-version': '2000-01-01' }, { accept: 'text/html' }]) {
    await assert.rejects(show({ body: request(1), headers }), (error: unknown) => {
      assert.ok(error instanceof Refused)
      check(JSON.parse(errorText(1n, error.error)))
      check(JSON.parse(errorText(null, error.error)))
      return refusedWith(error.status)(error)
    })
  }
})

const questions: Inputs = {
  form: { method: 'elicitation/create', params: { mode: 'form', message: 'who', requestedSchema: { type: 'object', properties: { name: { type: 'string' }, age: { type: 'integer', minimum: 0n } }, required: ['name'] }, task: { ttl: 1n } } },
  url: { method: 'elicitation/create', params: { mode: 'url', message: 'go', url: 'https://a.example/' } },
  poem: { method: 'sampling/createMessage', params: { messages: [{ role: 'user', content: { type: 'text', text: 'a poem' } }], maxTokens: 10n, _meta: { 'io.modelcontextprotocol/x': 1n } } },
  roots: { method: 'roots/list', params: { _meta: {} } },
}

test('what a client is asked, and told meanwhile, is as the schema has it', { skip }, async () => {
  const check = olderSchema()
  const { show, pipeline } = await begun({ bounds: { rounds: 20, questions: 16, answersMs: 5, quietMs: 60_000 } })
  pipeline.answer = async ({ notify }): Promise<Turn> => {
    notify({ method: 'notifications/progress', params: { progress: 1n, total: 2n, message: 'half' } })
    notify({ method: 'notifications/message', params: { level: 'info', data: { a: 1n }, logger: 'l' } })
    return { kind: 'input_required', state: 's', inputs: questions }
  }
  pipeline.goOn = async () => ({ kind: 'result', text: '{"content":[]}' })
  const said = messagesOf(await Array.fromAsync(eventsOf(await show({ body: request(1, 'tools/call', { name: 'read', _meta: { progressToken: 'mine' } }) }))))
  for (const message of said) check(message, 'tools/call')
  // Two notifications, four questions, as many withdrawn, the answer.
  assert.equal(said.length, 11)
})

const value: fc.Arbitrary<ExactValue> = fc.letrec<{ value: ExactValue }>((tie) => ({
  value: fc.oneof({ depthSize: 'small' }, fc.constant(null), fc.boolean(), fc.string(), fc.bigInt(), fc.array(tie('value'), { maxLength: 3 }), fc.dictionary(fc.string(), tie('value'), { maxKeys: 3, noNullPrototype: true })),
})).value

const said: fc.Arbitrary<McpMessage> = fc.record({
  method: fc.constantFrom(
    'notifications/progress', 'notifications/message', 'notifications/resources/updated', 'notifications/elicitation/complete', 'notifications/tools/list_changed',
    'notifications/resources/list_changed', 'notifications/prompts/list_changed', 'notifications/cancelled', 'notifications/tasks/status', 'tools/call', '',
  ),
  params: fc.record({
    progress: value, progressToken: value, total: value, message: value, level: fc.oneof(value, fc.constantFrom('debug', 'info', 'alert')), data: value, logger: value, uri: value,
    elicitationId: value, requestId: value, _meta: value,
  }, { requiredKeys: [], noNullPrototype: true }),
})

test('whatever a server says besides its answers, what goes to the client is as the schema has it', { skip }, async () => {
  const check = olderSchema()
  const { show, pipeline } = await begun()
  const own = eventsOf(await show({ method: 'GET' }))
  await own.next()
  await fc.assert(fc.asyncProperty(fc.array(said, { maxLength: 20 }), fc.oneof(fc.string(), fc.bigInt({ min: -(2n ** 53n), max: 2n ** 53n })), async (messages, progressToken) => {
    pipeline.answer = async ({ notify }) => {
      for (const message of messages) notify(message)
      return { kind: 'result', text: '{"content":[]}' }
    }
    const body = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"read","_meta":{"progressToken":${typeof progressToken === 'bigint' ? String(progressToken) : JSON.stringify(progressToken)}}}}`
    const answer = await show({ body })
    const all = typeof answer.body === 'string' ? [JSON.parse(answer.body) as object] : messagesOf(await Array.fromAsync(eventsOf(answer)))
    for (const message of all) check(message, 'tools/call')
    for (const message of messages) pipeline.say(message)
    pipeline.say({ method: 'notifications/resources/updated', params: { uri: 'the last' } })
    for (;;) {
      const message = await nextMessage(own)
      check(message)
      if ((message['params'] as { readonly uri?: string } | undefined)?.uri === 'the last') break
    }
  }), { numRuns: 200 })
  await show({ method: 'DELETE' })
})

test('a denial is an error as the schema has it', { skip }, async () => {
  const check = olderSchema()
  const { show, pipeline } = await begun()
  pipeline.answer = async () => ({ kind: 'error', error: { code: RPC_CODES.denied, message: 'denied', data: { decision: 'dec_1', explanation: { verdict: 'deny' } } } })
  check(JSON.parse((await show({ body: request(1) })).body as string))
})
