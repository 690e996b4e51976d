import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import * as decisions from '@writ/contract/decisions'
import * as tasks from '@writ/contract/tasks'
import type { RunningWrit, TestIdentity } from '../../server/test/running-writ.ts'
import { Denied, Killed, Misconfigured, TaskExpired, type Task, type TaskOptions } from '../src/writ.ts'
import { GRANTS, writWithTools } from './governed-tools.ts'
import { workload } from './workload.ts'

const WORK: TaskOptions = { purpose: 'answers a customer', grants: [...GRANTS] }

describe('whether a tool of this process may be called', { concurrency: 1 }, () => {
  let writ: RunningWrit
  let agent: TestIdentity
  before(async () => {
    ({ writ, agent } = await writWithTools())
  })
  after(() => writ.stop())

  const used = async (task: Task): Promise<number> => (await agent.api(tasks.showTask, { parameters: { id: task.id } })).reply.budget.used

  test('is decided on its arguments, recorded, and takes a call of the budget', async (t) => {
    await using task = await workload(t, writ, agent).task(WORK)
    const given = { amount: 42, note: 'late' }
    const { arguments: args, decision } = await task.attempt('shop/refund', given)
    assert.deepEqual(args, given)
    assert.notEqual(args, given)
    assert.equal(await used(task), 1)
    const { reply } = await writ.operator(decisions.showDecision, { parameters: { id: decision } })
    assert.deepEqual([reply.task, reply.resource, reply.answer, reply.advisory], [task.id, { type: 'Writ::Tool', id: 'shop/refund' }, 'allow', false])
  })

  test('is denied with the reasons, and the task goes on', async (t) => {
    await using task = await workload(t, writ, agent).task(WORK)
    await assert.rejects(task.attempt('shop/refund', { amount: 4200n }), (fault) => {
      assert.ok(fault instanceof Denied)
      assert.equal(fault.explanation?.forbidden_by?.policy, 'small-refunds')
      assert.deepEqual(fault.explanation.forbidden_by.actual, { 'context.arguments.amount': '4200' })
      assert.equal(fault.explanation.decision, fault.decision)
      assert.match(fault.explain(), /^denied: .*shop\/refund\n(?:would allow it: .*\n)?/)
      return true
    })
    await assert.rejects(task.attempt('mail/send', { to: 'a@acme.example' }), (fault) => fault instanceof Denied && fault.code === 'approval_required')
    await assert.rejects(task.attempt('shop/erase'), (fault) => fault instanceof Denied && fault.explanation?.cause === 'grant')
    assert.ok(!task.signal.aborted)
    assert.equal((await task.attempt('shop/search', { input: 'order 7' })).decision.length > 0, true)
  })

  test('is not asked of what is no tool', async (t) => {
    await using task = await workload(t, writ, agent).task(WORK)
    await assert.rejects(task.attempt('search'), Misconfigured)
    assert.equal(await used(task), 0)
  })

  test('is told by the end of the task, once its budget is spent', async (t) => {
    await using task = await workload(t, writ, agent).task({ ...WORK, budget: 1 })
    await task.attempt('shop/search')
    await assert.rejects(task.attempt('shop/search'), (fault) => fault instanceof TaskExpired && fault.code === 'task_budget_exhausted')
    assert.ok(task.signal.reason instanceof TaskExpired)
  })

  test('is told by the end of the task, once a person has ended it', async (t) => {
    await using task = await workload(t, writ, agent).task(WORK)
    await writ.operator(tasks.endTask, { parameters: { id: task.id }, body: { reason: 'it looked wrong' } })
    await assert.rejects(task.attempt('shop/search'), Killed)
    assert.ok(task.signal.reason instanceof Killed)
  })
})
