import assert from 'node:assert/strict'
import { createServer, type RequestListener, type Server, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { once } from 'node:events'
import { createServer as createSocketServer, type AddressInfo, type Server as SocketServer, type Socket } from 'node:net'
import { after, before, describe, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { testAuthority } from '../../test/fakes/x509.ts'
import { byTable, countConnections, HOSTILE } from '../../test/hostile-urls.ts'
import { MOST_DOCUMENT_BYTES, outbound, type OutboundNeeds, type OutboundRefusal } from './outbound.ts'

const nobody = async (): Promise<readonly string[]> => { throw new Error('no name is looked up here') }
for (const [url, kind] of HOSTILE) {
  test(`${JSON.stringify(url)} is not called`, async () => {
    const connections = countConnections()
    const got = await outbound({ allow: [], resolve: byTable }).getJson(url)
    assert.equal(got.ok, false)
    assert.equal(got.ok ? '' : got.refusal.kind, kind)
    assert.equal(connections(), 0)
  })
}

test('there are at least a hundred and twenty of them (R41)', () => { assert.ok(HOSTILE.length >= 120, String(HOSTILE.length)) })

test('no rule opens what no rule may open: where clouds keep the credentials of their machines', async () => {
  const allow = [{ kind: 'block', address: '169.254.0.0', bits: 16 }, { kind: 'host', host: '169.254.169.254:443' }, { kind: 'host', host: 'metadata.example:443' }] as const
  for (const url of ['https://169.254.169.254/', 'https://metadata.example/']) {
    const got = await outbound({ allow, resolve: byTable }).getJson(url)
    assert.deepEqual(got, { ok: false, refusal: { kind: 'address_not_allowed', host: new URL(url).hostname } })
  }
})

test('a name that is looked up but never answers is given up in time', async () => {
  const got = await outbound({ allow: [], resolve: () => new Promise(() => undefined), deadlineMs: 50 }).getJson('https://slow.example/')
  assert.deepEqual(got, { ok: false, refusal: { kind: 'too_slow', mostMs: 50 } })
})

/** Fifty megabytes of blanks in fifty kilobytes. */
const bomb = gzipSync(Buffer.alloc(50_000_000, 0x20))

/** One server whose next answers a test chooses. */
type Stage = { readonly server: Server; port: number; answer: RequestListener; readonly peers: string[] }

async function listen(server: Server | SocketServer, host = '127.0.0.1'): Promise<number> {
  server.listen(0, host)
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

describe('what comes back', () => {
  const stage: Stage = { server: createServer((request, response) => { stage.answer(request, response) }), port: 0, answer: () => undefined, peers: [] }
  before(async () => { stage.port = await listen(stage.server) })
  after(() => {
    stage.server.closeAllConnections()
    stage.server.close()
  })

  const get = async (answer: RequestListener, more: Partial<OutboundNeeds> = {}) => {
    stage.answer = answer
    return outbound({ allow: [{ kind: 'host', host: `127.0.0.1:${stage.port}` }], resolve: nobody, deadlineMs: 400, ...more }).getJson(`http://127.0.0.1:${stage.port}/keys`)
  }
  const JSON_HEAD = { 'content-type': 'application/json' }
  const large = `"${'x'.repeat(MOST_DOCUMENT_BYTES)}"`
  const send = (response: ServerResponse, body: string | Uint8Array, head: Readonly<Record<string, string>> = JSON_HEAD, status = 200) => response.writeHead(status, head).end(body)

  for (const { when, answer, refusal } of [
    ...[301, 302, 303, 307, 308].map((status) => ({
      when: `it is sent elsewhere with ${status}`, answer: ((_, response) => { send(response, '{}', { ...JSON_HEAD, location: `http://127.0.0.1:${stage.port}/keys` }, status) }) as RequestListener, refusal: { kind: 'status', status },
    })),
    { when: 'there is nothing', answer: (_, response) => { send(response, '{}', JSON_HEAD, 404) }, refusal: { kind: 'status', status: 404 } },
    { when: 'it has no content', answer: (_, response) => { response.writeHead(204).end() }, refusal: { kind: 'status', status: 204 } },
    { when: 'it is cut in parts', answer: (_, response) => { send(response, '{}', JSON_HEAD, 206) }, refusal: { kind: 'status', status: 206 } },
    { when: 'it is a page', answer: (_, response) => { send(response, '{}', { 'content-type': 'text/html' }) }, refusal: { kind: 'not_json', why: 'type' } },
    { when: 'it does not say what it is', answer: (_, response) => { send(response, '{}', {}) }, refusal: { kind: 'not_json', why: 'type' } },
    { when: 'it only sounds like JSON', answer: (_, response) => { send(response, '{}', { 'content-type': 'application/jsonp' }) }, refusal: { kind: 'not_json', why: 'type' } },
    { when: 'it is not JSON', answer: (_, response) => { send(response, '<keys/>') }, refusal: { kind: 'not_json', why: 'text' } },
    { when: 'it is empty', answer: (_, response) => { send(response, '') }, refusal: { kind: 'not_json', why: 'text' } },
    { when: 'it says a member twice', answer: (_, response) => { send(response, '{"keys":[],"keys":[]}') }, refusal: { kind: 'not_json', why: 'text' } },
    { when: 'it is nested without end', answer: (_, response) => { send(response, '['.repeat(5000) + ']'.repeat(5000)) }, refusal: { kind: 'not_json', why: 'text' } },
    { when: 'it reaches for a prototype', answer: (_, response) => { send(response, '{"__proto__":{}}') }, refusal: { kind: 'not_json', why: 'text' } },
    { when: 'it is not UTF-8', answer: (_, response) => { send(response, Buffer.from([0x22, 0xff, 0x22])) }, refusal: { kind: 'not_json', why: 'text' } },
    { when: 'it is packed', answer: (_, response) => { send(response, bomb, { ...JSON_HEAD, 'content-encoding': 'gzip' }) }, refusal: { kind: 'not_json', why: 'encoding' } },
    { when: 'it says that it is too large', answer: (_, response) => { response.writeHead(200, { ...JSON_HEAD, 'content-length': '1000000000' }).flushHeaders() }, refusal: { kind: 'too_large', most: MOST_DOCUMENT_BYTES } },
    { when: 'it is too large and does not say so', answer: (_, response) => { send(response, large, { ...JSON_HEAD, 'transfer-encoding': 'chunked' }) }, refusal: { kind: 'too_large', most: MOST_DOCUMENT_BYTES } },
    { when: 'it never comes', answer: () => undefined, refusal: { kind: 'too_slow', mostMs: 400 } },
    { when: 'it comes byte by byte', answer: (_, response) => {
      response.writeHead(200, JSON_HEAD)
      const drip = setInterval(() => { response.write(' ') }, 20)
      response.on('close', () => { clearInterval(drip) })
    }, refusal: { kind: 'too_slow', mostMs: 400 } },
    { when: 'its head has no end', answer: (_, response) => {
      const drip = setInterval(() => { response.socket?.write('HTTP/1.1 103 Early Hints\r\n\r\n') }, 20)
      response.on('close', () => { clearInterval(drip) })
    }, refusal: { kind: 'too_slow', mostMs: 400 } },
    { when: 'the line breaks', answer: (_, response) => { response.socket?.destroy() }, refusal: { kind: 'no_connection', code: 'ECONNRESET' } },
    { when: 'the line breaks in the middle', answer: (_, response) => {
      response.writeHead(200, { ...JSON_HEAD, 'content-length': '100' }).write('{')
      setTimeout(() => { response.socket?.destroy() }, 20)
    }, refusal: { kind: 'no_connection', code: 'ECONNRESET' } },
  ] as readonly { readonly when: string; readonly answer: RequestListener; readonly refusal: OutboundRefusal }[]) {
    test(`a document is refused when ${when}`, async () => {
      assert.deepEqual(await get(answer), { ok: false, refusal })
    })
  }

  test('a head that is no HTTP is refused', async () => {
    const odd = createSocketServer((socket: Socket) => { socket.on('error', () => undefined).end('SSH-2.0-OpenSSH_9.9\r\n') })
    const port = await listen(odd)
    const got = await outbound({ allow: [{ kind: 'host', host: `127.0.0.1:${port}` }], deadlineMs: 400 }).getJson(`http://127.0.0.1:${port}/`)
    odd.close()
    assert.equal(got.ok ? '' : got.refusal.kind, 'no_connection')
  })

  test('nobody listens: that is said', async () => {
    const gone = createServer()
    const port = await listen(gone)
    gone.close()
    await once(gone, 'close')
    assert.deepEqual(await outbound({ allow: [{ kind: 'host', host: `127.0.0.1:${port}` }] }).getJson(`http://127.0.0.1:${port}/`), { ok: false, refusal: { kind: 'no_connection', code: 'ECONNREFUSED' } })
  })

  for (const type of ['application/json', 'application/json; charset=utf-8', 'application/jwk-set+json', 'Application/JSON']) {
    test(`a document of type \`${type}\` is read`, async () => {
      assert.deepEqual(await get((_, response) => { send(response, '{"keys":[]}', { 'content-type': type }) }), { ok: true, value: { keys: [] } })
    })
  }

  test('nothing goes out with the question that somebody could want', async () => {
    let head: readonly string[] = []
    await get((request, response) => {
      head = request.rawHeaders
      send(response, '{}')
    })
    assert.deepEqual(head.filter((_, i) => i % 2 === 0).map((name) => name.toLowerCase()).toSorted(), ['accept', 'accept-encoding', 'connection', 'host', 'user-agent'])
  })

  test('a proxy of the environment is not asked', async () => {
    const before = { ...process.env }
    Object.assign(process.env, { NODE_USE_ENV_PROXY: '1', HTTP_PROXY: 'http://127.0.0.1:1', http_proxy: 'http://127.0.0.1:1', HTTPS_PROXY: 'http://127.0.0.1:1' })
    try {
      assert.deepEqual(await get((_, response) => { send(response, '{}') }), { ok: true, value: {} })
    } finally {
      for (const name of ['NODE_USE_ENV_PROXY', 'HTTP_PROXY', 'http_proxy', 'HTTPS_PROXY']) {
        if (before[name] === undefined) Reflect.deleteProperty(process.env, name)
        else process.env[name] = before[name]
      }
    }
  })

  test('plain http goes to the named port of this machine and to no other', async () => {
    const other = outbound({ allow: [{ kind: 'host', host: '127.0.0.1:1' }, { kind: 'block', address: '127.0.0.0', bits: 8 }, { kind: 'host', host: `public.example:${stage.port}` }], resolve: async () => ['127.0.0.1'] })
    for (const url of [`http://127.0.0.1:${stage.port}/`, `http://public.example:${stage.port}/`, `http://localhost:${stage.port}/`]) assert.deepEqual(other.faultOf(url), { kind: 'bad_url', why: 'scheme' }, url)
  })
})

describe('a name that changes its mind', () => {
  const authority = testAuthority()
  const reached: string[] = []
  const server = createTlsServer(authority.certify({ names: ['flip.example', 'issuer.example'] }), (request, response) => {
    reached.push(request.socket.localAddress ?? '')
    response.writeHead(200, { 'content-type': 'application/json' }).end('{}')
  })
  let port = 0
  before(async () => { port = await listen(server, '0.0.0.0') })
  after(() => {
    server.closeAllConnections()
    server.close()
  })

  test('is called at the address that was judged, however it answers afterwards', async () => {
    let asked = 0
    const flipping = async (): Promise<readonly string[]> => [asked++ === 0 ? '127.0.0.2' : '127.0.0.1']
    const out = outbound({ allow: [{ kind: 'block', address: '127.0.0.2', bits: 32 }], resolve: flipping })
    assert.deepEqual(await out.getJson(`https://flip.example:${port}/`, { ca: authority.cert }), { ok: true, value: {} })
    assert.deepEqual([asked, reached], [1, ['127.0.0.2']])
    assert.deepEqual(await out.getJson(`https://flip.example:${port}/`, { ca: authority.cert }), { ok: false, refusal: { kind: 'address_not_allowed', host: 'flip.example' } })
    assert.equal(reached.length, 1)
  })

  for (const { when, names, ca, order, code } of [
    { when: 'it is of another name', names: ['other.example'], code: 'ERR_TLS_CERT_ALTNAME_INVALID' },
    { when: 'it has expired', names: ['issuer.example'], order: { from: new Date(Date.now() - 9e8), to: new Date(Date.now() - 1e8) }, code: 'CERT_HAS_EXPIRED' },
    { when: 'it is not valid yet', names: ['issuer.example'], order: { from: new Date(Date.now() + 1e8), to: new Date(Date.now() + 9e8) }, code: 'CERT_NOT_YET_VALID' },
    { when: 'its authority is a stranger', names: ['issuer.example'], ca: testAuthority('another').cert, code: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE' },
    { when: 'nobody has named its authority', names: ['issuer.example'], ca: null, code: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE' },
  ] as readonly { when: string; names: readonly string[]; ca?: string | null; order?: { from: Date; to: Date }; code: string }[]) {
    test(`a server's X.509 certificate is refused when ${when}`, async () => {
      const bad = createTlsServer(authority.certify({ names, ...order }), (_, response) => { response.end('{}') })
      bad.on('tlsClientError', () => undefined)
      const badPort = await listen(bad)
      const out = outbound({ allow: [{ kind: 'host', host: `issuer.example:${badPort}` }], resolve: async () => ['127.0.0.1'] })
      const got = await out.getJson(`https://issuer.example:${badPort}/`, { ca: ca === undefined ? authority.cert : ca })
      bad.closeAllConnections()
      bad.close()
      assert.deepEqual(got, { ok: false, refusal: { kind: 'no_connection', code } })
    })
  }

  test('a text that is no X.509 certificate is no authority: the call fails, and nothing else', async () => {
    const out = outbound({ allow: [{ kind: 'block', address: '127.0.0.2', bits: 32 }], resolve: async () => ['127.0.0.2'] })
    const got = await out.getJson(`https://issuer.example:${port}/`, { ca: '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n' })
    assert.equal(got.ok ? '' : got.refusal.kind, 'no_connection')
  })
})
