import assert from 'node:assert/strict'
import { test } from 'node:test'
import { InexactNumber } from '@writ/domain/exact'
import { readBundle, type BundleFiles } from './bundle.ts'
import { openEngine, type Engine } from './engine.ts'
import { explain, type Occasion } from './explain.ts'
import { linesOf, type Explanation } from './explanation.ts'
import type { Question } from './question.ts'

const POLICIES = `// The tool that pays back.
@id("refunds-small")
permit (principal is Writ::Agent, action == Writ::Action::"pay/refund", resource)
when {
  context.labels.contains("seen") &&
  context.arguments.amount <= 1000
};

@id("refunds-approved")
permit (principal is Writ::Agent, action == Writ::Action::"pay/refund", resource)
when { context.arguments.amount > 1000 && context.arguments.amount <= 9007199254740993 && context.approved };

@id("other-class")
permit (principal is Writ::Agent, action == Writ::Action::"pay/refund", resource)
when { context.class == "script" };

@id("hands-off")
forbid (principal, action == Writ::Action::"pay/refund", resource)
when { context.environment == "production" && resource.effect != "read" }
unless { context has change };

@id("never-on-hold")
forbid (principal, action == Writ::Action::"pay/refund", resource)
when { context.arguments has note && context.arguments.note like "*hold*" };

@id("with-ticket")
permit (principal, action == Writ::Action::"connect", resource)
when { context has change && context.change like "CHG-*" }
unless { resource.kind == "old" };
`

const TOOLS = JSON.stringify([{
  server: 'pay', name: 'refund', effect: 'external', reversible: false, labels: [],
  input: { type: 'object', properties: { amount: { type: 'integer' }, note: { type: 'string' } }, required: ['amount'], additionalProperties: false },
}])

function engineOf(files: BundleFiles): Engine {
  const bundle = readBundle(files)
  return bundle.ok ? openEngine(bundle.value) : assert.fail(JSON.stringify(bundle.refusal))
}

const engine = engineOf({ 'pay.cedar': POLICIES, 'tools.json': TOOLS })

const KNOWN: Question['known'] = {
  task: 'tsk_1', purpose: { entity: { type: 'Writ::Purpose', id: 'none' } }, class: 'autonomous', environment: 'development', depth: 0n, budget_left: 10n,
  labels: ['seen'], approved: false, at: '2026-01-05T12:00:00Z',
}

const REFUND: Question = {
  principal: {
    uid: { type: 'Writ::Agent', id: 'spiffe://acme.test/refunds' },
    attributes: { class: 'autonomous', environment: 'development', system_scope: [] }, parents: [{ type: 'Writ::Class', id: 'autonomous' }],
  },
  action: 'call',
  resource: { uid: { type: 'Writ::Tool', id: 'pay/refund' }, attributes: {}, parents: [] },
  arguments: { amount: 4200n },
  claimed: {},
  known: KNOWN,
}

const CONNECT: Question = {
  ...REFUND,
  action: 'connect',
  resource: { uid: { type: 'Writ::Backend', id: 'shop' }, attributes: { kind: 'postgres', labels: [], effect: 'write', reversible: false }, parents: [] },
  arguments: {},
  known: { ...KNOWN, template: 'ddl' },
}

const explained = (question: Question, occasion?: Occasion): Explanation => explain(engine, question, engine.decide(question), occasion)
const amounting = (amount: bigint, known: Question['known'] = {}): Question => ({ ...REFUND, arguments: { amount }, known: { ...KNOWN, ...known } })

test('a call that a person may approve names the permit that failed, its line and value, and the one that would hold', () => {
  const { verdict, rule, nearest, with_approval: approval, forbidden_by: forbid, next } = explained(REFUND)
  assert.equal(verdict, 'approval_required')
  assert.equal(rule, null)
  assert.equal(forbid, null)
  assert.deepEqual(nearest, {
    policy: 'refunds-small', file: 'pay.cedar', line: 6, failed: 'context.arguments.amount <= 1000', actual: { 'context.arguments.amount': '4200' },
  })
  assert.deepEqual(approval, { policy: 'refunds-approved', file: 'pay.cedar', line: 9 })
  assert.equal(next.cli, null)
})

test('an explanation is four lines: what happened, why, what would allow it, what to do next', () => {
  assert.deepEqual(linesOf(explained(REFUND)), [
    'needs approval: spiffe://acme.test/refunds call Tool pay/refund',
    'why: no policy permits it without an approval; nearest is refunds-small (pay.cedar:6): context.arguments.amount <= 1000 (is 4200)',
    'would allow it: refunds-approved (pay.cedar:9) permits it once a person has approved it',
    'next: a person has to approve exactly this',
  ])
})

test('an allowed call names the permit', () => {
  assert.deepEqual(linesOf(explained(amounting(1000n))), [
    'allowed: spiffe://acme.test/refunds call Tool pay/refund',
    'why: permitted by refunds-small (pay.cedar:2)',
    'would allow it: it is allowed',
    'next: go on',
  ])
})

test('a forbidden call names the forbid, what held in it, and its own exception', () => {
  const explanation = explained(amounting(10n, { environment: 'production' }), { decision: 'dec_1' })
  assert.deepEqual(explanation.rule, { policy: 'hands-off', file: 'pay.cedar', line: 17 })
  assert.deepEqual(explanation.forbidden_by, {
    policy: 'hands-off', file: 'pay.cedar', line: 19, held: 'context.environment == "production" && resource.effect != "read"', unless: 'context has change',
    actual: { 'context.environment': '"production"', 'resource.effect': '"external"', 'context.change': 'absent' },
  })
  assert.deepEqual(linesOf(explanation).slice(2), [
    'would allow it: context has change would have to be true',
    'next: change that and ask again, or ask whoever keeps the policies: writ explain dec_1',
  ])
})

