import assert from 'node:assert/strict'
import fc from 'fast-check'
import { readCheckedBundle, type Bundle } from '../src/bundle.ts'
import { openEngine, type Engine } from '../src/engine.ts'
import { readPolicies, type Policy } from '../src/policies.ts'
import type { Question } from '../src/question.ts'

/** What a question can differ in. */
export type World = {
  readonly class: string
  readonly agent: string
  readonly groups: readonly string[]
  readonly tool: string
  readonly effect: string
  readonly action: 'call' | 'read'
  readonly labels: readonly string[]
  readonly change: string | undefined
  readonly budgetLeft: bigint
  readonly depth: bigint
  readonly approved: boolean
  readonly amount: bigint | undefined
}

/** A condition in Cedar's words, and what it comes to in ours: the reference that Cedar is held against. */
export type Condition = { readonly text: string; readonly holds: (world: World) => boolean | 'error' }
export type Head = { readonly text: string; readonly fits: (world: World) => boolean }
export type Drawn = {
  readonly effect: 'permit' | 'forbid'
  readonly principal: Head
  readonly action: Head
  readonly resource: Head
  readonly conditions: readonly Condition[]
}

const MOST = 9223372036854775807n
export const EDGE = 9007199254740993n
const CLASSES = ['chatbot', 'script', 'autonomous', 'assisted']
export const TOOLS = ['mail/send', 'docs/search', 'docs/write']
const AGENTS = ['spiffe://example.org/a', 'spiffe://example.org/b']
const isPinned = (tool: string): boolean => tool !== 'docs/write'

export const leaf: fc.Arbitrary<Condition> = fc.oneof(
  fc.constantFrom(...CLASSES).map((one) => ({ text: `principal.class == "${one}"`, holds: (w: World) => w.class === one })),
  fc.constantFrom('read', 'write', 'external').map((one) => ({ text: `resource.effect == "${one}"`, holds: (w: World) => w.effect === one })),
  fc.constantFrom('pii', 'untrusted').map((one) => ({ text: `context.labels.contains("${one}")`, holds: (w: World) => w.labels.includes(one) })),
  fc.constantFrom('ops', 'all').map((one) => ({ text: `principal in Writ::Group::"${one}"`, holds: (w: World) => isIn(w, one) })),
  fc.constant({ text: 'context.approved', holds: (w: World) => w.approved }),
  fc.constant({ text: '(context has change && context.change == "CHG-1")', holds: (w: World) => w.change === 'CHG-1' }),
  fc.constant({ text: 'context.change == "CHG-1"', holds: (w: World) => (w.change === undefined ? 'error' as const : w.change === 'CHG-1') }),
  fc.constantFrom(0n, 1n, EDGE).map((one) => ({ text: `context.budget_left >= ${one}`, holds: (w: World) => w.budgetLeft >= one })),
  fc.constant({ text: `context.depth + ${MOST} > 0`, holds: (w: World) => (w.depth > 0n ? 'error' as const : true) }),
  fc.constantFrom(5n, EDGE).map((one) => ({
    text: `(context has arguments && context.arguments has amount && context.arguments.amount <= ${one})`,
    holds: (w: World) => takesArguments(w) && w.amount !== undefined && w.amount <= one,
  })),
)

const condition: fc.Arbitrary<Condition> = fc.oneof(
  { weight: 3, arbitrary: leaf },
  { weight: 1, arbitrary: leaf.map(({ text, holds }) => ({ text: `!(${text})`, holds: (w: World) => negated(holds(w)) })) },
  { weight: 1, arbitrary: fc.tuple(leaf, leaf).map(([a, b]) => both(a, b)) },
  { weight: 1, arbitrary: fc.tuple(leaf, leaf).map(([a, b]) => either(a, b)) },
)

/** Cedar looks at the right side only where the left one leaves it open, errors included. */
export const both = (a: Condition, b: Condition): Condition => ({
  text: `(${a.text}) && (${b.text})`,
  holds: (one) => { const left = a.holds(one); return left === true ? b.holds(one) : left },
})
export const either = (a: Condition, b: Condition): Condition => ({
  text: `((${a.text}) || (${b.text}))`,
  holds: (one) => { const left = a.holds(one); return left === false ? b.holds(one) : left },
})
export const negated = (value: boolean | 'error'): boolean | 'error' => (value === 'error' ? value : !value)
const isIn = (world: World, group: string): boolean => world.groups.includes(group) || (group === 'all' && world.groups.includes('ops'))
export const takesArguments = (world: World): boolean => world.action === 'call' && isPinned(world.tool)

