import assert from 'node:assert/strict'
import { afterEach, describe, test } from 'node:test'
import type { ServerResponse } from 'node:http'
import { gzipSync } from 'node:zlib'
import { ABLE, along, asked, call, textOf, UNABLE } from '../../test/mcp/asking.ts'
import { json, rawHttp, stream, type RawBehaviour, type RawHttp } from '../../test/mcp/raw-http.ts'
import { eventually } from '../../test/eventually.ts'
import type { UpstreamNeeds, UpstreamSecret } from './open.ts'
import type { McpClient, McpMessage, Upstream } from './upstream.ts'

const SECRET = 'Bearer a-secret-of-forty-characters-0123456789'
const DONE = { content: [{ type: 'text', text: 'done' }] }
const done = (id: number | undefined): string => `data: ${JSON.stringify({ jsonrpc: '2.0', id, result: DONE })}\n\n`

const running: { readonly server: RawHttp; readonly upstream: Upstream }[] = []
afterEach(async () => {
  for (const { server, upstream } of running.splice(0)) {
    await upstream.close()
    server.stop()
  }
})

type More = { readonly bounds?: UpstreamNeeds['bounds']; readonly client?: McpClient; readonly secret?: UpstreamSecret }

async function met(behave: RawBehaviour, { bounds, client = UNABLE, secret }: More = {}) {
  const server = await rawHttp(behave)
  const upstream = await asked({ transport: { kind: 'http', url: server.url, ca: null }, client, ...(secret === undefined ? {} : { secret }), needs: bounds === undefined ? {} : { bounds } })
  running.push({ server, upstream })
  return { server, upstream }
}

test('every digit goes there and comes back', async () => {
  const { upstream } = await met(({ method, response, text, id }) => {
    if (method !== 'tools/call') return
    response.writeHead(200, { 'content-type': 'application/json' }).end(`{"jsonrpc":"2.0","id":${id},"result":{"given": ${/"arguments":(\{.*?\})/.exec(text)![1]}, "big":9007199254740993, "f":1.10}}`)
  })
  assert.deepEqual(await upstream.request(call('x', { id: 18446744073709551615n }), along()), { kind: 'result', text: '{"given": {"id":18446744073709551615}, "big":9007199254740993, "f":1.10}' })
})

test('the server gets the id that it gave, the version and the secret with everything, and is told of the end', async () => {
  const { server, upstream } = await met((one) => one.method === 'tools/call' && json(one, DONE), { secret: { headers: { Authorization: SECRET, 'Mcp-Session-Id': 'not ours', Host: 'elsewhere' } } })
  assert.equal(textOf(await upstream.request(call('x'), along())), 'done')
  await upstream.close()
  await eventually('it was told', () => server.asked.some(({ request }) => request.method === 'DELETE'))
  const heads = server.asked.map(({ request, method }) => [method ?? request.method, request.headers['mcp-session-id'], request.headers['mcp-protocol-version'], request.headers.authorization])
  assert.deepEqual(heads.filter(([what]) => what !== 'GET'), [
    ['server/discover', undefined, '2026-07-28', SECRET], ['initialize', undefined, undefined, SECRET], ['notifications/initialized', 'the-session', '2025-11-25', SECRET],
    ['tools/call', 'the-session', '2025-11-25', SECRET], ['DELETE', 'the-session', '2025-11-25', SECRET],
  ])
  assert.ok(server.asked.every(({ request }) => request.headers['accept-encoding'] === 'identity' && request.headers.host === new URL(server.url).host))
})

