import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import * as authzen from '@writ/contract/authzen'
import * as decisions from '@writ/contract/decisions'
import { applyPolicies, setMode } from '@writ/contract/policies'
import * as tasks from '@writ/contract/tasks'
import { parseGrantText } from '@writ/domain/authority'
import { TOOLS_FILE } from '../authzen-estate.ts'
import { governedPostgres, type GovernedPostgres } from '../governed-postgres.ts'
import { addShop, ask, complete, handlePrefixOf } from '../governed-writ.ts'
import { keptIn, onEachStore } from '../kept.ts'
import { askToken, callWith, proofKey } from '../oauth-client.ts'
import { eventsOf } from '../proofs.ts'
import type { RunningWrit, TestIdentity } from '../running-writ.ts'

const POLICIES = `@id("search")
permit (principal, action == Writ::Action::"crm/search", resource) when { context.budget_left > 0 };
@id("refund")
permit (principal, action == Writ::Action::"crm/refund", resource)
when { context.purpose == Writ::Purpose::"refunds" && context has arguments && context.arguments has amount && context.arguments.amount <= 1000 };
@id("no-refund-after-secrets")
forbid (principal, action == Writ::Action::"crm/refund", resource) when { context.labels.contains("confidential") };
@id("production-needs-a-change")
forbid (principal, action == Writ::Action::"crm/refund", resource) when { context.environment == "production" } unless { context has change };
@id("connect")
permit (principal, action == Writ::Action::"connect", resource) when { context.purpose == Writ::Purpose::"refunds" };
@id("delegate")
permit (principal, action == Writ::Action::"delegate", resource) when { context.depth == 0 && resource.environment == "test" };
`
const FILES = { 'shop.cedar': POLICIES, 'tools.json': TOOLS_FILE }
const GRANTS = ['mcp:crm:search', 'mcp:crm:refund?amount=5000', 'postgres:shop:ddl'] as const
const details = GRANTS.map((text) => {
  const read = parseGrantText(text)
  return read.ok ? { ...read.value, locations: [...read.value.locations], actions: [...read.value.actions] } : assert.fail(text)
})

let named = 0
const register = (writ: RunningWrit, more: object = {}): Promise<TestIdentity> => writ.register(`agent-${named++}`, { authority: [...GRANTS], ...more })

type Opening = { readonly purpose_id?: string; readonly change_reference?: string; readonly budget?: { readonly calls: number } }
const REFUNDS: Opening = { purpose_id: 'refunds' }

async function open(by: TestIdentity, more: Opening = REFUNDS): Promise<string> {
  const got = await by.api(tasks.openTask, { body: { purpose: 'answer a customer', authorization_details: details, ...more } })
  assert.equal(got.status, 201, got.text)
  return got.reply.id
}

async function use(by: TestIdentity, task: string, tool: 'refund' | 'search', properties: object) {
  const got = await by.api(authzen.evaluateAccess, {
    body: { subject: { type: 'agent', id: by.spiffeId }, action: { name: 'call', properties }, resource: { type: 'tool', id: `crm/${tool}` }, context: { task } },
  })
  assert.equal(got.status, 200, got.text)
  const reply = got.reply as authzen.AuthzenAnswer
  return { allowed: reply.decision, ...reply.context }
}
const refund = (by: TestIdentity, task: string, amount = 100) => use(by, task, 'refund', { amount })
const search = (by: TestIdentity, task: string) => use(by, task, 'search', { query: 'unpaid' })

