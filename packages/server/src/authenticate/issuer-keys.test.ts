import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, test } from 'node:test'
import type { IssuerId } from '@writ/domain/id'
import { epochMs, milliseconds } from '@writ/domain/time'
import { fixedClock } from '../../test/fakes/clock.ts'
import { fakeIssuer, issuerSigner, type FakeIssuer } from '../../test/fakes/issuer.ts'
import { outbound } from '../platform/outbound.ts'
import type { Issuer, KeySource } from '../store/issuers.ts'
import { issuerKeys, type FetchRefusal, type KeysRefusal } from './issuer-keys.ts'

let fake: FakeIssuer
let stage: ReturnType<typeof makeStage>
const started: FakeIssuer[] = []

beforeEach(async () => {
  fake = await fakeIssuer()
  started.push(fake)
  stage = makeStage(fake)
})
afterEach(async () => { await Promise.all(started.splice(0).map((one) => one.close())) })

function makeStage(of: FakeIssuer, deadlineMs = 500) {
  const clock = fixedClock()
  const troubles: string[] = []
  const keys = issuerKeys({
    clock, outbound: outbound({ allow: [{ kind: 'host', host: of.host }], deadlineMs }),
    onTrouble: (issuer, trouble) => { troubles.push(`${issuer === of.url ? '' : issuer}${trouble.kind}${'because' in trouble ? `:${trouble.because}` : ''}`) },
  })
  const issuer = (source: KeySource = { kind: 'discovery' }, more: Partial<Issuer> = {}): Issuer =>
    ({ id: 'iss_1' as IssuerId, url: of.url, kind: 'oidc', source, ca: null, state: 'trusted', trustedAt: epochMs(1), changedAt: null, ...more })
  const ask = async (kid: string | undefined = of.signer.kid, { alg = 'ES256', at = issuer() }: { readonly alg?: string; readonly at?: Issuer } = {}): Promise<KeysRefusal['kind'] | number> => {
    const got = await keys.candidates(at, { kid, alg })
    return got.ok ? got.value.length : got.refusal.kind
  }
  const wait = (ms: number): void => { clock.advance(milliseconds(ms)) }
  const fetches = (): number => of.asked.filter((path) => path.endsWith('/keys')).length
  return { clock, keys, troubles, issuer, ask, wait, fetches }
}

describe('the keys of an issuer', () => {
  test('come by discovery, and are asked for once while they are fresh', async () => {
    for (let i = 0; i < 5; i++) assert.equal(await stage.ask(), 1)
    assert.deepEqual(fake.asked, ['/.well-known/openid-configuration', '/keys'])
  })

  test('come from a place of their own, without discovery', async () => {
    assert.equal(await stage.ask(fake.signer.kid, { at: stage.issuer({ kind: 'url', url: `${fake.url}/keys` }) }), 1)
    assert.deepEqual(fake.asked, ['/keys'])
  })

  test('are what the operator gave, and then nobody is asked', async () => {
    const { kid } = fake.signer
    const inline = [{ kid, alg: 'ES256', thumbprint: 't', jwk: {} }]
    assert.equal(await stage.ask(kid, { at: stage.issuer({ kind: 'inline', keys: inline }) }), 1)
    assert.equal(await stage.ask('another', { at: stage.issuer({ kind: 'inline', keys: inline }) }), 'unknown_key')
    assert.deepEqual(fake.asked, [])
  })

  test('serve the algorithm that they are for, and no other', async () => {
    assert.equal(await stage.ask(fake.signer.kid, { alg: 'RS256' }), 'unknown_key')
    assert.equal(await stage.ask(fake.signer.kid, { alg: 'Ed25519' }), 'unknown_key')
  })

  test('are tried one by one when the token names none, as long as they are few', async () => {
    fake.answers.jwks = () => ({ keys: [1, 2, 3, 4].map(() => issuerSigner().jwk) })
    assert.equal((await stage.keys.candidates(stage.issuer(), { kid: undefined, alg: 'ES256' })).ok, true)
    stage.wait(60_000)
    fake.answers.jwks = () => ({ keys: [1, 2, 3, 4, 5].map(() => issuerSigner().jwk) })
    const got = await stage.keys.candidates(stage.issuer(), { kid: undefined, alg: 'ES256' })
    assert.equal(got.ok ? '' : got.refusal.kind, 'kid_needed')
  })

  test('are asked for again at once when a new name comes, and the new key is taken', async () => {
    assert.equal(await stage.ask(), 1)
    stage.wait(10_000)
    const next = issuerSigner('ES256', 'next')
    fake.answers.jwks = () => ({ keys: [fake.signer.jwk, next.jwk] })
    assert.equal(await stage.ask('next'), 1)
    assert.equal(stage.fetches(), 2)
  })

  test('are asked for once by all who wait', async () => {
    assert.deepEqual(await Promise.all(Array.from({ length: 200 }, () => stage.ask())), Array(200).fill(1))
    assert.equal(stage.fetches(), 1)
  })

  test('are refused within a minute of their removal, with an honest issuer in use', async () => {
    assert.equal(await stage.ask(), 1)
    fake.answers.jwks = () => ({ keys: [issuerSigner().jwk] })
    let gone: number | undefined
    for (let second = 0; second <= 60 && gone === undefined; second++) {
      if ((await stage.ask()) === 'unknown_key') gone = second
      stage.wait(1000)
    }
    assert.ok(gone !== undefined && gone <= 60, String(gone))
  })

  test('are forgotten with the settings under which they came', async () => {
    assert.equal(await stage.ask(), 1)
    fake.answers.jwks = () => ({ keys: [] })
    assert.equal(await stage.ask(fake.signer.kid, { at: stage.issuer({ kind: 'discovery' }, { changedAt: epochMs(2) }) }), 'unknown_key')
  })
})

