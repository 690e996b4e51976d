import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import { after, before, describe, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import * as issuers from '@writ/contract/issuers'
import * as registry from '@writ/contract/registry'
import { dpopKey, fakeIssuer, issuerSigner, type FakeIssuer, type IssuerOrder } from '../fakes/issuer.ts'
import { encode, type Members } from '../fakes/workload.ts'
import { testAuthority, type Certified } from '../fakes/x509.ts'
import { GRANT } from '../governed-writ.ts'
import { keptIn } from '../kept.ts'
import { rawRequest, withoutTrace, type RawAnswer } from '../raw-request.ts'
import { REGISTRATION, startWrit, type RunningWrit } from '../running-writ.ts'

const AUDIENCE = 'writ-of-acme'
const SUBJECT = 'ci:shop:deploy'
const authority = testAuthority()
const bomb = gzipSync(Buffer.alloc(50_000_000, 0x20))

type Row = {
  readonly when: string
  /** What the log says, by the number of the request or of the issuer. */
  readonly says: string
  readonly misbehave?: (issuer: FakeIssuer) => void
  readonly claims?: (issuer: FakeIssuer) => Members
  readonly header?: Members
  readonly forge?: (issuer: FakeIssuer) => string
  readonly tls?: () => Certified
}

const instead = (answer: (response: ServerResponse) => void) => (issuer: FakeIssuer): void => {
  issuer.answers.instead = (_, response) => {
    answer(response)
    return true
  }
}
const JSON_HEAD = { 'content-type': 'application/json' }
const now = (ahead = 0): number => Math.floor(Date.now() / 1000) + ahead

/** Each is an issuer that the operator trusts, and whose word lets nobody in. */
const MISBEHAVIOURS: readonly Row[] = [
  { when: 'its discovery is about another issuer', says: 'wrong_discovery', misbehave: (one) => { one.answers.discovery = () => ({ issuer: 'https://other.example', jwks_uri: `${one.url}/keys` }) } },
  { when: 'its discovery has a slash more', says: 'wrong_discovery', misbehave: (one) => { one.answers.discovery = () => ({ issuer: `${one.url}/`, jwks_uri: `${one.url}/keys` }) } },
  { when: 'its discovery leads to a file', says: 'bad_url', misbehave: (one) => { one.answers.discovery = () => ({ issuer: one.url, jwks_uri: 'file:///etc/passwd' }) } },
  { when: 'its discovery leads to a cloud\'s credentials', says: 'address_not_allowed', misbehave: (one) => { one.answers.discovery = () => ({ issuer: one.url, jwks_uri: 'https://169.254.169.254/latest/meta-data' }) } },
  { when: 'its discovery leads to this machine', says: 'address_not_allowed', misbehave: (one) => { one.answers.discovery = () => ({ issuer: one.url, jwks_uri: 'https://127.0.0.1/keys' }) } },
  { when: 'it redirects', says: '"status":302', misbehave: (one) => { instead((response) => { response.writeHead(302, { location: `${one.url}/elsewhere` }).end() })(one) } },
  { when: 'it answers without end', says: 'too_large', misbehave: instead((response) => {
    response.writeHead(200, JSON_HEAD)
    const flood = setInterval(() => { response.write('x'.repeat(65_536)) }, 1)
    response.on('close', () => { clearInterval(flood) })
  }) },
  { when: 'it answers byte by byte', says: 'too_slow', misbehave: instead((response) => {
    response.writeHead(200, JSON_HEAD)
    const drip = setInterval(() => { response.write(' ') }, 100)
    response.on('close', () => { clearInterval(drip) })
  }) },
  { when: 'it never answers', says: 'too_slow', misbehave: instead(() => undefined) },
  { when: 'it serves a page', says: 'not_json', misbehave: instead((response) => { response.writeHead(200, { 'content-type': 'text/html' }).end('<html>') }) },
  { when: 'it serves no JSON', says: 'not_json', misbehave: instead((response) => { response.writeHead(200, JSON_HEAD).end('{"issuer":') }) },
  { when: 'it says a member twice', says: 'not_json', misbehave: (one) => { instead((response) => { response.writeHead(200, JSON_HEAD).end(`{"issuer":"x","issuer":"${one.url}","jwks_uri":"${one.url}/keys"}`) })(one) } },
  { when: 'it serves a bomb', says: 'not_json', misbehave: instead((response) => { response.writeHead(200, { ...JSON_HEAD, 'content-encoding': 'gzip' }).end(bomb) }) },
  { when: 'it hangs up', says: 'ECONNRESET', misbehave: instead((response) => { response.socket?.destroy() }) },
  { when: 'it is broken', says: '"status":500', misbehave: instead((response) => { response.writeHead(500, JSON_HEAD).end('{}') }) },
  { when: 'it publishes its private key', says: 'keys_left_out', misbehave: (one) => { one.answers.jwks = () => ({ keys: [{ ...one.signer.privateKey.export({ format: 'jwk' }), kid: one.signer.kid }] }) } },
  { when: 'it publishes a symmetric key', says: 'keys_left_out', misbehave: (one) => { one.answers.jwks = () => ({ keys: [{ kty: 'oct', k: 'c2VjcmV0', kid: one.signer.kid, alg: 'HS256' }] }) } },
  { when: 'two of its keys have one name', says: 'keys_left_out', misbehave: (one) => { one.answers.jwks = () => ({ keys: [one.signer.jwk, { ...issuerSigner().jwk, kid: one.signer.kid }] }) } },
  { when: 'its key is for another algorithm', says: 'keys_left_out', misbehave: (one) => { one.answers.jwks = () => ({ keys: [{ ...one.signer.jwk, alg: 'ES384' }] }) } },
  { when: 'its key is for encryption', says: 'keys_left_out', misbehave: (one) => { one.answers.jwks = () => ({ keys: [{ ...one.signer.jwk, use: 'enc' }] }) } },
  { when: 'it has 200 keys', says: 'too_many_keys', misbehave: (one) => { one.answers.jwks = () => ({ keys: Array.from({ length: 200 }, () => one.signer.jwk) }) } },
  { when: 'it has no keys', says: 'unknown_key', misbehave: (one) => { one.answers.jwks = () => ({ keys: [] }) } },
  { when: 'it has taken its key away', says: 'unknown_key', misbehave: (one) => { one.answers.jwks = () => ({ keys: [issuerSigner().jwk] }) } },
  { when: 'its X.509 certificate is of another name', says: 'ERR_TLS_CERT_ALTNAME_INVALID', tls: () => authority.certify({ names: ['other.example'] }) },
  { when: 'its X.509 certificate has expired', says: 'CERT_HAS_EXPIRED', tls: () => authority.certify({ names: ['localhost'], from: new Date(Date.now() - 9e8), to: new Date(Date.now() - 1e8) }) },
  { when: 'its X.509 certificate is a stranger\'s', says: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE', tls: () => testAuthority('a stranger').certify({ names: ['localhost'] }) },

  { when: 'it signs with another key under its name', says: 'bad_signature', forge: (one) => one.token({ sub: SUBJECT, aud: AUDIENCE }, { by: { ...issuerSigner(), kid: one.signer.kid } }) },
  { when: 'it signs nothing', says: 'malformed_token', forge: (one) => `${encode({ alg: 'none' })}.${encode({ iss: one.url, sub: SUBJECT, aud: AUDIENCE, exp: now(60), iat: now() })}.` },
  { when: 'it says that none is an algorithm', says: 'alg_not_allowed', header: { alg: 'none' } },
  { when: 'it takes its public key for a secret', says: 'alg_not_allowed', forge: (one) => {
    const input = `${encode({ alg: 'HS256', kid: one.signer.kid })}.${encode({ iss: one.url, sub: SUBJECT, aud: AUDIENCE, exp: now(60), iat: now() })}`
    return `${input}.${createHmac('sha256', JSON.stringify(one.signer.jwk)).update(input).digest('base64url')}`
  } },
  { when: 'its token brings its own key', says: 'header_not_allowed', header: { jwk: issuerSigner().jwk } },
  { when: 'its token says where its key lies', says: 'header_not_allowed', header: { jku: 'https://evil.example/keys' } },
  { when: 'its token is not encoded', says: 'header_not_allowed', header: { b64: false, crit: ['b64'] } },
  // Who says that it is an access token of ours is asked for a key of ours.
  { when: 'its token is an access token', says: 'unknown_key', header: { typ: 'at+jwt' } },
  { when: 'its token is a logout', says: 'typ_not_allowed', header: { typ: 'logout+jwt' } },
  { when: 'its token is for several', says: 'wrong_audience', claims: () => ({ aud: [AUDIENCE, 'https://other.example'] }) },
  { when: 'its token is for nobody', says: 'wrong_audience', claims: () => ({ aud: undefined }) },
  { when: 'its token is for another', says: 'no_binding', claims: () => ({ aud: `${AUDIENCE}/` }) },
  { when: 'its token has no end', says: 'malformed_claim', claims: () => ({ exp: undefined }) },
  { when: 'its token lives for ever', says: 'lives_too_long', claims: () => ({ exp: now(10 * 86_400) }) },
  { when: 'its token is over', says: 'expired', claims: () => ({ iat: now(-300), nbf: undefined, exp: now(-60) }) },
  { when: 'its token is of the future', says: 'not_yet_valid', claims: () => ({ iat: now(120) }) },
  { when: 'its token is another issuer\'s by a slash', says: 'unknown_issuer', claims: (one) => ({ iss: `${one.url}/` }) },
  { when: 'its token is about nobody', says: 'malformed_claim', claims: () => ({ sub: undefined }) },
  { when: 'its token is about the empty name', says: 'malformed_claim', claims: () => ({ sub: '' }) },
  { when: 'its token is about a number', says: 'malformed_claim', claims: () => ({ sub: 5 }) },
  { when: 'its token is about somebody else', says: 'no_binding', claims: () => ({ sub: 'ci:shop:admin' }) },
  { when: 'its token is a person\'s sign-in', says: 'claim_not_allowed', claims: () => ({ nonce: 'n', at_hash: 'h' }) },
  { when: 'its token is bound to another key', says: 'bound_to_another_key', claims: () => ({ cnf: { jkt: 'another' } }) },
]

describe('an issuer that the operator trusts, and that misbehaves', () => {
  const hostile: FakeIssuer[] = []
  let honest: FakeIssuer
  let writ: RunningWrit
  const key = dpopKey()

  before(async () => {
    for (const { misbehave, tls } of MISBEHAVIOURS) {
      const order: IssuerOrder = tls === undefined ? {} : { tls: tls(), hostname: 'localhost' }
      const one = await fakeIssuer(order)
      misbehave?.(one)
      hostile.push(one)
    }
    honest = await fakeIssuer()
    writ = await startWrit({ env: { WRIT_OUTBOUND_ALLOW: [honest, ...hostile].map(({ host }) => host).join(',') } })
    const bindings: { issuer: string; audience: string; claims: { sub: string } }[] = []
    for (const [i, one] of [honest, ...hostile].entries()) {
      const ca = MISBEHAVIOURS[i - 1]?.tls === undefined ? {} : { ca: authority.cert }
      assert.equal((await writ.operator(issuers.trustIssuer, { body: { url: one.url, ...ca } })).status, 201)
      bindings.push({ issuer: one.url, audience: AUDIENCE, claims: { sub: SUBJECT } })
    }
    for (let from = 0; from < bindings.length; from += 20) {
      const body = { ...REGISTRATION, spiffe_id: `spiffe://acme.example/victim-${from}`, class: 'script' as const, bindings: bindings.slice(from, from + 20) }
      assert.equal((await writ.operator(registry.registerIdentity, { body })).status, 201)
    }
  })
  after(async () => {
    await writ?.stop()
    await Promise.all([honest, ...hostile].map((one) => one?.close()))
  })

  const show = (token: string): Promise<RawAnswer> => rawRequest(writ.url, {
    method: 'POST', path: '/v1/tasks', body: JSON.stringify({ purpose: 'breaks in', authorization_details: GRANT }),
    headers: [['authorization', `DPoP ${token}`], ['dpop', key.proof('POST', `${writ.url}/v1/tasks`, token)], ['content-type', 'application/json']],
  })
  const tokenOf = (row: Row, one: FakeIssuer): string =>
    row.forge?.(one) ?? one.token({ sub: SUBJECT, aud: AUDIENCE, ...row.claims?.(one) }, row.header === undefined ? {} : { header: row.header })
  const traceOf = (answer: RawAnswer): string => (JSON.parse(answer.text) as { trace_id: string }).trace_id

  test('gets at least thirty ways to do so, and each ends in the same answer', async () => {
    assert.ok(MISBEHAVIOURS.length >= 30, String(MISBEHAVIOURS.length))
    assert.equal((await show(honest.token({ sub: SUBJECT, aud: AUDIENCE }))).status, 201)
    const kept = await keptIn(writ)
    const answers = await Promise.all(MISBEHAVIOURS.map((row, i) => show(tokenOf(row, hostile[i]!))))
    const lines = writ.log().split('\n')
    for (const [i, { when, says }] of MISBEHAVIOURS.entries()) {
      const answer = answers[i]!
      assert.equal(answer.status, 401, when)
      assert.equal(withoutTrace(answer), withoutTrace(answers[0]!), when)
      const about = lines.filter((line) => line.includes(traceOf(answer)) || line.includes(`"issuer":"${hostile[i]!.url}"`))
      assert.ok(about.some((line) => line.includes(says)), `${when}: ${about.join('\n')}`)
    }
    assert.deepEqual(await keptIn(writ), kept)
  })

  test('is asked no more than once, and an honest one beside it is still believed', async () => {
    for (const [i, row] of MISBEHAVIOURS.entries()) assert.equal((await show(tokenOf(row, hostile[i]!))).status, 401, row.when)
    for (const [i, { when }] of MISBEHAVIOURS.entries()) assert.ok(hostile[i]!.connections() <= 4, `${when}: ${hostile[i]!.connections()}`)
    assert.equal((await show(honest.token({ sub: SUBJECT, aud: AUDIENCE }))).status, 201)
    assert.ok(!writ.log().includes('"level":50'), 'an error was logged')
  })
})