onEachStore('what an answer hangs on', (at, store) => {
  let shop: GovernedPostgres
  before(async () => {
    shop = await governedPostgres(18)
    await addShop(at(), shop)
    assert.equal((await at().operator(applyPolicies, { body: { files: FILES, reason: 'a test asks' } })).status, 201)
  })
  after(() => shop.remove())

  test('the purpose of the task flips it, and no words do', async () => {
    const by = await register(at())
    assert.equal((await refund(by, await open(by))).allowed, true)
    for (const other of [{}, { purpose_id: 'reports' }]) {
      const got = await refund(by, await open(by, other))
      assert.deepEqual([got.allowed, got.cause], [false, 'policy'])
    }
  })

  test('the state of the task flips it', async () => {
    const by = await register(at())
    const task = await open(by)
    assert.equal((await refund(by, task)).allowed, true)
    await complete(by, task)
    const got = await refund(by, task)
    assert.deepEqual([got.allowed, got.cause], [false, 'state'])
  })

  test('what the task has read flips it, for its children and for the next task of the same instance too, and for nobody else', async () => {
    const [by, child, stranger] = [await register(at()), await register(at()), await register(at())]
    const task = await open(by)
    assert.equal((await refund(by, task)).allowed, true)
    assert.equal((await search(by, task)).allowed, true)
    const denied = await refund(by, task)
    assert.deepEqual([denied.allowed, denied.policies], [false, ['no-refund-after-secrets']])
    const handed = await by.api(tasks.delegateTask, { parameters: { id: task }, body: { identity: child.spiffeId, purpose: 'a part', authorization_details: details } })
    assert.equal(handed.status, 201, handed.text)
    assert.equal((await refund(child, handed.reply.id)).allowed, false)
    assert.equal((await refund(by, await open(by))).allowed, false)
    assert.equal((await refund(stranger, await open(stranger))).allowed, true)
  })

  test('a child that reads what is secret taints the task above it', async () => {
    const [by, child] = [await register(at()), await register(at())]
    const task = await open(by)
    const handed = await by.api(tasks.delegateTask, { parameters: { id: task }, body: { identity: child.spiffeId, purpose: 'a part', authorization_details: details } })
    assert.equal((await search(child, handed.reply.id)).allowed, true)
    assert.equal((await refund(by, task)).allowed, false)
    assert.equal((await refund(child, await open(child))).allowed, false, 'the child\'s own next task')
  })

  test('what a child reads with a token stays with the instance that asked for the token', async () => {
    const [by, child] = [await register(at()), await register(at())]
    const handed = await by.api(tasks.delegateTask, { parameters: { id: await open(by) }, body: { identity: child.spiffeId, purpose: 'a part', authorization_details: details } })
    const key = await proofKey()
    const token = await askToken(at(), child, { task: handed.reply.id }, { key })
    assert.equal(token.status, 200, token.text)
    const body = { subject: { type: 'agent', id: child.spiffeId }, action: { name: 'call', properties: { query: 'x' } }, resource: { type: 'tool', id: 'crm/search' } }
    const got = await callWith(at(), { key, token: token.reply.access_token, path: '/access/v1/evaluation', body })
    assert.equal(got.value['decision'], true)
    assert.equal((await refund(child, await open(child))).allowed, false)
  })

  test('calls that come at once do not race past it: no refund stands in the record after the search', async () => {
    for (let round = 0; round < 3; round++) {
      const by = await register(at())
      const task = await open(by)
      await Promise.all(Array.from({ length: 12 }, (_, i) => (i === 5 ? search(by, task) : refund(by, task))))
      const made = (await eventsOf(at(), task)).filter((event) => event.type === 'decision.made')
      const searched = made.findIndex((event) => event.facts['resource'] === 'crm/search')
      assert.ok(searched >= 0)
      assert.ok(made.slice(searched + 1).every((event) => event.facts['answer'] === 'deny'), `${store}, round ${round}`)
    }
  })

  test('the environment flips it, and a change reference flips it back', async () => {
    const by = await register(at(), { environment: 'production' })
    const got = await refund(by, await open(by))
    assert.deepEqual([got.allowed, got.policies], [false, ['production-needs-a-change']])
    assert.equal((await refund(by, await open(by, { ...REFUNDS, change_reference: 'CHG-4711' }))).allowed, true)
  })

  test('a value flips it, and the explanation names the term and the value', async () => {
    const by = await register(at())
    const task = await open(by)
    assert.equal((await refund(by, task, 1000)).allowed, true)
    const got = await refund(by, task, 1001)
    assert.equal(got.allowed, false)
    const { reply } = await by.api(decisions.explainDecision, { parameters: { id: got.id! } })
    assert.deepEqual([reply.nearest?.policy, reply.nearest?.line, reply.nearest?.failed], ['refund', 5, 'context.arguments.amount <= 1000'])
    assert.deepEqual(reply.nearest?.actual, { 'context.arguments.amount': '1001' })
    const beyond = await refund(by, task, 5001)
    assert.deepEqual([beyond.allowed, beyond.cause], [false, 'grant'])
    assert.equal((await by.api(decisions.explainDecision, { parameters: { id: beyond.id! } })).reply.grant?.nearest, 'mcp:crm:refund?amount=5000')
  })

  test('a new policy decides on the next call of a task that is open already, and the old one again after a rollback', async () => {
    const by = await register(at())
    const task = await open(by)
    assert.equal((await refund(by, task, 600)).allowed, true)
    const files = { ...FILES, 'shop.cedar': POLICIES.replace('<= 1000', '<= 500') }
    assert.equal((await at().operator(applyPolicies, { body: { files, reason: 'less' } })).status, 201)
    assert.equal((await refund(by, task, 600)).allowed, false)
    assert.equal((await at().operator(applyPolicies, { body: { files: FILES, reason: 'as before' } })).status, 201)
    assert.equal((await refund(by, task, 600)).allowed, true)
  })

  test('a login that the policies deny is not made: the denial is recorded and explained, and nothing else is written', async () => {
    const by = await register(at())
    const task = await open(by, {})
    const before = await keptIn(at())
    const got = await ask(by, task)
    assert.deepEqual([got.status, got.problem.code, got.problem.type], [403, 'denied', '/problems/denied'])
    assert.deepEqual(await keptIn(at()), { ...before, event: before.event + 1, decision: before.decision + 1 })
    assert.deepEqual(await shop.rolesNamed(await handlePrefixOf(at())), [])
    const { reply } = await by.api(decisions.explainDecision, { parameters: { id: got.problem.decision! } })
    assert.deepEqual([reply.cause, reply.nearest?.policy], ['policy', 'connect'])
    const lease = await ask(by, await open(by))
    assert.equal(lease.status, 201, lease.text)
  })

  test('where the back end is observed, that login is made and recorded as one that would have been denied', async () => {
    const by = await register(at())
    const observe = (mode: 'observe' | 'enforce') => at().operator(setMode, {
      body: { subject: { kind: 'server', id: 'shop' }, mode, reason: 'we are beginning', ...(mode === 'observe' ? { until: new Date(Date.now() + 3_600_000).toISOString() } : {}) },
    })
    assert.equal((await observe('observe')).status, 200)
    const task = await open(by, {})
    assert.equal((await ask(by, task)).status, 201)
    const [told] = (await eventsOf(at(), task)).filter((event) => event.type === 'decision.made')
    assert.deepEqual([told!.facts['answer'], told!.facts['would_deny'], told!.facts['mode']], ['allow', 'yes', 'observe'])
    assert.equal((await observe('enforce')).status, 200)
    assert.equal((await ask(by, await open(by, {}))).status, 403)
  })

  test('what the policies do not let it pass on stays with it', async () => {
    const [by, child] = [await register(at()), await register(at(), { environment: 'production' })]
    const task = await open(by)
    const before = await keptIn(at())
    const got = await by.api(tasks.delegateTask, { parameters: { id: task }, body: { identity: child.spiffeId, purpose: 'a part', authorization_details: details } })
    assert.deepEqual([got.status, got.problem.code], [403, 'denied'])
    assert.deepEqual(await keptIn(at()), { ...before, event: before.event + 1, decision: before.decision + 1 })
  })

  test('an identity begins so many trees in an hour and not one more, by either door, and what it is handed does not count', async () => {
    const [by, other] = [await register(at(), { tasks_per_hour: 3 }), await register(at())]
    const above = await open(other)
    for (let i = 0; i < 4; i++) {
      const handed = await other.api(tasks.delegateTask, { parameters: { id: above }, body: { identity: by.spiffeId, purpose: 'a part', authorization_details: details } })
      assert.equal(handed.status, 201, handed.text)
    }
    for (let i = 0; i < 3; i++) await open(by)
    const before = await keptIn(at())
    const refused = await by.api(tasks.openTask, { body: { purpose: 'one more', authorization_details: details } })
    assert.deepEqual([refused.status, refused.problem.code, refused.headers.get('retry-after')], [429, 'too_many_tasks', '60'])
    const token = await askToken(at(), by, { purpose: 'one more', authorization_details: JSON.stringify(details) }, { key: await proofKey() })
    assert.deepEqual([token.status, token.error.error], [429, 'temporarily_unavailable'])
    assert.deepEqual(await keptIn(at()), before)
  })

  test('a token that holds less than its task gets no login and hands nothing on beyond what it holds', async () => {
    const [by, child] = [await register(at()), await register(at())]
    const task = await open(by)
    const key = await proofKey()
    const narrow = JSON.stringify(details.slice(0, 1))
    const token = await askToken(at(), by, { task, authorization_details: narrow }, { key })
    assert.equal(token.status, 200, token.text)
    const asked = (path: string, body: object) => callWith(at(), { key, token: token.reply.access_token, path: `/v1/tasks/${task}/${path}`, body })
    const login = await asked('leases', { type: 'postgres', resource: 'shop', action: 'ddl' })
    assert.deepEqual([login.status, login.value['code']], [422, 'grant_not_covered'])
    const delegation = { identity: child.spiffeId, purpose: 'a part' }
    const beyond = await asked('delegate', { ...delegation, authorization_details: details })
    assert.deepEqual([beyond.status, beyond.value['code']], [422, 'grant_not_covered'])
    assert.equal((await asked('delegate', { ...delegation, authorization_details: details.slice(0, 1) })).status, 201)
    assert.equal((await ask(by, task)).status, 201, 'the task itself holds it')
  })
})
