import assert from 'node:assert/strict'
import { test } from 'node:test'
import { InexactNumber, type ExactRecord, type ExactValue } from '@writ/domain/exact'
import { readBundle, type BundleFiles } from './bundle.ts'
import { openEngine, type Engine } from './engine.ts'
import type { Entity, Question } from './question.ts'

function engineOf(files: BundleFiles): Engine {
  const read = readBundle(files)
  assert.ok(read.ok, read.ok ? '' : JSON.stringify(read.refusal))
  return openEngine(read.value)
}

const agent: Entity = {
  uid: { type: 'Writ::Agent', id: 'spiffe://example.org/a' }, attributes: { class: 'autonomous', environment: 'production', system_scope: [] }, parents: [],
}
/** A pinned tool is described by the bundle; of another the question has to tell. */
const tool = (id: string): Entity =>
  ({ uid: { type: 'Writ::Tool', id }, attributes: id === 'other/tool' ? { effect: 'write', reversible: false, labels: [] } : {}, parents: [] })
const known: Question['known'] = {
  task: 'tsk_1', purpose: { entity: { type: 'Writ::Purpose', id: 'refunds' } }, class: 'autonomous', environment: 'production',
  depth: 0n, budget_left: 5n,
  labels: [], approved: false, at: '2026-11-22T10:00:00Z',
}
const call = (id: string, said: ExactRecord, more: Partial<Question> = {}): Question =>
  ({ principal: agent, action: 'call', resource: tool(id), arguments: said, claimed: {}, known, ...more })

const TOOLS = JSON.stringify([
  {
    server: 'stripe', name: 'refund', effect: 'external', labels: ['money'],
    input: {
      type: 'object',
      properties: { amount: { type: 'integer' }, note: { type: 'string' }, tags: { type: 'array', items: { type: 'string' } }, fast: { type: 'boolean' } },
    },
  },
  { server: 'docs', name: 'search', effect: 'read', input: { type: 'object', properties: { amount: { type: 'integer' } } } },
])

const shop = engineOf({
  'shop.cedar': `
@id("calls") permit(principal, action in Writ::Action::"call", resource) when { context.budget_left > 0 };
@id("no-big") forbid(principal, action == Writ::Action::"stripe/refund", resource)
  when { context.arguments has amount && context.arguments.amount > 9007199254740993 } unless { context.approved };
@id("purposes") permit(principal, action == Writ::Action::"list", resource) when { context.purpose in Writ::Purpose::"money" };
@id("never-later") forbid(principal, action, resource) when { context.at > datetime("2027-01-01") };`,
  'tools.json': TOOLS,
  'entities.json': JSON.stringify([{ uid: { type: 'Writ::Purpose', id: 'refunds' }, attrs: {}, parents: [{ type: 'Writ::Purpose', id: 'money' }] }]),
})

for (const { value, is } of [
  { value: 9007199254740993n, is: 'allow' }, { value: 9007199254740994n, is: 'deny' },
  { value: 9223372036854775807n, is: 'deny' }, { value: -9223372036854775808n, is: 'allow' },
] as const) {
  test(`an integer past what a double holds decides to the last digit: ${value} is ${is === 'allow' ? 'allowed' : 'denied'}`, () => {
    const found = shop.decide(call('stripe/refund', { amount: value }))
    assert.deepEqual([found.answer, found.errors], [is, []])
  })
}

test('what is denied and would be allowed with an approval says so, and names the policy with its line', () => {
  const question = call('stripe/refund', { amount: 9223372036854775807n })
  assert.deepEqual(shop.decide(question), { answer: 'deny', by: [{ policy: 'no-big', file: 'shop.cedar', line: 3 }], errors: [], approvable: true })
  const approved = shop.decide({ ...question, known: { ...known, approved: true } })
  assert.deepEqual(approved, { answer: 'allow', by: [{ policy: 'calls', file: 'shop.cedar', line: 2 }], errors: [], approvable: false })
})

test('what no policy permits even with an approval is not approvable', () => {
  const found = shop.decide(call('docs/search', {}, { known: { ...known, budget_left: 0n } }))
  assert.deepEqual(found, { answer: 'deny', by: [], errors: [], approvable: false })
})

