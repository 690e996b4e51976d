import assert from 'node:assert/strict'
import { createSecretKey } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, test } from 'node:test'
import { mintId, type ServerInstanceId } from '@writ/domain/id'
import { fixedClock } from '../../test/fakes/clock.ts'
import { forwarding, HOP_HEADER, type Forwarding, type WholeCall } from './forward.ts'

const clock = fixedClock()
const idOf = (n: number): ServerInstanceId => mintId('serverInstance', clock.now(), new Uint8Array(10).fill(n)) as ServerInstanceId
const [HOME, SELF] = [idOf(1), idOf(2)]
const keyOf = (n: number) => createSecretKey(Buffer.alloc(32, n))

const servers: Server[] = []
after(() => { for (const server of servers) server.closeAllConnections() })
async function serve(handle: (request: IncomingMessage, response: ServerResponse) => void): Promise<string> {
  const server = createServer(handle).listen(0, '127.0.0.1')
  servers.push(server)
  server.unref()
  await once(server, 'listening')
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

const side = (self: ServerInstanceId, address?: string, keys = [keyOf(1)]): Forwarding =>
  forwarding({ self, hopKeys: keys, clock, stopping: new AbortController().signal, issuer: () => 'https://writ.example', addressOf: async (home) => (home === HOME ? address : undefined) })

const call = (more: Partial<WholeCall> = {}): WholeCall =>
  ({ method: 'POST', path: '/mcp/files?a=1', headers: { 'mcp-session-id': 'session', 'authorization': 'DPoP token' }, body: '{"é":1}', signal: new AbortController().signal, ...more })

test('a request goes to its home as it came, but for what belongs to one connection', async () => {
  const came = Promise.withResolvers<{ readonly method: string; readonly url: string; readonly headers: IncomingHttpHeaders; readonly body: string }>()
  const address = await serve((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk)).on('end', () => {
      came.resolve({ method: request.method!, url: request.url!, headers: request.headers, body: Buffer.concat(chunks).toString() })
      response.writeHead(418, { 'content-type': 'application/json', 'dpop-nonce': 'n', 'x-request-id': 'theirs', 'www-authenticate': 'DPoP' }).end('{"a":"ü"}')
    })
  })
  const headers = { 'mcp-session-id': 'session', 'dpop': 'proof', 'connection': 'close, x-mine', 'x-mine': '1', 'host': 'writ.example', 'transfer-encoding': 'chunked', 'x-other': '2' }
  const answer = await side(SELF, address).forward(call({ headers }), HOME)
  assert.ok(answer.ok)
  const { method, url, headers: got, body } = await came.promise
  assert.deepEqual([method, url, body], ['POST', '/mcp/files?a=1', '{"é":1}'])
  assert.deepEqual([got['mcp-session-id'], got['dpop'], got['x-other'], got['x-mine'], got['transfer-encoding']], ['session', 'proof', '2', undefined, undefined])
  assert.equal(answer.value.status, 418)
  assert.deepEqual(answer.value.headers, { 'content-type': 'application/json', 'dpop-nonce': 'n', 'www-authenticate': 'DPoP' })
  assert.equal((await Array.fromAsync(answer.value.body as AsyncIterable<string>)).join(''), '{"a":"ü"}')
  // What was handed over is good at its home, for just this request.
  const arrived = { method: 'POST' as const, path: url, headers: got as Record<string, string>, body }
  assert.equal(side(HOME).hopOf(arrived), 'for_us')
})

test('an answer without a body comes without one', async () => {
  const address = await serve((_request, response) => { response.writeHead(202).end() })
  const answer = await side(SELF, address).forward(call(), HOME)
  assert.deepEqual(answer.ok && [answer.value.status, answer.value.body], [202, null])
})

