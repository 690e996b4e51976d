import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { problem, type Double } from './double.ts'
import { stageWithServer } from './run-writ.ts'
import { warmWritForFile } from './warm-writ.ts'

const writ = warmWritForFile()

const ISSUER = {
  id: 'iss_1', url: 'https://issuer.example', kind: 'oidc', keys: { source: 'discovery', url: null, inline: [] }, own_ca: false, bindings: 2, state: 'trusted',
  trusted_at: '2026-09-21T00:00:00.000Z', changed_at: null,
}
const IDENTITY = {
  id: 'nhi_9', spiffe_id: 'spiffe://acme.example/deploy-bot', kind: 'pipeline', class: 'script', purpose: 'rolls out', owners: { technical: 'team:platform', business: 'person:maya@acme.example' },
  system_scope: ['shop'], environment: 'production', authority: ['postgres:shop:ddl'], tasks_per_hour: 60, ends_at: '2027-06-30T00:00:00.000Z', trigger: { kind: 'unused', days: 30 }, state: 'active', state_reason: 'registered',
  registered_at: '2026-09-21T00:00:00.000Z', last_used_at: null, credentials: [],
  bindings: [{ id: 'bnd_1', issuer: 'https://issuer.example', audience: 'writ', claims: { sub: ['a', 'b'], ref: 'main\u001b[2J' }, state: 'live', registered_at: '2026-09-21T00:00:00.000Z' }],
}
const KEYS = '{"keys":[{"kty":"EC","crv":"P-256","x":"a","y":"b","kid":"one"}]}'

const answer = (double: Double, path: string, value: object, status = 201): void => void double.instead.set(path, [{ status, value }])

for (const { when, args, files = {}, sent } of [
  { when: 'by discovery', args: ['https://issuer.example'], sent: { url: 'https://issuer.example', kind: 'oidc' } },
  { when: 'by a place of keys', args: ['https://issuer.example', '--jwks-uri', 'https://issuer.example/keys'], sent: { url: 'https://issuer.example', kind: 'oidc', jwks_uri: 'https://issuer.example/keys' } },
  { when: 'by its keys', args: ['https://issuer.example', '--jwks', 'keys.json'], files: { 'keys.json': KEYS }, sent: { url: 'https://issuer.example', kind: 'oidc', jwks: JSON.parse(KEYS) as object } },
  { when: 'with an authority of its own', args: ['https://issuer.example', '--ca', 'ca.pem'], files: { 'ca.pem': 'PEM' }, sent: { url: 'https://issuer.example', kind: 'oidc', ca: 'PEM' } },
  { when: 'as a trust domain by its bundle', args: ['spiffe://prod.example', '--spiffe-bundle', 'bundle.json'], files: { 'bundle.json': KEYS }, sent: { url: 'spiffe://prod.example', kind: 'spiffe', bundle: JSON.parse(KEYS) as object } },
  { when: 'as a trust domain by the place of its bundle', args: ['spiffe://prod.example', '--bundle-url', 'https://prod.example/bundle'], sent: { url: 'spiffe://prod.example', kind: 'spiffe', bundle_url: 'https://prod.example/bundle' } },
] as readonly { when: string; args: readonly string[]; files?: Readonly<Record<string, string>>; sent: object }[]) {
  test(`an issuer is trusted ${when}`, async (t) => {
    const stage = await stageWithServer(t)
    for (const [name, text] of Object.entries(files)) await writeFile(join(stage.folder, name), text)
    answer(stage.double, '/v1/issuers', ISSUER)
    const done = await writ(stage, ['issuer', 'trust', ...args])
    assert.equal(done.code, 0, done.err)
    assert.deepEqual(stage.double.asked[0]?.body, sent)
    assert.match(done.out, /url +https:\/\/issuer\.example\n.*\nkind +oidc/)
  })
}

for (const { when, args, says } of [
  { when: 'its keys come in two ways', args: ['trust', 'https://issuer.example', '--jwks', 'a', '--jwks-uri', 'b'], says: /--jwks-uri and --jwks exclude each other/ },
  { when: 'a file holds no keys', args: ['trust', 'https://issuer.example', '--jwks', 'empty.json'], says: /`empty\.json` holds no JWK Set/ },
  { when: 'a file is not there', args: ['trust', 'https://issuer.example', '--ca', 'nowhere.pem'], says: /there is no file `nowhere\.pem`/ },
  { when: 'no issuer is named', args: ['trust'], says: /missing required argument/ },
  { when: 'nobody says why it is removed', args: ['remove', 'https://issuer.example'], says: /--reason is needed/ },
]) {
  test(`nothing is sent when ${when}`, async (t) => {
    const stage = await stageWithServer(t)
    await writeFile(join(stage.folder, 'empty.json'), '{}')
    const done = await writ(stage, ['issuer', ...args])
    assert.notEqual(done.code, 0)
    assert.match(done.err, says)
    assert.equal(stage.double.asked.length, 0)
  })
}

