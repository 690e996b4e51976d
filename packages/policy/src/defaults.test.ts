import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readBundle, type Bundle } from './bundle.ts'
import { runCases } from './cases.ts'
import { DEFAULT_BUNDLE } from './defaults.ts'
import { openEngine } from './engine.ts'
import { reformatted } from './format.ts'

function defaults(): Bundle {
  const bundle = readBundle(DEFAULT_BUNDLE)
  return bundle.ok ? bundle.value : assert.fail(JSON.stringify(bundle.refusal, null, 1))
}

test('the default policies pass their own check', () => {
  assert.equal(defaults().policies.length, 12)
})

test('the default policies pass their own cases', () => {
  const bundle = defaults()
  const results = runCases(openEngine(bundle), bundle)
  if (!results.ok) return assert.fail(JSON.stringify(results.refusal))
  assert.deepEqual(results.value.filter(({ passed }) => !passed).map(({ asked, came, why }) => [asked.name, asked.expect, came, ...why]), [])
})

test('no default policy can be left out, nor its condition, without a case that fails', () => {
  const bundle = defaults()
  for (const policy of bundle.policies) {
    const unconditional = { ...policy, text: policy.text.replace(/\n(?:when|unless)[\s\S]*/, ';') }
    const without = bundle.policies.filter((one) => one !== policy)
    // A budget is kept twice: by these permits, and by the forbid for those that an operator adds.
    const isKeptTwice = policy.effect === 'permit' && policy.text.endsWith('when { context.budget_left > 0 };')
    for (const policies of isKeptTwice ? [without] : [without, [...without, unconditional]]) {
      const engine = openEngine({ ...bundle, policies })
      const results = runCases(engine, bundle)
      assert.ok(results.ok && results.value.some(({ passed }) => !passed), policy.id)
      engine.close()
    }
  }
})

test('the default policies still check beside actions and types that an operator adds', () => {
  const schema = 'entity user;\nentity record;\naction can_read appliesTo { principal: [user], resource: [record], context: {} };\n'
  const tools = JSON.stringify([{
    server: 'pay', name: 'refund', effect: 'external', reversible: false, labels: [],
    input: { type: 'object', properties: { amount: { type: 'integer' } }, required: ['amount'], additionalProperties: false },
  }])
  const bundle = readBundle({ ...DEFAULT_BUNDLE, 'schema.cedarschema': schema, 'tools.json': tools })
  assert.ok(bundle.ok, JSON.stringify(bundle))
})

test('the default policies are in the form that the formatter gives', () => {
  assert.deepEqual(reformatted(DEFAULT_BUNDLE), { ok: true, value: {} })
})
