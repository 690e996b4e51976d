import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { isIncomplete, vouchedPerson } from './vouched-person.ts'

const ISSUER = 'https://idp.acme.example'
const personIn = (claims: object, groupsClaim = 'groups') => vouchedPerson(ISSUER, { sub: 's', ...claims }, groupsClaim)

describe('what a provider says of somebody', () => {
  for (const { what, claims, name } of [
    { what: 'their name', claims: { name: ' Maya ', preferred_username: 'm' }, name: 'Maya' },
    { what: 'what they go by, where there is no name', claims: { name: ' ', preferred_username: 'maya' }, name: 'maya' },
    { what: 'their address, where there is neither', claims: { email: 'M@acme.example', email_verified: true }, name: 'm@acme.example' },
    { what: 'no address that nobody has verified', claims: { email: 'ceo@acme.example', email_verified: false }, name: 's' },
    { what: 'what does not turn the text around it', claims: { name: 'a\u202eb\u0000c\nd\u2028e' }, name: 'a b c d e' },
    { what: 'a name that is no text', claims: { name: { toString: 'x' } }, name: 's' },
    { what: 'as much as fits', claims: { name: 'x'.repeat(500) }, name: 'x'.repeat(200) },
  ]) test(`they are called by ${what}`, () => assert.equal(personIn(claims)!.person.name, name))

  for (const { what, groups, left, out } of [
    { what: 'a list is in one order and has each once', groups: ['b', 'a', 'b'], left: ['a', 'b'], out: 1 },
    { what: 'a text is one group', groups: 'admins', left: ['admins'], out: 0 },
    { what: 'nothing is none', groups: undefined, left: [], out: 0 },
    { what: 'null is none', groups: null, left: [], out: 0 },
    { what: 'what no rule could name is left out, and counted', groups: ['a', 7, '', ' b', 'c\n', 'd'.repeat(201), { e: 1 }], left: ['a'], out: 6 },
    { what: 'a thousand at most', groups: Array.from({ length: 1200 }, (_, i) => `g${String(i).padStart(4, '0')}`), left: Array.from({ length: 1000 }, (_, i) => `g${String(i).padStart(4, '0')}`), out: 200 },
  ]) {
    test(`of groups, ${what}`, () => {
      const found = personIn({ groups })!
      assert.deepEqual([found.person.groups, found.leftOut], [left, out])
    })
  }

  test('groups stand in the claim that was named, dots and all', () => {
    assert.deepEqual(personIn({ 'https://acme.example/groups': ['a'], groups: ['b'] }, 'https://acme.example/groups')!.person.groups, ['a'])
  })

  for (const sub of [undefined, '', 7, 'x'.repeat(256), 'a\nb']) test(`nobody is who is called ${JSON.stringify(sub)?.slice(0, 10)}`, () => assert.equal(vouchedPerson(ISSUER, { sub }, 'groups'), undefined))

  test('the provider is asked for more as long as something is missing', () => {
    const all = { name: 'a', email: 'b', groups: [] }
    assert.ok(!isIncomplete(all, 'groups'))
    for (const name of Object.keys(all)) assert.ok(isIncomplete({ ...all, [name]: undefined }, 'groups'), name)
  })
})
