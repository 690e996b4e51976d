import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import * as registry from '@writ/contract/registry'
import * as tasks from '@writ/contract/tasks'
import { eventually } from '../eventually.ts'
import { governedPostgres, type GovernedPostgres } from '../governed-postgres.ts'
import { addShop, ask, complete, handlePrefixOf, login, opened, refusalOf, show, type OpenBody } from '../governed-writ.ts'
import { allEvents, closureOf, eventsOf } from '../proofs.ts'
import { startWrit, type RunningWrit, type TestIdentity } from '../running-writ.ts'

type Ways = { readonly writ: RunningWrit; readonly by: TestIdentity; readonly task: string }

const beat = ({ by, task }: Ways, calls: number) => by.api(tasks.heartbeat, { parameters: { id: task }, body: { calls } })

/** One way in which a task ends: what it is opened with, for so many seconds, what happens, and who is recorded as having ended it. */
type End = { readonly reason: string; readonly endedBy: string; readonly body?: (seconds: number) => OpenBody; readonly happens: (ways: Ways) => Promise<unknown> }

const ENDS: readonly End[] = [
  { reason: 'completed', endedBy: 'identity', happens: ({ by, task }) => complete(by, task) },
  { reason: 'deadline', endedBy: 'writ', body: (seconds) => ({ ttl_seconds: seconds }), happens: async () => {} },
  { reason: 'silence', endedBy: 'writ', body: (seconds) => ({ heartbeat_seconds: seconds }), happens: async () => {} },
  { reason: 'idle', endedBy: 'writ', body: (seconds) => ({ idle_timeout_seconds: seconds }), happens: async (ways) => { await beat(ways, 0) } },
  {
    reason: 'budget_exhausted', endedBy: 'writ', body: () => ({ budget: { calls: 3 } }),
    happens: async (ways) => {
      assert.equal((await beat(ways, 2)).status, 200)
      const over = await beat(ways, 1)
      assert.deepEqual([over.status, over.problem.code], [409, 'task_not_open'])
    },
  },
  {
    reason: 'budget_exhausted', endedBy: 'writ', body: () => ({ budget: { calls: 1 } }),
    happens: async ({ by, task }) => {
      const refused = await ask(by, task)
      assert.deepEqual([refused.status, refused.problem.code], [409, 'task_not_open'])
    },
  },
  {
    reason: 'identity_suspended', endedBy: 'operator',
    happens: ({ writ, by }) => writ.operator(registry.suspendIdentity, { parameters: { id: by.id }, body: { reason: 'it looks odd' } }),
  },
  {
    reason: 'identity_retired', endedBy: 'operator',
    happens: ({ writ, by }) => writ.operator(registry.retireIdentity, { parameters: { id: by.id }, body: { reason: 'no longer needed' } }),
  },
  {
    reason: 'ended_by_person', endedBy: 'operator',
    happens: ({ writ, task }) => writ.operator(tasks.endTask, { parameters: { id: task }, body: { reason: 'enough' } }),
  },
]

/** A quiet machine needs no more than the first; on a busy one a task may be over before its login was used. */
const LENGTHS = [2, 8, 30] as const

/** A task with a lease in use, which it has got before its time was over. */
async function inUse(by: TestIdentity, body: End['body'] = () => ({})): Promise<{ readonly task: string; readonly lease: tasks.IssuedLease; readonly session: Awaited<ReturnType<typeof login>> }> {
  for (const seconds of LENGTHS) {
    const task = await opened(by, body(seconds))
    const got = await ask(by, task)
    if (got.status === 409) continue
    assert.equal(got.status, 201, got.text)
    const session = await login(got.reply).catch((error: { readonly code?: string }) => assert.equal(error.code, '28P01'))
    if (session !== undefined) return { task, lease: got.reply, session }
  }
  return assert.fail(`no lease could be used within ${LENGTHS.at(-1)} s`)
}