describe('a flood of unknown names', () => {
  test('of 10,000 names that nobody knows causes one fetch in ten seconds (R35)', async () => {
    assert.equal(await stage.ask(), 1)
    stage.wait(10_000)
    for (let batch = 0; batch < 100; batch++) {
      const answers = await Promise.all(Array.from({ length: 100 }, (_, i) => stage.ask(`unknown-${batch}-${i}`)))
      assert.ok(answers.every((answer) => answer === 'unknown_key'))
    }
    assert.equal(stage.fetches(), 2)
    assert.equal(await stage.ask(), 1)
  })

  test('that goes on for ten minutes causes a fetch in ten seconds and no more', async () => {
    for (let second = 0; second < 600; second++) {
      assert.equal(await stage.ask(`unknown-${second}`), 'unknown_key')
      stage.wait(1000)
    }
    assert.ok(stage.fetches() <= 61, String(stage.fetches()))
  })

  test('before anything is known causes no more either', async () => {
    fake.answers.instead = (_, response) => Boolean(response.writeHead(500).end())
    for (let i = 0; i < 1000; i++) assert.equal(await stage.ask(`unknown-${i}`), 'issuer_unreachable')
    assert.equal(fake.asked.length, 1)
  })
})

describe('an issuer that is down', () => {
  const down = (): void => { fake.answers.instead = (_, response) => Boolean(response.writeHead(503).end()) }

  test('is believed for an hour, and then not', async () => {
    assert.equal(await stage.ask(), 1)
    down()
    for (let minute = 0; minute < 59; minute++) {
      stage.wait(60_000)
      assert.equal(await stage.ask(), 1, `after ${minute + 1} minutes`)
    }
    stage.wait(60_000)
    assert.equal(await stage.ask(), 'issuer_unreachable')
  })

  test('is asked every ten seconds at most, and believed anew when it is back', async () => {
    assert.equal(await stage.ask(), 1)
    down()
    stage.wait(3_600_000)
    for (let second = 0; second < 100; second++) {
      assert.equal(await stage.ask(), 'issuer_unreachable')
      stage.wait(1000)
    }
    assert.ok(fake.asked.length <= 2 + 11, String(fake.asked.length))
    fake.answers.instead = () => false
    stage.wait(10_000)
    assert.equal(await stage.ask(), 1)
  })

  test('keeps nobody waiting who has keys that are still good', async () => {
    assert.equal(await stage.ask(), 1)
    fake.answers.instead = () => true // it takes the question, and never answers
    stage.wait(60_000)
    assert.equal(await stage.ask(), 1)
    stage.wait(10_000)
    const began = performance.now()
    for (let i = 0; i < 100; i++) assert.equal(await stage.ask(), 1)
    assert.ok(performance.now() - began < 400)
  })
})

