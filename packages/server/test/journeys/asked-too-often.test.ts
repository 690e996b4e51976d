import assert from 'node:assert/strict'
import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { request } from 'node:http'
import { after, before, describe, test } from 'node:test'
import * as authzen from '@writ/contract/authzen'
import * as registry from '@writ/contract/registry'
import { SECRET_PREFIX, toSecret } from '@writ/domain/secret'
import { authzenBundle, TOOLS_FILE } from '../authzen-estate.ts'
import { eventsOf, inStoreOf, keptIn, onEachStore } from '../kept.ts'
import { bearerTo, ENVELOPE, newerHead } from '../mcp/bearer.ts'
import { governServer } from '../mcp/estate.ts'
import { recordingHttp } from '../mcp/recording-http.ts'
import { askToken, DETAILS, signJws } from '../oauth-client.ts'
import { withoutTrace } from '../raw-request.ts'
import { startWrit, type Got, type RunningWrit, type TestIdentity } from '../running-writ.ts'

const [ADVICE, DENIED, REFUSED] = [7, 5, 40]
const LIMITS = { WRIT_ADVICE_PER_MINUTE: String(ADVICE), WRIT_DENIED_PER_MINUTE: String(DENIED), WRIT_REFUSED_PER_MINUTE: String(REFUSED) }
const SERVER = 'files'

const upstream = await recordingHttp({ tools: [{ name: 'say', inputSchema: { type: 'object' } }, { name: 'shout', inputSchema: { type: 'object' } }] })
after(() => { upstream.stop() })

let named = 0

