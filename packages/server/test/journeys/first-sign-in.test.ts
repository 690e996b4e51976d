import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import * as registry from '@writ/contract/registry'
import { pathOf } from '@writ/contract/endpoint'
import { isSecret, SECRET_PREFIX, toSecret } from '@writ/domain/secret'
import { hostEntropy } from '../../src/platform/entropy.ts'
import { CHILD_ENVIRONMENT } from '../child-environment.ts'
import { eventually } from '../eventually.ts'
import { keptIn } from '../kept.ts'
import { MAIN, orKilled, runOf } from '../program.ts'
import type { Registered } from '@writ/contract/registry'

const START_MS = 30_000

type Started = { readonly url: string; readonly out: () => string; readonly err: () => string; stop(): Promise<unknown> }

/** As an operator's terminal sees it: nobody has signed in yet. */
async function start(folder: string): Promise<Started> {
  const child = spawn(process.execPath, runOf(MAIN), {
    env: { ...CHILD_ENVIRONMENT, WRIT_DATA: join(folder, 'data'), WRIT_PORT: '0', WRIT_LOG: 'trace' }, stdio: ['ignore', 'pipe', 'pipe'],
  })
  let [out, err] = ['', '']
  child.stdout.on('data', (chunk: Buffer) => { out += chunk.toString() })
  child.stderr.on('data', (chunk: Buffer) => { err += chunk.toString() })
  const ended = once(child, 'exit')
  const url = await orKilled(child, eventually('the address', () => {
    if (child.exitCode !== null) throw new Error(`the server ended: ${err}`)
    return /address +(\S+)[\s\S]*\n$/.exec(out)?.[1]
  }, START_MS))
  return {
    url, out: () => out, err: () => err,
    async stop() {
      child.kill('SIGTERM')
      return (await ended)[0]
    },
  }
}

type Redeemed = { readonly status: number; readonly text: string; readonly json: { readonly key: string; readonly operator: string; readonly code: string } }

const redeem = async (url: string, body: unknown): Promise<Redeemed> => {
  const answer = await fetch(url + pathOf(registry.redeemBootstrap),
    { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })
  const text = await answer.text()
  return { status: answer.status, text, json: JSON.parse(text) as never }
}

describe('the first sign-in', () => {
  const folder = mkdtempSync(join(tmpdir(), 'writ-first-'))
  const file = join(folder, 'data', 'bootstrap')
  const store = { folder, databaseUrl: undefined }
  let writ: Started
  let key = ''
  const codes: string[] = []
  before(async () => { writ = await start(folder) })
  after(async () => {
    await writ.stop()
    rmSync(folder, { recursive: true })
  })

  test('the link is printed once, and stands in a file that only this user can read', () => {
    const link = readFileSync(file, 'utf8').trim()
    assert.equal(statSync(file).mode & 0o777, 0o600)
    assert.equal(statSync(join(folder, 'data')).mode & 0o077, 0, 'the folder is this user\'s alone')
    assert.equal(writ.out().split(link).length, 2)
    const [address, code] = link.split('#')
    assert.equal(address, `${writ.url}/first`)
    assert.ok(isSecret(code!) && code!.startsWith(SECRET_PREFIX.bootstrap))
    codes.push(code!)
  })

  test('the link leads to a page that says what to do, and following it uses nothing up', async () => {
    const page = await fetch(`${writ.url}/first`)
    assert.deepEqual([page.status, page.headers.get('cache-control')], [200, 'no-store'])
    assert.match(await page.text(), /writ login/)
  })

  test('an unknown code, a cut one, another secret and no code are all told the same, and no operator is made', async () => {
    const before = await keptIn(store)
    const unknown = toSecret(SECRET_PREFIX.bootstrap, hostEntropy.bytes(32))
    const answers = new Set<string>()
    for (const code of [unknown, codes[0]!.slice(0, -1), `${codes[0]!}x`, codes[0]!.toUpperCase(),
      toSecret(SECRET_PREFIX.operator, hostEntropy.bytes(32)), 'x', '']) {
      const got = await redeem(writ.url, { code, operator: 'Mallory' })
      assert.deepEqual([got.status, got.json.code], [401, 'bad_bootstrap_code'])
      answers.add(got.text.replace(/"trace_id":"[^"]+"/, ''))
    }
    assert.equal(answers.size, 1)
    for (const body of [{ code: codes[0] }, { code: codes[0], operator: '' }, { code: codes[0], operator: 'M', admin: true },
      { code: ['x'], operator: 'M' }]) assert.equal((await redeem(writ.url, body)).status, 400)
    assert.deepEqual(await keptIn(store), before)
  })

  test('while nobody has signed in, every start offers a new link', async () => {
    await writ.stop()
    assert.ok(!existsSync(file), 'the file goes with the server')
    writ = await start(folder)
    const code = readFileSync(file, 'utf8').trim().split('#')[1]!
    assert.ok(!codes.includes(code))
    codes.push(code)
  })

  test('of five who follow the link at once one gets a key, and then the link is dead', async () => {
    const before = await keptIn(store)
    const got = await Promise.all([1, 2, 3, 4, 5].map((n) => redeem(writ.url, { code: codes[1], operator: `Maya ${n}` })))
    assert.deepEqual(got.map((one) => String(one.status)).toSorted(), ['201', '401', '401', '401', '401'])
    const { json } = got.find((one) => one.status === 201)!
    assert.ok(isSecret(json.key) && json.key.startsWith(SECRET_PREFIX.operator))
    key = json.key
    assert.equal((await redeem(writ.url, { code: codes[1], operator: 'Mallory' })).status, 401)
    const after = await keptIn(store)
    assert.deepEqual([after.operator - before.operator, after.event - before.event], [1, 1])
    const me = await fetch(writ.url + registry.whoAmI.path, { headers: { authorization: `Bearer ${key}` } })
    assert.deepEqual([me.status, (await me.json() as { id: string }).id], [200, json.operator])
  })

  test('once there is an operator, no link is offered any more, and an older one is worth nothing', async () => {
    await writ.stop()
    writ = await start(folder)
    assert.ok(!existsSync(file))
    assert.doesNotMatch(writ.out(), /sign in|writ_first/)
    assert.equal((await redeem(writ.url, { code: codes[0], operator: 'Mallory' })).status, 401)
    assert.equal((await fetch(writ.url + registry.whoAmI.path, { headers: { authorization: `Bearer ${key}` } })).status, 200)
  })

  test('code, key and webhook secret stand in no log and no file: of the key the store keeps a hash', async () => {
    const made = await fetch(writ.url + registry.registerIdentity.path, {
      method: 'POST', headers: { 'content-type': 'application/json', authorization: `Bearer ${key}` },
      body: JSON.stringify({ ...(await import('../running-writ.ts')).REGISTRATION, spiffe_id: 'spiffe://acme.example/bot',
        trigger: { kind: 'webhook' } }),
    })
    const { secret } = (await made.json() as Registered).webhook!
    await fetch(`${writ.url}/v1/whoami`, { headers: { authorization: `Bearer ${key}x` } })
    await writ.stop()
    const secrets = [...codes, key, secret]
    assert.ok(secrets.every((one) => isSecret(one)))
    for (const one of secrets) {
      const random = one.slice(-49, -6)
      assert.ok(!writ.err().includes(random), 'in the log')
      for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
        const path = join(folder, name)
        if (!statSync(path).isFile()) continue
        assert.ok(!readFileSync(path).includes(random), `in ${name}`)
        assert.equal(statSync(path).mode & 0o077, 0, `${name} is open to others`)
      }
    }
  })
})
