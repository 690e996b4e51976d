import assert from 'node:assert/strict'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test, type TestContext } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { takeBackup } from '@writ/contract/backup'
import { listBackends } from '@writ/contract/backends'
import { ready, suspendIdentity } from '@writ/contract/registry'
import { certificate } from '@writ/contract/tasks'
import { call, open } from './client.ts'
import { EXIT } from './exit.ts'

type Answer = (request: IncomingMessage, response: ServerResponse) => void

/** A real socket that gives these answers in order, the last one again and again. */
async function serverWith(t: TestContext, ...answers: readonly Answer[]) {
  const asked: IncomingMessage[] = []
  const server = createServer((request, response) => {
    request.resume()
    answers[Math.min(asked.push(request) - 1, answers.length - 1)]!(request, response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  return { asked, connection: { server: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, timeoutMs: 3000, bearer: () => 'canary' } }
}

/** The address of a server that is gone. */
async function closedPort(): Promise<string> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise<void>((resolve) => server.close(() => resolve()))
  return `http://127.0.0.1:${port}`
}

const json = (status: number, value: unknown, headers = {}): Answer => (_, response) => void response.writeHead(status, { 'content-type': status < 400 ? 'application/json' : 'application/problem+json', ...headers }).end(JSON.stringify(value))
const problem = (status: number, type: string, retryable: boolean): Answer => json(status, { type: `/problems/${type}`, title: 't', status, code: type, retryable, trace_id: '1' })
const hangUp: Answer = (request) => void request.socket.destroy()
const good = json(200, { ready: true, now: '2026-01-01T00:00:00Z' })
const identity = json(200, { id: 'nhi_1' })

test('a reply is read by the contract', async (t) => {
  const { connection } = await serverWith(t, good)
  assert.deepEqual(await call(connection, ready), { ready: true, now: '2026-01-01T00:00:00Z' })
})

test('a body that waits to be read is whole, also after memory was tidied', async (t) => {
  const { connection } = await serverWith(t, (_, response) => void response.writeHead(200, { 'content-type': 'application/gzip' }).end('whole'))
  setFlagsFromString('--expose-gc')
  const tidy = runInNewContext('gc') as () => void
  const body = await open(connection, takeBackup)
  for (let time = 0; time < 5; time++) {
    tidy()
    await turn()
  }
  assert.equal(Buffer.concat(await Array.fromAsync(body)).toString(), 'whole')
})

test('nobody is told a bearer value who did not ask for one', async (t) => {
  const { connection, asked } = await serverWith(t, good)
  await call(connection, ready)
  assert.equal(asked[0]?.headers.authorization, undefined)
})

test('a retryable problem and a broken connection are tried again with the same idempotency key', async (t) => {
  const { connection, asked } = await serverWith(t, problem(503, 'storage-unavailable', true), hangUp, identity)
  await assert.rejects(call(connection, suspendIdentity, { parameters: { id: 'spiffe://a.example/b c' }, body: { reason: 'x' } }), { exit: EXIT.unexpected })
  assert.equal(asked.length, 3)
  assert.equal(new Set(asked.map(({ headers }) => headers['idempotency-key'])).size, 1)
  assert.ok(asked[0]?.headers['idempotency-key'])
  assert.equal(asked[0]?.url, '/v1/identities/spiffe%3A%2F%2Fa.example%2Fb%20c/suspend')
})

test('a refusal is not tried again', async (t) => {
  const { connection, asked } = await serverWith(t, problem(409, 'conflict', false))
  await assert.rejects(call(connection, listBackends), { exit: EXIT.conflict })
  assert.equal(asked.length, 1)
})

test('Retry-After is heeded, and when it is longer than the timeout the problem is said at once', async (t) => {
  const { connection, asked } = await serverWith(t, json(503, { type: 'x', title: 't', status: 503, code: 'x', retryable: true, trace_id: '1' }, { 'retry-after': '30' }))
  const began = performance.now()
  await assert.rejects(call(connection, listBackends), { exit: EXIT.unreachable })
  assert.ok(performance.now() - began < 1000)
  assert.equal(asked.length, 1)
})

test('who waits for a certificate in vain has timed out', async (t) => {
  const { connection, asked } = await serverWith(t, problem(409, 'not-yet', true))
  await assert.rejects(call({ ...connection, timeoutMs: 600 }, certificate, { parameters: { id: 'tsk_1' } }), { exit: EXIT.timed_out })
  assert.ok(asked.length > 1)
})

test('a server that never answers is a timeout', async (t) => {
  const { connection } = await serverWith(t, () => undefined)
  await assert.rejects(call({ ...connection, timeoutMs: 300 }, ready), { exit: EXIT.timed_out })
})

test('a server that is not there is said at once, and waited for by the patient', async () => {
  const nobody = { server: await closedPort(), timeoutMs: 2000 }
  const began = performance.now()
  await assert.rejects(call(nobody, ready), { exit: EXIT.unreachable })
  assert.ok(performance.now() - began < 1000)
  const patientFrom = performance.now()
  await assert.rejects(call(nobody, ready, { patient: true }), { exit: EXIT.unreachable })
  // The last pause would be 1,600 ms at most, and is not begun when it would reach past the timeout.
  assert.ok(performance.now() - patientFrom > nobody.timeoutMs - 1600)
})

test('an address that can not be asked at all is said at once', async () => {
  const began = performance.now()
  await assert.rejects(call({ server: 'http://127.0.0.1:1', timeoutMs: 10_000 }, ready), { exit: EXIT.unreachable })
  assert.ok(performance.now() - began < 2000)
})

test('a redirect is not followed: the bearer value is for this server', async (t) => {
  const elsewhere = await serverWith(t, good)
  const { connection } = await serverWith(t, (_, response) => void response.writeHead(307, { location: `${elsewhere.connection.server}/v1/backends` }).end())
  await assert.rejects(call({ ...connection, timeoutMs: 300 }, listBackends))
  assert.equal(elsewhere.asked.length, 0)
})

for (const { what, answer } of [
  { what: 'HTML', answer: ((_, response) => void response.writeHead(200, { 'content-type': 'text/html' }).end('<b>')) as Answer },
  { what: 'JSON of another form', answer: json(200, { backends: 'none' }) },
  { what: 'broken JSON', answer: ((_, response) => void response.writeHead(200, { 'content-type': 'application/json' }).end('{')) as Answer },
]) {
  test(`a reply that is ${what} is said to be of an unknown form, without the bearer value`, async (t) => {
    const { connection } = await serverWith(t, answer)
    await assert.rejects(call(connection, listBackends), (fault: Error) => /in a form that this writ does not know/.test(fault.message) && !String(fault.stack).includes('canary'))
  })
}
