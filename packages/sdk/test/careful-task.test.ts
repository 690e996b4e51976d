import assert from 'node:assert/strict'
import { getEventListeners, once } from 'node:events'
import { mock, test } from 'node:test'
import { Denied, TaskExpired, Unreachable, type TaskOptions } from '../src/writ.ts'
import { listening, sendJson } from './listening.ts'
import { formOf, smallServer, TASK } from './small-server.ts'
import { eventually } from '../../server/test/eventually.ts'

const WORK: TaskOptions = { purpose: 'answers a ticket', grants: ['tickets:queue:read'] }
const HEARTBEAT = `/v1/tasks/${TASK}/heartbeat`
const COMPLETE = `/v1/tasks/${TASK}/complete`

test('a task that says nothing of silence is opened with the minute that is promised', async (t) => {
  const { sdk, asked } = await smallServer(t)
  await using _ = await sdk().task(WORK)
  assert.equal(formOf(asked('/oauth/token')[0]!)['heartbeat_seconds'], '60')
})

test('a hundred that ask at once for one token make one request, and for five of them five', async (t) => {
  const { sdk, asked } = await smallServer(t)
  await using task = await sdk().task(WORK)
  const opened = asked('/oauth/token').length
  const tokens = await Promise.all(Array.from({ length: 100 }, () => task.token({ resource: 'https://a.example' })))
  assert.deepEqual([new Set(tokens).size, asked('/oauth/token').length - opened], [1, 1])
  await Promise.all(Array.from({ length: 100 }, (_, i) => task.token({ resource: `https://${i % 5}.example` })))
  assert.equal(asked('/oauth/token').length - opened, 6)
})

test('a hundred whose token could not be had all hear of it, and the next one asks again', async (t) => {
  let isWell = false
  const { sdk } = await smallServer(t, { instead: ({ body }, response) => !isWell && body.includes('token-exchange') && (sendJson(response, 400, { error: 'invalid_target' }), true) })
  await using task = await sdk().task(WORK)
  const got = await Promise.allSettled(Array.from({ length: 100 }, () => task.token({ resource: 'https://a.example' })))
  assert.ok(got.every(({ status }) => status === 'rejected'))
  isWell = true
  assert.ok(await task.token({ resource: 'https://a.example' }))
})

test('a token that was asked for before the task was given more is not the one that is used after', async (t) => {
  const held: (() => void)[] = []
  const { sdk } = await smallServer(t, {
    instead: ({ body }, response, nth) => body.includes('token-exchange') && held.length === 0
      && held.push(() => sendJson(response, 200, { access_token: `late.token.${nth}`, token_type: 'DPoP', expires_in: 300, task: TASK })) > 0,
  })
  await using task = await sdk().task(WORK)
  const late = task.token({ resource: 'https://a.example' })
  while (held.length === 0) await new Promise(setImmediate)
  await task.widen(['tickets:queue:reply'], 'an answer is due')
  held[0]!()
  assert.match((await late).value.reveal(), /^late/)
  assert.doesNotMatch((await task.token({ resource: 'https://a.example' })).value.reveal(), /^late/)
})

test('a task that calls a thousand places does not hold a thousand tokens', async (t) => {
  const { sdk, asked } = await smallServer(t)
  await using task = await sdk().task(WORK)
  for (let i = 0; i < 300; i++) await task.token({ resource: `https://${i}.example` })
  const before = asked('/oauth/token').length
  await task.token({ resource: 'https://299.example' })
  assert.equal(asked('/oauth/token').length, before)
  await task.token({ resource: 'https://0.example' })
  assert.equal(asked('/oauth/token').length, before + 1)
})

