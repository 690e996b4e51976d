import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { assertNothingLost, assertStillWorks, nothingYet, workOnce } from '../crashing.ts'
import { governedPostgres, type GovernedPostgres } from '../governed-postgres.ts'
import { addShop } from '../governed-writ.ts'
import { startWrit, type RunningWrit, type TestIdentity } from '../running-writ.ts'

const CLIENTS = 8
/** The kill comes when so many tasks were acknowledged since the start, while the other clients are in the midst of theirs. */
const FEWEST = 4
const MOST = 24

describe('killed again and again under load', { concurrency: 2 }, () => {
  let shop: GovernedPostgres
  before(async () => { shop = await governedPostgres(18) })
  after(() => shop.remove())

  for (const { store, cycles } of [{ store: 'sqlite', cycles: 20 }, { store: 'postgres', cycles: 5 }] as const) {
    test(`after ${cycles} kills on ${store} every task and lease that was acknowledged is there, and no login is left over`, async (t) => {
      const writ = await startWrit({ store })
      t.after(() => writ.stop())
      await addShop(writ, shop)
      const workers = await Promise.all(Array.from({ length: CLIENTS }, (_, i) => writ.register(`worker-${i}`)))
      const known = nothingYet()
      for (let cycle = 0; cycle < cycles; cycle++) {
        await underLoad(writ, workers, known, FEWEST + (cycle * 7) % (MOST - FEWEST))
        await writ.restart()
      }
      assert.ok(known.leases.size > 0 && known.completed.size > 0)
      t.diagnostic(`${known.tasks.size} tasks, ${known.leases.size} leases and ${known.completed.size} endings acknowledged`)
      await assertNothingLost(writ, shop, known)
      await assertStillWorks(writ, workers[0]!)
    })
  }
})

/** Every client works task after task, every fourth with a lease, until the server is killed under all of them. */
async function underLoad(writ: RunningWrit, workers: readonly TestIdentity[], known: ReturnType<typeof nothingYet>, enough: number): Promise<void> {
  const before = known.tasks.size
  let killing: Promise<void> | undefined
  await Promise.all(workers.map(async (worker, i) => {
    for (let turn = 0; await workOnce(worker, known, (turn + i) % 4 === 0); turn++) {
      if (known.tasks.size - before >= enough) killing ??= writ.kill()
    }
  }))
  await killing
  assert.ok(known.tasks.size - before >= enough)
}
