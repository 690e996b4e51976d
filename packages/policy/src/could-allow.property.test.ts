import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { CouldAllow } from './could-allow.ts'
import {
  actionHead, anyWorld, asking, EDGE, leaf, policiesOf, principalHead, questionOf, resourceHead, takesArguments, TOOLS, type Drawn, type World,
} from '../test/random-policies.ts'
import type { Outlook } from './unknown-arguments.ts'

const inFull = process.env['WRIT_TEST_LONG'] === 'yes'
const SECONDS = 9
const QUESTIONS = 10

/** A condition in Cedar's words, and what may come of it for any arguments: the rules that are held against `couldAllow`. */
type Guess = { readonly text: string; readonly outlook: (world: World) => Outlook }
type GuessedPolicy = Omit<Drawn, 'conditions'> & { readonly conditions: readonly { readonly kind: 'when' | 'unless'; readonly guess: Guess }[] }

const BOTH: Outlook = { mayHold: true, mayFail: true }
const NEITHER: Outlook = { mayHold: false, mayFail: false }
const sure = (value: boolean | 'error'): Outlook => (value === 'error' ? NEITHER : { mayHold: value, mayFail: !value })
const open = (text: string, otherwise: (world: World) => boolean | 'error'): Guess =>
  ({ text, outlook: (w) => (takesArguments(w) ? BOTH : sure(otherwise(w))) })

/** Alone it is known whenever nothing of the arguments is in it. */
const plain: fc.Arbitrary<Guess> = fc.oneof(
  { weight: 4, arbitrary: leaf.filter(({ text }) => !text.includes('arguments')) },
  { weight: 1, arbitrary: fc.constant({ text: 'context.approved', holds: (w: World) => w.approved }) },
).map(({ text, holds }) => ({ text, outlook: (w: World) => sure(holds(w)) }))

const ofArguments: fc.Arbitrary<Guess> = fc.constantFrom<Guess>(
  open('context.arguments.amount > 5', () => 'error'),
  open(`context.arguments.amount == ${EDGE}`, () => 'error'),
  open('context.arguments == { amount: 5 }', () => 'error'),
  open('[5, context.arguments.amount].contains(5)', () => 'error'),
  open('(if context.arguments.amount > 5 then principal else resource) == principal', () => 'error'),
  open(`{ all: context }.all.budget_left >= ${EDGE}`, (w) => w.budgetLeft >= EDGE),
  open('context.arguments has amount', () => 'error'),
  { text: 'context has arguments', outlook: (w) => sure(takesArguments(w)) },
  { text: 'context has arguments.amount', outlook: (w) => (takesArguments(w) ? BOTH : sure(false)) },
  { text: 'context.arguments has other', outlook: (w) => sure(takesArguments(w) ? false : 'error') },
)

const bigger = (one: fc.Arbitrary<Guess>): fc.Arbitrary<Guess> => fc.oneof(
  { weight: 2, arbitrary: one },
  one.map(({ text, outlook }) => ({ text: `!(${text})`, outlook: (w: World) => turned(outlook(w)) })),
  fc.tuple(one, one).map(([a, b]) => (
    { text: `(${a.text}) && (${b.text})`, outlook: (w: World) => chosen(a.outlook(w), b.outlook(w), sure(false)) })),
  fc.tuple(one, one).map(([a, b]) => (
    { text: `((${a.text}) || (${b.text}))`, outlook: (w: World) => chosen(a.outlook(w), sure(true), b.outlook(w)) })),
  fc.tuple(one, one, one).map(([a, b, c]) => (
    { text: `(if ${a.text} then ${b.text} else ${c.text})`, outlook: (w: World) => chosen(a.outlook(w), b.outlook(w), c.outlook(w)) })),
)
const guess = bigger(bigger(fc.oneof({ weight: 2, arbitrary: plain }, { weight: 1, arbitrary: ofArguments })))

const turned = ({ mayHold, mayFail }: Outlook): Outlook => ({ mayHold: mayFail, mayFail: mayHold })
const chosen = (test: Outlook, then: Outlook, other: Outlook): Outlook => ({
  mayHold: (test.mayHold && then.mayHold) || (test.mayFail && other.mayHold),
  mayFail: (test.mayHold && then.mayFail) || (test.mayFail && other.mayFail),
})

