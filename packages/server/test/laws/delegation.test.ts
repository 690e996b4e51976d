import assert from 'node:assert/strict'
import { test } from 'node:test'
import { covers } from '@writ/domain/authority'
import type { IdentityId, TaskId } from '@writ/domain/id'
import type { Task } from '@writ/domain/task'
import { seconds } from '@writ/domain/time'
import fc from 'fast-check'
import { changeIdentity } from '../../src/registry/change-identity.ts'
import { MOST_BENEATH } from '../../src/revoke/close-task.ts'
import { endTask } from '../../src/revoke/end-task.ts'
import { delegateTask } from '../../src/tasks/delegate-task.ts'
import { findTask } from '../../src/store/tasks.ts'
import { everyRow, STORES, type StoreOfWrit } from '../store-of-writ.ts'
import { addIdentity, countEvents, done, eventsOf, openOne, OPERATOR, permits, taskRows } from './estate.ts'
import { endAllDue, standingOf, storeWithKey, tokenIn } from './tokens.ts'

type Order = {
  readonly parent: TaskId; readonly by: IdentityId; readonly to: string; readonly actions?: readonly string[]; readonly seconds?: number; readonly calls?: number
}

const tryDelegate = (of: StoreOfWrit, { parent, by, to, actions = ['read'], seconds: length = 60, calls = 2 }: Order) => of.store.change(delegateTask, {
  id: of.newId('task'), parent, by, to, purpose: 'a part of it', now: of.now(),
  asked: { authority: permits(...actions), length: seconds(length), budgetCalls: calls, idleTimeout: seconds(length), heartbeat: seconds(length), onBehalfOf: null },
  decision: of.newId('decision'), workload: null, traceId: 'a test',
})

/** A task that must be handed on. */
async function handOn(of: StoreOfWrit, order: Order): Promise<Task> {
  const value = await done(tryDelegate(of, order))
  return value.kind === 'open' ? value.task : assert.fail(value.kind)
}

const ACTIONS = ['read', 'write', 'ddl'] as const

