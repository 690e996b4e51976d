import assert from 'node:assert/strict'
import { after, afterEach, before, describe, test } from 'node:test'
import { ABLE, along, asked, call, textOf, toTheEnd } from '../../test/mcp/asking.ts'
import { officialOverHttp, type ServedOverHttp } from '../../test/mcp/official-server.ts'
import { json, rawHttp, stream, type RawAsked, type RawBehaviour, type RawHttp } from '../../test/mcp/raw-http.ts'
import { eventually } from '../../test/eventually.ts'
import type { UpstreamNeeds, UpstreamSecret } from './open.ts'
import type { McpMessage, Upstream } from './upstream.ts'

const DONE = { resultType: 'complete', content: [{ type: 'text', text: 'done' }] }
const CAPABILITIES = { tools: { listChanged: true }, resources: { subscribe: true, listChanged: true } }
const META = 'io.modelcontextprotocol/'
type Params = { readonly _meta: Readonly<Record<string, unknown>>; readonly [name: string]: unknown }
const paramsOf = ({ text }: RawAsked): Params => (JSON.parse(text) as { readonly params: Params }).params

const running: { readonly server: RawHttp; readonly upstream: Upstream }[] = []
afterEach(async () => {
  for (const { server, upstream } of running.splice(0)) {
    await upstream.close()
    server.stop()
  }
})

async function met(behave: RawBehaviour, more: { readonly bounds?: UpstreamNeeds['bounds']; readonly secret?: UpstreamSecret } = {}) {
  const server = await rawHttp((one) => {
    if (one.method === 'server/discover') return json(one, { resultType: 'complete', supportedVersions: ['2026-07-28'], capabilities: CAPABILITIES, _meta: { [`${META}serverInfo`]: { name: 'raw', version: '1' } }, ttlMs: 0, cacheScope: 'private' })
    return behave(one)
  })
  const upstream = await asked({ transport: { kind: 'http', url: server.url, ca: null }, ...(more.secret === undefined ? {} : { secret: more.secret }), needs: more.bounds === undefined ? {} : { bounds: more.bounds } })
  running.push({ server, upstream })
  return { server, upstream }
}
const calls = (server: RawHttp): readonly RawAsked[] => server.asked.filter(({ method }) => method === 'tools/call')

describe('what is asked of the official server', () => {
  let official: ServedOverHttp
  let upstream: Upstream
  before(async () => {
    official = await officialOverHttp('newer')
    upstream = await asked({ transport: { kind: 'http', url: official.url, ca: null }, secret: { headers: { 'X-Api-Key': 'k' } } })
  })
  after(async () => {
    await upstream.close()
    official.stop()
  })
  const headOf = () => official.heads.at(-1)!

  test('says in headers what it says in its body', async () => {
    await toTheEnd(upstream, { method: 'resources/read', params: { uri: 'note:///a' } })
    const { 'mcp-method': method, 'mcp-name': name, 'mcp-protocol-version': version, 'x-api-key': key, 'mcp-session-id': none } = headOf()
    assert.deepEqual([method, name, version, key, none], ['resources/read', 'note:///a', '2026-07-28', 'k', undefined])
  })

  test('carries a name that is no plain text in base64', async () => {
    const turn = await toTheEnd(upstream, call('nämlich\r\nx: y'))
    assert.equal(headOf()['mcp-name'], `=?base64?${Buffer.from('nämlich\r\nx: y').toString('base64')}?=`)
    assert.ok(turn.kind === 'error' && turn.error.code === -32602)
  })

  test('mirrors the arguments that a tool wants in headers, also when its list was never read', async () => {
    for (const region of ['eu', 'Zürich', 'a\nb', '=?base64?x?=']) assert.equal(textOf(await toTheEnd(upstream, call('in-region', { region, size: 3n }))), region)
    assert.deepEqual([headOf()['mcp-param-region'], headOf()['mcp-param-size']], ['=?base64?PT9iYXNlNjQ/eD89?=', '3'])
  })

  test('takes what the server says for its own word, and leaves nothing of ours in it', async () => {
    const turn = await toTheEnd(upstream, call('echo', { message: 'é'.repeat(100_000) }))
    assert.equal(textOf(turn), 'é'.repeat(100_000))
  })
})

