import assert from 'node:assert/strict'
import { test } from 'node:test'
import { authenticatorFor, DEPLOY_BOT, ISSUER, signToken, workload } from '../../test/fakes/workload.ts'

// R30: what is meant for one use is worth nothing in another. Every other kind of token that the same key might sign, by its `typ`.
const OTHER_TYPES = [
  'at+jwt', 'application/at+jwt', 'dpop+jwt', 'logout+jwt', 'secevent+jwt', 'txntoken+jwt', 'token-introspection+jwt', 'oauth-authz-req+jwt',
  'oauth-id-jag+jwt', 'authorization-grant+jwt', 'wit+jwt', 'wpt+jwt', 'dc+sd-jwt', 'vc+jwt', 'entity-statement+jwt', 'statuslist+jwt', 'JOSE',
  'JOSE+JSON', 'id_token', 'refresh+jwt', 'delegation+jwt', 'jwt', 'application/jwt', 'Client-Authentication+JWT', 'client-authentication+jwt ',
  'CLIENT-AUTHENTICATION+JWT', '', ' JWT', 'JWT;a=b',
]
const TYPES_OF_OTHER_KINDS = [null, 7, true, ['JWT'], { typ: 'JWT' }]

const THIS_SERVER = { iss: DEPLOY_BOT, sub: DEPLOY_BOT, aud: ISSUER }
const CLAIMS = [
  { from: 'the claims of an assertion', claims: THIS_SERVER },
  { from: 'the claims of an access token', claims: { ...THIS_SERVER, iss: ISSUER, client_id: DEPLOY_BOT, scope: 'ddl' } },
  { from: 'the claims of an ID token', claims: { iss: 'https://login.acme.example', sub: 'maya', aud: DEPLOY_BOT, nonce: 'n' } },
  { from: 'the claims of a DPoP proof', claims: { iss: undefined, sub: undefined, aud: undefined, htm: 'POST', htu: `${ISSUER}/v1/tasks` } },
]

const bot = workload()

async function kindOf(header: object, claims: object): Promise<string> {
  const server = authenticatorFor([bot])
  const answer = await server.authenticator.authenticate(signToken(bot, header, server.claims({ ...claims })))
  assert.equal(server.used.size, answer.ok ? 1 : 0)
  return answer.ok ? 'accepted' : answer.refusal.kind
}

let cells = 0
for (const typ of [...OTHER_TYPES, ...TYPES_OF_OTHER_KINDS]) {
  for (const { from, claims } of CLAIMS) {
    cells += 1
    test(`a token of the type ${JSON.stringify(typ)} with ${from} is no assertion`, async () => {
      assert.equal(await kindOf({ alg: 'ES256', typ }, claims), 'typ_not_allowed')
    })
  }
}

for (const typ of [undefined, 'JWT', 'client-authentication+jwt']) {
  for (const { from, claims } of CLAIMS.slice(1)) {
    cells += 1
    test(`a token of the type ${JSON.stringify(typ)} with ${from} is no assertion`, async () => {
      assert.match(await kindOf({ alg: 'ES256', typ }, claims), /^(issuer_is_not_subject|malformed_claim)$/)
    })
  }
}

test('more than a hundred combinations were tried', () => {
  assert.ok(cells > 100, `${cells} cells`)
})
