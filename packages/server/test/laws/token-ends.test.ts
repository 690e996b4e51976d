import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { BackendId, IdentityId, LeaseId, TaskId } from '@writ/domain/id'
import type { Task } from '@writ/domain/task'
import { seconds } from '@writ/domain/time'
import { verifyCertificate, type Certificate } from '@writ/ledger/certificate'
import fc from 'fast-check'
import { nodePrimitives } from '../../../ledger/offline/primitives.ts'
import { revokeToken } from '../../src/issue/revoke-token.ts'
import { certificateOf } from '../../src/prove/certificate.ts'
import { changeIdentity } from '../../src/registry/change-identity.ts'
import { MOST_BENEATH } from '../../src/revoke/close-task.ts'
import { endTask } from '../../src/revoke/end-task.ts'
import { findTask } from '../../src/store/tasks.ts'
import { keyOf } from '../proofs.ts'
import { everyRow, STORES, type StoreOfWrit } from '../store-of-writ.ts'
import { addIdentity, addShop, countEvents, done, endOne, eventsOf, leaseIn, openOne, OPERATOR, taskRows } from './estate.ts'
import { endAllDue, endSome, standingOf, storeWithKey, tokenIn, tokenRows, tryToken } from './tokens.ts'

const end = (of: StoreOfWrit, task: TaskId) => done(of.store.change(endTask, { task, because: 'completed', by: OPERATOR, now: of.now() }))
const revoke = (of: StoreOfWrit, token: LeaseId) => done(of.store.change(revokeToken, { token, by: OPERATOR, now: of.now() }))

type Facts = { readonly outcome: string; readonly leases: readonly { readonly lease: string }[]; readonly probe: { readonly kind: string; readonly code: string } }
const factsOf = (event: { readonly leaf: string }): Facts => (JSON.parse(event.leaf) as { facts: Facts }).facts

/** How each token of the store ended, from the record: exactly one end each. */
async function endsOf(of: StoreOfWrit): Promise<ReadonlyMap<string, Facts>> {
  const events = await eventsOf(of, 'lease.ended')
  const ends = new Map(events.map((event) => [(JSON.parse(event.leaf) as { lease: string }).lease, factsOf(event)]))
  assert.equal(ends.size, events.length, 'something ended twice')
  return ends
}

const closingOf = async (of: StoreOfWrit, task: TaskId): Promise<Facts | undefined> =>
  (await eventsOf(of, 'task.closed')).filter((event) => event.task_id === task).map(factsOf)[0]

/** A tree of at most three generations: its tasks' parents, how many tokens each has, and how each of those fares before the end. */
const treeOf = fc.record({
  tasks: fc.array(fc.record({ under: fc.nat(10), tokens: fc.array(fc.constantFrom('kept', 'revoked', 'proved' as const), { maxLength: 3 }), lease: fc.boolean() }), { minLength: 1, maxLength: 6 }),
  ends: fc.nat(10), seconds: fc.integer({ min: 0, max: 400 }),
})
type Wanted = { readonly under: number; readonly tokens: readonly string[]; readonly lease: boolean }
type Grown = { readonly tasks: readonly Task[]; readonly tokens: ReadonlyMap<LeaseId, TaskId>; readonly logins: ReadonlyMap<LeaseId, TaskId> }

async function grow(of: StoreOfWrit, wanted: readonly Wanted[], { identity, shop }: { readonly identity: IdentityId; readonly shop: BackendId }): Promise<Grown> {
  const tasks: Task[] = []
  const [tokens, logins] = [new Map<LeaseId, TaskId>(), new Map<LeaseId, TaskId>()]
  for (const one of wanted) {
    const bearers = tasks.filter((task) => task.depthLeft > 0)
    const parent = tasks.length === 0 ? undefined : bearers[one.under % bearers.length]
    const task = await openOne(of, { identity, parent: parent?.id ?? null, length: seconds(900), idleTimeout: seconds(900), heartbeat: seconds(900), budgetCalls: 10_000 / 10 ** ((parent?.depth ?? -1) + 1) })
    tasks.push(task)
    for (const fate of one.tokens) {
      const { id } = await tokenIn(of, task)
      tokens.set(id, task.id)
      if (fate !== 'kept') await revoke(of, id)
      if (fate === 'proved') await endAllDue(of)
    }
    if (one.lease) logins.set(await leaseIn(of, task, shop, 'live'), task.id)
  }
  return { tasks, tokens, logins }
}