test('how much of the log a client of the newer generation wants to hear, the server is told before the call, once', async () => {
  const LEVEL = 'io.modelcontextprotocol/logLevel'
  const { server, upstream } = await met((one) => {
    if (one.method === 'initialize') return json(one, { protocolVersion: '2025-11-25', capabilities: { tools: {}, logging: {} } }, { 'mcp-session-id': 'the-session' })
    return one.id !== undefined && one.method !== 'server/discover' && json(one, one.method === 'tools/call' ? DONE : {})
  })
  for (const level of ['warning', 'error', 'info', 'loud', undefined]) await upstream.request(call('x', {}, { progressToken: 'p', ...(level === undefined ? {} : { [LEVEL]: level }) }), along())
  await upstream.request({ method: 'logging/setLevel', params: { level: 'critical' } }, along())
  await upstream.request(call('x', {}, { [LEVEL]: 'error' }), along())
  const told = server.asked.filter(({ method }) => method === 'tools/call' || method === 'logging/setLevel').map(({ method, text }) => (JSON.parse(text) as { params: { level?: string } }).params.level ?? method)
  assert.deepEqual(told, ['warning', 'tools/call', 'tools/call', 'info', 'tools/call', 'tools/call', 'tools/call', 'critical', 'error', 'tools/call'])
  assert.ok(!server.asked.some(({ text }) => text.includes(LEVEL)))
})

test('a server that has no log is told of no level', async () => {
  const { server, upstream } = await met((one) => one.method === 'tools/call' && json(one, DONE))
  await upstream.request(call('x', {}, { 'io.modelcontextprotocol/logLevel': 'debug' }), along())
  assert.deepEqual(server.asked.filter(({ method }) => method === 'logging/setLevel' || method === 'tools/call').map(({ method, text }) => [method, text.includes('_meta')]), [['tools/call', false]])
})

test('connections serve again, for answers in one piece and for streams', async () => {
  let asStream = false
  const { server, upstream } = await met((one) => {
    if (one.method !== 'tools/call') return
    asStream = !asStream
    if (asStream) stream(one).end(done(one.id))
    else json(one, DONE)
    return true
  })
  for (let i = 0; i < 20; i++) assert.equal(textOf(await upstream.request(call('x'), along())), 'done')
  assert.ok(server.sockets() <= 4, String(server.sockets()))
})

const big = 'x'.repeat(1024 * 1024)
for (const { what, behave, code, bounds } of [
  { what: 'an answer of more than sixteen megabytes', code: 'too_large', behave: ({ response }) => {
    response.writeHead(200, { 'content-type': 'application/json' }).write('{"jsonrpc":"2.0","id":3,"result":{"x":"')
    for (let i = 0; i < 17; i++) response.write(big)
  } },
  { what: 'an event without an end', code: 'too_large', behave: (one) => {
    stream(one).write('data: ')
    for (let i = 0; i < 17; i++) one.response.write(big)
  } },
  { what: 'a stream that says more and more and never the answer', code: 'too_large', bounds: { exchangeBytes: 100_000 }, behave: (one) => {
    const drip = setInterval(() => { one.response.write(`: ${'x'.repeat(10_000)}\n`) }, 1)
    stream(one).on('close', () => { clearInterval(drip) })
  } },
  { what: 'a stream on which nothing comes', code: 'idle', bounds: { idleMs: 100 }, behave: (one) => { stream(one).flushHeaders() } },
  { what: 'an answer that never begins', code: 'too_slow', bounds: { idleMs: 100 }, behave: () => undefined },
  { what: 'an answer that stops in the middle', code: 'idle', bounds: { idleMs: 100 }, behave: ({ response }) => { response.writeHead(200, { 'content-type': 'application/json' }).write('{"jsonrpc"') } },
  { what: 'a packed answer', code: 'compressed', behave: ({ response }) => { response.writeHead(200, { 'content-type': 'application/json', 'content-encoding': 'gzip' }).end(gzipSync(Buffer.alloc(50_000_000, 0x20))) } },
  { what: 'a page', code: 'bad_answer', behave: ({ response }) => { response.writeHead(200, { 'content-type': 'text/html' }).end('<p>') } },
  { what: 'an answer to another request', code: 'bad_answer', behave: (one) => json({ ...one, id: 999 }, DONE) },
  { what: 'an answer that says a member twice', code: 'bad_answer', behave: ({ response, id }) => { response.writeHead(200, { 'content-type': 'application/json' }).end(`{"jsonrpc":"2.0","id":${id},"result":{},"result":{}}`) } },
  { what: 'an answer that is nested without end', code: 'bad_answer', behave: ({ response, id }) => { response.writeHead(200, { 'content-type': 'application/json' }).end(`{"jsonrpc":"2.0","id":${id},"result":{"x":${'['.repeat(1e5)}${']'.repeat(1e5)}}}`) } },
  { what: 'an answer that is not UTF-8', code: 'bad_answer', behave: ({ response }) => { response.writeHead(200, { 'content-type': 'application/json' }).end(Buffer.from([0x22, 0xff, 0x22])) } },
  { what: 'no answer', code: 'status_202', behave: ({ response }) => { response.writeHead(202).end() } },
  { what: 'a refusal', code: 'status_403', behave: ({ response }) => { response.writeHead(403).end() } },
  { what: 'a server that has broken down', code: 'status_502', behave: ({ response }) => { response.writeHead(502, { 'content-type': 'text/html' }).end(SECRET) } },
  { what: 'a line that breaks', code: 'ECONNRESET', behave: ({ request }) => { request.socket.destroy() } },
  { what: 'a stream that breaks and can not be taken up again', code: 'ended', behave: (one) => {
    stream(one).write(': hello\n\n')
    setTimeout(() => { one.request.socket.destroy() }, 20)
  } },
  { what: 'a stream that ends without the answer', code: 'ended', behave: (one) => { stream(one).end(': hello\n\n') } },
] as readonly { readonly what: string; readonly behave: RawBehaviour; readonly code: string; readonly bounds?: UpstreamNeeds['bounds'] }[]) {
  test(`${what} is an error that names the server and \`${code}\`, and the next call works`, async () => {
    let calls = 0
    const { upstream } = await met((one) => {
      if (one.method !== 'tools/call') return
      calls += 1
      if (calls > 1) return json(one, DONE)
      behave(one)
      return true
    }, { ...(bounds === undefined ? {} : { bounds }), secret: { headers: { authorization: SECRET } } })
    await assert.rejects(upstream.request(call('x'), along()), (fault: Error & { readonly code?: string }) => {
      assert.deepEqual([fault.code, fault.message], [code, `the MCP server \`shop\` can not be asked: ${code}`])
      return true
    })
    assert.equal(textOf(await upstream.request(call('x'), along())), 'done')
    assert.equal(calls, 2)
  })
}

