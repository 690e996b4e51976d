import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import * as registry from '@writ/contract/registry'
import * as tasks from '@writ/contract/tasks'
import { eventually } from '../eventually.ts'
import { open } from '../governed-writ.ts'
import { inFull } from '../long.ts'
import { allEvents, assertLogsHold } from '../proofs.ts'
import { retrying } from '../retrying.ts'
import type { Api, RunningWrit, TestIdentity } from '../running-writ.ts'
import { startSeveral, type SeveralWrits } from '../several-writs.ts'

const CLIENTS = 8
const ROUNDS = inFull ? 2 : 1
/** Fewer would say little; a server that is soon up again, or a busy machine, needs more restarts for them. */
const FEWEST_REQUESTS = 200

type Tally = { requests: number; failed: number; repeated: number; opened: number }

/** Each client opens, keeps and completes one task after another; a request that is not answered as it should be is counted. */
function loadOn(workers: readonly TestIdentity[], apiOf: (worker: TestIdentity) => Api, tally: Tally): { stop(): Promise<void> } {
  let isOver = false
  const one = async <T extends { readonly status: number }>(wanted: number, asking: Promise<T>): Promise<T | undefined> => {
    tally.requests++
    const got = await asking.catch(() => undefined)
    if (got?.status === wanted) return got
    tally.failed++
    return undefined
  }
  const running = workers.map(async (worker) => {
    const by = { ...worker, api: apiOf(worker) }
    while (!isOver) {
      const task = await one(201, open(by))
      if (task === undefined) continue
      tally.opened++
      const of = { parameters: { id: task.reply.id } }
      await one(200, by.api(tasks.heartbeat, { ...of, body: { calls: 1 } }))
      await one(200, by.api(tasks.completeTask, of))
    }
  })
  return {
    async stop() {
      isOver = true
      await Promise.all(running)
    },
  }
}

const isReady = (writ: RunningWrit) => async (): Promise<boolean> => (await writ.stranger(registry.ready).catch(() => undefined))?.status === 200

/** One after the other; the next only when the one before is ready again. */
async function restartEach(several: SeveralWrits, around: { readonly before?: (writ: RunningWrit) => Promise<void>; readonly after?: (writ: RunningWrit) => void } = {}): Promise<void> {
  for (const writ of several.writs) {
    await around.before?.(writ)
    await writ.kill('SIGTERM')
    assert.equal(await writ.ended(), 0)
    await writ.restart()
    await eventually('it is ready again', isReady(writ))
    around.after?.(writ)
  }
}

describe('a rolling restart under load', () => {
  test('loses no request of a client that sends again with the same key, and does nothing twice', async (t) => {
    const several = await startSeveral({ env: { WRIT_LOG: 'warn' } })
    t.after(() => several.stop())
    const workers = await Promise.all(Array.from({ length: CLIENTS }, (_, i) => several.writs[0].register(`worker-${i}`)))
    const tally: Tally = { requests: 0, failed: 0, repeated: 0, opened: 0 }
    const load = loadOn(workers, (worker) => retrying(several.writs.map((writ) => several.through(writ, worker).api), () => { tally.repeated++ }), tally)
    for (let round = 0; round < ROUNDS || tally.requests <= FEWEST_REQUESTS; round++) await restartEach(several)
    await load.stop()
    t.diagnostic(JSON.stringify(tally))
    assert.ok(tally.requests > FEWEST_REQUESTS && tally.repeated > 0)
    assert.equal(tally.failed, 0)
    const types = Map.groupBy(await allEvents(several.writs[1]), (event) => event.type)
    assert.equal(types.get('task.opened')!.length, tally.opened, 'a repeat opened no second task')
    await assertLogsHold(several.writs[0])
  })

  test('loses at most one request in a thousand of a client that never sends again, where the balancer takes a server out before it is stopped', async (t) => {
    const several = await startSeveral({ env: { WRIT_LOG: 'warn' } })
    t.after(() => several.stop())
    const workers = await Promise.all(Array.from({ length: CLIENTS }, (_, i) => several.writs[0].register(`worker-${i}`)))
    const serving = new Set<RunningWrit>(several.writs)
    let turn = 0
    const inHand = new Map(several.writs.map((writ) => [writ, new Set<Promise<unknown>>()]))
    const balanced = (worker: TestIdentity): Api => async (of, ask) => {
      const writ = [...serving][turn++ % serving.size]!
      const asking = several.through(writ, worker).api(of, ask)
      inHand.get(writ)!.add(asking)
      return await asking.finally(() => inHand.get(writ)!.delete(asking))
    }
    /** As a balancer does: no new requests, and those that are on their way are waited for. */
    const takeOut = async (writ: RunningWrit): Promise<void> => {
      serving.delete(writ)
      await Promise.allSettled(inHand.get(writ)!)
    }
    const tally: Tally = { requests: 0, failed: 0, repeated: 0, opened: 0 }
    const load = loadOn(workers, balanced, tally)
    while (tally.requests <= FEWEST_REQUESTS) await restartEach(several, { before: takeOut, after: (writ) => { serving.add(writ) } })
    await load.stop()
    t.diagnostic(JSON.stringify(tally))
    assert.ok(tally.requests > FEWEST_REQUESTS)
    assert.ok(tally.failed <= tally.requests / 1000, `${tally.failed} of ${tally.requests}`)
    await assertLogsHold(several.writs[0])
  })
})
