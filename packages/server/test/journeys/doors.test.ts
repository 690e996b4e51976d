import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { pathOf, type Endpoint } from '@writ/contract/endpoint'
import { ENDPOINTS, type NamedEndpoint as Named } from '@writ/contract/endpoints'
import { PROBLEM_BASE } from '@writ/contract/problem'
import * as registry from '@writ/contract/registry'
import * as tasks from '@writ/contract/tasks'
import { SECRET_PREFIX, toSecret } from '@writ/domain/secret'
import { opened } from '../governed-writ.ts'
import { keptIn, onEachStore, refused } from '../kept.ts'
import { inFull } from '../long.ts'
import { rawRequest, withoutTrace, type RawAnswer } from '../raw-request.ts'
import type { RunningWrit, TestIdentity } from '../running-writ.ts'

/** The metrics are open on a server that only this machine can ask: see the test of the surface. */
const CLOSED = ENDPOINTS.filter(({ name, endpoint }) => endpoint.who !== 'anyone' && endpoint.who !== 'webhook' && endpoint.who !== 'token_holder' && name !== 'metrics')
const forWhom = (...who: readonly Endpoint['who'][]): readonly Named[] =>
  ENDPOINTS.filter(({ name, endpoint }) => who.includes(endpoint.who) && name !== 'metrics')

const PARAMETERS = { id: 'tsk_00000000000000000000000000', key: 'crd_x', binding: 'bnd_x', restore: 'x', name: 'shop', stream: 'human', type: 'x', version: '1' }

function knock(writ: RunningWrit, { endpoint }: Named, authorizations: readonly string[]): Promise<RawAnswer> {
  const body = endpoint.method === 'GET' ? undefined : '{}'
  const headers: [string, string][] = authorizations.map((value) => ['authorization', value])
  if (body !== undefined) headers.push(['content-type', 'application/json'])
  return rawRequest(writ.url, { method: endpoint.method, path: pathOf(endpoint, PARAMETERS), headers, ...(body === undefined ? {} : { body }) })
}

const now = (): number => Math.floor(Date.now() / 1000)
const hasKey = (by: TestIdentity, claims?: Readonly<Record<string, unknown>>): string => `Bearer ${by.assertion(claims)}`

/** RFC 6750 §3.1, RFC 9449 §7.2: the error stands with the scheme that was tried, and with none where none was. */
function challengeTo(shown: readonly string[]): string {
  const tried = shown.length === 1 && /^Bearer +[\x21-\x7e]+$/.test(shown[0]!)
  return `Bearer${tried ? ' error="invalid_token"' : ''}, DPoP algs="ES256 Ed25519 PS256 RS256 EdDSA"`
}

