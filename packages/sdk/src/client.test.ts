import assert from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import { test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { listening, sendJson } from '../test/listening.ts'
import { ask, type Request, type Server } from './client.ts'
import { makeProofKey } from './dpop.ts'
import { Denied, Unreachable } from './errors.ts'

const serverAt = async (url: string, more: Partial<Server> = {}): Promise<Server> => ({ url, issuer: url, call: fetch, patienceMs: 5000, key: await makeProofKey(), ...more })

const change: Request = { method: 'POST', path: '/v1/things', prepare: async () => ({ body: '{}', type: 'application/json', accessToken: 'a-token' }) }

const claimsOf = (jwt: unknown): Record<string, unknown> => JSON.parse(Buffer.from(String(jwt).split('.')[1]!, 'base64url').toString()) as Record<string, unknown>

test('a change whose answer was lost is repeated with the same key and a proof of its own', async (t) => {
  const { url, heard } = await listening(t, (_, response, nth) => {
    if (nth === 1) response.destroy()
    else if (nth === 2) sendJson(response, 503, { title: 'The store can not be written', status: 503, code: 'storage_unavailable' }, { 'retry-after': '0' })
    else sendJson(response, 200, { done: true })
  })
  assert.deepEqual(await ask(await serverAt(url), change), { done: true })
  assert.equal(heard.length, 3)
  assert.equal(new Set(heard.map(({ headers }) => headers['idempotency-key'])).size, 1)
  assert.equal(new Set(heard.map(({ headers }) => claimsOf(headers.dpop).jti)).size, 3)
})

test('two changes have two keys', async (t) => {
  const { url, heard } = await listening(t, (_, response) => sendJson(response, 200, {}))
  const server = await serverAt(url)
  await ask(server, change)
  await ask(server, change)
  assert.notEqual(heard[0]!.headers['idempotency-key'], heard[1]!.headers['idempotency-key'])
})

test('a server that goes on failing is unreachable when the patience is over, and what it said is kept', async (t) => {
  const { url } = await listening(t, (_, response) => sendJson(response, 503, { title: 'Not now', status: 503, code: 'storage_unavailable', hint: 'wait' }))
  await assert.rejects(ask(await serverAt(url, { patienceMs: 1500 }), change), (fault) => fault instanceof Unreachable && fault.code === 'storage_unavailable' && fault.retryable)
})

test('nobody there is unreachable, and the address is named', async () => {
  await assert.rejects(ask(await serverAt('http://127.0.0.1:1', { patienceMs: 100 }), change), (fault) => fault instanceof Unreachable && /127\.0\.0\.1:1/.test(fault.message))
})

test('a no is said once, with its fields, and not tried again', async (t) => {
  const problem = { title: 'Some fields are missing or wrong', status: 400, code: 'invalid_fields', errors: [{ field: 'purpose', message: 'is missing' }] }
  const { url, heard } = await listening(t, (_, response) => sendJson(response, 400, problem))
  await assert.rejects(ask(await serverAt(url), change), (fault) => fault instanceof Denied && fault.code === 'invalid_fields' && /`purpose` is missing/.test(fault.message))
  assert.equal(heard.length, 1)
})

test('a denial by policy names the decision, so that it can be explained', async (t) => {
  const problem = { title: 'The policies do not allow this', status: 403, code: 'denied', decision: 'dec_01', hint: 'writ explain dec_01' }
  const { url } = await listening(t, (_, response) => sendJson(response, 403, problem))
  await assert.rejects(ask(await serverAt(url), change), (fault) => fault instanceof Denied && fault.decision === 'dec_01' && /writ explain dec_01/.test(fault.explain()))
})

test('a proof is made again with the nonce that the server asks for, and only once for each', async (t) => {
  const { url, heard } = await listening(t, ({ headers }, response) => {
    if (claimsOf(headers.dpop).nonce === 'n-1') sendJson(response, 200, {})
    else sendJson(response, 400, { error: 'use_dpop_nonce' }, { 'dpop-nonce': 'n-1' })
  })
  const server = await serverAt(url)
  await ask(server, change)
  assert.equal(heard.length, 2)
  await ask(server, change)
  assert.equal(heard.length, 3, 'the nonce is kept for the next request')
})

test('a server that refuses the nonce it gave is not asked for ever', async (t) => {
  const { url, heard } = await listening(t, (_, response) => sendJson(response, 400, { error: 'use_dpop_nonce' }, { 'dpop-nonce': 'n-1' }))
  await assert.rejects(ask(await serverAt(url), change), Denied)
  assert.equal(heard.length, 2)
})

test('neither token nor proof follows a redirect', async (t) => {
  const elsewhere = await listening(t, (_, response) => sendJson(response, 200, {}))
  const { url } = await listening(t, (_, response) => response.writeHead(307, { location: `${elsewhere.url}/v1/things` }).end())
  await assert.rejects(ask(await serverAt(url, { patienceMs: 100 }), change), Unreachable)
  assert.equal(elsewhere.heard.length, 0)
})

test('a proof names the method, the address without its query, and the token (RFC 9449 §4.2)', async (t) => {
  const { url, heard } = await listening(t, (_, response) => sendJson(response, 200, {}))
  await ask(await serverAt(url, { issuer: 'https://writ.acme.example' }), { ...change, path: '/v1/things?a=b' })
  const { htm, htu, ath } = claimsOf(heard[0]!.headers.dpop)
  const hash = Buffer.from(await crypto.subtle.digest('SHA-256', Buffer.from('a-token'))).toString('base64url')
  assert.deepEqual({ htm, htu, ath }, { htm: 'POST', htu: 'https://writ.acme.example/v1/things', ath: hash })
})

test('a caller that gives up is not kept waiting', async (t) => {
  const { url } = await listening(t, (_, response) => sendJson(response, 503, {}))
  const stop = new AbortController()
  const asked = ask(await serverAt(url, { patienceMs: 60_000 }), { ...change, signal: stop.signal })
  stop.abort(new Error('enough'))
  await assert.rejects(asked, /enough/)
})

test('a server that takes the request and says nothing holds the caller no longer than its patience', async (t) => {
  const { url } = await listening(t, () => { /* nothing is said */ })
  const before = performance.now()
  await assert.rejects(ask(await serverAt(url, { patienceMs: 300 }), change), Unreachable)
  assert.ok(performance.now() - before < 3000)
})

test('an answer that breaks off is no answer: the change is repeated', async (t) => {
  const { url, heard } = await listening(t, (_, response, nth) => {
    if (nth > 1) return sendJson(response, 200, { done: true })
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': '1000' }).write('{"done":')
    setImmediate(() => response.destroy())
  })
  assert.deepEqual(await ask(await serverAt(url), change), { done: true })
  assert.equal(new Set(heard.map(({ headers }) => headers['idempotency-key'])).size, 1)
})

for (const { when, status, type, body } of [
  { when: 'a page of a box on the way, as if all were well', status: 200, type: 'text/html', body: '<html>please sign in</html>' },
  { when: 'a page that says no', status: 404, type: 'text/html', body: '<html>not found</html>' },
  { when: 'a page that says no in JSON', status: 403, type: 'application/json', body: '{"message":"forbidden"}' },
  { when: 'JSON that is none', status: 200, type: 'application/json', body: '{"id":' },
  { when: 'nothing', status: 204, type: 'text/plain', body: '' },
  { when: 'a null', status: 400, type: 'application/json', body: 'null' },
  { when: 'a list', status: 400, type: 'application/problem+json', body: '[1]' },
  { when: 'errors that are none', status: 400, type: 'application/problem+json', body: '{"title":7,"code":{"a":1},"errors":"x"}' },
]) {
  test(`${when} is neither a yes nor the server's no: nobody was reached`, async (t) => {
    const { url, heard } = await listening(t, (_, response) => response.writeHead(status, { 'content-type': type }).end(status === 204 ? undefined : body))
    await assert.rejects(ask(await serverAt(url), change), (fault) => fault instanceof Unreachable && fault.code === `http_${status}`)
    assert.equal(heard.length, 1)
  })
}

test('a problem whose members are not as they should be is still told', async (t) => {
  const { url } = await listening(t, (_, response) => sendJson(response, 400, { code: 'invalid_fields', title: ['x'], detail: 7, errors: [null, 'x', { field: 'a', message: 'is missing' }] }))
  await assert.rejects(ask(await serverAt(url), change), (fault) => fault instanceof Denied && fault.code === 'invalid_fields' && /`a` is missing/.test(fault.message))
})

test('an answer of a hundred megabytes is not read to its end, also when it comes small and is blown up', async (t) => {
  const chunk = Buffer.alloc(1024 * 1024, ' ')
  let written = 0
  const { url } = await listening(t, ({ path }, response) => {
    if (path.endsWith('zip')) return void response.writeHead(200, { 'content-type': 'application/json', 'content-encoding': 'gzip' }).end(gzipSync(Buffer.alloc(100 * 1024 * 1024)))
    response.writeHead(200, { 'content-type': 'application/json' })
    const more = (): void => {
      while (written < 100 * chunk.length && !response.destroyed) {
        written += chunk.length
        if (!response.write(chunk)) return void response.once('drain', more)
      }
      response.end()
    }
    more()
  })
  for (const path of ['/v1/things', '/v1/zip']) {
    await assert.rejects(ask(await serverAt(url), { ...change, path }), (fault) => fault instanceof Unreachable && fault.code === 'unknown_reply')
  }
  assert.ok(written < 50 * chunk.length, `${written} bytes were taken`)
})

test('what a server says reaches a terminal without its control characters', async (t) => {
  const { url } = await listening(t, (_, response) => sendJson(response, 400, { code: 'refused', title: '\u001b[2Jall is well', detail: 'a\r\nb\u202e', hint: 'x'.repeat(100_000), trace_id: '\u0007' }))
  await assert.rejects(ask(await serverAt(url), change), (fault) => fault instanceof Denied && !/[\p{Cc}\p{Cf}]/u.test(fault.explain().replaceAll('\n', '')) && fault.explain().length < 5000)
})

test('a failure of the server is no no: nobody could be asked', async (t) => {
  const { url } = await listening(t, (_, response) => sendJson(response, 500, { title: 'Writ failed', code: 'internal', status: 500 }, { 'x-request-id': 'r-1' }))
  await assert.rejects(ask(await serverAt(url), change), (fault) => fault instanceof Unreachable && fault.code === 'internal' && fault.traceId === 'r-1')
})

test('a fault of the caller\'s own evidence is told as it is, once', async (t) => {
  const { url, heard } = await listening(t, (_, response) => sendJson(response, 200, {}))
  await assert.rejects(ask(await serverAt(url), { ...change, prepare: async () => { throw new RangeError('the disk is gone') } }), RangeError)
  assert.equal(heard.length, 0)
})

test('a platform that gives its token at the second try is asked twice', async (t) => {
  const { url } = await listening(t, (_, response) => sendJson(response, 200, {}))
  let asked = 0
  const prepare: Request['prepare'] = async () => {
    if (asked++ === 0) throw new Unreachable('the platform is busy', { code: 'no_evidence', retryable: true })
    return {}
  }
  await ask(await serverAt(url), { ...change, prepare })
  assert.equal(asked, 2)
})

test('a signal that lives long collects no listeners', async (t) => {
  const { url } = await listening(t, (_, response, nth) => (nth % 2 === 0 ? sendJson(response, 200, {}) : sendJson(response, 503, {})))
  const server = await serverAt(url)
  const { signal } = new AbortController()
  for (let i = 0; i < 20; i++) await ask(server, { ...change, signal })
  assert.equal(getEventListeners(signal, 'abort').length, 0)
})