const unmappable: readonly { readonly said: Readonly<Record<string, ExactValue>>; readonly error: string }[] = [
  { said: { amount: new InexactNumber('1.5') }, error: 'arguments.amount: 1.5 is no 64-bit integer' },
  { said: { amount: new InexactNumber('1e3') }, error: 'arguments.amount: 1e3 is no 64-bit integer' },
  { said: { amount: 9223372036854775808n }, error: 'arguments.amount: 9223372036854775808 is no 64-bit integer' },
  { said: { amount: null }, error: 'arguments.amount: null is no 64-bit integer' },
  { said: { amount: '5' }, error: 'arguments.amount: "5" is no 64-bit integer' },
  { said: { amount: [5n] }, error: 'arguments.amount: a list is no 64-bit integer' },
  { said: { note: 5n }, error: 'arguments.note: 5 is no text' },
  { said: { note: '\ud800' }, error: 'arguments.note: "\\ud800" is no text' },
  { said: { tags: 'a' }, error: 'arguments.tags: "a" is no list' },
  { said: { tags: ['a', 1n] }, error: 'arguments.tags[1]: 1 is no text' },
  { said: { fast: 'yes' }, error: 'arguments.fast: "yes" is neither true nor false' },
  { said: { Amount: 1n }, error: 'arguments.Amount: the schema does not know it' },
  { said: { constructor: 1n }, error: 'arguments.constructor: the schema does not know it' },
  { said: { toString: 1n }, error: 'arguments.toString: the schema does not know it' },
  { said: JSON.parse('{"__proto__":"x"}') as ExactRecord, error: 'arguments.__proto__: the name is Cedar\'s own' },
  { said: { __entity: { type: 'Writ::Agent', id: 'x' } }, error: 'arguments.__entity: the name is Cedar\'s own' },
  { said: { __extn: { fn: 'decimal', arg: '1.0' } }, error: 'arguments.__extn: the name is Cedar\'s own' },
  { said: { note: { __entity: { type: 'Writ::Agent', id: 'x' } } }, error: 'arguments.note: an object is no text' },
  { said: { '\u001b[2J\n': 1n }, error: 'arguments["\\u001b[2J\\n"]: the schema does not know it' },
]
for (const { said, error } of unmappable) {
  test(`a call is denied, and nothing is left out, for ${error}`, () => {
    assert.deepEqual(shop.decide(call('stripe/refund', said)), { answer: 'deny', by: [], errors: [error], approvable: false })
  })
}

for (const { when, question, error } of [
  {
    when: 'a tool that is not pinned is called with arguments',
    question: call('other/tool', { amount: 1n }),
    error: 'arguments: the action `call` takes none',
  },
  {
    when: 'arguments stand where the action takes none',
    question: call('stripe/refund', { amount: 1n }, { action: 'read' }),
    error: 'arguments: the action `read` takes none',
  },
  {
    when: 'a claim stands where the action takes none',
    question: call('docs/search', {}, { claimed: { ip: '10.0.0.1' } }),
    error: 'claimed: the action `docs/search` takes none',
  },
  {
    when: 'the action is unknown',
    question: call('docs/search', {}, { action: 'erase' }),
    error: 'no action `erase` applies to `Writ::Agent` and `Writ::Tool`',
  },
  {
    when: 'another tool\'s own action is named',
    question: call('stripe/refund', {}, { action: 'docs/search' }),
    error: 'no action `docs/search` applies to `Writ::Agent` and `Writ::Tool`',
  },
  {
    when: 'an action has the name of a prototype\'s',
    question: call('docs/search', {}, { action: 'constructor' }),
    error: 'no action `constructor` applies to `Writ::Agent` and `Writ::Tool`',
  },
  {
    when: 'the type of who asks is unknown',
    question: call('docs/search', {}, { principal: { ...agent, uid: { type: 'Writ::Person', id: 'x' } } }),
    error: 'no action `call` applies to `Writ::Person` and `Writ::Tool`',
  },
  {
    when: 'what Writ knows is not all there',
    question: call('docs/search', {}, { known: { ...known, labels: null } }),
    error: 'labels: null is no list',
  },
  { when: 'the time is none', question: call('docs/search', {}, { known: { ...known, at: 'tomorrow' } }), error: /datetime/ },
  { when: 'nobody says what a tool does', question: call('some/tool', {}), error: 'resource.effect: the schema requires it' },
  {
    when: 'who asks has no class',
    question: call('docs/search', {}, { principal: { ...agent, attributes: {} } }),
    error: 'principal.class: the schema requires it',
  },
  {
    when: 'who asks is in what it can\'t be in',
    question: call('docs/search', {}, { principal: { ...agent, parents: [{ type: 'Writ::Server', id: 'x' }] } }),
    error: 'principal: it is in what its type is never in',
  },
  {
    when: 'a class is none of the four',
    question: call('docs/search', {}, { principal: { ...agent, attributes: { ...agent.attributes, class: 'root' } } }),
    error: 'principal: no `Writ::Class` has that id',
  },
] as const) {
  test(`a question is denied with its error when ${when}`, () => {
    const found = shop.decide(question)
    assert.deepEqual([found.answer, found.by, found.approvable, found.errors.length], ['deny', [], false, 1])
    if (typeof error === 'string') assert.equal(found.errors[0], error)
    else assert.match(found.errors[0]!, error)
  })
}

