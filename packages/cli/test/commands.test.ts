import assert from 'node:assert/strict'
import { readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { keysFolder, readConfig, writeConfig } from '../src/config.ts'
import { OPERATOR_KEY, problem, SPIFFE_ID } from './double.ts'
import { stageWithServer, writ as writAlone } from './run-writ.ts'
import { warmWritForFile } from './warm-writ.ts'

const writ = warmWritForFile()

const IDENTITY = {
  id: 'nhi_9', spiffe_id: 'spiffe://acme.example/deploy-bot', kind: 'pipeline', class: 'script', purpose: 'rolls out\u001b[2J releases', owners: { technical: 'team:platform', business: 'person:maya@acme.example' },
  system_scope: ['shop'], environment: 'production', authority: ['postgres:shop:ddl'], tasks_per_hour: 60, ends_at: '2027-06-30T00:00:00.000Z', trigger: { kind: 'unused', days: 30 }, state: 'active', state_reason: 'registered',
  registered_at: '2026-09-21T00:00:00.000Z', last_used_at: null, credentials: [{ id: 'crd_1', thumbprint: 'tp', alg: 'ES256', state: 'live', registered_at: '2026-09-21T00:00:00.000Z' }],
  bindings: [{ id: 'bnd_1', issuer: 'https://issuer.example', audience: 'writ', claims: { sub: ['a', 'b'] }, state: 'live', registered_at: '2026-09-21T00:00:00.000Z' }],
}
const REGISTER = ['identity', 'register', '--id', IDENTITY.spiffe_id, '--kind', 'pipeline', '--class', 'script', '--purpose', 'rolls out', '--technical-owner', 'team:platform', '--business-owner', 'person:maya@acme.example',
  '--scope', 'shop', '--environment', 'production', '--authority', 'postgres:shop:ddl', '--ends', '90d', '--trigger', 'unused:30']

test('login reads the link from standard input, and stores the operator key for that server', async (t) => {
  const stage = await stageWithServer(t)
  await writeConfig(stage.environment, { identities: {} })
  const done = await writAlone(stage, ['login'], { input: `${stage.double.url}/first#writ_first_good-code\n` })
  assert.equal(done.code, 0, done.err)
  assert.deepEqual(await readConfig(stage.environment), { url: stage.double.url, operator: { id: 'opr_1', key: OPERATOR_KEY }, identities: {} })
  assert.ok(!(done.out + done.err).includes(OPERATOR_KEY))
  assert.equal((await writ(stage, ['whoami', '--plain'])).out.split('\n')[0], 'kind\toperator')
})

test('a link that is dead changes nothing and is not repeated', async (t) => {
  const stage = await stageWithServer(t)
  const before = await readConfig(stage.environment)
  const done = await writAlone(stage, ['login'], { input: `${stage.double.url}/first#writ_first_dead-canary` })
  assert.equal(done.code, 3)
  assert.ok(!done.err.includes('canary'))
  assert.deepEqual(await readConfig(stage.environment), before)
})

test('findings are listed so that a terminal is safe, and resolved with a reason that is recorded', async (t) => {
  const stage = await stageWithServer(t)
  const finding = { id: 'fnd_1', kind: 'shared_identity', identity: 'nhi_9', evidence: { handle: 'a\u001b[2J' }, state: 'open', raised_at: '2026-09-21T00:00:00.000Z' }
  stage.double.instead.set('/v1/findings', [{ status: 200, value: { findings: [finding], next: null } }])
  stage.double.instead.set('/v1/findings/fnd_1/resolve', [{ status: 200, value: { ...finding, state: 'resolved' } }])
  const listed = await writ(stage, ['findings', 'list'])
  assert.match(listed.out, /fnd_1 +shared_identity +nhi_9 +open/)
  assert.ok(!listed.out.includes('\u001b[2J'))
  assert.equal((await writ(stage, ['findings', 'resolve', 'fnd_1'])).code, 2)
  assert.match((await writ(stage, ['findings', 'resolve', 'fnd_1', '--reason', 'it was a try'])).out, /state +resolved/)
  assert.deepEqual(stage.double.asked.slice(1).map(({ body }) => body), [{ reason: 'it was a try' }])
})

test('registering makes a key here, sends its public half alone, and remembers it', async (t) => {
  const stage = await stageWithServer(t)
  stage.double.instead.set('/v1/identities', [{ status: 201, value: { outcome: 'registered', admission: 'adm_1', identity: IDENTITY } }])
  const done = await writ(stage, [...REGISTER, '--because', 'it runs by night'])
  assert.equal(done.code, 0, done.err)
  const body = stage.double.asked[0]?.body as { readonly key: object; readonly admission: object; readonly trigger: object }
  assert.deepEqual(Object.keys(body.key).toSorted(), ['alg', 'crv', 'kty', 'x', 'y'])
  assert.deepEqual([body.admission, body.trigger], [{ answer: 'identity', reason: 'it runs by night' }, { kind: 'unused', days: 30 }])
  const path = join(keysFolder(stage.environment), 'deploy-bot.jwk')
  assert.equal((await stat(path)).mode & 0o777, 0o600)
  assert.equal((await readConfig(stage.environment)).identities[IDENTITY.spiffe_id]?.key_file, path)
  const { d } = JSON.parse(await readFile(path, 'utf8')) as { readonly d: string }
  assert.ok(!(done.out + done.err).includes(d))
})

test('a registration that the server refuses leaves no key behind', async (t) => {
  const stage = await stageWithServer(t)
  stage.double.instead.set('/v1/identities', [problem(409, 'already-exists')])
  const done = await writ(stage, [...REGISTER, '--because', 'x'])
  assert.equal(done.code, 6)
  assert.deepEqual(await readdir(keysFolder(stage.environment)), ['migrator.jwk'])
  assert.equal((await readConfig(stage.environment)).identities[IDENTITY.spiffe_id], undefined)
})

test('all flags that are missing are named at once, and nobody is asked', async (t) => {
  const stage = await stageWithServer(t)
  const done = await writ(stage, ['identity', 'register', '--id', 'deploy-bot'])
  assert.equal(done.code, 2)
  for (const flag of ['--kind', '--class', '--purpose', '--technical-owner', '--business-owner', '--scope', '--environment', '--authority', '--ends', '--trigger', '--because']) {
    assert.match(done.err, new RegExp(`  ${flag}: is missing`), flag)
  }
  assert.match(done.err, / {2}--id: must be a SPIFFE ID/)
  assert.equal(stage.double.asked.length, 0)
})

test('the answer that there should be no identity is sent without a key', async (t) => {
  const stage = await stageWithServer(t)
  stage.double.instead.set('/v1/identities', [{ status: 201, value: { outcome: 'declined', admission: 'adm_1', instead: 'use the token of the caller' } }])
  const done = await writ(stage, [...REGISTER, '--declined-because', 'it acts for its caller'])
  assert.equal(done.code, 0, done.err)
  assert.match(done.out, /declined/)
  assert.deepEqual([stage.double.asked[0]?.body.key, stage.double.asked[0]?.body.admission], [undefined, { answer: 'delegated_token', reason: 'it acts for its caller' }])
  assert.deepEqual(await readdir(keysFolder(stage.environment)), ['migrator.jwk'])
})

test('what the server says is shown inert, and kept whole in JSON', async (t) => {
  const stage = await stageWithServer(t)
  const path = `/v1/identities/${encodeURIComponent(IDENTITY.spiffe_id)}`
  stage.double.instead.set(path, [{ status: 200, value: IDENTITY }, { status: 200, value: IDENTITY }])
  const shown = await writ(stage, ['identity', 'show', IDENTITY.spiffe_id])
  assert.ok(shown.out.includes('rolls out\\u{1b}[2J releases'), shown.out + shown.err)
  const json = await writ(stage, ['identity', 'show', IDENTITY.spiffe_id, '--json'])
  assert.ok(!json.out.includes('\u001b'))
  assert.deepEqual(JSON.parse(json.out), IDENTITY)
})

test('a list is a table, tab-separated lines, JSON or JSON lines', async (t) => {
  const stage = await stageWithServer(t)
  const value = { identities: [IDENTITY, { ...IDENTITY, spiffe_id: SPIFFE_ID }], next: 'cursor-2' }
  stage.double.instead.set('/v1/identities', Array(4).fill({ status: 200, value }))
  const table = await writ(stage, ['identity', 'list'])
  assert.match(table.out, /^SPIFFE ID +STATE/)
  assert.match(table.err, /more: --cursor cursor-2/)
  assert.match((await writ(stage, ['identity', 'list', '--plain', '-q'])).out, /^spiffe:\/\/acme\.example\/deploy-bot\tactive\t/)
  assert.deepEqual(JSON.parse((await writ(stage, ['--json', 'identity', 'list'])).out), value.identities)
  assert.equal((await writ(stage, ['identity', 'list', '--jsonl'])).out.trim().split('\n').length, 2)
})

test('a secret of a back end comes by file or standard input, without its last line end', async (t) => {
  const stage = await stageWithServer(t)
  await writeFile(join(stage.folder, 'shop.yaml'), 'settings: { host: db.test, database: postgres, user: writ, tls: require }\ntemplates:\n  ddl: { database: shop, owner: shop_owner }\n')
  await writeFile(join(stage.folder, 'secret'), ' s3cret \n')
  assert.equal((await writ(stage, ['backend', 'add', 'shop', '-f', 'shop.yaml', '--secret-file', 'secret', '--port', '5433'])).code, 0)
  assert.equal((await writAlone(stage, ['backend', 'add', 'shop', '-f', 'shop.yaml', '--secret-stdin', '--rotate'], { input: 'from-stdin' })).code, 0)
  const [first, second] = stage.double.asked.map(({ body }) => body)
  assert.deepEqual([first?.secret, first?.rotate, (first?.settings as { readonly port?: number } | undefined)?.port], [' s3cret ', false, 5433])
  assert.deepEqual([second?.secret, second?.rotate], ['from-stdin', true])
})

test('a file that describes a back end may not hold its secret, and what is missing is named', async (t) => {
  const stage = await stageWithServer(t)
  await writeFile(join(stage.folder, 'shop.yaml'), 'secret: canary\n')
  const held = await writAlone(stage, ['backend', 'add', 'shop', '-f', 'shop.yaml', '--secret-stdin'], { input: 'x' })
  assert.equal(held.code, 2)
  assert.ok(!held.err.includes('canary'))
  const missing = await writAlone(stage, ['backend', 'add', 'shop', '--secret-stdin'], { input: 'x' })
  assert.match(missing.err, /--host: [\s\S]*--database: [\s\S]*--user: [\s\S]*--tls: [\s\S]*--templates: /)
  assert.equal(stage.double.asked.length, 0)
})

const MANIFEST = JSON.stringify({ identities: [{
  spiffe_id: IDENTITY.spiffe_id, admission: { answer: 'identity', reason: 'x' }, kind: 'pipeline', class: 'script', purpose: 'p', owners: IDENTITY.owners, system_scope: ['shop'], environment: 'production',
  authority: ['postgres:shop:ddl'], tasks_per_hour: 60, ends_at: '2027-06-30', trigger: { kind: 'webhook' },
}] })

test('apply shows the difference, needs --yes without a terminal, and does it with --yes', async (t) => {
  const stage = await stageWithServer(t)
  await writeFile(join(stage.folder, 'writ.yaml'), MANIFEST)
  const changes = [{ spiffe_id: IDENTITY.spiffe_id, action: 'change', fields: [{ field: 'purpose', from: 'old', to: 'p' }] }, { spiffe_id: SPIFFE_ID, action: 'none', fields: [] }]
  const planned = { status: 200, value: { applied: false, changes } }
  stage.double.instead.set('/v1/manifest', [planned, planned, { status: 200, value: { applied: true, changes } }])
  const asked = await writ(stage, ['apply', '-f', 'writ.yaml'])
  assert.equal(asked.code, 2)
  assert.match(asked.out, /^~ spiffe:\/\/acme\.example\/deploy-bot {2}change\n {4}purpose {2}old -> p\n= spiffe/)
  assert.match(asked.err, /--yes is needed and there is no terminal/)
  assert.equal(stage.double.asked.length, 1)
  const done = await writ(stage, ['apply', '-f', 'writ.yaml', '--yes'])
  assert.equal(done.code, 0, done.err)
  assert.match(done.err, /applied: 1 of 2/)
})

test('apply answers 0 when there is nothing to do, and asks nothing', async (t) => {
  const stage = await stageWithServer(t)
  await writeFile(join(stage.folder, 'writ.yaml'), MANIFEST)
  stage.double.instead.set('/v1/manifest', [{ status: 200, value: { applied: false, changes: [{ spiffe_id: IDENTITY.spiffe_id, action: 'none', fields: [] }] } }])
  const done = await writ(stage, ['apply', '-f', 'writ.yaml'])
  assert.equal(done.code, 0)
  assert.match(done.err, /nothing to do/)
})

test('task open prints the id alone', async (t) => {
  const stage = await stageWithServer(t)
  const done = await writ(stage, ['task', 'open', '--for', 'x', '--grant', 'postgres:shop:ddl', '--as', 'migrator'])
  assert.deepEqual([done.code, done.out], [0, 'tsk_1\n'], done.err)
})

test('task widen sends what is asked and why, as the identity, and shows what the task may now', async (t) => {
  const stage = await stageWithServer(t)
  const widened = { ...stage.double.task(), authorization_details: [...stage.double.task().authorization_details, { type: 'postgres', locations: ['shop'], actions: ['read'] }], widenings: 1 }
  stage.double.instead.set('/v1/tasks/tsk_1/widen', [{ status: 200, value: widened }, problem(422, 'grant-refused'), problem(409, 'conflict'), problem(404, 'not-found'), { status: 200, value: widened }])
  const asking = ['task', 'widen', 'tsk_1', '--grant', 'postgres:shop:read', '--grant', 'stripe:refunds:create?amount=5', '--reason', 'the table has no index']
  const done = await writ(stage, [...asking, '--as', 'migrator'])
  assert.equal(done.code, 0, done.err)
  assert.match(done.out, /^grant +postgres:shop:ddl {2}postgres:shop:read\nwidened +1 time$/m)
  assert.deepEqual(stage.double.asked[0]?.body, {
    reason: 'the table has no index',
    authorization_details: [{ type: 'postgres', locations: ['shop'], actions: ['read'] }, { type: 'stripe', locations: ['refunds'], actions: ['create'], limits: { amount: 5 } }],
  })
  for (const code of [6, 6, 5]) assert.equal((await writ(stage, asking)).code, code)
  assert.deepEqual(JSON.parse((await writ(stage, [...asking, '--json'])).out), widened)
  const asked = stage.double.asked.length
  for (const lacking of [asking.slice(0, -2), ['task', 'widen', 'tsk_1', '--reason', 'x'], ['task', 'widen', 'tsk_1', '--grant', 'postgres', '--reason', 'x']]) assert.equal((await writ(stage, lacking)).code, 2)
  assert.equal(stage.double.asked.length, asked)
})

test('task delegate sends for whom, what for and within which bounds, as the identity, and prints the id of the new task', async (t) => {
  const stage = await stageWithServer(t)
  const child = { ...stage.double.task(), id: 'tsk_2', parent: 'tsk_1' }
  stage.double.instead.set('/v1/tasks/tsk_1/delegate', [{ status: 201, value: child }, problem(422, 'grant-refused'), problem(409, 'conflict'), problem(404, 'not-found'), { status: 201, value: child }])
  const asking = ['task', 'delegate', 'tsk_1', '--to', 'spiffe://acme.example/refunder', '--for', 'refund one order', '--grant', 'postgres:shop:read', '--ttl', '2m', '--budget', '5']
  const done = await writ(stage, [...asking, '--as', 'migrator'])
  assert.deepEqual([done.code, done.out], [0, 'tsk_2\n'], done.err)
  assert.deepEqual(stage.double.asked[0]?.body, {
    identity: 'spiffe://acme.example/refunder', purpose: 'refund one order', authorization_details: [{ type: 'postgres', locations: ['shop'], actions: ['read'] }],
    ttl_seconds: 120, budget: { calls: 5 },
  })
  for (const code of [6, 6, 5]) assert.equal((await writ(stage, asking)).code, code)
  assert.deepEqual(JSON.parse((await writ(stage, [...asking, '--json'])).out), child)
  const asked = stage.double.asked.length
  for (const lacking of ['--to', '--for', '--grant']) assert.equal((await writ(stage, asking.toSpliced(asking.indexOf(lacking), 2))).code, 2, lacking)
  assert.equal(stage.double.asked.length, asked)
})

test('task show tells logins and access tokens apart, and repeats nothing that moves the cursor', async (t) => {
  const stage = await stageWithServer(t)
  const of = { task: 'tsk_1', outcome: null, expires_at: '2026-12-01T00:00:00.000Z', incident: null }
  const leases = [
    { ...of, kind: 'login', id: 'lse_1', backend: 'shop', template: 'ddl', user: 'writ_lse_1', audience: null, state: 'live' },
    { ...of, kind: 'access_token', id: 'lse_2', backend: 'writ', template: null, user: null, audience: 'https://shop.example/\u001b[2J', state: 'withdrawing' },
  ]
  stage.double.instead.set('/v1/tasks/tsk_1', [{ status: 200, value: { ...stage.double.task(), leases } }])
  const { code, out, err } = await writ(stage, ['task', 'show', 'tsk_1', '--as', 'migrator'])
  assert.equal(code, 0, err)
  assert.match(out, /^lse_1 +shop +ddl +writ_lse_1 +live/m)
  assert.match(out, /^lse_2 +access token +- +https:\/\/shop\.example\/\\u\{1b\}\[2J +withdrawing/m)
})

test('a key that others can read is not used', async (t) => {
  const stage = await stageWithServer(t)
  const { chmod } = await import('node:fs/promises')
  await chmod(stage.keyFile, 0o644)
  const done = await writ(stage, ['task', 'open', '--for', 'x', '--grant', 'postgres:shop:ddl'])
  assert.deepEqual([done.code, stage.double.asked.length], [78, 0])
})

test('doctor says what it looked at, never calls green what it could not see, and answers 1 on a problem', async (t) => {
  const stage = await stageWithServer(t)
  const seen = await writ(stage, ['doctor', '--jsonl'])
  const checks = seen.out.trim().split('\n').map((line) => JSON.parse(line) as { readonly name: string; readonly state: string })
  const states = Object.fromEntries(checks.map(({ name, state }) => [name, state]))
  assert.deepEqual([states.config, states.key, states.server, states.clock, states.log, states['sign-in'], states['back end']], ['good', 'good', 'good', 'good', 'good', 'good', 'warning'])
  // The double serves neither to an operator.
  assert.ok(states.findings !== 'good' && states.incidents !== 'good')
  const dead = await writ(stage, ['doctor', '--url', 'http://127.0.0.1:1'])
  assert.equal(dead.code, 1)
  assert.match(dead.out, /✖ server .*fix: writ up/)
})
