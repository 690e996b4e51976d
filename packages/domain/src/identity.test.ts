import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { changeIdentity, type IdentityChange, type IdentityState } from './identity.ts'

for (const { from, change, to } of [
  { from: 'active', change: 'suspend', to: 'suspended' },
  { from: 'active', change: 'resume', to: 'already_in_state' },
  { from: 'active', change: 'retire', to: 'retired' },
  { from: 'suspended', change: 'suspend', to: 'already_in_state' },
  { from: 'suspended', change: 'resume', to: 'active' },
  { from: 'suspended', change: 'retire', to: 'retired' },
  { from: 'retired', change: 'suspend', to: 'identity_retired' },
  { from: 'retired', change: 'resume', to: 'identity_retired' },
  { from: 'retired', change: 'retire', to: 'identity_retired' },
] as const) {
  test(`to ${change} an identity that is ${from} gives ${to}`, () => {
    const changed = changeIdentity(from, change)
    assert.equal(changed.ok ? changed.value : changed.refusal.kind, to)
  })
}

test('retired is for ever, whatever is tried afterwards', () => {
  fc.assert(fc.property(fc.array(fc.constantFrom<IdentityChange>('suspend', 'resume', 'retire')), (changes) => {
    let state: IdentityState = 'active'
    let retired = false
    for (const change of changes) {
      const changed = changeIdentity(state, change)
      if (changed.ok) state = changed.value
      retired ||= change === 'retire'
    }
    assert.equal(state === 'retired', retired)
  }))
})
