import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ALL_CLIENT, begun, bodyOf, refusedWith, request, stage, type Stage } from '../../test/fakes/older-stage.ts'
import { eventsOf, faceCall, gatewayCaller, type ShownCall } from '../../test/fakes/pipeline.ts'
import type { Turn } from '../upstreams/upstream.ts'
import { Ended, RPC_CODES, type Refused } from './refused.ts'

for (const { asked, spoken } of [
  { asked: '2025-11-25', spoken: '2025-11-25' }, { asked: '2025-06-18', spoken: '2025-06-18' }, { asked: '2025-03-26', spoken: '2025-03-26' },
  { asked: '2024-11-05', spoken: '2025-11-25' }, { asked: '2026-07-28', spoken: '2025-11-25' }, { asked: 'nonsense', spoken: '2025-11-25' },
]) {
  test(`a client that asks for ${asked} gets a session in ${spoken}`, async () => {
    const { begin, pipeline } = stage()
    const answer = await begin({ version: asked })
    assert.equal(answer.status, 200)
    assert.match(answer.headers['mcp-session-id']!, /^writ_mcp_/)
    assert.deepEqual(bodyOf(answer), {
      jsonrpc: '2.0', id: 0,
      result: {
        protocolVersion: spoken, serverInfo: { name: 'files', version: '1.2.3' }, instructions: 'read before you write',
        capabilities: { logging: {}, completions: {}, prompts: { listChanged: true }, resources: { subscribe: true, listChanged: true }, tools: { listChanged: true } },
      },
    })
    assert.deepEqual(pipeline.described[0]?.client, { name: 'client', version: '1', capabilities: ALL_CLIENT })
  })
}

test('a server\'s abilities that the gateway does not carry are not promised', async () => {
  const { begin, pipeline } = stage()
  pipeline.description = { ...pipeline.description, capabilities: { tools: {}, tasks: { list: {} }, experimental: { x: {} }, extensions: {} }, info: {}, instructions: null }
  assert.deepEqual(bodyOf(await begin()).result, { protocolVersion: '2025-11-25', capabilities: { tools: {} }, serverInfo: { name: 'files', version: '0' } })
})

for (const { what, params } of [
  { what: 'no version', params: { capabilities: {}, clientInfo: { name: 'c', version: '1' } } },
  { what: 'no abilities', params: { protocolVersion: '2025-11-25', clientInfo: { name: 'c', version: '1' } } },
  { what: 'no name', params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { version: '1' } } },
  { what: 'a name without end', params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'c'.repeat(201), version: '1' } } },
]) {
  test(`a beginning with ${what} is refused, and the server is not looked at`, async () => {
    const { older, pipeline } = stage()
    const call = faceCall({ body: request(0, 'initialize', params) })
    const answer = await older.face(call)
    assert.equal(bodyOf(answer).error?.code, RPC_CODES.invalidParams)
    assert.equal(answer.headers['mcp-session-id'], undefined)
    assert.equal(pipeline.described.length, 0)
    assert.equal(call.used, 1)
  })
}

type Intruder = { readonly when: string; readonly call: (one: Stage) => ShownCall | Promise<ShownCall>; readonly status: number; readonly code?: number }
const INTRUDERS: readonly Intruder[] = [
  { when: 'it names no session', call: () => ({ headers: { 'mcp-session-id': undefined as never } }), status: 400 },
  { when: 'its session\'s id is forged', call: ({ session }) => ({ headers: { 'mcp-session-id': `${session.slice(0, -1)}${session.endsWith('a') ? 'b' : 'a'}` } }), status: 404 },
  { when: 'its session\'s id is of another shape', call: () => ({ headers: { 'mcp-session-id': 'session' } }), status: 404 },
  { when: 'its token is of another task', call: () => ({ caller: gatewayCaller({ task: 'another' }) }), status: 404 },
  { when: 'its token is of another identity', call: () => ({ caller: gatewayCaller({ identity: 'another' }) }), status: 404 },
  { when: 'its token is bound to another key', call: () => ({ caller: gatewayCaller({ key: 'another' }) }), status: 404 },
  { when: 'it comes to another MCP server', call: () => ({ server: 'mails' }), status: 404 },
  { when: 'the task is over', call: ({ older }) => { older.endWhere(({ task }) => task === gatewayCaller().task, new Ended('task_ended')); return {} }, status: 404 },
  { when: 'nobody used the session for ten minutes', call: ({ clock }) => { clock.advance(600_000); return {} }, status: 404 },
  { when: 'the session was deleted', call: async ({ show }) => { await show({ method: 'DELETE' }); return {} }, status: 404 },
  { when: 'its version is unknown', call: () => ({ headers: { 'mcp-protocol-version': '2024-11-05' } }), status: 400, code: RPC_CODES.unsupportedVersion },
  { when: 'its version is no version', call: () => ({ headers: { 'mcp-protocol-version': '' } }), status: 400, code: RPC_CODES.unsupportedVersion },
  { when: 'its version has no sessions', call: () => ({ headers: { 'mcp-protocol-version': '2026-07-28' } }), status: 400, code: RPC_CODES.unsupportedVersion },
]
for (const { when, call, status, code } of INTRUDERS) {
  for (const kind of ['request', 'notification', 'response', 'GET', 'DELETE'] as const) {
    test(`a ${kind} is refused with ${status} and comes to nothing when ${when}`, async () => {
      const one = await begun()
      const isBodiless = kind === 'GET' || kind === 'DELETE'
      const body = kind === 'request' ? request(1) : kind === 'notification' ? { jsonrpc: '2.0', method: 'notifications/roots/list_changed' } : { jsonrpc: '2.0', id: 'writ-1', result: {} }
      const shown = await call(one)
      const headers = { 'mcp-session-id': one.session, ...shown.headers }
      if (headers['mcp-session-id'] === undefined) delete (headers as Partial<typeof headers>)['mcp-session-id']
      const made = faceCall({ ...shown, ...(isBodiless ? { method: kind } : { body }), headers })
      await assert.rejects(one.older.face(made), refusedWith(status, code))
      assert.deepEqual([one.pipeline.carried.length, one.pipeline.told.length, one.pipeline.listeners], [0, 0, 0])
    })
  }
}