onEachStore('an identity that asks too often', (at) => {
  before(async () => {
    await authzenBundle(at(), { 'tools.json': TOOLS_FILE })
    await governServer(at(), { name: SERVER, transport: 'http', url: upstream.urlOf(SERVER) })
  })
  const register = (): Promise<TestIdentity> => at().register(`eager-${named++}`, { class: 'assisted', authority: [`mcp:${SERVER}:say`, `mcp:${SERVER}:shout`, 'mcp:crm:search'] })
  const about = (of: TestIdentity, id: string) => ({ subject: { type: 'agent', id: of.spiffeId }, action: { name: 'call' }, resource: { type: 'tool', id } })
  const advise = (of: TestIdentity, api = of.api) => api(authzen.evaluateAccess, { body: about(of, 'crm/search') })
  const findings = async (of: TestIdentity) => (await at().operator(registry.listFindings)).reply.findings.filter(({ identity }) => identity === of.id)
  const raised = async (of: TestIdentity) => (await eventsOf(at())).filter(({ type, identity }) => type === 'finding.raised' && identity === of.id)
  const decisionsOf = async (of: TestIdentity) => Number((await inStoreOf(at(), 'select count(*) as n from decision where identity_id = $1', [of.id]))[0]!['n'])

  function isTooOften(got: Pick<Got<unknown>, 'status' | 'headers' | 'problem' | 'text'>, code: string): void {
    assert.deepEqual([got.status, got.problem.code, got.problem.retryable], [429, code, true], got.text)
    const wait = Number(got.headers.get('retry-after'))
    assert.ok(wait >= 1 && wait <= 60, got.headers.get('retry-after') ?? 'no word when to come again')
  }

  test('gets so much advice in a minute, searches included, and then is told when to come again', async () => {
    const [eager, other] = [await register(), await register()]
    for (let i = 0; i < ADVICE - 3; i++) assert.equal((await advise(eager)).status, 200)
    const batch = { ...about(eager, 'crm/search'), evaluations: [{}, {}] }
    assert.equal((await eager.api(authzen.evaluateAccesses, { body: batch })).status, 200)
    isTooOften(await eager.api(authzen.evaluateAccesses, { body: batch }), 'too_much_advice')
    const search = { action: { name: 'call' }, resource: { type: 'tool' }, subject: { type: 'agent', id: eager.spiffeId } }
    assert.equal((await eager.api(authzen.searchResources, { body: search })).status, 200)
    const before = await keptIn(at())
    for (let i = 0; i < 5; i++) {
      isTooOften(await advise(eager), 'too_much_advice')
      isTooOften(await eager.api(authzen.searchResources, { body: search }), 'too_much_advice')
    }
    assert.deepEqual(await keptIn(at()), before)
    for (let i = 0; i < ADVICE + 5; i++) assert.equal((await advise(eager, at().operator)).status, 200)
    assert.equal((await advise(other)).status, 200)
    assert.deepEqual((await findings(eager)).map(({ kind, evidence }) => [kind, evidence]), [['asks_too_often', { of: 'advice', most_per_minute: ADVICE }]])
    assert.deepEqual((await raised(eager)).map(({ facts }) => facts['kind']), ['asks_too_often'])
  })

  test('is denied so often in a minute, however many attempts come at once, and allowed as often as its budget says', async () => {
    const eager = await register()
    const body = { purpose: 'tries', authorization_details: JSON.stringify([{ type: 'mcp', locations: ['crm'], actions: ['search'] }]) }
    const got = await askToken(at(), eager, body)
    const api = at().as(() => got.reply.access_token)
    const attempt = (id: string) => api(authzen.evaluateAccess, { body: about(eager, id) })
    for (let i = 0; i < 3 * DENIED; i++) assert.equal((await attempt('crm/search')).status, 200)
    const allowed = await decisionsOf(eager)
    const many = await Promise.all(Array.from({ length: 40 }, () => attempt('mail/send')))
    assert.deepEqual([many.filter(({ status }) => status === 200).length, await decisionsOf(eager) - allowed], [DENIED, DENIED])
    for (const one of many.filter(({ status }) => status !== 200)) isTooOften(one, 'too_many_denied')
    const before = await keptIn(at())
    isTooOften(await attempt('crm/search'), 'too_many_denied')
    assert.deepEqual(await keptIn(at()), before)
    assert.equal((await advise(eager)).status, 200)
    assert.equal((await raised(eager)).length, 1)
  })

  test('is denied no more often by one request of many questions, and told so of each that is left', async () => {
    const eager = await register()
    const body = { purpose: 'tries', authorization_details: JSON.stringify([{ type: 'mcp', locations: ['crm'], actions: ['search'] }]) }
    const got = await askToken(at(), eager, body)
    const questions = ['crm/search', ...Array.from({ length: DENIED + 2 }, () => 'mail/send'), 'crm/search'].map((id) => ({ resource: { type: 'tool', id } }))
    const answered = await at().as(() => got.reply.access_token)(authzen.evaluateAccesses, { body: { ...about(eager, 'x'), evaluations: questions } })
    assert.equal(answered.status, 200, answered.text)
    const { evaluations } = answered.reply as { readonly evaluations: readonly authzen.AuthzenAnswer[] }
    assert.deepEqual(evaluations.map(({ decision, context }) => [decision, context.error?.code ?? context.reason]),
      [[true, 'permitted'], ...Array.from({ length: DENIED }, () => [false, 'not_granted']), ...Array.from({ length: 3 }, () => [false, 'too_many_denied'])])
    assert.deepEqual(evaluations.slice(-3).map(({ context }) => context.error?.status), [429, 429, 429])
    assert.equal(await decisionsOf(eager), DENIED + 1)
  })

  test('is told the same at the gateway, in the words of JSON-RPC, and nothing goes to the server', async () => {
    const eager = await register()
    const bearer = await bearerTo(at(), eager, { server: SERVER, tools: ['say'] })
    const call = (tool: string) => fetch(bearer.url, {
      method: 'POST', headers: newerHead(bearer, 'tools/call', tool), body: JSON.stringify({ jsonrpc: '2.0', id: 7, method: 'tools/call', params: { name: tool, arguments: {}, _meta: ENVELOPE } }),
    })
    for (let i = 0; i < 2 * DENIED; i++) assert.equal((await call('say')).status, 200)
    for (let i = 0; i < DENIED; i++) assert.match(await (await call('shout')).text(), /"code":"denied"/)
    const [before, written] = [await keptIn(at()), upstream.written.length]
    for (const tool of ['shout', 'say', 'say']) {
      const got = await call(tool)
      const { id, error } = await got.json() as { readonly id: number; readonly error: { readonly code: number; readonly data: Readonly<Record<string, unknown>> } }
      assert.deepEqual([got.status, id, error.code, error.data['code'], error.data['retryable'], String(error.data['retry_after_seconds'])], [429, 7, -32001, 'too_many_denied', true, got.headers.get('retry-after')])
    }
    assert.deepEqual({ ...await keptIn(at()), finding: 0, event: 0, event_said: 0 }, { ...before, finding: 0, event: 0, event_said: 0 })
    assert.deepEqual([upstream.written.length - written, (await raised(eager)).length], [0, 1])
  })
}, { env: { ...LIMITS, WRIT_OUTBOUND_ALLOW: upstream.host } })

/** The answer to this evidence, from this address of the machine. */
function knock(url: string, { from = '127.0.0.1', bearer, more = {} }: { readonly from?: string; readonly bearer: string; readonly more?: Readonly<Record<string, string>> }) {
  return new Promise<{ readonly status: number; readonly text: string; readonly challenge: string | undefined }>((resolve, reject) => {
    request(`${url}/v1/whoami`, { localAddress: from, agent: false, headers: { authorization: `Bearer ${bearer}`, ...more } }, (answer) => {
      let text = ''
      answer.setEncoding('utf8').on('data', (chunk: string) => { text += chunk }).on('end', () => { resolve({ status: answer.statusCode!, text, challenge: answer.headers['www-authenticate'] }) })
    }).on('error', reject).end()
  })
}

