import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ALL_CLIENT, asks, begun, bodyOf, messagesOf, nextMessage, QUIET, refusedWith, request, result, stage } from '../../test/fakes/older-stage.ts'
import { eventsOf, faceCall } from '../../test/fakes/pipeline.ts'
import type { McpAnswer, Turn } from '../upstreams/upstream.ts'
import { Ended, Refused, RPC_CODES } from './refused.ts'

test('an answer that needs no stream is one JSON text, with the id as it came and every digit', async () => {
  const { show, pipeline } = await begun()
  pipeline.answer = async () => result('{"n":12345678901234567890}')
  for (const id of ['"a\\u0062"', '9007199254740993', '-1', '""']) {
    const answer = await show({ body: `{"jsonrpc":"2.0","id":${id},"method":"tools/call","params":{"name":"read"}}` })
    assert.equal(answer.headers['content-type'], 'application/json')
    assert.equal(answer.body, `{"jsonrpc":"2.0","id":${id === '"a\\u0062"' ? '"ab"' : id},"result":{"n":12345678901234567890}}`)
  }
})

test('a refusal of HTTP\'s goes to the door as it is', async () => {
  const { show, pipeline } = await begun()
  const refused = new Refused(403, { code: RPC_CODES.denied, message: 'no' })
  pipeline.answer = async () => { throw refused }
  await assert.rejects(show({ body: request(1) }), refused)
  // And the id is free again.
  pipeline.answer = async () => result('{}')
  assert.equal((await show({ body: request(1) })).status, 200)
})

test('progress makes the answer a stream, under the token that the client gave', async () => {
  const { show, pipeline } = await begun()
  pipeline.answer = async ({ notify }) => {
    notify({ method: 'notifications/progress', params: { progressToken: 'of-another', progress: 1n, total: 2n, message: 'half', more: 'x' } })
    notify({ method: 'notifications/message', params: { level: 'info', data: 'read' } })
    notify({ method: 'notifications/tasks/status', params: {} })
    notify({ method: 'notifications/message', params: { level: 'loud', data: 'read' } })
    return result('{}')
  }
  const answer = await show({ body: request(1, 'tools/call', { name: 'read', _meta: { progressToken: 'mine' } }) })
  assert.equal(answer.headers['content-type'], 'text/event-stream')
  assert.deepEqual(messagesOf(await Array.fromAsync(eventsOf(answer))), [
    { jsonrpc: '2.0', method: 'notifications/progress', params: { progressToken: 'mine', progress: 1, total: 2, message: 'half' } },
    { jsonrpc: '2.0', method: 'notifications/message', params: { level: 'info', data: 'read' } },
    { jsonrpc: '2.0', id: 1, result: {} },
  ])
})

test('a client that gave no token hears of no progress', async () => {
  const { show, pipeline } = await begun()
  pipeline.answer = async ({ notify }) => {
    notify({ method: 'notifications/progress', params: { progressToken: 'x', progress: 1n } })
    return result('{}')
  }
  assert.equal((await show({ body: request(1) })).headers['content-type'], 'application/json')
})

test('log messages below the level that the client has set are not passed on', async () => {
  const { show, pipeline } = await begun()
  assert.deepEqual(bodyOf(await show({ body: request(1, 'logging/setLevel', { level: 'error' }) })).result, {})
  assert.equal(pipeline.carried[0]?.message.method, 'logging/setLevel')
  pipeline.answer = async ({ notify }) => {
    for (const level of ['debug', 'warning', 'error', 'emergency']) notify({ method: 'notifications/message', params: { level, data: level } })
    return result('{}')
  }
  const said = messagesOf(await Array.fromAsync(eventsOf(await show({ body: request(2) }))))
  assert.deepEqual(said.slice(0, -1).map(({ params }) => (params as { readonly level: string }).level), ['error', 'emergency'])
  assert.equal(bodyOf(await show({ body: request(3, 'logging/setLevel', { level: 'loud' }) })).error?.code, RPC_CODES.invalidParams)
})

