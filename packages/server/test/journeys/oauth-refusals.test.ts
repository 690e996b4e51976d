import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { describe, test } from 'node:test'
import { inStoreOf, onEachStore } from '../kept.ts'
import { ACCESS_TOKEN, askToken, assertedBy, callWith, claimsIn, DETAILS, EXCHANGE, introspect, JWT_BEARER_CLIENT, NEW_TASK, postForm, proofKey, signJws, type ProofKey, type Told } from '../oauth-client.ts'
import type { RunningWrit, TestIdentity } from '../running-writ.ts'

/** What a request could leave behind; how tokens and tasks end by themselves meanwhile is not of it. */
const rowsOf = async (writ: RunningWrit): Promise<unknown> => (await inStoreOf(writ, `
  select (select count(*) from task) as task, (select count(*) from access_token) as token, (select count(*) from idempotency) as key,
         (select count(*) from event where type not in ('lease.ended', 'task.closed')) as event`))[0]

/** The error is this one, nothing was written, and nothing of the answer may be kept or tells the reason of a failed authentication. */
async function refusedWith(writ: RunningWrit, wanted: readonly [status: number, error: string], asked: () => Promise<Told>): Promise<Told> {
  const before = await rowsOf(writ)
  const got = await asked()
  assert.deepEqual([got.status, got.error.error], wanted, got.text)
  assert.equal(got.headers.get('cache-control'), 'no-store')
  assert.equal(got.reply.access_token, undefined)
  if (got.status === 401) assert.deepEqual(Object.keys(got.error).toSorted(), ['error', 'trace_id'])
  assert.match(got.error.error_description ?? '', /^[\x20-\x21\x23-\x5b\x5d-\x7e]*$/)
  assert.deepEqual(await rowsOf(writ), before)
  return got
}

type Scene = { readonly writ: RunningWrit; readonly bot: TestIdentity; readonly other: TestIdentity; readonly key: ProofKey }
type Case = { readonly when: string; readonly wanted: readonly [number, string]; readonly ask: (scene: Scene) => Promise<Told> | Told }

const now = (): number => Math.floor(Date.now() / 1000)
const ask = (more: Readonly<Record<string, string>>) => ({ writ, bot, key }: Scene) => askToken(writ, bot, { ...NEW_TASK, ...more }, { key })
const detailed = (details: unknown) => ask({ authorization_details: typeof details === 'string' ? details : JSON.stringify(details) })
const text = (change: (form: string) => string) => ({ writ, bot, key }: Scene) =>
  postForm(writ, '/oauth/token', change(new URLSearchParams({ grant_type: 'client_credentials', ...assertedBy(bot), ...NEW_TASK }).toString()), { key })
const proved = (proof: (scene: Scene) => string) => (scene: Scene) => askToken(scene.writ, scene.bot, NEW_TASK, { proof: proof(scene) })
const asserted = (claims: (scene: Scene) => object, header: object = {}) => (scene: Scene) => postForm(scene.writ, '/oauth/token', {
  grant_type: 'client_credentials', client_assertion_type: JWT_BEARER_CLIENT, ...NEW_TASK,
  client_assertion: signJws(scene.bot.privateKey, { alg: 'ES256', typ: 'JWT', ...header },
    { iss: scene.bot.spiffeId, sub: scene.bot.spiffeId, aud: scene.writ.url, iat: now(), exp: now() + 60, jti: randomUUID(), ...claims(scene) }),
}, { key: scene.key })

