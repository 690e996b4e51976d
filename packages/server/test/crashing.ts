import assert from 'node:assert/strict'
import { evaluateAccess } from '@writ/contract/authzen'
import { requestAccess } from '@writ/contract/access-requests'
import * as approvals from '@writ/contract/approvals'
import * as backends from '@writ/contract/backends'
import * as policies from '@writ/contract/policies'
import * as registry from '@writ/contract/registry'
import * as stops from '@writ/contract/stops'
import * as tasks from '@writ/contract/tasks'
import { eventually } from './eventually.ts'
import type { GovernedPostgres } from './governed-postgres.ts'
import { ask, complete, GRANT, handlePrefixOf, leased, login, open, opened, shopBody, show } from './governed-writ.ts'
import { askToken, claimsIn, introspect, NEW_TASK, proofKey } from './oauth-client.ts'
import { signInAs, type SignedInPerson } from './people.ts'
import { allEvents, assertLogsHold, closureOf } from './proofs.ts'
import { patient } from './retrying.ts'
import type { RunningWrit, TestIdentity } from './running-writ.ts'

/** What the server had acknowledged when it died. */
export type Acknowledged = {
  readonly tasks: Set<string>
  /** Lease -> task. */
  readonly leases: Map<string, string>
  /** Tasks that made one call. */
  readonly heard: Set<string>
  readonly completed: Set<string>
  /** Task -> the table that its lease made. */
  readonly tables: Map<string, string>
}

export const nothingYet = (): Acknowledged => ({ tasks: new Set(), leases: new Map(), heard: new Set(), completed: new Set(), tables: new Map() })

/** The answer, or undefined when the server died before it gave one. */
export async function answered<Answer>(asking: Promise<Answer>): Promise<Answer | undefined> {
  try {
    return await asking
  } catch (error) {
    if (error instanceof TypeError) return undefined // what fetch throws when the connection ends
    throw error
  }
}

/** On a busy machine a store may be too slow for once; nothing was done then. */
const patiently = (by: TestIdentity): TestIdentity => ({ ...by, api: patient(by.api) })

/** One worker's task from its beginning to its end, as far as the server lives. Undefined when it died. */
export async function workOnce(worker: TestIdentity, known: Acknowledged, withLease: boolean): Promise<string | undefined> {
  const by = patiently(worker)
  const task = await answered(open(by))
  if (task === undefined) return undefined
  assert.equal(task.status, 201, task.text)
  const { id } = task.reply
  known.tasks.add(id)
  if (withLease) {
    const lease = await answered(ask(by, id))
    if (lease === undefined) return undefined
    assert.equal(lease.status, 201, lease.problem.code)
    known.leases.set(lease.reply.id, id)
    await makeTable(lease.reply, known)
  }
  const heard = await answered(by.api(tasks.heartbeat, { parameters: { id }, body: { calls: 1 } }))
  if (heard === undefined) return undefined
  assert.equal(heard.status, 200, heard.text)
  known.heard.add(id)
  const ended = await answered(complete(by, id))
  if (ended === undefined) return undefined
  assert.equal(ended.status, 200, ended.text)
  known.completed.add(id)
  return id
}

async function makeTable(lease: tasks.IssuedLease, known: Acknowledged): Promise<void> {
  const table = `shop.made_by_${lease.id}`
  const session = await login(lease)
  await session.query(`create table ${table} (id int)`)
  await session.end()
  known.tables.set(lease.task, table)
}

export type Scene = { readonly writ: RunningWrit; readonly shop: GovernedPostgres; readonly worker: TestIdentity; readonly known: Acknowledged }

/** Leads the server to where it dies. What it answers is looked at once the server is back, before everything else is. */
type Way = (scene: Scene) => Promise<(() => Promise<void>) | undefined>

const died = async ({ writ }: Pick<Scene, 'writ'>): Promise<void> => { assert.equal(await writ.ended(), 'SIGKILL') }

/** A task with a lease that must be given. */
async function working({ worker, known }: Scene): Promise<tasks.IssuedLease> {
  const task = await opened(worker)
  known.tasks.add(task)
  const lease = await leased(worker, task)
  known.leases.set(lease.id, task)
  return lease
}

