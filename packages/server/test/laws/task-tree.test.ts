import assert from 'node:assert/strict'
import { test } from 'node:test'
import { covers, type Authority } from '@writ/domain/authority'
import type { IdentityId, TaskId } from '@writ/domain/id'
import { IDENTITY_CLASSES, PROFILES, type IdentityClass } from '@writ/domain/profile'
import type { Task } from '@writ/domain/task'
import { epochMs, milliseconds, plus, seconds } from '@writ/domain/time'
import fc from 'fast-check'
import { changeIdentity } from '../../src/registry/change-identity.ts'
import { endTask } from '../../src/revoke/end-task.ts'
import { heartbeat } from '../../src/tasks/keep-task.ts'
import { findTask } from '../../src/store/tasks.ts'
import { STORES, storeOfWrit, type StoreOfWrit } from '../store-of-writ.ts'
import { addIdentity, countEvents, done, OPERATOR, openOne, permits, taskRows, tryOpen } from './estate.ts'

const ACTIONS = ['read', 'write', 'ddl'] as const
const USERS = [null, { issuer: 'https://idp.example', subject: 'maya' }, { issuer: 'https://idp.example', subject: 'eve' }] as const

/** One wish of a random tree: under which of the tasks so far, by an identity of which class, and with what. */
const wish = fc.record({
  under: fc.option(fc.nat(20), { freq: 6 }), by: fc.constantFrom<IdentityClass>(...IDENTITY_CLASSES, 'autonomous', 'autonomous'),
  actions: fc.subarray([...ACTIONS], { minLength: 1 }), seconds: fc.constantFrom(30, 300, 3000, 3600), budget: fc.integer({ min: 1, max: 40 }),
  user: fc.constantFrom(null, null, null, ...USERS), later: fc.nat(20_000), beat: fc.nat(15), like: fc.nat(3),
})
type Wish = typeof wish extends fc.Arbitrary<infer W> ? W : never

type Grown = { readonly task: Task; readonly class: IdentityClass; readonly parent: Grown | null }

const ancestorsOf = (of: Grown): readonly Grown[] => of.parent === null ? [] : [of.parent, ...ancestorsOf(of.parent)]

async function grow(of: StoreOfWrit, wishes: readonly Wish[], identities: ReadonlyMap<IdentityClass, IdentityId>): Promise<readonly Grown[]> {
  const grown: Grown[] = []
  for (const one of wishes) {
    of.clock.advance(one.later)
    const parent = one.under === null || grown.length === 0 ? null : grown[one.under % grown.length]!
    if (parent !== null) await of.store.change(heartbeat, { task: parent.task.id, identity: parent.task.identity, calls: one.beat % 4, now: of.now() })
    const before = await countEvents(of)
    const opened = await tryOpen(of, {
      identity: identities.get(one.by)!, parent: parent?.task.id ?? null, authority: parent !== null && one.like > 0 ? parent.task.authority : permits(...one.actions),
      length: seconds(one.seconds), budgetCalls: parent === null ? one.budget * 4 : one.budget, idleTimeout: seconds(36_000), heartbeat: seconds(36_000), onBehalfOf: one.user,
    })
    assert.equal(await countEvents(of), before + (opened.ok ? 1 : 0))
    if (opened.ok) grown.push({ task: opened.value, class: one.by, parent })
  }
  return grown
}

function checkOne(one: Grown): void {
  const { task } = one
  for (const above of ancestorsOf(one)) {
    assert.ok(task.deadline <= above.task.deadline, 'outlives')
    assert.ok(covers(above.task.authority, task.authority), 'outdoes')
    assert.deepEqual(task.onBehalfOf, above.task.onBehalfOf, 'acts for another')
    assert.ok(task.depth - above.task.depth <= PROFILES[above.class].delegationDepth, 'hangs too deep')
  }
  assert.ok(task.openedAt < task.deadline, 'is over before it begins')
}