test('the refusal of somebody else\'s session is the same as that of one that never was', async () => {
  const one = await begun()
  const told = async (call: ShownCall): Promise<unknown> => one.show({ body: request(1), ...call }).catch((error: unknown) => [(error as Refused).status, (error as Refused).error, (error as Refused).headers])
  assert.deepEqual(await told({ caller: gatewayCaller({ task: 'another' }) }), await told({ headers: { 'mcp-session-id': 'writ_mcp_none' } }))
})

test('any revision that has sessions is welcome in the header, as clients send it', async () => {
  const { show } = await begun()
  for (const version of ['2025-11-25', '2025-06-18', '2025-03-26']) assert.equal((await show({ body: request(1, 'ping', {}), headers: { 'mcp-protocol-version': version } })).status, 200)
})

test('a session does not begin twice', async () => {
  const { show } = await begun()
  await assert.rejects(show({ body: request(0, 'initialize', { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'c', version: '1' } }) }), refusedWith(400))
})

for (const { accept, method, status } of [
  { accept: 'application/json', method: 'POST', status: 406 }, { accept: 'text/event-stream', method: 'POST', status: 406 }, { accept: 'text/html', method: 'GET', status: 406 },
  { accept: '*/*', method: 'POST', status: 200 }, { accept: 'Application/JSON;q=1, text/*', method: 'POST', status: 200 },
] as const) {
  test(`a ${method} that accepts ${accept} gets ${status}`, async () => {
    const { show } = await begun()
    const answer = show({ method, headers: { accept }, ...(method === 'POST' ? { body: request(1) } : {}) })
    if (status === 406) await assert.rejects(answer, refusedWith(406))
    else assert.equal((await answer).status, status)
  })
}

test('a request whose id is on its way already is refused, and so is one too many', async () => {
  const { show, pipeline, older } = await begun()
  pipeline.answer = () => Promise.withResolvers<Turn>().promise
  const held = Array.from({ length: 64 }, (_, i) => show({ body: request(i) }))
  for (const one of held) one.catch(() => undefined)
  await assert.rejects(show({ body: request(5) }), refusedWith(400))
  await assert.rejects(show({ body: request(64) }), refusedWith(429))
  assert.equal(pipeline.carried.length, 64)
  older.close(new Ended('client_gone'))
  await Promise.all(held)
})

test('notifications are taken, and only what a server may hear is told', async () => {
  const { show, pipeline } = await begun()
  for (const method of ['notifications/initialized', 'notifications/progress', 'notifications/roots/list_changed', 'notifications/nonsense']) {
    assert.deepEqual(await show({ body: { jsonrpc: '2.0', method } }), { status: 202, headers: {}, body: null })
  }
  assert.deepEqual(pipeline.told, [{ method: 'notifications/roots/list_changed', params: {} }])
})

test('a ping is answered here', async () => {
  const { show, pipeline } = await begun()
  assert.equal((await show({ body: request(7, 'ping', {}) })).body, '{"jsonrpc":"2.0","id":7,"result":{}}')
  assert.equal(pipeline.carried.length, 0)
})

test('a deleted session leaves no call in flight', async () => {
  const { show, pipeline } = await begun()
  pipeline.answer = () => Promise.withResolvers<Turn>().promise
  const answer = show({ body: request(1) })
  await new Promise(setImmediate)
  assert.equal((await show({ method: 'DELETE' })).status, 204)
  assert.equal(pipeline.carried[0]?.signal.aborted, true)
  assert.deepEqual(await Array.fromAsync(eventsOf(await answer)), [])
})
