import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import * as registry from '@writ/contract/registry'
import * as tasks from '@writ/contract/tasks'
import { ask as askDatabase } from '../../../../scripts/postgres-cluster.ts'
import { answered, nothingYet, workOnce } from '../crashing.ts'
import { eventually } from '../eventually.ts'
import { governedPostgres, type GovernedPostgres } from '../governed-postgres.ts'
import { addShop, ask, complete, handlePrefixOf, leased, open, opened, show } from '../governed-writ.ts'
import { allEvents, assertLogsHold, closureOf } from '../proofs.ts'
import { retrying } from '../retrying.ts'
import type { RunningWrit, TestIdentity } from '../running-writ.ts'
import { startSeveral, type SeveralWrits } from '../several-writs.ts'

/** Each of these happens to a thing once, whoever does it. */
const ONCE = {
  'task.opened': 'task', 'task.ended': 'task', 'task.closed': 'task', 'lease.intended': 'lease', 'lease.minted': 'lease', 'lease.ended': 'lease',
} as const

async function assertOnce(writ: RunningWrit): Promise<void> {
  const events = await allEvents(writ)
  for (const [type, of] of Object.entries(ONCE)) {
    const about = events.filter((event) => event.type === type).map((event) => event[of])
    assert.equal(new Set(about).size, about.length, `${type} is there once for each ${of}`)
  }
  const tasksOf = (type: string) => events.filter((event) => event.type === type).map((event) => event.task!).toSorted((a, b) => a.localeCompare(b))
  assert.deepEqual(tasksOf('task.closed'), tasksOf('task.opened'))
  assert.deepEqual(events.filter((event) => event.type === 'incident.opened'), [])
}

/** A task with a lease that nobody ends; on a busy machine its deadline may come before its lease. */
async function leaveOne(by: TestIdentity): Promise<void> {
  for (const ttl of [2, 8, 30]) {
    const left = await open(by, { ttl_seconds: ttl })
    assert.equal(left.status, 201, left.text)
    const lease = await ask(by, left.reply.id)
    assert.equal((await show(by, left.reply.id)).status, 200)
    if (lease.status === 409) continue
    return assert.equal(lease.status, 201, lease.problem.code)
  }
  assert.fail('no lease came within 30 s')
}

const allClosed = (writ: RunningWrit) => async (): Promise<boolean> => {
  const { reply } = await writ.operator(tasks.listTasks, { query: { limit: '1000' } })
  return reply.tasks.length > 0 && reply.tasks.every((task) => task.state === 'closed')
}

describe('three servers on one PostgreSQL', () => {
  let shop: GovernedPostgres
  let several: SeveralWrits
  let workers: readonly TestIdentity[]
  before(async () => {
    shop = await governedPostgres(18)
    several = await startSeveral({ count: 3, env: { WRIT_LOG: 'warn' } })
    await addShop(several.writs[0], shop)
    workers = await Promise.all(Array.from({ length: 6 }, (_, i) => several.writs[0].register(`worker-${i}`)))
  })
  after(async () => {
    await several.stop()
    await shop.remove()
  })

  /** The request goes to whichever server is next, and to another where that one is too busy. */
  const anywhere = (identity: TestIdentity): TestIdentity => {
    const from = workers.indexOf(identity)
    const order = several.writs.map((_, i) => several.writs[(from + i) % several.writs.length]!)
    return { ...identity, api: retrying(order.map((writ) => writ.as(() => identity.assertion()))) }
  }

  test('are one Writ: what one is told the others know, each thing ends once, and there is one log', async () => {
    const [first, second] = several.writs
    const third = several.writs[2]!
    await Promise.all(workers.map(async (worker) => {
      const by = anywhere(worker)
      const known = nothingYet()
      for (let turn = 0; turn < 3; turn++) {
        const done = await workOnce(by, known, turn === 0)
        assert.ok(done !== undefined)
        // Ended by its holder here, by its deadline there.
        await leaveOne(by)
      }
    }))
    await eventually('every task is closed', allClosed(second), 40_000)
    await assertOnce(third)
    assert.deepEqual(await shop.rolesNamed(await handlePrefixOf(first)), [])
    for (const writ of several.writs) await assertLogsHold(writ)
  })

  test('a request and its repeat may go to two of them, also at once: there is one task, and one login with one secret', async () => {
    const [first, second] = several.writs
    const worker = workers[0]!
    const key = { 'idempotency-key': 'to-two-servers' }
    const both = await Promise.all([first, second, first, second].map((writ) => open(several.through(writ, worker), {}, key)))
    assert.deepEqual(both.map((got) => got.status), [201, 201, 201, 201])
    assert.equal(new Set(both.map((got) => got.reply.id)).size, 1)
    const { id } = both[0]!.reply
    const again = { 'idempotency-key': 'a-lease-from-two' }
    const leases = await Promise.all([first, second].map((writ) => ask(several.through(writ, worker), id, again)))
    assert.deepEqual(leases.map((got) => got.status), [201, 201])
    assert.equal(new Set(leases.map((got) => `${got.reply.id} ${got.reply.secret}`)).size, 1)
    await complete(worker, id)
    assert.equal((await closureOf(second, second.operator, id)).outcome, 'proved')
  })

  test('an assertion that one of them has taken is refused by the others', async () => {
    const worker = workers[1]!
    const assertion = worker.assertion()
    const statuses = await Promise.all(several.writs.map(async (writ) => (await writ.as(() => assertion)(registry.whoAmI)).status))
    assert.deepEqual(statuses.toSorted((a, b) => a - b), [200, 401, 401])
  })

  test('one that is killed under load leaves its claims to the others: every lease ends, proved, and once', async () => {
    const [first, second] = several.writs
    const third = several.writs[2]!
    const known = nothingYet()
    // One that has withdrawals in hand when it dies.
    const held = await Promise.all(workers.map(async (worker) => {
      const task = await opened(worker)
      for (let i = 0; i < 4; i++) await leased(worker, task)
      return task
    }))
    let isOver = false
    const load = workers.map(async (worker, i) => {
      const by = several.through(i % 2 === 0 ? third : second, worker)
      while (!isOver) if ((await workOnce(by, known, i < 2)) === undefined) return
    })
    const ending = held.map((task, i) => answered(complete(several.through(third, workers[i]!), task)))
    await Promise.all(ending)
    await third.kill('SIGKILL')
    isOver = true
    await Promise.all(load)
    for (const task of held) assert.equal((await closureOf(first, first.operator, task)).outcome, 'proved')
    const rest = (await first.operator(tasks.listTasks, { query: { limit: '1000', state: 'open' } })).reply.tasks
    for (const task of rest) await first.operator(tasks.endTask, { parameters: { id: task.id }, body: { reason: 'the test is over' } })
    await eventually('every task is closed', allClosed(first), 40_000)
    await assertOnce(second)
    assert.deepEqual(await shop.rolesNamed(await handlePrefixOf(first)), [])
    await assertLogsHold(first)
    await third.restart()
    await assertLogsHold(third)
  })

  test('no two events share a number, and no lease is due any more', async () => {
    const url = several.writs[0].databaseUrl!
    const [row] = await askDatabase(url, `
      select (select count(*) - count(distinct (stream, leaf_index)) from event where leaf_index is not null) as twice,
             (select count(*) from lease where due_at is not null) as due`)
    assert.deepEqual([Number(row!['twice']), Number(row!['due'])], [0, 0])
  })
})