for (const store of ['sqlite', 'postgres'] as const) {
  describe(`how a task ends, recorded in ${store}`, () => {
    let writ: RunningWrit
    let shop: GovernedPostgres
    let prefix: string
    before(async () => {
      shop = await governedPostgres(18)
      writ = await startWrit({ store })
      await addShop(writ, shop)
      prefix = await handlePrefixOf(writ)
    })
    after(async () => {
      await writ.stop()
      await shop.remove()
    })

    describe('each way', { concurrency: true }, () => {
      for (const [i, { reason, endedBy, body, happens }] of ENDS.entries()) {
        test(`a task that ends by ${reason} (${i + 1}) says so in record and certificate, and its session and login are dead`, async () => {
          const by = await writ.register(`worker-${i}`)
          const { task, lease, session } = await inUse(by, body)
          const broken = new Promise<{ readonly code?: string }>((resolve) => { session.once('error', resolve) })
          await happens({ writ, by, task })
          assert.equal((await broken).code, '57P01')
          const closure = await closureOf(writ, writ.operator, task)
          assert.deepEqual([closure.reason, closure.ended_by, closure.outcome], [reason, endedBy, 'proved'])
          const ended = (await eventsOf(writ, task)).filter((event) => event.type === 'task.ended')
          assert.deepEqual(ended.map((event) => [event.facts['reason'], event.actor.kind]), [[reason, endedBy]])
          if (reason === 'ended_by_person') assert.equal(ended[0]?.said['why'], 'enough')
          assert.equal(await refusalOf(lease), '28P01')
          assert.ok(!(await shop.rolesNamed(prefix)).includes(lease.user))
          const { reply } = await show({ api: writ.operator }, task)
          assert.deepEqual([reply.state, reply.end_reason, reply.leases[0]?.outcome], ['closed', reason, 'proved'])
        })
      }
    })

    test('a task that is over takes no lease and no heartbeat, stays as it ended, and the denial is recorded', async () => {
      const by = await writ.register('late')
      const task = await opened(by)
      await complete(by, task)
      await closureOf(writ, by.api, task)
      const before = { events: (await allEvents(writ)).length, roles: await shop.rolesNamed(prefix) }
      const shown = (await show(by, task)).reply
      for (const got of [await ask(by, task), await by.api(tasks.heartbeat, { parameters: { id: task } })]) {
        assert.deepEqual([got.status, got.problem.code], [409, 'task_not_open'])
      }
      const ended = await writ.operator(tasks.endTask, { parameters: { id: task }, body: { reason: 'again' } })
      assert.deepEqual([ended.status, ended.reply.end_reason], [200, 'completed'])
      const told = (await allEvents(writ)).slice(before.events)
      assert.deepEqual(told.map(({ type, task: of, facts }) => [type, of, facts['answer'], facts['cause']]), [['decision.made', task, 'deny', 'state']])
      assert.deepEqual([await shop.rolesNamed(prefix), (await show(by, task)).reply], [before.roles, shown])
    })

    test('an operator can not do an identity\'s work, and an identity can not end tasks as a person does', async () => {
      const by = await writ.register('plain')
      const task = await opened(by)
      for (const got of [
        await writ.operator(tasks.completeTask, { parameters: { id: task } }),
        await writ.operator(tasks.issueLease, { parameters: { id: task }, body: { type: 'postgres', resource: 'shop', action: 'ddl' } }),
        await by.api(tasks.endTask, { parameters: { id: task }, body: { reason: 'x' } }),
      ]) assert.deepEqual([got.status, got.problem.code], [403, 'not_allowed'])
      const { reply } = await show(by, task)
      assert.deepEqual([reply.state, reply.leases], ['open', []])
      await complete(by, task)
    })
  })
}

test('PostgreSQL refuses a login from its deadline on while nothing of Writ\'s runs, and Writ proves the end when it is back', async (t) => {
  const shop = await governedPostgres(18)
  const writ = await startWrit()
  t.after(async () => {
    await writ.stop()
    await shop.remove()
  })
  await addShop(writ, shop)
  const by = await writ.register('sleeper')
  const { task, lease, session } = await inUse(by, (seconds) => ({ ttl_seconds: seconds + 1 }))
  await session.end()
  const stopped = writ.pause()
  const deadline = Date.parse(lease.expires_at)
  let lastLetIn = 0
  const refusedAt = await eventually('PostgreSQL refuses the login', async () => {
    const began = Date.now()
    const isRefused = await login(lease).then(async (again) => {
      lastLetIn = began
      await again.end()
      return false
    }, (error: { readonly code?: string }) => error.code === '28P01')
    return isRefused && Date.now()
  }, 40_000)
  assert.ok(refusedAt >= deadline && lastLetIn < deadline, `let in ${lastLetIn - deadline} ms and refused ${refusedAt - deadline} ms after the deadline`)
  stopped.resume()
  const closure = await closureOf(writ, by.api, task)
  assert.deepEqual([closure.reason, closure.outcome], ['deadline', 'proved'])
})