for (const store of STORES) {
  test(`${store}: what is handed on is covered by the task it comes from and by whom it goes to, ends no later and spends no more, and the record says who did it`, async (t) => {
    const of = await storeWithKey(store, t)
    const [top, middle, narrow] = [await addIdentity(of), await addIdentity(of), await addIdentity(of, { authority: permits('read') })]
    const user = { issuer: 'https://idp.example', subject: 'maya' }
    let handedOn = 0
    await fc.assert(fc.asyncProperty(
      fc.subarray([...ACTIONS], { minLength: 1 }), fc.integer({ min: 2, max: 60 }),
      fc.array(fc.record({
        from: fc.nat(5), like: fc.nat(2), to: fc.constantFrom(middle, narrow, top), actions: fc.subarray([...ACTIONS], { minLength: 1, maxLength: 2 }), seconds: fc.integer({ min: 1, max: 3700 }), calls: fc.integer({ min: 1, max: 12 }), later: fc.nat(5000),
      }), { minLength: 1, maxLength: 6 }),
      async (actions, budget, wishes) => {
        const open = [await openOne(of, { identity: top, authority: permits(...actions), length: seconds(600), idleTimeout: seconds(600), heartbeat: seconds(600), budgetCalls: budget, onBehalfOf: user })]
        for (const wish of wishes) {
          of.clock.advance(wish.later)
          const from = open[wish.from % open.length]!
          const before = await countEvents(of)
          const got = await tryDelegate(of, { parent: from.id, by: from.identity, ...wish, ...(wish.like > 0 ? { actions: [from.authority[0]!.action] } : {}) })
          const told = await countEvents(of) - before
          if (!got.ok || got.value.kind !== 'open') {
            if (!got.ok) assert.equal(told, 0)
            continue
          }
          handedOn++
          assert.equal(told, 3)
          const { task } = got.value
          assert.ok(covers(from.authority, task.authority) && task.deadline <= from.deadline && task.depth === from.depth + 1)
          assert.ok(wish.to !== narrow || covers(permits('read'), task.authority))
          assert.deepEqual([task.onBehalfOf, task.parent, task.identity], [user, from.id, wish.to])
          const above = (await of.store.read((db) => findTask(db, from.id)))!
          assert.ok(above.callsUsed <= above.budgetCalls)
          open.push(task)
        }
      },
    ), { numRuns: store === 'sqlite' ? 40 : 15 })
    assert.ok(handedOn > 10, String(handedOn))
    const [delegated, opened] = [await eventsOf(of, 'task.delegated'), await eventsOf(of, 'task.opened')]
    assert.equal(delegated.length, handedOn)
    for (const event of delegated) {
      const { actor, identity, task, facts } = JSON.parse(event.leaf) as { actor: { id: string }; identity: string; task: string; facts: { to: string; to_identity: string } }
      const child = JSON.parse(opened.find((one) => one.task_id === facts.to)!.leaf) as { actor: { id: string }; identity: string; facts: { parent: string } }
      assert.deepEqual([actor.id, child.actor.id, child.identity, child.facts.parent], [identity, identity, facts.to_identity, task])
    }
  })

  test(`${store}: what may not be handed on is refused, and nothing is written`, async (t) => {
    const of = await storeWithKey(store, t)
    const [by, to, other] = [await addIdentity(of), await addIdentity(of), await addIdentity(of)]
    const [narrow, shallow, asleep] = [await addIdentity(of, { authority: permits('write') }), await addIdentity(of, { class: 'chatbot' }), await addIdentity(of)]
    await done(of.store.change(changeIdentity, { identity: asleep, change: 'suspend', reason: 'the test says so', by: OPERATOR, now: of.now() }))
    const parent = (await openOne(of, { identity: by, authority: permits('read'), budgetCalls: 5 })).id
    const low = await openOne(of, { identity: shallow })
    const leaf = await handOn(of, { parent: low.id, by: shallow, to, calls: 4 })
    const before = await everyRow(of)
    const orders: readonly (readonly [kind: string, order: Partial<Order>])[] = [
      ['no_such_task', { by: other }], ['no_such_task', { by: to }], ['no_such_task', { parent: of.newId('task') as TaskId }],
      ['no_such_identity', { to: of.newId('identity') }], ['no_such_identity', { to: 'spiffe://acme.example/nobody' }], ['no_such_identity', { to: '%' }],
      ['identity_not_active', { to: asleep }], ['grant_not_covered', { actions: ['read', 'write'] }], ['grant_not_covered', { to: narrow }],
      ['budget_not_covered', { calls: 6 }], ['too_long', { seconds: 3601 }], ['too_deep', { parent: leaf.id, by: to, calls: 1 }],
    ]
    for (const [kind, order] of orders) {
      const got = await tryDelegate(of, { parent, by, to, ...order })
      assert.equal(got.ok ? 'handed on' : got.refusal.kind, kind)
      assert.deepEqual(await everyRow(of), before, kind)
    }
    assert.ok((await tryDelegate(of, { parent, by, to: `spiffe://acme.example/${to}` })).ok, 'a SPIFFE ID names an identity as well')
  })

  test(`${store}: a task that is over hands on nothing, and one whose time has come ends by being asked`, async (t) => {
    const of = await storeWithKey(store, t)
    const [by, to] = [await addIdentity(of), await addIdentity(of)]
    const ended = await openOne(of, { identity: by })
    await done(of.store.change(endTask, { task: ended.id, because: 'completed', by: OPERATOR, now: of.now() }))
    const before = await everyRow(of)
    assert.deepEqual((await done(tryDelegate(of, { parent: ended.id, by, to }))).kind, 'over')
    assert.deepEqual(await everyRow(of), before)
    const silent = await openOne(of, { identity: by, heartbeat: seconds(5) })
    of.clock.advance(5000)
    const got = await done(tryDelegate(of, { parent: silent.id, by, to }))
    assert.ok(got.kind === 'over')
    assert.equal(got.task.endReason, 'silence')
    assert.equal((await taskRows(of)).filter((row) => row.parent_id !== null).length, 0)
  })

  test(`${store}: a task has so many children at most`, async (t) => {
    const of = await storeWithKey(store, t)
    const [by, to] = [await addIdentity(of), await addIdentity(of)]
    const parent = await openOne(of, { identity: by, budgetCalls: 1000 })
    const token = await tokenIn(of, parent)
    const columns = 'task_id, identity_id, kid, audience, jkt, authority, subject, actors, issued_at, expires_at, state, due_at'
    await of.sql(`insert into access_token (id, ${columns}) with recursive n (i) as (select 1 union all select i + 1 from n where i < ${MOST_BENEATH - 2}) select 'lse_' || i, ${columns} from access_token, n where access_token.id = '${token.id}'`)
    assert.ok((await tryDelegate(of, { parent: parent.id, by, to, calls: 1 })).ok)
    const more = await tryDelegate(of, { parent: parent.id, by, to, calls: 1 })
    assert.deepEqual(more.ok ? 'handed on' : more.refusal, { kind: 'too_many_leases', most: MOST_BENEATH })
  })

  test(`${store}: when whoever handed it on is stopped, or ends, what was handed on and its tokens are dead with it; the other way round nothing above is`, async (t) => {
    const of = await storeWithKey(store, t)
    for (const stop of ['the task', 'the identity', 'below'] as const) {
      const [by, to] = [await addIdentity(of), await addIdentity(of)]
      const parent = await openOne(of, { identity: by })
      const own = await tokenIn(of, parent)
      const child = await handOn(of, { parent: parent.id, by, to })
      const below = await tokenIn(of, child)
      const suspend = (identity: IdentityId) => of.store.change(changeIdentity, { identity, change: 'suspend', reason: 'the test says so', by: OPERATOR, now: of.now() })
      if (stop === 'the task') await done(of.store.change(endTask, { task: parent.id, because: 'completed', by: OPERATOR, now: of.now() }))
      else await done(suspend(stop === 'below' ? to : by))
      assert.deepEqual([await standingOf(of, own.id) === 'live', await standingOf(of, below.id)], [stop === 'below', 'stopped'])
      await endAllDue(of)
      const states = new Map((await taskRows(of)).map((row) => [row.id, row.state]))
      assert.deepEqual([states.get(parent.id), states.get(child.id)], [stop === 'below' ? 'open' : 'closed', 'closed'])
    }
  })

  test(`${store}: an identity that is stopped ends with all its trees at once: from below upwards, each for its own reason, and what a child did not use comes back first`, async (t) => {
    const of = await storeWithKey(store, t)
    const [lead, hand, above] = [await addIdentity(of), await addIdentity(of), await addIdentity(of)]
    const suspend = (identity: IdentityId) => done(of.store.change(changeIdentity, { identity, change: 'suspend', reason: 'the test says so', by: OPERATOR, now: of.now() }))
    const used = async (task: TaskId): Promise<number> => (await of.store.read((db) => findTask(db, task)))!.callsUsed
    const top = await openOne(of, { identity: lead, budgetCalls: 100 })
    const below = await handOn(of, { parent: top.id, by: lead, to: hand, calls: 30 })
    const twins = [await handOn(of, { parent: below.id, by: hand, to: lead, calls: 10 }), await handOn(of, { parent: below.id, by: hand, to: lead, calls: 7 })]
    const elsewhere = await openOne(of, { identity: above, budgetCalls: 50 })
    const foreign = [await handOn(of, { parent: elsewhere.id, by: above, to: lead, calls: 5 }), await handOn(of, { parent: elsewhere.id, by: above, to: lead, calls: 6 })]
    // More than are ended with one statement.
    const lone: Task[] = []
    while (lone.length < 101) lone.push(await openOne(of, { identity: lead }))
    const reserved = await Promise.all([top.id, below.id, elsewhere.id].map(used))
    await suspend(lead)

    const ended = (await eventsOf(of, 'task.ended')).map(({ leaf }) => JSON.parse(leaf) as { readonly task: string; readonly facts: { readonly reason: string; readonly calls_used: number } })
    const reasonOf = new Map<string, string>(ended.map(({ task, facts }) => [task, facts.reason]))
    assert.deepEqual([top, below, ...twins, ...foreign, ...lone].map(({ id }) => reasonOf.get(id)), [
      'identity_suspended', 'parent_ended', 'parent_ended', 'parent_ended', 'identity_suspended', 'identity_suspended', ...lone.map(() => 'identity_suspended'),
    ])
    assert.equal(ended.length, 6 + lone.length)
    const place = (task: Task): number => ended.findIndex((event) => event.task === task.id)
    for (const twin of twins) assert.ok(place(twin) < place(below) && place(below) < place(top))
    assert.deepEqual(await Promise.all([below.id, top.id, elsewhere.id].map(used)), [reserved[1]! - 17, reserved[0]! - 30 + (reserved[1]! - 17), reserved[2]! - 11])
    assert.deepEqual([below, top].map((task) => ended[place(task)]!.facts.calls_used), await Promise.all([below.id, top.id].map(used)))
    assert.equal((await of.store.read((db) => findTask(db, elsewhere.id)))!.state, 'open')
  })
}
