import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { chmodSync, cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync,
  writeFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import * as registry from '@writ/contract/registry'
import { createKeys } from '../../src/keys/key-files.ts'
import { hostEntropy } from '../../src/platform/entropy.ts'
import { CHILD_ENVIRONMENT } from '../child-environment.ts'
import { postgres, type TestDatabase } from '../postgres.ts'
import { MAIN, runOf } from '../program.ts'
import { startWrit, type RunningWrit } from '../running-writ.ts'

type Ended = { readonly code: number | null; readonly err: string; readonly out: string; readonly ms: number }

/** Starts the server as it should not start. */
async function start(env: NodeJS.ProcessEnv): Promise<Ended> {
  const began = Date.now()
  const child = spawn(process.execPath, runOf(MAIN), { env: { ...CHILD_ENVIRONMENT, ...env }, stdio: ['ignore', 'pipe', 'pipe'], timeout: 30_000 })
  let [out, err] = ['', '']
  child.stdout.on('data', (chunk: Buffer) => { out += chunk.toString() })
  child.stderr.on('data', (chunk: Buffer) => { err += chunk.toString() })
  const [code] = await once(child, 'close') as [number | null]
  return { code, err, out, ms: Date.now() - began }
}

/** Every file below the folder with its rights and a hash of what it holds; but for SQLite's own lock files, which a look may touch. */
function snapshot(folder: string): readonly string[] {
  if (!existsSync(folder)) return []
  return readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => !/-(shm|wal)$/.test(name)).toSorted().map((name) => {
    const path = join(folder, name)
    const at = statSync(path)
    return `${name} ${at.mode.toString(8)} ${at.isFile() ? createHash('sha256').update(readFileSync(path)).digest('hex') : ''}`
  })
}

const folders: string[] = []
const newFolder = (): string => {
  const folder = mkdtempSync(join(tmpdir(), 'writ-config-'))
  folders.push(folder)
  return folder
}
after(() => { for (const folder of folders) rmSync(folder, { recursive: true, force: true }) })