test('a server of the newer generation is told the level with each request, whatever the client says under its key', async () => {
  const one = stage()
  one.pipeline.description = { ...one.pipeline.description, generation: '2026-07-28' }
  await one.begin()
  const levelIn = (i: number): unknown => one.pipeline.carried[i]?.message.params['_meta']
  await one.show({ body: request(1, 'tools/call', { name: 'read', _meta: { 'io.modelcontextprotocol/logLevel': 'debug', 'progressToken': 7 } }) })
  assert.deepEqual(bodyOf(await one.show({ body: request(2, 'logging/setLevel', { level: 'error' }) })).result, {})
  await one.show({ body: request(3) })
  assert.deepEqual([levelIn(0), levelIn(1)], [{ 'progressToken': 7n, 'io.modelcontextprotocol/logLevel': 'info' }, { 'io.modelcontextprotocol/logLevel': 'error' }])
  assert.equal(one.pipeline.carried.length, 2)
})

test('what an older client can not read of a newer server\'s answer is left out', async () => {
  const one = stage()
  one.pipeline.description = { ...one.pipeline.description, generation: '2026-07-28' }
  await one.begin()
  const answered = async (method: string, text: string): Promise<unknown> => {
    one.pipeline.answer = async () => result(text)
    return bodyOf(await one.show({ body: request(1, method, {}) })).result
  }
  assert.deepEqual(await answered('tools/call', '{"content":[],"structuredContent":[1],"isError":false}'), { content: [], isError: false })
  assert.deepEqual(await answered('tools/call', '{"content":[],"structuredContent":{"a":1}}'), { content: [], structuredContent: { a: 1 } })
  assert.deepEqual(
    await answered('tools/list', '{"tools":[{"name":"a","outputSchema":{"type":"array"}},{"name":"b","outputSchema":{"type":"object"}},{"name":"c"}]}'),
    { tools: [{ name: 'a' }, { name: 'b', outputSchema: { type: 'object' } }, { name: 'c' }] },
  )
})

test('an answer that takes long becomes a stream, so that nothing on the way takes it for dead', async () => {
  const { show, pipeline } = await begun({ bounds: { ...QUIET, quietMs: 1 } })
  const held = Promise.withResolvers<Turn>()
  pipeline.answer = () => held.promise
  const answer = await show({ body: request(1) })
  assert.equal(answer.headers['content-type'], 'text/event-stream')
  held.resolve(result('{"late":true}'))
  assert.deepEqual(messagesOf(await Array.fromAsync(eventsOf(answer))), [{ jsonrpc: '2.0', id: 1, result: { late: true } }])
})

test('what is thrown once the answer is a stream is told on it', async () => {
  const { show, pipeline } = await begun()
  pipeline.answer = async ({ notify }) => {
    notify({ method: 'notifications/message', params: { level: 'info', data: 1n } })
    throw new Refused(403, { code: RPC_CODES.denied, message: 'no' })
  }
  assert.deepEqual(messagesOf(await Array.fromAsync(eventsOf(await show({ body: request(1) })))).at(-1), { jsonrpc: '2.0', id: 1, error: { code: RPC_CODES.denied, message: 'no' } })
})

test('a question of the server\'s goes to the client on the request\'s own stream, and the answer back', async () => {
  const { show, pipeline } = await begun()
  pipeline.answer = async () => asks('name', 'colour')
  pipeline.goOn = async (state, answers) => result(JSON.stringify({ state, answers }))
  const events = eventsOf(await show({ body: request(1) }))
  const [first, second] = [await nextMessage(events), await nextMessage(events)]
  assert.deepEqual(first, { jsonrpc: '2.0', id: first.id, method: 'elicitation/create', params: { message: 'name', requestedSchema: { type: 'object', properties: {} } } })
  assert.notEqual(first.id, second.id)
  assert.equal((await show({ body: { jsonrpc: '2.0', id: second.id, error: { code: -1, message: 'no', data: { why: 1 } } } })).status, 202)
  assert.equal((await show({ body: `{"jsonrpc":"2.0","id":"${String(first.id)}","result":{"action":"accept","content":{"n":12345678901234567890}}}` })).status, 202)
  const answers: Record<string, McpAnswer> = { name: { kind: 'result', text: '{"action":"accept","content":{"n":12345678901234567890}}' }, colour: { kind: 'error', error: { code: -1, message: 'no', data: { why: 1n } } } }
  await nextMessage(events)
  assert.equal(pipeline.resumed[0]?.state, 'state-1')
  assert.deepEqual(pipeline.resumed[0]?.answers, answers)
  assert.deepEqual(pipeline.resumed[0]?.exchange.uses, [])
  assert.equal((await events.next()).done, true)
})