const askFirst = (spiffeId: string): string => `@id("leases-are-approved")
forbid (principal == Writ::Agent::"${spiffeId}", action == Writ::Action::"connect", resource)
unless { context.approved };
`

export const WAYS = {
  /** Works, beside a task that stays open with a lease. */
  async work({ writ, worker: impatient, known }) {
    const worker = patiently(impatient)
    const kept = await answered(open(worker))
    if (kept !== undefined) {
      known.tasks.add(kept.reply.id)
      const lease = await answered(ask(worker, kept.reply.id))
      if (lease !== undefined) assert.equal(lease.status, 201, lease.problem.code)
      if (lease !== undefined) known.leases.set(lease.reply.id, kept.reply.id)
    }
    let dead = false
    void writ.ended().then(() => { dead = true })
    const until = Date.now() + 30_000
    while (!dead && Date.now() < until) {
      const id = await workOnce(worker, known, true)
      if (id === undefined) break
      await answered(worker.api(tasks.certificate, { parameters: { id }, query: { wait_seconds: '5' } }))
    }
    assert.equal(await Promise.race([writ.ended(), new Promise((resolve) => { setTimeout(resolve, 5000, 'still alive').unref() })]), 'SIGKILL')
    return undefined
  },

  /** The task ends while its lease is in use. */
  async held(scene) {
    const { writ, worker, known } = scene
    const lease = await working(scene)
    const inUse = await login(lease)
    let isCut = false
    inUse.once('end', () => { isCut = true })
    if ((await answered(complete(worker, lease.task))) !== undefined) known.completed.add(lease.task)
    await died(scene)
    return async () => {
      assert.equal((await closureOf(writ, writ.operator, lease.task)).outcome, 'proved')
      await eventually('the live connection is cut', () => isCut)
    }
  },

  /** A person is asked about a lease, and says yes. */
  async approve({ writ, worker, known }) {
    const { files } = (await writ.operator(policies.showCurrentPolicies)).reply
    const change = (body: Readonly<Record<string, string>>) => writ.operator(policies.applyPolicies, { body: { files: body, reason: 'for a while' } })
    assert.equal((await change({ ...files, 'policies/ask.cedar': askFirst(worker.spiffeId) })).status, 201)
    const task = await opened(worker)
    known.tasks.add(task)
    const maya = await signInAs(writ, { roles: ['reviewer'] })
    const request = async () => {
      const denial = (await ask(worker, task)).problem.decision!
      return worker.api(requestAccess, { body: { denial: { evaluation_id: denial } } })
    }
    const approve = async (person: SignedInPerson, id: string) => {
      const { envelope_sha256: envelope, signing } = (await person.api(approvals.showApproval, { parameters: { id } })).reply
      const assertion = maya.authenticator.sign({ challenge: signing!.challenge, rpId: signing!.rp_id, timeout: 1000, allowCredentials: [], userVerification: 'required' }, person.origin)
      return person.api(approvals.approveApproval, { parameters: { id }, body: { envelope_sha256: envelope, reason: 'yes', assertion } })
    }
    const first = await answered(request())
    if (first !== undefined) await answered(approve(maya, first.reply.task.id))
    await died({ writ })
    return async () => {
      const again = await signInAs(writ, { as: maya.id, passkey: false })
      const asked = await request()
      assert.equal(asked.reply.task.status, 'pending', 'what was not acknowledged is undone as a whole')
      assert.equal((await approve(again, asked.reply.task.id)).status, 200)
      known.leases.set((await leased(worker, task)).id, task)
      assert.equal((await change(files)).status, 201)
    }
  },

  /** The holder is suspended while it works. */
  async suspend(scene) {
    const { writ, worker } = scene
    const lease = await working(scene)
    const of = { parameters: { id: worker.id }, body: { reason: 'it misbehaves' } }
    await answered(writ.operator(registry.suspendIdentity, of))
    await died(scene)
    return async () => {
      assert.equal((await show(worker, lease.task)).reply.state, 'open', 'what was not acknowledged is undone as a whole')
      await (await login(lease)).end()
      assert.equal((await writ.operator(registry.suspendIdentity, of)).status, 200)
      const closure = await closureOf(writ, writ.operator, lease.task)
      assert.deepEqual([closure.reason, closure.outcome], ['identity_suspended', 'proved'])
      assert.equal((await writ.operator(registry.resumeIdentity, of)).status, 200)
    }
  },

  /** The holder is stopped while it works; or it has been, and the server dies before it has said that it has nothing of it in flight. */
  async stop(scene) {
    const { writ, worker } = scene
    const lease = await working(scene)
    const of = { body: { target: { kind: 'identity' as const, id: worker.id }, reason: 'it misbehaves' } }
    const said = await answered(writ.operator(stops.makeStop, of))
    await died(scene)
    return async () => {
      if (said === undefined && (await show(worker, lease.task)).reply.state === 'open') await (await login(lease)).end()
      const { reply } = await writ.operator(stops.makeStop, of)
      for (const id of [said?.reply.stop?.id, reply.stop?.id]) {
        if (id === undefined) continue
        const settled = await eventually('everybody has confirmed', async () => {
          const found = (await writ.operator(stops.showStop, { parameters: { id } })).reply
          return found.state !== 'containing' && found
        })
        assert.equal(settled.state, 'contained', JSON.stringify(settled.points))
      }
      assert.equal((await writ.operator(registry.resumeIdentity, { parameters: { id: worker.id }, body: { reason: 'looked at' } })).status, 200)
    }
  },

  /** A request that got no answer is sent again, with its key. */
  async repeat({ writ, worker, known }) {
    const purpose = 'asks until it is answered'
    const send = () => open(worker, { purpose }, { 'idempotency-key': 'the-same-again' })
    assert.equal(await answered(send()), undefined)
    await died({ writ })
    return async () => {
      const first = await send()
      assert.equal(first.status, 201, first.text)
      assert.equal((await send()).reply.id, first.reply.id)
      known.tasks.add(first.reply.id)
      assert.equal((await allTasks(writ)).filter((task) => task.purpose === purpose).length, 1)
    }
  },

  /** A login with our mark that no lease accounts for; it is seen by one round of the search, and withdrawn by the next. */
  async orphan({ writ, shop }) {
    const handle = `${await handlePrefixOf(writ)}left_over`
    await writ.kill()
    await shop.connector.mint(shop.order({ handle }))
    await writ.restart()
    await died({ writ })
    return async () => {
      assert.deepEqual(await shop.rolesNamed(handle), [])
      const { findings } = (await writ.operator(registry.listFindings)).reply
      assert.deepEqual(findings.map((one) => [one.kind, one.evidence['handle']]), [['orphan_on_backend', handle]])
    }
  },

  /** A task with an access token comes to its end. */
  async token({ writ, worker, known }) {
    const issued = await answered(askToken(writ, worker, NEW_TASK, { key: await proofKey() }))
    if (issued !== undefined) {
      assert.equal(issued.status, 200, issued.text)
      known.tasks.add(issued.reply.task)
      if ((await answered(complete(worker, issued.reply.task))) !== undefined) known.completed.add(issued.reply.task)
    }
    await died({ writ })
    return async () => {
      if (issued === undefined) return assert.deepEqual(await allTasks(writ), [])
      const { access_token: token, task } = issued.reply
      if (known.completed.has(task)) assert.deepEqual(await introspect(writ, token), { active: false })
      else await complete(worker, task)
      const closure = await closureOf(writ, writ.operator, task)
      assert.deepEqual([closure.outcome, closure.leases.map((lease) => lease.lease)], ['proved', [claimsIn(token)['jti']]])
      assert.equal((await allEvents(writ, { task })).filter((event) => event.type === 'lease.ended').length, 1)
    }
  },

  /** An attempt is decided on, and the answer does not come: neither the decision nor its call is there. */
  async decide({ writ, worker, known }) {
    const task = await opened(worker)
    known.tasks.add(task)
    const body = { subject: { type: 'agent', id: worker.spiffeId }, action: { name: 'connect', properties: { template: 'ddl' } }, resource: { type: 'backend', id: 'shop' }, context: { task } }
    const attempt = () => worker.api(evaluateAccess, { body })
    assert.equal(await answered(attempt()), undefined)
    await died({ writ })
    const written = async () => ({
      made: (await allEvents(writ, { task })).filter((event) => event.type === 'decision.made').length, used: (await show(worker, task)).reply.budget.used,
    })
    return async () => {
      assert.deepEqual(await written(), { made: 0, used: 0 })
      const got = await attempt()
      assert.deepEqual([got.status, got.reply.decision], [200, true], got.text)
      assert.deepEqual(await written(), { made: 1, used: 1 })
    }
  },

  /** A task is handed on, and the answer does not come. */
  async delegate({ writ, worker, known }) {
    const to = await writ.register('hand')
    const parent = await opened(worker)
    known.tasks.add(parent)
    const body = { identity: to.spiffeId, purpose: 'a part of it', authorization_details: GRANT }
    const send = () => worker.api(tasks.delegateTask, { parameters: { id: parent }, body, headers: { 'idempotency-key': 'handed-on-once' } })
    assert.equal(await answered(send()), undefined)
    await died({ writ })
    return async () => {
      const [first, second] = [await send(), await send()]
      assert.deepEqual([first.status, second.reply.id], [201, first.reply.id], first.text)
      known.tasks.add(first.reply.id)
      assert.deepEqual((await allTasks(writ)).filter((task) => task.parent === parent).map((task) => task.id), [first.reply.id])
    }
  },

  async rotate({ writ }) {
    await answered(writ.operator(backends.rotateBackend, { parameters: { name: 'shop' } }))
    await died({ writ })
    return undefined
  },

  async add({ writ, shop }) {
    await answered(writ.operator(backends.addBackend, { body: shopBody(shop, { name: 'second' }) }))
    await died({ writ })
    return undefined
  },
} as const satisfies Readonly<Record<string, Way>>

