import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import * as authzen from '@writ/contract/authzen'
import * as overview from '@writ/contract/overview'
import * as registry from '@writ/contract/registry'
import * as tasks from '@writ/contract/tasks'
import { eventually } from '../eventually.ts'
import { opened } from '../governed-writ.ts'
import { startWrit, type RunningWrit } from '../running-writ.ts'

describe('what runs and what is wrong, at a glance', () => {
  let writ: RunningWrit
  before(async () => { writ = await startWrit() })
  after(() => writ.stop())

  test('counts what is open now, and how each hour was decided', async () => {
    const [agent, idle] = [await writ.register('agent'), await writ.register('idle')]
    await writ.operator(registry.suspendIdentity, { parameters: { id: idle.id }, body: { reason: 'not needed today' } })
    const task = await opened(agent)
    await opened(agent)
    // One that its grant does not hold, and one that is advice and counts for nothing.
    const denied = await agent.api(authzen.evaluateAccess, { body: { subject: { type: 'identity', id: agent.spiffeId }, action: { name: 'read' }, resource: { type: 'postgres', id: 'other' }, context: { task } } })
    assert.equal(denied.status, 200, denied.text)
    const now = await eventually('everything is counted', async () => {
      const got = await writ.operator(overview.showOverview)
      assert.equal(got.status, 200, got.text)
      return got.reply.tasks_open === 2 && got.reply.identities.suspended === 1 && got.reply.hours.at(-1)!.denied + got.reply.hours.at(-2)!.denied === 1 && got.reply
    })
    assert.deepEqual([now.identities_at_work, now.identities, now.standing_credentials, now.incidents_open], [1, { active: 1, suspended: 1, retired: 0 }, 2, 0])
    assert.equal(now.hours.length, 24)
    assert.equal(Date.parse(now.hours[1]!.from) - Date.parse(now.hours[0]!.from), 3_600_000)
    assert.ok(now.hours.every((hour) => !hour.more && hour.observed === 0))
  })

  test('tasks are listed of one identity, for whoever may see all of them', async () => {
    const [one, other] = [await writ.register('one'), await writ.register('other')]
    const task = await opened(one)
    await opened(other)
    const idsOf = async (identity: string): Promise<readonly string[]> => (await writ.operator(tasks.listTasks, { query: { identity } })).reply.tasks.map(({ id }) => id)
    assert.deepEqual(await idsOf(one.id), [task])
    assert.deepEqual(await idsOf('nhi_nothing'), [])
    assert.deepEqual((await other.api(tasks.listTasks, { query: { identity: one.id } })).reply.tasks.map(({ identity }) => identity), [other.id], 'an identity sees its own alone')
  })
})
