import assert from 'node:assert/strict'
import { test } from 'node:test'
import { policyToJson } from '@cedar-policy/cedar-wasm/nodejs'
import { bareOf } from './bare-policy.ts'
import { DEFAULT_BUNDLE } from './defaults.ts'
import { readPolicies, type Policy } from './policies.ts'

function policiesIn(text: string): readonly Policy[] {
  const { policies, complaints } = readPolicies('a.cedar', text)
  assert.deepEqual(complaints, [])
  return policies
}

for (const { what, text } of [
  { what: 'one group', text: '@id("a") permit (principal, action in Action::"all", resource) when { context.n > 9223372036854775806 };' },
  { what: 'a list over several lines', text: '@id("a") forbid (\n  principal is user,\n  action in\n    [Action::"x", // one, two\n     Action::"y"],\n  resource\n) unless { true };' },
  { what: 'names with commas and brackets', text: '@id("a") @note("permit (x, y, z)") permit (principal == user::"a,)(", action in [Action::"b, resource)"], resource in folder::"d,") when { "," != ")" };' },
  { what: 'comments between', text: '@id("a") permit // (principal, action in X,\n(principal, /**/ action in Action::"all" // , resource\n, resource);'.replace('/**/ ', '') },
]) {
  test(`the groups of actions go from a head with ${what}, and nothing else`, () => {
    const [policy] = policiesIn(text)
    const bare = bareOf(policy!)
    assert.notEqual(bare.text, policy!.text)
    const read = policyToJson(bare.text)
    assert.ok(read.type === 'success')
    assert.deepEqual(read.json, { ...policy!.json, action: { op: 'All' } })
  })
}

for (const text of ['@id("a") permit (principal, action, resource);', '@id("a") permit (principal, action == Action::"x", resource);']) {
  test(`\`${text}\` stays as it is`, () => {
    const [policy] = policiesIn(text)
    assert.deepEqual(bareOf(policy!), { text, json: policy!.json })
  })
}

test('a policy whose text is not what its JSON says stays as it is', () => {
  const [policy] = policiesIn('@id("a") permit (principal, action in Action::"all", resource) when { context.a };')
  const other: Policy = { ...policy!, text: policy!.text.replace('context.a', 'context.b') }
  assert.deepEqual(bareOf(other), { text: other.text, json: other.json })
})

test('none of the policies that ship needs to be told what an action is in', () => {
  const policies = Object.entries(DEFAULT_BUNDLE).filter(([file]) => file.endsWith('.cedar')).flatMap(([file, text]) => readPolicies(file, text).policies)
  assert.ok(policies.some(({ json }) => json.action.op === 'in'))
  assert.deepEqual(policies.map((policy) => bareOf(policy).json.action.op).filter((op) => op === 'in'), [])
})
