import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { type AddressInfo, type Server as SocketServer, type Socket } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { after, before, describe, test } from 'node:test'
import { testAuthority } from '../../test/fakes/x509.ts'
import { byTable, countConnections, HOSTILE } from '../../test/hostile-urls.ts'
import { eventually } from '../../test/eventually.ts'
import { outbound, OutboundFault, type Opened, type OpenOrder, type OutboundNeeds } from './outbound.ts'

const order = (more: Partial<OpenOrder> = {}): OpenOrder => ({ method: 'POST', headers: {}, body: '{}', signal: new AbortController().signal, headersDeadlineMs: 10_000, ...more })

for (const [url, kind] of HOSTILE) {
  test(`nothing is sent to ${JSON.stringify(url)}`, async () => {
    const connections = countConnections()
    const got = await outbound({ allow: [], resolve: byTable }).open(url, order())
    assert.equal(got.ok ? '' : got.refusal.kind, kind)
    assert.equal(connections(), 0)
  })
}

async function listen(server: SocketServer, host = '127.0.0.1'): Promise<number> {
  server.listen(0, host)
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

async function textOf(opened: Opened): Promise<string> {
  let text = ''
  for await (const chunk of opened.body) text += Buffer.from(chunk).toString()
  return text
}

describe('an exchange', () => {
  const stage: { answer: RequestListener; connections: number; sockets: Set<Socket>; port: number } = { answer: () => undefined, connections: 0, sockets: new Set(), port: 0 }
  const server = createServer((request, response) => { stage.answer(request, response) })
  server.on('connection', (socket) => {
    stage.connections += 1
    stage.sockets.add(socket)
    socket.on('close', () => { stage.sockets.delete(socket) })
  })
  before(async () => { stage.port = await listen(server) })
  after(() => {
    server.closeAllConnections()
    server.close()
  })
  const opening = (answer: RequestListener, more: Partial<OutboundNeeds> = {}) => {
    stage.answer = answer
    const out = outbound({ allow: [{ kind: 'host', host: `127.0.0.1:${stage.port}` }], ...more })
    return (orders: Partial<OpenOrder> = {}) => out.open(`http://127.0.0.1:${stage.port}/x?y`, order(orders))
  }

  for (const method of ['GET', 'POST', 'DELETE'] as const) {
    test(`${method} says what it was told to say, and nothing that somebody could want`, async () => {
      let seen: unknown
      const open = opening((request, response) => {
        void (async () => {
          let body = ''
          for await (const chunk of request) body += String(chunk)
          seen = [request.method, request.url, body, request.rawHeaders.filter((_, i) => i % 2 === 0).map((name) => name.toLowerCase()).toSorted(), request.headers['accept-encoding']]
          response.writeHead(202, { 'x-answer': 'yes' }).end('done')
        })()
      })
      const opened = await open({ method, headers: { authorization: 'a', 'accept-encoding': 'gzip', 'content-length': '5', 'Transfer-Encoding': 'chunked', Host: 'elsewhere' }, ...(method === 'POST' ? { body: 'é' } : { body: undefined as never }) })
      assert.ok(opened.ok)
      assert.deepEqual([opened.value.status, opened.value.headers['x-answer'], await textOf(opened.value)], [202, 'yes', 'done'])
      const names = ['accept-encoding', 'authorization', 'connection', 'host', 'user-agent', ...(method === 'POST' ? ['content-length'] : [])]
      assert.deepEqual(seen, [method, '/x?y', method === 'POST' ? 'é' : '', names.toSorted(), 'identity'])
    })
  }

  test('every status is the asker\'s to judge, and a redirect is not followed', async () => {
    for (const status of [200, 302, 307, 404, 500]) {
      const connections = countConnections()
      const opened = await opening((_, response) => { response.writeHead(status, { location: `http://127.0.0.1:${stage.port}/elsewhere` }).end() })()
      assert.equal(opened.ok && opened.value.status, status)
      if (opened.ok) await textOf(opened.value)
      assert.equal(connections(), 1)
    }
  })

  test('a body comes as it comes, and to let it go closes the line', async () => {
    const open = opening((_, response) => { response.writeHead(200).write('first') })
    const opened = await open()
    assert.ok(opened.ok)
    for await (const chunk of opened.value.body) {
      assert.equal(Buffer.from(chunk).toString(), 'first')
      break
    }
    opened.value.close()
    await eventually('the line is closed', () => stage.sockets.size === 0)
  })

  for (const { what, answer, refusal } of [
    { what: 'a head that never comes', answer: () => undefined, refusal: { kind: 'too_slow', mostMs: 100 } },
    { what: 'a head that has no end', answer: (_, response) => {
      const drip = setInterval(() => { response.socket?.write('HTTP/1.1 103 Early Hints\r\n\r\n') }, 10)
      response.on('close', () => { clearInterval(drip) })
    }, refusal: { kind: 'too_slow', mostMs: 100 } },
    { what: 'a head that is too large', answer: (_, response) => { response.writeHead(200, { x: 'x'.repeat(64 * 1024) }).end() }, refusal: { kind: 'no_connection', code: 'HPE_HEADER_OVERFLOW' } },
    { what: 'a head that says twice where the body ends', answer: (_, response) => { response.socket?.end('HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab') }, refusal: { kind: 'no_connection', code: 'HPE_UNEXPECTED_CONTENT_LENGTH' } },
    { what: 'a line that breaks', answer: (_, response) => { response.socket?.destroy() }, refusal: { kind: 'no_connection', code: 'ECONNRESET' } },
  ] as readonly { what: string; answer: RequestListener; refusal: object }[]) {
    test(`${what} is refused`, async () => { assert.deepEqual(await opening(answer)({ headersDeadlineMs: 100 }), { ok: false, refusal }) })
  }

  test('a line that breaks in the body is a fault with the system\'s word', async () => {
    const opened = await opening((_, response) => {
      response.writeHead(200, { 'content-length': '100' }).write('{')
      setTimeout(() => { response.socket?.destroy() }, 20)
    })()
    assert.ok(opened.ok)
    await assert.rejects(textOf(opened.value), (fault: unknown) => fault instanceof OutboundFault && fault.code === 'ECONNRESET')
  })

  for (const when of ['before', 'while the name is looked up', 'while the head is awaited', 'in the body'] as const) {
    test(`an abort ${when} throws its reason, and the line is cut`, async () => {
      const stop = new AbortController()
      const reason = new Error('the task has ended')
      const open = opening((_, response) => {
        if (when === 'in the body') response.writeHead(200).write('first')
        if (when !== 'before') setTimeout(() => { stop.abort(reason) }, 30)
      })
      if (when === 'before') stop.abort(reason)
      if (when === 'while the name is looked up') {
        setTimeout(() => { stop.abort(reason) }, 30)
        await assert.rejects(outbound({ allow: [], resolve: () => new Promise(() => undefined) }).open('https://slow.example/', order({ signal: stop.signal })), reason)
        return
      }
      await assert.rejects(async () => {
        const opened = await open({ signal: stop.signal })
        if (opened.ok) await textOf(opened.value)
      }, reason)
      await eventually('the line is cut', () => stage.sockets.size === 0)
    })
  }

  test('a connection serves again, and one that nobody used for a while is closed', async () => {
    const open = opening((_, response) => { response.writeHead(200, { 'keep-alive': 'timeout=600' }).end('{}') })
    const before = stage.connections
    for (let i = 0; i < 50; i++) {
      const opened = await open()
      assert.ok(opened.ok)
      await textOf(opened.value)
    }
    assert.equal(stage.connections - before, 1)
    await eventually('it is closed', () => stage.sockets.size === 0, 10_000)
  })
})

describe('what was judged of a name', () => {
  const authority = testAuthority()
  const reached: string[] = []
  const server = createTlsServer(authority.certify({ names: ['flip.example'] }), (request, response) => {
    reached.push(request.socket.localAddress ?? '')
    response.end('{}')
  })
  let port = 0
  before(async () => { port = await listen(server, '0.0.0.0') })
  after(() => {
    server.closeAllConnections()
    server.close()
  })
  const allow = [{ kind: 'block', address: '127.0.0.2', bits: 31 }] as const
  const get = async (out: ReturnType<typeof outbound>, ca: string | null = authority.cert): Promise<unknown> => {
    const got = await out.open(`https://flip.example:${port}/`, order({ method: 'GET', ca }))
    if (!got.ok) return got.refusal
    return textOf(got.value)
  }

  test('holds for a minute, and is then asked again: an address that is not allowed gets nothing more, not even on an open connection', async () => {
    let answers = ['127.0.0.2']
    let looked = 0
    const out = outbound({ allow, judgementMs: 2000, resolve: async () => {
      looked += 1
      return answers
    } })
    const connections = countConnections()
    assert.deepEqual([await get(out), await get(out), looked], ['{}', '{}', 1])
    answers = ['127.0.0.1']
    assert.deepEqual([await get(out), looked], ['{}', 1])
    await pause(2100)
    const refused = { kind: 'address_not_allowed', host: 'flip.example' }
    assert.deepEqual([await get(out), await get(out), looked], [refused, refused, 3])
    assert.deepEqual([connections(), reached.splice(0)], [1, ['127.0.0.2', '127.0.0.2', '127.0.0.2']])
  })

  test('is left for another address that is allowed, by a new connection', async () => {
    const turns = [['127.0.0.2'], ['127.0.0.3', '127.0.0.3'], ['127.0.0.3', '127.0.0.3']]
    const out = outbound({ allow, judgementMs: 1, resolve: async () => turns.shift()! })
    const connections = countConnections()
    for (let i = 0; i < 3; i++) {
      assert.equal(await get(out), '{}')
      await pause(20)
    }
    assert.deepEqual([connections(), reached.splice(0)], [2, ['127.0.0.2', '127.0.0.3', '127.0.0.3']])
  })

  test('is no reason to trust a connection that was made under another authority', async () => {
    const out = outbound({ allow, resolve: async () => ['127.0.0.2'] })
    assert.equal(await get(out), '{}')
    for (const ca of [testAuthority('another').cert, null]) assert.deepEqual(await get(out, ca), { kind: 'no_connection', code: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE' })
    reached.splice(0)
  })

  test('one bad address among good ones refuses the name', async () => {
    const connections = countConnections()
    assert.deepEqual(await get(outbound({ allow, resolve: async () => ['127.0.0.2', '127.0.0.1'] })), { kind: 'address_not_allowed', host: 'flip.example' })
    assert.equal(connections(), 0)
  })
})

test('a proxy of the environment is not asked', async () => {
  const server = createServer((_, response) => { response.end('{}') })
  const port = await listen(server)
  const before = { ...process.env }
  Object.assign(process.env, { NODE_USE_ENV_PROXY: '1', HTTP_PROXY: 'http://127.0.0.1:1', http_proxy: 'http://127.0.0.1:1' })
  try {
    const opened = await outbound({ allow: [{ kind: 'host', host: `127.0.0.1:${port}` }] }).open(`http://127.0.0.1:${port}/`, order())
    assert.equal(opened.ok && await textOf(opened.value), '{}')
  } finally {
    for (const name of ['NODE_USE_ENV_PROXY', 'HTTP_PROXY', 'http_proxy']) {
      if (before[name] === undefined) Reflect.deleteProperty(process.env, name)
      else process.env[name] = before[name]
    }
    server.closeAllConnections()
    server.close()
  }
})
