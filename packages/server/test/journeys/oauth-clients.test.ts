import assert from 'node:assert/strict'
import { createPrivateKey, randomUUID, webcrypto } from 'node:crypto'
import { after, before, describe, test } from 'node:test'
import * as issuers from '@writ/contract/issuers'
import { ASSERTION_TYPES, GRANT_TYPES } from '@writ/contract/oauth'
import * as registry from '@writ/contract/registry'
import { createRemoteJWKSet, jwtVerify } from 'jose'
import * as oauth from 'oauth4webapi'
import * as openid from 'openid-client'
import { signToken, workload } from '../fakes/workload.ts'
import { eventsOf } from '../kept.ts'
import { ACCESS_TOKEN, claimsIn, DETAILS, EXCHANGE, introspect, NEW_TASK, postForm } from '../oauth-client.ts'
import { startWrit, type RunningWrit, type TestIdentity } from '../running-writ.ts'
import { STORES } from '../store-of-writ.ts'

/** The identity's registered key, as Web Crypto holds it. */
async function webKey({ privateKey }: TestIdentity): Promise<CryptoKey> {
  const jwk = createPrivateKey(privateKey.export({ format: 'pem', type: 'pkcs8' })).export({ format: 'jwk' })
  return webcrypto.subtle.importKey('jwk', jwk as webcrypto.JsonWebKey, { name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign']) as Promise<CryptoKey>
}

const [, JWT_BEARER] = GRANT_TYPES
const http = { [oauth.allowInsecureRequests]: true }

for (const store of STORES) {
  describe(`OAuth clients as they are, on ${store}`, () => {
    let writ: RunningWrit
    let bot: TestIdentity
    before(async () => {
      writ = await startWrit({ store })
      bot = await writ.register('oauth-bot')
    })
    after(() => writ.stop())

    test('oauth4webapi discovers the server, gets a bound token by client credentials, uses it, and gives it back', async () => {
      const issuer = new URL(writ.url)
      const as = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', ...http }))
      const client: oauth.Client = { client_id: bot.spiffeId }
      const auth = oauth.PrivateKeyJwt(await webKey(bot))
      const dpop = oauth.DPoP(client, await oauth.generateKeyPair('ES256'))
      const answer = await oauth.clientCredentialsGrantRequest(as, client, auth, { ...NEW_TASK, ttl_seconds: '120' }, { DPoP: dpop, ...http })
      const got = await oauth.processClientCredentialsResponse(as, client, answer)
      assert.deepEqual([got.token_type, typeof got['task']], ['dpop', 'string'])
      assert.ok(got.expires_in! > 100 && got.expires_in! <= 120)

      // A resource server that checks tokens by itself, by RFC 9068 and RFC 9449.
      const proofed = new Request(`${writ.url}/anything`, { headers: { authorization: `DPoP ${got.access_token}`, dpop: '' } })
      await assert.rejects(oauth.validateJwtAccessToken(as, proofed, writ.url, http))
      const verified = await jwtVerify(got.access_token, createRemoteJWKSet(new URL(as.jwks_uri!)), { issuer: as.issuer, audience: writ.url, typ: 'at+jwt' })
      assert.equal(verified.payload['txn'], got['task'])

      const heard = await oauth.protectedResourceRequest(got.access_token, 'POST', new URL(`${writ.url}/v1/tasks/${got['task'] as string}/heartbeat`),
        new Headers({ 'content-type': 'application/json' }), '{"calls":1}', { DPoP: dpop, ...http })
      assert.equal(heard.status, 200)

      const asked = await oauth.processIntrospectionResponse(as, client, await oauth.introspectionRequest(as, client, auth, got.access_token, http))
      assert.deepEqual([asked.active, asked.sub, asked['txn'], asked.cnf?.jkt], [true, bot.spiffeId, got['task'], verified.payload['cnf'] && (verified.payload['cnf'] as { jkt: string }).jkt])
      await oauth.processRevocationResponse(await oauth.revocationRequest(as, client, auth, got.access_token, http))
      const after = await oauth.processIntrospectionResponse(as, client, await oauth.introspectionRequest(as, client, auth, got.access_token, http))
      assert.deepEqual(after, { active: false })
    })

    test('oauth4webapi, as a resource server, checks one of our tokens with its proof', async () => {
      const issuer = new URL(writ.url)
      const as = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', ...http }))
      const client: oauth.Client = { client_id: bot.spiffeId }
      const dpop = oauth.DPoP(client, await oauth.generateKeyPair('ES256'))
      const answer = await oauth.clientCredentialsGrantRequest(as, client, oauth.PrivateKeyJwt(await webKey(bot)), { ...NEW_TASK, resource: 'https://shop.acme.example/api' }, { DPoP: dpop, ...http })
      const got = await oauth.processClientCredentialsResponse(as, client, answer)
      // What the library would send to the resource is caught, and checked by the library's other half.
      let caught: Request | undefined
      await oauth.protectedResourceRequest(got.access_token, 'GET', new URL('https://shop.acme.example/api/orders'), undefined, undefined,
        { DPoP: dpop, [oauth.customFetch]: async (url, options) => { caught = new Request(url, options as RequestInit); return new Response('{}') } })
      const claims = await oauth.validateJwtAccessToken(as, caught!, 'https://shop.acme.example/api', { requireDPoP: true, ...http })
      assert.deepEqual([claims.client_id, claims.sub, claims['txn']], [bot.spiffeId, bot.spiffeId, got['task']])
      await assert.rejects(oauth.validateJwtAccessToken(as, caught!, 'https://shop.acme.example/', { requireDPoP: true, ...http }))
    })

    test('openid-client gets a bound token, exchanges it for a narrower one, asks about both, and calls with them', async () => {
      const config = await openid.discovery(new URL(writ.url), bot.spiffeId, undefined, openid.PrivateKeyJwt(await webKey(bot)), { algorithm: 'oauth2', execute: [openid.allowInsecureRequests] })
      const DPoP = openid.getDPoPHandle(config, await openid.randomDPoPKeyPair('ES256'))
      const wide = await openid.clientCredentialsGrant(config, { ...NEW_TASK }, { DPoP })
      assert.equal((await openid.tokenIntrospection(config, wide.access_token)).active, true)

      const bare = new openid.Configuration(config.serverMetadata(), bot.spiffeId, undefined, openid.None())
      openid.allowInsecureRequests(bare)
      const narrow = await openid.genericGrantRequest(bare, EXCHANGE, {
        subject_token: wide.access_token, subject_token_type: ACCESS_TOKEN, resource: 'https://shop.acme.example/api',
        authorization_details: JSON.stringify([{ type: 'postgres', locations: ['shop'], actions: ['read'] }]),
      }, { DPoP })
      assert.deepEqual([narrow['task'], narrow['issued_token_type']], [wide['task'], ACCESS_TOKEN])
      const asked = await openid.tokenIntrospection(config, narrow.access_token)
      assert.deepEqual([asked.active, asked.aud, asked.authorization_details], [true, 'https://shop.acme.example/api', [{ type: 'postgres', locations: ['shop'], actions: ['read'] }]])

      const shown = await openid.fetchProtectedResource(config, wide.access_token, new URL(`${writ.url}/v1/tasks/${wide['task'] as string}`), 'GET', undefined, undefined, { DPoP })
      assert.equal(shown.status, 200)
      await openid.tokenRevocation(config, wide.access_token)
      assert.equal((await openid.tokenIntrospection(config, wide.access_token)).active, false)
      // Each is a lease of its own (R21).
      assert.equal((await openid.tokenIntrospection(config, narrow.access_token)).active, true)
    })

    test('a chatbot\'s token may be a plain bearer token, and a task is found again by its id', async () => {
      const chat = await writ.register(`chat-${store}`, { class: 'chatbot' })
      const config = await openid.discovery(new URL(writ.url), chat.spiffeId, undefined, openid.PrivateKeyJwt(await webKey(chat)), { algorithm: 'oauth2', execute: [openid.allowInsecureRequests] })
      const first = await openid.clientCredentialsGrant(config, { purpose: 'chat', authorization_details: DETAILS, budget_calls: '3' })
      assert.equal(first.token_type, 'bearer')
      const again = await openid.clientCredentialsGrant(config, { task: first['task'] as string })
      assert.equal(again['task'], first['task'])
      const [one, other] = [first, again].map((got) => claimsIn(got.access_token))
      assert.notEqual(one!['jti'], other!['jti'])
      assert.equal((await introspect(writ, again.access_token))['token_type'], 'Bearer')
    })

    test('a federated workload, without a secret of ours, gets a bound token by its own token and by exchange of it, and once only with its own key', async () => {
      const [provider, url, sub] = [workload(), 'https://ci.example', 'repo:acme/shop:ref:refs/heads/main']
      const trusted = await writ.operator(issuers.trustIssuer, { body: { url, jwks: { keys: [{ ...provider.registered.jwk, kid: 'ci' }] } } })
      assert.equal(trusted.status, 201, trusted.text)
      const job = await writ.register('ci-job', { class: 'script' })
      const bound = await writ.operator(registry.bindIdentity, { parameters: { id: job.id }, body: { issuer: url, audience: writ.url, claims: { sub } } })
      assert.equal(bound.status, 201, bound.text)
      const now = Math.floor(Date.now() / 1000)
      const evidence = () => signToken(provider, { alg: 'ES256', kid: 'ci', typ: 'JWT' }, { iss: url, sub, aud: writ.url, jti: randomUUID(), iat: now, exp: now + 300 })
      const config = await openid.discovery(new URL(writ.url), job.spiffeId, undefined, openid.None(), { algorithm: 'oauth2', execute: [openid.allowInsecureRequests] })
      const DPoP = openid.getDPoPHandle(config, await openid.randomDPoPKeyPair('ES256'))
      const own = evidence()
      const got = await openid.genericGrantRequest(config, JWT_BEARER, { assertion: own, ...NEW_TASK }, { DPoP })
      assert.equal(got.token_type, 'dpop')
      assert.equal(claimsIn(got.access_token)['client_id'], job.spiffeId)
      const exchanged = await openid.genericGrantRequest(config, EXCHANGE, { subject_token: evidence(), subject_token_type: 'urn:ietf:params:oauth:token-type:jwt', ...NEW_TASK }, { DPoP })
      assert.notEqual(exchanged['task'], got['task'])
      // The same holder asks again for the task that is open; a thief of the token has another key.
      const again = await openid.genericGrantRequest(config, JWT_BEARER, { assertion: own, task: got['task'] as string }, { DPoP })
      assert.equal(again['task'], got['task'])
      const thief = openid.getDPoPHandle(config, await openid.randomDPoPKeyPair('ES256'))
      await assert.rejects(openid.genericGrantRequest(config, JWT_BEARER, { assertion: own, ...NEW_TASK }, { DPoP: thief }), { error: 'invalid_grant' })
      await assert.rejects(openid.genericGrantRequest(config, JWT_BEARER, { assertion: evidence(), ...NEW_TASK }), { error: 'invalid_dpop_proof' })
      const events = (await eventsOf(writ)).filter((event) => event.type === 'lease.minted' && event.task === got['task'])
      assert.deepEqual(events.map((event) => event.facts['evidence']), ['oidc', 'oidc'])
    })

    test('a SPIFFE workload authenticates with its SVID', async () => {
      const [domain, url] = [workload(), 'spiffe://acme.example']
      const trusted = await writ.operator(issuers.trustIssuer, { body: { url, kind: 'spiffe', bundle: { keys: [{ ...domain.registered.jwk, kid: 'td', use: 'jwt-svid' }] } } })
      assert.equal(trusted.status, 201, trusted.text)
      const pod = await writ.register('pod', { class: 'chatbot' })
      const bound = await writ.operator(registry.bindIdentity, { parameters: { id: pod.id }, body: { issuer: url, audience: writ.url, claims: { sub: pod.spiffeId }, replace: true } })
      assert.equal(bound.status, 201, bound.text)
      const now = Math.floor(Date.now() / 1000)
      const svid = signToken(domain, { alg: 'ES256', kid: 'td' }, { sub: pod.spiffeId, aud: [writ.url], iat: now, exp: now + 300 })
      const got = await postForm(writ, '/oauth/token', { grant_type: 'client_credentials', client_assertion_type: ASSERTION_TYPES.svid, client_assertion: svid, ...NEW_TASK })
      assert.deepEqual([got.status, got.reply.token_type], [200, 'Bearer'], writ.log().split('\n').find((line) => line.includes(got.error.trace_id)) ?? got.text)
      const crossed = await postForm(writ, '/oauth/token', { grant_type: 'client_credentials', client_assertion_type: ASSERTION_TYPES.jwt, client_assertion: svid, ...NEW_TASK })
      assert.equal(crossed.error.error, 'invalid_client')
    })

    test('what the metadata say is so', async () => {
      const metadata = await (await fetch(`${writ.url}/.well-known/oauth-authorization-server`)).json() as Record<string, string[] & string>
      assert.equal(metadata['issuer'], writ.url)
      for (const endpoint of ['token_endpoint', 'introspection_endpoint', 'revocation_endpoint']) {
        assert.equal((await fetch(metadata[endpoint]!, { method: 'POST', headers: { 'content-type': 'application/x-www-form-urlencoded' } })).headers.get('cache-control'), 'no-store')
      }
      const jwks = await fetch(metadata['jwks_uri']!)
      assert.equal(jwks.headers.get('cache-control'), 'public, max-age=300')
      assert.deepEqual(metadata['response_types_supported'], [])
      assert.ok(metadata['authorization_endpoint'] === undefined && metadata['registration_endpoint'] === undefined)
    })
  })
}

test('where proofs need a nonce, both clients get it with the first answer and go on by themselves', async (t) => {
  const writ = await startWrit({ env: { WRIT_DPOP_NONCE: 'required' } })
  t.after(() => writ.stop())
  const bot = await writ.register('nonce-bot')
  const config = await openid.discovery(new URL(writ.url), bot.spiffeId, undefined, openid.PrivateKeyJwt(await webKey(bot)), { algorithm: 'oauth2', execute: [openid.allowInsecureRequests] })
  const DPoP = openid.getDPoPHandle(config, await openid.randomDPoPKeyPair('ES256'))
  const got = await openid.clientCredentialsGrant(config, { ...NEW_TASK }, { DPoP })
  const shown = await openid.fetchProtectedResource(config, got.access_token, new URL(`${writ.url}/v1/tasks/${got['task'] as string}`), 'GET', undefined, undefined, { DPoP })
  assert.equal(shown.status, 200)
  const as = config.serverMetadata() as oauth.AuthorizationServer
  const client: oauth.Client = { client_id: bot.spiffeId }
  const dpop = oauth.DPoP(client, await oauth.generateKeyPair('ES256'))
  const ask = async () => oauth.processClientCredentialsResponse(as, client, await oauth.clientCredentialsGrantRequest(as, client, oauth.PrivateKeyJwt(await webKey(bot)), { ...NEW_TASK }, { DPoP: dpop, ...http }))
  await assert.rejects(ask(), (error) => oauth.isDPoPNonceError(error))
  assert.equal((await ask()).token_type, 'dpop')
  const opened = (await eventsOf(writ)).filter((event) => event.type === 'task.opened')
  assert.equal(opened.length, 2)
})
