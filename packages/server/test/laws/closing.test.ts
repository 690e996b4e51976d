import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { BackendId, IdentityId, LeaseId, TaskId } from '@writ/domain/id'
import type { Task } from '@writ/domain/task'
import fc from 'fast-check'
import { changeIdentity } from '../../src/registry/change-identity.ts'
import { endTask } from '../../src/revoke/end-task.ts'
import { stopLease } from '../../src/revoke/lease-changes.ts'
import { STORES, storeOfWrit, type StoreOfWrit } from '../store-of-writ.ts'
import { addIdentity, addShop, done, endOne, eventsOf, LEASE_STATES, leaseIn, leaseRows, openOne, OPERATOR, taskRows, type LeaseStage } from './estate.ts'

/** A tree of at most three generations: for each task its parent among the ones before it, and the states of its leases. */
const treeOf = fc.record({
  tasks: fc.array(fc.record({ under: fc.nat(10), leases: fc.array(fc.constantFrom<LeaseStage>(...LEASE_STATES), { maxLength: 3 }) }), { minLength: 2, maxLength: 6 }),
  ends: fc.nat(10), shuffle: fc.infiniteStream(fc.nat(1000)),
})

type Stage = { readonly of: StoreOfWrit; readonly identity: IdentityId; readonly shop: BackendId }
type Built = { readonly tasks: readonly Task[]; readonly leases: ReadonlyMap<LeaseId, { readonly task: TaskId; readonly state: LeaseStage }> }

async function build({ of, identity, shop }: Stage, wanted: readonly { readonly under: number; readonly leases: readonly LeaseStage[] }[]): Promise<Built> {
  const tasks: Task[] = []
  const leases = new Map<LeaseId, { task: TaskId; state: LeaseStage }>()
  for (const one of wanted) {
    const bearers = tasks.filter((task) => task.depthLeft > 0)
    const parent = tasks.length === 0 ? undefined : bearers[one.under % bearers.length]
    tasks.push(await openOne(of, { identity, parent: parent?.id ?? null, budgetCalls: 10_000 / 10 ** ((parent?.depth ?? -1) + 1) }))
  }
  // An incident contains the identity and with it ends every task: stuck leases come after everything else that needs an open task.
  const order = wanted.flatMap((one, i) => one.leases.map((state) => ({ task: tasks[i]!, state }))).toSorted((a, b) => Number(a.state === 'stuck') - Number(b.state === 'stuck'))
  for (const { task, state } of order) {
    if (state === 'stuck' && order.some((other) => other.state === 'stuck' && [...leases.values()].some((made) => made.state === 'stuck'))) continue
    leases.set(await leaseIn(of, task, shop, state), { task: task.id, state })
  }
  return { tasks, leases }
}

const beneath = (tasks: readonly Task[], top: TaskId): ReadonlySet<TaskId> => {
  const found = new Set([top])
  for (const task of tasks) if (task.parent !== null && found.has(task.parent)) found.add(task.id)
  return found
}

type Closed = { readonly seq: number; readonly task: string; readonly leases: readonly string[]; readonly descendants: readonly string[] }

async function closings(of: StoreOfWrit, among: ReadonlySet<string>): Promise<readonly Closed[]> {
  return (await eventsOf(of, 'task.closed')).filter((event) => among.has(event.task_id!)).map((event) => {
    const { facts } = JSON.parse(event.leaf) as { facts: { leases: { lease: string }[]; descendants: { task: string }[] } }
    return { seq: event.seq, task: event.task_id!, leases: facts.leases.map((one) => one.lease), descendants: facts.descendants.map((one) => one.task) }
  })
}

/** Each task closed once, after everything beneath it, and its closing names every one of its leases and children. */
async function checkClosed(of: StoreOfWrit, { tasks, leases }: Built): Promise<void> {
  const all = await closings(of, new Set(tasks.map((task) => task.id)))
  assert.deepEqual(all.map((one) => one.task).toSorted(), tasks.map((task) => task.id).toSorted(), 'not each exactly once')
  const seqOf = new Map(all.map((one) => [one.task, one.seq]))
  for (const task of tasks) {
    const closing = all.find((one) => one.task === task.id)!
    assert.deepEqual(closing.leases.toSorted(), [...leases].filter(([, one]) => one.task === task.id).map(([id]) => id).toSorted())
    for (const child of tasks.filter((one) => one.parent === task.id)) {
      assert.ok(seqOf.get(child.id)! < closing.seq, 'a parent closed before its child')
      assert.ok(closing.descendants.includes(child.id), 'a child is not in its parent\'s closing')
    }
  }
  const rows = (await taskRows(of)).filter((row) => seqOf.has(row.id))
  assert.ok(rows.every((row) => row.state === 'closed' && row.closed_leaf !== null))
}

const isStopped = (state: string): boolean => state === 'withdrawing' || state === 'stuck' || state === 'ended'

