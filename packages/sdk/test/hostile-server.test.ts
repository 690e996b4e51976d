import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { Misconfigured, Unreachable, Writ, WritError, type TaskOptions } from '../src/writ.ts'
import { listening, sendJson } from './listening.ts'
import { claimsOf, formOf, smallServer, TASK } from './small-server.ts'

const WORK: TaskOptions = { purpose: 'answers a ticket', grants: ['tickets:queue:read'] }
const isCode = (code: string) => (fault: unknown): boolean => fault instanceof Unreachable && fault.code === code

for (const token of [
  { task: '../../v1/keys' }, { task: `${TASK}/../x` }, { task: '' }, { task: 7 }, { task: undefined }, { task: 't'.repeat(10_000) }, { task: 'tsk_1?x=1' },
  { access_token: '' }, { access_token: 'a b' }, { access_token: 'a\r\nx-admin: 1' }, { access_token: 'tök' }, { access_token: ['a'] }, { access_token: null },
  { expires_in: -1 }, { expires_in: 0 }, { expires_in: 1e300 }, { expires_in: null }, { expires_in: '300' }, { expires_in: 1.5 },
  { token_type: undefined }, { token_type: 7 },
]) {
  test(`a token reply with ${inspect(token, { maxStringLength: 30 })} opens nothing, and nothing is asked with it`, async (t) => {
    const { heard, sdk } = await smallServer(t, { token })
    await assert.rejects(sdk().task(WORK), isCode('unknown_reply'))
    assert.equal(heard.length, 1)
  })
}

for (const type of ['Bearer', 'bearer', 'mac', 'N_A']) {
  test(`a token of the type ${type}, which is not bound to the key that was shown, is refused (RFC 9449 §5)`, async (t) => {
    const { heard, sdk } = await smallServer(t, { token: { token_type: type } })
    await assert.rejects(sdk().task(WORK), isCode('unbound_token'))
    assert.equal(heard.length, 1)
  })
}

for (const task of [
  { id: 'tsk_another' }, { id: '../x' }, { heartbeat_seconds: 0 }, { heartbeat_seconds: -3 }, { heartbeat_seconds: 1e12 }, { heartbeat_seconds: undefined }, { heartbeat_seconds: 'soon' },
  { deadline: 'never' }, { deadline: undefined }, { opened_at: 5 }, { purpose: {} },
]) {
  test(`a task that is described with ${inspect(task)} is not begun, and no heartbeat runs wild`, async (t) => {
    const { heard, sdk } = await smallServer(t, { task })
    await assert.rejects(sdk().task(WORK), isCode('unknown_reply'))
    assert.equal(heard.length, 2)
  })
}

test('a token that is said to live for years is asked for anew after five minutes at most', async (t) => {
  const { sdk } = await smallServer(t, { token: { expires_in: 2_000_000 } })
  await using task = await sdk().task(WORK)
  assert.ok((await task.token()).expiresAt.getTime() <= Date.now() + 300_000)
})

for (const lease of [{ host: 7 }, { port: '5432' }, { port: 70_000 }, { secret: undefined }, { secret: 'a\0b' }, { user: 'a\nb' }, { tls: 'no' }, { expires_at: 'soon' }]) {
  test(`a login with ${inspect(lease)} is not handed out, and its secret is not shown`, async (t) => {
    const good = { id: 'lse_1', host: 'db.acme.example', port: 5432, database: 'shop', user: 'writ_1', secret: 'very-secret', tls: true, expires_at: new Date().toISOString() }
    const { sdk } = await smallServer(t, { instead: ({ path }, response) => path.endsWith('/leases') && (sendJson(response, 201, { ...good, ...lease }), true) })
    await using task = await sdk().task(WORK)
    await assert.rejects(task.credential('postgres:shop:read'), (fault) => isCode('unknown_reply')(fault) && !inspect(fault).includes('very-secret'))
  })
}

test('a redirect gets neither evidence nor token nor proof, and is not asked again and again', async (t) => {
  const elsewhere = await listening(t, (_, response) => sendJson(response, 200, {}))
  const { heard, sdk } = await smallServer(t, { instead: (_, response) => (response.writeHead(308, { location: `${elsewhere.url}/oauth/token` }).end(), true) })
  await assert.rejects(sdk().task(WORK), isCode('http_308'))
  assert.deepEqual([heard.length, elsewhere.heard.length], [1, 0])
})

for (const redirect of ['follow', 'error', undefined] as const) {
  test(`a resource that redirects does not hand our token on, where the caller says ${redirect}`, async (t) => {
    const elsewhere = await listening(t, (_, response) => sendJson(response, 200, {}))
    const resource = await listening(t, (_, response) => response.writeHead(307, { location: `${elsewhere.url}/x` }).end())
    const { sdk } = await smallServer(t)
    await using task = await sdk().task(WORK)
    await assert.rejects(task.fetch(`${resource.url}/queue`, redirect === undefined ? {} : { redirect }), TypeError)
    const seen = await task.fetch(`${resource.url}/queue`, { redirect: 'manual' })
    assert.deepEqual([seen.status, elsewhere.heard.length], [307, 0])
  })
}

