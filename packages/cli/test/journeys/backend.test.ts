import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { listBackends } from '@writ/contract/backends'
import { Client } from 'pg'
import { stringify } from 'yaml'
import { governedPostgres, type GovernedPostgres } from '../../../server/test/governed-postgres.ts'
import { startWrit as startServer, type RunningWrit } from '../../../server/test/running-writ.ts'
import { signedIn, templatesOf } from '../estate.ts'
import { emptyStage, writ as writAlone, type Stage } from '../run-writ.ts'
import { warmWritForFile } from '../warm-writ.ts'

const writ = warmWritForFile()

let server: RunningWrit
let stage: Stage
const shops: GovernedPostgres[] = []
const ends: (() => unknown)[] = []
before(async () => {
  stage = await emptyStage({ after: (end: unknown) => ends.push(end as () => unknown) })
  server = await startServer()
  ends.push(() => server.stop())
  await signedIn(stage, server)
})
after(async () => {
  for (const end of ends.toReversed()) await end()
  await Promise.all(shops.map((shop) => shop.remove()))
})

/** A database of its own, with its templates and its administrator's secret in files. */
async function shopWithFiles(): Promise<{ readonly shop: GovernedPostgres; readonly flags: readonly string[]; readonly secretFile: string }> {
  const shop = await governedPostgres(18)
  shops.push(shop)
  const name = `shop-${shops.length}`
  writeFileSync(join(stage.folder, `${name}.yaml`), stringify(templatesOf(shop)))
  writeFileSync(join(stage.folder, `${name}.secret`), `${shop.administratorSecret}\n`, { mode: 0o600 })
  const { host, port, database, user } = shop.settings
  return { shop, secretFile: `${name}.secret`, flags: ['--host', host, '--port', String(port), '--database', database, '--user', user, '--tls', 'disable', '--templates', `${name}.yaml`] }
}

const names = async (): Promise<readonly string[]> => (await server.operator(listBackends)).reply.backends.map(({ name }) => name)

/** The SQLSTATE of the administrator's login, or nothing when it is let in. */
async function administratorRefused({ settings, administratorSecret }: GovernedPostgres): Promise<string | undefined> {
  const client = new Client({ host: settings.host, port: settings.port, database: settings.database, user: settings.user, password: administratorSecret })
  try {
    await client.connect()
    await client.end()
    return undefined
  } catch (fault) {
    return String((fault as { readonly code?: unknown }).code)
  }
}

test('a back end is added with its secret from a file and rotated: the old secret is refused by PostgreSQL, the new one by nobody known', async () => {
  const { shop, flags, secretFile } = await shopWithFiles()
  const done = await writ(stage, ['backend', 'add', 'rotated', ...flags, '--secret-file', secretFile, '--rotate'])
  assert.equal(done.code, 0, done.err)
  assert.match(done.out, /^name +rotated\n/)
  assert.ok(!(done.out + done.err).includes(shop.administratorSecret))
  assert.equal(await administratorRefused(shop), '28P01')
  const tested = await writ(stage, ['backend', 'test', 'rotated', '--json'])
  assert.equal(tested.code, 0, tested.err)
  assert.deepEqual((JSON.parse(tested.out) as { readonly steps: readonly string[] }).steps, ['mint', 'control login', 'withdraw', 'probe refused', 'absent from the catalogue'])
})

test('a secret from standard input works, may be kept, and the way to rotate it later is said', async () => {
  const { shop, flags } = await shopWithFiles()
  const done = await writAlone(stage, ['backend', 'add', 'kept', ...flags, '--secret-stdin'], { input: `${shop.administratorSecret}\n` })
  assert.equal(done.code, 0, done.err)
  assert.match(done.err, /the secret is still known outside Writ: `writ backend rotate kept` ends that/)
  assert.equal(await administratorRefused(shop), undefined)
  assert.equal((await writ(stage, ['backend', 'rotate', 'kept'])).code, 0)
  assert.equal(await administratorRefused(shop), '28P01')
})

