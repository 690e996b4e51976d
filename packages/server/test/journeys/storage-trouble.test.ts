import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, statfsSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import * as contract from '@writ/contract/registry'
import * as tasks from '@writ/contract/tasks'
import { ask, startCluster, type Cluster } from '../../../../scripts/postgres-cluster.ts'
import { eventually } from '../eventually.ts'
import { opened } from '../governed-writ.ts'
import { allEvents, assertLogsHold } from '../proofs.ts'
import { REGISTRATION, startWrit, type RunningWrit, type TestIdentity } from '../running-writ.ts'

const registerOne = (writ: RunningWrit, name: string, purpose = 'keeps the shop tidy') =>
  writ.operator(contract.registerIdentity, { body: { ...REGISTRATION, purpose, spiffe_id: `spiffe://acme.example/${name}` } })

/** One call, and how long its answer took. */
async function timed<T>(call: () => Promise<T>): Promise<{ readonly got: T; readonly ms: number }> {
  const began = performance.now()
  const got = await call()
  return { got, ms: performance.now() - began }
}

const namesOf = async (writ: RunningWrit): Promise<readonly string[]> => {
  const got = await writ.operator(contract.listIdentities, { query: { limit: '1000' } })
  return got.reply.identities.map((one) => one.spiffe_id.split('/').at(-1)!).toSorted()
}

/** Each identity has its one event, and each event its identity: nothing is half done. */
async function assertWhole(writ: RunningWrit): Promise<void> {
  const told = (await allEvents(writ, { stream: 'human' })).filter((event) => event.type === 'identity.registered').map((event) => String(event.facts['spiffe_id']).split('/').at(-1)!)
  assert.deepEqual(told.toSorted(), await namesOf(writ))
  await assertLogsHold(writ)
}

describe('a PostgreSQL store that goes away', () => {
  let cluster: Cluster
  let writ: RunningWrit
  let agent: TestIdentity
  before(async () => {
    cluster = await startCluster({ version: 18 })
    await ask(cluster.url(), 'create database writ')
    writ = await startWrit({ env: { WRIT_DATABASE_URL: cluster.url('writ') } })
    agent = await writ.register('agent')
  })
  after(async () => {
    await writ.stop()
    await cluster.stop('immediate')
  })

  for (const mode of ['fast', 'immediate'] as const) {
    test(`(${mode} stop) is a 503 with Retry-After within a second, and the same process is healthy within 3 s after it is back`, async (t) => {
      const task = await opened(agent)
      const before = await namesOf(writ)
      await cluster.halt(mode)
      const calls = {
        'a registration': () => registerOne(writ, `lost-${mode}`),
        'a list': () => writ.operator(contract.listIdentities),
        'readiness': () => writ.stranger(contract.ready),
        'a task\'s opening': () => agent.api(contract.whoAmI),
      }
      for (let round = 0; round < 3; round++) {
        for (const [what, call] of Object.entries(calls)) {
          const { got, ms } = await timed(call as () => Promise<Awaited<ReturnType<typeof registerOne>>>)
          assert.equal(got.status, 503, `${what}: ${got.text}`)
          assert.equal(got.problem.code, 'storage_unavailable', what)
          assert.ok(Number(got.headers.get('retry-after')) >= 1, what)
          assert.ok(ms < 1000, `${what} took ${Math.round(ms)} ms`)
        }
      }
      const crowd = await Promise.all(Array.from({ length: 40 }, (_, i) => timed(() => registerOne(writ, `crowd-${mode}-${i}`))))
      assert.ok(crowd.every(({ got }) => got.status === 503))
      const slowest = Math.max(...crowd.map(({ ms }) => ms))
      t.diagnostic(`the slowest of 40 at once was answered after ${Math.round(slowest)} ms`)
      assert.ok(slowest < 1000, `${Math.round(slowest)} ms`)
      assert.equal((await writ.stranger(contract.health)).status, 200, 'the process lives')

      await cluster.resume()
      const { ms } = await timed(() => eventually('readiness', async () => (await writ.stranger(contract.ready)).status === 200, 3000))
      t.diagnostic(`ready ${Math.round(ms)} ms after PostgreSQL`)
      assert.deepEqual(await namesOf(writ), before)
      assert.equal((await registerOne(writ, `back-${mode}`)).status, 201)
      assert.equal((await agent.api(tasks.completeTask, { parameters: { id: task } })).status, 200)
      await assertWhole(writ)
    })
  }
})

/** Writes until there is no room. */
function fill(file: string): void {
  const { bavail, bsize } = statfsSync(join(file, '..'))
  try {
    writeFileSync(file, new Uint8Array(bavail * bsize))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
  }
}

/** A small file system, which only root can make. */
const canMount = process.platform === 'linux' && process.getuid?.() === 0

describe('a disk that is full', { skip: canMount ? false : 'only root can mount a small file system' }, () => {
  let small: string
  let running: RunningWrit | undefined
  before(async () => {
    small = mkdtempSync(join(tmpdir(), 'writ-small-'))
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=6m', 'tmpfs', small])
    const elsewhere = process.env['TMPDIR']
    process.env['TMPDIR'] = small
    try {
      running = await startWrit()
    } finally {
      if (elsewhere === undefined) delete process.env['TMPDIR']
      else process.env['TMPDIR'] = elsewhere
    }
  })
  after(async () => {
    await running?.stop()
    execFileSync('umount', [small])
    rmSync(small, { recursive: true })
  })

  test('is a 503 with Retry-After within a second, and the server goes on once there is room', async (t) => {
    const writ = running!
    assert.equal((await registerOne(writ, 'before')).status, 201)
    const ballast = join(small, 'ballast')
    fill(ballast)
    const kept = ['before']
    let refused = 0
    let slowest = 0
    await eventually('the disk is full', async () => {
      const name = `filler-${kept.length}-${refused}`
      const { got, ms } = await timed(() => registerOne(writ, name, 'x'.repeat(900)))
      if (got.status === 201) kept.push(name)
      else {
        assert.equal(got.status, 503, got.text)
        assert.equal(got.problem.code, 'storage_unavailable')
        assert.ok(Number(got.headers.get('retry-after')) >= 1)
        refused++
        slowest = Math.max(slowest, ms)
      }
      return refused >= 5
    })
    t.diagnostic(`the slowest refusal took ${Math.round(slowest)} ms`)
    assert.ok(slowest < 1000)
    const crowd = await Promise.all(Array.from({ length: 20 }, (_, i) => registerOne(writ, `crowd-${i}`, 'x'.repeat(900))))
    for (const [i, got] of crowd.entries()) if (got.status === 201) kept.push(`crowd-${i}`)
    assert.ok(crowd.some((got) => got.status === 503))
    assert.deepEqual(await namesOf(writ), kept.toSorted(), 'what was refused is not there, and what was granted is')
    await eventually('readiness tells the truth', async () => (await writ.stranger(contract.ready)).status === 503, 10_000)
    assert.equal((await writ.stranger(contract.health)).status, 200)

    truncateSync(ballast, 0)
    await eventually('it goes on', async () => (await registerOne(writ, `after-${Date.now()}`)).status === 201, 5000)
    await eventually('readiness', async () => (await writ.stranger(contract.ready)).status === 200, 5000)
    await assertWhole(writ)
  })
})