test('a task goes on from the token that it has, when what the platform says of the workload has ended before it', async (t) => {
  const { sdk, asked } = await smallServer(t, {
    token: { expires_in: 2 },
    instead: ({ path, body }, response, nth) => path === '/oauth/token' && nth > 1 && body.includes('jwt-bearer') && (sendJson(response, 400, { error: 'invalid_grant' }), true),
  })
  await using task = await sdk().task(WORK)
  const first = await task.token()
  await eventually('the token is about to end', () => !first.isFresh())
  assert.notEqual(await task.token(), first)
  assert.deepEqual(asked('/oauth/token').map((one) => formOf(one)['grant_type']!.split(':').at(-1)), ['jwt-bearer', 'token-exchange'])
})

test('a clock that jumps by a year makes no token fresh or stale', async (t) => {
  const { sdk, asked } = await smallServer(t)
  await using task = await sdk().task(WORK)
  const first = await task.token()
  t.after(() => mock.timers.reset())
  for (const year of [2000, 2100]) {
    mock.timers.enable({ apis: ['Date'], now: Date.UTC(year) })
    assert.equal(await task.token(), first)
    mock.timers.reset()
  }
  assert.equal(asked('/oauth/token').length, 1)
})

test('a heartbeat that meets a page of some box on the way is no end; the next one is heard', async (t) => {
  let beats = 0
  const { sdk, asked } = await smallServer(t, {
    task: { heartbeat_seconds: 2 },
    instead: ({ path }, response) => path === HEARTBEAT && ++beats === 1 && (response.writeHead(404, { 'content-type': 'text/html' }).end('<html>'), true),
  })
  await using task = await sdk().task(WORK)
  await eventually('the next heartbeat', () => asked(HEARTBEAT).length >= 2)
  assert.ok(!task.signal.aborted)
})

test('a server that takes heartbeats and says nothing is given up when the silence is over, and not later', async (t) => {
  const { sdk } = await smallServer(t, { task: { heartbeat_seconds: 2 }, instead: ({ path }) => path === HEARTBEAT })
  const task = await sdk().task(WORK)
  const before = performance.now()
  await once(task.signal, 'abort')
  assert.ok(task.signal.reason instanceof Unreachable)
  assert.ok(performance.now() - before < 5000, `${performance.now() - before} ms`)
  await assert.rejects(task.token({ resource: 'https://a.example' }), Unreachable)
})

test('calls are told once, also when the answer to a heartbeat is lost and the task ends in between', async (t) => {
  const { sdk, asked } = await smallServer(t, {
    task: { heartbeat_seconds: 1 }, instead: ({ path }, response, nth) => path === HEARTBEAT && nth <= 3 && (response.writeHead(404).end(), true),
  })
  const task = await sdk().task(WORK)
  task.called(3)
  await eventually('a heartbeat', () => asked(HEARTBEAT).length > 0)
  task.called(2)
  await task.end()
  const told = new Map(asked(HEARTBEAT).map(({ headers, body }) => [headers['idempotency-key'], (JSON.parse(body) as { readonly calls: number }).calls]))
  assert.equal([...told.values()].reduce((sum, calls) => sum + calls, 0), 5)
})

test('the deadline is asked about when it comes, however long the silence may be', async (t) => {
  const { sdk } = await smallServer(t, {
    task: { heartbeat_seconds: 3600, deadline: new Date(Date.now() + 1000).toISOString() },
    instead: ({ path }, response) => path === HEARTBEAT && (sendJson(response, 409, { title: 'over', code: 'task_not_open', end_reason: 'deadline' }), true),
  })
  const task = await sdk().task(WORK)
  await once(task.signal, 'abort')
  assert.ok(task.signal.reason instanceof TaskExpired && task.signal.reason.code === 'task_deadline')
})

const LOGIN = { id: 'lse_1', host: 'db.acme.example', port: 5432, database: 'shop', user: 'writ_1', secret: 'very-secret', tls: true, expires_at: new Date().toISOString() }
const isLeases = ({ path }: { readonly path: string }): boolean => path.endsWith('/leases')

