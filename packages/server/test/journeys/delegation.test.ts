import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as registry from '@writ/contract/registry'
import * as tasks from '@writ/contract/tasks'
import { eventsOf, onEachStore, refused } from '../kept.ts'
import { GRANT, opened, show } from '../governed-writ.ts'
import { askToken, callWith, claimsIn, introspect, NEW_TASK, proofKey } from '../oauth-client.ts'
import { closureOf } from '../proofs.ts'
import type { RunningWrit, TestIdentity } from '../running-writ.ts'

const bodyFor = (to: string, more: object = {}) => ({ identity: to, purpose: 'refund one order', authorization_details: GRANT, ...more })

const delegate = (by: TestIdentity, id: string, body: object, headers: Readonly<Record<string, string>> = {}) =>
  by.api(tasks.delegateTask, { parameters: { id }, body, headers })

/** A task and its bound token. */
async function holding(writ: RunningWrit, by: TestIdentity) {
  const key = await proofKey()
  const { reply } = await askToken(writ, by, NEW_TASK, { key })
  return { key, token: reply.access_token, task: reply.task }
}

onEachStore('a task that is handed on', (writ) => {
  test('an agent hands a part of its task on with its token alone; the other one goes on under its own name, and the chain is in its token and in the record', async () => {
    const [lead, hand] = [await writ().register('lead'), await writ().register('hand')]
    const { key, token, task } = await holding(writ(), lead)
    const got = await callWith(writ(), { key, token, path: `/v1/tasks/${task}/delegate`, body: bodyFor(hand.spiffeId, { budget: { calls: 5 }, ttl_seconds: 60 }) })
    assert.equal(got.status, 201, JSON.stringify(got.value))
    const child = got.value as unknown as tasks.TaskReply
    assert.equal(got.headers.get('location'), `/v1/tasks/${child.id}`)
    assert.deepEqual([child.parent, child.spiffe_id, child.budget.calls, child.purpose], [task, hand.spiffeId, 5, 'refund one order'])
    assert.equal((await show(lead, task)).reply.budget.used, 5)

    const own = await proofKey()
    const below = (await askToken(writ(), hand, { task: child.id }, { key: own })).reply
    const claims = claimsIn(below.access_token)
    assert.deepEqual([claims['sub'], claims['act'], claims['client_id'], claims['txn']], [lead.spiffeId, { sub: hand.spiffeId }, hand.spiffeId, child.id])
    assert.equal((await callWith(writ(), { key: own, token: below.access_token, path: `/v1/tasks/${child.id}/heartbeat` })).status, 200)
    // It holds its own task and not the one above, and the other way round.
    assert.equal((await callWith(writ(), { key: own, token: below.access_token, path: `/v1/tasks/${task}/heartbeat` })).status, 404)
    assert.equal((await askToken(writ(), lead, { task: child.id }, { key })).error.error, 'invalid_grant')

    assert.equal((await callWith(writ(), { key, token, path: `/v1/tasks/${task}/complete` })).status, 200)
    for (const dead of [token, below.access_token]) assert.deepEqual(await introspect(writ(), dead), { active: false })
    const closure = await closureOf(writ(), writ().operator, task)
    assert.deepEqual([closure.outcome, closure.descendants.map((one) => [one.task, one.outcome])], ['proved', [[child.id, 'proved']]])
    const childClosure = await closureOf(writ(), hand.api, child.id)
    assert.deepEqual([childClosure.parent, childClosure.reason, childClosure.leases.map((one) => one.lease)], [task, 'parent_ended', [claims['jti']]])
    const told = (await eventsOf(writ())).filter((event) => event.type === 'task.delegated' && event.task === task)
    assert.deepEqual(told.map((event) => [event.actor.id, event.facts['to'], event.facts['spiffe_id']]), [[lead.id, child.id, hand.spiffeId]])
  })

  test('who repeats the request with its key gets the same task, and another request with that key gets none', async () => {
    const [lead, hand] = [await writ().register('repeats-lead'), await writ().register('repeats-hand')]
    const task = await opened(lead)
    const headers = { 'idempotency-key': 'hand-on-once' }
    const got = await Promise.all([1, 2, 3].map(() => delegate(lead, task, bodyFor(hand.id), headers)))
    assert.deepEqual(got.map((one) => one.status), [201, 201, 201])
    assert.equal(new Set(got.map((one) => one.reply.id)).size, 1)
    assert.equal((await show(lead, task)).reply.budget.used, 10, 'a small part of the budget, once')
    await refused(writ(), () => delegate(lead, task, bodyFor(hand.id, { purpose: 'another' }), headers), { status: 422, code: 'idempotency_key_reused' })
  })

  test('what may not be handed on is refused with its reason, strangers learn nothing, and nothing is left of it', async () => {
    const [lead, hand, stranger] = [await writ().register('refused-lead'), await writ().register('refused-hand'), await writ().register('refused-stranger')]
    const asleep = await writ().register('refused-asleep')
    await writ().operator(registry.suspendIdentity, { parameters: { id: asleep.id }, body: { reason: 'x' } })
    const task = await opened(lead)
    const other = await holding(writ(), lead)
    const cases: readonly (readonly [status: number, code: string, by: TestIdentity, body: object, id?: string])[] = [
      [404, 'task_not_found', stranger, bodyFor(hand.id)], [404, 'task_not_found', lead, bodyFor(hand.id), 'tsk_nothing'],
      [422, 'delegate_not_active', lead, bodyFor('spiffe://acme.example/nobody')], [422, 'delegate_not_active', lead, bodyFor(asleep.spiffeId)],
      [422, 'grant_not_covered', lead, bodyFor(hand.id, { authorization_details: [{ type: 'postgres', locations: ['shop'], actions: ['drop'] }] })],
      [422, 'budget_not_covered', lead, bodyFor(hand.id, { budget: { calls: 101 } })], [422, 'too_long', lead, bodyFor(hand.id, { ttl_seconds: 3601 })],
      [400, 'invalid_fields', lead, bodyFor(hand.id, { budget: { calls: 0 } })], [400, 'invalid_fields', lead, { purpose: 'x', authorization_details: GRANT }],
      [400, 'invalid_fields', lead, bodyFor(hand.id, { parent: task })],
    ]
    for (const [status, code, by, body, id = task] of cases) await refused(writ(), () => delegate(by, id, body), { status, code })
    const elsewhere = await callWith(writ(), { key: other.key, token: other.token, path: `/v1/tasks/${task}/delegate`, body: bodyFor(hand.id) })
    assert.deepEqual([elsewhere.status, elsewhere.value['code']], [404, 'task_not_found'])
    assert.equal((await writ().operator(tasks.delegateTask, { parameters: { id: task }, body: bodyFor(hand.id) })).status, 403)
    await lead.api(tasks.completeTask, { parameters: { id: task } })
    await refused(writ(), () => delegate(lead, task, bodyFor(hand.id)), { status: 409, code: 'task_not_open' })
  })
})
