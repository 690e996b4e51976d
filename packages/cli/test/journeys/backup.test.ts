import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { after, test, type TestContext } from 'node:test'
import { gzipSync } from 'node:zlib'
import { readConfig, writeConfig } from '../../src/config.ts'
import { OPERATOR_KEY } from '../double.ts'
import { emptyStage, startWrit, writ, type Running, type Stage } from '../run-writ.ts'

const left: Running[] = []
after(() => left.forEach(({ child }) => child.kill('SIGKILL')))

async function up(stage: Stage, args: readonly string[], environment: NodeJS.ProcessEnv = {}): Promise<Running & { readonly url: string }> {
  const running = startWrit(stage, ['up', ...args], { environment })
  left.push(running)
  await running.saw('address  http')
  return { ...running, url: /address {2}(http:\S+)/.exec(running.said().out)![1]! }
}

type Json = Readonly<Record<string, unknown>>
const jsonOf = (out: string): Json => JSON.parse(out) as Json

test('a backup is taken from a running server, and becomes a store that `doctor`, `audit` and `verify` know as restored', async (t) => {
  const stage = await emptyStage(t)
  const first = await up(stage, ['--data', 'data', '--port', '0'])
  await first.saw('operator key stored in')

  const taken = await writ(stage, ['backup', 'writ.backup', '--json'])
  assert.equal(taken.code, 0, taken.err)
  assert.equal(jsonOf(taken.out)['bytes'], statSync(join(stage.folder, 'writ.backup')).size)
  assert.equal((statSync(join(stage.folder, 'writ.backup')).mode & 0o777).toString(8), '600')
  assert.ok(!existsSync(join(stage.folder, 'writ.backup.partial')))
  const bytes = readFileSync(join(stage.folder, 'writ.backup'))
  const again = await writ(stage, ['backup', 'writ.backup'])
  assert.deepEqual([again.code, readFileSync(join(stage.folder, 'writ.backup'))], [6, bytes])
  assert.match(again.err, /there is a file `writ\.backup` already/)
  assert.equal((await writ(stage, ['backup', 'writ.backup', '--force'])).code, 0)
  const checkpoint = await writ(stage, ['audit', 'checkpoint', '--stream', 'human'])
  writeFileSync(join(stage.folder, 'human.checkpoint'), checkpoint.out)
  first.child.kill('SIGTERM')
  await first.ended

  const unasked = await writ(stage, ['restore', 'writ.backup', '--data', 'new'])
  assert.deepEqual([unasked.code, existsSync(join(stage.folder, 'new'))], [2, false])
  assert.match(unasked.err, /withdraws on every back end that it can reach all logins .* that another server still gives out as well[^]*error: --yes is needed/)
  const keyless = await writ(stage, ['restore', 'writ.backup', '--data', 'new', '--yes'])
  assert.deepEqual([keyless.code, existsSync(join(stage.folder, 'new'))], [78, false])
  assert.match(keyless.err, /key file `.*` is missing/)
  const environment = { WRIT_KEYS: join(stage.folder, 'data-keys') }
  const nowhere = await writ(stage, ['restore', 'none.backup', '--data', 'new', '--yes'], { environment })
  assert.equal(nowhere.code, 5)
  const full = await writ(stage, ['restore', 'writ.backup', '--data', 'data', '--yes'], { environment })
  assert.equal(full.code, 6)
  const restored = await writ(stage, ['restore', 'writ.backup', '--data', 'new', '--yes', '--json', '--checkpoint', 'human.checkpoint'], { environment })
  assert.equal(restored.code, 0, restored.err)
  assert.match(restored.err, /writ operator list[^]*writ backend secret/)
  const { restore, logs } = jsonOf(restored.out) as { readonly restore: string; readonly logs: readonly Json[] }
  assert.deepEqual(logs.map((log) => [log['stream'], log['leaves_lost'] === null ? null : 'some']), [['non-human', null], ['human', 'some']])

  const second = await up(stage, ['--data', 'new', '--port', new URL(first.url).port], environment)
  const doctor = jsonOf(`{"checks":${(await writ(stage, ['doctor', '--json'])).out}}`)['checks'] as readonly Json[]
  const restores = doctor.filter((check) => check['name'] === 'restore')
  assert.deepEqual(restores.map((check) => check['state']), ['not_evaluated', Number(logs[1]!['leaves_lost']) > 0 ? 'warning' : 'good'])
  const listed = JSON.parse((await writ(stage, ['audit', 'logs', '--json'])).out) as readonly Json[]
  assert.deepEqual(listed.map((log) => [log['stream'], log['state']]), [['non-human', 'past'], ['non-human', 'current'], ['human', 'past'], ['human', 'current']])

  assert.equal((await writ(stage, ['audit', 'export', '--stream', 'human', 'new.log'])).code, 0)
  assert.equal((await writ(stage, ['audit', 'export', '--stream', 'human', '--log', String(listed[2]!['origin']), 'old.log'])).code, 0)
  const newLog = await writ(stage, ['verify', '--key', 'new.log.key', '--checkpoint', 'human.checkpoint', 'new.log'])
  assert.equal(newLog.code, 0, newLog.err)
  assert.match(newLog.out, new RegExp(`opened by restore ${restore}`))
  assert.match(newLog.out, /leaves of it that are lost: (at least \d+, from \d+ on|none that is known of)/)
  assert.match((await writ(stage, ['verify', '--key', 'new.log.key', 'new.log'])).out, new RegExp(`opened by restore ${restore}`))
  assert.equal((await writ(stage, ['verify', '--key', 'old.log.key', 'old.log'])).code, 0)
  assert.equal((await writ(stage, ['verify', '--key', 'old.log.key', 'new.log'])).code, 21)
  second.child.kill('SIGTERM')
  await second.ended
})

