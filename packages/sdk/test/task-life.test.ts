import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { after, before, describe, test } from 'node:test'
import * as registry from '@writ/contract/registry'
import * as tasks from '@writ/contract/tasks'
import { Client } from 'pg'
import { eventually } from '../../server/test/eventually.ts'
import { governedPostgres, type GovernedPostgres } from '../../server/test/governed-postgres.ts'
import { addShop, show } from '../../server/test/governed-writ.ts'
import { startWrit, type RunningWrit, type TestIdentity } from '../../server/test/running-writ.ts'
import { Denied, Killed, TaskExpired, Unreachable, type Credential, type Task, type TaskOptions } from '../src/writ.ts'
import { workload } from './workload.ts'

const WORK: TaskOptions = { purpose: 'tidies the orders', grants: ['postgres:shop:ddl'] }

describe('a task of the SDK', { concurrency: 1 }, () => {
  let writ: RunningWrit
  let shop: GovernedPostgres
  let agent: TestIdentity
  before(async () => {
    shop = await governedPostgres(18)
    writ = await startWrit()
    await addShop(writ, shop)
    agent = await writ.register('sdk-agent')
  })
  after(async () => {
    await writ.stop()
    await shop.remove()
  })

  test('begins and ends with its block: the login works inside, and is refused and proved gone after', async (t) => {
    const sdk = workload(t, writ, agent)
    let login: Credential
    let left: Task
    {
      await using task = await sdk.task(WORK)
      left = task
      login = await task.credential('postgres:shop:ddl')
      assert.equal(await userOf(login), login.user)
      assert.equal((await show(agent, task.id)).reply.state, 'open')
    }
    const certificate = JSON.parse((await left.certificate())!) as { readonly summary: { readonly outcome: string; readonly reason: string } }
    assert.deepEqual([certificate.summary.outcome, certificate.summary.reason], ['proved', 'completed'])
    await assert.rejects(userOf(login), (fault: { readonly code?: unknown }) => fault.code === '28P01')
    assert.ok(left.signal.aborted)
  })

  test('ends also when the work throws, and the work\'s own error is what the caller gets', async (t) => {
    let id = ''
    await assert.rejects(workload(t, writ, agent).withTask(WORK, async (task) => {
      id = task.id
      throw new RangeError('the work went wrong')
    }), RangeError)
    assert.notEqual((await show(agent, id)).reply.state, 'open')
  })

  test('answers what the work answers', async (t) => {
    assert.equal(await workload(t, writ, agent).withTask(WORK, async () => 42), 42)
  })

  test('ends once, however often it is told to, and nothing can be done in it after', async (t) => {
    const task = await workload(t, writ, agent).task(WORK)
    await Promise.all([task.end(), task.end()])
    await task.end()
    await assert.rejects(task.credential('postgres:shop:ddl'), TaskExpired)
  })

  test('hears at once that an operator has ended it: the signal aborts and says why', async (t) => {
    const task = await workload(t, writ, agent).task({ ...WORK, heartbeat: '3s' })
    await writ.operator(tasks.endTask, { parameters: { id: task.id }, body: { reason: 'it looked wrong' } })
    if (!task.signal.aborted) await once(task.signal, 'abort')
    assert.ok(task.signal.reason instanceof Killed && task.signal.reason.code === 'task_ended_by_person', String(task.signal.reason))
    await assert.rejects(task.credential('postgres:shop:ddl'), Killed)
    await task.end()
  })

  test('of a suspended identity is killed, and no new one is opened', async (t) => {
    const other = await writ.register('sdk-suspended')
    const sdk = workload(t, writ, other)
    const task = await sdk.task(WORK)
    await writ.operator(registry.suspendIdentity, { parameters: { id: other.id }, body: { reason: 'under investigation' } })
    await assert.rejects(task.credential('postgres:shop:ddl'), Killed)
    await assert.rejects(sdk.task(WORK), Denied)
    await task.end()
  })

  test('ends with the key that opened it, though its token would last longer; a key that is replaced by plan lets it finish', async (t) => {
    const other = await writ.register('sdk-revoked')
    const task = await workload(t, writ, other).task(WORK)
    const { credentials: [key] } = (await writ.operator(registry.showIdentity, { parameters: { id: other.id } })).reply
    const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    await writ.operator(registry.addKey, { parameters: { id: other.id }, body: { key: publicKey.export({ format: 'jwk' }), replace: true } })
    assert.ok((await task.credential('postgres:shop:ddl')).user, 'replaced, not revoked')
    await task.end()

    const another = await writ.register('sdk-stolen')
    const stolen = await workload(t, writ, another).task(WORK)
    const { credentials: [leaked] } = (await writ.operator(registry.showIdentity, { parameters: { id: another.id } })).reply
    assert.notEqual(leaked!.id, key!.id)
    await writ.operator(registry.revokeKey, { parameters: { id: another.id, key: leaked!.id }, body: { reason: 'it was in a public repository' } })
    await assert.rejects(stolen.credential('postgres:shop:ddl'), Killed)
    assert.equal((await writ.operator(tasks.showTask, { parameters: { id: stolen.id } })).reply.end_reason, 'ended_by_person')
  })

  test('is refused beyond the identity\'s authority, with the way out, and nothing was opened', async (t) => {
    const count = async (): Promise<number> => (await writ.operator(tasks.listTasks, { query: { limit: '1000' } })).reply.tasks.length
    const before = await count()
    await assert.rejects(workload(t, writ, agent).task({ ...WORK, grants: ['postgres:payroll:ddl'] }), Denied)
    assert.equal(await count(), before)
  })

  test('asks for more while it runs, within the identity\'s authority', async (t) => {
    await using task = await workload(t, writ, agent).task({ ...WORK, grants: ['postgres:shop:read'] })
    await assert.rejects(task.credential('postgres:shop:ddl'), Denied)
    await task.widen(['postgres:shop:ddl'], 'a column is missing')
    assert.ok((await task.credential('postgres:shop:ddl')).user)
    await assert.rejects(task.widen(['postgres:payroll:ddl'], 'just in case'), Denied)
  })

  test('counts its calls, and is over when the budget is', async (t) => {
    const task = await workload(t, writ, agent).task({ ...WORK, budget: 3, heartbeat: '3s' })
    task.called(4)
    if (!task.signal.aborted) await once(task.signal, 'abort')
    assert.ok(task.signal.reason instanceof TaskExpired && task.signal.reason.code === 'task_budget_exhausted', String(task.signal.reason))
  })

  test('goes on over a restart of the server: the call is repeated and done once', async (t) => {
    await using task = await workload(t, writ, agent).task(WORK)
    const restarted = writ.kill().then(() => writ.restart())
    const login = await task.credential('postgres:shop:ddl')
    await restarted
    assert.equal(await userOf(login), login.user)
    assert.equal((await show(agent, task.id)).reply.leases.filter((lease) => lease.state === 'live' && lease.backend === 'shop').length, 1)
  })

  test('is given up when the server has not been heard of for as long as it may be silent', async (t) => {
    const task = await workload(t, writ, agent).task({ ...WORK, heartbeat: '3s' })
    const paused = writ.pause()
    try {
      if (!task.signal.aborted) await once(task.signal, 'abort')
      assert.ok(task.signal.reason instanceof Unreachable, String(task.signal.reason))
      await assert.rejects(task.credential('postgres:shop:ddl'), Unreachable)
    } finally {
      paused.resume()
    }
    await eventually('the server ends the task by silence', async () => (await show(agent, task.id)).reply.end_reason === 'silence')
  })
})

async function userOf({ host, port, database, user, secret }: Credential): Promise<string> {
  const client = new Client({ host, port, database, user, password: secret.reveal() })
  try {
    await client.connect()
    return (await client.query<{ name: string }>('select session_user as name')).rows[0]!.name
  } finally {
    await client.end()
  }
}