onEachStore('the doors', (writ, store) => {
  test('these are open to anyone, and no others', () => {
    assert.deepEqual(forWhom('anyone', 'webhook').map((one) => one.name).toSorted(),
      [
        'authzenConfiguration', 'explainProblem', 'fireTrigger', 'firstSignIn', 'hashTile', 'health', 'introspect', 'issueToken', 'jwks', 'listLogs', 'logCheckpoint', 'metadata', 'openApiDocument',
        'pastCheckpoint', 'pastHashTile', 'protectedResource',
        'ready', 'redeemBootstrap', 'referencePage', 'revokeToken', 'beginPasskeySignIn', 'signInWithPasskey', 'beginPersonByLink', 'registerPersonByLink',
        'beginDeviceSignIn', 'redeemDeviceSignIn', 'beginProviderSignIn', 'finishProviderSignIn', 'signInWays',
      ].toSorted())
    assert.ok(CLOSED.length >= 30)
  })

  test('whoever is nobody gets one and the same answer at every door, whatever he shows', async () => {
    const bot = await writ().register('bot')
    const stopped = await writ().register('stopped')
    const gone = await writ().register('gone')
    await writ().operator(registry.suspendIdentity, { parameters: { id: stopped.id }, body: { reason: 'x' } })
    await writ().operator(registry.retireIdentity, { parameters: { id: gone.id }, body: { reason: 'x' } })
    const [head, claims] = bot.assertion().split('.')
    const shown: Readonly<Record<string, () => readonly string[]>> = {
      'nothing': () => [],
      'an empty header': () => [''],
      'a bearer of nothing': () => ['Bearer '],
      'another scheme': () => [`Basic ${Buffer.from(`x:${writ().operatorKey}`).toString('base64')}`],
      'the bare key': () => [writ().operatorKey],
      'garbage': () => ['Bearer garbage'],
      'a long garbage': () => [`Bearer ${'x'.repeat(9000)}`],
      'an operator key of another server': () => [`Bearer ${toSecret(SECRET_PREFIX.operator, randomBytes(32))}`],
      'an operator key with one letter more': () => [`Bearer ${writ().operatorKey}x`],
      'an operator key in capitals': () => [`Bearer ${writ().operatorKey.toUpperCase()}`],
      'a secret of another kind': () => [`Bearer ${toSecret(SECRET_PREFIX.webhook, randomBytes(32))}`],
      'two keys': () => [`Bearer ${writ().operatorKey}`, `Bearer ${writ().operatorKey}`],
      'a key and an assertion': () => [`Bearer ${writ().operatorKey}`, hasKey(bot)],
      'two keys in one header': () => [`Bearer ${writ().operatorKey}, Bearer ${writ().operatorKey}`],
      'an assertion for another server': () => [hasKey(bot, { aud: 'https://writ.other.example' })],
      'an assertion for two servers': () => [hasKey(bot, { aud: [writ().url, 'https://writ.other.example'] })],
      'an assertion that has ended': () => [hasKey(bot, { iat: now() - 200, exp: now() - 100 })],
      'an assertion that lives for a day': () => [hasKey(bot, { exp: now() + 86_400 })],
      'an assertion without an id': () => [hasKey(bot, { jti: undefined })],
      'an assertion about somebody else': () => [hasKey(bot, { sub: stopped.spiffeId })],
      'an assertion of nobody': () => [hasKey(bot, { iss: 'spiffe://acme.example/nobody', sub: 'spiffe://acme.example/nobody' })],
      'an assertion without a signature': () => [`Bearer ${head}.${claims}.`],
      'an assertion signed with another key': () => [`Bearer ${head}.${claims}.${Buffer.alloc(64, 1).toString('base64url')}`],
      'an assertion of a suspended identity': () => [hasKey(stopped)],
      'an assertion of a retired identity': () => [hasKey(gone)],
    }
    const before = await keptIn(writ())
    const answers = new Map<string, string>()
    // What is shown is read in front of every store alike: on the second one each door is shown a part of it, and each part to many doors.
    const parts = store === 'sqlite' || inFull ? 1 : 5
    for (const [i, one] of CLOSED.entries()) {
      for (const [what, show] of Object.entries(shown).filter((_, j) => (i + j) % parts === 0)) {
        const got = await knock(writ(), one, show())
        assert.deepEqual([got.status, got.header('www-authenticate'), got.type], [401, challengeTo(show()), 'application/problem+json; charset=utf-8'],
          `${one.name} with ${what}: ${got.text}`)
        answers.set(withoutTrace(got), `${one.name} with ${what}`)
      }
    }
    assert.equal(answers.size, 1, JSON.stringify([...answers]))
    assert.ok([...answers.keys()][0]!.includes(`${PROBLEM_BASE}unauthenticated`))
    assert.deepEqual(await keptIn(writ()), before)
  })

  test('an identity is told at every operator\'s door that it may not, and an operator at every identity\'s', async () => {
    const bot = await writ().register('curious')
    const before = await keptIn(writ())
    for (const one of forWhom('operator')) {
      const got = await knock(writ(), one, [hasKey(bot)])
      assert.deepEqual([got.status, (JSON.parse(got.text) as { code: string }).code], [403, 'not_allowed'], `${one.name}: ${got.text}`)
    }
    for (const one of forWhom('person')) {
      for (const shown of [hasKey(bot), `Bearer ${writ().operatorKey}`]) {
        const got = await knock(writ(), one, [shown])
        assert.deepEqual([got.status, (JSON.parse(got.text) as { code: string }).code], [403, 'people_only'], `${one.name}: ${got.text}`)
      }
    }
    for (const one of forWhom('identity')) {
      const got = await knock(writ(), one, [`Bearer ${writ().operatorKey}`])
      assert.deepEqual([got.status, (JSON.parse(got.text) as { code: string }).code], [403, 'not_allowed'], `${one.name}: ${got.text}`)
    }
    assert.deepEqual(await keptIn(writ()), before)
  })

  test('whoever may, gets past the door, at every one of them', async () => {
    const bot = await writ().register('welcome')
    // The live stream has no end: it has a test of its own, and so have the doors for people.
    for (const one of CLOSED.filter(({ name, endpoint }) => endpoint.who !== 'person' && name !== 'liveStream')) {
      const asOperator = one.endpoint.who !== 'identity'
      const got = await knock(writ(), one, [asOperator ? `bearer ${writ().operatorKey}` : hasKey(bot)])
      assert.ok(![401, 403, 405, 500].includes(got.status), `${one.name}: ${got.status} ${got.text}`)
    }
  })

  test('what belongs to another identity is not there, for whoever is not its owner', async () => {
    const [mine, other] = [await writ().register('mine'), await writ().register('theirs')]
    const id = await opened(mine)
    const asked = { parameters: { id } }
    const tries = [
      () => other.api(tasks.showTask, asked), () => other.api(tasks.completeTask, asked), () => other.api(tasks.heartbeat, asked),
        () => other.api(tasks.certificate, asked),
    ]
    for (const tried of tries) await refused(writ(), tried, { status: 404, code: 'task_not_found' })
    await refused(writ(), () => other.api(tasks.issueLease, { parameters: { id }, body: { type: 'postgres', resource: 'shop', action: 'ddl' } }),
      { status: 422, code: 'grant_not_covered' })
    assert.deepEqual((await other.api(tasks.listTasks)).reply.tasks, [])
    assert.equal((await mine.api(tasks.listTasks)).reply.tasks[0]!.id, id)
    assert.equal((await mine.api(tasks.showTask, { parameters: { id } })).reply.state, 'open')
  })

  test('an assertion opens a door once: of ten at once one gets in, and none after a restart', async () => {
    const bot = await writ().register('once')
    const assertion = bot.assertion()
    const api = writ().as(() => assertion)
    const got = await Promise.all(Array.from({ length: 10 }, () => api(registry.whoAmI)))
    assert.deepEqual(got.map((one) => String(one.status)).toSorted(), ['200', ...Array<string>(9).fill('401')])
    await writ().kill()
    await writ().restart()
    await refused(writ(), () => api(registry.whoAmI), { status: 401, code: 'unauthenticated' })
    assert.equal((await bot.api(registry.whoAmI)).status, 200)
    assert.ok(writ().log().includes('replayed'), 'the log says why')
    assert.ok(!writ().log().includes(assertion.split('.')[2]!), 'the log does not hold what was shown')
  })
})
