import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import * as tasks from '@writ/contract/tasks'
import { answered, assertNothingLost, assertStillWorks, nothingYet, workOnce } from '../crashing.ts'
import { governedPostgres, type GovernedPostgres } from '../governed-postgres.ts'
import { addShop, show } from '../governed-writ.ts'
import { inFull, LONG_TEST } from '../long.ts'
import { offer } from '../offered-load.ts'
import { startWrit, type RunningWrit, type TestIdentity } from '../running-writ.ts'

/** R1 asks for 200. */
const CYCLES = inFull ? { sqlite: 200, postgres: 200 } as const : { sqlite: 5, postgres: 2 } as const

const CLIENTS = 8
/** The kill comes when so many endings were acknowledged since the start, while other tasks are in their midst. */
const FEWEST = 4
const MOST = inFull ? 156 : 12
/** A lease costs as much as some ten other requests. */
const LEASE_EVERY = inFull ? 8 : 4
/** R1: whatever the server makes of it. Besides what may be a lease, a task is opened, heard of, completed, shown, and has its certificate read. */
const REQUESTS_PER_SECOND = 200
const TASKS_PER_SECOND = REQUESTS_PER_SECOND / (5 + 1 / LEASE_EVERY)
/** At 200 requests/s some four are under way; beyond these a server that stands still, or a busy machine, is given no more. */
const MOST_TASKS = inFull ? 16 : 8

describe('killed again and again under load', { concurrency: inFull ? 1 : 2 }, () => {
  let shop: GovernedPostgres
  before(async () => { shop = await governedPostgres(18) })
  after(() => shop.remove())

  for (const [store, cycles] of Object.entries(CYCLES) as [keyof typeof CYCLES, number][]) {
    test(`after ${cycles} kills on ${store} every task and lease that was acknowledged is there, and no login is left over`, LONG_TEST, async (t) => {
      const writ = await startWrit({ store })
      t.after(() => writ.stop())
      await addShop(writ, shop)
      const load: Load = { sent: 0, answered: 0, withheld: 0, ms: 0, certificates: 0 }
      const workers = await Promise.all(Array.from({ length: CLIENTS }, async (_, i) => counted(await writ.register(`worker-${i}`), load)))
      const known = nothingYet()
      for (let cycle = 0; cycle < cycles; cycle++) {
        await underLoad({ writ, workers, load }, known, FEWEST + (cycle * 7) % (MOST - FEWEST))
        await writ.restart()
      }
      assert.ok(known.leases.size > 0 && known.heard.size > 0 && known.completed.size > 0 && load.certificates > 0)
      t.diagnostic(`${known.tasks.size} tasks, ${known.leases.size} leases, ${known.heard.size} heartbeats and ${known.completed.size} endings acknowledged`)
      const rate = (count: number): string => `${Math.round(count * 1000 / load.ms)} requests/s`
      const [offered, seconds] = [`${REQUESTS_PER_SECOND} requests/s offered`, (load.ms / 1000).toFixed(1)]
      t.diagnostic(`${load.answered} answers in ${seconds} s of load: ${offered}, ${rate(load.sent)} sent, ${rate(load.answered)} answered; ${load.withheld} tasks not begun`)
      await assertNothingLost(writ, shop, known)
      await assertStillWorks(writ, workers[0]!)
    })
  }
})

/** What was asked of the server, and what it answered in what time. `withheld`: tasks that were due when too many were under way. */
type Load = { sent: number; answered: number; withheld: number; ms: number; certificates: number }

function counted(worker: TestIdentity, load: Load): TestIdentity {
  return {
    ...worker,
    async api(of, ask) {
      load.sent++
      const got = await worker.api(of, ask)
      load.answered++
      if (of === (tasks.certificate as unknown) && got.status === 200) load.certificates++
      return got
    },
  }
}

type Under = { readonly writ: RunningWrit; readonly workers: readonly TestIdentity[]; readonly load: Load }

/** Tasks begin at a steady rate, some with a lease, until the server is killed under all that are under way. */
async function underLoad({ writ, workers, load }: Under, known: ReturnType<typeof nothingYet>, enough: number): Promise<void> {
  const before = known.completed.size
  const isEnough = (): boolean => known.completed.size - before >= enough
  const ended = new Map(workers.map((worker) => [worker, [] as string[]]))
  let killing: Promise<void> | undefined
  const offered = await offer({ perSecond: TASKS_PER_SECOND, most: MOST_TASKS, isOver: () => killing !== undefined }, async (turn) => {
    const worker = workers[turn % workers.length]!
    const id = await workOnce(worker, known, turn % LEASE_EVERY === 0)
    if (isEnough()) killing ??= writ.kill()
    if (id === undefined) return
    await readBack(worker, id, ended.get(worker)!)
  })
  load.withheld += offered.withheld
  load.ms += offered.ms
  await killing
  assert.ok(isEnough())
}

/** The task that has just ended, and the certificate of the first one that has none yet, if it is written by now; unless the server has died. */
async function readBack(worker: TestIdentity, id: string, ended: string[]): Promise<void> {
  const shown = await answered(show(worker, id))
  if (shown === undefined) return
  assert.notEqual(shown.reply.state, 'open')
  ended.push(id)
  const [first] = ended
  const got = await answered(worker.api(tasks.certificate, { parameters: { id: first! } }))
  if (got?.status === 200 && ended[0] === first) ended.shift()
}
