import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { readSignInProvider } from './sign-in-provider.ts'

const COMPLETE = { WRIT_OIDC_ISSUER: 'https://idp.acme.example/realms/acme', WRIT_OIDC_CLIENT_ID: 'writ', WRIT_OIDC_CLIENT_SECRET_FILE: '/keys/oidc' }

function read(env: Readonly<Record<string, string>>) {
  const faults: string[] = []
  const found = readSignInProvider(env, '/data', (setting, message) => { faults.push(`${setting} ${message}`) })
  return { found, faults }
}

test('a provider is known by its issuer, to the letter, with what is usual', () => {
  assert.deepEqual(read(COMPLETE), { faults: [], found: {
    issuer: COMPLETE.WRIT_OIDC_ISSUER, clientId: 'writ', clientSecretFile: '/keys/oidc', groupsClaim: 'groups', scopes: ['openid', 'profile', 'email'],
  } })
  const { found, faults } = read({ ...COMPLETE, WRIT_OIDC_ISSUER: 'http://127.0.0.1:8080', WRIT_OIDC_GROUPS_CLAIM: 'https://acme.example/groups', WRIT_OIDC_SCOPES: 'openid  groups' })
  assert.deepEqual([found!.issuer, found!.groupsClaim, found!.scopes, faults], ['http://127.0.0.1:8080', 'https://acme.example/groups', ['openid', 'groups'], []])
  assert.deepEqual(read({}), { found: null, faults: [] })
})

describe('a provider is not taken', () => {
  for (const { what, env, says } of [
    { what: 'without an issuer', env: { WRIT_OIDC_CLIENT_ID: 'writ', WRIT_OIDC_SCOPES: 'openid' }, says: [/WRIT_OIDC_ISSUER is missing: WRIT_OIDC_CLIENT_ID, WRIT_OIDC_SCOPES are of no use without it/] },
    { what: 'without a client', env: { WRIT_OIDC_ISSUER: 'https://idp.acme.example' }, says: [/WRIT_OIDC_CLIENT_ID is missing/, /WRIT_OIDC_CLIENT_SECRET_FILE is missing/] },
    { what: 'whose secret lies in the data', env: { ...COMPLETE, WRIT_OIDC_CLIENT_SECRET_FILE: '/data/x/oidc' }, says: [/must lie outside of WRIT_DATA/] },
    { what: 'that gives no ID token', env: { ...COMPLETE, WRIT_OIDC_SCOPES: 'email' }, says: [/WRIT_OIDC_SCOPES must be scopes/] },
    { what: 'with a scope that is none', env: { ...COMPLETE, WRIT_OIDC_SCOPES: 'openid "x"' }, says: [/WRIT_OIDC_SCOPES must be scopes/] },
    { what: 'with a claim that is two', env: { ...COMPLETE, WRIT_OIDC_GROUPS_CLAIM: 'a b' }, says: [/WRIT_OIDC_GROUPS_CLAIM must be the name of one claim/] },
    ...['http://idp.acme.example', 'idp.acme.example', 'https://a:b@idp.acme.example', 'https://idp.acme.example?x', 'https://idp.acme.example#x', 'ftp://idp.acme.example', 'http://localhost.evil.example'].map((issuer) => (
      { what: `that is called ${issuer}`, env: { ...COMPLETE, WRIT_OIDC_ISSUER: issuer }, says: [/WRIT_OIDC_ISSUER must be an `https:\/\/` URL/] }
    )),
  ]) {
    test(what, () => {
      const { faults } = read(env)
      assert.equal(faults.length, says.length, faults.join('\n'))
      for (const one of says) assert.ok(faults.some((fault) => one.test(fault)), faults.join('\n'))
    })
  }
})