test('a forbid that can\'t be evaluated denies what another policy permits', () => {
  const engine = engineOf({
    'a.cedar': `@id("calls") permit(principal, action in Writ::Action::"call", resource) when { context.budget_left > 0 };
@id("broken") forbid(principal, action, resource) when { context.budget_left + 9223372036854775807 > 0 };`,
  })
  const found = engine.decide(call('other/tool', {}))
  assert.deepEqual([found.answer, found.by, found.approvable], ['deny', [], false])
  assert.match(found.errors[0]!, /^policy `broken` \(a\.cedar:2\): integer overflow/)
})

test('a purpose is in what the bundle says that it is in', () => {
  const list = (id: string): Question => call('', {}, {
    action: 'list', resource: { uid: { type: 'Writ::Server', id: 'stripe' }, attributes: {}, parents: [] }, known: { ...known, purpose: { entity: { type: 'Writ::Purpose', id } } },
  })
  assert.equal(shop.decide(list('refunds')).answer, 'allow')
  assert.equal(shop.decide(list('none')).answer, 'deny')
})

const cases = engineOf({
  'cases.cedar': `
@id("own") permit(principal, action == Action::"see", resource)
  when { resource has owner && resource.owner.team has lead && resource.owner.team.lead == principal };
@id("ops") permit(principal in Team::"all", action == Action::"see", resource) when { principal has role && principal.role == "admin" };
@id("sealed") forbid(principal, action, resource is record) when { Team::"red" has lead && Team::"red".lead == principal };
@id("soft") permit(principal, action == Action::"delete", resource)
  when { context has arguments && context.arguments has soft && context.arguments.soft };
@id("asked") permit(principal, action == Action::"delete", resource is record) when { context has approved && context.approved };`,
  'schema.cedarschema': `entity user in [Team] = { role?: String, team?: Team };
entity Team in [Team] = { lead?: user };
entity record = { owner?: Person, status?: String };
entity Person = { team: Team };
action see appliesTo { principal: [user], resource: [record] };
action delete appliesTo { principal: [user], resource: [record],
  context: { arguments?: { soft?: Bool }, claimed?: { ip?: String }, approved?: Bool } };`,
  'entities.json': JSON.stringify([
    { uid: { type: 'record', id: 'r1' }, attrs: { owner: { type: 'Person', id: 'p' }, status: 'archived' } },
    { uid: { type: 'Person', id: 'p' }, attrs: { team: { __entity: { type: 'Team', id: 'blue' } } } },
    { uid: { type: 'Team', id: 'blue' }, attrs: { lead: { type: 'user', id: 'bob' } }, parents: [{ type: 'Team', id: 'all' }] },
    { uid: { type: 'Team', id: 'red' }, attrs: { lead: { type: 'user', id: 'eve' } } },
    { uid: { type: 'user', id: 'ann' }, attrs: { role: 'admin' }, parents: [{ type: 'Team', id: 'blue' }] },
    { uid: { type: 'user', id: 'joe' }, attrs: { role: 'reader' }, parents: [{ type: 'Team', id: 'blue' }] },
  ]),
})
const see = (user: string, record: string, more: Partial<Question> = {}): Question => ({
  principal: { uid: { type: 'user', id: user }, attributes: {}, parents: [] }, action: 'see',
  resource: { uid: { type: 'record', id: record }, attributes: {}, parents: [] },
  arguments: {}, claimed: {}, known: { task: 'tsk_1' }, ...more,
})

for (const { who, question, by } of [
  { who: 'the lead of the team of the owner of a record', question: see('bob', 'r1'), by: ['own'] },
  { who: 'an admin of a team within a team', question: see('ann', 'r1'), by: ['ops'] },
  { who: 'an admin at a record that nobody has described', question: see('ann', 'r2'), by: ['ops'] },
  { who: 'someone who deletes softly', question: see('bob', 'r1', { action: 'delete', arguments: { soft: true } }), by: ['soft'] },
  {
    who: 'someone who deletes softly and claims an address',
    question: see('bob', 'r1', { action: 'delete', arguments: { soft: true }, claimed: { ip: '::1' } }), by: ['soft'],
  },
] as const) {
  test(`the operator's own types and actions decide for ${who}`, () => {
    const found = cases.decide(question)
    assert.deepEqual([found.answer, found.by.map((one) => one.policy), found.errors], ['allow', by, []])
  })
}

