import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import type { ApprovalId } from '@writ/domain/id'
import { seconds } from '@writ/domain/time'
import { pino } from 'pino'
import { done } from '../../test/laws/estate.ts'
import { applyRefund, approve, attempt, personOf, requested, stageOf, tryRequest, type Stage, type TestPerson } from '../../test/approvals/stage.ts'
import { storeForSuite, type StoreOfWrit } from '../../test/store-of-writ.ts'
import { openTask } from '../tasks/open-task.ts'
import { approvalWaiters } from './waiting.ts'

const [IDENTITIES, TASKS] = [10, 100]

/** Another task of the same agent. */
async function another(writ: StoreOfWrit, stage: Stage): Promise<Stage> {
  const task = writ.newId('task')
  const asked = { authority: [{ type: 'mcp', resource: 'shop', action: 'refund', limits: {} }], length: seconds(600), budgetCalls: 5, idleTimeout: seconds(600), heartbeat: seconds(600), onBehalfOf: null }
  await done(writ.store.change(openTask, { id: task, identity: stage.identity, parent: null, purpose: 'gives refunds', asked, now: writ.now() }))
  return { ...stage, task }
}

describe('many who wait for people', () => {
  const opened = storeForSuite('sqlite')
  let maya: TestPerson
  before(async () => {
    await applyRefund(opened())
    maya = await personOf(opened())
  })

  test('a thousand tasks wait, each for its own answer, in little memory, and each hears of it within two seconds (R79)', async () => {
    const writ = opened()
    const waiters = approvalWaiters({ store: writ.store, log: pino({ level: 'silent' }), stopping: new AbortController().signal })
    const stages = await Promise.all(Array.from({ length: IDENTITIES }, () => stageOf(writ)))
    const before = process.memoryUsage().rss
    const waiting = (await Promise.all(stages.flatMap((stage) => Array.from({ length: TASKS }, async () => {
      const own = await another(writ, stage)
      const decided = await attempt(writ, own)
      const id = (await done(tryRequest(writ, own, decided.id))).approval.id
      return { id, own, heard: waiters.wait(id, 600_000).then(() => performance.now()) }
    }))))
    assert.equal(waiting.length, IDENTITIES * TASKS)
    const answered = new Map<ApprovalId, number>()
    await Promise.all(waiting.map(async ({ id }) => {
      assert.equal(await done(approve(writ, id, maya)), 'approved')
      answered.set(id, performance.now())
    }))
    const late = await Promise.all(waiting.map(async ({ id, heard }) => (await heard) - answered.get(id)!))
    assert.ok(Math.max(...late) < 2000, `one heard of it after ${Math.round(Math.max(...late))} ms`)
    assert.ok(process.memoryUsage().rss - before < 300_000_000, `it took ${Math.round((process.memoryUsage().rss - before) / 1e6)} MB`)
    const ran = await Promise.all(waiting.map(({ own }) => attempt(writ, own)))
    assert.equal(ran.filter(({ answer }) => answer === 'allow').length, waiting.length)
  })

  test('whoever waits no longer is told at once: after its time, when it was answered here, with its signal, and when the server stops', async () => {
    const writ = opened()
    const stopping = new AbortController()
    const waiters = approvalWaiters({ store: writ.store, log: pino({ level: 'silent' }), stopping: stopping.signal })
    const id = await requested(writ, await stageOf(writ))
    await waiters.wait(id, 10)
    // As whoever takes an answer does; the store is not asked, where this one waits still.
    const told = waiters.wait(id, 60_000)
    waiters.wake(id)
    await told
    const leaving = new AbortController()
    const [left, stopped] = [waiters.wait(id, 60_000, leaving.signal), waiters.wait(id, 60_000)]
    leaving.abort()
    await left
    stopping.abort()
    await stopped
    await waiters.wait(id, 60_000)
  })
})
