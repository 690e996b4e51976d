import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import type { IdentityId, TaskId } from '@writ/domain/id'
import { engines } from '../../src/decide/engines.ts'
import { evaluate, type Asked, type EvaluateInput } from '../../src/evaluate/evaluate.ts'
import { search } from '../../src/evaluate/search.ts'
import type { Asker } from '../../src/evaluate/supposed.ts'
import { addIdentity, addShop, done, openOne, permits } from '../laws/estate.ts'
import { storeForSuite, STORES, type StoreOfWrit } from '../store-of-writ.ts'

const OPERATOR: Asker = { kind: 'operator', id: 'opr_of_the_test' }
const asIdentity = (id: IdentityId): Asker => ({ kind: 'identity', id, lease: null, workload: null })

for (const name of STORES) {
  describe(`back ends in AuthZEN's words, on ${name}`, () => {
    const opened = storeForSuite(name)
    let identity: IdentityId
    let task: TaskId
    before(async () => {
      await addShop(opened())
      identity = await addIdentity(opened())
      task = (await openOne(opened(), { identity })).id
    })

    const connect = (of: StoreOfWrit, args: object, resource = 'shop'): Asked => ({
      id: of.newId('decision'), task, action: 'connect', arguments: JSON.stringify(args), claimed: '{}',
      subject: { type: 'agent', id: identity, properties: null }, resource: { type: 'backend', id: resource, properties: null },
    })
    const answersTo = async (asked: readonly Asked[]) => {
      const answers = await done(opened().store.change(evaluate, { asked, stopAt: 'never', by: OPERATOR, uses: [], traceId: 'a test', now: opened().now() }))
      return answers.map(({ answer, cause, by }) => [answer, cause, ...by.map(({ policy }) => policy)].join(' '))
    }

    test('a lease is asked for by its template, which is what the grant names', async () => {
      const of = opened()
      assert.deepEqual(await answersTo([
        connect(of, { template: 'read' }), connect(of, { template: 'ddl' }), connect(of, {}), connect(of, { template: 7 }), connect(of, { template: 'read' }, 'another'),
        connect(of, { template: 'read', more: 'x' }), connect(of, { template: 'read' }, ''),
      ]), ['allow policy connect-in-grant', 'deny grant', 'deny grant', 'deny grant', 'deny grant', 'deny error', 'deny grant'])
      const [row] = await of.sql('select calls_used, denied_calls from task where id = $1', [task])
      assert.deepEqual([Number(row!['calls_used']), Number(row!['denied_calls'])], [1, 6])
    })

    test('advice about a lease takes its template as well', async () => {
      assert.deepEqual(await answersTo([{ ...connect(opened(), { template: 'read' }), task: null }, { ...connect(opened(), {}), task: null }]),
        ['allow policy connect-in-grant', 'deny error'])
    })

    test('an operator finds every back end, and an identity those that its own authority names', async () => {
      const of = opened()
      const stranger = await addIdentity(of, { authority: permits('read').map((permit) => ({ ...permit, resource: 'elsewhere' })) })
      const found = async (who: IdentityId, by: Asker) => search({ store: of.store, engines: engines() }, {
        sought: 'resource', subject: { type: 'agent', id: who, properties: null }, resource: { type: 'backend', id: '', properties: null },
        action: { name: 'list', arguments: '{}' }, claimed: '{}', by, now: of.now(), page: { limit: 10, after: '' },
      })
      assert.deepEqual(await found(identity, OPERATOR), { found: ['shop'], next: null })
      assert.deepEqual(await found(identity, asIdentity(identity)), { found: ['shop'], next: null })
      assert.deepEqual(await found(stranger, asIdentity(stranger)), { found: [], next: null })
      assert.deepEqual(await found(identity, asIdentity(stranger)), { found: [], next: null })
    })

    test('what one question of several is refused for, none of them has done', async () => {
      const of = opened()
      const other = await addIdentity(of)
      const rows = async () => [await of.sql('select count(*) as many from decision'), await of.sql('select count(*) as many from event'), await of.sql('select sum(calls_used) as used from task')]
      const held = await rows()
      for (const [bad, kind] of [
        [{ task: of.newId('task') }, 'no_such_task'], [{ subject: { type: 'agent', id: other, properties: null } }, 'not_the_holder'],
        [{ subject: { type: 'agent', id: identity, properties: '{"class":"script"}' } }, 'properties_not_yours'],
        [{ resource: { type: 'backend', id: 'shop', properties: '{"effect":"read"}' } }, 'properties_not_yours'],
      ] as const) {
        const questions: readonly Asked[] = [connect(of, { template: 'read' }), { ...connect(of, { template: 'read' }), ...bad }]
        const order: EvaluateInput = { asked: questions, stopAt: 'never', by: OPERATOR, uses: [], traceId: 'a test', now: of.now() }
        const got = await of.store.change(evaluate, order)
        assert.deepEqual(got.ok ? got.value : got.refusal, { kind })
      }
      const byStranger = await of.store.change(evaluate, { asked: [connect(of, { template: 'read' })], stopAt: 'never', by: asIdentity(other), uses: [], traceId: 'a test', now: of.now() })
      assert.deepEqual(byStranger.ok ? byStranger.value : byStranger.refusal, { kind: 'no_such_task' })
      assert.deepEqual(await rows(), held)
    })

    test('one that has been removed is in nobody\'s grant any more', async () => {
      const of = opened()
      assert.deepEqual(await answersTo([connect(of, { template: 'read' })]), ['allow policy connect-in-grant'])
      await of.sql('update backend set state = \'removed\', removed_at = 1')
      assert.deepEqual(await answersTo([connect(of, { template: 'read' })]), ['deny grant'])
    })
  })
}
