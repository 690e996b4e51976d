import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test, type TestContext } from 'node:test'
import { outbound, type OutboundRule } from '../platform/outbound.ts'
import { ProviderUnreachable, providerCalls } from './provider-calls.ts'

const QUICK_MS = 150

/** Asks a server that answers like this. */
async function ask(t: TestContext, answer: RequestListener, { allowed = true, path = '/' } = {}): Promise<Response> {
  const server = createServer(answer)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`
  const allow: readonly OutboundRule[] = allowed ? [{ kind: 'host', host }] : []
  return providerCalls(outbound({ allow }), QUICK_MS)(`http://${host}${path}`, { method: 'GET', headers: {}, body: undefined, redirect: 'manual' })
}

const isBecause = (because: string) => (error: unknown): boolean => error instanceof ProviderUnreachable && error.because === because

for (const { what, because, answer } of [
  { what: 'says nothing for too long', because: 'too_slow', answer: () => undefined },
  { what: 'sends its answer drop by drop', because: 'too_slow', answer: (_, response) => { response.writeHead(200, { 'content-type': 'application/json' }).write('{') } },
  { what: 'sends too much', because: 'too_large', answer: (_, response) => { response.end('x'.repeat(600_000)) } },
  { what: 'breaks off in the middle', because: 'ECONNRESET', answer: (_, response) => { response.writeHead(200, { 'content-length': '10' }).write('{', () => { response.destroy() }) } },
  { what: 'hangs up', because: 'ECONNRESET', answer: (request) => { request.socket.destroy() } },
] as readonly { what: string; because: string; answer: RequestListener }[]) {
  test(`a provider that ${what} can not be asked`, async (t) => { await assert.rejects(ask(t, answer), isBecause(because)) })
}

test('a provider in a private network is asked where an operator has named it alone', async (t) => {
  let asked = 0
  await assert.rejects(ask(t, () => { asked++ }, { allowed: false }), isBecause('bad_url'))
  assert.equal(asked, 0)
})

test('a redirect is an answer, and nobody follows it; no header comes through that nobody needs', async (t) => {
  const answer = await ask(t, (_, response) => { response.writeHead(302, { location: 'http://169.254.169.254/', 'set-cookie': 'a=b', 'content-type': 'application/json' }).end('{}') })
  assert.deepEqual([answer.status, [...answer.headers.keys()]], [302, ['content-type']])
})