test('a policy sees an entity that only it names', () => {
  assert.deepEqual(cases.decide(see('eve', 'r1')).by.map((one) => one.policy), ['sealed'])
})

test('a caller does not overrule what the bundle says of an operator\'s entity', () => {
  const joe: Entity = { uid: { type: 'user', id: 'joe' }, attributes: { role: 'admin' }, parents: [] }
  assert.equal(cases.decide(see('joe', 'r1', { principal: joe })).answer, 'deny')
})

test('what an operator\'s action does not declare as optional approval is not approvable', () => {
  assert.equal(cases.decide(see('zed', 'r1')).approvable, false)
  const asked = see('zed', 'r1', { action: 'delete', known: { approved: false } })
  assert.deepEqual(cases.decide(asked), { answer: 'deny', by: [], errors: [], approvable: true })
})

test('the names of AuthZEN find their types, and a search its actions', () => {
  const names = ['user', 'agent', 'service_account', 'Tool', 'Writ::Backend', 'nobody', 'constructor', '__proto__']
  assert.deepEqual(names.map((one) => cases.typeNamed(one)),
    ['user', 'Writ::Agent', 'Writ::ServiceAccount', 'Writ::Tool', 'Writ::Backend', undefined, undefined, undefined])
  assert.deepEqual(cases.actionsFor('user', 'record').toSorted(), ['delete', 'see'])
  assert.deepEqual(shop.actionsFor('Writ::Agent', 'Writ::Tool').toSorted(), ['call', 'read'])
  assert.deepEqual(shop.actionsFor(undefined, 'constructor'), [])
  assert.deepEqual(shop.entitiesOf('Writ::Tool').map(({ uid }) => uid.id), ['stripe/refund', 'docs/search'])
  assert.equal(shop.entity({ type: 'Writ::Tool', id: 'docs/search' })?.attributes['effect'], 'read')
  assert.equal(shop.entity({ type: 'Writ::Tool', id: 'toString' }), undefined)
})

test('ever new callers with policies of their own get right answers, however many parsed policies are kept', () => {
  const engine = engineOf({
    'a.cedar': Array.from({ length: 300 }, (_, i) => `@id("p${i}") permit(principal == Writ::Agent::"spiffe://example.org/${i}", action, resource)
      when { context.budget_left > ${i % 7} };`).join('\n'),
  })
  for (let i = 0; i < 300; i++) {
    const found = engine.decide(call('other/tool', {}, { principal: { ...agent, uid: { type: 'Writ::Agent', id: `spiffe://example.org/${i}` } } }))
    assert.deepEqual(found.by.map((one) => one.policy), i % 7 < 5 ? [`p${i}`] : [])
  }
  engine.close()
  assert.throws(() => engine.decide(call('other/tool', {})), /closed/)
})

test('more policies for everybody than are parsed together decide with the caller\'s own', () => {
  const engine = engineOf({
    'a.cedar': [
      ...Array.from({ length: 100 }, (_, i) => `@id("all${i}") permit(principal, action, resource) when { context.depth == ${i} };`),
      '@id("own") forbid(principal == Writ::Agent::"spiffe://example.org/a", action, resource) when { context.depth == 1 };',
      '@id("mine") permit(principal in Writ::Class::"autonomous", action, resource) when { context.depth == 0 };',
    ].join('\n'),
  })
  assert.deepEqual(engine.decide(call('other/tool', {})).by.map((one) => one.policy).toSorted(), ['all0', 'mine'])
  const deeper = engine.decide(call('other/tool', {}, { known: { ...known, depth: 1n } }))
  assert.deepEqual(deeper, { answer: 'deny', by: [{ policy: 'own', file: 'a.cedar', line: 101 }], errors: [], approvable: false })
  engine.close()
})

test('a question without bounds is denied before it costs more than a decision may', () => {
  const deep = Array.from({ length: 10_000 }).reduce<ExactValue>((inner) => [inner], 'x')
  const wide = Array.from({ length: 100_000 }, () => 'x')
  for (const said of [{ tags: deep }, { tags: wide }, { note: 'x'.repeat(2_000_000) }, Object.fromEntries(wide.map((_, i) => [`k${i}`, 1n]))]) {
    const found = shop.decide(call('stripe/refund', said as ExactRecord))
    assert.deepEqual([found.answer, found.by], ['deny', []])
    assert.ok(found.errors.length > 0 && found.errors.length <= 10 && found.errors.join().length < 2_000)
  }
})
