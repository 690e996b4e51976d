import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { readBundle } from './bundle.ts'
import { DEFAULT_BUNDLE } from './defaults.ts'
import { openEngine, type Engine } from './engine.ts'
import type { Question } from './question.ts'
import { tryPermits } from './tried-permits.ts'

const MORE = `@id("large")
permit (principal is Writ::Agent in Writ::Class::"autonomous", action in Writ::Action::"call", resource)
when { context has change && context.change like "CHG-*" || context.depth > 2 }
unless { context.budget_left < 9007199254740993 || (resource.labels.contains("secret") || context.labels.isEmpty()) };

@id("small")
permit (principal in Writ::Class::"script", action, resource in Writ::Server::"case")
when { resource is Writ::Tool && resource has trust && resource.trust == "high" }
when { if context.depth > 1 then context.labels.contains("untrusted") && true else context.budget_left + 1 > 5 };
`

function engineOf(): Engine {
  const bundle = readBundle({ ...DEFAULT_BUNDLE, 'more.cedar': MORE })
  return bundle.ok ? openEngine(bundle.value) : assert.fail(JSON.stringify(bundle.refusal))
}

const question = fc.record({
  class: fc.constantFrom('script', 'autonomous', 'chatbot'),
  environment: fc.constantFrom('production', 'test'),
  effect: fc.constantFrom('read', 'write', 'external'),
  reversible: fc.boolean(),
  trust: fc.option(fc.constantFrom('high', 'low'), { nil: undefined }),
  labels: fc.subarray(['untrusted', 'confidential']),
  own: fc.subarray(['secret']),
  change: fc.option(fc.constantFrom('CHG-1', 'none'), { nil: undefined }),
  depth: fc.bigInt({ min: 0n, max: 4n }),
  budget: fc.constantFrom(0n, 1n, 5n, 9007199254740992n, 9007199254740993n),
  approved: fc.boolean(),
}).map((it): Question => ({
  principal: {
    uid: { type: 'Writ::Agent', id: 'spiffe://acme.test/a' },
    attributes: { class: it.class, environment: it.environment, system_scope: [] }, parents: [{ type: 'Writ::Class', id: it.class }],
  },
  action: 'call',
  resource: {
    uid: { type: 'Writ::Tool', id: 'case/tool' },
    attributes: { effect: it.effect, reversible: it.reversible, labels: it.own, ...(it.trust === undefined ? {} : { trust: it.trust }) },
    parents: [{ type: 'Writ::Server', id: 'case' }],
  },
  arguments: {},
  claimed: {},
  known: {
    task: 'tsk_1', purpose: { entity: { type: 'Writ::Purpose', id: 'none' } }, class: it.class, environment: it.environment, depth: it.depth,
    budget_left: it.budget, labels: it.labels, approved: it.approved, at: '2026-01-05T12:00:00Z', ...(it.change === undefined ? {} : { change: it.change }),
  },
}))

test('the permits of which no term fails are those that decide, and no others', () => {
  const engine = engineOf()
  fc.assert(fc.property(question, (asked) => {
    const verdict = engine.decide(asked)
    const holding = tryPermits(engine, asked).filter(({ failed }) => failed.length === 0).map(({ policy }) => policy.id)
    if (verdict.answer === 'allow') assert.deepEqual(holding.toSorted(), verdict.by.map(({ policy }) => policy).toSorted())
    else assert.ok(verdict.by.length > 0 || holding.length === 0, holding.join())
  }), { numRuns: 300 })
})
