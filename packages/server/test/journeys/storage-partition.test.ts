import assert from 'node:assert/strict'
import { setTimeout as pause } from 'node:timers/promises'
import { after, before, describe, test } from 'node:test'
import * as registry from '@writ/contract/registry'
import * as tasks from '@writ/contract/tasks'
import { ask, startCluster, type Cluster } from '../../../../scripts/postgres-cluster.ts'
import { cutProxy, type CutProxy } from '../cut-proxy.ts'
import { eventually } from '../eventually.ts'
import { complete, open, opened } from '../governed-writ.ts'
import { allEvents, assertLogsHold } from '../proofs.ts'
import { retrying } from '../retrying.ts'
import { startWrit, type RunningWrit, type TestIdentity } from '../running-writ.ts'
import { startSeveral } from '../several-writs.ts'

/** R13: no request takes longer, whatever becomes of the way to the database. */
const DEADLINE_MS = 3000
/** R13: within this, what is dead has been replaced. */
const RECOVERED_MS = 5000
const CUT_MS = 8000

async function timed<T>(call: () => Promise<T>): Promise<{ readonly got: T; readonly ms: number }> {
  const began = performance.now()
  const got = await call()
  return { got, ms: performance.now() - began }
}

describe('the way to PostgreSQL is cut (by a relay of our own that forwards nothing and closes nothing)', () => {
  let cluster: Cluster
  let proxy: CutProxy
  let writ: RunningWrit
  let agent: TestIdentity
  before(async () => {
    cluster = await startCluster({ version: 18 })
    await ask(cluster.url(), 'create database writ')
    proxy = await cutProxy(cluster)
    const url = new URL(cluster.url('writ'))
    url.port = String(proxy.port)
    writ = await startWrit({ env: { WRIT_DATABASE_URL: url.href, WRIT_LOG: 'warn' } })
    agent = await writ.register('agent')
  })
  after(async () => {
    await writ.stop()
    await proxy.close()
    await cluster.stop('immediate')
  })

  for (const { which, what } of [
    { which: 'all', what: 'as a whole' },
    { which: 'open', what: 'for the connections that stand, while new ones go through' },
  ] as const) {
    test(`${what}: every request is answered within ${DEADLINE_MS / 1000} s, the process stays awake, and goes on by itself`, async (t) => {
      // So many at once that every connection of the pool is in use.
      await Promise.all(Array.from({ length: 20 }, () => open(agent)))
      const task = await opened(agent)
      proxy.cut(which)
      const until = performance.now() + CUT_MS
      const answers: { readonly status: number; readonly ms: number }[] = []
      const healths: number[] = []
      const calls = [() => open(agent), () => writ.operator(registry.listIdentities), () => writ.stranger(registry.ready), () => complete(agent, task)]
      await Promise.all([
        ...Array.from({ length: 12 }, async (_, i) => {
          for (let turn = i; performance.now() < until; turn++) {
            const { got, ms } = await timed(calls[turn % calls.length] as () => Promise<{ status: number }>)
            answers.push({ status: got.status, ms })
          }
        }),
        (async () => {
          for (; performance.now() < until; await pause(20)) healths.push((await timed(() => writ.stranger(registry.health))).ms)
        })(),
      ])
      const slowest = Math.max(...answers.map(({ ms }) => ms))
      const lag = healths.toSorted((a, b) => a - b)[Math.floor(healths.length * 0.99)]!
      t.diagnostic(`${answers.length} answers, the slowest after ${Math.round(slowest)} ms; of ${healths.length} answers that need no store the p99 took ${Math.round(lag)} ms`)
      assert.ok(slowest < DEADLINE_MS, `${Math.round(slowest)} ms`)
      // Far more than the loop's own lag, which can't be told from outside.
      assert.ok(lag < 500, `${Math.round(lag)} ms`)
      assert.ok(answers.some(({ status }) => status === 503))
      assert.ok(answers.every(({ status }) => [200, 201, 409, 503].includes(status)), String(answers.map(({ status }) => status)))

      proxy.mend()
      const { ms } = await timed(() => eventually('it goes on', async () => (await writ.stranger(registry.ready)).status === 200 && (await open(agent)).status === 201, RECOVERED_MS))
      t.diagnostic(`it goes on ${Math.round(ms)} ms after the way is mended`)
      const all = await Promise.all(Array.from({ length: 20 }, () => timed(() => open(agent))))
      assert.ok(all.every(({ got }) => got.status === 201), 'no dead connection is left in the pool')
      await assertLogsHold(writ)
    })
  }
})

describe('PostgreSQL is restarted in the middle of load', () => {
  test('two servers answer 503 until it is back, are ready within 3 s, and no request of a patient client is lost or done twice', async (t) => {
    const cluster = await startCluster({ version: 18 })
    t.after(() => cluster.stop('immediate'))
    await ask(cluster.url(), 'create database writ')
    const several = await startSeveral({ databaseUrl: cluster.url('writ'), env: { WRIT_LOG: 'warn' } })
    t.after(() => several.stop())
    t.after(() => { for (const writ of several.writs) if (/"level":50/.test(writ.log())) t.diagnostic(writ.log().split('\n').filter((line) => line.includes('"level":50')).slice(0, 3).join('\n')) })
    const workers = await Promise.all(Array.from({ length: 6 }, (_, i) => several.writs[0].register(`worker-${i}`)))
    let isOver = false
    let count = 0
    let repeats = 0
    const load = workers.map(async (worker) => {
      const by = { ...worker, api: retrying(several.writs.map((writ) => several.through(writ, worker).api), () => { repeats++ }) }
      while (!isOver) {
        const id = await opened(by)
        count++
        assert.equal((await by.api(tasks.heartbeat, { parameters: { id }, body: { calls: 1 } })).status, 200)
        assert.equal((await complete(by, id)).status, 200)
      }
    })
    for (const mode of ['fast', 'immediate'] as const) {
      const before = count
      await eventually('there is load', () => count > before + 20)
      await cluster.halt(mode)
      for (const writ of several.writs) {
        const { got, ms } = await timed(() => writ.operator(registry.listIdentities))
        assert.deepEqual([got.status, got.problem.code], [503, 'storage_unavailable'])
        assert.ok(Number(got.headers.get('retry-after')) >= 1 && ms < 1000, `${ms} ms`)
      }
      await cluster.resume()
      await Promise.all(several.writs.map((writ) => eventually('readiness', async () => (await writ.stranger(registry.ready)).status === 200, 3000)))
    }
    const before = count
    await eventually('the load goes on', () => count > before + 20)
    isOver = true
    await Promise.all(load)
    t.diagnostic(`${count} tasks, ${repeats} requests sent again`)
    const types = Map.groupBy(await allEvents(several.writs[1]), (event) => event.type)
    assert.deepEqual([types.get('task.opened')!.length, types.get('task.ended')!.length], [count, count])
    for (const writ of several.writs) await assertLogsHold(writ)
  })
})
