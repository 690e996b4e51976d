import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { inspect } from 'node:util'
import { calculateJwkThumbprint, decodeProtectedHeader, exportJWK, generateKeyPair, jwtVerify } from 'jose'
import { listening, sendJson } from '../test/listening.ts'
import { Misconfigured, Unreachable, WritError } from './errors.ts'
import { evidenceFromEnvironment } from './evidence.ts'

const SPIFFE_ID = 'spiffe://acme.example/agent'
const SERVER = 'https://writ.acme.example'

function fileWith(t: TestContext, text: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'writ-sdk-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  writeFileSync(join(folder, 'file'), text, { mode: 0o600 })
  return join(folder, 'file')
}

for (const [alg, header] of [['ES256', 'ES256'], ['Ed25519', 'EdDSA'], ['PS256', 'PS256'], ['RS256', 'RS256']] as const) {
  test(`an ${alg} key signs an assertion that names the identity, the server and itself`, async (t) => {
    const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true })
    const file = fileWith(t, JSON.stringify({ ...await exportJWK(privateKey), alg }))
    const evidence = await evidenceFromEnvironment({ WRIT_KEY_FILE: file, WRIT_IDENTITY: SPIFFE_ID })
    const token = await evidence.token(SERVER)
    const { payload, protectedHeader } = await jwtVerify(token, publicKey, { audience: SERVER, issuer: SPIFFE_ID, subject: SPIFFE_ID, algorithms: [header, alg] })
    assert.equal(evidence.kind, 'assertion')
    assert.equal(protectedHeader.kid, await calculateJwkThumbprint(await exportJWK(publicKey)))
    assert.equal(payload.exp! - payload.iat!, 60)
    assert.notEqual(token, await evidence.token(SERVER), 'each is for one request')
    assert.notEqual((await jwtVerify(await evidence.token(SERVER), publicKey)).payload.jti, payload.jti)
  })
}

test('a token file is read for each request, since it is renewed in place', async (t) => {
  const file = fileWith(t, 'first.of.pod\n')
  const evidence = await evidenceFromEnvironment({ WRIT_TOKEN_FILE: file })
  assert.equal(evidence.kind, 'workload_token')
  assert.equal(await evidence.token(SERVER), 'first.of.pod')
  writeFileSync(file, 'second.of.pod')
  assert.equal(await evidence.token(SERVER), 'second.of.pod')
})

test('a GitLab job gives its token in WRIT_ID_TOKEN', async () => {
  assert.equal(await (await evidenceFromEnvironment({ WRIT_ID_TOKEN: 'from.git.lab' })).token(SERVER), 'from.git.lab')
})

test('in GitHub Actions the runner is asked for a token with our audience', async (t) => {
  const { url, heard } = await listening(t, (_, response) => sendJson(response, 200, { value: 'from.git.hub' }))
  const evidence = await evidenceFromEnvironment({ ACTIONS_ID_TOKEN_REQUEST_URL: `${url}/token?api-version=2.0`, ACTIONS_ID_TOKEN_REQUEST_TOKEN: 'runner' })
  assert.equal(await evidence.token(SERVER), 'from.git.hub')
  assert.equal(heard[0]!.path, `/token?api-version=2.0&audience=${encodeURIComponent(SERVER)}`)
  assert.equal(heard[0]!.headers.authorization, 'Bearer runner')
})

test('a runner that gives no token leaves the workload without one', async (t) => {
  const { url } = await listening(t, (_, response) => sendJson(response, 403, {}))
  const evidence = await evidenceFromEnvironment({ ACTIONS_ID_TOKEN_REQUEST_URL: url, ACTIONS_ID_TOKEN_REQUEST_TOKEN: 'runner' })
  await assert.rejects(evidence.token(SERVER), Unreachable)
})

for (const { when, body } of [
  { when: 'is cut off', body: '{"value":"very.secret.token' }, { when: 'holds no text', body: '{"value":7}' }, { when: 'is the bare token', body: 'very.secret.token' },
  { when: 'holds a line break', body: '{"value":"very.secret\\n.token"}' }, { when: 'has no end', body: 'x'.repeat(5 * 1024 * 1024) },
]) {
  test(`a runner's answer that ${when} is no token, and is not quoted`, async (t) => {
    const { url } = await listening(t, (_, response) => response.end(body))
    const evidence = await evidenceFromEnvironment({ ACTIONS_ID_TOKEN_REQUEST_URL: url, ACTIONS_ID_TOKEN_REQUEST_TOKEN: 'runner' })
    await assert.rejects(evidence.token(SERVER), (fault) => fault instanceof WritError && !inspect(fault).includes('secret'))
  })
}

for (const text of ['', '\n', 'very-secret', 'very.secret\ntoken.x', 'very.secret.token\r\nx-admin: 1', 'very.secret.tök\u0000en']) {
  test(`a token file that holds ${JSON.stringify(text)} is said to hold no token, and not quoted`, async (t) => {
    const evidence = await evidenceFromEnvironment({ WRIT_TOKEN_FILE: fileWith(t, text) })
    await assert.rejects(evidence.token(SERVER), (fault) => fault instanceof Misconfigured && fault.code === 'no_evidence' && !inspect(fault).includes('very'))
  })
}

test('a key without an identity, and an environment without anything, say what to set', async (t) => {
  const file = fileWith(t, '{}')
  await assert.rejects(evidenceFromEnvironment({ WRIT_KEY_FILE: file }), (fault) => fault instanceof Misconfigured && /WRIT_IDENTITY/.test(fault.message))
  await assert.rejects(evidenceFromEnvironment({}), (fault) => fault instanceof Misconfigured && fault.code === 'no_evidence')
  await assert.rejects(evidenceFromEnvironment({ WRIT_KEY_FILE: `${file}-gone`, WRIT_IDENTITY: SPIFFE_ID }), (fault) => fault instanceof Misconfigured && fault.code === 'unreadable_file')
})

test('what is wrong with a key file is said without quoting it', async (t) => {
  for (const text of ['{"d":"very-secret"', '"very-secret"', '{"kty":"EC","crv":"P-256","d":"very-secret"}', '{"kty":"oct","k":"very-secret","d":"very-secret"}']) {
    const file = fileWith(t, text)
    await assert.rejects(evidenceFromEnvironment({ WRIT_KEY_FILE: file, WRIT_IDENTITY: SPIFFE_ID }), (fault) => {
      assert.ok(fault instanceof Misconfigured && fault.code === 'bad_key')
      return !JSON.stringify([fault.message, fault.hint, String(fault.cause)]).includes('very-secret')
    })
  }
})

test('an assertion has the type that no other token has', async (t) => {
  const { privateKey } = await generateKeyPair('ES256', { extractable: true })
  const file = fileWith(t, JSON.stringify(await exportJWK(privateKey)))
  const evidence = await evidenceFromEnvironment({ WRIT_KEY_FILE: file, WRIT_IDENTITY: SPIFFE_ID })
  assert.equal(decodeProtectedHeader(await evidence.token(SERVER)).typ, 'client-authentication+jwt')
})