const guessed: fc.Arbitrary<GuessedPolicy> = fc.record({
  effect: fc.constantFrom<'permit' | 'forbid'>('permit', 'permit', 'permit', 'forbid'),
  principal: principalHead, action: actionHead, resource: resourceHead,
  conditions: fc.array(fc.record({ kind: fc.constantFrom<'when' | 'unless'>('when', 'when', 'unless'), guess }), { maxLength: 2 }),
})

function drawnOf({ conditions, ...head }: GuessedPolicy): Drawn {
  return { ...head, conditions: conditions.map(({ kind, guess: { text } }) => ({ text: kind === 'when' ? text : `!(${text})`, holds: () => 'error' })) }
}

function prospect(policies: readonly GuessedPolicy[], world: World): 'allow' | 'deny' | 'error' {
  const found = policies.map(({ effect, principal, action, resource, conditions }) => ({
    effect,
    outlook: conditions.map(({ kind, guess: { outlook } }) => (kind === 'when' ? outlook(world) : turned(outlook(world))))
      .reduceRight((rest, one) => chosen(one, rest, sure(false)), sure(true)),
    fits: principal.fits(world) && action.fits(world) && resource.fits(world),
  })).filter(({ fits }) => fits)
  if (found.some(({ outlook }) => !outlook.mayHold && !outlook.mayFail)) return 'error'
  if (found.some(({ effect, outlook }) => effect === 'forbid' && !outlook.mayFail)) return 'deny'
  return found.some(({ effect, outlook }) => effect === 'permit' && outlook.mayHold) ? 'allow' : 'deny'
}

function expected(policies: readonly GuessedPolicy[], world: World): CouldAllow {
  const first = prospect(policies, world)
  if (first === 'allow') return 'yes'
  return first === 'deny' && !world.approved && prospect(policies, { ...world, approved: true }) === 'allow' ? 'with_approval' : 'no'
}

const AMOUNTS = [undefined, 5n, 6n, EDGE - 1n, EDGE, EDGE + 1n, -(2n ** 63n)]

const LAW = 'what no arguments could make allowed is known as far as the rules tell it, and what some would make allowed is never called impossible'

test(LAW, { timeout: 3_600_000 }, (t) => {
  const seen = { yes: 0, with_approval: 0, no: 0 }
  let allowed = 0
  fc.assert(fc.property(
    fc.array(guessed, { minLength: 1, maxLength: 5 }), fc.array(anyWorld, { minLength: QUESTIONS, maxLength: QUESTIONS }),
    fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
    (policies, worlds, amount) => asking(policiesOf(policies.map(drawnOf)), (engine) => {
      // Tools alike in all that the policies look at are answered together; so each world is asked about with all of them.
      for (const world of worlds.flatMap((one) => TOOLS.map((tool) => ({ ...one, tool })))) {
        const could = engine.couldAllow(questionOf(world))
        assert.equal(could, expected(policies, world))
        seen[could] += 1
        for (const one of takesArguments(world) ? [...AMOUNTS, amount] : []) {
          const { answer, approvable } = engine.decide(questionOf({ ...world, amount: one }))
          if (answer === 'allow') assert.equal(could, 'yes')
          if (approvable) assert.notEqual(could, 'no')
          if (answer === 'allow') allowed += 1
        }
      }
    }),
  ), { numRuns: inFull ? 20_000 : 100_000, ...(inFull ? {} : { interruptAfterTimeLimit: SECONDS * 1000, markInterruptAsFailure: false }) })
  const asked = seen.yes + seen.with_approval + seen.no
  // Of a few hundred questions, on a machine that is busy, none may be of the rarest kind.
  assert.ok(Math.min(seen.yes, seen.no) > 0 && (asked < 5_000 || Math.min(seen.with_approval, allowed) > asked / 1_000), JSON.stringify(seen))
  t.diagnostic(`${asked} questions: ${JSON.stringify(seen)}; ${allowed} allowed with arguments`)
})
