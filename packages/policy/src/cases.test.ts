import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readBundle, type Bundle, type BundleFiles } from './bundle.ts'
import { failedCases, runCases, type CaseResult } from './cases.ts'
import { openEngine } from './engine.ts'

const POLICIES = `@id("small")
permit (principal, action == Writ::Action::"pay/refund", resource) when { context.arguments.amount <= 1000 };

@id("approved")
permit (principal, action == Writ::Action::"pay/refund", resource) when { context.approved };

@id("team")
permit (principal in Writ::Group::"payers", action == Writ::Action::"connect", resource) when { resource has environment && resource.environment == "test" };

@id("purpose")
permit (principal, action == Writ::Action::"list", resource) when { context.purpose == Writ::Purpose::"refunds" };

@id("bot")
permit (principal is Writ::Bot, action == Writ::Action::"list", resource) when { context.class == "script" && principal.class == "script" };

@id("records")
permit (principal, action == Action::"can_read", resource is record) when { principal.level >= resource.level };
`

const FILES: BundleFiles = {
  'a.cedar': POLICIES,
  'schema.cedarschema': 'entity user = { level: Long };\nentity record = { level: Long };\naction can_read appliesTo { principal: [user], resource: [record], context: { approved?: Bool } };\n',
  'tools.json': JSON.stringify([{
    server: 'pay', name: 'refund', effect: 'external', reversible: false, labels: [],
    input: { type: 'object', properties: { amount: { type: 'integer' } }, required: ['amount'], additionalProperties: false },
  }]),
  'entities.json': JSON.stringify([{ uid: { type: 'Writ::Backend', id: 'shop' }, attrs: { kind: 'postgres', environment: 'test', labels: [], effect: 'write', reversible: false }, parents: [] }]),
}

function bundleOf(files: BundleFiles): Bundle {
  const bundle = readBundle(files)
  return bundle.ok ? bundle.value : assert.fail(JSON.stringify(bundle.refusal))
}

function resultOf(one: object): CaseResult {
  const bundle = bundleOf({ ...FILES, 'tests/a.json': JSON.stringify([{ name: 'a case', ...one }]) })
  const engine = openEngine(bundle)
  const results = runCases(engine, bundle)
  engine.close()
  return results.ok ? results.value[0]! : assert.fail(JSON.stringify(results.refusal))
}

const REFUND = { action: 'call', resource: 'Tool pay/refund' }

for (const { when, asked, expect, by } of [
  { when: 'its arguments are small', asked: { ...REFUND, arguments: { amount: 10 } }, expect: 'allow', by: ['small'] },
  { when: 'its arguments are large', asked: { ...REFUND, arguments: { amount: 1001 } }, expect: 'needs_approval', by: ['approved'] },
  { when: 'it was approved', asked: { ...REFUND, arguments: { amount: 1001 }, context: { approved: true } }, expect: 'allow', by: ['approved'] },
  { when: 'its arguments are missing', asked: REFUND, expect: 'deny', by: [] },
  { when: 'its principal is in a group', asked: { principal: { type: 'Agent', parents: ['Group payers'] }, action: 'connect', resource: 'Backend shop' }, expect: 'allow', by: ['team'] },
  { when: 'its principal is in none', asked: { action: 'connect', resource: 'Backend shop' }, expect: 'deny' },
  { when: 'its resource is told apart from the bundle\'s', asked: {
    principal: { type: 'Agent', parents: ['Group payers'] }, action: 'connect', resource: { type: 'Backend', id: 'shop', attributes: { environment: 'production' } },
  }, expect: 'deny' },
  { when: 'it names a purpose', asked: { action: 'list', resource: 'Server pay', context: { purpose: 'refunds' } }, expect: 'allow', by: ['purpose'] },
  { when: 'it names no purpose', asked: { action: 'list', resource: 'Server pay' }, expect: 'deny' },
  { when: 'its class is another', asked: { principal: 'Bot', action: 'list', resource: 'Server pay', context: { class: 'script' } }, expect: 'allow', by: ['bot'] },
  { when: 'its types are the operator\'s', asked: {
    subject: { type: 'user', id: 'u', properties: { level: 2 } }, action: 'can_read', resource: { type: 'record', id: 'r', properties: { level: 2 } },
  }, expect: 'allow', by: ['records'] },
]) {
  test(`a case is run, and comes to ${expect} when ${when}`, () => {
    const result = resultOf({ ...asked, expect, ...(by === undefined ? {} : { by }) })
    assert.deepEqual([result.passed, result.came, result.why], [true, expect, []], JSON.stringify(result, (_, value) => (typeof value === 'bigint' ? String(value) : value as unknown)))
  })
}

test('a case that fails says what came instead, and why', () => {
  const result = resultOf({ ...REFUND, arguments: { amount: 1001 }, expect: 'allow' })
  assert.deepEqual([result.passed, result.came], [false, 'needs_approval'])
  assert.match(result.why[1]!, /nearest is small \(a\.cedar:2\): context\.arguments\.amount <= 1000 \(is 1001\)/)
})

test('a case fails when another policy decides than it says', () => {
  const result = resultOf({ ...REFUND, arguments: { amount: 10 }, expect: 'allow', by: ['approved'] })
  assert.deepEqual([result.passed, result.by.map(({ policy }) => policy)], [false, ['small']])
})

test('failed cases are complaints about the bundle, at the line of the case', () => {
  const bundle = bundleOf({ ...FILES, 'tests/a.json': '[\n  { "name": "too much", "action": "call", "resource": "Tool pay/refund", "arguments": { "amount": 1001 }, "expect": "allow", "by": ["small"] }\n]' })
  const engine = openEngine(bundle)
  const results = runCases(engine, bundle)
  const [complaint] = results.ok ? failedCases(results.value) : []
  assert.deepEqual([complaint?.file, complaint?.line, complaint?.message], ['tests/a.json', 2, 'case `too much` expects allowed by small, and it is in need of an approval by approved'])
  assert.match(complaint!.hint!, /amount <= 1000 \(is 1001\)/)
})