test('a redirect is not followed, and no one else is called', async () => {
  const other = await rawHttp(() => undefined)
  const { upstream } = await met(({ method, response }) => {
    if (method !== 'tools/call') return
    response.writeHead(307, { location: other.url }).end()
    return true
  })
  await assert.rejects(upstream.request(call('x'), along()), { code: 'status_307' })
  assert.equal(other.sockets(), 0)
  other.stop()
})

describe('a stream that breaks off', () => {
  test('is taken up where it stopped, after the wait that the server wants', async () => {
    let calledId: number | undefined
    let brokenAt = 0
    const resumed: unknown[] = []
    const { upstream, server } = await met((one) => {
      if (one.method === 'tools/call') {
        calledId = one.id
        brokenAt = performance.now()
        stream(one).end('id: 17\nretry: 150\ndata:\n\n')
        return true
      }
      if (one.request.headers['last-event-id'] === undefined) return
      resumed.push([one.request.headers['last-event-id'], one.request.headers['mcp-session-id']])
      if (resumed.length === 1) stream(one).end(`id: 18\ndata: {"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"half"}}\n\n`)
      else stream(one).end(done(calledId))
      return true
    })
    const notes: McpMessage[] = []
    assert.equal(textOf(await upstream.request(call('x'), along({ notify: (message) => { notes.push(message) } }))), 'done')
    assert.deepEqual(resumed, [['17', 'the-session'], ['18', 'the-session']])
    assert.ok(performance.now() - brokenAt >= 290)
    assert.deepEqual(notes.map(({ params }) => params['data']), ['half'])
    assert.equal(server.asked.filter(({ method }) => method === 'tools/call').length, 1)
  })

  test('is given up when the server does not take it up', async () => {
    const { upstream } = await met((one) => {
      if (one.method === 'tools/call') stream(one).end('id: 17\nretry: 1\ndata:\n\n')
      else if (one.request.headers['last-event-id'] !== undefined) one.response.writeHead(400).end()
      else return
      return true
    })
    await assert.rejects(upstream.request(call('x'), along()), { code: 'status_400' })
  })

  test('is given up when nothing comes any more however often it is taken up', async () => {
    let taken = 0
    const { upstream } = await met((one) => {
      if (one.method === 'tools/call') stream(one).end('id: 17\nretry: 1\ndata:\n\n')
      else if (one.request.headers['last-event-id'] !== undefined) {
        taken += 1
        stream(one).end()
      } else return
      return true
    })
    await assert.rejects(upstream.request(call('x'), along()), { code: 'ended' })
    assert.ok(taken <= 4, String(taken))
  })
})

