import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import * as tasks from '@writ/contract/tasks'
import { answered, assertNothingLost, assertStillWorks, nothingYet, workOnce } from '../crashing.ts'
import { governedPostgres, type GovernedPostgres } from '../governed-postgres.ts'
import { addShop, show } from '../governed-writ.ts'
import { startWrit, type RunningWrit, type TestIdentity } from '../running-writ.ts'

/** R1 asks for 200: with this each store is killed so often, and works for longer in between. */
const asked = process.env['WRIT_TEST_KILL_CYCLES']
const CYCLES = { sqlite: Number(asked ?? 20), postgres: Number(asked ?? 5) } as const

const CLIENTS = 8
/** The kill comes when so many tasks were acknowledged since the start, while the other clients are in the midst of theirs. */
const FEWEST = 4
const MOST = asked === undefined ? 24 : 156
/** A lease costs as much as some ten other requests: with fewer of them two cores reach 200 requests a second. */
const LEASE_EVERY = asked === undefined ? 4 : 8

describe('killed again and again under load', { concurrency: 2 }, () => {
  let shop: GovernedPostgres
  before(async () => { shop = await governedPostgres(18) })
  after(() => shop.remove())

  for (const [store, cycles] of Object.entries(CYCLES) as [keyof typeof CYCLES, number][]) {
    test(`after ${cycles} kills on ${store} every task and lease that was acknowledged is there, and no login is left over`, async (t) => {
      const writ = await startWrit({ store })
      t.after(() => writ.stop())
      await addShop(writ, shop)
      const load: Load = { requests: 0, ms: 0, certificates: 0 }
      const workers = await Promise.all(Array.from({ length: CLIENTS }, async (_, i) => counted(await writ.register(`worker-${i}`), load)))
      const known = nothingYet()
      for (let cycle = 0; cycle < cycles; cycle++) {
        await underLoad({ writ, workers, load }, known, FEWEST + (cycle * 7) % (MOST - FEWEST))
        await writ.restart()
      }
      assert.ok(known.leases.size > 0 && known.heard.size > 0 && known.completed.size > 0 && load.certificates > 0)
      t.diagnostic(`${known.tasks.size} tasks, ${known.leases.size} leases, ${known.heard.size} heartbeats and ${known.completed.size} endings acknowledged`)
      t.diagnostic(`${load.requests} requests in ${(load.ms / 1000).toFixed(1)} s of load: ${Math.round(load.requests * 1000 / load.ms)} requests/s`)
      await assertNothingLost(writ, shop, known)
      await assertStillWorks(writ, workers[0]!)
    })
  }
})

/** What the server answered, and in what time. */
type Load = { requests: number; ms: number; certificates: number }

function counted(worker: TestIdentity, load: Load): TestIdentity {
  return {
    ...worker,
    async api(of, ask) {
      const got = await worker.api(of, ask)
      load.requests++
      if (of === (tasks.certificate as unknown) && got.status === 200) load.certificates++
      return got
    },
  }
}

type Under = { readonly writ: RunningWrit; readonly workers: readonly TestIdentity[]; readonly load: Load }

/** Every client works task after task, some with a lease, until the server is killed under all of them. */
async function underLoad({ writ, workers, load }: Under, known: ReturnType<typeof nothingYet>, enough: number): Promise<void> {
  const before = known.tasks.size
  const began = performance.now()
  let killing: Promise<void> | undefined
  await Promise.all(workers.map(async (worker, i) => {
    let earlier: string | undefined
    for (let turn = 0; ; turn++) {
      const id = await workOnce(worker, known, (turn + i) % LEASE_EVERY === 0)
      if (known.tasks.size - before >= enough) killing ??= writ.kill()
      if (id === undefined || !(await readBack(worker, id, earlier))) return
      earlier = id
    }
  }))
  load.ms += performance.now() - began
  await killing
  assert.ok(known.tasks.size - before >= enough)
}

/** The task that has just ended, and the certificate of the one before it, if it is written by now. False when the server died. */
async function readBack(worker: TestIdentity, id: string, earlier: string | undefined): Promise<boolean> {
  const shown = await answered(show(worker, id))
  if (shown === undefined) return false
  assert.notEqual(shown.reply.state, 'open')
  return earlier === undefined || (await answered(worker.api(tasks.certificate, { parameters: { id: earlier } }))) !== undefined
}
