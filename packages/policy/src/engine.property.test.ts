import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { PolicyAnswer } from './question.ts'
import { anyPolicy, anyWorld, asking, drawn, policiesOf, questionOf, type Drawn, type World } from '../test/random-policies.ts'

/** `npm test -- --long` asks for a million pairs of policies and questions; else as many as these seconds allow. */
const inFull = process.env['WRIT_TEST_LONG'] === 'yes'
const PAIRS = 1_000_000
const SECONDS = 60
const QUESTIONS = 25

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

const LAWS = 'random policies answer as a second reading of the rules does, in any order, and one forbid more allows nothing more'

test(LAWS, { timeout: 3_600_000 }, (t) => {
  let pairs = 0
  let allowed = 0
  let errors = 0
  fc.assert(fc.property(
    fc.array(anyPolicy, { maxLength: 14 }), drawn(fc.constant('forbid')), fc.array(anyWorld, { minLength: QUESTIONS, maxLength: QUESTIONS }),
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
  fc.assert(fc.property(anyWorld, (one) => {
    assert.deepEqual(asking([], (engine) => engine.decide(questionOf(one))), { answer: 'deny', by: [], errors: [], approvable: false })
  }), { numRuns: 20 })
})