for (const { how, answer } of [
  { how: 'as it should', answer: (response) => response.writeHead(404).end() },
  { how: 'as one server does', answer: (response) => response.writeHead(400, { 'content-type': 'application/json' }).end('{"jsonrpc":"2.0","error":{"code":-32000,"message":"no"},"id":null}') },
] as readonly { how: string; answer: (response: ServerResponse) => unknown }[]) {
  test(`a server that has forgotten us and says so ${how} is greeted anew, once for all calls, and gets each call once`, async () => {
    let greeted = 0
    const got: unknown[] = []
    const { upstream } = await met((one) => {
      if (one.method === 'initialize') {
        greeted += 1
        return json(one, { protocolVersion: '2025-11-25', capabilities: { tools: {} } }, { 'mcp-session-id': `session-${greeted}` })
      }
      if (one.method !== 'tools/call') return
      if (one.request.headers['mcp-session-id'] === 'session-1') answer(one.response)
      else {
        got.push(one.id)
        json(one, DONE)
      }
      return true
    })
    await Promise.all(Array.from({ length: 5 }, async () => { assert.equal(textOf(await upstream.request(call('x'), along())), 'done') }))
    assert.deepEqual([greeted, got.length, new Set(got).size], [2, 5, 5])
  })
}

test('a server that forgets us again and again is given up', async () => {
  const { upstream, server } = await met((one) => {
    if (one.method !== 'tools/call') return
    one.response.writeHead(404).end()
    return true
  })
  await assert.rejects(upstream.request(call('x'), along()), { code: 'status_404' })
  assert.equal(server.asked.filter(({ method }) => method === 'initialize').length, 2)
})

test('a call that is not wanted is cancelled by a message, and its stream is closed', async () => {
  const { upstream, server } = await met((one) => {
    if (one.method === 'tools/call') stream(one).flushHeaders()
  })
  const stop = new AbortController()
  const reason = new Error('the task has ended')
  const ended = assert.rejects(upstream.request(call('x'), along({ signal: stop.signal })), reason)
  const called = await eventually('the call came', () => server.asked.find(({ method }) => method === 'tools/call'))
  stop.abort(reason)
  await ended
  const told = await eventually('it was told', () => server.asked.find(({ method }) => method === 'notifications/cancelled'))
  assert.deepEqual(JSON.parse(told.text), { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: called.id } })
  await eventually('the stream is closed', () => called.response.destroyed)
})