const otherKey = () => toSecret(SECRET_PREFIX.operator, randomBytes(32))

describe('evidence that is refused again and again', { skip: process.platform === 'linux' ? false : 'the whole of 127.0.0.0/8 is this machine on Linux alone' }, () => {
  let writ: RunningWrit
  before(async () => { writ = await startWrit({ env: LIMITS }) })
  after(() => writ.stop())

  const forgedFor = (spiffeId: string) => signJws(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey, { alg: 'ES256' }, { iss: spiffeId, sub: spiffeId, aud: writ.issuer, jti: randomBytes(8).toString('hex'), iat: Math.floor(Date.now() / 1000), exp: Math.floor(Date.now() / 1000) + 60 })

  test('for one claimed identity is not looked at any more, where it comes from, and looks like any other that is refused', async () => {
    const agent = await writ.register('guessed')
    const from = '127.0.1.1'
    const answers = new Set<string>()
    for (let i = 0; i < REFUSED / 10; i++) answers.add(withoutTrace(await knock(writ.url, { from, bearer: forgedFor(agent.spiffeId) })))
    const unseen = await knock(writ.url, { from, bearer: agent.assertion() })
    answers.add(withoutTrace(unseen))
    for (const bearer of [forgedFor('spiffe://acme.example/nobody'), 'garbage']) answers.add(withoutTrace(await knock(writ.url, { from, bearer })))
    assert.deepEqual([answers.size, unseen.status], [1, 401])
    assert.equal((await knock(writ.url, { bearer: agent.assertion() })).status, 200)
    assert.equal((await knock(writ.url, { from, bearer: writ.operatorKey })).status, 200)
    assert.match(writ.log(), /"kind":"refused_too_often"/)
  })

  test('from one address shuts out who was never good there, and nobody elsewhere', async () => {
    const [from, elsewhere] = ['127.0.2.1', '127.0.2.2']
    const [known, fresh] = [await writ.register('known'), await writ.register('fresh')]
    assert.equal((await knock(writ.url, { from, bearer: known.assertion() })).status, 200)
    for (let i = 0; i < REFUSED; i++) assert.equal((await knock(writ.url, { from, bearer: otherKey() })).status, 401)
    // What a request says of where it is from counts for nothing.
    for (const more of [{}, { 'x-forwarded-for': elsewhere }, { forwarded: `for=${elsewhere}` }, { 'x-real-ip': elsewhere }]) {
      assert.equal((await knock(writ.url, { from, bearer: fresh.assertion(), more })).status, 401, JSON.stringify(more))
    }
    assert.equal((await knock(writ.url, { from, bearer: known.assertion() })).status, 200)
    assert.equal((await knock(writ.url, { from: elsewhere, bearer: fresh.assertion(), more: { 'x-forwarded-for': from } })).status, 200)
    assert.equal(writ.log().split('too much evidence from an address was refused').length, 2)
  })

  test('is counted at every door that takes some', async () => {
    const from = '127.0.3.1'
    const post = (path: string, body: string, type: string, i: number) => new Promise<number>((resolve, reject) => {
      request(writ.url + path, { method: 'POST', localAddress: from, agent: false, headers: { 'content-type': type, 'webhook-id': `m${i}`, 'webhook-timestamp': '1', 'webhook-signature': 'v1,x', 'content-length': Buffer.byteLength(body) } }, (answer) => {
        answer.resume().on('end', () => { resolve(answer.statusCode!) })
      }).on('error', reject).end(body)
    })
    const form = (i: number) => new URLSearchParams({ client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer', client_assertion: `x.y.${i}`, token: 'x', grant_type: 'client_credentials', purpose: 'x', authorization_details: DETAILS }).toString()
    for (let i = 0; i < REFUSED / 5; i++) {
      for (const path of ['/oauth/token', '/oauth/introspect', '/oauth/revoke']) assert.equal(await post(path, form(i), 'application/x-www-form-urlencoded', i), 401)
      assert.equal(await post('/v1/bootstrap', JSON.stringify({ code: `writ_bootstrap_${i}`, operator: 'x' }), 'application/json', i), 401)
      assert.equal(await post(`/v1/triggers/nhi_${i}`, '{}', 'application/json', i), 401)
    }
    const agent = await writ.register('comes-late')
    assert.equal((await knock(writ.url, { from, bearer: agent.assertion() })).status, 401)
    assert.equal((await knock(writ.url, { bearer: agent.assertion() })).status, 200)
  })
})
