import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { IdentityId, TaskId } from '@writ/domain/id'
import { PROFILES } from '@writ/domain/profile'
import { epochMs, milliseconds, plus, seconds } from '@writ/domain/time'
import { sql } from 'kysely'
import { LONGEST_MINT } from '../../src/revoke/end-task.ts'
import { StorageUnavailable } from '../../src/store/faults.ts'
import { endDueTasks, heartbeat } from '../../src/tasks/keep-task.ts'
import { inFull } from '../long.ts'
import { STORES, storeOfWrit, type StoreOfWrit } from '../store-of-writ.ts'
import { addIdentity, addShop, claimAll, done, eventsOf, leaseIn, leaseRows, openOne, taskRows, tryIntend } from './estate.ts'

const MANY = inFull ? 5000 : 1000

/** Rows by the thousand, past Writ: live leases of one task, all due at the same instant. */
async function addLiveLeases(of: StoreOfWrit, task: { readonly id: TaskId; readonly identity: IdentityId }, shop: string, count: number): Promise<void> {
  const numbered = of.name === 'sqlite'
    ? `with recursive n(i) as (select 1 union all select i + 1 from n where i < ${count})`
    : `with n(i) as (select generate_series(1, ${count}))`
  const [at, due] = [of.now(), of.now() + 1000]
  await of.sql(`insert into lease (id, task_id, identity_id, backend_id, template, handle, sealed_secret, state, intended_at, minted_at, expires_at, attempts, due_at)
    ${numbered} select 'lse_' || i, '${task.id}', '${task.identity}', '${shop}', 'read', 'writ_' || i, 'sealed', 'live', ${at}, ${at}, ${due}, 0, ${due} from n`)
}

/** On a busy machine so many at once may wait for a connection for too long; then nothing was done. */
async function untilTaken<T>(attempt: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await attempt()
    } catch (error) {
      if (!(error instanceof StorageUnavailable && error.left === 'nothing')) throw error
    }
  }
}

