import assert from 'node:assert/strict'
import * as backends from '@writ/contract/backends'
import * as tasks from '@writ/contract/tasks'
import { eventually } from './eventually.ts'
import type { GovernedPostgres } from './governed-postgres.ts'
import { ask, complete, handlePrefixOf, login, open, shopBody, show } from './governed-writ.ts'
import { allEvents, assertLogsHold, closureOf } from './proofs.ts'
import type { Got, RunningWrit, TestIdentity } from './running-writ.ts'

/** What the server had acknowledged when it died. */
export type Acknowledged = {
  readonly tasks: Set<string>
  /** Lease -> task. */
  readonly leases: Map<string, string>
  readonly completed: Set<string>
  /** Task -> the table that its lease made. */
  readonly tables: Map<string, string>
}

export const nothingYet = (): Acknowledged => ({ tasks: new Set(), leases: new Map(), completed: new Set(), tables: new Map() })

/** The answer, or undefined when the server died before it gave one. */
async function answered<Reply>(asking: Promise<Got<Reply>>): Promise<Got<Reply> | undefined> {
  try {
    return await asking
  } catch (error) {
    if (error instanceof TypeError) return undefined // what fetch throws when the connection ends
    throw error
  }
}

/** One worker's task from its beginning to its end, as far as the server lives. False when it died. */
export async function workOnce(by: TestIdentity, known: Acknowledged, withLease: boolean): Promise<boolean> {
  const task = await answered(open(by))
  if (task === undefined) return false
  assert.equal(task.status, 201, task.text)
  const { id } = task.reply
  known.tasks.add(id)
  if (withLease) {
    const lease = await answered(ask(by, id))
    if (lease === undefined) return false
    assert.equal(lease.status, 201, lease.problem.code)
    known.leases.set(lease.reply.id, id)
    await makeTable(lease.reply, known)
  }
  if ((await answered(by.api(tasks.heartbeat, { parameters: { id }, body: { calls: 1 } }))) === undefined) return false
  const ended = await answered(complete(by, id))
  if (ended === undefined) return false
  known.completed.add(id)
  return true
}

async function makeTable(lease: tasks.IssuedLease, known: Acknowledged): Promise<void> {
  const table = `shop.made_by_${lease.id}`
  const session = await login(lease)
  await session.query(`create table ${table} (id int)`)
  await session.end()
  known.tables.set(lease.task, table)
}

/** Works, beside a task that stays open with a lease, until the server is dead. */
export async function workUntilDeath(writ: RunningWrit, by: TestIdentity, known: Acknowledged): Promise<void> {
  const kept = await answered(open(by))
  if (kept !== undefined) {
    known.tasks.add(kept.reply.id)
    const lease = await answered(ask(by, kept.reply.id))
    if (lease !== undefined) known.leases.set(lease.reply.id, kept.reply.id)
  }
  let dead = false
  void writ.ended().then(() => { dead = true })
  const until = Date.now() + 30_000
  while (!dead && Date.now() < until) {
    if (!(await workOnce(by, known, true))) break
    const last = [...known.completed].at(-1)
    if (last !== undefined) await answered(by.api(tasks.certificate, { parameters: { id: last }, query: { wait_seconds: '5' } }))
  }
  assert.equal(await Promise.race([writ.ended(), new Promise((resolve) => { setTimeout(resolve, 5000, 'still alive').unref() })]), 'SIGKILL')
}

export async function rotateUntilDeath(writ: RunningWrit): Promise<void> {
  await answered(writ.operator(backends.rotateBackend, { parameters: { name: 'shop' } }))
  assert.equal(await writ.ended(), 'SIGKILL')
}

export async function addUntilDeath(writ: RunningWrit, shop: GovernedPostgres): Promise<void> {
  await answered(writ.operator(backends.addBackend, { body: shopBody(shop, { name: 'second' }) }))
  assert.equal(await writ.ended(), 'SIGKILL')
}

/** A mint may still be on its way for 15 s after its intention, and a withdrawal that died is taken up after 20 s. */
const SETTLED_WITHIN_MS = 40_000

/** What must hold after any crash, once the server is back. */
export async function assertNothingLost(writ: RunningWrit, shop: GovernedPostgres, known: Acknowledged): Promise<void> {
  const prefix = await handlePrefixOf(writ)
  const everyTask = async () => (await writ.operator(tasks.listTasks, { query: { limit: '1000' } })).reply.tasks
  const found = await everyTask()
  assert.deepEqual([...known.tasks].filter((id) => !found.some((task) => task.id === id)), [], 'every acknowledged task is there')
  const leases = found.flatMap((task) => task.leases)
  const isThere = ([id, task]: readonly [string, string]): boolean => leases.some((lease) => lease.id === id && lease.task === task)
  assert.deepEqual([...known.leases].filter((one) => !isThere(one)), [], 'every acknowledged lease is there')

  for (const id of known.completed) {
    const closure = await closureOf(writ, writ.operator, id)
    assert.equal(closure.reason, 'completed')
    const table = known.tables.get(id)
    if (table === undefined) continue
    assert.equal(closure.outcome, 'proved')
    const made = closure.leases.flatMap((lease) => (lease.end.kind === 'ended' ? lease.end.reassigned : []))
    assert.ok(made.some((one) => one.name === table && one.new_owner === shop.owner), `the certificate lists ${table}`)
  }
  await eventually('every login belongs to a live lease of an open task', async () => {
    const held = (await everyTask()).filter((task) => task.state === 'open').flatMap((task) => task.leases)
    const live = new Set(held.filter((lease) => lease.state === 'live').map((lease) => lease.user))
    return (await shop.rolesNamed(prefix)).every((role) => live.has(role))
  }, SETTLED_WITHIN_MS)
  const minted = new Set((await allEvents(writ)).filter((event) => event.type === 'lease.minted').map((event) => event.lease))
  for (const lease of (await everyTask()).flatMap((task) => task.leases)) {
    if (lease.state === 'live' || known.leases.has(lease.id)) assert.ok(minted.has(lease.id), `${lease.id} is recorded as minted`)
  }

  for (const task of await everyTask()) {
    if (task.state === 'open') await writ.operator(tasks.endTask, { parameters: { id: task.id }, body: { reason: 'the test is over' } })
  }
  await eventually('every task is closed', async () => (await everyTask()).every((task) => task.state === 'closed'), SETTLED_WITHIN_MS)
  for (const task of await everyTask()) await closureOf(writ, writ.operator, task.id)
  assert.deepEqual(await shop.rolesNamed(prefix), [])
  await assertLogsHold(writ)
}

/** It still does its work: a whole task with a lease. */
export async function assertStillWorks(writ: RunningWrit, by: TestIdentity): Promise<void> {
  const known = nothingYet()
  assert.ok(await workOnce(by, known, true))
  const [id] = known.completed
  assert.equal((await closureOf(writ, by.api, id!)).outcome, 'proved')
  assert.equal((await show(by, id!)).reply.state, 'closed')
}
