import assert from 'node:assert/strict'
import { before, test } from 'node:test'
import * as authzen from '@writ/contract/authzen'
import * as decisions from '@writ/contract/decisions'
import { setMode } from '@writ/contract/policies'
import * as tasks from '@writ/contract/tasks'
import { parseGrantText } from '@writ/domain/authority'
import { authzenBundle, ORDER_FILES, TOOL_GRANTS, TOOLS_FILE } from '../authzen-estate.ts'
import { inStoreOf, keptIn, onEachStore } from '../kept.ts'
import { askToken, callWith, proofKey } from '../oauth-client.ts'
import type { Api, Got, RunningWrit, TestIdentity } from '../running-writ.ts'

const details = TOOL_GRANTS.map((text) => {
  const read = parseGrantText(text)
  return read.ok ? { ...read.value, locations: [...read.value.locations], actions: [...read.value.actions] } : assert.fail(text)
})

let named = 0
const register = (writ: RunningWrit, more: object = {}): Promise<TestIdentity> => writ.register(`asker-${named++}`, { authority: [...TOOL_GRANTS], ...more })

async function open(of: TestIdentity, calls = 10): Promise<string> {
  const got = await of.api(tasks.openTask, { body: { purpose: 'answer a customer', authorization_details: details, budget: { calls } } })
  assert.equal(got.status, 201, got.text)
  return got.reply.id
}

type Question = { readonly subject: object; readonly action: object; readonly resource: object; readonly context?: object }
const CALL = { name: 'call' }
const toolNamed = (id: string) => ({ type: 'tool', id })
const use = (of: TestIdentity, task: string, resource: string, properties: object = {}): Question =>
  ({ subject: { type: 'agent', id: of.spiffeId }, action: { ...CALL, properties }, resource: toolNamed(resource), context: { task } })

const evaluate = async (api: Api, question: unknown): Promise<Got<authzen.AuthzenAnswer>> => api(authzen.evaluateAccess, { body: question }) as Promise<Got<authzen.AuthzenAnswer>>
async function decided(api: Api, question: unknown) {
  const got = await evaluate(api, question)
  assert.equal(got.status, 200, got.text)
  return { decision: got.reply.decision, ...got.reply.context }
}
async function usedIn(writ: RunningWrit, task: string) {
  const [row] = await inStoreOf(writ, 'select calls_used, denied_calls from task where id = $1', [task])
  return { used: Number(row!['calls_used']), denied: Number(row!['denied_calls']) }
}

/** Whatever was asked, it came to nothing: no decision, no event, no call. */
async function nothing(writ: RunningWrit, ask: () => Promise<{ readonly status: number; readonly code: unknown }>, wanted: readonly [status: number, code: string]): Promise<void> {
  const held = async () => [await keptIn(writ), await inStoreOf(writ, 'select sum(calls_used) as used, sum(denied_calls) as denied from task')]
  const before = await held()
  const got = await ask()
  assert.deepEqual([got.status, got.code], wanted)
  assert.deepEqual(await held(), before)
}
const refusedTo = (api: Api, question: unknown) => async () => {
  const got = await evaluate(api, question)
  return { status: got.status, code: got.problem.code }
}