test('a forbidden call that no permit allows either is told of both', () => {
  const [, , wouldAllow] = linesOf(explained(amounting(1000n, { environment: 'production', labels: [] })))
  assert.equal(wouldAllow, 'would allow it: context has change would have to be true, and context.labels.contains("seen") would have to be true (is [])')
})

test('a permit that fails by one term is nearer than one that fails by two', () => {
  const { nearest } = explained(amounting(4200n, { labels: [], approved: true, environment: 'test', class: 'chatbot' }))
  assert.equal(nearest, null)
  const two = explained(amounting(0n, { labels: [] }))
  assert.deepEqual([two.nearest?.policy, two.nearest?.failed], ['refunds-small', 'context.labels.contains("seen")'])
})

test('a term that a missing attribute keeps from being evaluated counts as failed, and is no error', () => {
  const { cause, nearest } = explained(CONNECT)
  assert.equal(cause, 'policy')
  assert.deepEqual([nearest?.failed, nearest?.actual], ['context has change && context.change like "CHG-*"', { 'context.change': 'absent' }])
})

test('an exception that applies is shown as what must not be', () => {
  const old = { ...CONNECT, known: { ...CONNECT.known, change: 'CHG-1' }, resource: { ...CONNECT.resource, attributes: { ...CONNECT.resource.attributes, kind: 'old' } } }
  const { nearest } = explained(old)
  assert.deepEqual([nearest?.failed, nearest?.actual], ['!(resource.kind == "old")', { 'resource.kind': '"old"' }])
})

test('the last digit of a 64-bit integer tells', () => {
  const approved = (amount: bigint): Explanation => explained(amounting(amount, { approved: true }))
  assert.equal(approved(9007199254740993n).verdict, 'allow')
  const { verdict, nearest } = approved(9007199254740994n)
  assert.equal(verdict, 'deny')
  assert.equal(nearest?.actual['context.arguments.amount'], '9007199254740994')
})

test('an action that no policy is about is said to lack one', () => {
  const { nearest, would_allow: wouldAllow } = explained({ ...CONNECT, action: 'list', known: KNOWN })
  assert.deepEqual([nearest, wouldAllow], [null, 'a policy that permits list on this Backend'])
})

test('a question that can not be evaluated is denied with the error', () => {
  const explanation = explained({ ...REFUND, arguments: { amount: new InexactNumber('1.5') } })
  assert.deepEqual([explanation.verdict, explanation.cause, explanation.nearest], ['deny', 'error', null])
  assert.match(linesOf(explanation)[1]!, /^why: it could not be evaluated: .*amount.*1\.5/)
})

test('what a caller says can neither move a terminal nor fill it', () => {
  const note = `\u001b[2Jhold\n${'x'.repeat(10_000)}`
  const text = JSON.stringify(explained({ ...REFUND, arguments: { amount: 1n, note } }))
  assert.ok(text.length < 3000, String(text.length))
  const lines = linesOf(explained({ ...REFUND, action: 'a\u202e\nallowed: b', arguments: { amount: 1n, note } }))
  assert.ok(lines.every((line) => !/[\p{Cc}\p{Cf}]/u.test(line) && line.length < 700), lines.join('\n'))
})

for (const { occasion, why, next } of [
  {
    occasion: { cause: { kind: 'grant', asked: { type: 'mcp', resource: 'pay', action: 'refund', limits: { amount: 4200 } }, authority: [{ type: 'mcp', resource: 'pay', action: 'refund', limits: { amount: 1000 } }] } },
    why: 'the task\'s grant does not hold mcp:pay:refund?amount=4200; nearest is mcp:pay:refund?amount=1000, where amount <= 1000 (is 4200)',
    next: 'ask for it in the open task: writ task widen tsk_1 --grant \'mcp:pay:refund?amount=4200\'',
  },
  { occasion: { cause: { kind: 'budget' } }, why: 'the task and those it shares its budget with have no call left', next: 'open a task with a larger budget' },
  { occasion: { cause: { kind: 'state', what: 'the identity is suspended' } }, why: 'the identity is suspended', next: 'put that in order first: writ task show tsk_1' },
  {
    occasion: { cause: { kind: 'error', errors: ['the store is full'] }, decision: 'dec_1' },
    why: 'it could not be evaluated: the store is full', next: 'correct what can not be evaluated, in the question or in the policy: writ explain dec_1',
  },
] as const satisfies readonly { occasion: Occasion; why: string; next: string }[]) {
  test(`a denial by ${occasion.cause.kind} is explained in the same four lines`, () => {
    const explanation = explained(amounting(10n), occasion)
    assert.equal(explanation.verdict, 'deny')
    assert.deepEqual(linesOf(explanation).filter((_, i) => i === 1 || i === 3), [`why: ${why}`, `next: ${next}`])
  })
}

test('every answer has the same members', () => {
  const shapes = [REFUND, amounting(1n), amounting(1n, { environment: 'production' }), { ...REFUND, arguments: {} }].map((one) => Object.keys(explained(one)).toSorted().join())
  assert.equal(new Set(shapes).size, 1)
})

test('a permit with a line end in it is not put into a command', () => {
  const asked = { type: 'mcp', resource: 'pay', action: 'x\' ; rm -rf /\n', limits: {} }
  assert.equal(explained(amounting(10n), { cause: { kind: 'grant', asked, authority: [] } }).next.cli, null)
})
