import assert from 'node:assert/strict'
import { test } from 'node:test'
import { outcomeOf, type Probe } from '@writ/domain/lease'
import { seconds } from '@writ/domain/time'
import { overallOutcome, type TaskOutcome } from '@writ/ledger/lease-closure'
import { endTask } from '../../src/revoke/end-task.ts'
import { everyRow, STORES, storeOfWrit } from '../store-of-writ.ts'
import { addIdentity, addShop, done, endOne, eventsOf, failOnce, leaseIn, openOne, OPERATOR, taskRows } from './estate.ts'

const HOUR = seconds(3600)
/** Each database has its own word for it. */
const any = (error: unknown): boolean => error instanceof Error

for (const store of STORES) {
  test(`${store}: the database itself takes no identity without owners, purpose, scope, end, trigger and admission`, async (t) => {
    const of = await storeOfWrit(store, t)
    const identity = await addIdentity(of)
    const [row] = await of.sql(`select * from identity where id = '${identity}'`)
    const columns = Object.keys(row!)
    const insert = (over: Readonly<Record<string, unknown>>) => {
      const values = { ...row, id: of.newId('identity'), spiffe_id: `spiffe://acme.example/${of.newId('identity')}`, ...over }
      return of.sql(`insert into identity (${columns.join(', ')}) values (${columns.map((_, i) => `$${i + 1}`).join(', ')})`, columns.map((column) => values[column as keyof typeof values]))
    }
    const before = await everyRow(of)
    for (const over of [
      { technical_owner: '' }, { technical_owner: null }, { business_owner: '' }, { business_owner: null }, { purpose: '' }, { purpose: null },
      { system_scope: '[]' }, { system_scope: null }, { ends_at: null }, { ends_at: row!['registered_at'] }, { trigger: null }, { trigger_kind: null },
      { trigger_kind: 'never' }, { admission_id: null }, { admission_id: 'adm_nobody' }, { kind: 'person' }, { class: 'root' }, { environment: 'moon' },
      { state: 'immortal' }, { state: null }, { spiffe_id: row!['spiffe_id'] }, { id: row!['id'] },
    ]) await assert.rejects(insert(over), any, JSON.stringify(over))
    for (const column of ['technical_owner', 'business_owner', 'purpose']) {
      await assert.rejects(of.sql(`update identity set ${column} = '' where id = '${identity}'`), any, column)
    }
    await assert.rejects(of.sql(`update identity set system_scope = '[]' where id = '${identity}'`))
    await assert.rejects(of.sql(`update identity set ends_at = registered_at where id = '${identity}'`))
    await assert.rejects(of.sql(`delete from identity where id = '${identity}'`))
    assert.deepEqual(await everyRow(of), before)
    await insert({})
  })

  test(`${store}: the database itself takes no task without purpose, grant and end, and none that hangs in the air`, async (t) => {
    const of = await storeOfWrit(store, t)
    const task = await openOne(of, { identity: await addIdentity(of) })
    const [row] = await of.sql(`select * from task where id = '${task.id}'`)
    const columns = Object.keys(row!)
    const insert = (over: Readonly<Record<string, unknown>>) => {
      const id = of.newId('task')
      const values = { ...row, id, root_id: id, ...over }
      return of.sql(`insert into task (${columns.join(', ')}) values (${columns.map((_, i) => `$${i + 1}`).join(', ')})`, columns.map((column) => values[column as keyof typeof values]))
    }
    const before = await everyRow(of)
    for (const over of [
      { purpose: '' }, { purpose: null }, { authority: '[]' }, { authority: null }, { deadline: null }, { deadline: row!['opened_at'] }, { due_at: null },
      { budget_calls: null }, { budget_calls: -1 }, { calls_used: 11 }, { calls_used: -1 }, { depth_left: -1 }, { depth: 1 }, { parent_id: task.id }, { root_id: task.id },
      { identity_id: 'nhi_nobody' }, { state: 'ending' }, { end_reason: 'completed' }, { state: 'closed' }, { idle_timeout: null }, { heartbeat: null },
    ]) await assert.rejects(insert(over), any, JSON.stringify(over))
    assert.deepEqual(await everyRow(of), before)
    await insert({})
  })

  test(`${store}: a task is proved only when each of its leases is; what is missing is never counted as proof`, async (t) => {
    const of = await storeOfWrit(store, t)
    const shop = await addShop(of)
    const closing = async (identity: Awaited<ReturnType<typeof addIdentity>>, play: (task: Awaited<ReturnType<typeof openOne>>) => Promise<unknown>): Promise<string> => {
      const task = await openOne(of, { identity, length: HOUR })
      await play(task)
      await done(of.store.change(endTask, { task: task.id, because: 'completed', by: OPERATOR, now: of.now() }))
      const facts = (await eventsOf(of, 'task.closed')).filter((event) => event.task_id === task.id).map((event) => (JSON.parse(event.leaf) as { facts: { outcome: string } }).facts.outcome)
      const rows = (await taskRows(of)).filter((row) => row.id === task.id)
      assert.deepEqual(facts, rows.map((row) => row.closed_outcome))
      return facts.join()
    }
    assert.equal(await closing(await addIdentity(of), async () => {}), 'nothing_issued')
    assert.equal(await closing(await addIdentity(of), async (task) => leaseIn(of, task, shop, 'ended')), 'proved')
    assert.equal(await closing(await addIdentity(of), async (task) => {
      await leaseIn(of, task, shop, 'ended')
      await failOnce(of, await leaseIn(of, task, shop, 'withdrawing'), 'still_accepted')
    }), 'incident')
    assert.equal(await closing(await addIdentity(of), async (task) => {
      const stuck = await leaseIn(of, task, shop, 'stuck')
      await endOne(of, stuck)
    }), 'incident')
  })
}

const refused: Probe = { kind: 'refused', by: 'a', code: '28P01', message: 'no', absentFromCatalogue: true, tookMs: 1 }

test('a lease is proved by nothing less than control login, refusal and absence together', () => {
  for (const control of [{ ok: true, tookMs: 1 } as const, { ok: false, why: 'no route' } as const, null]) {
    const probes: readonly Probe[] = [refused, { ...refused, absentFromCatalogue: false }, { kind: 'not_evaluated', why: 'no route' }, { kind: 'accepted', by: 'a' }]
    for (const probe of probes) {
      const isProof: boolean = control?.ok === true && probe === refused
      const expected: string = probe.kind === 'accepted' ? 'still_accepted' : isProof ? 'proved' : 'not_evaluated'
      assert.equal(outcomeOf(true, control, probe), expected)
      assert.equal(outcomeOf(false, control, probe), probe.kind === 'accepted' ? 'still_accepted' : 'never_issued')
    }
  }
})

test('of several ends the worst speaks for the task, in every order', () => {
  const all: readonly TaskOutcome[] = ['incident', 'not_evaluated', 'proved', 'nothing_issued']
  for (const a of all) {
    for (const b of all) {
      const worst = all[Math.min(all.indexOf(a), all.indexOf(b))]!
      assert.equal(overallOutcome([a, b]), worst)
      assert.equal(overallOutcome([b, a, 'nothing_issued']), worst)
    }
  }
  assert.equal(overallOutcome([]), 'nothing_issued')
})
