import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseOwner } from './owner.ts'

for (const { text, accepted } of [
  { text: 'team:platform', accepted: true },
  { text: 'person:maya@acme.example', accepted: true },
  { text: 'team:Bézier', accepted: true },
  { text: 'team:data platform', accepted: true },
  { text: 'person:https://idp.example|00u1', accepted: true },
  { text: `team:${'x'.repeat(255)}`, accepted: true },
  { text: `team:${'x'.repeat(256)}`, accepted: false },
  { text: '', accepted: false },
  { text: 'team:', accepted: false },
  { text: 'team: platform', accepted: false },
  { text: 'team::platform', accepted: false },
  { text: 'Team:platform', accepted: false },
  { text: ' team:platform', accepted: false },
  { text: 'platform', accepted: false },
  { text: 'robot:platform', accepted: false },
  { text: 'team:plat\nform', accepted: false },
  { text: 'team:plat\u0000form', accepted: false },
  { text: 'team:plat\u001b[31mform', accepted: false },
  { text: 'team:plat\u202eform', accepted: false },
  { text: 'team:plat\u200bform', accepted: false },
  { text: 'team:plat\ud800form', accepted: false },
]) {
  test(`the owner ${JSON.stringify(text).slice(0, 60)} is ${accepted ? 'accepted' : 'refused'}`, () => {
    assert.equal(parseOwner(text), accepted ? text : undefined)
  })
}

for (const text of ['team:platform ', 'team:platform  ', 'team:plat\u00a0form', 'team:platform\u00a0', 'team:plat\u2028form', 'team:plat\u2029form']) {
  test(`the owner ${JSON.stringify(text)} looks like another and is refused`, () => {
    assert.equal(parseOwner(text), undefined)
  })
}