/** Each answer is refused, nothing of it is believed, and the log says why. */
for (const { when, misbehave, trouble } of [
  { when: 'its discovery is about another issuer', misbehave: () => { fake.answers.discovery = () => ({ issuer: 'https://other.example', jwks_uri: `${fake.url}/keys` }) }, trouble: 'wrong_discovery:issuer' },
  { when: 'its discovery has a slash more', misbehave: () => { fake.answers.discovery = () => ({ issuer: `${fake.url}/`, jwks_uri: `${fake.url}/keys` }) }, trouble: 'wrong_discovery:issuer' },
  { when: 'its discovery writes its name in capitals', misbehave: () => { fake.answers.discovery = () => ({ issuer: fake.url.toUpperCase(), jwks_uri: `${fake.url}/keys` }) }, trouble: 'wrong_discovery:issuer' },
  { when: 'its discovery names no issuer', misbehave: () => { fake.answers.discovery = () => ({ jwks_uri: `${fake.url}/keys` }) }, trouble: 'wrong_discovery:issuer' },
  { when: 'its discovery is a list', misbehave: () => { fake.answers.discovery = () => [] }, trouble: 'wrong_discovery:not_an_object' },
  { when: 'its discovery is null', misbehave: () => { fake.answers.discovery = () => null }, trouble: 'wrong_discovery:not_an_object' },
  { when: 'its discovery says no place for its keys', misbehave: () => { fake.answers.discovery = () => ({ issuer: fake.url }) }, trouble: 'wrong_discovery:jwks_uri' },
  { when: 'its place for keys is a number', misbehave: () => { fake.answers.discovery = () => ({ issuer: fake.url, jwks_uri: 5 }) }, trouble: 'wrong_discovery:jwks_uri' },
  { when: 'its place for keys is a file', misbehave: () => { fake.answers.discovery = () => ({ issuer: fake.url, jwks_uri: 'file:///etc/passwd' }) }, trouble: 'bad_url' },
  { when: 'its place for keys is plain http elsewhere', misbehave: () => { fake.answers.discovery = () => ({ issuer: fake.url, jwks_uri: 'http://127.0.0.1:1/keys' }) }, trouble: 'bad_url' },
  { when: 'its place for keys is this very machine', misbehave: () => { fake.answers.discovery = () => ({ issuer: fake.url, jwks_uri: 'https://127.0.0.1/keys' }) }, trouble: 'address_not_allowed' },
  { when: 'its place for keys is where a cloud keeps credentials', misbehave: () => { fake.answers.discovery = () => ({ issuer: fake.url, jwks_uri: 'https://169.254.169.254/latest' }) }, trouble: 'address_not_allowed' },
  { when: 'its place for keys holds a password', misbehave: () => { fake.answers.discovery = () => ({ issuer: fake.url, jwks_uri: `http://a:b@${fake.host}/keys` }) }, trouble: 'bad_url' },
  { when: 'it redirects', misbehave: () => { fake.answers.instead = (_, response) => Boolean(response.writeHead(302, { location: '/elsewhere' }).end()) }, trouble: 'status' },
  { when: 'it serves a page', misbehave: () => { fake.answers.instead = (_, response) => Boolean(response.writeHead(200, { 'content-type': 'text/html' }).end('<html>')) }, trouble: 'not_json' },
  { when: 'it hangs up', misbehave: () => { fake.answers.instead = (request) => Boolean(request.socket.destroy()) }, trouble: 'no_connection' },
  { when: 'its keys are no key set', misbehave: () => { fake.answers.jwks = () => ({ key: [] }) }, trouble: 'not_a_key_set' },
  { when: 'its keys are 200', misbehave: () => { fake.answers.jwks = () => ({ keys: Array(200).fill(fake.signer.jwk) }) }, trouble: 'too_many_keys' },
] as readonly { readonly when: string; readonly misbehave: () => void; readonly trouble: `${FetchRefusal['kind']}${string}` }[]) {
  test(`an issuer has no keys when ${when}`, async () => {
    misbehave()
    assert.equal(await stage.ask(), 'issuer_unreachable')
    assert.deepEqual(stage.troubles, [trouble])
  })
}

for (const { when, jwks } of [
  { when: 'it publishes a private key', jwks: () => ({ keys: [{ ...fake.signer.jwk, d: 'AAAA' }] }) },
  { when: 'it publishes a symmetric key', jwks: () => ({ keys: [{ kty: 'oct', k: 'c2VjcmV0', kid: fake.signer.kid, alg: 'HS256' }] }) },
  { when: 'two keys have one name', jwks: () => ({ keys: [fake.signer.jwk, { ...issuerSigner().jwk, kid: fake.signer.kid }] }) },
  { when: 'the key is for encryption', jwks: () => ({ keys: [{ ...fake.signer.jwk, use: 'enc' }] }) },
  { when: 'the key is for another algorithm', jwks: () => ({ keys: [{ ...fake.signer.jwk, alg: 'ES384' }] }) },
]) {
  test(`an issuer's key is not used when ${when}, and the log says that it was left out`, async () => {
    fake.answers.jwks = jwks
    assert.equal(await stage.ask(), 'unknown_key')
    assert.deepEqual(stage.troubles, ['keys_left_out'])
  })
}

test('a path behind the issuer keeps its place in discovery, and a last slash is not doubled', async () => {
  const deep = await fakeIssuer({ path: '/realms/shop/' })
  started.push(deep)
  deep.answers.discovery = () => ({ issuer: deep.url, jwks_uri: `${deep.url}keys` })
  assert.equal(await makeStage(deep).ask(), 1)
  assert.deepEqual(deep.asked, ['/realms/shop/.well-known/openid-configuration', '/realms/shop/keys'])
})