test('an answer counts once, and only in the session that was asked', async () => {
  const one = await begun()
  const { show, pipeline, older } = one
  pipeline.answer = async () => asks('name')
  pipeline.goOn = async () => asks('again')
  const events = eventsOf(await show({ body: request(1) }))
  const { id } = await nextMessage(events)
  const mine = one.session
  await one.begin()
  assert.notEqual(one.session, mine)
  const reply = { jsonrpc: '2.0', id, result: { action: 'cancel' } }
  assert.equal((await show({ body: reply })).status, 202)
  assert.equal(pipeline.resumed.length, 0)
  for (let i = 0; i < 3; i++) assert.equal((await older.face(faceCall({ body: reply, headers: { 'mcp-session-id': mine } }))).status, 202)
  const second = await nextMessage(events)
  assert.notEqual(second.id, id)
  assert.equal(pipeline.resumed.length, 1)
  older.close(new Ended('stopping'))
})

for (const { when, capabilities, question, because } of [
  { when: 'has no elicitation', capabilities: {}, question: { method: 'elicitation/create', params: { message: 'm', requestedSchema: { type: 'object', properties: {} } } }, because: RPC_CODES.methodNotFound },
  { when: 'has elicitation by form alone', capabilities: { elicitation: {} }, question: { method: 'elicitation/create', params: { mode: 'url', message: 'm', url: 'https://a.example/' } }, because: RPC_CODES.methodNotFound },
  { when: 'has elicitation by URL alone', capabilities: { elicitation: { url: {} } }, question: { method: 'elicitation/create', params: { message: 'm', requestedSchema: { type: 'object', properties: {} } } }, because: RPC_CODES.methodNotFound },
  { when: 'has no sampling', capabilities: {}, question: { method: 'sampling/createMessage', params: { messages: [], maxTokens: 1n } }, because: RPC_CODES.methodNotFound },
  { when: 'has sampling without tools', capabilities: { sampling: {} }, question: { method: 'sampling/createMessage', params: { messages: [], maxTokens: 1n, tools: [] } }, because: RPC_CODES.methodNotFound },
  { when: 'has no roots', capabilities: { sampling: {} }, question: { method: 'roots/list', params: {} }, because: RPC_CODES.methodNotFound },
  { when: 'is asked what no client is asked', capabilities: ALL_CLIENT, question: { method: 'tools/list', params: {} }, because: RPC_CODES.methodNotFound },
  { when: 'is asked without a message', capabilities: ALL_CLIENT, question: { method: 'elicitation/create', params: {} }, because: RPC_CODES.invalidParams },
  { when: 'is asked in a mode that nobody knows', capabilities: ALL_CLIENT, question: { method: 'elicitation/create', params: { mode: 'voice', message: 'm' } }, because: RPC_CODES.invalidParams },
]) {
  test(`a client that ${when} is not asked, and the server is told so`, async () => {
    const { show, pipeline } = await begun({ capabilities })
    pipeline.answer = async () => ({ kind: 'input_required', state: 's', inputs: { it: question } })
    const answer = await show({ body: request(1) })
    assert.equal(answer.headers['content-type'], 'application/json')
    const told = pipeline.resumed[0]?.answers['it']
    assert.equal(told?.kind === 'error' && told.error.code, because)
  })
}