const REQUESTS: readonly Case[] = [
  { when: 'no grant type is named', wanted: [400, 'invalid_request'], ask: ask({ grant_type: '' }) },
  ...['password', 'implicit', 'authorization_code', 'refresh_token', 'urn:ietf:params:oauth:grant-type:device_code', 'urn:ietf:params:oauth:grant-type:saml2-bearer'].map((grant): Case =>
    ({ when: `the grant type is \`${grant}\``, wanted: [400, 'unsupported_grant_type'], ask: ({ writ, key }) => postForm(writ, '/oauth/token', { grant_type: grant, ...NEW_TASK }, { key }) })),
  { when: 'a parameter stands twice', wanted: [400, 'invalid_request'], ask: text((form) => `${form}&purpose=another`) },
  { when: 'the assertion stands twice', wanted: [400, 'invalid_request'], ask: text((form) => `${form}&client_assertion=x`) },
  { when: 'two resources are named', wanted: [400, 'invalid_target'], ask: text((form) => `${form}&resource=https%3A%2F%2Fa.example&resource=https%3A%2F%2Fb.example`) },
  { when: 'the body is no form', wanted: [400, 'invalid_request'], ask: text((form) => `${form}&purpose=%zz`) },
  { when: 'the body is no UTF-8', wanted: [400, 'invalid_request'], ask: text((form) => form.replace('tidy', '%ff%fe')) },
  { when: 'the body holds U+0000', wanted: [400, 'invalid_request'], ask: text((form) => form.replace('tidy', '%00')) },
  { when: 'the body is too large', wanted: [413, 'invalid_request'], ask: text((form) => `${form}&x=${'y'.repeat(70_000)}`) },
  { when: 'there are too many parameters', wanted: [400, 'invalid_request'], ask: text((form) => form + Array.from({ length: 60 }, (_, i) => `&x${i}=y`).join('')) },
  {
    when: 'the body is JSON', wanted: [415, 'invalid_request'],
    ask: ({ writ, bot }) => postForm(writ, '/oauth/token', JSON.stringify({ grant_type: 'client_credentials', ...assertedBy(bot), ...NEW_TASK }), { headers: { 'content-type': 'application/json' } }),
  },
  { when: 'parameters stand in the address', wanted: [400, 'invalid_request'], ask: ({ writ, bot }) => postForm(writ, '/oauth/token?purpose=x', { grant_type: 'client_credentials', ...assertedBy(bot), ...NEW_TASK }) },
  { when: 'a scope is asked for', wanted: [400, 'invalid_scope'], ask: ask({ scope: 'all' }) },
  { when: 'the token is for an audience that is no resource', wanted: [400, 'invalid_target'], ask: ask({ audience: 'shop' }) },
  ...['shop', '/api', 'https://a.example/#x', 'https://a.example/?x=1', 'https://user@a.example/', 'https://a.example/ x'].map((resource): Case =>
    ({ when: `the resource is \`${resource}\``, wanted: [400, 'invalid_target'], ask: ask({ resource }) })),
  { when: 'there is no purpose', wanted: [400, 'invalid_request'], ask: ask({ purpose: '' }) },
  { when: 'the purpose is blank', wanted: [400, 'invalid_request'], ask: ask({ purpose: '  ' }) },
  { when: 'neither task nor grant is named', wanted: [400, 'invalid_request'], ask: ask({ authorization_details: '' }) },
  ...['0', '-1', '1.5', '1e3', 'Infinity', '99999999999', ' 5'].map((ttl): Case => ({ when: `the length is \`${ttl}\``, wanted: [400, 'invalid_request'], ask: ask({ ttl_seconds: ttl }) })),
  { when: 'the task would live too long', wanted: [400, 'invalid_request'], ask: ask({ ttl_seconds: '3601' }) },
  { when: 'the grant is no JSON', wanted: [400, 'invalid_authorization_details'], ask: detailed('[{') },
  { when: 'the grant says a name twice', wanted: [400, 'invalid_authorization_details'], ask: detailed('[{"type":"postgres","type":"postgres","locations":["shop"],"actions":["ddl"]}]') },
  { when: 'the grant is empty', wanted: [400, 'invalid_authorization_details'], ask: detailed([]) },
  { when: 'the grant has an unknown field', wanted: [400, 'invalid_authorization_details'], ask: detailed([{ type: 'postgres', locations: ['shop'], actions: ['ddl'], privileges: ['all'] }]) },
  { when: 'the grant goes beyond the identity\'s', wanted: [400, 'invalid_authorization_details'], ask: detailed([{ type: 'postgres', locations: ['shop'], actions: ['drop'] }]) },
  { when: 'the task is not there', wanted: [400, 'invalid_grant'], ask: ({ writ, bot, key }) => askToken(writ, bot, { task: `tsk_${'0'.repeat(26)}` }, { key }) },
  { when: 'the task is no id', wanted: [400, 'invalid_grant'], ask: ({ writ, bot, key }) => askToken(writ, bot, { task: '\' or 1=1' }, { key }) },
  { when: 'terms are named for an open task', wanted: [400, 'invalid_request'], ask: ({ writ, bot, key }) => askToken(writ, bot, { task: `tsk_${'0'.repeat(26)}`, ttl_seconds: '5' }, { key }) },
]