const SETTINGS = [
  { what: 'is spelled wrong', env: { WRIT_PROT: '7400' }, says: /WRIT_PROT is no setting of Writ's: did you mean WRIT_PORT\?/ },
  { what: 'lacks a letter', env: { WRIT_DATABASE_UR: 'postgres://x@y/z' },
    says: /WRIT_DATABASE_UR is no setting of Writ's: did you mean WRIT_DATABASE_URL\?/ },
  { what: 'is nobody\'s', env: { WRIT_COLOUR: 'red' }, says: /WRIT_COLOUR is no setting of Writ's/ },
  { what: 'is a port too high', env: { WRIT_PORT: '99999' }, says: /WRIT_PORT `99999`/ },
  { what: 'is a port of letters', env: { WRIT_PORT: 'abc' }, says: /WRIT_PORT `abc`/ },
  { what: 'is a port below zero', env: { WRIT_PORT: '-1' }, says: /WRIT_PORT `-1`/ },
  { what: 'is half a port', env: { WRIT_PORT: '74.5' }, says: /WRIT_PORT `74\.5`/ },
  { what: 'is a port in another notation', env: { WRIT_PORT: '0x1ce8' }, says: /WRIT_PORT `0x1ce8`/ },
  { what: 'opens plain HTTP to the network', env: { WRIT_HOST: '0.0.0.0' }, says: /WRIT_HOST must be a loopback address, or be protected: set WRIT_TLS_CERT and WRIT_TLS_KEY, or name in WRIT_TRUSTED_PROXY/ },
  { what: 'opens plain HTTP to the network of six', env: { WRIT_HOST: '::' }, says: /WRIT_HOST must be a loopback address/ },
  { what: 'is no address', env: { WRIT_HOST: 'writ.acme.example' }, says: /WRIT_HOST must be an address/ },
  { what: 'is no level', env: { WRIT_LOG: 'loud' }, says: /WRIT_LOG `loud` is no level.*warn/ },
  { what: 'is no word on nonces', env: { WRIT_DPOP_NONCE: 'yes' }, says: /WRIT_DPOP_NONCE must be `required`, or be left out/ },
  { what: 'is no length', env: { WRIT_RETRY_BASE: '10' }, says: /WRIT_RETRY_BASE must be a length such as `10s`/ },
  { what: 'is a length of zero', env: { WRIT_RETRY_BASE: '0s' }, says: /WRIT_RETRY_BASE/ },
  { what: 'is no number', env: { WRIT_ADVICE_PER_MINUTE: 'many' }, says: /WRIT_ADVICE_PER_MINUTE must be a whole number from 1 to 1000000/ },
  { what: 'is none at all', env: { WRIT_DENIED_PER_MINUTE: '0' }, says: /WRIT_DENIED_PER_MINUTE must be a whole number from 1/ },
  { what: 'is a provider without TLS', env: { WRIT_OIDC_ISSUER: 'http://idp.acme.example', WRIT_OIDC_CLIENT_ID: 'writ', WRIT_OIDC_CLIENT_SECRET_FILE: '/keys/oidc' }, says: /WRIT_OIDC_ISSUER must be an `https:\/\/` URL/ },
  { what: 'is a number too high', env: { WRIT_REFUSED_PER_MINUTE: '1000001' }, says: /WRIT_REFUSED_PER_MINUTE must be a whole number from 1/ },
  { what: 'is no origin', env: { WRIT_ISSUER: 'writ.acme.example' }, says: /WRIT_ISSUER must be an origin/ },
  { what: 'is an origin with a path', env: { WRIT_ISSUER: 'https://writ.acme.example/' }, says: /WRIT_ISSUER must be an origin/ },
  { what: 'is a script for an origin', env: { WRIT_ISSUER: 'javascript:alert(1)' }, says: /WRIT_ISSUER must be an origin/ },
  { what: 'is a database of another make', env: { WRIT_DATABASE_URL: 'mysql://root:hunter2@db/x' }, says: /WRIT_DATABASE_URL must be `postgres:/ },
  { what: 'is a database without a name', env: { WRIT_DATABASE_URL: 'postgres://root:hunter2@db' }, says: /WRIT_DATABASE_URL must be/ },
  { what: 'is no URL', env: { WRIT_DATABASE_URL: 'hunter2' }, says: /WRIT_DATABASE_URL must be/ },
  { what: 'asks for missing checksums with another word', env: { WRIT_DATABASE_WITHOUT_CHECKSUMS: 'yes' },
    says: /WRIT_DATABASE_WITHOUT_CHECKSUMS must be `accepted`/ },
  { what: 'is in an environment that there is not', env: { WRIT_ENVIRONMENT: 'prod' }, says: /WRIT_ENVIRONMENT must be one of `production`/ },
  { what: 'opens the metrics with another word', env: { WRIT_METRICS: 'yes' }, says: /WRIT_METRICS must be `open`/ },
  { what: 'asks for a link for reasons without end', env: { WRIT_NEW_OPERATOR_LINK: 'x'.repeat(501) }, says: /WRIT_NEW_OPERATOR_LINK must say in one line of at most 500/ },
  { what: 'asks for a link in two lines', env: { WRIT_NEW_OPERATOR_LINK: 'lost\nforged' }, says: /WRIT_NEW_OPERATOR_LINK must say in one line/ },
  { what: 'is near a new setting', env: { WRIT_TRUSTED_PROXIES: '10.0.0.5' }, says: /WRIT_TRUSTED_PROXIES is no setting/ },
] as const satisfies readonly { readonly what: string; readonly env: NodeJS.ProcessEnv; readonly says: RegExp }[]

/** All faults are told at once, so that one start can have a fault in each setting: the first of each, then the second of each. */
const ROUNDS = Object.values(Object.groupBy(SETTINGS, (one, i) => {
  const [setting] = Object.keys(one.env)
  return String(SETTINGS.slice(0, i).filter((before) => setting! in before.env).length)
})) as (typeof SETTINGS[number])[][]

describe('a setting that can not be used', () => {
  for (const round of ROUNDS) {
    test(`ends the server with 78, each is named, and nothing is written, when one ${round.map(({ what }) => what).join(', and one ')}`, async () => {
      const folder = newFolder()
      const got = await start({ WRIT_DATA: join(folder, 'data'), ...Object.assign({}, ...round.map(({ env }) => env)) as NodeJS.ProcessEnv })
      assert.equal(got.code, 78, got.err)
      for (const { says } of round) assert.match(got.err, says)
      assert.equal(got.err.trim().split('\n').length, round.length, `no other fault: ${got.err}`)
      assert.doesNotMatch(got.err + got.out, /hunter2/)
      assert.deepEqual(snapshot(folder), [])
    })
  }

  test('ends the server when the key of its certificate would lie in the data', async () => {
    const folder = newFolder()
    const got = await start({ WRIT_DATA: join(folder, 'data'), WRIT_TLS_CERT: join(folder, 'data', 'x.crt'), WRIT_TLS_KEY: join(folder, 'data', 'x.key') })
    assert.deepEqual([got.code, snapshot(folder)], [78, []], got.err)
    assert.match(got.err, /WRIT_TLS_KEY must lie outside of WRIT_DATA/)
  })

  for (const { what, keys } of [{ what: 'in', keys: 'data/keys' }, { what: 'as', keys: 'data' },
    { what: 'by a detour in', keys: 'data/../data/x' }]) {
    test(`ends the server when the keys would lie ${what} the data: a copy of the data must hold no key`, async () => {
      const folder = newFolder()
      const got = await start({ WRIT_DATA: join(folder, 'data'), WRIT_KEYS: `${folder}/${keys}` })
      assert.deepEqual([got.code, snapshot(folder)], [78, []], got.err)
      assert.match(got.err, /WRIT_KEYS must lie outside of WRIT_DATA/)
    })
  }

  for (const setting of ['WRIT_DATA', 'WRIT_KEYS'] as const) {
    test(`ends the server when ${setting} names a file, and nothing is written`, async () => {
      const folder = newFolder()
      const file = join(folder, 'file')
      writeFileSync(file, 'somebody\'s')
      const had = snapshot(folder)
      const got = await start({ WRIT_DATA: join(folder, 'data'), [setting]: file })
      assert.equal(got.code, 78, got.err)
      assert.ok(got.err.includes(file), got.err)
      assert.deepEqual(snapshot(folder), had)
    })
  }
})

describe('a store and its keys', () => {
  let writ: RunningWrit
  const env = (folder: string): NodeJS.ProcessEnv => ({ WRIT_DATA: join(folder, 'data'), WRIT_PORT: '0' })
  before(async () => {
    writ = await startWrit()
    await writ.register('bot')
  })
  after(() => writ.stop())

  test('are one server\'s at a time: a second one ends, says which process has them, and the first goes on', async () => {
    const got = await start(env(writ.folder))
    const pid = readFileSync(join(writ.folder, 'data', 'writ.pid'), 'utf8').trim()
    assert.equal(got.code, 78, got.err)
    assert.ok(got.err.includes(join(writ.folder, 'data')) && got.err.includes(pid), got.err)
    assert.equal((await writ.operator(registry.listIdentities)).reply.identities.length, 1)
    assert.equal(readFileSync(join(writ.folder, 'data', 'writ.pid'), 'utf8').trim(), pid)
  })

  const spoilt = async (): Promise<{ readonly folder: string; readonly keys: string }> => {
    const folder = newFolder()
    if (writ.log() !== undefined) await writ.kill('SIGTERM')
    cpSync(writ.folder, folder, { recursive: true })
    return { folder, keys: join(folder, 'data-keys') }
  }

  // Keys that are missing, another installation's, or open to everybody: `refused-starts.test.ts`.
  for (const { what, spoil, says } of [
    { what: 'a log key is open to the group', spoil: (keys: string) => { chmodSync(join(keys, 'log-human.key'), 0o640); return 'log-human.key' },
      says: /open to other users/ },
    { what: 'the master key is empty', spoil: (keys: string) => { writeFileSync(join(keys, 'master.key'), ''); return 'master.key' },
      says: /does not hold/ },
    { what: 'the log key is no key', spoil: (keys: string) => { writeFileSync(join(keys, 'log-human.key'), 'x'); return 'log-human.key' },
      says: /does not hold/ },
  ]) {
    test(`do not start when ${what}: 78, the file's name, and nothing is written`, async () => {
      const { folder, keys } = await spoilt()
      const named = spoil(keys)
      const had = snapshot(folder)
      const got = await start(env(folder))
      assert.equal(got.code, 78, got.err)
      assert.match(got.err, says)
      assert.ok(got.err.includes(named), got.err)
      const database = (names: readonly string[]): readonly string[] => names.filter((one) => !/writ\.(pid|lock|db)/.test(one))
      assert.deepEqual(database(snapshot(folder)), database(had))
    })
  }
})

