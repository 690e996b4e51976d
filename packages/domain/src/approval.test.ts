import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { envelopeOf, expiryOf, isWithin, mayDecide, narrows, riskOf, routeFor, usualBound, USUAL_ROUTE, type EnvelopeFields, type Human } from './approval.ts'
import { exactText, InexactNumber, type ExactRecord, type ExactValue } from './exact.ts'
import type { Owner } from './owner.ts'
import { epochMs } from './time.ts'

const human = (more: Partial<Human> = {}): Human => ({ person: 'psn_1' as never, email: 'maya@acme.example', issuer: 'https://idp.example', subject: 'maya', groups: ['payments'], roles: ['reviewer'], ...more })
const requesters = { owners: ['person:li@acme.example', 'team:bots'] as Owner[], onBehalfOf: { issuer: 'https://idp.example', subject: 'ana' }, persons: [{ person: 'psn_9' as never, email: 'Kim@acme.example', issuer: 'https://idp.example', subject: 'kim' }] }

for (const { who, human: one, group = null, voted = [], answer } of [
  { who: 'a reviewer whom it does not concern', human: human(), answer: 'ok' },
  { who: 'the one for whom it is done', human: human({ subject: 'ana' }), answer: 'on_behalf_of_you' },
  { who: 'another of that name, at another provider', human: human({ issuer: 'https://other.example', subject: 'ana' }), answer: 'ok' },
  { who: 'the owner, in capitals', human: human({ email: 'LI@acme.example' }), answer: 'you_own_the_agent' },
  { who: 'one of the owning team', human: human({ groups: ['bots'] }), answer: 'you_own_the_agent' },
  { who: 'the one who registered a key of the agent', human: human({ person: 'psn_9' as never }), answer: 'you_could_act_as_it' },
  { who: 'the same by a second account of that address', human: human({ subject: 'k2', email: 'kim@ACME.example' }), answer: 'you_could_act_as_it' },
  { who: 'the same by a second account of that name', human: human({ subject: 'kim', email: null }), answer: 'you_could_act_as_it' },
  { who: 'an admin who reviews nothing', human: human({ roles: ['admin', 'owner'] }), answer: 'not_a_reviewer' },
  { who: 'a reviewer of another group', human: human(), group: 'treasury', answer: 'not_in_group' },
  { who: 'somebody with a second account of the same address', human: human({ person: 'psn_2' as never, subject: 'm2' }), voted: [human({ subject: 'm1' })], answer: 'answered_already' },
  { who: 'somebody with a second account of the same name', human: human({ person: 'psn_2' as never, email: null }), voted: [human({ email: null })], answer: 'answered_already' },
] as const) {
  test(`${who}: ${answer}`, () => {
    const decided = mayDecide({ human: one, requesters, route: { group }, voted })
    assert.equal(decided.ok ? 'ok' : decided.refusal, answer)
  })
}

test('what can not be taken back, or goes out, is of high risk; what nobody described is not low', () => {
  assert.deepEqual([riskOf('read', false), riskOf('write', true), riskOf('write', false), riskOf('external', true), riskOf(null, null)], ['low', 'medium', 'high', 'high', 'medium'])
})

test('the first route that fits is asked, an amount that hides fits, and high risk is always signed', () => {
  const large = { name: 'large', when: { amount: { argument: 'amount', from: 1000 } }, group: 'treasury', quorum: 2, seconds: 60, signed: false }
  const chatbots = { name: 'chatbots', when: { class: 'chatbot' as const, label: 'pii' }, group: null, quorum: 1, seconds: 60, signed: false }
  const of = (given: ExactRecord, risk: 'low' | 'high' = 'low') => routeFor([large, chatbots], { class: 'chatbot', labels: ['pii'], arguments: given, risk })
  assert.deepEqual([of({ amount: 1000n }).name, of({ amount: 999n }).name, of({ amount: new InexactNumber('1e9') }).name, of({ amount: 'much' }).name, of({}).name], ['large', 'chatbots', 'large', 'large', 'chatbots'])
  assert.equal(of({}, 'high').signed, true)
  assert.equal(routeFor([], { class: 'script', labels: [], arguments: {}, risk: 'low' }), USUAL_ROUTE)
  assert.deepEqual([expiryOf(large, epochMs(0), epochMs(90_000)), expiryOf(large, epochMs(0), epochMs(5))], [60_000, 5])
})

const value: fc.Arbitrary<ExactValue> = fc.letrec<{ value: ExactValue }>((tie) => ({
  value: fc.oneof({ depthSize: 'small' }, fc.bigInt(-5n, 9_007_199_254_740_993n), fc.boolean(), fc.string(), fc.constant(null), fc.constant(new InexactNumber('1.0')),
    fc.array(tie('value'), { maxLength: 3 }), fc.dictionary(fc.string({ minLength: 1 }), tie('value'), { maxKeys: 3 }).map((one) => ({ ...one }))),
})).value