const anyone: Head = { text: '', fits: () => true }
export const principalHead: fc.Arbitrary<Head> = fc.oneof(
  fc.constant(anyone),
  fc.constant({ text: ' is Writ::Agent', fits: () => true }),
  fc.constant({ text: ' is Writ::Bot', fits: () => false }),
  fc.constantFrom(...AGENTS).map((one) => ({ text: ` == Writ::Agent::"${one}"`, fits: (w: World) => w.agent === one })),
  fc.constantFrom(...CLASSES).map((one) => ({ text: ` in Writ::Class::"${one}"`, fits: (w: World) => w.class === one })),
  fc.constantFrom('ops', 'all').map((one) => ({ text: ` is Writ::Agent in Writ::Group::"${one}"`, fits: (w: World) => isIn(w, one) })),
)
export const actionHead: fc.Arbitrary<Head> = fc.oneof(
  fc.constant(anyone),
  fc.constant({ text: ' == Writ::Action::"read"', fits: (w: World) => w.action === 'read' }),
  fc.constant({ text: ' == Writ::Action::"call"', fits: (w: World) => w.action === 'call' && !isPinned(w.tool) }),
  fc.constant({ text: ' in Writ::Action::"call"', fits: (w: World) => w.action === 'call' }),
  fc.constant({ text: ' in [Writ::Action::"read", Writ::Action::"list"]', fits: (w: World) => w.action === 'read' }),
  fc.constantFrom(...TOOLS.filter(isPinned))
    .map((one) => ({ text: ` == Writ::Action::"${one}"`, fits: (w: World) => w.action === 'call' && w.tool === one })),
)
export const resourceHead: fc.Arbitrary<Head> = fc.oneof(
  fc.constant(anyone),
  fc.constant({ text: ' is Writ::Tool', fits: () => true }),
  fc.constant({ text: ' is Writ::Backend', fits: () => false }),
  fc.constantFrom(...TOOLS).map((one) => ({ text: ` == Writ::Tool::"${one}"`, fits: (w: World) => w.tool === one })),
  fc.constantFrom('mail', 'docs').map((one) => ({ text: ` in Writ::Server::"${one}"`, fits: (w: World) => w.tool.startsWith(`${one}/`) })),
)

export const drawn = (effect: fc.Arbitrary<'permit' | 'forbid'>): fc.Arbitrary<Drawn> =>
  fc.record({ effect, principal: principalHead, action: actionHead, resource: resourceHead, conditions: fc.array(condition, { maxLength: 2 }) })
export const anyPolicy = drawn(fc.constantFrom('permit', 'permit', 'forbid'))

export const anyWorld: fc.Arbitrary<World> = fc.record({
  class: fc.constantFrom(...CLASSES), agent: fc.constantFrom(...AGENTS), groups: fc.subarray(['ops', 'all', 'none']),
  tool: fc.constantFrom(...TOOLS), effect: fc.constantFrom('read', 'write', 'external'), action: fc.constantFrom('call', 'call', 'read'),
  labels: fc.subarray(['pii', 'untrusted']), change: fc.constantFrom(undefined, 'CHG-1', 'CHG-2'),
  budgetLeft: fc.constantFrom(0n, 1n, EDGE - 1n, EDGE), depth: fc.constantFrom(0n, 0n, 0n, 1n), approved: fc.boolean(),
  amount: fc.constantFrom(undefined, 5n, EDGE, EDGE + 1n),
})

function textOf({ effect, principal: who, action: how, resource: what, conditions }: Drawn, id: string): string {
  const when = conditions.map(({ text }) => ` when { ${text} }`).join('')
  return `@id("${id}") ${effect}(principal${who.text}, action${how.text}, resource${what.text})${when};`
}

export const questionOf = (one: World): Question => ({
  principal: {
    uid: { type: 'Writ::Agent', id: one.agent }, attributes: { class: one.class, environment: 'test', system_scope: [] },
    parents: one.groups.map((id) => ({ type: 'Writ::Group', id })),
  },
  action: one.action,
  resource: {
    uid: { type: 'Writ::Tool', id: one.tool }, attributes: { effect: one.effect, reversible: false, labels: [] },
    parents: [{ type: 'Writ::Server', id: one.tool.split('/')[0]! }],
  },
  arguments: takesArguments(one) && one.amount !== undefined ? { amount: one.amount } : {},
  claimed: {},
  known: {
    task: 'tsk_1', purpose: { entity: { type: 'Writ::Purpose', id: 'none' } }, class: one.class, environment: 'test', depth: one.depth,
    budget_left: one.budgetLeft, labels: one.labels, approved: one.approved, at: '2026-11-22T10:00:00Z',
    ...(one.change === undefined ? {} : { change: one.change }),
  },
})

const TYPED = (name: string): object => ({ type: 'object', properties: { [name]: { type: 'integer' } } })
const read = readCheckedBundle({
  'tools.json': JSON.stringify([
    { server: 'mail', name: 'send', effect: 'external', input: TYPED('amount') },
    { server: 'docs', name: 'search', effect: 'read', input: TYPED('amount') },
  ]),
  'entities.json': JSON.stringify([{ uid: { type: 'Writ::Group', id: 'ops' }, attrs: {}, parents: [{ type: 'Writ::Group', id: 'all' }] }]),
})
assert.ok(read.ok, read.ok ? '' : JSON.stringify(read.refusal))
export const base: Bundle = read.value

export function policiesOf(drawnPolicies: readonly Drawn[]): readonly Policy[] {
  const parsed = readPolicies('all.cedar', drawnPolicies.map((one, i) => textOf(one, `p${i}`)).join('\n'))
  assert.deepEqual(parsed.complaints, [])
  return parsed.policies
}

export function asking<T>(policies: readonly Policy[], use: (engine: Engine) => T): T {
  const engine = openEngine({ ...base, policies })
  try {
    return use(engine)
  } finally {
    engine.close()
  }
}