test('a resource that asks for a nonce gets it, also with a body, and later calls bring the newest (RFC 9449 §9)', async (t) => {
  const resource = await listening(t, ({ headers }, response, nth) => {
    if (claimsOf(headers.dpop).nonce === `n-${nth - 1}`) sendJson(response, 200, {}, { 'dpop-nonce': `n-${nth}` })
    else sendJson(response, 401, {}, { 'dpop-nonce': `n-${nth}`, 'www-authenticate': 'DPoP error="use_dpop_nonce"' })
  })
  const { sdk } = await smallServer(t)
  await using task = await sdk().task(WORK)
  for (let i = 0; i < 2; i++) assert.equal((await task.fetch(`${resource.url}/queue`, { method: 'post', body: '{"a":1}' })).status, 200)
  assert.deepEqual(resource.heard.map(({ method, body }) => [method, body]), Array.from({ length: 3 }, () => ['POST', '{"a":1}']))
})

test('a resource that asks for ever new nonces is asked twice, and its no is the answer', async (t) => {
  const resource = await listening(t, (_, response, nth) => sendJson(response, 401, {}, { 'dpop-nonce': `n-${nth}`, 'www-authenticate': 'DPoP error="use_dpop_nonce"' }))
  const { sdk } = await smallServer(t)
  await using task = await sdk().task(WORK)
  assert.equal((await task.fetch(resource.url)).status, 401)
  assert.equal(resource.heard.length, 2)
})

test('a token that a resource refuses is not shown again: the next call brings another', async (t) => {
  const resource = await listening(t, (_, response, nth) => sendJson(response, nth === 1 ? 401 : 200, {}))
  const { sdk } = await smallServer(t)
  await using task = await sdk().task(WORK)
  assert.deepEqual([(await task.fetch(resource.url)).status, (await task.fetch(resource.url)).status], [401, 200])
  assert.equal(new Set(resource.heard.map(({ headers }) => headers.authorization)).size, 2)
})

test('what the caller says of authorization is not what the resource gets', async (t) => {
  const resource = await listening(t, (_, response) => sendJson(response, 200, {}))
  const { sdk } = await smallServer(t)
  await using task = await sdk().task(WORK)
  await task.fetch(resource.url, { headers: { Authorization: 'Bearer x', DPoP: 'x', 'x-more': 'kept' } })
  assert.match(String(resource.heard[0]!.headers.authorization), /^DPoP token\./)
  assert.deepEqual([claimsOf(resource.heard[0]!.headers.dpop).htm, resource.heard[0]!.headers['x-more']], ['GET', 'kept'])
})

test('a purpose or a resource with line breaks and separators stays what it is: one value', async (t) => {
  const purpose = 'a&task=tsk_other\r\nx-admin: 1\r\n\r\n=%00'
  const { sdk, asked } = await smallServer(t)
  await using task = await sdk().task({ ...WORK, purpose })
  const resource = 'https://a.example/\r\nhost: evil&task=tsk_other'
  await task.token({ resource })
  const [opened, exchanged] = asked('/oauth/token').map(formOf)
  assert.deepEqual([opened!['purpose'], opened!['task'], exchanged!['resource'], exchanged!['task']], [purpose, undefined, resource, undefined])
  assert.ok(asked('/oauth/token').every(({ headers }) => headers['x-admin'] === undefined))
})

for (const { url, says } of [
  { url: 'https://writ.acme.example/writ', says: /more than the origin/ }, { url: 'https://maya:very-secret@writ.acme.example', says: /more than the origin/ },
  { url: 'https//maya:very-secret@writ.acme.example', says: /no address/ }, { url: 'ftp://maya:very-secret@writ.acme.example', says: /no address/ },
  { url: 'http://maya:very-secret@writ.acme.example', says: /in the clear/ }, { url: 'http://localhost.evil.example', says: /in the clear/ }, { url: '', says: /no address/ },
]) {
  test(`the address ${JSON.stringify(url)} is refused, and what may be a password in it is not repeated`, async () => {
    await assert.rejects(new Writ({ url }).task(WORK), (fault) => fault instanceof Misconfigured && says.test(fault.message) && !inspect(fault).includes('very-secret'))
  })
}

test('numbers of calls that are none are the caller\'s mistake, and end no task', async (t) => {
  const { sdk } = await smallServer(t)
  await using task = await sdk().task(WORK)
  for (const times of [-1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, '3' as never]) assert.throws(() => task.called(times), WritError)
  assert.ok(!task.signal.aborted)
})