const CLIENTS: readonly Case[] = [
  { when: 'nothing is shown', wanted: [401, 'invalid_client'], ask: ({ writ, key }) => postForm(writ, '/oauth/token', { grant_type: 'client_credentials', ...NEW_TASK }, { key }) },
  { when: 'a secret is shown', wanted: [401, 'invalid_client'], ask: ({ writ, bot, key }) => postForm(writ, '/oauth/token', { grant_type: 'client_credentials', client_id: bot.spiffeId, client_secret: 'x', ...NEW_TASK }, { key }) },
  { when: 'a name and a secret stand in the header', wanted: [401, 'invalid_client'], ask: ({ writ, bot, key }) => askToken(writ, bot, NEW_TASK, { key, headers: { authorization: `Basic ${btoa('a:b')}` } }) },
  { when: 'the assertion is of an unknown type', wanted: [401, 'invalid_client'], ask: ask({ client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:saml2-bearer' }) },
  { when: 'the assertion is of no type', wanted: [401, 'invalid_client'], ask: ask({ client_assertion_type: '' }) },
  { when: 'another client is named', wanted: [401, 'invalid_client'], ask: (scene) => askToken(scene.writ, scene.bot, { ...NEW_TASK, client_id: scene.other.spiffeId }, { key: scene.key }) },
  { when: 'the assertion is an operator key', wanted: [401, 'invalid_client'], ask: (scene) => ask({ client_assertion: scene.writ.operatorKey })(scene) },
  { when: 'the assertion is for another server', wanted: [401, 'invalid_client'], ask: asserted(() => ({ aud: 'https://a.example' })) },
  { when: 'the assertion is for the token endpoint', wanted: [401, 'invalid_client'], ask: asserted(({ writ }) => ({ aud: `${writ.url}/oauth/token` })) },
  { when: 'the assertion is for several servers', wanted: [401, 'invalid_client'], ask: asserted(({ writ }) => ({ aud: [writ.url, 'https://a.example'] })) },
  { when: 'the assertion has expired', wanted: [401, 'invalid_client'], ask: asserted(() => ({ iat: now() - 120, exp: now() - 60 })) },
  { when: 'the assertion lives for a day', wanted: [401, 'invalid_client'], ask: asserted(() => ({ exp: now() + 86_400 })) },
  { when: 'the assertion speaks for another', wanted: [401, 'invalid_client'], ask: asserted(({ other }) => ({ iss: other.spiffeId, sub: other.spiffeId })) },
  { when: 'the assertion is a proof', wanted: [401, 'invalid_client'], ask: asserted(() => ({}), { typ: 'dpop+jwt' }) },
  { when: 'the assertion is an access token', wanted: [401, 'invalid_client'], ask: asserted(() => ({}), { typ: 'at+jwt' }) },
  { when: 'the assertion is not signed', wanted: [401, 'invalid_client'], ask: asserted(() => ({}), { alg: 'none' }) },
  { when: 'an assertion that is a grant is a client assertion', wanted: [400, 'invalid_grant'], ask: ({ writ, bot, key }) => postForm(writ, '/oauth/token', { grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer', assertion: bot.assertion(), ...NEW_TASK }, { key }) },
  { when: 'two kinds of evidence come at once', wanted: [400, 'invalid_request'], ask: ({ writ, bot, key }) => postForm(writ, '/oauth/token', { grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer', assertion: bot.assertion(), ...assertedBy(bot), ...NEW_TASK }, { key }) },
]

const PROOFS: readonly Case[] = [
  { when: 'an autonomous identity shows no proof', wanted: [400, 'invalid_dpop_proof'], ask: ({ writ, bot }) => askToken(writ, bot, NEW_TASK) },
  { when: 'the proof is for another address', wanted: [400, 'invalid_dpop_proof'], ask: proved(({ key, writ }) => key.proof({ htu: `${writ.url}/v1/tasks` })) },
  { when: 'the proof is for another server', wanted: [400, 'invalid_dpop_proof'], ask: proved(({ key }) => key.proof({ htu: 'https://a.example/oauth/token' })) },
  { when: 'the proof is for another method', wanted: [400, 'invalid_dpop_proof'], ask: proved(({ key, writ }) => key.proof({ htu: `${writ.url}/oauth/token`, htm: 'GET' })) },
  { when: 'the proof is old', wanted: [400, 'invalid_dpop_proof'], ask: proved(({ key, writ }) => key.proof({ htu: `${writ.url}/oauth/token`, claims: { iat: now() - 90 } })) },
  { when: 'the proof is of the future', wanted: [400, 'invalid_dpop_proof'], ask: proved(({ key, writ }) => key.proof({ htu: `${writ.url}/oauth/token`, claims: { iat: now() + 90 } })) },
  { when: 'two proofs come', wanted: [400, 'invalid_dpop_proof'], ask: proved(({ key, writ }) => [1, 2].map(() => key.proof({ htu: `${writ.url}/oauth/token` })).join(', ')) },
  { when: 'the proof is an access token', wanted: [400, 'invalid_dpop_proof'], ask: proved(({ key, writ }) => key.proof({ htu: `${writ.url}/oauth/token`, header: { typ: 'at+jwt' } })) },
]

onEachStore('what a token request is refused for', (writ) => {
  let scene: Scene
  test('two identities are there', async () => {
    scene = { writ: writ(), bot: await writ().register('asker'), other: await writ().register('other-asker'), key: await proofKey() }
  })
  for (const { when, wanted, ask: asked } of [...REQUESTS, ...CLIENTS, ...PROOFS]) {
    test(`${wanted[1]} when ${when}`, async () => { await refusedWith(writ(), wanted, async () => asked(scene)) })
  }

  test('every reason for which a client is refused stands in the log, by the number that the client was given, and not in the answer', async () => {
    const answers = await Promise.all([asserted(() => ({ aud: 'https://a.example' }))(scene), asserted(() => ({ exp: now() + 86_400 }))(scene), asserted(() => ({ iss: 'spiffe://acme.example/nobody', sub: 'spiffe://acme.example/nobody' }))(scene)])
    assert.equal(new Set(answers.map(({ text: body, error }) => body.replace(error.trace_id, ''))).size, 1)
    for (const { error } of answers) assert.match(writ().log().split('\n').find((line) => line.includes(error.trace_id)) ?? '', /"refusal":\{"kind":"(wrong_audience|lives_too_long|unknown_identity)"/)
  })

  test('a task of another identity is not there, and one that is over is not either', async () => {
    const theirs = await askToken(writ(), scene.other, NEW_TASK, { key: scene.key })
    await refusedWith(writ(), [400, 'invalid_grant'], () => askToken(writ(), scene.bot, { task: theirs.reply.task }, { key: scene.key }))
    assert.equal((await callWith(writ(), { key: scene.key, token: theirs.reply.access_token, path: `/v1/tasks/${theirs.reply.task}/complete` })).status, 200)
    await refusedWith(writ(), [400, 'invalid_grant'], () => askToken(writ(), scene.other, { task: theirs.reply.task }, { key: scene.key }))
  })

  describe('an exchange', () => {
    const exchange = (token: string, more: Readonly<Record<string, string>> = {}, key = scene.key) =>
      postForm(writ(), '/oauth/token', { grant_type: EXCHANGE, subject_token: token, subject_token_type: ACCESS_TOKEN, ...more }, { key })
    const READ = JSON.stringify([{ type: 'postgres', locations: ['shop'], actions: ['read'] }])

    test('only narrows, only within the task, and only for the holder of the key', async () => {
      const wide = (await askToken(writ(), scene.bot, NEW_TASK, { key: scene.key })).reply
      const second = (await askToken(writ(), scene.bot, NEW_TASK, { key: scene.key })).reply
      const narrow = (await exchange(wide.access_token, { authorization_details: READ })).reply
      assert.deepEqual(narrow.authorization_details.flatMap((one) => one.actions), ['read'])
      assert.ok(Number(claimsIn(narrow.access_token)['exp']) <= Number(claimsIn(wide.access_token)['exp']))
      const thief = await proofKey()
      await refusedWith(writ(), [400, 'invalid_authorization_details'], () => exchange(narrow.access_token, { authorization_details: DETAILS }))
      await refusedWith(writ(), [400, 'invalid_grant'], () => exchange(narrow.access_token, { task: second.task }))
      await refusedWith(writ(), [400, 'invalid_request'], () => exchange(narrow.access_token, { purpose: 'another task' }))
      await refusedWith(writ(), [400, 'invalid_request'], () => exchange(wide.access_token, {}, thief))
      await refusedWith(writ(), [400, 'invalid_request'], () => exchange(`${wide.access_token.slice(0, -4)}AAAA`))
      await refusedWith(writ(), [400, 'invalid_request'], () => exchange(scene.bot.assertion()))
      await refusedWith(writ(), [400, 'invalid_request'], () => exchange(wide.access_token, { requested_token_type: 'urn:ietf:params:oauth:token-type:refresh_token' }))
      await refusedWith(writ(), [400, 'invalid_request'], () => exchange(wide.access_token, { actor_token: wide.access_token }))
      // What is meant for another resource is worth nothing here.
      const away = (await exchange(wide.access_token, { resource: 'https://shop.acme.example' })).reply
      await refusedWith(writ(), [400, 'invalid_request'], () => exchange(away.access_token))
      assert.equal((await postForm(writ(), '/oauth/revoke', { token: wide.access_token, ...assertedBy(scene.bot) })).status, 200)
      await refusedWith(writ(), [400, 'invalid_request'], () => exchange(wide.access_token))
    })
  })

  test('a stranger is told nothing about a token, and nobody gives back what is another\'s', async () => {
    const { access_token: token } = (await askToken(writ(), scene.bot, NEW_TASK, { key: scene.key })).reply
    for (const path of ['/oauth/introspect', '/oauth/revoke']) {
      await refusedWith(writ(), [401, 'invalid_client'], () => postForm(writ(), path, { token }))
      await refusedWith(writ(), [401, 'invalid_client'], () => postForm(writ(), path, { token }, { headers: { authorization: `Bearer ${token}` } }))
      await refusedWith(writ(), [401, 'invalid_client'], () => postForm(writ(), path, { token }, { headers: { authorization: 'Bearer writ_op_x' } }))
      await refusedWith(writ(), [400, 'invalid_request'], () => postForm(writ(), path, assertedBy(scene.bot)))
      const once = assertedBy(scene.bot)
      assert.equal((await postForm(writ(), path, { token: 'garbage', ...once })).status, 200)
      await refusedWith(writ(), [401, 'invalid_client'], () => postForm(writ(), path, { token: 'garbage', ...once }))
    }
    await refusedWith(writ(), [400, 'unauthorized_client'], () => postForm(writ(), '/oauth/revoke', { token, ...assertedBy(scene.other) }))
    assert.equal((await introspect(writ(), token))['active'], true)
  })

  test('what is no live token of ours is inactive, and no more is said', async () => {
    const { access_token: token } = (await askToken(writ(), scene.bot, NEW_TASK, { key: scene.key })).reply
    const [header, claims] = token.split('.').slice(0, 2).map((part) => JSON.parse(Buffer.from(part, 'base64url').toString()) as object)
    const forged = signJws(scene.key.privateKey, header!, claims!)
    for (const one of ['x', '', 'a.b.c', token.slice(0, -1), `${token}=`, forged, scene.bot.assertion(), writ().operatorKey, scene.key.proof({ htu: writ().url }), 'x'.repeat(9000)]) {
      if (one !== '') assert.deepEqual(await introspect(writ(), one), { active: false })
    }
  })

  test('a token opens its own task alone, with a proof of its own key for this very request, once', async () => {
    const { access_token: token, task } = (await askToken(writ(), scene.bot, NEW_TASK, { key: scene.key })).reply
    const other = (await askToken(writ(), scene.bot, NEW_TASK, { key: scene.key })).reply
    const path = `/v1/tasks/${task}/heartbeat`
    const [key, thief] = [scene.key, await proofKey()]
    const htu = writ().url + path
    assert.equal((await callWith(writ(), { key, token, path })).status, 200)
    const proof = key.proof({ htu, token })
    assert.equal((await callWith(writ(), { token, path, proof })).status, 200)
    const before = await rowsOf(writ())
    const refused = [
      await callWith(writ(), { token, path, proof }), await callWith(writ(), { token, path, key: thief }), await callWith(writ(), { token, path }),
      await callWith(writ(), { token, path, scheme: 'Bearer' }), await callWith(writ(), { token, path, proof: key.proof({ htu: writ().url, token }) }),
      await callWith(writ(), { token, path, proof: key.proof({ htu, htm: 'GET', token }) }), await callWith(writ(), { token, path, proof: key.proof({ htu }) }),
      await callWith(writ(), { token, path, proof: key.proof({ htu, token: other.access_token }) }),
    ]
    assert.deepEqual(refused.map((one) => [one.status, one.value['code']]), refused.map(() => [401, 'unauthenticated']))
    assert.equal((await callWith(writ(), { key, token, path: `/v1/tasks/${other.task}/heartbeat` })).status, 404)
    assert.equal((await callWith(writ(), { key, token, path: '/v1/tasks', body: { purpose: 'more', authorization_details: JSON.parse(DETAILS) as object } })).status, 403)
    const away = (await askToken(writ(), scene.bot, { task, resource: 'https://shop.acme.example' }, { key })).reply
    assert.equal((await callWith(writ(), { key, token: away.access_token, path })).status, 401)
    assert.equal(Number((await rowsOf(writ()) as { task: number }).task), Number((before as { task: number }).task))
  })
})