test('every request carries the version, the client and its abilities, and keeps what its client put there', async () => {
  const { server, upstream } = await met((one) => json(one, DONE))
  await upstream.request({ method: 'logging/setLevel', params: { level: 'debug' } }, along())
  await upstream.request(call('x', {}, { progressToken: 'mine', 'example.com/kept': 1n, [`${META}protocolVersion`]: '1999-01-01' }), along({ client: { ...ABLE, capabilities: { roots: { listChanged: true }, elicitation: { url: {} }, experimental: { x: {} } } } }))
  assert.deepEqual(paramsOf(calls(server)[0]!)._meta, {
    progressToken: calls(server)[0]!.id, 'example.com/kept': 1, [`${META}logLevel`]: 'debug', [`${META}protocolVersion`]: '2026-07-28',
    [`${META}clientInfo`]: { name: 'a client', version: '1.2.3' }, [`${META}clientCapabilities`]: { roots: {}, elicitation: { url: {} } },
  })
})

test('what the newer generation has no word for is answered here', async () => {
  const { server, upstream } = await met(() => undefined)
  assert.deepEqual(await upstream.request({ method: 'ping', params: {} }, along()), { kind: 'result', text: '{}' })
  await upstream.tell({ method: 'notifications/roots/list_changed', params: {} })
  assert.deepEqual(server.asked.map(({ method }) => method), ['server/discover'])
})

test('every digit goes there and comes back, without the mark of the result', async () => {
  const { upstream } = await met(({ response, text, id }) => {
    response.writeHead(200, { 'content-type': 'application/json' }).end(`{"jsonrpc":"2.0","id":${id},"result":{"given": ${/"arguments":(\{.*?\})/.exec(text)![1]}, "resultType" : "complete" , "big":9007199254740993}}`)
  })
  assert.deepEqual(await upstream.request(call('x', { id: 18446744073709551615n }), along()), { kind: 'result', text: '{"given": {"id":18446744073709551615}, "big":9007199254740993}' })
})

for (const { what, result, turn } of [
  { what: 'without a mark', result: { a: 1 }, turn: { kind: 'result', text: '{"a":1}' } },
  { what: 'that wants nothing but to be asked again', result: { resultType: 'input_required', requestState: '' }, turn: { kind: 'input_required', inputs: {}, state: 's' } },
  { what: 'that wants an answer and gives no state', result: { resultType: 'input_required', inputRequests: { a: { method: 'roots/list' } } }, turn: { kind: 'input_required', inputs: { a: { method: 'roots/list', params: {} } }, state: 'n' } },
  { what: 'that wants neither', result: { resultType: 'input_required' }, turn: null },
  { what: 'that asks without a method', result: { resultType: 'input_required', inputRequests: { a: {} } }, turn: null },
  { what: 'of a kind that nobody knows', result: { resultType: 'task' }, turn: null },
  { what: 'whose mark is no text', result: { resultType: 1 }, turn: null },
]) {
  test(`a result ${what} is ${turn === null ? 'an error' : 'understood'}`, async () => {
    const { upstream } = await met((one) => json(one, result))
    const came = upstream.request(call('x'), along())
    if (turn === null) await assert.rejects(came, { code: 'bad_answer' })
    else assert.deepEqual(await came, turn)
  })
}

test('answers go back with the state as it was, and where there was none, with none; a client\'s error is left out', async () => {
  for (const requestState of ['', 'a state of the server\'s', undefined]) {
    let rounds = 0
    const { server, upstream } = await met((one) => {
      rounds += 1
      return json(one, rounds === 1 ? { resultType: 'input_required', inputRequests: { a: { method: 'roots/list' }, b: { method: 'sampling/createMessage', params: { n: 1 } } }, ...(requestState === undefined ? {} : { requestState }) } : DONE)
    })
    const turn = await upstream.request(call('x', { y: 1n }), along())
    assert.ok(turn.kind === 'input_required')
    const answers = { a: { kind: 'result', text: '{"roots":[],"n":9007199254740993}' }, b: { kind: 'error', error: { code: -1, message: 'no' } } } as const
    assert.equal(textOf(await upstream.resume(call('x', { y: 1n }), turn.state, answers, along())), 'done')
    const again = paramsOf(calls(server)[1]!)
    assert.deepEqual([again['requestState'], 'requestState' in again, again['arguments']], [requestState, requestState !== undefined, { y: 1 }])
    assert.ok(calls(server)[1]!.text.includes('"inputResponses":{"a":{"roots":[],"n":9007199254740993}}'))
    assert.notEqual(calls(server)[0]!.id, calls(server)[1]!.id)
  }
})