test('issuers are listed, shown, changed and removed by their URL', async (t) => {
  const stage = await stageWithServer(t)
  const path = `/v1/issuers/${encodeURIComponent(ISSUER.url)}`
  answer(stage.double, '/v1/issuers', { issuers: [ISSUER] }, 200)
  answer(stage.double, path, ISSUER, 200)
  answer(stage.double, `${path}/keys`, { ...ISSUER, keys: { source: 'url', url: 'https://issuer.example/keys', inline: [] } }, 200)
  answer(stage.double, `${path}/remove`, { ...ISSUER, state: 'removed' }, 200)
  assert.equal((await writ(stage, ['issuer', 'list', '--plain'])).out, 'https://issuer.example\toidc\tdiscovery\t2\ttrusted\t2026-09-21T00:00:00.000Z\n')
  assert.deepEqual(JSON.parse((await writ(stage, ['issuer', 'show', ISSUER.url, '--json'])).out), ISSUER)
  assert.match((await writ(stage, ['issuer', 'set-keys', ISSUER.url, '--jwks-uri', 'https://issuer.example/keys', '--reason', 'it moved'])).out, /keys +https:\/\/issuer\.example\/keys/)
  assert.match((await writ(stage, ['issuer', 'remove', ISSUER.url, '--reason', 'gone'])).out, /state +removed/)
  assert.deepEqual(stage.double.asked.slice(2).map(({ method, body }) => [method, body]), [['PUT', { jwks_uri: 'https://issuer.example/keys', reason: 'it moved' }], ['POST', { reason: 'gone' }]])
})

test('who trusts an issuer again that had been removed is told what stays revoked', async (t) => {
  const stage = await stageWithServer(t)
  answer(stage.double, '/v1/issuers', { ...ISSUER, bindings: 0, bindings_revoked: 2 })
  const done = await writ(stage, ['issuer', 'trust', ISSUER.url])
  assert.equal(done.code, 0, done.err)
  assert.match(done.err, /it had been removed: 2 of its bindings from before are revoked and stay so/)
})

test('an identity is bound by claims, and one that is repeated means either', async (t) => {
  const stage = await stageWithServer(t)
  const path = `/v1/identities/${encodeURIComponent(IDENTITY.spiffe_id)}`
  answer(stage.double, `${path}/bindings`, IDENTITY)
  const done = await writ(stage, ['identity', 'bind', IDENTITY.spiffe_id, '--issuer', ISSUER.url, '--audience', 'writ', '--claim', 'sub=a', '--claim', 'sub=b', '--claim', '/kubernetes.io/namespace=x=y'])
  assert.equal(done.code, 0, done.err)
  assert.deepEqual(stage.double.asked[0]?.body, { issuer: ISSUER.url, audience: 'writ', claims: { sub: ['a', 'b'], '/kubernetes.io/namespace': 'x=y' }, replace: false })
  assert.ok(done.out.includes('bnd_1  https://issuer.example  writ  sub=a|b and ref=main\\u{1b}[2J  live'), done.out)
  answer(stage.double, `${path}/bindings/bnd_1/revoke`, IDENTITY, 200)
  assert.equal((await writ(stage, ['identity', 'unbind', IDENTITY.spiffe_id, 'bnd_1', '--reason', 'moved'])).code, 0)
})

test('a claim without a text is refused before anything is sent, and a refusal of the server names its field', async (t) => {
  const stage = await stageWithServer(t)
  const bind = ['identity', 'bind', IDENTITY.spiffe_id, '--issuer', ISSUER.url, '--audience', 'writ', '--claim']
  const wrong = await writ(stage, [...bind, 'sub'])
  assert.deepEqual([wrong.code, stage.double.asked.length], [2, 0], wrong.err)
  stage.double.instead.set(`/v1/identities/${encodeURIComponent(IDENTITY.spiffe_id)}/bindings`, [problem(400, 'invalid-fields', { errors: [{ field: 'claims.sub', message: 'would let anybody in' }] })])
  const refused = await writ(stage, [...bind, 'sub=*'])
  assert.match(refused.err, / {2}claims\.sub: would let anybody in/)
})

test('an identity can be registered without a key', async (t) => {
  const stage = await stageWithServer(t)
  answer(stage.double, '/v1/identities', { outcome: 'registered', admission: 'adm_1', identity: IDENTITY })
  const register = ['identity', 'register', '--id', IDENTITY.spiffe_id, '--kind', 'pipeline', '--class', 'script', '--purpose', 'rolls out', '--technical-owner', 'team:platform', '--business-owner', 'person:maya@acme.example',
    '--scope', 'shop', '--environment', 'production', '--authority', 'postgres:shop:ddl', '--ends', '90d', '--trigger', 'unused:30', '--because', 'it deploys', '--no-key']
  const done = await writ(stage, register)
  assert.equal(done.code, 0, done.err)
  assert.equal(stage.double.asked[0]?.body['key'], undefined)
  assert.equal((await writ(stage, [...register, '--key-out', 'x'])).code, 2)
})
