import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ApprovalCardReply } from '@writ/contract/approvals'
import { exactText, type ExactRecord } from '@writ/domain/exact'
import { readBundle } from '@writ/policy/bundle'
import { DEFAULT_BUNDLE } from '@writ/policy/defaults'
import { openEngine } from '@writ/policy/engine'
import { answerOf } from '@writ/policy/explanation'
import type { Entity } from '@writ/policy/question'
import fc from 'fast-check'
import { proposalFrom, type Agreed, type Proposal } from './policy-proposal.ts'

const input = {
  type: 'object', required: ['amount'],
  properties: { 'amount': { type: 'integer' }, 'order': { type: 'string' }, 'if': { type: 'string' }, 'a "b"': { type: 'boolean' }, 'to': { type: 'object', properties: { name: { type: 'string' } } }, 'tags': { type: 'array', items: { type: 'string' } } },
}
const FILES = { ...DEFAULT_BUNDLE, 'tools.json': JSON.stringify([{ server: 'shop', name: 'refund', effect: 'external', reversible: false, input }, { server: 'shop', name: 'pay', effect: 'external', input }]) }

const agent = (name: string): Entity => ({ uid: { type: 'Writ::Agent', id: `spiffe://acme.example/${name}` }, attributes: { class: 'autonomous', environment: 'test', system_scope: [] }, parents: [{ type: 'Writ::Class', id: 'autonomous' }] })
const known = {
  task: 'tsk_1', purpose: { entity: { type: 'Writ::Purpose', id: 'none' } }, class: 'autonomous', environment: 'test', depth: 0n, budget_left: 5n, labels: [], approved: false, at: '2026-11-22T10:00:00Z',
}
const agreedOf = (all: readonly ExactRecord[], more: Partial<ApprovalCardReply> = {}): readonly Agreed[] => all.map((args, i) => ({
  principal: agent('bot').uid,
  card: {
    id: `apr_0000000000000000000000${i + 1000}`, action: 'call', resource: { type: 'Writ::Tool', id: 'shop/refund' }, risk: 'high', effect: 'external', reversible: false,
    requested_at: '2026-11-20T00:00:00Z', arguments: exactText(args), explanation: null, ...more,
  } as ApprovalCardReply,
}))
const proposed = (all: readonly ExactRecord[]): Proposal => {
  const proposal = proposalFrom(agreedOf(all), FILES, '2026-11-22')
  assert.ok('text' in proposal, JSON.stringify(proposal))
  return proposal
}
const bundleWith = ({ file, text }: Proposal) => readBundle({ ...FILES, [file]: text })

/** What the default policies say with the proposal beside them. */
const answersWith = (proposal: Proposal) => {
  const bundle = bundleWith(proposal)
  assert.ok(bundle.ok, bundle.ok ? '' : `${JSON.stringify(bundle.refusal)}\n${proposal.text}`)
  const engine = openEngine(bundle.value)
  return (args: ExactRecord, { who = 'bot', tool = 'shop/refund' } = {}) =>
    answerOf(engine.decide({ principal: agent(who), action: 'call', resource: { uid: { type: 'Writ::Tool', id: tool }, attributes: {}, parents: [] }, arguments: args, claimed: {}, known }))
}

test('a proposal lets through what people said yes to, and asks about everything else as before', () => {
  const seen = [3n, 40n, 7n, 12n, 9n].map((amount, i): ExactRecord => ({ amount, order: `n${i % 2}`, if: 'x', ...(i === 0 ? { to: { name: 'maya' } } : {}) }))
  const proposal = proposed(seen)
  assert.match(proposal.text, /^\/\/ Proposed on 2026-11-22 from the 5 requests below[^]*of high risk[^]*signed by a person\.\n@id\("proposed-00001000"\)[^]*\};\n\n\/\/ Made from:\n(?:\/\/   apr_\d+\n){5}$/)
  const answer = answersWith(proposal)
  for (const one of seen) assert.equal(answer(one), 'allow', exactText(one))
  const base = { amount: 9n, order: 'n1', if: 'x' }
  assert.equal(answer({ ...base, amount: 39n }), 'allow', 'between the least and the most')
  for (const [what, args, of] of [
    ['more', { ...base, amount: 41n }], ['less', { ...base, amount: 2n }], ['another text', { ...base, order: 'n2' }], ['one that was never left out', { amount: 9n, order: 'n1' }],
    ['one that was never given', { ...base, 'a "b"': true }], ['another part', { ...base, to: { name: 'li' } }],
    ['another identity', base, { who: 'other' }], ['another tool', base, { tool: 'shop/pay' }],
  ] as const) assert.equal(answer(args, of), 'approval_required', what)
})

test('whatever was said in it, a proposal lets through just that, or is no policy that anybody could apply', () => {
  const text = fc.oneof(fc.string({ maxLength: 20 }), fc.constantFrom('"); permit (principal, action, resource); //', '\\', '*', '\n', 'ünïcode', 'a\u202eb', 'раypal'))
  fc.assert(fc.property(fc.array(text, { minLength: 5, maxLength: 6 }), text, (orders, other) => {
    const proposal = proposed(orders.map((order) => ({ amount: 1n, order })))
    const bundle = bundleWith(proposal)
    if (!bundle.ok) return assert.match(bundle.refusal[0]!.message, /mixed scripts|BIDI|confusable|unusual/i, proposal.text)
    const answer = answersWith(proposal)
    for (const order of orders) assert.equal(answer({ amount: 1n, order }), 'allow')
    assert.equal(answer({ amount: 1n, order: other }), orders.includes(other) ? 'allow' : 'approval_required')
  }), { numRuns: 12 })
})

for (const { what, agreed, why } of [
  { what: 'four requests', agreed: agreedOf([1n, 2n, 3n, 4n].map((amount) => ({ amount }))), why: /fewer than 5/ },
  { what: 'an argument that Cedar has no bound for', agreed: agreedOf([1n, 2n, 3n, 4n, 5n].map((amount) => ({ amount, tags: ['a'] }))), why: /no bound can be written for `tags`/ },
  { what: 'arguments that are erased', agreed: agreedOf([1n, 2n, 3n, 4n, 5n].map((amount) => ({ amount })), { arguments: null }), why: /kept no more/ },
  { what: 'a tool that is pinned no more', agreed: agreedOf([1n, 2n, 3n, 4n, 5n].map((amount) => ({ amount })), { resource: { type: 'Writ::Tool', id: 'shop/gone' } }), why: /no tool `shop\/gone`/ },
  { what: 'an argument that the tool takes no more', agreed: agreedOf([1n, 2n, 3n, 4n, 5n].map((amount) => ({ amount, gone: 'x' }))), why: /takes no argument `gone`/ },
  { what: 'leases', agreed: agreedOf([1n, 2n, 3n, 4n, 5n].map((amount) => ({ amount })), { action: 'connect' }), why: /calls of tools/ },
]) test(`nothing is proposed from ${what}`, () => { assert.match(String((proposalFrom(agreed, FILES, '2026-11-22') as { why?: string }).why), why) })