for (const store of STORES) {
  test(`${store}: in random trees no task outlives, outspends or outdoes one above it, or hangs deeper than any class above allows`, async (t) => {
    const of = await storeOfWrit(store, t)
    const identities = new Map<IdentityClass, IdentityId>()
    for (const one of IDENTITY_CLASSES) identities.set(one, await addIdentity(of, { class: one }))
    let children = 0
    await fc.assert(fc.asyncProperty(fc.array(wish, { minLength: 8, maxLength: 16 }), async (wishes) => {
      const grown = await grow(of, wishes, identities)
      grown.forEach(checkOne)
      children += grown.filter((one) => one.parent !== null).length
      for (const one of grown) await checkBudget(of, one, grown)
    }), { numRuns: store === 'sqlite' ? 60 : 25 })
    t.diagnostic(`${children} children`)
    assert.ok(children > (store === 'sqlite' ? 60 : 20))
  })

  test(`${store}: of 40 siblings opened at once exactly as many open as their parent has calls for`, async (t) => {
    const of = await storeOfWrit(store, t)
    const identity = await addIdentity(of)
    const parent = await openOne(of, { identity, budgetCalls: 100 })
    const opened = await Promise.all(Array.from({ length: 40 }, () => tryOpen(of, { identity, parent: parent.id, budgetCalls: 7 })))
    assert.equal(opened.filter((one) => one.ok).length, 14)
    assert.ok(opened.every((one) => one.ok || one.refusal.kind === 'budget_not_covered'))
    const rows = await taskRows(of)
    assert.equal(rows.length, 15)
    assert.equal(rows.find((row) => row.id === parent.id)!.calls_used, 98)
  })

  test(`${store}: no child is left open under a parent that ends while its children open`, async (t) => {
    const of = await storeOfWrit(store, t)
    const identity = await addIdentity(of)
    for (let round = 0; round < 15; round++) {
      const parent = await openOne(of, { identity, budgetCalls: 1000 })
      const opening = Array.from({ length: 6 }, () => tryOpen(of, { identity, parent: parent.id, budgetCalls: 1 }))
      const ending = of.store.change(endTask, { task: parent.id, because: 'completed', by: OPERATOR, now: of.now() })
      await Promise.all([...opening, ending])
    }
    assert.deepEqual((await taskRows(of)).filter((row) => row.state !== 'closed'), [])
  })

  test(`${store}: no task is left open to an identity that is suspended while its tasks open`, async (t) => {
    const of = await storeOfWrit(store, t)
    for (let round = 0; round < 15; round++) {
      const identity = await addIdentity(of)
      const step = (change: 'suspend' | 'retire') => of.store.change(changeIdentity, { identity, change, reason: 'the test says so', by: OPERATOR, now: of.now() })
      const opening = Array.from({ length: 3 }, () => tryOpen(of, { identity }))
      const stopping = step(round % 2 === 0 ? 'suspend' : 'retire')
      const more = Array.from({ length: 3 }, () => tryOpen(of, { identity }))
      const [stopped, ...opened] = await Promise.all([stopping, ...opening, ...more])
      assert.ok(stopped.ok)
      for (const one of opened) assert.ok(one.ok || one.refusal.kind === 'identity_not_active')
      const states = (await taskRows(of)).filter((row) => row.identity_id === identity).map((row) => row.state)
      assert.ok(states.every((state) => state === 'closed'), `round ${round}: ${states.join(' ')}`)
    }
  })

  test(`${store}: a child is refused, and nothing written, when what is above it does not bear it`, async (t) => {
    const of = await storeOfWrit(store, t)
    const identity = await addIdentity(of)
    const chatbot = await addIdentity(of, { class: 'chatbot' })
    const user = { issuer: 'https://idp.example', subject: 'maya' }
    const parent = await openOne(of, { identity, authority: permits('read'), budgetCalls: 20, length: seconds(100), onBehalfOf: user })
    const ended = await openOne(of, { identity })
    await done(of.store.change(endTask, { task: ended.id, because: 'completed', by: OPERATOR, now: of.now() }))
    const first = await openOne(of, { identity: chatbot, budgetCalls: 100 })
    const second = await openOne(of, { identity, parent: first.id, budgetCalls: 50 })
    const before = [await countEvents(of), await taskRows(of)]
    for (const { asked, kind } of [
      { asked: { parent: parent.id, authority: permits('read', 'write') as Authority }, kind: 'grant_not_covered' },
      { asked: { parent: parent.id, budgetCalls: 21 }, kind: 'budget_not_covered' },
      { asked: { parent: parent.id, onBehalfOf: { ...user, subject: 'eve' } }, kind: 'other_user' },
      { asked: { parent: ended.id }, kind: 'parent_not_open' },
      { asked: { parent: second.id, budgetCalls: 1 }, kind: 'too_deep' },
      { asked: { parent: of.newId('task') as TaskId }, kind: 'no_such_parent' },
    ]) {
      const opened = await tryOpen(of, { identity, ...asked })
      assert.equal(opened.ok ? 'opened' : opened.refusal.kind, kind)
    }
    of.clock.set(parent.deadline)
    const late = await tryOpen(of, { identity, parent: parent.id, budgetCalls: 1 })
    assert.deepEqual(late, { ok: false, refusal: { kind: 'no_time_left', of: 'parent' } })
    assert.deepEqual([await countEvents(of), await taskRows(of)], before)
  })

  test(`${store}: an identity whose end has come opens nothing, and a task ends no later than its identity`, async (t) => {
    const of = await storeOfWrit(store, t)
    const endsAt = plus(of.now(), milliseconds(1500))
    const identity = await addIdentity(of, { endsAt })
    const task = await openOne(of, { identity })
    assert.equal(task.deadline, endsAt)
    const before = [await countEvents(of), await taskRows(of)]
    for (const at of [endsAt, epochMs(endsAt + 1)]) {
      of.clock.set(at)
      const late = await tryOpen(of, { identity })
      assert.equal(late.ok ? 'opened' : late.refusal.kind, 'identity_not_active')
    }
    assert.deepEqual([await countEvents(of), await taskRows(of)], before)
  })
}

/** What the open children reserved, what the ended ones really used, and its own calls: together no more than its budget. */
async function checkBudget(of: StoreOfWrit, one: Grown, grown: readonly Grown[]): Promise<void> {
  const find = async (id: TaskId): Promise<Task> => (await of.store.read((db) => findTask(db, id)))!
  const now = await find(one.task.id)
  let taken = 0
  for (const { task } of grown.filter((other) => other.parent === one)) {
    const child = await find(task.id)
    taken += child.state === 'open' ? child.budgetCalls : child.callsUsed
  }
  assert.ok(now.callsUsed <= now.budgetCalls, 'outspends')
  if (now.state === 'open') assert.ok(taken <= now.callsUsed, 'a child spends what its parent does not count')
}