test('progress and logs on the way are told by the client\'s own token, and requests of the server\'s are passed over', async () => {
  const { upstream } = await met((one) => {
    const on = stream(one)
    for (const message of [
      { method: 'notifications/progress', params: { progressToken: one.id, progress: 1 } }, { method: 'notifications/message', params: { level: 'info', data: 'x' } },
      { id: 5, method: 'roots/list' }, { id: one.id, result: DONE },
    ]) on.write(`data: ${JSON.stringify({ jsonrpc: '2.0', ...message })}\n\n`)
    on.end()
    return true
  })
  const notes: McpMessage[] = []
  assert.equal(textOf(await upstream.request(call('x', {}, { progressToken: 7n }), along({ notify: (message) => { notes.push(message) } }))), 'done')
  assert.deepEqual(notes, [{ method: 'notifications/progress', params: { progressToken: 7n, progress: 1n } }, { method: 'notifications/message', params: { level: 'info', data: 'x' } }])
})

test('a call that is not wanted any more is closed', async () => {
  const { server, upstream } = await met((one) => { stream(one).flushHeaders() })
  const stop = new AbortController()
  const reason = new Error('the task has ended')
  const ended = assert.rejects(upstream.request(call('x'), along({ signal: stop.signal })), reason)
  const came = await eventually('the call came', () => calls(server)[0])
  stop.abort(reason)
  await ended
  await eventually('it is closed', () => came.response.destroyed)
  assert.equal(server.asked.length, 2)
})

test('a tool whose headers break the rules is not listed, and is not called', async () => {
  const { server, upstream } = await met((one) => json(one, { resultType: 'complete', tools: [
    { name: 'sound', inputSchema: { type: 'object', properties: { a: { type: 'string', 'x-mcp-header': 'A' } } } }, { name: 'unsound', inputSchema: { type: 'object', properties: { a: { type: 'string', 'x-mcp-header': 'a\r\nhost' } } } },
  ], big: 1 }))
  const list = await upstream.request({ method: 'tools/list', params: {} }, along())
  assert.deepEqual(list.kind === 'result' && JSON.parse(list.text), { tools: [{ name: 'sound', inputSchema: { type: 'object', properties: { a: { type: 'string', 'x-mcp-header': 'A' } } } }], big: 1 })
  assert.deepEqual(await upstream.request(call('unsound', { a: 'x' }), along()), { kind: 'error', error: { code: -32602, message: 'the tool\'s definition is not valid' } })
  assert.equal(calls(server).length, 0)
})

for (const { what, behave, code } of [
  { what: 'an error of the protocol under 400', code: null, behave: ({ response, id }) => { response.writeHead(400, { 'content-type': 'application/json' }).end(`{"jsonrpc":"2.0","id":${id},"error":{"code":-32021,"message":"missing"}}`) } },
  { what: 'an unknown method under 404', code: null, behave: ({ response, id }) => { response.writeHead(404, { 'content-type': 'application/json' }).end(`{"jsonrpc":"2.0","id":${id},"error":{"code":-32021,"message":"missing"}}`) } },
  { what: 'a page under 404', code: 'status_404', behave: ({ response }) => { response.writeHead(404, { 'content-type': 'text/html' }).end('<p>') } },
  { what: 'a redirect', code: 'status_308', behave: ({ response }) => { response.writeHead(308, { location: 'http://127.0.0.1:1/' }).end() } },
  { what: 'a stream that ends early', code: 'ended', behave: (one) => { stream(one).end('id: 1\ndata:\n\n') } },
  { what: 'a line that breaks', code: 'ECONNRESET', behave: ({ request }) => { request.socket.destroy() } },
] as readonly { readonly what: string; readonly behave: RawBehaviour; readonly code: string | null }[]) {
  test(`${what} is ${code === null ? 'the server\'s answer' : `an error that names the server and \`${code}\``}`, async () => {
    const { upstream } = await met((one) => {
      behave(one)
      return true
    })
    const came = upstream.request(call('x'), along())
    if (code === null) assert.deepEqual(await came, { kind: 'error', error: { code: -32021, message: 'missing' } })
    else await assert.rejects(came, { code, message: `the MCP server \`shop\` can not be asked: ${code}` })
  })
}