const beneath = (tasks: readonly Task[], top: TaskId): ReadonlySet<TaskId> => {
  const found = new Set([top])
  for (const task of tasks) if (task.parent !== null && found.has(task.parent)) found.add(task.id)
  return found
}

for (const store of STORES) {
  test(`${store}: ending any task of a random tree refuses every token beneath at once and no other, and none of them closes before its tokens' ends are proved`, async (t) => {
    const of = await storeWithKey(store, t)
    const shop = await addShop(of)
    await fc.assert(fc.asyncProperty(treeOf, async ({ tasks: wanted, ends, seconds: later }) => {
      const identity = await addIdentity(of)
      const grown = await grow(of, wanted, { identity, shop })
      of.clock.advance(later * 1000)
      const live = new Set<LeaseId>()
      for (const id of grown.tokens.keys()) if (await standingOf(of, id) === 'live') live.add(id)
      const top = grown.tasks[ends % grown.tasks.length]!
      await end(of, top.id)
      const inside = beneath(grown.tasks, top.id)
      for (const [id, task] of grown.tokens) assert.equal(await standingOf(of, id) === 'live', live.has(id) && !inside.has(task))
      for (const row of (await taskRows(of)).filter((one) => inside.has(one.id as TaskId))) {
        const isWaiting = [...grown.tokens, ...grown.logins].some(([, task]) => beneath(grown.tasks, row.id as TaskId).has(task))
        if (!isWaiting) assert.equal(row.state, 'closed')
      }

      if (grown.tasks[0]!.id !== top.id) await end(of, grown.tasks[0]!.id)
      const logins = [...grown.logins.keys()]
      for (const id of logins.slice(0, logins.length / 2)) await endOne(of, id)
      await endAllDue(of)
      for (const id of logins.slice(logins.length / 2)) await endOne(of, id)

      const proved = await endsOf(of)
      for (const id of grown.tokens.keys()) assert.deepEqual([proved.get(id)?.outcome, proved.get(id)?.probe.kind], ['proved', 'refused'])
      for (const task of grown.tasks) {
        const closing = await closingOf(of, task.id)
        const wantedIds = [...grown.tokens, ...grown.logins].filter(([, one]) => one === task.id).map(([id]) => id)
        assert.deepEqual(closing?.leases.map((one) => one.lease), wantedIds.toSorted())
      }
      assert.ok((await tokenRows(of)).every((row) => row.state === 'ended' && row.due_at === null))
    }), { numRuns: store === 'sqlite' ? 40 : 15 })
  })

  test(`${store}: revoking one token of twenty leaves the other nineteen, their task and its lease as they were`, async (t) => {
    const of = await storeWithKey(store, t)
    const task = await openOne(of, { identity: await addIdentity(of), budgetCalls: 100 })
    await leaseIn(of, task, await addShop(of), 'live')
    const tokens: LeaseId[] = []
    for (let i = 0; i < 20; i++) tokens.push((await tokenIn(of, task)).id)
    await fc.assert(fc.asyncProperty(fc.constantFrom(...tokens), fc.boolean(), async (one, finish) => {
      const rest = async () => (await tokenRows(of)).filter((row) => row.id !== one)
      const before = [await rest(), await taskRows(of)]
      await revoke(of, one)
      assert.notEqual(await standingOf(of, one), 'live')
      if (finish) await endAllDue(of)
      // What an earlier run revoked is due as well, and ends with it.
      const unfinished = ({ state, due_at: _due, end_leaf: _leaf, outcome: _outcome, ...row }: Awaited<ReturnType<typeof tokenRows>>[number]) => ({ ...row, state: state === 'ended' ? 'stopped' : state })
      const after = [await rest(), await taskRows(of)]
      assert.deepEqual((after[0] as Awaited<ReturnType<typeof tokenRows>>).map(unfinished), (before[0] as Awaited<ReturnType<typeof tokenRows>>).map(unfinished))
      assert.deepEqual(after[1], before[1])
    }), { numRuns: 30 })
  })

  test(`${store}: four servers that prove ends while tasks end at the same time prove each once, and close each task once`, async (t) => {
    const of = await storeWithKey(store, t)
    const identity = await addIdentity(of)
    for (let round = 0; round < 4; round++) {
      const root = await openOne(of, { identity, budgetCalls: 1000 })
      const child = await openOne(of, { identity, parent: root.id, budgetCalls: 10 })
      const tasks = [root, child, ...await Promise.all(Array.from({ length: 6 }, () => openOne(of, { identity })))]
      const tokens = (await Promise.all(tasks.flatMap((task) => [1, 2, 3].map(() => tokenIn(of, task))))).map((token) => token.id)
      await Promise.all(tokens.filter((_, i) => i % 3 === 0).map((id) => revoke(of, id)))
      const ending = tasks.map((task) => end(of, task.id))
      await Promise.all([...ending, ...[1, 2, 3, 4].map(() => endAllDue(of, 3))])
      await Promise.all([1, 2, 3, 4].map(() => endAllDue(of, 3)))
      await endAllDue(of)
      const ends = await endsOf(of)
      assert.deepEqual(tokens.filter((id) => !ends.has(id)), [])
      for (const task of tasks) assert.equal((await closingOf(of, task.id))?.leases.length, 3)
    }
    assert.ok((await taskRows(of)).every((row) => row.state === 'closed'))
  })

  test(`${store}: a token that expires has its end proved while its task goes on, and where nothing is due nothing is written`, async (t) => {
    const of = await storeWithKey(store, t)
    const task = await openOne(of, { identity: await addIdentity(of), length: seconds(900), idleTimeout: seconds(900), heartbeat: seconds(900) })
    const token = await tokenIn(of, task)
    of.clock.set(token.expiresAt - 1)
    const before = await everyRow(of)
    assert.deepEqual(await endSome(of, 10), { ended: 0, accepted: [], hasMore: false })
    assert.deepEqual(await everyRow(of), before)
    of.clock.set(token.expiresAt)
    const [events, rows] = [await countEvents(of), await taskRows(of)]
    assert.deepEqual(await endSome(of, 10), { ended: 1, accepted: [], hasMore: false })
    assert.deepEqual([await countEvents(of), await taskRows(of)], [events + 1, rows])
    assert.deepEqual([(await endsOf(of)).get(token.id)?.probe.code, await standingOf(of, token.id)], ['expired', 'expired'])
    await end(of, task.id)
    assert.deepEqual((await closingOf(of, task.id))?.leases.map((one) => one.lease), [token.id])
  })

  test(`${store}: suspending an identity refuses all its tokens at once, and a resumed one gets none of them back`, async (t) => {
    const of = await storeWithKey(store, t)
    const [identity, other] = [await addIdentity(of), await addIdentity(of)]
    const [mine, theirs] = [await tokenIn(of, await openOne(of, { identity })), await tokenIn(of, await openOne(of, { identity: other }))]
    const step = (change: 'suspend' | 'resume') => done(of.store.change(changeIdentity, { identity, change, reason: 'the test says so', by: OPERATOR, now: of.now() }))
    await step('suspend')
    assert.deepEqual([await standingOf(of, mine.id), await standingOf(of, theirs.id)], ['stopped', 'live'])
    await step('resume')
    assert.equal(await standingOf(of, mine.id), 'stopped')
    await endAllDue(of)
    assert.equal((await closingOf(of, mine.task))?.outcome, 'proved')
  })

  test(`${store}: a token that the doors would still let in when it is due is an incident that contains its identity, and its later refusal resolves it`, async (t) => {
    const of = await storeWithKey(store, t)
    const task = await openOne(of, { identity: await addIdentity(of) })
    const token = await tokenIn(of, task)
    // No change of ours does this: it stands for a door that does not refuse what it has to.
    await of.sql(`update access_token set due_at = ${of.now()} where id = '${token.id}'`)
    await endAllDue(of)
    assert.notEqual(await standingOf(of, token.id), 'live')
    const [row] = await taskRows(of)
    assert.deepEqual([row!.state, row!.closed_outcome, row!.end_reason], ['closed', 'incident', 'identity_suspended'])
    const told = (await eventsOf(of, 'incident.opened', 'identity.contained', 'task.closed', 'lease.ended', 'incident.resolved')).map((event) => event.type)
    assert.deepEqual(told, ['incident.opened', 'identity.contained', 'task.closed', 'lease.ended', 'incident.resolved'])
    await of.sealAll()
    const closure = await shown(of, task.id)
    assert.deepEqual([closure.outcome, closure.leases[0]?.end.kind, closure.residual_until], ['incident', 'incident', token.expiresAt])
  })

  test(`${store}: the store itself keeps a token's end together: no leaf without an end or an incident, and neither of them twice`, async (t) => {
    const of = await storeWithKey(store, t)
    const token = await tokenIn(of, await openOne(of, { identity: await addIdentity(of) }))
    const leaf = '(select leaf_hash from event limit 1)'
    const set = (what: string) => of.sql(`update access_token set ${what} where id = '${token.id}'`)
    const before = await everyRow(of)
    const refused = [`end_leaf = ${leaf}`, 'incident_id = \'inc_1\'', 'outcome = \'proved\'', 'state = \'ended\', due_at = null, outcome = \'proved\'', `state = 'ended', due_at = null, end_leaf = ${leaf}`]
    for (const what of refused) await assert.rejects(set(what), Error, what)
    assert.deepEqual(await everyRow(of), before)
    of.clock.set(token.expiresAt)
    await endAllDue(of)
    const ended = await everyRow(of)
    for (const what of ['end_leaf = null', 'outcome = \'not_evaluated\'', 'state = \'stopped\', stop_at = 5, due_at = 5']) await assert.rejects(set(what), Error, what)
    assert.deepEqual(await everyRow(of), ended)
  })

  test(`${store}: a task has so many tokens, leases and children at most, and is told so`, async (t) => {
    const of = await storeWithKey(store, t)
    const task = await openOne(of, { identity: await addIdentity(of) })
    const first = await tokenIn(of, task)
    const columns = 'task_id, identity_id, kid, audience, jkt, authority, subject, actors, issued_at, expires_at, state, due_at'
    await of.sql(`insert into access_token (id, ${columns}) with recursive n (i) as (select 1 union all select i + 1 from n where i < ${MOST_BENEATH - 1}) select 'lse_' || i, ${columns} from access_token, n where access_token.id = '${first.id}'`)
    const before = await everyRow(of)
    const more = await tryToken(of, task)
    assert.deepEqual(more.ok ? 'issued' : more.refusal, { kind: 'too_many_leases', most: MOST_BENEATH })
    assert.deepEqual(await everyRow(of), before)
    // As many as there may be still fit one entry of the log.
    await end(of, task.id)
    await endAllDue(of, 200)
    assert.equal((await closingOf(of, task.id))?.leases.length, MOST_BENEATH)
  })

  test(`${store}: the certificate of a task with tokens verifies with the log's key alone, and not without the receipts of any of them`, async (t) => {
    const of = await storeWithKey(store, t)
    const task = await openOne(of, { identity: await addIdentity(of), length: seconds(900), idleTimeout: seconds(900), heartbeat: seconds(900) })
    const early = await tokenIn(of, task)
    of.clock.set(early.expiresAt)
    await endAllDue(of)
    const [late, login] = [await tokenIn(of, task), await leaseIn(of, task, await addShop(of), 'live')]
    await end(of, task.id)
    await endAllDue(of)
    await endOne(of, login)
    await of.sealAll()
    const closure = await shown(of, task.id)
    assert.deepEqual([closure.outcome, closure.residual_until, closure.leases.length], ['proved', late.expiresAt, 3])
    const certificate = JSON.parse(await textOf(of, task.id)) as Certificate
    for (const { id } of [early, late]) {
      const receipts = certificate.receipts.filter((receipt) => !receipt.leaf.includes(`"lease":"${id}","stream"`))
      assert.equal(receipts.length, certificate.receipts.length - 2)
      const verified = verifyCertificate(nodePrimitives, await keyIn(of), JSON.stringify({ ...certificate, receipts }))
      assert.equal(verified.ok ? 'verified' : verified.refusal.kind, 'incomplete')
    }
  })
}

const keyIn = async (of: StoreOfWrit) => keyOf(String((await of.sql('select vkey from log where stream = \'non-human\''))[0]!['vkey']))

const textOf = (of: StoreOfWrit, id: TaskId): Promise<string> =>
  of.store.read(async (db) => (await certificateOf(db, (await findTask(db, id))!))!)

async function shown(of: StoreOfWrit, id: TaskId) {
  const verified = verifyCertificate(nodePrimitives, await keyIn(of), await textOf(of, id))
  return verified.ok ? verified.value.closure : assert.fail(`${verified.refusal.kind}: ${verified.refusal.detail}`)
}
