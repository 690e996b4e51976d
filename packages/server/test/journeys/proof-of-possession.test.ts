import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as registry from '@writ/contract/registry'
import { boundToken, evidenceEstate, type EvidenceEstate, type Signer } from '../evidence-estate.ts'
import type { Members } from '../fakes/workload.ts'
import { keptIn, onEachStore } from '../kept.ts'
import { proofKey } from '../oauth-client.ts'
import { rawRequest, withoutTrace, type RawAnswer } from '../raw-request.ts'
import { startWrit, type RunningWrit } from '../running-writ.ts'
import { startBeside } from '../second-writ.ts'

const PATH = '/v1/whoami'
const ALGS = 'algs="ES256 Ed25519 PS256 RS256 EdDSA"'
const seconds = () => Math.floor(Date.now() / 1000)

const ESTATES = new WeakMap<RunningWrit, Promise<EvidenceEstate>>()
/** One estate for all the tests of a server. */
function estateOf(writ: RunningWrit): Promise<EvidenceEstate> {
  const known = ESTATES.get(writ) ?? evidenceEstate(writ)
  ESTATES.set(writ, known)
  return known
}

type Shown = { readonly token: string; readonly proof?: string | readonly string[]; readonly scheme?: string; readonly path?: string; readonly method?: string; readonly at?: string; readonly host?: string }

function show(estate: EvidenceEstate, { token, proof, scheme = 'DPoP', path = PATH, method = 'GET', at = estate.writ.url, host }: Shown): Promise<RawAnswer> {
  const proofs = proof === undefined ? [] : typeof proof === 'string' ? [proof] : proof
  return rawRequest(at, { method, path, headers: [['authorization', `${scheme} ${token}`], ...proofs.map((one) => ['dpop', one] as const), ...(host === undefined ? [] : [['x-forwarded-host', host] as const])] })
}

type Mistake = { readonly what: string; readonly proof: (estate: EvidenceEstate, token: string) => string | readonly string[] | undefined; readonly scheme?: string }
const made = (changes: Members, header: Members = {}, by: Signer = 'DPoP key') => (estate: EvidenceEstate, token: string) => estate.proof({ htm: 'GET', path: PATH, token, changes, header, by })

const MISTAKES: readonly Mistake[] = [
  { what: 'no proof', proof: () => undefined },
  { what: 'no proof, as a bearer', proof: () => undefined, scheme: 'Bearer' },
  { what: 'a good proof, as a bearer', proof: made({}), scheme: 'Bearer' },
  { what: 'an empty proof', proof: () => '' },
  { what: 'two good proofs', proof: (estate, token) => [made({})(estate, token), made({})(estate, token)] },
  { what: 'the same proof twice', proof: (estate, token) => { const one = made({})(estate, token); return [one, one] } },
  { what: 'the proof of another key', proof: made({}, {}, 'stranger') },
  { what: 'the proof of the registered key', proof: made({}, {}, 'registered key') },
  { what: 'another method', proof: made({ htm: 'POST' }) },
  { what: 'the method in small letters', proof: made({ htm: 'get' }) },
  { what: 'another address', proof: (estate, token) => estate.proof({ htm: 'GET', path: '/v1/tasks', token }) },
  { what: 'the address of another server', proof: made({ htu: `https://writ.other.example${PATH}` }) },
  { what: 'no address', proof: made({ htu: undefined }) },
  { what: 'no hash of the token', proof: made({ ath: undefined }) },
  { what: 'the hash of another token', proof: (estate) => estate.proof({ htm: 'GET', path: PATH, token: 'a.b.c' }) },
  { what: 'a nonce that nobody gave', proof: made({ nonce: 'x'.repeat(43) }) },
  { what: 'an age of a minute', proof: (estate, token) => made({ iat: seconds() - 61 })(estate, token) },
  { what: 'an age of an hour', proof: (estate, token) => made({ iat: seconds() - 3600 })(estate, token) },
  { what: 'a birth in more than a minute', proof: (estate, token) => made({ iat: seconds() + 62 })(estate, token) },
  { what: 'no time', proof: made({ iat: undefined }) },
  { what: 'no id', proof: made({ jti: undefined }) },
  { what: 'another type', proof: made({}, { typ: 'JWT' }) },
  { what: 'no key', proof: made({}, { jwk: undefined }) },
]