test('a secret that was changed past Writ comes on standard input or from a file; one that is refused answers 6 and changes nothing', async () => {
  const { shop, flags, secretFile } = await shopWithFiles()
  assert.equal((await writ(stage, ['backend', 'add', 'changed', ...flags, '--secret-file', secretFile])).code, 0)
  await shop.asSuperuser(`alter role ${shop.settings.user} password 'canary-of-the-new-secret'`)
  const wrong = await writ(stage, ['backend', 'secret', 'changed', '--secret-file', secretFile])
  assert.equal(wrong.code, 6)
  assert.match(wrong.err, /refused the administrator's login \(28P01\)/)
  const unsaid = await writ(stage, ['backend', 'secret', 'changed'])
  assert.equal(unsaid.code, 2)
  assert.match(unsaid.err, /--secret-file FILE or --secret-stdin/)
  const argued = await writ(stage, ['backend', 'secret', 'changed', '--secret', 'canary-of-the-new-secret'])
  assert.deepEqual([argued.code, argued.out], [2, ''])
  const done = await writAlone(stage, ['backend', 'secret', 'changed', '--secret-stdin'], { input: 'canary-of-the-new-secret\n' })
  assert.equal(done.code, 0, done.err)
  assert.match(done.err, /`writ backend rotate changed` ends that/)
  for (const said of [wrong, unsaid, argued, done]) assert.ok(!(said.out + said.err).includes('canary'))
  assert.equal((await writ(stage, ['backend', 'test', 'changed'])).code, 0)
})

test('a superuser is refused, and what to run instead can be pasted into psql', async () => {
  const { shop, flags } = await shopWithFiles()
  const superuser = new URL(shop.server.url())
  const before = await names()
  const args = ['backend', 'add', 'too-much', ...flags, '--user', superuser.username, '--secret-stdin']
  const done = await writAlone(stage, args, { input: decodeURIComponent(superuser.password) })
  assert.deepEqual([done.code, done.out], [6, ''])
  assert.match(done.err, /^error: `\w+` is a superuser; Writ takes no more than it needs\n/)
  assert.ok(!done.err.includes(superuser.password))
  assert.deepEqual(await names(), before)
  const statements = done.err.split('\n').filter((line) => /^\s*(create|grant|alter) /i.test(line))
  assert.ok(statements.length > 0, done.err)
})

test('an administrator whose rights do not suffice is told the statements that are missing, and they suffice', async () => {
  const { shop, flags, secretFile } = await shopWithFiles()
  await shop.asSuperuser(`revoke "${shop.owner}" from ${shop.settings.user}`)
  const refused = await writ(stage, ['backend', 'add', 'mended', ...flags, '--secret-file', secretFile, '--timeout', '3s'])
  assert.equal(refused.code, 6, refused.err)
  assert.match(refused.err, /lacks rights/)
  const statements = refused.err.split('\n').map((line) => line.replace(/^hint: /, '').trim()).filter((line) => /^(create|grant|alter) /i.test(line))
  assert.ok(statements.length > 0, refused.err)
  for (const statement of statements) await shop.asSuperuser(statement, [], shop.database)
  const done = await writ(stage, ['backend', 'add', 'mended', ...flags, '--secret-file', secretFile])
  assert.equal(done.code, 0, `${statements.join('\n')}\n${done.err}`)
})

test('back ends are listed, and one that is removed is gone from use with its reason recorded', async () => {
  const { flags, secretFile } = await shopWithFiles()
  assert.equal((await writ(stage, ['backend', 'add', 'brief', ...flags, '--secret-file', secretFile])).code, 0)
  assert.match((await writ(stage, ['backend', 'list'])).out, /^NAME +KIND +ADDRESS[^\n]*\n(.*\n)*brief +postgres 18\.\d+ .* active /)
  const unsaid = await writ(stage, ['backend', 'remove', 'brief'])
  assert.equal(unsaid.code, 2)
  assert.match(unsaid.err, /--reason is needed/)
  const done = await writ(stage, ['backend', 'remove', 'brief', '--reason', 'the shop has moved'])
  assert.equal(done.code, 0, done.err)
  assert.match((await writ(stage, ['backend', 'list', '--plain'])).out, /^brief\t.*\tremoved\t/m)
  assert.match((await writ(stage, ['audit', 'tail', '--stream', 'human'])).out, /backend\.removed .*the shop has moved/)
  for (const verb of ['test', 'rotate']) assert.equal((await writ(stage, ['backend', verb, 'brief'])).code, 5)
})

test('a back end that is not there answers 7, one with a wrong secret 6, and neither is added', async () => {
  const { flags, secretFile } = await shopWithFiles()
  const before = await names()
  const away = await writ(stage, ['backend', 'add', 'away', ...flags, '--port', '1', '--secret-file', secretFile, '--timeout', '3s'])
  assert.equal(away.code, 7, away.err)
  const wrong = await writAlone(stage, ['backend', 'add', 'wrong', ...flags, '--secret-stdin'], { input: 'canary-secret' })
  assert.equal(wrong.code, 6)
  assert.match(wrong.err, /refused the administrator's login \(28P01\)\nhint: check `settings\.user` and the secret/)
  assert.ok(!wrong.err.includes('canary'))
  assert.deepEqual(await names(), before)
})

test('no secret is taken from the command line, and a typing mistake is answered with what was meant', async () => {
  const { shop, flags, secretFile } = await shopWithFiles()
  const before = await names()
  for (const { args, says } of [
    { args: ['--secret', shop.administratorSecret], says: /hint: a secret never stands on a command line/ },
    { args: [`--password=${shop.administratorSecret}`], says: /hint: a secret never stands on a command line/ },
    { args: ['--secret-fiel', secretFile], says: /error: unknown option `--secret-fiel`\nhint: / },
    { args: ['--rotat', '--secret-file', secretFile], says: /hint: .*--rotate/ },
    { args: ['--tls', 'off', '--secret-file', secretFile], says: /`--tls <mode>`.*disable, require, verify-full/ },
  ]) {
    const done = await writ(stage, ['backend', 'add', 'mistaken', ...flags, ...args])
    assert.deepEqual([done.code, done.out], [2, ''], done.err)
    assert.match(done.err, says)
    assert.ok(!done.err.includes(shop.administratorSecret))
  }
  assert.match((await writ(stage, ['backend', 'ad', 'x'])).err, /Did you mean add\?/)
  assert.deepEqual(await names(), before)
})

test('the configuration and everything that was said hold no secret of a back end', async () => {
  const config = readFileSync(join(stage.folder, 'config/writ/config.json'), 'utf8')
  for (const { administratorSecret } of shops) assert.ok(!config.includes(administratorSecret) && !server.log().includes(administratorSecret))
})
