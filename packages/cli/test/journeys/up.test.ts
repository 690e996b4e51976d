import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { after, test, type TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { configPath, readConfig } from '../../src/config.ts'
import { inFull } from '../../../server/test/long.ts'
import { emptyStage, startWrit, writ, type Running, type Stage } from '../run-writ.ts'

/** `writ up` starts this as a process of its own. */
const SERVER = fileURLToPath(import.meta.resolve('@writ/server/main'))
const UP = ['up', '--data', 'data', '--port', '0']

const left: Running[] = []
after(() => left.forEach(({ child }) => child.kill('SIGKILL')))

/** A server that is up; it ends with the test file at the latest. */
async function up(stage: Stage, says: string, more: readonly string[] = []): Promise<Running & { readonly url: string }> {
  const running = startWrit(stage, [...UP, ...more])
  left.push(running)
  await running.saw(says)
  await running.saw('address  http')
  return { ...running, url: /address {2}(http:\S+)/.exec(running.said().out)![1]! }
}

async function stop({ child, ended }: Running, signal: NodeJS.Signals = 'SIGTERM'): Promise<{ readonly out: string; readonly err: string }> {
  child.kill(signal)
  const done = await ended
  assert.deepEqual([done.code, done.signal], [0, null], done.err)
  return done
}

const mode = (path: string): string => (statSync(path).mode & 0o777).toString(8)

test('the server that `writ up` starts is the one beside this command line', () => {
  assert.match(SERVER, /packages\/server\/src\/main\.ts$/)
})

test('on a fresh folder `writ up` signs this command line in, in a file that nobody else can read, and tells anyone where each problem leads', async (t) => {
  const stage = await emptyStage(t)
  const running = await up(stage, 'operator key stored in')
  const config = await readConfig(stage.environment)
  assert.equal(config.url, running.url)
  assert.deepEqual([mode(configPath(stage.environment)), mode(dirname(configPath(stage.environment)))], ['600', '700'])
  const me = await writ(stage, ['whoami', '--json'])
  assert.equal((JSON.parse(me.out) as { readonly kind: string }).kind, 'operator')
  const link = /sign in {2}(\S+)/.exec(running.said().out)![1]!
  const again = await writ(stage, ['login'], { input: link })
  assert.deepEqual([again.code, again.out], [3, ''])
  assert.deepEqual(await readConfig(stage.environment), config)
  await assertProblemsAreTold(running.url)
  const { out, err } = await stop(running)
  assert.ok(!(out + err).includes(config.operator!.key))
  assert.equal(existsSync(join(stage.folder, 'data', 'bootstrap')), false)
})

async function assertProblemsAreTold(url: string): Promise<void> {
  const refused = await fetch(`${url}/v1/tasks`)
  const { type } = await refused.json() as { readonly type: string }
  assert.equal(type, '/problems/unauthenticated')
  const page = await fetch(new URL(type, refused.url))
  assert.deepEqual([page.status, page.headers.get('content-type')], [200, 'text/plain; charset=utf-8'])
  assert.equal(await page.text(), 'Who you are could not be established\n\nHTTP status: 401\nTrying again can help: no\n')
  for (const unknown of ['nonsense', 'toString', '__proto__']) assert.equal((await fetch(`${url}/problems/${unknown}`)).status, 404)
}

test('a second start signs nobody in and changes nothing', async (t) => {
  const stage = await emptyStage(t)
  const first = await up(stage, 'operator key stored in')
  await stop(first)
  const before = readFileSync(configPath(stage.environment), 'utf8')
  const second = startWrit(stage, ['up', '--data', 'data', '--port', new URL(first.url).port])
  left.push(second)
  await second.saw('address  http')
  assert.equal((await writ(stage, ['whoami'])).code, 0)
  const { out, err } = await stop(second, 'SIGINT')
  assert.doesNotMatch(out + err, /sign in|operator key stored/)
  assert.equal(readFileSync(configPath(stage.environment), 'utf8'), before)
})

test('with --no-login the link is left to you, `writ login` takes it from standard input, and then it is dead', async (t) => {
  const stage = await emptyStage(t)
  const running = await up(stage, 'sign in  http', ['--no-login'])
  assert.equal(existsSync(configPath(stage.environment)), false)
  const link = readFileSync(join(stage.folder, 'data', 'bootstrap'), 'utf8')
  assert.equal(mode(join(stage.folder, 'data', 'bootstrap')), '600')
  const done = await writ(stage, ['login', '--operator', 'maya'], { input: link })
  assert.equal(done.code, 0, done.err)
  const { operator } = await readConfig(stage.environment)
  assert.ok(!(done.out + done.err).includes(operator!.key))
  assert.match((await writ(stage, ['whoami', '--plain'])).out, /^name\tmaya$/m)
  const other = await emptyStage(t)
  const second = await writ(other, ['login'], { input: link })
  assert.deepEqual([second.code, second.out, existsSync(configPath(other.environment))], [3, '', false])
  assert.match(second.err, /^error: the link does not open anything\n/)
  assert.ok(!second.err.includes(link.split('#')[1]!.trim()))
  await stop(running)
})

test('whose operator key is lost gets in again with --new-operator-link, and the lost key is removed by its id', async (t) => {
  const stage = await emptyStage(t)
  const first = await up(stage, 'operator key stored in')
  await stop(first)
  const other = await emptyStage(t)
  const again = ['up', '--data', join(stage.folder, 'data'), '--port', '0']
  const unsaid = await writ(other, [...again, '--new-operator-link', ' '])
  assert.deepEqual([unsaid.code, unsaid.out], [2, ''])
  const running = startWrit(other, [...again, '--new-operator-link', 'the key is lost'])
  left.push(running)
  await running.saw('operator key stored in')
  assert.match(running.said().err, /a link for one more operator is offered/)
  const listed = JSON.parse((await writ(other, ['operator', 'list', '--json'])).out) as readonly { readonly id: string; readonly state: string }[]
  assert.deepEqual(listed.map(({ state }) => state), ['active', 'active'])
  const { operator: lost } = await readConfig(stage.environment)
  assert.equal((await writ(other, ['operator', 'remove', lost!.id])).code, 2, 'without a reason')
  assert.match((await writ(other, ['operator', 'remove', lost!.id, '--reason', 'lost'])).out, /state +removed/)
  const added = JSON.parse((await writ(other, ['operator', 'add', 'Noor', '--json'])).out) as { readonly id: string; readonly key: string }
  const third = await emptyStage(t)
  const { url } = await readConfig(other.environment)
  const wrong = await writ(third, ['login', '--url', url!], { input: `${added.key}x` })
  assert.deepEqual([wrong.code, existsSync(configPath(third.environment))], [3, false])
  const done = await writ(third, ['login', '--url', url!], { input: added.key })
  assert.equal(done.code, 0, done.err)
  assert.ok(!(wrong.out + wrong.err + done.out + done.err).includes(added.key))
  assert.match((await writ(third, ['whoami', '--plain'])).out, /^name\tNoor$/m)
  const last = await writ(third, ['operator', 'remove', (JSON.parse((await writ(third, ['operator', 'list', '--json'])).out) as typeof listed)[1]!.id, '--reason', 'x'])
  assert.equal(last.code, 0, last.err)
  assert.equal((await writ(third, ['operator', 'remove', added.id, '--reason', 'x'])).code, 6, 'the last one')
  await stop(running)
})

test('a second `writ up` on the same folder says who holds it, answers 78 and harms nobody', async (t) => {
  const stage = await emptyStage(t)
  const running = await up(stage, 'operator key stored in')
  const second = await writ(stage, UP)
  assert.equal(second.code, 78)
  assert.match(second.err, /^error: data directory `.*\/data` is in use by process \d+: stop it, or give this server a directory of its own\n$/)
  const [, pid] = /process (\d+)/.exec(second.err)!
  assert.equal(readFileSync(join(stage.folder, 'data', 'writ.pid'), 'utf8').trim(), pid)
  assert.equal((await writ(stage, ['whoami'])).code, 0)
  await stop(running)
})

test('a `writ up` that is killed without a word takes its server with it', async (t) => {
  const stage = await emptyStage(t)
  const running = await up(stage, 'operator key stored in')
  running.child.kill('SIGKILL')
  await running.ended
  assert.equal((await writ(stage, ['whoami'])).code, 7)
  await stop(await up(stage, 'address  http'))
})

/** All are told at once. */
const BROKEN: readonly { readonly what: string; readonly environment: NodeJS.ProcessEnv; readonly says: RegExp }[] = [
  { what: 'a port that is none', environment: { WRIT_PORT: 'abc' }, says: /^error: WRIT_PORT `abc` is no port/m },
  { what: 'a host that is not this machine', environment: { WRIT_HOST: '192.0.2.1' }, says: /^error: WRIT_HOST must be a loopback address/m },
  { what: 'a misspelt setting', environment: { WRIT_ISUER: 'x' }, says: /^error: WRIT_ISUER .*did you mean WRIT_ISSUER\?/m },
  { what: 'a database URL that is none', environment: { WRIT_DATABASE_URL: 'mysql://x' }, says: /^error: WRIT_DATABASE_URL must be/m },
  { what: 'an unknown log level', environment: { WRIT_LOG: 'loud' }, says: /^error: WRIT_LOG `loud` is no level/m },
  { what: 'keys below the data', environment: { WRIT_KEYS: 'data/keys' }, says: /^error: WRIT_KEYS must lie outside of WRIT_DATA/m },
]

test('`writ up` with settings that can not be used names each, answers 78 and writes nothing', async (t) => {
  const stage = await emptyStage(t)
  const environment = Object.assign({}, ...BROKEN.map((one) => one.environment)) as NodeJS.ProcessEnv
  const done = await writ(stage, ['up', '--data', 'data'], { environment })
  assert.deepEqual([done.code, done.out], [78, ''], done.err)
  for (const { what, says } of BROKEN) assert.match(done.err, says, what)
  assert.equal(done.err.trim().split('\n').length, BROKEN.length, done.err)
  assert.equal(existsSync(join(stage.folder, 'data')), false)
})

test('`writ up` with a configuration of its own that is broken names it, answers 78 and starts nothing', async (t: TestContext) => {
  const stage = await emptyStage(t)
  mkdirSync(dirname(configPath(stage.environment)), { recursive: true })
  writeFileSync(configPath(stage.environment), '{"urll":"canary"}', { mode: 0o600 })
  const done = await writ(stage, UP)
  assert.equal(done.code, 78)
  assert.match(done.err, /config\.json` is broken: unknown key `urll`/)
  assert.equal(existsSync(join(stage.folder, 'data')), false)
})

test('how long the command line takes to start, for the record', { skip: inFull ? false : 'only where nothing else runs' }, async (t) => {
  const stage = await emptyStage(t)
  for (const args of [['--version'], ['help'], ['whoami', '--url', 'http://127.0.0.1:1']]) {
    await writ(stage, args, { environment: { WRIT_TOKEN: 'x' } })
    const took: number[] = []
    for (let i = 0; i < 5; i++) {
      const began = performance.now()
      await writ(stage, args, { environment: { WRIT_TOKEN: 'x' } })
      took.push(performance.now() - began)
    }
    t.diagnostic(`writ ${args[0]}: median ${Math.round(took.toSorted((a, b) => a - b)[2]!)} ms of 5`)
  }
})