test('a login whose reply was lost with the server that made it is asked for anew, by a key of its own, and not for ever', async (t) => {
  let lost = 2
  const { sdk, asked } = await smallServer(t, {
    instead: (one, response) => isLeases(one) && (lost-- > 0 ? sendJson(response, 409, { code: 'secret_no_longer_shown', title: 'withdrawn' }) : sendJson(response, 201, LOGIN), true),
  })
  await using task = await sdk().task(WORK)
  assert.equal((await task.credential('postgres:shop:read')).user, 'writ_1')
  const path = `/v1/tasks/${TASK}/leases`
  assert.equal(new Set(asked(path).map(({ headers }) => headers['idempotency-key'])).size, 3)
  lost = 100
  await assert.rejects(task.credential('postgres:shop:read'), (fault) => fault instanceof Denied && fault.code === 'secret_no_longer_shown')
  assert.equal(asked(path).length, 6)
})

test('a back end that fails is told at once and takes one call of the budget; a balancer without a server is tried again', async (t) => {
  const { sdk, asked } = await smallServer(t, {
    instead: (one, response, nth) => isLeases(one) && (one.body.includes('"read"')
      ? sendJson(response, 502, { code: 'backend_refused', title: 'The back end could not be asked', retryable: true })
      : nth % 2 === 0 ? response.writeHead(502, { 'content-type': 'text/html' }).end('<html>') : sendJson(response, 201, LOGIN), true),
  })
  await using task = await sdk().task(WORK)
  await assert.rejects(task.credential('postgres:shop:read'), (fault) => fault instanceof Unreachable && fault.code === 'backend_refused' && fault.retryable)
  assert.equal(asked(`/v1/tasks/${TASK}/leases`).length, 1)
  assert.equal((await task.credential('postgres:shop:ddl')).user, 'writ_1')
})

test('an end that could not be told leaves no task behind that goes on here', async (t) => {
  const { sdk } = await smallServer(t, { instead: ({ path }, response) => path === COMPLETE && (sendJson(response, 403, { code: 'refused', title: 'no' }), true) })
  const task = await sdk().task(WORK)
  await assert.rejects(task.end(), Denied)
  assert.ok(task.signal.aborted)
  await assert.rejects(task.token(), Denied)
})

test('work that fails while its end can not be told throws its own fault and nothing else', async (t) => {
  const { sdk } = await smallServer(t, { instead: ({ path }, response) => path === COMPLETE && (sendJson(response, 403, { code: 'refused', title: 'no' }), true) })
  await assert.rejects(sdk().withTask(WORK, async () => { throw new RangeError('the work went wrong') }), RangeError)
})

test('the caller\'s signal stops a call and not the task, and keeps nothing of it', async (t) => {
  const resource = await listening(t, ({ path }, response) => { if (path !== '/hangs') sendJson(response, 200, {}) })
  const { sdk } = await smallServer(t)
  await using task = await sdk().task(WORK)
  const stop = new AbortController()
  const hanging = task.fetch(`${resource.url}/hangs`, { signal: stop.signal })
  stop.abort(new RangeError('enough'))
  await assert.rejects(hanging, RangeError)
  assert.ok(!task.signal.aborted)
  const long = new AbortController()
  for (let i = 0; i < 50; i++) await (await task.fetch(resource.url, { signal: long.signal })).text()
  assert.deepEqual([getEventListeners(long.signal, 'abort').length, getEventListeners(task.signal, 'abort').length], [0, 0])
})

test('the end of the task stops a call that is under way', async (t) => {
  const resource = await listening(t, () => { /* nothing is said */ })
  const { sdk } = await smallServer(t)
  const task = await sdk().task(WORK)
  const hanging = task.fetch(resource.url)
  while (resource.heard.length === 0) await new Promise(setImmediate)
  await Promise.all([task.end(), assert.rejects(hanging, TaskExpired)])
})

test('two of them in one process show one key: a token of a platform belongs to the first that shows it', async (t) => {
  const { sdk, heard } = await smallServer(t)
  await using _first = await sdk().task(WORK)
  await using _second = await sdk().task(WORK)
  const keys = new Set(heard.map(({ headers }) => Buffer.from(String(headers.dpop).split('.')[0]!, 'base64url').toString()))
  assert.equal(keys.size, 1)
})
