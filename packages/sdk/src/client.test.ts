import assert from 'node:assert/strict'
import { test } from 'node:test'
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
  await assert.rejects(ask(await serverAt(url, { patienceMs: 300 }), change), (fault) => fault instanceof Unreachable && fault.code === 'storage_unavailable' && fault.retryable)
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