test('a stream comes through event by event, and ends with its client', async () => {
  const gone = Promise.withResolvers<void>()
  const address = await serve((request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' }).write('data: 1\n\n')
    request.socket.on('close', () => { gone.resolve() })
  })
  const line = new AbortController()
  const answer = await side(SELF, address).forward(call({ method: 'GET', body: '', signal: line.signal }), HOME)
  assert.ok(answer.ok)
  const texts = (answer.value.body as AsyncIterable<string>)[Symbol.asyncIterator]()
  assert.equal((await texts.next()).value, 'data: 1\n\n')
  const next = texts.next()
  line.abort(new Error('the client is gone'))
  await assert.rejects(next)
  await gone.promise
})

test('a character that comes in two pieces comes out whole', async () => {
  const euro = Buffer.from('€')
  const address = await serve((_request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.write(euro.subarray(0, 1), () => { setImmediate(() => { response.end(euro.subarray(1)) }) })
  })
  const answer = await side(SELF, address).forward(call({ method: 'GET', body: '' }), HOME)
  assert.equal(answer.ok && (await Array.fromAsync(answer.value.body as AsyncIterable<string>)).join(''), '€')
})

test('a home that breaks off breaks off the answer', async () => {
  const address = await serve((_request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' }).write('data: 1\n\n', () => { response.destroy() })
  })
  const answer = await side(SELF, address).forward(call({ method: 'GET', body: '' }), HOME)
  assert.ok(answer.ok)
  await assert.rejects(Array.fromAsync(answer.value.body as AsyncIterable<string>), /broke off/)
})

test('a home that is not in the table, or where nobody listens, is gone', async () => {
  assert.deepEqual(await side(SELF).forward(call(), HOME), { ok: false, refusal: { kind: 'home_gone' } })
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  assert.deepEqual(await side(SELF, `http://127.0.0.1:${port}`).forward(call(), HOME), { ok: false, refusal: { kind: 'home_gone' } })
})

test('of a home that drops the line nobody knows whether it has the request', async () => {
  const address = await serve((request) => { request.socket.destroy() })
  const answer = await side(SELF, address).forward(call(), HOME)
  assert.deepEqual(answer, { ok: false, refusal: { kind: 'unreachable', code: 'ECONNRESET' } })
})

test('the mark of a server is good for its request, its server and its minute, and cannot be made without the key', async () => {
  let marked: string | undefined
  const address = await serve((request, response) => {
    marked = request.headers[HOP_HEADER] as string
    response.writeHead(202).end()
  })
  await side(SELF, address).forward(call(), HOME)
  const shown = (more: Partial<WholeCall> = {}, mark = marked!): Parameters<Forwarding['hopOf']>[0] => call({ ...more, headers: { ...call().headers, ...more.headers, [HOP_HEADER]: mark } })
  assert.equal(side(HOME).hopOf(shown()), 'for_us')
  assert.equal(side(HOME).hopOf(call()), 'none')
  assert.equal(side(HOME, undefined, [keyOf(2), keyOf(1)]).hopOf(shown()), 'for_us', 'an older key was not known')
  const forged: readonly (readonly [string, Forwarding, Parameters<Forwarding['hopOf']>[0]])[] = [
    ['at another server', side(SELF), shown()],
    ['with another key', side(HOME, undefined, [keyOf(2)]), shown()],
    ['for another method', side(HOME), shown({ method: 'DELETE' })],
    ['at another path', side(HOME), shown({ path: '/mcp/mails' })],
    ['for another session', side(HOME), shown({ headers: { 'mcp-session-id': 'another' } })],
    ['with another time', side(HOME), shown({}, marked!.replace(/^\d+/, (time) => String(Number(time) + 1)))],
    ['of no shape', side(HOME), shown({}, 'yes')],
    ['empty', side(HOME), shown({}, '')],
  ]
  for (const [what, there, one] of forged) assert.equal(there.hopOf(one), 'forged', what)
  clock.advance(60_001)
  assert.equal(side(HOME).hopOf(shown()), 'forged', 'after its minute')
})
