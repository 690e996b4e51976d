import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import * as registry from '@writ/contract/registry'
import * as tasks from '@writ/contract/tasks'
import { eventually } from '../../server/test/eventually.ts'
import { governedPostgres } from '../../server/test/governed-postgres.ts'
import { addShop } from '../../server/test/governed-writ.ts'
import { allEvents, assertLogsHold } from '../../server/test/proofs.ts'
import type { RunningWrit } from '../../server/test/running-writ.ts'
import { ISSUER, startSeveral } from '../../server/test/several-writs.ts'
import type { Writ } from '../src/writ.ts'
import { balancer } from './balancer.ts'
import { workload } from './workload.ts'

const WORKLOADS = 8
/** Of these, each task takes a login too: it costs the back end more than the rest together. */
const WITH_LOGIN = 2

/** One whole task after the other, each with a purpose of its own, until it is told to stop. */
function work(sdks: readonly Writ[]): { readonly purposes: string[]; readonly logins: Set<string>; readonly failures: unknown[]; stop(): Promise<void> } {
  const purposes: string[] = []
  const logins = new Set<string>()
  const failures: unknown[] = []
  let isOver = false
  const running = sdks.map(async (sdk, who) => {
    for (let nth = 0; !isOver; nth++) {
      const purpose = `ticket ${nth} of workload ${who}`
      try {
        await sdk.withTask({ purpose, grants: ['tickets:queue:read', 'postgres:shop:ddl'] }, async (task) => {
          await task.token({ resource: 'https://tickets.acme.example' })
          if (who < WITH_LOGIN) logins.add((await task.credential('postgres:shop:ddl')).lease)
          // Told with a heartbeat, before the end is.
          task.called()
        })
        purposes.push(purpose)
      } catch (failure) {
        failures.push(failure)
      }
    }
  })
  return {
    purposes, logins, failures,
    async stop() {
      isOver = true
      await Promise.all(running)
    },
  }
}

async function restart(writ: RunningWrit, signal: NodeJS.Signals): Promise<void> {
  await writ.kill(signal)
  if (signal === 'SIGTERM') assert.equal(await writ.ended(), 0)
  await writ.restart()
  await eventually('it is ready again', async () => (await writ.stranger(registry.ready).catch(() => undefined))?.status === 200)
}

async function allTasks(writ: RunningWrit): Promise<readonly tasks.TaskReply[]> {
  const all: tasks.TaskReply[] = []
  for (let cursor: string | null | undefined; cursor !== null;) {
    const { reply } = await writ.operator(tasks.listTasks, { query: { limit: '100', ...(cursor === undefined ? {} : { cursor }) } })
    all.push(...reply.tasks)
    cursor = reply.next
  }
  return all
}

test('servers that are stopped, and killed, one after the other under load fail no call of the SDK, and nothing is done twice (R11)', async (t: TestContext) => {
  const shop = await governedPostgres(18)
  t.after(() => shop.remove())
  const several = await startSeveral({ env: { WRIT_LOG: 'warn' } })
  t.after(() => several.stop())
  const [first, second] = several.writs
  await addShop(first, shop)
  const agents = await Promise.all(Array.from({ length: WORKLOADS }, (_, i) => first.register(`restart-${i}`, { authority: ['tickets:queue:read', 'postgres:shop:ddl'] })))
  const front = await balancer(t, several.writs.map(({ url }) => Number(new URL(url).port)))
  const load = work(agents.map((agent) => workload(t, first, agent, { url: front.url, issuer: ISSUER })))

  try {
    for (const [writ, signal] of [[first, 'SIGTERM'], [second, 'SIGTERM'], [first, 'SIGKILL']] as const) {
      const before = load.purposes.length
      await restart(writ, signal)
      await eventually('the load has gone on', () => load.purposes.length > before)
    }
  } finally {
    await load.stop()
  }

  t.diagnostic(`${load.purposes.length} tasks, ${front.failedOver()} connections went to the other server`)
  assert.deepEqual(load.failures, [])
  assert.ok(load.purposes.length >= WORKLOADS && front.failedOver() > 0)
  const ended = await eventually('every task is closed', async () => {
    const all = await allTasks(second)
    return all.every(({ state }) => state === 'closed') && all
  })
  assert.deepEqual(ended.map(({ purpose }) => purpose).toSorted(), load.purposes.toSorted(), 'each was opened once')
  let lost = 0
  for (const { purpose, end_reason: reason, budget, leases } of ended) {
    const [logins, tokens] = (['login', 'access_token'] as const).map((kind) => leases.filter((lease) => lease.kind === kind))
    const handedOut = logins!.filter(({ id }) => load.logins.has(id))
    lost += logins!.length - handedOut.length
    const hasLogin = Number(purpose.at(-1)) < WITH_LOGIN
    assert.deepEqual([reason, budget.used, handedOut.length, tokens!.length], ['completed', logins!.length + 1, hasLogin ? 1 : 0, 2], purpose)
    assert.ok(handedOut.every(({ outcome }) => outcome === 'proved') && logins!.every(({ state, incident }) => state === 'ended' && incident === null), purpose)
  }
  // One that was being made when its server was killed was withdrawn, and another was asked for.
  assert.ok(lost <= WITH_LOGIN, `${lost} logins were lost`)
  const opened = (await allEvents(second)).filter(({ type }) => type === 'task.opened')
  assert.equal(opened.length, load.purposes.length)
  await assertLogsHold(first)
})
