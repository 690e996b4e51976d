import assert from 'node:assert/strict'
import { test } from 'node:test'
import { covers, textOf, type Authority } from '@writ/domain/authority'
import type { IdentityId } from '@writ/domain/id'
import { MOST_WIDENINGS, type Task } from '@writ/domain/task'
import { plus, seconds } from '@writ/domain/time'
import type { EventLeaf } from '@writ/domain/event'
import { applyManifest } from '../../src/registry/apply-manifest.ts'
import { changeIdentity } from '../../src/registry/change-identity.ts'
import type { IdentityDraft } from '../../src/registry/draft.ts'
import { endTask } from '../../src/revoke/end-task.ts'
import { widenTask } from '../../src/tasks/widen-task.ts'
import { draftOf } from '../recorded.ts'
import { everyRow, STORES, storeOfWrit, type StoreOfWrit } from '../store-of-writ.ts'
import { addIdentity, done, eventsOf, openOne, OPERATOR, permits, taskRows, tryOpen } from './estate.ts'

const manyActions = Array.from({ length: MOST_WIDENINGS + 10 }, (_, i) => `act-${String(i).padStart(2, '0')}`)

const widen = (of: StoreOfWrit, task: Pick<Task, 'id' | 'identity'>, asked: Authority, identity: IdentityId = task.identity) =>
  of.store.change(widenTask, { task: task.id, identity, asked, reason: 'there is more to do', now: of.now() })

const kindOf = (widened: Awaited<ReturnType<typeof widen>>): string => widened.ok ? widened.value.kind : widened.refusal.kind

const factsOf = async (of: StoreOfWrit, type: string) => (await eventsOf(of, type)).map((event) => (JSON.parse(event.leaf) as EventLeaf).facts)

const authorityOf = async (of: StoreOfWrit, task: Pick<Task, 'id'>) => {
  const row = (await taskRows(of)).find((one) => one.id === task.id)!
  return { authority: JSON.parse(row.authority) as Authority, widenings: row.widenings }
}