onEachStore('proof of possession', (writ, store) => {
  test('whoever holds the key gets in with each proof once, up to ten seconds off either way; nobody else does, and all hear the same', async () => {
    const estate = await estateOf(writ())
    const token = await boundToken(estate)
    for (const off of [0, -10, 10, -55, 55]) {
      const answer = await show(estate, { token, proof: made({ iat: seconds() + off })(estate, token) })
      assert.equal(answer.status, 200, `${off} s: ${answer.text}`)
    }
    const before = await keptIn(writ())
    const answers = new Set<string>()
    for (const { what, proof, scheme = 'DPoP' } of MISTAKES) {
      const shown = proof(estate, token)
      const answer = await show(estate, { token, scheme, ...(shown === undefined ? {} : { proof: shown }) })
      assert.equal(answer.status, 401, `${what}: ${answer.text}`)
      answers.add(withoutTrace(answer))
      const told = answer.header('www-authenticate')
      assert.equal(told, scheme === 'Bearer' ? `Bearer error="invalid_token", DPoP ${ALGS}` : `Bearer, DPoP error="invalid_token", ${ALGS}`, what)
    }
    assert.equal(answers.size, 1, [...answers].join('\n'))
    assert.deepEqual(await keptIn(writ()), before)
  })

  test('whatever host the request names, the proof is for the server\'s own', async () => {
    const estate = await estateOf(writ())
    const token = await boundToken(estate)
    const evil = `https://evil.example${PATH}`
    assert.equal((await show(estate, { token, host: 'evil.example', proof: made({ htu: evil })(estate, token) })).status, 401)
    assert.equal((await show(estate, { token, host: 'evil.example', proof: made({})(estate, token) })).status, 200)
    assert.equal((await show(estate, { token, path: `${PATH}?x=1`, proof: made({})(estate, token) })).status, 200)
  })

  test(`a proof and an assertion that were used are refused a hundred times, ${store === 'postgres' ? 'on another server, ' : ''}and after a restart`, async (t) => {
    const estate = await estateOf(writ())
    const token = await boundToken(estate)
    const proof = made({})(estate, token)
    const assertion = estate.sign('registered key', {}, estate.claims('client assertion'))
    assert.equal((await show(estate, { token, proof })).status, 200)
    assert.equal((await show(estate, { token: assertion, scheme: 'Bearer' })).status, 200)
    const refusedAt = async (at: string, times: number) => {
      for (let i = 0; i < times; i++) {
        assert.equal((await show(estate, { token, proof, at })).status, 401)
        assert.equal((await show(estate, { token: assertion, scheme: 'Bearer', at })).status, 401)
      }
    }
    await refusedAt(writ().url, 100)
    if (store === 'postgres') {
      const second = await startBeside(writ())
      t.after(() => second.stop())
      await refusedAt(second.url, 100)
      const fresh = made({})(estate, token)
      assert.equal((await show(estate, { token, proof: fresh, at: second.url })).status, 200)
      assert.equal((await show(estate, { token, proof: fresh })).status, 401)
      const race = made({})(estate, token)
      const answers = await Promise.all([writ().url, second.url, writ().url, second.url].map((at) => show(estate, { token, proof: race, at })))
      assert.deepEqual(answers.map(({ status }) => status).toSorted((a, b) => a - b), [200, 401, 401, 401])
    }
    await writ().kill()
    await writ().restart()
    await refusedAt(writ().url, 3)
    assert.equal((await show(estate, { token, proof: made({})(estate, token) })).status, 200)
    assert.ok(writ().log().includes('"because":"replayed"'))
    assert.ok(!writ().log().includes(proof.split('.')[2]!) && !writ().log().includes(token.split('.')[2]!))
  })

  test('with an access token its holder acts in its own task and nowhere else, and is no operator', async () => {
    const estate = await estateOf(writ())
    const [own, other] = [await estate.accessToken(), await estate.accessToken()]
    const ask = async (method: string, path: string, body?: object) => {
      const proof = estate.proof({ htm: method, path, token: own.token })
      const answer = await rawRequest(writ().url, {
        method, path, headers: [['authorization', `DPoP ${own.token}`], ['dpop', proof], ...(body === undefined ? [] : [['content-type', 'application/json'] as const])], ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      })
      return { status: answer.status, code: (JSON.parse(answer.text) as { code?: string }).code }
    }
    assert.equal((await ask('GET', `/v1/tasks/${own.task}`)).status, 200)
    assert.equal((await ask('POST', `/v1/tasks/${own.task}/heartbeat`, { calls: 1 })).status, 200)
    assert.equal((await ask('GET', '/v1/whoami')).status, 200)
    const before = await keptIn(writ())
    for (const [method, path, body] of [
      ['GET', `/v1/tasks/${other.task}`], ['GET', `/v1/tasks/${other.task}/certificate`], ['POST', `/v1/tasks/${other.task}/heartbeat`, { calls: 1 }], ['POST', `/v1/tasks/${other.task}/complete`, {}],
      ['POST', `/v1/tasks/${other.task}/leases`, { type: 'postgres', resource: 'shop', action: 'ddl' }],
      ['POST', `/v1/tasks/${other.task}/widen`, { authorization_details: [{ type: 'postgres', locations: ['shop'], actions: ['ddl'] }], reason: 'x' }],
      ['GET', '/v1/tasks/tsk_00000000000000000000000000'], ['POST', '/v1/tasks/x/complete', {}],
    ] as const) assert.deepEqual(await ask(method, path, body), { status: 404, code: 'task_not_found' }, `${method} ${path}`)
    for (const [method, path, code, body] of [
      ['POST', '/v1/tasks', 'outside_task', { authorization_details: [{ type: 'postgres', locations: ['shop'], actions: ['ddl'] }], purpose: 'x' }], ['GET', '/v1/tasks', 'outside_task'],
      ['GET', '/v1/identities', 'not_allowed'], ['GET', '/v1/events', 'not_allowed'], ['POST', `/v1/tasks/${own.task}/end`, 'not_allowed', { reason: 'x' }], ['GET', '/v1/signing-keys', 'not_allowed'],
    ] as const) assert.deepEqual(await ask(method, path, body), { status: 403, code }, `${method} ${path}`)
    assert.deepEqual(await keptIn(writ()), before)
    assert.equal((await ask('POST', `/v1/tasks/${own.task}/complete`, {})).status, 200)
    assert.equal((await ask('GET', `/v1/tasks/${own.task}`)).status, 401, 'the token ended with its task')
  })
})

test('where nonces are required, no proof goes without one, and each answer brings the next', async (t) => {
  const writ = await startWrit({ env: { WRIT_DPOP_NONCE: 'required' } })
  t.after(() => writ.stop())
  const key = await proofKey()
  const token = (await writ.register('with-nonce')).assertion()
  const ask = (nonce?: string) => rawRequest(writ.url, { path: PATH, headers: [['authorization', `DPoP ${token}`], ['dpop', key.proof({ htu: `${writ.url}${PATH}`, htm: 'GET', token, claims: nonce === undefined ? {} : { nonce } })]] })
  const refused = await ask()
  assert.deepEqual([refused.status, refused.header('www-authenticate')], [401, `DPoP error="use_dpop_nonce", ${ALGS}`])
  const nonce = refused.header('dpop-nonce')!
  // The assertion was not used up by the first try.
  const answer = await ask(nonce)
  assert.equal(answer.status, 200, answer.text)
  assert.equal(answer.header('cache-control'), 'no-store')
  assert.match(answer.header('dpop-nonce') ?? '', /^[A-Za-z0-9_-]{43}$/)
  assert.equal((await writ.stranger(registry.health)).headers.get('dpop-nonce'), null)
})