onEachStore('questions in AuthZEN\'s words', (at) => {
  let agent: TestIdentity
  before(async () => {
    await authzenBundle(at(), { ...ORDER_FILES, 'tools.json': TOOLS_FILE })
    agent = await register(at())
  })

  test('an attempt that is allowed takes a call, and stands in the record before it is answered', async () => {
    const task = await open(agent)
    const got = await decided(agent.api, use(agent, task, 'crm/search', { query: 'unpaid' }))
    assert.deepEqual([got.decision, got.reason, got.answer, got.cause, got.policies, got.advisory], [true, 'permitted', 'allow', 'policy', ['read-tools-in-grant'], false])
    assert.deepEqual(await usedIn(at(), task), { used: 1, denied: 0 })
    const stored = (await at().operator(decisions.showDecision, { parameters: { id: got.id! } })).reply
    assert.deepEqual([stored.task, stored.identity, stored.principal, stored.resource, stored.advisory, stored.trace_id],
      [task, agent.id, { type: 'Writ::Agent', id: agent.spiffeId }, { type: 'Writ::Tool', id: 'crm/search' }, false, got.trace_id])
    const [event] = await inStoreOf(at(), 'select type from event where id = $1', [stored.event])
    assert.equal(event?.['type'], 'decision.made')
  })

  test('what the grant does not hold is denied, whatever the policies say, and takes no call', async () => {
    const task = await open(agent)
    for (const [question, reason] of [
      [use(agent, task, 'crm/refund', { amount: 5001 }), 'not_granted'],
      [use(agent, task, 'crm/refund', { amount: -1 }), 'not_granted'],
      [use(agent, task, 'crm/refund'), 'not_granted'],
      [use(agent, task, 'crm/delete'), 'not_granted'],
      [use(agent, task, 'crm'), 'not_granted'],
      [{ ...use(agent, task, 'shop'), resource: { type: 'spaceship', id: 'shop' } }, 'not_granted'],
    ] as const) {
      const got = await decided(agent.api, question)
      assert.deepEqual([got.decision, got.reason, got.access_request], [false, reason, undefined])
    }
    assert.deepEqual(await usedIn(at(), task), { used: 0, denied: 6 })
    assert.equal((await decided(agent.api, use(agent, task, 'crm/refund', { amount: 5000 }))).decision, true)
  })

  test('a value that can not be mapped exactly is denied and named, and never left out', async () => {
    const task = await open(agent, 100)
    const asked = async (raw: string, resource = 'crm/search') => decided(agent.api, JSON.stringify(use(agent, task, resource, { HERE: 0 })).replace('"HERE":0', raw))
    for (const [raw, says] of [
      ['"query":1.5', '1.5'], ['"query":null', 'null'], ['"query":9007199254740993', '9007199254740993'], ['"query":["x"]', 'list'], ['"query":"x","more":1', 'more'],
      ['"query":{"__entity":{"type":"Writ::Class","id":"script"}}', 'object'], ['"query":"x","__entity":1', '__entity'], ['"query":"x","toString":1', 'toString'],
    ] as const) {
      const got = await asked(raw)
      assert.deepEqual([got.decision, got.reason, got.error?.status], [false, 'not_evaluated', 422], raw)
      assert.ok(got.error!.message.includes(says), `${raw}: ${got.error!.message}`)
    }
    for (const raw of ['"amount":1.0', '"amount":1e2', '"amount":18446744073709551616', '"amount":-0', '"amount":4999.5']) assert.equal((await asked(raw, 'crm/refund')).decision, false, raw)
    assert.equal((await usedIn(at(), task)).used, 0)
    const operatorsAdvice = await decided(at().operator, JSON.stringify({ ...use(agent, task, 'crm/refund', { amount: 0 }), context: {} }).replace('"amount":0', '"amount":9223372036854775807'))
    assert.equal(operatorsAdvice.decision, true)
    const { question } = (await at().operator(decisions.listEvaluated, { query: { limit: '1000' } })).reply.decisions.find(({ id }) => id === operatorsAdvice.id)!
    assert.ok(question!.includes('"amount":9223372036854775807'))
  })

  test('a denial that a person could lift says how to ask for it, and opens nothing', async () => {
    const task = await open(agent)
    const got = await decided(agent.api, use(agent, task, 'mail/send', { to: 'a@b.example' }))
    assert.deepEqual([got.decision, got.reason, got.evaluation_id], [false, 'approval_required', got.id])
    assert.equal(got.access_request!.template, 'use')
    assert.equal(Date.parse(got.access_request!.expires_at) - Date.parse(got.evaluated_at!), 600_000)
    assert.deepEqual(await usedIn(at(), task), { used: 0, denied: 1 })
    const advice = await decided(agent.api, { ...use(agent, task, 'mail/send', { to: 'a@b.example' }), context: {} })
    assert.deepEqual([advice.reason, advice.advisory, advice.access_request], ['approval_required', true, undefined])
  })

  test('after a stranger\'s words and a secret nothing goes out, and no person can lift that', async () => {
    const task = await open(agent)
    for (const [resource, args] of [['crm/inbox', {}], ['crm/search', { query: 'x' }]] as const) assert.equal((await decided(agent.api, use(agent, task, resource, args))).decision, true)
    const got = await decided(agent.api, use(agent, task, 'mail/send', { to: 'a@b.example' }))
    assert.deepEqual([got.decision, got.reason, got.policies, got.access_request], [false, 'forbidden', ['nothing-out-after-both'], undefined])
    const seen = await inStoreOf(at(), 'select label from instance_label where identity_id = $1 order by label', [agent.id])
    assert.deepEqual(seen.map(({ label }) => label), ['confidential', 'untrusted'])
  })

  test('what is read in a task for its holder, its holder has seen: whoever asks, and with whatever evidence', async () => {
    for (const asks of ['operator', 'token'] as const) {
      const reader = await register(at())
      const key = await proofKey()
      const token = await askToken(at(), reader, { purpose: 'read', authorization_details: JSON.stringify(details) }, { key })
      const question = use(reader, token.reply.task, 'crm/search', { query: 'x' })
      const got = asks === 'operator' ? (await decided(at().operator, question)).decision
        : (await callWith(at(), { key, token: token.reply.access_token, path: '/access/v1/evaluation', body: question })).value['decision']
      assert.equal(got, true, asks)
      const seen = await inStoreOf(at(), 'select label from instance_label where identity_id = $1', [reader.id])
      assert.deepEqual(seen.map(({ label }) => label), ['confidential'], asks)
    }
  })

  test('nobody says what Writ knows, acts in another\'s task, or as somebody else: nothing is decided', async () => {
    const [task, other] = [await open(agent), await register(at())]
    const othersTask = await open(other)
    const good = use(agent, task, 'crm/search', { query: 'x' })
    const cases: readonly (readonly [question: unknown, wanted: readonly [number, string]])[] = [
      ...['approved', 'labels', 'budget_left', 'purpose', 'arguments', 'claimed', 'class', 'at', 'template'].map((name) =>
        [{ ...good, context: { task, [name]: true } }, [400, 'context_not_yours']] as const),
      [{ ...good, context: { task: othersTask } }, [404, 'task_not_found']],
      [{ ...good, context: { task: 'tsk_00000000000000000000000000' } }, [404, 'task_not_found']],
      ...[7, null, '', 'tsk_x', [task], { id: task }].map((bad) => [{ ...good, context: { task: bad } }, [400, 'bad_task']] as const),
      [{ ...good, subject: { type: 'agent', id: other.spiffeId } }, [400, 'not_the_holder']],
      [{ ...good, subject: { type: 'bot', id: agent.spiffeId } }, [400, 'not_the_holder']],
      [{ ...good, subject: { type: 'identity', id: other.spiffeId } }, [400, 'not_the_holder']],
      [{ ...good, subject: { type: 'user', id: 'alice' } }, [400, 'not_the_holder']],
      [{ ...good, subject: { type: 'agent', id: agent.spiffeId, properties: { class: 'script' } } }, [400, 'properties_not_yours']],
      [{ ...good, resource: { ...toolNamed('crm/search'), properties: { effect: 'read' } } }, [400, 'properties_not_yours']],
      [{ ...good, resource: { type: 'record', id: 'record-1', properties: { status: 'active' } } }, [400, 'properties_not_yours']],
      [{ ...good, subject: undefined }, [400, 'invalid_fields']],
      [{ ...good, action: { name: 'call', properties: [] } }, [400, 'invalid_fields']],
      [{ ...good, action: { name: 'x'.repeat(301) } }, [400, 'invalid_fields']],
      [JSON.stringify(good).replace('"action"', '"action":{"name":"read"},"action"'), [400, 'duplicate_key']],
      [JSON.stringify(good).replace('"query"', '"quer\\u0079":"y","query"'), [400, 'duplicate_key']],
      [JSON.stringify(good).replace('"query"', '"__proto__"'), [400, 'forbidden_key']],
      [JSON.stringify(good).replace('"query"', '"constructor"'), [400, 'forbidden_key']],
      [{ ...good, more: 'x'.repeat(1_100_000) }, [413, 'too_large']],
    ]
    for (const [question, wanted] of cases) await nothing(at(), refusedTo(agent.api, question), wanted)
    await nothing(at(), refusedTo(at().stranger, good), [401, 'unauthenticated'])
    await nothing(at(), refusedTo(other.api, good), [404, 'task_not_found'])
    assert.equal((await decided(agent.api, { ...good, subject: { type: 'Writ::Agent', id: agent.id }, future: { field: 1 } })).decision, true)
    assert.equal((await decided(agent.api, { ...good, subject: { type: 'identity', id: agent.spiffeId } })).decision, true, 'whatever its kind')
  })

  test('evidence that works once is used up with the decision, and also where nothing was decided', async () => {
    const task = await open(agent)
    const good = use(agent, task, 'crm/search', { query: 'x' })
    for (const [first, status] of [[good, 200], [{ ...good, context: { task, approved: true } }, 400], [{ ...good, subject: { type: 'agent', id: 'spiffe://acme.example/x' } }, 400], ['{', 400]] as const) {
      const assertion = agent.assertion()
      assert.equal((await evaluate(at().as(() => assertion), first)).status, status)
      await nothing(at(), refusedTo(at().as(() => assertion), good), [401, 'unauthenticated'])
    }
    const assertion = agent.assertion()
    const both = await Promise.all([1, 2, 3].map(() => evaluate(at().as(() => assertion), good)))
    assert.deepEqual(both.map(({ status }) => status).toSorted((a, b) => a - b), [200, 401, 401])
    const replayed = both.find(({ status }) => status === 401)!
    assert.match(replayed.headers.get('www-authenticate') ?? '', /^Bearer error="invalid_token", DPoP algs=/)
    assert.ok(at().log().split('\n').some((line) => line.includes(replayed.problem.trace_id) && line.includes('"kind":"replayed"')))
    assert.equal((await usedIn(at(), task)).used, 2)
  })

  test('an access token asks in its own task alone, with a proof for each question', async () => {
    const key = await proofKey()
    const granted = await askToken(at(), agent, { purpose: 'answer a customer', authorization_details: JSON.stringify(details.slice(0, 1)) }, { key })
    const { access_token: token, task } = granted.reply
    const other = await open(agent)
    const path = '/access/v1/evaluation'
    const { context: _, ...question } = use(agent, task, 'crm/search', { query: 'x' })
    const ask = async (body: object, proof?: string, to = path) => callWith(at(), { key, token, path: to, body, ...(proof === undefined ? {} : { proof }) })
    const proof = key.proof({ htu: `${at().url}${path}`, htm: 'POST', token })
    const got = await ask(question, proof)
    assert.deepEqual([got.status, got.value['decision']], [200, true])
    assert.deepEqual(await usedIn(at(), task), { used: 1, denied: 0 })
    const told = (sent: Promise<{ readonly status: number; readonly value: Readonly<Record<string, unknown>> }>) => async () => { const { status, value } = await sent; return { status, code: value['code'] } }
    const later = (body: object, shown?: string, to?: string) => () => told(ask(body, shown, to))()
    await nothing(at(), later(question, proof), [401, 'unauthenticated'])
    await nothing(at(), later({ ...question, context: { task: other } }), [404, 'task_not_found'])
    await nothing(at(), later({ subject: { type: 'agent' }, action: CALL, resource: toolNamed('crm/search') }, undefined, '/access/v1/search/subject'), [403, 'outside_task'])
    // The token holds less than its task could have been granted.
    assert.equal((await ask({ ...question, resource: toolNamed('crm/inbox'), action: CALL })).value['decision'], false)
    await at().operator(tasks.endTask, { parameters: { id: task }, body: { reason: 'enough' } })
    // By then all has been written that its end brings with it.
    assert.equal((await at().operator(tasks.certificate, { parameters: { id: task }, query: { wait_seconds: '30' } })).status, 200)
    await nothing(at(), later(question), [401, 'unauthenticated'])
  })

  test('several questions are answered in their order, in one transaction, as far as the semantics says', async () => {
    const task = await open(agent, 20)
    const [yes, no, bad] = [{ resource: toolNamed('crm/inbox') }, { resource: toolNamed('crm/delete') }, { resource: 'crm/inbox' }]
    const ask = async (semantic: string | undefined, evaluations: readonly unknown[]) => {
      const { resource: _, ...common } = use(agent, task, '')
      const got = await agent.api(authzen.evaluateAccesses, { body: { ...common, ...(semantic === undefined ? {} : { options: { evaluations_semantic: semantic } }), evaluations } })
      return got.status === 200 ? (got.reply as { evaluations: authzen.AuthzenAnswer[] }).evaluations.map(({ decision, context }) => (context.error?.status === 400 ? 'bad' : decision)) : got.problem.code
    }
    assert.deepEqual(await ask(undefined, [yes, no, bad, yes]), [true, false, 'bad', true])
    assert.deepEqual(await ask('deny_on_first_deny', [yes, no, yes]), [true, false])
    assert.deepEqual(await ask('deny_on_first_deny', [yes, bad, yes]), [true, 'bad'])
    assert.deepEqual(await ask('deny_on_first_deny', [no, bad]), [false])
    assert.deepEqual(await ask('permit_on_first_permit', [no, bad, yes, yes, bad]), [false, 'bad', true])
    assert.deepEqual(await ask('permit_on_first_permit', [no, bad]), [false, 'bad'])
    assert.deepEqual(await ask('execute_all', [7, null, [], 'x']), ['bad', 'bad', 'bad', 'bad'])
    assert.deepEqual(await usedIn(at(), task), { used: 5, denied: 5 })
    assert.equal(await ask('sometimes', [yes]), 'invalid_fields')
    assert.equal(await ask('execute_all', Array.from({ length: 101 }, () => yes)), 'invalid_fields')
    assert.equal(await ask('execute_all', [yes, { ...yes, context: { task: await open(await register(at())) } }]), 'task_not_found')
    assert.deepEqual(await usedIn(at(), task), { used: 5, denied: 5 })
  })

  test('parallel attempts share a budget exactly, and whoever comes after its end finds the task over', async () => {
    const task = await open(agent, 3)
    const all = await Promise.all(Array.from({ length: 8 }, () => decided(agent.api, use(agent, task, 'crm/inbox'))))
    assert.equal(all.filter(({ decision }) => decision).length, 3)
    assert.deepEqual(new Set(all.filter(({ decision }) => !decision).map(({ reason }) => reason)), new Set(['budget_exhausted', 'not_in_order']))
    const got = await agent.api(tasks.showTask, { parameters: { id: task } })
    assert.deepEqual([got.reply.budget, got.reply.end_reason], [{ calls: 3, used: 3 }, 'budget_exhausted'])
    assert.equal((await decided(agent.api, use(agent, task, 'crm/inbox'))).reason, 'not_in_order')
  })

  test('of its own types an operator says what they are, but not against what the policies\' files say; nobody else does', async () => {
    const task = await open(agent)
    const approve = (id: string, status?: string, amount = 100) =>
      ({ ...use(agent, task, ''), action: { name: 'approve', properties: { amount } }, resource: { type: 'order', id, ...(status === undefined ? {} : { properties: { status } }) } })
    assert.deepEqual((await decided(at().operator, approve('7', 'paid'))).policies, ['paid-orders'])
    assert.equal((await decided(at().operator, approve('7', 'open'))).reason, 'not_permitted')
    assert.equal((await decided(at().operator, approve('7', 'paid', 101))).reason, 'not_granted')
    assert.equal((await decided(at().operator, approve('8', 'paid'))).reason, 'not_permitted')
    assert.equal((await decided(agent.api, approve('7'))).reason, 'not_evaluated')
    assert.deepEqual(await usedIn(at(), task), { used: 1, denied: 4 })
    await nothing(at(), refusedTo(agent.api, approve('7', 'paid')), [400, 'properties_not_yours'])
    await nothing(at(), refusedTo(at().operator, { ...use(agent, task, 'crm/inbox'), resource: { ...toolNamed('crm/inbox'), properties: { effect: 'read' } } }), [400, 'properties_not_yours'])
  })

  test('an operator is advised by what is registered, and an identity by nothing but what it says of others', async () => {
    const script = await register(at(), { class: 'script' })
    const { context: _, ...question } = use(script, '', 'mail/send', { to: 'a@b.example' })
    assert.deepEqual((await decided(at().operator, question)).policies, ['other-writes-by-script'])
    assert.equal((await decided(script.api, question)).decision, true)
    const asked = await decided(agent.api, question)
    assert.deepEqual([asked.decision, asked.advisory], [false, true])
    assert.ok(!JSON.stringify(asked).includes('by-script'))
  })

  test('where an identity is observed, a denial by policy passes and is told as one; every other denial stands', async () => {
    const watched = await register(at())
    const task = await open(watched)
    const set = await at().operator(setMode, { body: { subject: { kind: 'identity', id: watched.id }, mode: 'observe', reason: 'a trial', until: new Date(Date.now() + 86_400_000).toISOString() } })
    assert.equal(set.status, 200, set.text)
    const got = await decided(watched.api, use(watched, task, 'mail/send', { to: 'a@b.example' }))
    assert.deepEqual([got.decision, got.answer, got.reason, got.would_deny, got.access_request], [true, 'allow', 'would_deny', true, undefined])
    assert.deepEqual(await usedIn(at(), task), { used: 1, denied: 0 })
    assert.equal((await decided(watched.api, use(watched, task, 'mail/send', { to: 7 }))).reason, 'not_evaluated')
    assert.equal((await decided(watched.api, use(watched, task, 'crm/refund', { amount: 9000 }))).reason, 'not_granted')
    assert.deepEqual(await usedIn(at(), task), { used: 1, denied: 2 })
  })

  test('advice opens nothing: it counts in no task and says so', async () => {
    const before = await inStoreOf(at(), 'select sum(calls_used) as used from task')
    const got = await decided(agent.api, { subject: { type: 'user', id: 'alice' }, action: { name: 'read' }, resource: { type: 'record', id: 'record-1' } })
    assert.deepEqual([got.decision, got.advisory, got.answer], [true, true, 'allow'])
    const stored = (await at().operator(decisions.showDecision, { parameters: { id: got.id! } })).reply
    assert.deepEqual([stored.task, stored.advisory, stored.principal], [null, true, { type: 'user', id: 'alice' }])
    assert.deepEqual(await inStoreOf(at(), 'select sum(calls_used) as used from task'), before)
  })
})
