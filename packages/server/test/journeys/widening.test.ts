import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import * as tasks from '@writ/contract/tasks'
import { MOST_WIDENINGS } from '@writ/domain/task'
import { verifyCertificate } from '@writ/ledger/certificate'
import { governedPostgres, type GovernedPostgres } from '../governed-postgres.ts'
import { addShop, ask, complete, leased, login, opened, refusalOf, show } from '../governed-writ.ts'
import { allEvents, closureIn, eventsOf, logKey } from '../proofs.ts'
import { nodePrimitives } from '../read-log.ts'
import { startWrit, type Ask, type RunningWrit, type TestIdentity } from '../running-writ.ts'

const may = (...actions: readonly string[]) => [{ type: 'postgres', locations: ['shop'], actions: [...actions] }]
const READ = { authorization_details: may('read') }

const widen = (by: Pick<TestIdentity, 'api'>, task: string, authorization_details: unknown, more: { readonly reason?: unknown; readonly headers?: Ask['headers'] } = {}) =>
  by.api(tasks.widenTask, { parameters: { id: task }, body: { authorization_details, reason: 'the table has no index', ...('reason' in more ? { reason: more.reason } : {}) }, headers: more.headers ?? {} })

for (const { version, store } of [{ version: 18, store: 'sqlite' }, { version: 15, store: 'postgres' }] as const) {
  describe(`a task that asks for more, recorded in ${store}`, () => {
    let writ: RunningWrit
    let shop: GovernedPostgres
    let agent: TestIdentity
    before(async () => {
      shop = await governedPostgres(version)
      writ = await startWrit({ store })
      await addShop(writ, shop)
      agent = await writ.register('agent')
    })
    after(async () => {
      await writ?.stop()
      await shop?.remove()
    })
    const recorded = async (task?: string) => ({ events: (await allEvents(writ)).length, task: task === undefined ? null : (await show(agent, task)).reply })

    test('gets a lease under what it was given, and its certificate shows what, when and why, and can not be made to hide it', async () => {
      const task = await opened(agent, READ)
      const early = await ask(agent, task)
      assert.deepEqual([early.status, early.problem.code], [422, 'grant_not_covered'])
      const { reply: before } = await show(agent, task)

      const widened = await widen(agent, task, may('ddl', 'read'))
      assert.equal(widened.status, 200, widened.text)
      assert.deepEqual(widened.reply, { ...before, authorization_details: [...may('ddl'), ...may('read')], widenings: 1 })
      const lease = await leased(agent, task)
      const session = await login(lease)
      await session.query(`create table shop.${task} (id int)`)
      await session.end()
      await complete(agent, task)

      const got = await agent.api(tasks.certificate, { parameters: { id: task }, query: { wait_seconds: '30' } })
      const key = await logKey(writ)
      const closure = closureIn(key, got.text)
      const [event] = (await eventsOf(writ, task)).filter((one) => one.type === 'task.widened')
      assert.deepEqual([event!.facts, event!.said], [
        { added: ['postgres:shop:ddl'], authority: ['postgres:shop:ddl', 'postgres:shop:read'], nth: 1 }, { reason: 'the table has no index' },
      ])
      assert.deepEqual([event!.actor, event!.ocsf.class_uid, event!.ocsf.activity_id], [{ kind: 'identity', id: agent.id }, 3003, 99])
      assert.deepEqual([closure.authority, closure.widenings], [
        ['postgres:shop:read'], [{ at: Date.parse(event!.at), added: ['postgres:shop:ddl'], reason: 'the table has no index' }],
      ])
      assert.deepEqual([closure.outcome, closure.leases.length], ['proved', 1])
      assert.equal(await refusalOf(lease), '28P01')

      type File = { receipts: { leaf: string }[]; summary: { widenings: unknown[] } }
      const without = JSON.parse(got.text) as File
      without.receipts = without.receipts.filter(({ leaf }) => !leaf.includes('"task.widened"'))
      without.summary.widenings = []
      const hidden = verifyCertificate(nodePrimitives, key, JSON.stringify(without))
      assert.equal(hidden.ok ? 'ok' : hidden.refusal.kind, 'incomplete')
    })

    test('gets nothing beyond what its identity may, and nothing is written', async () => {
      const refunds = (amount?: number) => [{ type: 'stripe', locations: ['refunds'], actions: ['create'], ...(amount === undefined ? {} : { limits: { amount } }) }]
      const bounded = await writ.register('bounded', { authority: ['postgres:shop:read', 'stripe:refunds:create?amount=5000'] })
      const task = await opened(bounded, READ)
      const before = { events: (await allEvents(writ)).length, task: (await show(bounded, task)).reply }
      for (const asked of [may('ddl'), may('read', 'ddl'), refunds(5001), refunds(), [{ type: 'postgres', locations: ['bank'], actions: ['read'] }], [...refunds(1), ...may('ddl')]]) {
        const refused = await widen(bounded, task, asked)
        assert.deepEqual([refused.status, refused.problem.code], [422, 'grant_not_covered'], JSON.stringify(asked))
        assert.match(refused.problem.detail!, /beyond what the identity may/)
      }
      assert.deepEqual({ events: (await allEvents(writ)).length, task: (await show(bounded, task)).reply }, before)
      assert.equal((await ask(bounded, task)).status, 422)
      const told = (await allEvents(writ)).slice(before.events)
      assert.deepEqual(told.map(({ type, facts }) => [type, facts['answer'], facts['cause']]), [['decision.made', 'deny', 'grant']])
      assert.deepEqual((await show(bounded, task)).reply, before.task)
      assert.equal((await widen(bounded, task, refunds(5000))).reply.widenings, 1)
    })

    test('that has it already is answered as it stands, and nothing is written', async () => {
      const task = await opened(agent)
      const before = await recorded(task)
      const got = await widen(agent, task, [{ ...may('ddl')[0]!, limits: { rows: 5 } }])
      assert.deepEqual([got.status, got.reply], [200, before.task])
      assert.deepEqual(await recorded(task), before)
    })

    test('is refused when it is over, another identity\'s or not there, and an operator asks for nobody; nothing is written', async () => {
      const stranger = await writ.register('stranger')
      const task = await opened(agent, READ)
      const closed = await opened(agent, READ)
      await complete(agent, closed)
      const before = await recorded(task)
      for (const { by, id, status, code } of [
        { by: stranger, id: task, status: 404, code: 'task_not_found' },
        { by: agent, id: 'tsk_00000000000000000000000000', status: 404, code: 'task_not_found' },
        { by: agent, id: 'no-task', status: 404, code: 'task_not_found' },
        { by: stranger, id: closed, status: 404, code: 'task_not_found' },
        { by: agent, id: closed, status: 409, code: 'task_not_open' },
        { by: { api: writ.operator }, id: task, status: 403, code: 'not_allowed' },
        { by: { api: writ.stranger }, id: task, status: 401, code: 'unauthenticated' },
      ]) {
        const refused = await widen(by, id, may('ddl'))
        assert.deepEqual([refused.status, refused.problem.code], [status, code], refused.text)
      }
      assert.deepEqual(await recorded(task), before)
      await complete(agent, task)
    })

    test('says what it wants and why, or is told what is missing, and nothing is written', async () => {
      const task = await opened(agent, READ)
      const before = await recorded(task)
      for (const { asked = may('ddl'), more = {}, field } of [
        { more: { reason: undefined }, field: 'reason' }, { more: { reason: ' ' }, field: 'reason' }, { more: { reason: 'x'.repeat(501) }, field: 'reason' },
        { more: { reason: 7 }, field: 'reason' }, { asked: [], field: 'authorization_details' }, { asked: [{ type: 'postgres', locations: [], actions: ['ddl'] }], field: 'authorization_details.0.locations' },
      ]) {
        const got = await widen(agent, task, asked, more)
        assert.deepEqual([got.status, got.problem.errors?.[0]?.field], [400, field], got.text)
      }
      const longer = await agent.api(tasks.widenTask, { parameters: { id: task }, body: { authorization_details: may('ddl'), reason: 'x', ttl_seconds: 3600 } })
      assert.deepEqual([longer.status, longer.problem.errors?.[0]?.field], [400, 'ttl_seconds'], longer.text)
      assert.deepEqual(await recorded(task), before)
    })

    test('is widened once however often its request is repeated', async () => {
      const task = await opened(agent, READ)
      const headers = { 'idempotency-key': 'the-same-wish' }
      const answers = [...await Promise.all(Array.from({ length: 4 }, () => widen(agent, task, may('ddl'), { headers }))), await widen(agent, task, may('ddl'), { headers })]
      assert.deepEqual(answers.map((one) => [one.status, one.reply.widenings]), Array(5).fill([200, 1]))
      const other = await widen(agent, task, may('ddl'), { headers, reason: 'another' })
      assert.deepEqual([other.status, other.problem.code], [422, 'idempotency_key_reused'])
      assert.equal((await eventsOf(writ, task)).filter((one) => one.type === 'task.widened').length, 1)
    })

    test(`is widened ${MOST_WIDENINGS} times and no more, and the certificate tells of each`, async () => {
      const actions = Array.from({ length: MOST_WIDENINGS + 1 }, (_, i) => `act-${String(i).padStart(2, '0')}`)
      const greedy = await writ.register('greedy', { authority: ['postgres:shop:read', ...actions.map((action) => `postgres:shop:${action}`)] })
      const task = await opened(greedy, READ)
      for (const action of actions.slice(0, MOST_WIDENINGS)) assert.equal((await widen(greedy, task, may(action))).status, 200)
      const events = (await allEvents(writ)).length
      const refused = await widen(greedy, task, may(actions.at(-1)!))
      assert.deepEqual([refused.status, refused.problem.code], [409, 'too_many_widenings'])
      assert.equal((await allEvents(writ)).length, events)
      await complete(greedy, task)
      const got = await greedy.api(tasks.certificate, { parameters: { id: task }, query: { wait_seconds: '30' } })
      const { widenings } = closureIn(await logKey(writ), got.text)
      assert.deepEqual(widenings?.flatMap(({ added }) => added), actions.slice(0, MOST_WIDENINGS).map((action) => `postgres:shop:${action}`))
    })
  })
}
