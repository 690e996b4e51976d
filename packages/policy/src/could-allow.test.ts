import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readBundle, readCheckedBundle, type BundleFiles } from './bundle.ts'
import type { CouldAllow } from './could-allow.ts'
import { DEFAULT_BUNDLE } from './defaults.ts'
import { openEngine, type Engine } from './engine.ts'
import type { Entity, Question } from './question.ts'

function engineOf(files: BundleFiles): Engine {
  const read = readBundle(files)
  assert.ok(read.ok, read.ok ? '' : JSON.stringify(read.refusal))
  return openEngine(read.value)
}

const holder = (of: string): Entity =>
  ({ uid: { type: 'Writ::Agent', id: 'spiffe://example.org/a' }, attributes: { class: of, environment: 'test', system_scope: [] }, parents: [] })
const tool = (id: string): Entity => ({ uid: { type: 'Writ::Tool', id }, attributes: {}, parents: [] })
const known: Question['known'] = {
  task: 'tsk_1', purpose: { entity: { type: 'Writ::Purpose', id: 'refunds' } }, class: 'autonomous', environment: 'test', depth: 0n, budget_left: 5n,
  labels: [], approved: false, at: '2026-11-22T10:00:00Z',
}
const call = (id: string, more: Question['known'] = {}): Question =>
  ({ principal: holder('autonomous'), action: 'call', resource: tool(id), arguments: {}, claimed: {}, known: { ...known, ...more } })

const AMOUNT = { type: 'object', properties: { amount: { type: 'integer' }, to: { type: 'string' } }, required: ['to'], additionalProperties: false }
const TOOLS = JSON.stringify([
  { server: 'docs', name: 'read', effect: 'read', input: AMOUNT }, { server: 'docs', name: 'list', effect: 'read' },
  { server: 'mail', name: 'send', effect: 'external', input: AMOUNT }, { server: 'shop', name: 'set', effect: 'write', reversible: true, input: AMOUNT },
])
const defaults = engineOf({ ...DEFAULT_BUNDLE, 'tools.json': TOOLS })

const BOTH_LABELS = ['confidential', 'untrusted']
for (const { what, question, could } of [
  { what: 'a tool that reads', question: call('docs/read'), could: 'yes' },
  { what: 'a tool that reads and takes no arguments', question: call('docs/list'), could: 'yes' },
  { what: 'a tool that reads, after both labels', question: call('docs/read', { labels: BOTH_LABELS }), could: 'yes' },
  { what: 'a write that can be taken back', question: call('shop/set'), could: 'yes' },
  { what: 'a tool that sends out, for an agent that decides alone,', question: call('mail/send'), could: 'with_approval' },
  { what: 'a tool that sends out, for a script,', question: { ...call('mail/send', { class: 'script' }), principal: holder('script') }, could: 'yes' },
  { what: 'a tool that sends out, with an approval,', question: call('mail/send', { approved: true }), could: 'yes' },
  { what: 'a tool that sends out, after both labels,', question: call('mail/send', { labels: BOTH_LABELS }), could: 'no' },
  { what: 'a write in production without a change', question: call('shop/set', { environment: 'production' }), could: 'no' },
  { what: 'a write in production under a change', question: call('shop/set', { environment: 'production', change: 'CHG-1' }), could: 'yes' },
  { what: 'anything with nothing left of the budget', question: call('docs/read', { budget_left: 0n }), could: 'no' },
  { what: 'a tool that nobody has described', question: call('other/tool'), could: 'no' },
  { what: 'an action that there is none of', question: { ...call('docs/read'), action: 'erase' }, could: 'no' },
] as const satisfies readonly { what: string; question: Question; could: CouldAllow }[]) {
  test(`by the default policies ${what} is answered ${could}`, () => {
    assert.equal(defaults.couldAllow(question), could)
  })
}