/** Answers every backup with these bytes, and then ends as a server does, or as one that dies. */
async function fakeServer(t: TestContext, bytes: Buffer, dies: boolean): Promise<string> {
  const server: Server = createServer((_request, response) => {
    response.writeHead(200, { 'content-type': 'application/gzip' })
    response.write(bytes, () => { if (dies) response.destroy(); else response.end() })
  })
  await new Promise<void>((done) => { server.listen(0, '127.0.0.1', done) })
  t.after(() => { server.close() })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

const CUTS = [
  { what: 'dies in the midst of it', bytes: gzipSync(`{"format":"writ-backup/1","backup":"bkp_1"}\n${randomBytes(400_000).toString('hex')}\n`).subarray(0, 300_000), dies: true, code: 7 },
  { what: 'sends half of it', bytes: gzipSync(`{"format":"writ-backup/1","backup":"bkp_1"}\n${randomBytes(100_000).toString('hex')}\n`).subarray(0, 40_000), dies: false, code: 21 },
  { what: 'sends what is no archive', bytes: Buffer.from('not found\n'), dies: false, code: 21 },
  { what: 'sends all but its end', bytes: gzipSync('{"format":"writ-backup/1","backup":"bkp_1"}\n["a row"]\n'), dies: false, code: 21 },
  { what: 'sends another end', bytes: gzipSync('{"format":"writ-backup/1","backup":"bkp_1","logs":[]}\n["a row"]\n{"end":true,"rows":{},"sha256":"00","hmac":""}\n'), dies: false, code: 21 },
] as const

for (const { what, bytes, dies, code } of CUTS) {
  test(`nothing is left of a backup whose server ${what}`, async (t) => {
    const stage = await emptyStage(t)
    const url = await fakeServer(t, bytes, dies)
    await writeConfig(stage.environment, { ...await readConfig(stage.environment), url, operator: { id: 'opr_1', key: OPERATOR_KEY } })
    const { code: got, err, out } = await writ(stage, ['backup', 'writ.backup'])
    assert.equal(got, code, err)
    assert.equal(out, '')
    assert.deepEqual(readdirSync(stage.folder).filter((name) => name.startsWith('writ.backup')), [])
  })
}
