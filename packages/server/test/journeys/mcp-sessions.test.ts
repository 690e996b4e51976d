import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { LoggingMessageNotificationSchema, ResourceUpdatedNotificationSchema } from '@modelcontextprotocol/sdk/types.js'
import * as tasks from '@writ/contract/tasks'
import { eventually } from '../eventually.ts'
import { accessTo, governServer, type Access } from '../mcp/estate.ts'
import { EVERYTHING } from '../mcp/everything.ts'
import { begin, eventsIn, lineOf, nextMessage, olderClient, rpc, send, type Line, type OlderClient } from '../mcp/older-client.ts'
import { NO_SCHEMA, olderSchema } from '../mcp/older-schema.ts'
import { postForm } from '../oauth-client.ts'
import { startWrit, type RunningWrit, type TestIdentity } from '../running-writ.ts'

const OFFICIAL = fileURLToPath(new URL('../mcp/official-server.ts', import.meta.url))
const SERVERS = [{ name: 'older', args: [...EVERYTHING.args] }, { name: 'newer', args: [OFFICIAL, 'newer'] }] as const

describe('sessions of MCP 2025-11-25', () => {
  let writ: RunningWrit
  let bot: TestIdentity
  const granted = new Map<string, readonly string[]>()
  before(async () => {
    writ = await startWrit()
    for (const { name, args } of SERVERS) {
      const tools = await governServer(writ, { name, transport: 'stdio', command: process.execPath, args: [...args] })
      granted.set(name, tools.filter(({ state }) => state === 'pinned').map((tool) => tool.name))
    }
    bot = await writ.register('client', { authority: [...granted].flatMap(([server, tools]) => tools.map((tool) => `mcp:${server}:${tool}`)) })
  })
  after(() => writ.stop())

  const access = (server: 'older' | 'newer' = 'newer', task?: string): Promise<Access> => accessTo(writ, bot, { server, ...(task === undefined ? { tools: granted.get(server)! } : { task }) })
  const text = (got: unknown): string => JSON.stringify(got)

  for (const { name } of SERVERS) {
    test(`the official client of that generation does everything with a server of the ${name} one, and every message it gets is of the schema`, async () => {
      const { client, transport, close }: OlderClient = await olderClient(await access(name))
      assert.match(transport.sessionId!, /^writ_mcp_/)
      assert.ok((await client.listTools()).tools.some((tool) => tool.name === 'echo'))
      assert.match(text(await client.callTool({ name: 'echo', arguments: { message: 'good day' } })), /good day/)
      const heard: number[] = []
      const long = name === 'older' ? { name: 'trigger-long-running-operation', arguments: { duration: 1, steps: 4 } } : { name: 'count', arguments: { to: 4, everyMs: 20 } }
      await client.callTool(long, undefined, { onprogress: ({ progress }) => { heard.push(progress) } })
      assert.deepEqual(heard, [1, 2, 3, 4])
      assert.match(text(await client.callTool({ name: name === 'older' ? 'trigger-elicitation-request' : 'ask-name', arguments: {} })), /Ann/)
      assert.match(text(await client.callTool(name === 'older' ? { name: 'trigger-sampling-request', arguments: { prompt: 'a poem' } } : { name: 'ask-model', arguments: {} })), /a rose/)
      assert.match(text(await client.callTool({ name: name === 'older' ? 'get-roots-list' : 'ask-roots', arguments: {} })), /garden/)
      const uri = name === 'older' ? 'demo://resource/static/document/features.md' : 'note:///a'
      assert.ok((await client.listResources()).resources.some((one) => one.uri === uri))
      await client.listResourceTemplates()
      assert.equal((await client.readResource({ uri })).contents.length, 1)
      await client.subscribeResource({ uri })
      await client.unsubscribeResource({ uri })
      assert.ok((await client.listPrompts()).prompts.length > 0)
      await client.getPrompt(name === 'older' ? { name: 'args-prompt', arguments: { city: 'Bonn' } } : { name: 'greet', arguments: { who: 'Ann' } })
      if (name === 'older') assert.ok((await client.complete({ ref: { type: 'ref/prompt', name: 'completable-prompt' }, argument: { name: 'department', value: 'E' } })).completion.values.length > 0)
      await client.setLoggingLevel('debug')
      await client.ping()
      const cut = new AbortController()
      const endless = name === 'older' ? { name: long.name, arguments: { duration: 60, steps: 600 } } : { name: long.name, arguments: { to: 1000, everyMs: 20 } }
      const calling = assert.rejects(client.callTool(endless, undefined, { signal: cut.signal, onprogress: () => { cut.abort() } }))
      await calling
      assert.match(text(await client.callTool({ name: 'echo', arguments: { message: 'still there' } })), /still there/)
      const recorded = await close()
      assert.ok(recorded.length > 20, String(recorded.length))
      if (NO_SCHEMA === false) for (const { message, answering } of recorded) olderSchema()(message, answering)
    })
  }

  test('a client hears of resources that it has subscribed to', async () => {
    const { client, close } = await olderClient(await access('older'))
    const updated = Promise.withResolvers<string>()
    client.setNotificationHandler(ResourceUpdatedNotificationSchema, ({ params }) => { updated.resolve(params.uri) })
    client.setNotificationHandler(LoggingMessageNotificationSchema, () => {})
    const uri = 'demo://resource/dynamic/text/1'
    await client.subscribeResource({ uri })
    await client.callTool({ name: 'toggle-subscriber-updates', arguments: {} })
    assert.equal(await updated.promise, uri)
    await close()
  })

  test('another task, another key, and whoever makes up an id find no session; nor does anybody once it is deleted', async () => {
    const own = await access()
    const line = lineOf(own)
    const session = await begin(line)
    const [other, otherKey] = [await access(), await access('newer', own.task)]
    const refusals: { readonly status: number; readonly body: string }[] = []
    const refused = async (one: Line, method = 'POST'): Promise<void> => {
      const got = await send(one, { method, ...(method === 'POST' ? { body: rpc(1, 'tools/list') } : {}) })
      refusals.push({ status: got.status, body: (await got.text()).replace(',"id":1', '') })
    }
    const forged = `${session.slice(0, -1)}${session.endsWith('A') ? 'B' : 'A'}`
    for (const one of [{ access: other, session }, { access: otherKey, session }, { access: own, session: forged }, { access: own, session: 'x' }]) {
      for (const method of ['POST', 'GET', 'DELETE']) await refused(one, method)
    }
    assert.equal((await send(line, { body: rpc(2, 'ping') })).status, 200)
    assert.equal((await send(line, { method: 'DELETE' })).status, 204)
    for (const method of ['POST', 'GET', 'DELETE']) await refused(line, method)
    assert.deepEqual([...new Set(refusals.map(({ status }) => status))], [404])
    assert.equal(new Set(refusals.map(({ body }) => body)).size, 1, refusals.map(({ body }) => body).join('\n'))
  })

  test('what is no request of a session is refused, each in its way', async () => {
    const line = lineOf(await access())
    await begin(line)
    for (const { what, status, sent } of [
      { what: 'no session', status: 400, sent: { body: rpc(1, 'tools/list'), headers: { 'mcp-session-id': undefined } } },
      { what: 'an unknown revision', status: 400, sent: { body: rpc(1, 'tools/list'), headers: { 'mcp-protocol-version': '2000-01-01' } } },
      { what: 'no revision', status: 200, sent: { body: rpc(1, 'tools/list'), headers: { 'mcp-protocol-version': undefined } } },
      { what: 'a batch', status: 400, sent: { body: [rpc(1, 'ping'), rpc(2, 'ping')] } },
      { what: 'a name twice', status: 400, sent: { body: '{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/list"}' } },
      { what: 'an id that is null', status: 400, sent: { body: '{"jsonrpc":"2.0","id":null,"method":"ping"}' } },
      { what: 'an id that is a fraction', status: 400, sent: { body: '{"jsonrpc":"2.0","id":1.5,"method":"ping"}' } },
      { what: 'JSON alone welcome', status: 406, sent: { body: rpc(1, 'ping'), headers: { accept: 'application/json' } } },
      { what: 'another page\'s origin', status: 403, sent: { body: rpc(1, 'ping'), headers: { origin: 'https://evil.example' } } },
      { what: 'an unknown method', status: 200, sent: { body: rpc(1, 'tasks/list') } },
    ] as const) {
      const got = await send(line, sent)
      const body = await got.text()
      assert.equal(got.status, status, `${what}: ${body}`)
      if (NO_SCHEMA === false) olderSchema()(JSON.parse(body), 'tools/list')
    }
  })

  test('a proof works once, wherever it is shown again', async () => {
    const line = lineOf(await access())
    await begin(line)
    const proof = { dpop: line.access.key.proof({ htu: line.access.url, htm: 'POST', token: line.access.token }) }
    assert.equal((await send(line, { body: rpc(1, 'ping'), headers: proof })).status, 200)
    for (const body of [rpc(2, 'ping'), { jsonrpc: '2.0', method: 'notifications/initialized' }, rpc(3, 'tools/list'), { jsonrpc: '2.0', id: 'writ-1', result: {} }]) {
      assert.equal((await send(line, { body, headers: proof })).status, 401)
    }
  })

  test('a client that lost its connection in the midst of a call comes back for the rest', async () => {
    const line = lineOf(await access())
    await begin(line)
    const cut = new AbortController()
    const events = eventsIn(await send(line, { body: rpc(1, 'tools/call', { name: 'count', arguments: { to: 10, everyMs: 30 }, _meta: { progressToken: 'p' } }), signal: cut.signal }))
    const { id: last } = await nextMessage(events)
    cut.abort()
    await assert.rejects(Array.fromAsync(events))
    const rest = (await Array.fromAsync(eventsIn(await send(line, { method: 'GET', headers: { 'last-event-id': last! } })))).flatMap(({ message }) => (message === null ? [] : [message]))
    assert.deepEqual(rest.slice(0, -1).map(({ params }) => (params as { readonly progress: number }).progress), [2, 3, 4, 5, 6, 7, 8, 9, 10])
    assert.match(text(rest.at(-1)), /counted to 10/)
    assert.equal((await send(line, { method: 'GET', headers: { 'last-event-id': '1-11' } })).status, 405)
  })

  test('the end of the task ends its sessions, their calls and their streams within a second', async () => {
    const line = lineOf(await access())
    await begin(line)
    const waiting = eventsIn(await send(line, { method: 'GET' }))
    await waiting.next()
    const calling = eventsIn(await send(line, { body: rpc(1, 'tools/call', { name: 'count', arguments: { to: 1000, everyMs: 20 }, _meta: { progressToken: 1 } }) }))
    await nextMessage(calling)
    assert.equal((await writ.operator(tasks.endTask, { parameters: { id: line.access.task }, body: { reason: 'enough' } })).status, 200)
    const began = performance.now()
    const last = (await Array.fromAsync(calling)).at(-1)!.message as { readonly error: { readonly code: number; readonly data: { readonly code: string; readonly end_reason: string } } }
    assert.deepEqual([last.error.code, last.error.data.code], [-32001, 'task_ended'])
    assert.equal((await waiting.next()).done, true)
    assert.ok(performance.now() - began < 1000, `${Math.round(performance.now() - began)} ms`)
    assert.equal((await send(line, { body: rpc(2, 'ping') })).status, 401)
  })

  test('a stream that waits ends within a second when the token is revoked that opened it', async () => {
    const line = lineOf(await access())
    await begin(line)
    const waiting = eventsIn(await send(line, { method: 'GET' }))
    await waiting.next()
    const ending = Array.fromAsync(waiting)
    assert.equal((await postForm(writ, '/oauth/revoke', { token: line.access.token }, { headers: { authorization: `Bearer ${writ.operatorKey}` } })).status, 200)
    const began = performance.now()
    await ending
    assert.ok(performance.now() - began < 1000, `${Math.round(performance.now() - began)} ms`)
    assert.equal((await send(line, { method: 'GET' })).status, 401)
  })

  test('a server that stops ends the streams that wait, and does not wait for them', async () => {
    const line = lineOf(await access())
    await begin(line)
    const waiting = eventsIn(await send(line, { method: 'GET' }))
    await waiting.next()
    const ending = Array.fromAsync(waiting)
    const began = performance.now()
    await writ.kill('SIGTERM')
    await ending
    assert.ok(performance.now() - began < 5000, `${Math.round(performance.now() - began)} ms`)
    await writ.restart()
    // What it kept is gone with it: the client begins anew.
    await eventually('it is back', async () => (await send(line, { body: rpc(2, 'ping') })).status === 404)
    await begin({ access: line.access })
  })
})