for (const store of STORES) {
  test(`${store}: of widenings that come together a task takes the most there may be, each counted and recorded in turn`, async (t) => {
    const of = await storeOfWrit(store, t)
    const identity = await addIdentity(of, { authority: permits('read', ...manyActions) })
    const task = await openOne(of, { identity })
    const asked: Awaited<ReturnType<typeof widen>>[] = []
    // Eight at once, and not all: who waits for a connection for long is turned away.
    for (let i = 0; i < manyActions.length; i += 8) asked.push(...await Promise.all(manyActions.slice(i, i + 8).map((action) => widen(of, task, permits(action)))))
    assert.equal(asked.filter((one) => one.ok).length, MOST_WIDENINGS)
    assert.ok(asked.every((one) => one.ok || one.refusal.kind === 'too_many_widenings'))
    const { authority, widenings } = await authorityOf(of, task)
    assert.deepEqual([authority.length, widenings], [MOST_WIDENINGS + 1, MOST_WIDENINGS])
    const facts = await factsOf(of, 'task.widened')
    assert.deepEqual(facts.map((one) => one['nth']), Array.from({ length: MOST_WIDENINGS }, (_, i) => i + 1))
    assert.deepEqual(facts.at(-1)!['authority'], authority.map(textOf))
    assert.ok(facts.every((one, i) => (one['authority'] as readonly string[]).length === i + 2))
    await done(of.store.change(endTask, { task: task.id, because: 'completed', by: OPERATOR, now: of.now() }))
    assert.equal((await factsOf(of, 'task.ended'))[0]!['widened'], MOST_WIDENINGS)
  })

  test(`${store}: a child gets more only within its parent, a parent may get more for it, and children opened meanwhile stay covered`, async (t) => {
    const of = await storeOfWrit(store, t)
    const identity = await addIdentity(of)
    const parent = await openOne(of, { identity, budgetCalls: 1000 })
    const child = await openOne(of, { identity, parent: parent.id, budgetCalls: 100 })
    const grandchild = await openOne(of, { identity, parent: child.id, budgetCalls: 10 })
    const before = await everyRow(of)
    for (const one of [child, grandchild]) {
      assert.deepEqual(await widen(of, one, permits('write')), { ok: false, refusal: { kind: 'grant_not_covered', by: 'parent' } })
    }
    assert.deepEqual(await everyRow(of), before)
    await done(widen(of, parent, permits('write')))
    assert.deepEqual(await widen(of, grandchild, permits('write')), { ok: false, refusal: { kind: 'grant_not_covered', by: 'parent' } })
    await done(widen(of, child, permits('write')))
    await done(widen(of, grandchild, permits('write')))

    // Together, up and down the tree: whoever comes first, all ends covered and nobody waits for ever.
    for (let round = 0; round < 3; round++) {
      await Promise.all([grandchild, child, parent].flatMap((task, i) => [
        widen(of, task, permits('ddl')), tryOpen(of, { identity, parent: child.id, budgetCalls: 1, authority: permits(i === 0 ? 'read' : 'ddl') }),
      ]))
    }
    const rows = await taskRows(of)
    const mayOf = (id: string): Authority => JSON.parse(rows.find((row) => row.id === id)!.authority) as Authority
    const children = rows.filter((row) => row.parent_id !== null)
    assert.ok(children.length > 2)
    for (const row of children) assert.ok(covers(mayOf(row.parent_id!), mayOf(row.id)), 'a child may more than its parent')
  })

  test(`${store}: a task is not widened by another identity, nor once it is over, and nothing is written`, async (t) => {
    const of = await storeOfWrit(store, t)
    const identity = await addIdentity(of)
    const other = await addIdentity(of)
    const [task, ended] = [await openOne(of, { identity }), await openOne(of, { identity })]
    await done(of.store.change(endTask, { task: ended.id, because: 'completed', by: OPERATOR, now: of.now() }))
    const before = await everyRow(of)
    assert.equal(kindOf(await widen(of, task, permits('write'), other)), 'no_such_task')
    assert.equal(kindOf(await widen(of, task, permits('write'), of.newId('identity'))), 'no_such_task')
    assert.equal(kindOf(await widen(of, ended, permits('write'))), 'over')
    assert.deepEqual(await everyRow(of), before)
  })

  test(`${store}: what counts is what the identity may now, and whether its end has come, not what was so when the task opened`, async (t) => {
    const of = await storeOfWrit(store, t)
    const draft = draftOf({ name: 'narrowed' })
    const identity = await addIdentity(of, draft)
    const task = await openOne(of, { identity })
    const apply = (more: Partial<IdentityDraft>) => {
      const ids = { admission: of.newId('admission'), identity, credential: of.newId('credential') }
      return done(of.store.change(applyManifest, { entries: [{ draft: { ...draft, ...more }, ids, sealedHook: null }], dryRun: false, by: OPERATOR, now: of.now() }))
    }
    await apply({ authority: permits('write') })
    let before = await everyRow(of)
    assert.deepEqual(await widen(of, task, permits('write')), { ok: false, refusal: { kind: 'grant_not_covered', by: 'identity' } })
    assert.deepEqual(await everyRow(of), before)
    await apply({ endsAt: plus(of.now(), seconds(5)) })
    of.clock.set(plus(of.now(), seconds(5)))
    before = await everyRow(of)
    assert.equal(kindOf(await widen(of, task, permits('write'))), 'identity_not_active')
    assert.deepEqual(await everyRow(of), before)
  })

  test(`${store}: a task whose clock has run out is ended by its wish for more, and not widened`, async (t) => {
    const of = await storeOfWrit(store, t)
    const identity = await addIdentity(of)
    for (const { order, reason } of [
      { order: { length: seconds(5) }, reason: 'deadline' }, { order: { heartbeat: seconds(5) }, reason: 'silence' }, { order: { idleTimeout: seconds(5) }, reason: 'idle' },
    ]) {
      const task = await openOne(of, { identity, ...order })
      of.clock.set(plus(of.now(), seconds(5)))
      const late = await widen(of, task, permits('write'))
      assert.ok(late.ok && late.value.kind === 'over')
      assert.equal(late.value.task.endReason, reason)
      assert.deepEqual(await authorityOf(of, task), { authority: task.authority, widenings: 0 })
    }
    assert.deepEqual(await factsOf(of, 'task.widened'), [])
    assert.deepEqual((await factsOf(of, 'task.ended')).map((one) => one['widened']), [0, 0, 0])
  })

  test(`${store}: an identity that is suspended while its tasks ask for more leaves none of them open or widened after its end`, async (t) => {
    const of = await storeOfWrit(store, t)
    for (let round = 0; round < 10; round++) {
      const identity = await addIdentity(of)
      const tasks = await Promise.all(Array.from({ length: 3 }, () => openOne(of, { identity })))
      const asking = tasks.map((task) => widen(of, task, permits('write')))
      const stopping = of.store.change(changeIdentity, { identity, change: 'suspend', reason: 'the test says so', by: OPERATOR, now: of.now() })
      const [stopped, ...asked] = await Promise.all([stopping, ...asking, ...tasks.map((task) => widen(of, task, permits('ddl')))])
      assert.ok(stopped.ok && asked.every((one) => one.ok))
      const rows = (await taskRows(of)).filter((row) => row.identity_id === identity)
      assert.ok(rows.every((row) => row.state === 'closed'))
      const last = new Map((await eventsOf(of, 'task.widened', 'task.ended')).map((event) => [event.task_id, event.type]))
      assert.ok(tasks.every((task) => last.get(task.id) === 'task.ended'), 'widened after its end')
    }
  })
}