describe('a question of the server\'s', () => {
  const question = (id: unknown, method = 'elicitation/create', params: unknown = { message: 'who' }) => `data: ${JSON.stringify({ jsonrpc: '2.0', id, method, params })}\n\n`

  test('goes with the call on whose stream it comes, whatever else is in flight; its id comes back as it was', async () => {
    const streams = new Map<string, ServerResponse>()
    const { upstream, server } = await met((one) => {
      if (one.method === 'tools/call') streams.set((JSON.parse(one.text) as { params: { name: string } }).params.name, stream(one))
      if (one.method !== undefined || one.id === undefined) return one.method === 'tools/call'
      one.response.writeHead(202).end()
      return true
    }, { client: ABLE })
    const [first] = [upstream.request(call('first'), along()), upstream.request(call('second'), along()).catch(() => undefined)]
    await eventually('both came', () => streams.size === 2)
    streams.get('first')!.write(question('a "strange" id') + question(7, 'ping') + question(8, 'tools/list'))
    const turn = await first
    assert.ok(turn.kind === 'input_required')
    assert.deepEqual(turn.inputs, { input_1: { method: 'elicitation/create', params: { message: 'who' } } })
    const resumed = upstream.resume(call('first'), turn.state, { input_1: { kind: 'result', text: '{"action":"accept","content":{"n":9007199254740993}}' } }, along())
    const answers = await eventually('all are answered', () => {
      const found = server.asked.filter(({ method, text }) => method === undefined && text !== '').map(({ text }) => text)
      return found.length === 3 && found
    })
    assert.deepEqual(answers.toSorted(), [
      '{"jsonrpc":"2.0","id":"a \\"strange\\" id","result":{"action":"accept","content":{"n":9007199254740993}}}',
      '{"jsonrpc":"2.0","id":7,"result":{}}',
      '{"jsonrpc":"2.0","id":8,"error":{"code":-32601,"message":"the client can not do that"}}',
    ].toSorted())
    const id = server.asked.find(({ method, text }) => method === 'tools/call' && text.includes('first'))!.id
    streams.get('first')!.end(done(id))
    assert.equal(textOf(await resumed), 'done')
  })

  test('that comes outside of every call is put at once to whoever listens and is there, and its answer goes back', async () => {
    let line: ServerResponse | undefined
    const { server, upstream } = await met((one) => {
      if (one.request.method === 'GET') line = stream(one)
      return one.request.method === 'GET'
    }, { client: ABLE, bounds: { unattachedMs: 60_000 } })
    const asked: McpMessage[] = []
    upstream.listen(() => undefined)
    upstream.listen(() => undefined, () => undefined)
    const stop = upstream.listen(() => undefined, async (question) => {
      asked.push(question)
      return { kind: 'result', text: '{"roots":[],"n":9007199254740993}' }
    })
    await eventually('it is listened to', () => line !== undefined)
    line!.write('data: {"jsonrpc":"2.0","id":"q","method":"roots/list"}\n\n')
    await eventually('it is answered', () => server.asked.some(({ text }) => text === '{"jsonrpc":"2.0","id":"q","result":{"roots":[],"n":9007199254740993}}'))
    assert.deepEqual(asked, [{ method: 'roots/list', params: {} }])
    stop()
    line!.end()
  })

  test('that comes outside of every call waits for one that may carry it, and is otherwise answered with an error', async () => {
    let own: ServerResponse | undefined
    const { upstream, server } = await met((one) => {
      if (one.request.method === 'GET') {
        own = stream(one)
        own.flushHeaders()
        return true
      }
      if (one.method === 'tools/list') return json(one, { tools: [] })
      return one.method === 'tools/call'
    }, { client: ABLE, bounds: { unattachedMs: 150 } })
    await eventually('the stream is open', () => own !== undefined)
    own!.write(question(1))
    const answered = await eventually('it was answered', () => server.asked.find(({ method, text }) => method === undefined && text.includes('"id":1')))
    assert.deepEqual(JSON.parse(answered.text), { jsonrpc: '2.0', id: 1, error: { code: -32603, message: 'nobody was there to answer' } })
    own!.write(question(2))
    assert.equal((await upstream.request({ method: 'tools/list', params: {} }, along())).kind, 'result')
    const turn = await upstream.request(call('x'), along())
    assert.ok(turn.kind === 'input_required' && turn.inputs['input_1']?.method === 'elicitation/create')
  })

  test('that is not answered in time ends the call, and the server is told; so does the end of whoever called', async () => {
    for (const how of ['time', 'abort'] as const) {
      const { upstream, server } = await met((one) => {
        if (one.method !== 'tools/call') return
        stream(one).write(question(1))
        return true
      }, { client: ABLE, bounds: { parkedMs: how === 'time' ? 50 : 60_000 } })
      const stop = new AbortController()
      const turn = await upstream.request(call('x'), along({ signal: stop.signal }))
      assert.ok(turn.kind === 'input_required')
      if (how === 'abort') stop.abort(new Error('over'))
      await eventually('the server was told', () => server.asked.some(({ method }) => method === 'notifications/cancelled'))
      await assert.rejects(upstream.resume(call('x'), turn.state, {}, along()), { code: 'unknown_state' })
    }
  })
})