describe('what is lowered', () => {
  test('is narrower when only whole numbers are lower, and never when anything else differs', () => {
    fc.assert(fc.property(value, value, (asked, edited) => {
      if (narrows(edited, asked) && exactText(edited) !== exactText(asked)) assert.deepEqual(shapeOf(edited), shapeOf(asked))
    }), { numRuns: 500 })
    fc.assert(fc.property(value, (one) => narrows(one, one)), { numRuns: 200 })
    for (const [edited, asked, is] of [[1n, 2n, true], [0n, 2n, true], [-1n, 2n, false], [3n, 2n, false], [-6n, -5n, false], [{ a: 1n }, { a: 1n, b: 1n }, false], [[1n], [1n, 1n], false], ['a', 'b', false], [{ a: { b: 1n } }, { a: { b: 2n } }, true]] as const) {
      assert.equal(narrows(edited as ExactValue, asked as ExactValue), is, exactText([edited, asked] as ExactValue))
    }
  })
})

const shapeOf = (one: ExactValue): unknown => (typeof one === 'bigint' ? 'number'
  : Array.isArray(one) ? one.map(shapeOf) : typeof one === 'object' && one !== null && !(one instanceof InexactNumber) ? Object.fromEntries(Object.entries(one).toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([name, part]) => [name, shapeOf(part)])) : exactText(one))

test('what is offered for a task lets through what it was asked for, and nothing wider (R53)', () => {
  const record = fc.dictionary(fc.stringMatching(/^[a-z]{1,5}$/), value, { maxKeys: 4 })
  fc.assert(fc.property(record, record, (asked, other) => {
    const bound = usualBound(asked, epochMs(9))
    assert.ok(isWithin(bound, asked))
    if (!isWithin(bound, other)) return
    assert.deepEqual(Object.keys(other).toSorted(), Object.keys(asked).toSorted())
    for (const [name, one] of Object.entries(other)) assert.ok(narrows(one, asked[name]!) || exactText(one) === exactText(asked[name]!))
  }), { numRuns: 10_000 })
})

test('no field of what is approved can change without the envelope changing', () => {
  const base: EnvelopeFields = {
    approval: 'apr_1' as never, kind: 'call', identity: 'nhi_1' as never, workload: 'pod-1', task: 'tsk_2' as never, rootTask: 'tsk_1' as never,
    chain: [{ task: 'tsk_1' as never, identity: 'nhi_0' as never }], onBehalfOf: { issuer: 'i', subject: 's' }, action: 'call', resource: { type: 'Writ::Tool', id: 'shop/refund' },
    argumentsSha256: 'a', claimedSha256: 'c', toolPin: 'p', policyVersion: 3, decision: 'dec_1' as never, route: { name: 'usual', group: null, quorum: 1, signed: false }, expiresAt: epochMs(5), nonce: 'n', choice: { scope: 'once' },
  }
  const others: Partial<Record<keyof EnvelopeFields, readonly unknown[]>> = {
    approval: ['apr_2'], kind: ['use'], identity: ['nhi_2'], workload: [null], task: ['tsk_3'], rootTask: ['tsk_3'], chain: [[], [{ task: 'tsk_1', identity: 'nhi_9' }]], onBehalfOf: [null, { issuer: 'i', subject: 't' }],
    action: ['read'], resource: [{ type: 'Writ::Tool', id: 'shop/pay' }, { type: 'Writ::Backend', id: 'shop/refund' }], argumentsSha256: ['b'], claimedSha256: ['d'], toolPin: [null], policyVersion: [4], decision: ['dec_2'],
    route: [{ name: 'other', group: null, quorum: 1, signed: false }, { name: 'usual', group: 'g', quorum: 1, signed: false }, { name: 'usual', group: null, quorum: 2, signed: false }, { name: 'usual', group: null, quorum: 1, signed: true }],
    expiresAt: [6], nonce: ['m'], choice: [{ scope: 'edited', argumentsSha256: 'a' }, { scope: 'task', bound: { arguments: {}, calls: 1, until: 5 } }, { scope: 'task', bound: { arguments: { a: { most: 1 } }, calls: 1, until: 5 } }],
  }
  assert.deepEqual(Object.keys(others).toSorted(), Object.keys(base).toSorted())
  const texts = [base, ...Object.entries(others).flatMap(([field, values]) => values.map((one) => ({ ...base, [field]: one }) as EnvelopeFields))].map((one) => JSON.stringify(envelopeOf(one)))
  assert.equal(new Set(texts).size, texts.length)
})
