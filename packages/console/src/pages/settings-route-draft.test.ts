import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { draftOf, faultsIn, NEW_ROUTE, routeOf } from './settings-route-draft.ts'

test('a route that is shown in fields and saved again is the same', () => {
  const text = fc.string({ minLength: 1, maxLength: 20, unit: fc.constantFrom('a', 'Z', '7', '_', 'ß') })
  const route = fc.record({
    name: text.map((one) => `r${one.replaceAll('ß', '')}`),
    when: fc.record({ class: fc.constantFrom('script', 'chatbot'), label: text, amount: fc.record({ argument: text, from: fc.nat() }, { noNullPrototype: true }) }, { requiredKeys: [], noNullPrototype: true }),
    group: fc.option(text), quorum: fc.integer({ min: 1, max: 3 }), seconds: fc.integer({ min: 10, max: 604_800 }), signed: fc.boolean(),
  }, { noNullPrototype: true })
  fc.assert(fc.property(route, (one) => {
    assert.deepEqual(routeOf(draftOf(one as never)), one)
    assert.equal(faultsIn([draftOf(one as never)]), undefined)
  }))
})

for (const { what, draft, says } of [
  { what: 'no name', draft: {}, says: /needs a name/ }, { what: 'an argument without an amount', draft: { name: 'a', argument: 'amount' }, says: /from how much/ },
  { what: 'an amount without an argument', draft: { name: 'a', from: '5' }, says: /which argument/ }, { what: 'nobody', draft: { name: 'a', quorum: '0' }, says: /people have to say yes/ },
  { what: 'no time', draft: { name: 'a', minutes: '' }, says: /10 seconds to 7 days/ }, { what: 'words for a time', draft: { name: 'a', minutes: 'long' }, says: /10 seconds/ }, { what: 'a week and more', draft: { name: 'a', minutes: '10081' }, says: /7 days/ },
]) {
  test(`a route with ${what} is not saved, and says why`, () => { assert.match(faultsIn([{ ...NEW_ROUTE, ...draft }]) ?? '', says) })
}

test('a name stands once', () => {
  assert.match(faultsIn([{ ...NEW_ROUTE, name: 'a' }, { ...NEW_ROUTE, name: 'a ' }]) ?? '', /two routes are called a/)
})