test('whoever listens hears what the server offers, and is connected again after a break; resources that are wanted are asked for', async () => {
  const listening: RawAsked[] = []
  const { upstream } = await met((one) => {
    if (one.method !== 'subscriptions/listen') return
    listening.push(one)
    const subscription = { _meta: { [`${META}subscriptionId`]: one.id } }
    const say = (method: string, params: object): void => { one.response.write(`data: ${JSON.stringify({ jsonrpc: '2.0', method, params: { ...params, ...subscription } })}\n\n`) }
    stream(one)
    say('notifications/subscriptions/acknowledged', {})
    if (listening.length === 1) {
      say('notifications/tools/list_changed', {})
      one.response.end()
    } else say('notifications/resources/updated', { uri: 'a:b' })
    return true
  })
  const heard: McpMessage[] = []
  const stop = upstream.listen((message) => { heard.push(message) })
  await eventually('it was heard twice', () => heard.length === 2)
  assert.deepEqual(heard, [{ method: 'notifications/tools/list_changed', params: {} }, { method: 'notifications/resources/updated', params: { uri: 'a:b' } }])
  await upstream.request({ method: 'resources/subscribe', params: { uri: 'a:b' } }, along())
  await eventually('it was asked for', () => listening.length === 3)
  assert.deepEqual(listening.map((one) => paramsOf(one)['notifications']), [
    ...Array.from({ length: 2 }, () => ({ toolsListChanged: true, resourcesListChanged: true })), { toolsListChanged: true, resourcesListChanged: true, resourceSubscriptions: ['a:b'] },
  ])
  stop()
  await eventually('nobody listens any more', () => listening.every(({ response }) => response.destroyed))
})

describe('the generation of a server', () => {
  const discovered = async (behave: RawBehaviour) => {
    const server = await rawHttp(behave)
    try {
      const upstream = await asked({ transport: { kind: 'http', url: server.url, ca: null } })
      await upstream.close()
      return upstream.description.generation
    } catch (cause) {
      return (cause as { readonly code: string }).code
    } finally {
      server.stop()
    }
  }
  const error = (code: number, data?: object, status = 400): RawBehaviour => (one) => {
    if (one.method !== 'server/discover') return
    one.response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify({ jsonrpc: '2.0', id: one.id, error: { code, message: 'no', data } }))
    return true
  }
  const status = (code: number): RawBehaviour => ({ method, response }) => method === 'server/discover' && (response.writeHead(code).end(), true)

  for (const { when, behave, is } of [
    { when: 'it does not know the method', behave: error(-32601, undefined, 200), is: '2025-11-25' }, { when: 'it wants a greeting first', behave: error(-32000), is: '2025-11-25' },
    { when: 'it answers 404', behave: status(404), is: '2025-11-25' }, { when: 'it answers 405', behave: status(405), is: '2025-11-25' }, { when: 'it names older versions alone', behave: error(-32022, { supported: ['2025-11-25', '2025-06-18'] }), is: '2025-11-25' },
    { when: 'it names later versions alone', behave: error(-32022, { supported: ['2027-01-01'] }), is: 'unsupported_version' }, { when: 'it lets nobody in', behave: status(401), is: 'status_401' }, { when: 'it forbids', behave: status(403), is: 'status_403' },
    { when: 'it has broken down', behave: status(503), is: 'status_503' }, { when: 'it discovers something else', behave: (one) => one.method === 'server/discover' && json(one, { hello: 1 }), is: '2025-11-25' },
    { when: 'it discovers later versions alone', behave: (one) => one.method === 'server/discover' && json(one, { supportedVersions: ['2027-01-01'], capabilities: {} }), is: '2025-11-25' },
  ] as readonly { readonly when: string; readonly behave: RawBehaviour; readonly is: string }[]) {
    test(`is ${is} when ${when}`, async () => { assert.equal(await discovered(behave), is) })
  }
})