for (const store of STORES) {
  test(`${store}: five claimers at once never claim one lease twice, and all are claimed`, async (t) => {
    const of = await storeOfWrit(store, t)
    const shop = await addShop(of)
    const task = await openOne(of, { identity: await addIdentity(of), budgetCalls: 500 })
    for (let i = 0; i < 60; i++) await leaseIn(of, task, shop, 'live')
    of.clock.set(task.deadline)
    const claimed: string[] = []
    await Promise.all(Array.from({ length: 5 }, async () => {
      for (let batch = await claimAll(of, 7); batch.length > 0; batch = await claimAll(of, 7)) {
        assert.ok(batch.length <= 7)
        claimed.push(...batch.map((lease) => lease.id))
      }
    }))
    assert.equal(claimed.length, 60)
    assert.equal(new Set(claimed).size, 60)
    assert.ok((await leaseRows(of)).every((row) => row.state === 'withdrawing' && row.stop_at === of.now()))
  })

  test(`${store}: what a claimer that died had taken falls due again when its time is over, and not before`, async (t) => {
    const of = await storeOfWrit(store, t)
    const shop = await addShop(of)
    const task = await openOne(of, { identity: await addIdentity(of) })
    const lease = await leaseIn(of, task, shop, 'live')
    of.clock.set(task.deadline)
    const ids = async () => (await claimAll(of, 10)).map((one) => one.id)
    assert.deepEqual(await ids(), [lease])
    of.clock.advance(59_999)
    assert.deepEqual(await ids(), [])
    of.clock.advance(1)
    assert.deepEqual(await ids(), [lease])
    assert.equal((await leaseRows(of))[0]!.stop_at, task.deadline)
  })

  test(`${store}: a lease that was intended and never minted is claimed once its mint can no longer come`, async (t) => {
    const of = await storeOfWrit(store, t)
    const shop = await addShop(of)
    const task = await openOne(of, { identity: await addIdentity(of) })
    const lease = await leaseIn(of, task, shop, 'intended')
    of.clock.advance(LONGEST_MINT - 1)
    assert.deepEqual(await claimAll(of, 10), [])
    of.clock.advance(1)
    assert.deepEqual((await claimAll(of, 10)).map((one) => one.id), [lease])
  })

  test(`${store}: ${MANY} leases that are due at once are taken in batches of no more than was asked for, each once`, async (t) => {
    const of = await storeOfWrit(store, t)
    const shop = await addShop(of)
    const task = await openOne(of, { identity: await addIdentity(of) })
    await addLiveLeases(of, task, shop, MANY)
    of.clock.advance(1000)
    const seen = new Set<string>()
    let slowest = 0
    for (let batches = 0; ; batches++) {
      const before = performance.now()
      const batch = await claimAll(of, 64)
      slowest = Math.max(slowest, performance.now() - before)
      if (batch.length === 0) break
      assert.ok(batch.length <= 64 && batches < 100)
      for (const lease of batch) seen.add(lease.id)
    }
    t.diagnostic(`slowest batch ${slowest.toFixed(1)} ms`)
    assert.equal(seen.size, MANY)
  })

  test(`${store}: of 50 heartbeats and leases at once exactly as many pass as there are calls, and an overdraft ends the task`, async (t) => {
    const of = await storeOfWrit(store, t)
    const shop = await addShop(of)
    const identity = await addIdentity(of)
    for (const budgetCalls of [1, 24, 50]) {
      const task = await openOne(of, { identity, budgetCalls })
      const beats = await Promise.all(Array.from({ length: 50 }, (_, i) => (i % 2 === 0
        ? untilTaken(() => of.store.change(heartbeat, { task: task.id, identity, calls: 1, now: of.now() })).then((heard) => heard.ok && heard.value.kind === 'open')
        : untilTaken(() => tryIntend(of, task, shop)).then((asked) => asked.ok && asked.value.kind === 'intended'))))
      const row = (await taskRows(of)).find((one) => one.id === task.id)!
      assert.equal(beats.filter(Boolean).length, row.calls_used)
      assert.ok(row.calls_used <= budgetCalls)
      if (row.state === 'open') assert.equal(row.calls_used, budgetCalls)
      else assert.equal(row.end_reason, 'budget_exhausted')
      const leases = (await leaseRows(of)).filter((lease) => lease.task_id === task.id)
      assert.equal(leases.length, beats.filter((passed, i) => passed && i % 2 === 1).length)
    }
  })

  test(`${store}: of 50 calls asked for with a budget of 20 exactly 20 pass when none of them may end the task`, async (t) => {
    const of = await storeOfWrit(store, t)
    const shop = await addShop(of)
    const task = await openOne(of, { identity: await addIdentity(of), budgetCalls: 20 })
    const intended = await Promise.all(Array.from({ length: 50 }, () => untilTaken(() => tryIntend(of, task, shop))))
    const decided = intended.map((one) => (one.ok ? one.value : assert.fail(one.refusal.kind)))
    assert.equal(decided.filter((one) => one.kind === 'intended').length, 20)
    assert.ok(decided.every((one) => one.kind === 'intended' || (one.decided.cause === 'budget' && one.because === 'budget_exhausted')))
    assert.deepEqual([(await leaseRows(of)).length, (await taskRows(of))[0]!.calls_used, (await eventsOf(of, 'lease.intended')).length], [20, 20, 20])
  })

  test(`${store}: sweepers at once end each due task once, for the reason that came true, a whole tree with its root`, async (t) => {
    const of = await storeOfWrit(store, t)
    const identity = await addIdentity(of)
    const tasks = []
    for (let i = 0; i < 30; i++) {
      const root = await openOne(of, { identity, length: i % 3 === 0 ? seconds(10) : seconds(300), heartbeat: i % 3 === 1 ? seconds(10) : seconds(300), idleTimeout: i % 3 === 2 ? seconds(10) : seconds(300) })
      tasks.push(root, await openOne(of, { identity, parent: root.id, budgetCalls: 1, length: i % 2 === 0 ? seconds(5) : seconds(300) }))
    }
    of.clock.advance(10_000)
    const sweep = async (): Promise<number> => {
      let ended = 0
      for (let idle = 0; idle < 3; idle++) {
        const now = await done(of.store.change(endDueTasks, { now: of.now(), limit: 4 }))
        if (now > 0) idle = 0
        ended += now
      }
      return ended
    }
    await Promise.all([sweep(), sweep(), sweep()])
    await sweep()
    const rows = new Map((await taskRows(of)).map((row) => [row.id, row]))
    assert.ok([...rows.values()].every((row) => row.state === 'closed'))
    for (const [i, task] of tasks.entries()) {
      if (task.parent === null) assert.equal(rows.get(task.id)!.end_reason, ['deadline', 'silence', 'idle'][(i / 2) % 3])
      else assert.ok(['deadline', 'parent_ended'].includes(rows.get(task.id)!.end_reason!))
    }
    assert.deepEqual([(await eventsOf(of, 'task.ended')).length, (await eventsOf(of, 'task.closed')).length], [60, 60])
  })

  test(`${store}: what is due and what is unsealed is found by its index`, async (t) => {
    const of = await storeOfWrit(store, t)
    const shop = await addShop(of)
    const task = await openOne(of, { identity: await addIdentity(of) })
    await addLiveLeases(of, task, shop, 5000)
    if (store === 'postgres') {
      // It reads small tables whole unless told that this costs much; the question is whether an index serves, and in the order wanted.
      for (const setting of ['enable_seqscan', 'enable_bitmapscan', 'enable_sort']) await of.sql(`set ${setting} = off`)
    }
    for (const { query, index } of [
      { query: `select id from lease where due_at <= ${of.now()} order by due_at limit 64`, index: 'lease_due' },
      { query: `select id from task where due_at <= ${of.now()} order by due_at limit 200`, index: 'task_due' },
      { query: `select id from identity where due_at <= ${of.now()} order by due_at limit 200`, index: 'identity_due' },
      { query: `select seq from event where stream = 'human' and leaf_index is null order by seq limit 1000`, index: 'event_unsealed' },
    ]) {
      const plan = await planOf(of, query)
      assert.match(plan, new RegExp(`\\b${index}\\b`), plan)
      assert.doesNotMatch(plan, /TEMP B-TREE|Sort/, plan)
    }
  })

  test(`${store}: no task is open for longer than its class allows, nor without an end`, async (t) => {
    const of = await storeOfWrit(store, t)
    const identity = await addIdentity(of)
    const longest = PROFILES.autonomous.longestTask
    const task = await openOne(of, { identity, length: longest, idleTimeout: longest, heartbeat: longest })
    assert.equal((await taskRows(of))[0]!.due_at, plus(of.now(), longest))
    of.clock.set(epochMs(task.deadline - 1))
    assert.equal(await done(of.store.change(endDueTasks, { now: of.now(), limit: 10 })), 0)
    of.clock.advance(milliseconds(1))
    assert.equal(await done(of.store.change(endDueTasks, { now: of.now(), limit: 10 })), 1)
  })
}

/** How the database means to answer. */
async function planOf(of: StoreOfWrit, query: string): Promise<string> {
  const rows = of.name === 'postgres'
    ? await of.sql(`explain ${query}`)
    : (await of.store.read((db) => sql<Record<string, unknown>>`explain query plan ${sql.raw(query)}`.execute(db))).rows
  return rows.map((row) => String(row['detail'] ?? row['QUERY PLAN'])).join('\n')
}