const IN_CALL = 'action in Writ::Action::"call", resource is Writ::Tool'
/** Attributes that are not there, or sums that are too large: what no check of types has let through. */
for (const { what, policies, question = call('mail/send'), could } of [
  { what: 'a limit on an argument', policies: ['permit when { context has arguments.amount && context.arguments.amount < 100 };'], could: 'yes' },
  { what: 'a limit on an argument that the tool does not take', policies: ['permit when { context has arguments.rate && context.arguments.rate < 100 };'], could: 'no' },
  { what: 'a limit on an argument, and a condition that fails', policies: ['permit when { context.arguments.to like "a*" && context.depth > 3 };'], could: 'no' },
  { what: 'a condition that holds, or else an argument', policies: ['permit unless { context.depth > 3 && context.arguments.to like "a*" };'], could: 'yes' },
  { what: 'a forbid by an argument', policies: ['permit;', 'forbid when { context.arguments.to like "a*" };'], could: 'yes' },
  { what: 'a forbid unless an argument', policies: ['permit;', 'forbid unless { context.arguments.to like "a*" };'], could: 'yes' },
  { what: 'a forbid that holds whatever the argument', policies: ['permit;', 'forbid when { context.depth == 0 || context.arguments.to like "a*" };'], could: 'no' },
  { what: 'a forbid by whether a required argument is there', policies: ['permit;', 'forbid when { context has arguments.to };'], could: 'no' },
  { what: 'a forbid by whether an optional argument is there', policies: ['permit;', 'forbid when { context has arguments.amount };'], could: 'yes' },
  { what: 'a forbid of what is not approved', policies: ['permit when { context.arguments.to != "" };', 'forbid unless { context.approved };'], could: 'with_approval' },
  { what: 'the context as a whole', policies: ['permit when { [context].isEmpty() };'], could: 'yes' },
  { what: 'an error in a policy of its own', policies: ['permit;', 'permit when { context.change == "x" };'], could: 'no' },
  { what: 'an error that every argument leads to', policies: ['permit;', 'forbid when { context.change == "x" && context.arguments.to == "x" };'], could: 'no' },
  { what: 'an error that only some arguments lead to', policies: ['permit;', 'forbid when { context.arguments.to == "x" && context.change == "x" };'], could: 'yes' },
  { what: 'an error where an approval would do', policies: ['permit when { context.approved };', 'forbid when { context.change == "x" };'], could: 'no' },
  {
    what: 'an integer past what JavaScript holds, in a policy with an argument',
    policies: ['permit when { context.arguments.to != "" && context.budget_left == 9007199254740993 };'], question: call('mail/send', { budget_left: 9007199254740993n }), could: 'yes',
  },
  {
    what: 'one less than that',
    policies: ['permit when { context.arguments.to != "" && context.budget_left == 9007199254740993 };'], question: call('mail/send', { budget_left: 9007199254740992n }), could: 'no',
  },
  {
    what: 'the least of integers, and the greatest that JavaScript holds',
    policies: ['permit when { context.arguments.to != "" && context.budget_left > -9223372036854775808 && context.budget_left < 9007199254740991 && context.budget_left != 9223372036854775807 };'],
    could: 'yes',
  },
] as readonly { what: string; policies: readonly string[]; question?: Question; could: CouldAllow }[]) {
  test(`${what} is answered ${could}`, () => {
    const text = policies.map((one, i) => `@permit("of") @id("p${i}") ${one.replace(/^(permit|forbid)/, `$1(principal, ${IN_CALL})`)}`).join('\n')
    const read = readCheckedBundle({ 'a.cedar': text, 'tools.json': TOOLS })
    assert.ok(read.ok, read.ok ? '' : JSON.stringify(read.refusal))
    const engine = openEngine(read.value)
    assert.equal(engine.couldAllow(question), could)
    engine.close()
    assert.throws(() => engine.couldAllow(question), /closed/)
  })
}

test('what an operator\'s own action takes as arguments is not known either', () => {
  const engine = engineOf({
    'a.cedar': '@id("soft") permit(principal, action == Action::"delete", resource) when { context has arguments && context.arguments has soft && context.arguments.soft };',
    'schema.cedarschema': 'entity user; entity record; action delete, see appliesTo { principal: [user], resource: [record], context: { arguments?: { soft?: Bool } } };',
  })
  const ask = (action: string): CouldAllow => engine.couldAllow({
    principal: { uid: { type: 'user', id: 'u' }, attributes: {}, parents: [] }, action, resource: { uid: { type: 'record', id: 'r' }, attributes: {}, parents: [] },
    arguments: {}, claimed: {}, known: {},
  })
  assert.deepEqual([ask('delete'), ask('see')], ['yes', 'no'])
})

test('tools that are alike in what policies look at are told apart by what policies name them for', () => {
  const named = Array.from({ length: 40 }, (_, i) => ({ server: i < 20 ? 'a' : 'b', name: `t${i}`, effect: i % 2 === 0 ? 'read' : 'write', input: AMOUNT }))
  const read = readBundle({
    'a.cedar': `
@id("reads") permit(principal, ${IN_CALL}) when { resource.effect == "read" && context.budget_left > 0 };
@id("one") permit(principal, action == Writ::Action::"a/t1", resource is Writ::Tool) when { context.arguments.to == "x" && context.budget_left > 0 };
@id("server") forbid(principal, ${IN_CALL}) when { resource in Writ::Server::"b" && resource != Writ::Tool::"b/t20" };`,
    'tools.json': JSON.stringify(named),
  })
  assert.ok(read.ok, JSON.stringify(read))
  const engine = openEngine(read.value)
  const open = named.map(({ server, name }) => `${server}/${name}`).filter((id) => engine.couldAllow(call(id)) === 'yes')
  assert.deepEqual(open, [...Array.from({ length: 10 }, (_, i) => `a/t${2 * i}`), 'a/t1', 'b/t20'].toSorted((a, b) => Number(a.slice(3)) - Number(b.slice(3))))
  engine.close()
})

test('a list of two hundred tools is gone through in a moment', (t) => {
  const effects = ['read', 'write', 'external']
  const named = Array.from({ length: 200 }, (_, i) => ({ server: `s${i % 4}`, name: `t${i}`, effect: effects[i % 3], labels: i % 5 === 0 ? ['confidential'] : [], input: AMOUNT }))
  const engine = engineOf({ ...DEFAULT_BUNDLE, 'tools.json': JSON.stringify(named) })
  const ids = named.map(({ server, name }) => `${server}/${name}`)
  const took: number[] = []
  for (let i = 0; i < 20; i++) {
    const started = performance.now()
    const found = ids.map((id) => engine.couldAllow(call(id, { budget_left: BigInt(100 - i) })))
    took.push(performance.now() - started)
    assert.deepEqual([...new Set(found)].toSorted(), ['with_approval', 'yes'])
  }
  const [median] = took.toSorted((a, b) => a - b).slice(10)
  t.diagnostic(`200 tools: first ${took[0]!.toFixed(1)} ms, median ${median!.toFixed(1)} ms`)
  assert.ok(median! < 250, `${median} ms`)
  engine.close()
})
