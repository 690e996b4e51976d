import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { existsSync, readdirSync, readlinkSync, statSync } from 'node:fs'
import { dirname, isAbsolute, join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { ask, startCluster } from './postgres-cluster.ts'

for (const version of [15, 18] as const) {
  test(`a PostgreSQL ${version} of its own starts, answers, and leaves nothing behind`, async (t) => {
    const began = performance.now()
    const cluster = await startCluster({ version, settings: { application_name: "it's" } })
    t.diagnostic(`started in ${Math.round(performance.now() - began)} ms`)
    t.after(() => cluster.stop())
    assert.match(String((await ask(cluster.url(), 'select version()'))[0]?.['version']), new RegExp(`^PostgreSQL ${version}\\.`))
    const settings = await ask(cluster.url(), "select current_setting('fsync') fsync, current_setting('data_checksums') sums")
    assert.deepEqual(settings, [{ fsync: 'on', sums: 'on' }])
    assert.equal(statSync(dirname(cluster.dataDir)).mode & 0o777, 0o755)
    await assert.rejects(ask(cluster.url().replace(cluster.superuserPassword, 'wrong'), 'select 1'), { code: '28P01' })
    const processes = execFileSync('ps', ['-eo', 'args'], { encoding: 'utf8' })
    assert.ok(!processes.includes(cluster.superuserPassword))
    await cluster.stop()
    assert.equal(existsSync(dirname(cluster.dataDir)), false)
    await assert.rejects(ask(cluster.url(), 'select 1'), { code: 'ECONNREFUSED' })
  })
}

test('what a server from npm needs stands in its own folder, since its user may not enter the clone', async (t) => {
  // The host's own 15 serves where there is one; 18 comes from npm unless the host has that too.
  const cluster = await startCluster({ version: 18 })
  t.after(() => cluster.stop())
  const native = join(dirname(cluster.dataDir), 'native')
  if (!existsSync(native)) return t.skip('the host has a PostgreSQL 18 of its own')
  const links = readdirSync(native, { recursive: true, withFileTypes: true }).filter((one) => one.isSymbolicLink()).map((one) => join(one.parentPath, one.name))
  assert.ok(links.length > 0)
  for (const link of links) assert.ok(!isAbsolute(readlinkSync(link)) && existsSync(link), link)
})

test('a server that is halted comes back on its port with its data', async (t) => {
  const cluster = await startCluster()
  t.after(() => cluster.stop())
  await ask(cluster.url(), 'create table kept as select 1 as one')
  await cluster.halt('immediate')
  await assert.rejects(ask(cluster.url(), 'select 1'), { code: 'ECONNREFUSED' })
  await cluster.resume()
  assert.deepEqual(await ask(cluster.url(), 'select one from kept'), [{ one: 1 }])
})

test('a server whose starter is killed stops and removes its folder', async () => {
  const source = `
    import { startCluster } from './postgres-cluster.ts'
    console.log((await startCluster()).dataDir)
    setInterval(() => {}, 1000)`
  const starter = spawn(process.execPath, ['--input-type=module', '-e', source], { cwd: import.meta.dirname, stdio: ['ignore', 'pipe', 'inherit'] })
  const [said] = await new Promise<[Buffer]>((resolve) => { starter.stdout.once('data', (data: Buffer) => resolve([data])) })
  const dataDir = said.toString().trim()
  assert.ok(existsSync(dataDir))
  starter.kill('SIGKILL')
  const deadline = Date.now() + 10_000
  while (existsSync(dirname(dataDir)) && Date.now() < deadline) await wait(50)
  assert.equal(existsSync(dirname(dataDir)), false)
})

test('a setting that PostgreSQL does not know is told with its own words', async () => {
  await assert.rejects(startCluster({ settings: { no_such_setting: '1' } }), /unrecognized configuration parameter "no_such_setting"/)
})