describe('a PostgreSQL that can not be used', () => {
  let database: TestDatabase
  before(async () => { database = await (await postgres(18)).createDatabase() })
  after(() => database.drop())

  const closedPort = async (): Promise<number> => {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    server.close()
    await once(server, 'close')
    return port
  }

  for (const keys of ['new', 'there'] as const) {
    test(`ends the server with 1 when it is not there: host and port are said, the password is not (keys: ${keys})`, async () => {
      const folder = newFolder()
      const port = await closedPort()
      mkdirSync(join(folder, 'data'))
      if (keys === 'there') assert.ok(createKeys(join(folder, 'data-keys'), hostEntropy).ok)
      const had = snapshot(folder)
      const got = await start({ WRIT_DATA: join(folder, 'data'), WRIT_PORT: '0',
        WRIT_DATABASE_URL: `postgres://writ:hunter2@127.0.0.1:${port}/writ` })
      assert.equal(got.code, 1, got.err)
      assert.ok(got.err.includes(`127.0.0.1:${port}`), got.err)
      assert.match(got.err, /ECONNREFUSED/)
      assert.doesNotMatch(got.err + got.out, /hunter2/)
      assert.deepEqual(snapshot(folder), had)
    })
  }

  for (const { what, spoil, code } of [
    { what: 'refuses the password', spoil: (url: URL) => { url.password = 'hunter2' }, code: /28P01/ },
    { what: 'has no such database', spoil: (url: URL) => { url.pathname = '/writ_nowhere' }, code: /3D000/ },
  ]) {
    test(`ends the server with 1 when it ${what}: the place is said, the password is not`, async () => {
      const folder = newFolder()
      const url = new URL(database.url)
      const { password } = url
      spoil(url)
      const got = await start({ WRIT_DATA: join(folder, 'data'), WRIT_PORT: '0', WRIT_DATABASE_URL: url.href })
      assert.equal(got.code, 1, got.err)
      assert.ok(got.err.includes(url.host), got.err)
      assert.match(got.err, code)
      assert.ok(!got.err.includes(password) && !got.err.includes('hunter2'))
      assert.deepEqual(snapshot(folder), [])
    })
  }
})
