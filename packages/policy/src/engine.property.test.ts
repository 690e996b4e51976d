import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { readCheckedBundle, type Bundle } from './bundle.ts'
import { openEngine, type Engine } from './engine.ts'
import { readPolicies, type Policy } from './policies.ts'
import type { Question, PolicyAnswer } from './question.ts'

/** `npm test -- --long` asks for a million pairs of policies and questions; else as many as these seconds allow. */
const inFull = process.env['WRIT_TEST_LONG'] === 'yes'
const PAIRS = 1_000_000
const SECONDS = 9
const QUESTIONS = 25

/** What a question can differ in. */
type World = {
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
type Condition = { readonly text: string; readonly holds: (world: World) => boolean | 'error' }
type Head = { readonly text: string; readonly fits: (world: World) => boolean }
type Drawn = {
  readonly effect: 'permit' | 'forbid'
  readonly principal: Head
  readonly action: Head
  readonly resource: Head
  readonly conditions: readonly Condition[]
}

const MOST = 9223372036854775807n
const EDGE = 9007199254740993n
const CLASSES = ['chatbot', 'script', 'autonomous', 'assisted']
const TOOLS = ['mail/send', 'docs/search', 'docs/write']
const AGENTS = ['spiffe://example.org/a', 'spiffe://example.org/b']
const isPinned = (tool: string): boolean => tool !== 'docs/write'

const leaf: fc.Arbitrary<Condition> = fc.oneof(
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
const both = (a: Condition, b: Condition): Condition => ({
  text: `(${a.text}) && (${b.text})`,
  holds: (one) => { const left = a.holds(one); return left === true ? b.holds(one) : left },
})
const either = (a: Condition, b: Condition): Condition => ({
  text: `((${a.text}) || (${b.text}))`,
  holds: (one) => { const left = a.holds(one); return left === false ? b.holds(one) : left },
})
const negated = (value: boolean | 'error'): boolean | 'error' => (value === 'error' ? value : !value)
const isIn = (world: World, group: string): boolean => world.groups.includes(group) || (group === 'all' && world.groups.includes('ops'))
const takesArguments = (world: World): boolean => world.action === 'call' && isPinned(world.tool)

const anyone: Head = { text: '', fits: () => true }
const principal: fc.Arbitrary<Head> = fc.oneof(
  fc.constant(anyone),
  fc.constant({ text: ' is Writ::Agent', fits: () => true }),
  fc.constant({ text: ' is Writ::Bot', fits: () => false }),
  fc.constantFrom(...AGENTS).map((one) => ({ text: ` == Writ::Agent::"${one}"`, fits: (w: World) => w.agent === one })),
  fc.constantFrom(...CLASSES).map((one) => ({ text: ` in Writ::Class::"${one}"`, fits: (w: World) => w.class === one })),
  fc.constantFrom('ops', 'all').map((one) => ({ text: ` is Writ::Agent in Writ::Group::"${one}"`, fits: (w: World) => isIn(w, one) })),
)
const action: fc.Arbitrary<Head> = fc.oneof(
  fc.constant(anyone),
  fc.constant({ text: ' == Writ::Action::"read"', fits: (w: World) => w.action === 'read' }),
  fc.constant({ text: ' == Writ::Action::"call"', fits: (w: World) => w.action === 'call' && !isPinned(w.tool) }),
  fc.constant({ text: ' in Writ::Action::"call"', fits: (w: World) => w.action === 'call' }),
  fc.constant({ text: ' in [Writ::Action::"read", Writ::Action::"list"]', fits: (w: World) => w.action === 'read' }),
  fc.constantFrom(...TOOLS.filter(isPinned))
    .map((one) => ({ text: ` == Writ::Action::"${one}"`, fits: (w: World) => w.action === 'call' && w.tool === one })),
)
const resource: fc.Arbitrary<Head> = fc.oneof(
  fc.constant(anyone),
  fc.constant({ text: ' is Writ::Tool', fits: () => true }),
  fc.constant({ text: ' is Writ::Backend', fits: () => false }),
  fc.constantFrom(...TOOLS).map((one) => ({ text: ` == Writ::Tool::"${one}"`, fits: (w: World) => w.tool === one })),
  fc.constantFrom('mail', 'docs').map((one) => ({ text: ` in Writ::Server::"${one}"`, fits: (w: World) => w.tool.startsWith(`${one}/`) })),
)

const drawn = (effect: fc.Arbitrary<'permit' | 'forbid'>): fc.Arbitrary<Drawn> =>
  fc.record({ effect, principal, action, resource, conditions: fc.array(condition, { maxLength: 2 }) })
const anyPolicy = drawn(fc.constantFrom('permit', 'permit', 'forbid'))

const world: fc.Arbitrary<World> = fc.record({
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

const questionOf = (one: World): Question => ({
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

type Expected = { readonly answer: 'allow' | 'deny'; readonly by: readonly string[]; readonly errors: number }

/** The whole of what a decision is, written down a second time. */
function expected(policies: readonly Drawn[], one: World): Expected {
  const found = policies.map((policy, i) => {
    let holds: boolean | 'error' = [policy.principal, policy.action, policy.resource].every((head) => head.fits(one))
    for (const next of policy.conditions) if (holds === true) holds = next.holds(one)
    return { id: `p${i}`, effect: policy.effect, holds }
  })
  const errors = found.filter((policy) => policy.holds === 'error').length
  const by = (effect: string): readonly string[] =>
    found.filter((policy) => policy.holds === true && policy.effect === effect).map((policy) => policy.id).toSorted()
  const forbids = by('forbid')
  const permits = by('permit')
  if (errors > 0 || forbids.length > 0 || permits.length === 0) return { answer: 'deny', by: forbids, errors }
  return { answer: 'allow', by: permits, errors: 0 }
}

const seen = ({ answer, by, errors }: PolicyAnswer): Expected =>
  ({ answer, by: by.map((one) => one.policy).toSorted(), errors: errors.length })

const TYPED = (name: string): object => ({ type: 'object', properties: { [name]: { type: 'integer' } } })
const read = readCheckedBundle({
  'tools.json': JSON.stringify([
    { server: 'mail', name: 'send', effect: 'external', input: TYPED('amount') },
    { server: 'docs', name: 'search', effect: 'read', input: TYPED('amount') },
  ]),
  'entities.json': JSON.stringify([{ uid: { type: 'Writ::Group', id: 'ops' }, attrs: {}, parents: [{ type: 'Writ::Group', id: 'all' }] }]),
})
assert.ok(read.ok, read.ok ? '' : JSON.stringify(read.refusal))
const base: Bundle = read.value

function policiesOf(drawnPolicies: readonly Drawn[]): readonly Policy[] {
  const parsed = readPolicies('all.cedar', drawnPolicies.map((one, i) => textOf(one, `p${i}`)).join('\n'))
  assert.deepEqual(parsed.complaints, [])
  return parsed.policies
}

function asking<T>(policies: readonly Policy[], use: (engine: Engine) => T): T {
  const engine = openEngine({ ...base, policies })
  try {
    return use(engine)
  } finally {
    engine.close()
  }
}

const LAWS = 'random policies answer as a second reading of the rules does, in any order, and one forbid more allows nothing more'

test(LAWS, { timeout: 3_600_000 }, (t) => {
  let pairs = 0
  let allowed = 0
  let errors = 0
  fc.assert(fc.property(
    fc.array(anyPolicy, { maxLength: 14 }), drawn(fc.constant('forbid')), fc.array(world, { minLength: QUESTIONS, maxLength: QUESTIONS }),
    fc.infiniteStream(fc.nat()), fc.boolean(),
    (drawnPolicies, forbid, worlds, numbers, isShuffled) => {
      const policies = policiesOf(drawnPolicies)
      const questions = worlds.map(questionOf)
      const answers = asking(policies, (engine) => questions.map((one) => engine.decide(one)))
      worlds.forEach((one, i) => assert.deepEqual(seen(answers[i]!), expected(drawnPolicies, one)))
      if (isShuffled) {
        const shuffled = policies.map((policy) => ({ policy, at: numbers.next().value })).toSorted((a, b) => a.at - b.at).map(({ policy }) => policy)
        const again = asking(shuffled, (engine) => questions.map((one) => engine.decide(one)))
        assert.deepEqual(again.map(seen), answers.map(seen))
      } else {
        const stricter = asking(policiesOf([...drawnPolicies, forbid]), (engine) => questions.map((one) => engine.decide(one)))
        stricter.forEach((one, i) => assert.ok(one.answer === 'deny' || answers[i]!.answer === 'allow'))
      }
      worlds.forEach((one, i) => {
        const { approvable, answer, errors: wrong } = answers[i]!
        const withApproval = expected(drawnPolicies, { ...one, approved: true }).answer
        assert.equal(approvable, answer === 'deny' && wrong.length === 0 && !one.approved && withApproval === 'allow')
      })
      pairs += worlds.length
      allowed += answers.filter((one) => one.answer === 'allow').length
      errors += answers.filter((one) => one.errors.length > 0).length
    },
  ), { numRuns: PAIRS / QUESTIONS, ...(inFull ? {} : { interruptAfterTimeLimit: SECONDS * 1000, markInterruptAsFailure: false }) })
  assert.ok(allowed > pairs / 100 && errors > pairs / 100, `${pairs} pairs, ${allowed} allowed, ${errors} errors`)
  t.diagnostic(`${pairs} pairs, ${allowed} allowed, ${errors} denied by an error`)
})

test('no policy at all denies', () => {
  fc.assert(fc.property(world, (one) => {
    assert.deepEqual(asking([], (engine) => engine.decide(questionOf(one))), { answer: 'deny', by: [], errors: [], approvable: false })
  }), { numRuns: 20 })
})