test('what belongs to the newer generation, or to tasks, is not in the question that a client gets', async () => {
  const { show, pipeline, older } = await begun()
  pipeline.answer = async () => ({
    kind: 'input_required', state: 's',
    inputs: { it: { method: 'elicitation/create', params: { mode: 'url', message: 'm', url: 'https://a.example/', task: { ttl: 1n }, _meta: { 'io.modelcontextprotocol/x': 1n } } } },
  })
  const events = eventsOf(await show({ body: request(1) }))
  const { id, params } = await nextMessage(events)
  assert.deepEqual(params, { mode: 'url', message: 'm', url: 'https://a.example/', elicitationId: id })
  older.close(new Ended('stopping'))
})

test('a server that asks and asks is given up', async () => {
  const { show, pipeline } = await begun({ capabilities: {}, bounds: { ...QUIET, rounds: 3 } })
  let signal: AbortSignal | undefined
  pipeline.answer = async (exchange) => {
    signal = exchange.signal
    return asks('a')
  }
  pipeline.goOn = async () => asks('a')
  assert.equal(bodyOf(await show({ body: request(1) })).error?.code, RPC_CODES.internal)
  assert.equal(pipeline.resumed.length, 3)
  assert.equal(signal?.aborted, true)
})

test('a client that does not answer in time is told that its answer is not wanted any more, and the server that none comes', async () => {
  const { show, pipeline } = await begun({ bounds: { ...QUIET, answersMs: 5 } })
  pipeline.answer = async () => asks('name')
  const events = await Array.fromAsync(eventsOf(await show({ body: request(1) })))
  const [question, withdrawn, last] = messagesOf(events)
  assert.deepEqual(withdrawn, { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: question!.id } })
  assert.deepEqual(last, { jsonrpc: '2.0', id: 1, result: {} })
  assert.equal(pipeline.resumed[0]?.answers['name']?.kind, 'error')
})

test('a cancelled request gets no answer, and the server hears of it', async () => {
  for (const isStream of [false, true]) {
    const { show, pipeline } = await begun()
    const started = Promise.withResolvers<AbortSignal>()
    pipeline.answer = ({ signal, notify }) => {
      if (isStream) notify({ method: 'notifications/message', params: { level: 'info', data: 1n } })
      started.resolve(signal)
      return Promise.withResolvers<Turn>().promise
    }
    const answer = show({ body: request('r') })
    const signal = await started.promise
    assert.equal((await show({ body: { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 'another' } } })).status, 202)
    assert.equal(signal.aborted, false)
    assert.equal((await show({ body: { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 'r' } } })).status, 202)
    assert.equal(signal.aborted, true)
    const said = messagesOf(await Array.fromAsync(eventsOf(await answer)))
    assert.deepEqual(said.filter(({ id }) => id !== undefined), [])
  }
})

test('a request goes on when its connection is lost, and the client comes back for the answer', async () => {
  const { show, pipeline } = await begun()
  const held = Promise.withResolvers<Turn>()
  pipeline.answer = ({ notify }) => {
    notify({ method: 'notifications/message', params: { level: 'info', data: 1n } })
    return held.promise
  }
  const line = new AbortController()
  const events = eventsOf(await show({ body: request(1), signal: line.signal }))
  await nextMessage(events)
  line.abort(new Ended('client_gone'))
  assert.equal((await events.next()).done, true)
  assert.equal(pipeline.carried[0]?.signal.aborted, false)
  held.resolve(result('{"late":true}'))
  const again = await show({ method: 'GET', headers: { 'last-event-id': '1-1' } })
  assert.deepEqual(messagesOf(await Array.fromAsync(eventsOf(again))), [{ jsonrpc: '2.0', id: 1, result: { late: true } }])
})

for (const last of ['1-2', '1-3', '2-0', '9-9', 'nonsense', '']) {
  test(`who comes back with \`${last}\` to a stream that has nothing more, or never was, is told that there is none`, async () => {
    const { show, pipeline } = await begun()
    pipeline.answer = async ({ notify }) => {
      notify({ method: 'notifications/message', params: { level: 'info', data: 1n } })
      return result('{}')
    }
    await Array.fromAsync(eventsOf(await show({ body: request(1) })))
    await assert.rejects(show({ method: 'GET', headers: { 'last-event-id': last } }), refusedWith(405))
  })
}