for (const store of STORES) {
  test(`${store}: ending any task of a random tree ends what is beneath, stops every lease there and touches nothing else; each closes once, parents last`, async (t) => {
    const of = await storeOfWrit(store, t)
    const shop = await addShop(of)
    await fc.assert(fc.asyncProperty(treeOf, async ({ tasks: wanted, ends, shuffle }) => {
      of.clock.advance(1000)
      const identity = await addIdentity(of)
      const built = await build({ of, identity, shop }, wanted)
      const top = built.tasks[ends % built.tasks.length]!
      const contained = [...built.leases.values()].some((one) => one.state === 'stuck')
      await done(of.store.change(endTask, { task: top.id, because: 'completed', by: OPERATOR, now: of.now() }))

      const inside = beneath(built.tasks, top.id)
      const rows = new Map((await taskRows(of)).map((row) => [row.id, row]))
      for (const task of built.tasks) {
        const row = rows.get(task.id)!
        const isOver = contained || inside.has(task.id)
        assert.equal(row.state === 'open', !isOver, 'an end that reached too far, or not far enough')
        if (!contained && isOver) assert.equal(row.end_reason, task.id === top.id ? 'completed' : 'parent_ended')
      }
      for (const lease of await leaseRows(of)) {
        const made = built.leases.get(lease.id as LeaseId)
        if (made === undefined) continue
        if (contained || inside.has(made.task)) assert.ok(isStopped(lease.state), `a lease is ${lease.state}`)
        else assert.equal(lease.state, made.state)
      }

      await done(of.store.change(endTask, { task: built.tasks[0]!.id, because: 'completed', by: OPERATOR, now: of.now() }))
      const order = [...built.leases.keys()].map((id) => ({ id, at: shuffle.next().value })).toSorted((a, b) => a.at - b.at)
      for (const { id } of order) await endOne(of, id)
      await checkClosed(of, built)
    }), { numRuns: store === 'sqlite' ? 40 : 15 })
  })

  test(`${store}: when all leases of a tree end at the same moment each task still closes once, parents last`, async (t) => {
    const of = await storeOfWrit(store, t)
    const shop = await addShop(of)
    for (let round = 0; round < (store === 'sqlite' ? 10 : 6); round++) {
      const identity = await addIdentity(of)
      const live = { leases: ['live', 'live'] as const }
      const built = await build({ of, identity, shop }, [{ under: 0, ...live }, { under: 0, ...live }, { under: 0, ...live }, { under: 1, ...live }])
      await done(of.store.change(endTask, { task: built.tasks[0]!.id, because: 'completed', by: OPERATOR, now: of.now() }))
      await Promise.all([...built.leases.keys()].map((id) => endOne(of, id)))
      await checkClosed(of, built)
    }
  })

  test(`${store}: a tree that is ended from its root, from a child and by suspending its identity at once, while leases end, closes once`, async (t) => {
    const of = await storeOfWrit(store, t)
    const shop = await addShop(of)
    for (let round = 0; round < (store === 'sqlite' ? 10 : 6); round++) {
      const identity = await addIdentity(of)
      const live = { leases: ['live'] as const }
      const built = await build({ of, identity, shop }, [{ under: 0, ...live }, { under: 0, ...live }, { under: 1, ...live }])
      const ending = (task: Task) => of.store.change(endTask, { task: task.id, because: 'completed', by: OPERATOR, now: of.now() })
      await Promise.all([
        ending(built.tasks[1]!), ending(built.tasks[0]!), ending(built.tasks[2]!),
        of.store.change(changeIdentity, { identity, change: 'suspend', reason: 'the test says so', by: OPERATOR, now: of.now() }),
      ])
      await Promise.all([...built.leases.keys()].map((id) => endOne(of, id)))
      await checkClosed(of, built)
      const ended = (await eventsOf(of, 'task.ended')).filter((event) => built.tasks.some((task) => task.id === event.task_id))
      assert.equal(ended.length, built.tasks.length)
    }
  })

  test(`${store}: withdrawing one lease of twenty leaves the other nineteen and the task as they were`, async (t) => {
    const of = await storeOfWrit(store, t)
    const shop = await addShop(of)
    const identity = await addIdentity(of)
    const task = await openOne(of, { identity, budgetCalls: 100 })
    const leases: LeaseId[] = []
    for (let i = 0; i < 20; i++) leases.push(await leaseIn(of, task, shop, i % 3 === 0 ? 'intended' : 'live'))
    await fc.assert(fc.asyncProperty(fc.constantFrom(...leases), fc.boolean(), async (one, finish) => {
      const rest = async () => (await leaseRows(of)).filter((row) => row.id !== one)
      const before = [await rest(), await taskRows(of)]
      await done(of.store.change(stopLease, { lease: one, by: OPERATOR, reason: 'the test says so', now: of.now() }))
      if (finish) await endOne(of, one)
      assert.deepEqual([await rest(), await taskRows(of)], before)
      assert.ok(isStopped((await leaseRows(of)).find((row) => row.id === one)!.state))
    }), { numRuns: 30 })
  })
}