async function allTasks(writ: RunningWrit): Promise<readonly tasks.TaskReply[]> {
  const all: tasks.TaskReply[] = []
  for (let cursor: string | null | undefined; cursor !== null;) {
    const { reply } = await writ.operator(tasks.listTasks, { query: { limit: '1000', ...(cursor === undefined ? {} : { cursor }) } })
    all.push(...reply.tasks)
    cursor = reply.next
  }
  return all
}

/** A mint may still be on its way for 15 s after its intention, and a withdrawal that died is taken up after 20 s. */
const SETTLED_WITHIN_MS = 40_000

/** What must hold after any crash, once the server is back. */
export async function assertNothingLost(writ: RunningWrit, shop: GovernedPostgres, known: Acknowledged): Promise<void> {
  const prefix = await handlePrefixOf(writ)
  const everyTask = () => allTasks(writ)
  const found = new Map((await everyTask()).map((task) => [task.id, task]))
  assert.deepEqual([...known.tasks].filter((id) => !found.has(id)), [], 'every acknowledged task is there')
  assert.deepEqual([...known.heard].filter((id) => found.get(id)!.budget.used < 1), [], 'every acknowledged call is counted')
  const isThere = ([id, task]: readonly [string, string]): boolean => found.get(task)!.leases.some((lease) => lease.id === id)
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
  for (const task of await everyTask()) if (!known.completed.has(task.id)) await closureOf(writ, writ.operator, task.id)
  assert.deepEqual(await shop.rolesNamed(prefix), [])
  await assertLogsHold(writ)
}

/** It still does its work: a whole task with a lease. */
export async function assertStillWorks(writ: RunningWrit, by: TestIdentity): Promise<void> {
  const known = nothingYet()
  const id = await workOnce(by, known, true)
  assert.ok(id !== undefined)
  assert.equal((await closureOf(writ, by.api, id)).outcome, 'proved')
  assert.equal((await show(by, id)).reply.state, 'closed')
}
