import assert from 'node:assert/strict'
import { setTimeout as pause } from 'node:timers/promises'
import { after, before, describe, test } from 'node:test'
import * as registry from '@writ/contract/registry'
import * as surface from '@writ/contract/surface'
import * as tasks from '@writ/contract/tasks'
import { ask, startCluster, type Cluster } from '../../../../scripts/postgres-cluster.ts'
import { cutProxy, type CutProxy } from '../cut-proxy.ts'
import { eventually } from '../eventually.ts'
import { complete, open, opened } from '../governed-writ.ts'
import { inFull, LONG_TEST } from '../long.ts'
import { allEvents, assertLogsHold } from '../proofs.ts'
import { retrying } from '../retrying.ts'
import { startWrit, type RunningWrit, type TestIdentity } from '../running-writ.ts'
import { startSeveral } from '../several-writs.ts'

/** R13: no request takes longer, whatever becomes of the way to the database. */
const DEADLINE_MS = 3000
/** R13: within this, what is dead has been replaced. */
const RECOVERED_MS = 5000
const CUT_MS = inFull ? 60_000 : 7000
/** Between two requests of one client. */
const BETWEEN_MS = inFull ? 0 : 100
/** R13 says 100; in the short form other tests keep the same cores busy. */
const MOST_LAG_MS = inFull ? 100 : 500

async function timed<T>(call: () => Promise<T>): Promise<{ readonly got: T; readonly ms: number }> {
  const began = performance.now()
  const got = await call()
  return { got, ms: performance.now() - began }
}

/** `at`: how long after the cut it was sent. */
type Timed = { readonly what: string; readonly status: number; readonly at: number; readonly ms: number }

/** How late the server's event loop was since this was last asked, in milliseconds, the 10 ms between two looks at it included. */
async function loopLag(writ: RunningWrit): Promise<{ readonly p99: number; readonly worst: number; readonly page: string }> {
  const { status, text } = await writ.stranger(surface.metrics)
  assert.equal(status, 200, text)
  const [p99, worst] = ['p99', 'worst'].map((which) => Number(new RegExp(`^writ_event_loop_lag_${which}_seconds (\\S+)$`, 'm').exec(text)![1]) * 1000)
  return { p99: p99!, worst: worst!, page: text }
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
    test(`${what}: every request is answered within ${DEADLINE_MS / 1000} s, the process stays awake, and goes on by itself`, LONG_TEST, async (t) => {
      // So many at once that every connection of the pool is in use.
      await Promise.all(Array.from({ length: 20 }, () => open(agent)))
      const task = await opened(agent)
      await loopLag(writ)
      proxy.cut(which)
      const cutAt = performance.now()
      const until = cutAt + CUT_MS
      const answers: Timed[] = []
      const healths: Timed[] = []
      const calls = {
        open: () => open(agent), list: () => writ.operator(registry.listIdentities), ready: () => writ.stranger(registry.ready), complete: () => complete(agent, task),
      }
      const names = Object.keys(calls) as readonly (keyof typeof calls)[]
      const call = async (what: Timed['what'], of: () => Promise<{ readonly status: number }>): Promise<Timed> => {
        const began = performance.now()
        const { status } = await of()
        return { what, status, at: began - cutAt, ms: performance.now() - began }
      }
      await Promise.all([
        ...Array.from({ length: 12 }, async (_, i) => {
          for (let turn = i; performance.now() < until; turn++, await pause(BETWEEN_MS)) {
            const what = names[turn % names.length]!
            answers.push(await call(what, calls[what]))
          }
        }),
        (async () => {
          for (; performance.now() < until; await pause(20)) healths.push(await call('health', () => writ.stranger(registry.health)))
        })(),
      ])
      const lag = await loopLag(writ)
      const slowest = Math.max(...answers.map(({ ms }) => ms))
      const health = healths.map(({ ms }) => ms).toSorted((a, b) => a - b)[Math.floor(healths.length * 0.99)]!
      t.diagnostic(`in ${CUT_MS / 1000} s ${answers.length} answers, the slowest after ${Math.round(slowest)} ms`)
      t.diagnostic(`of ${healths.length} answers that need no store the p99 took ${Math.round(health)} ms`)
      t.diagnostic(`event loop lag by the server's own measure: p99 ${Math.round(lag.p99)} ms, at most ${Math.round(lag.worst)} ms`)
      if (which === 'open') {
        const last = names.map((what) => `${what} ${Math.round(Math.max(0, ...answers.filter((one) => one.what === what && one.status === 503).map(({ at }) => at)))} ms`)
        t.diagnostic(`the last 503 of each: ${last.join(', ')}`)
      }
      assert.ok(slowest < DEADLINE_MS, `${Math.round(slowest)} ms`)
      assert.ok(lag.p99 > 0 && lag.p99 < MOST_LAG_MS, `${Math.round(lag.p99)} ms`)
      if (which === 'all') {
        assert.match(lag.page, /^writ_store_up 0$/m)
        assert.doesNotMatch(lag.page, /^writ_(tasks_open|leases_in_hand|log_leaves|findings_open)\b/m, 'what could not be counted is absent')
      }
      assert.ok(health < 500, `${Math.round(health)} ms`)
      assert.ok(answers.some(({ status }) => status === 503))
      assert.ok(answers.every(({ status }) => [200, 201, 409, 503].includes(status)), String(answers.map(({ status }) => status)))
      // Readiness also says no, and truly, while the log is sealed too late: it may need one round of the sealer more.
      const boundOf = (what: string): number => (which === 'open' && what === 'ready' ? 1.5 * RECOVERED_MS : RECOVERED_MS)
      const late = answers.filter(({ what, status, at }) => (which === 'open') === (status === 503) && at > boundOf(what))
      assert.deepEqual(late, [], which === 'open' ? 'what was dead has been replaced' : 'nothing comes through')

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
