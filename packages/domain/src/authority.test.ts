import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  covers, fromAuthorizationDetails, MOST_PERMITS, parseGrantText, textOf, toAuthority, toAuthorizationDetails, type Authority, type Permit,
} from './authority.ts'

/** Few words, so that random authorities meet; some of them name what every object inherits. */
const word = fc.constantFrom('a', 'b', 'constructor', 'toString')
const limits = fc.dictionary(fc.constantFrom('amount', 'rows', 'valueOf', 'hasOwnProperty'), fc.nat(3), { maxKeys: 2 }).map((found) => ({ ...found }))
const permit: fc.Arbitrary<Permit> = fc.record({ type: word, resource: word, action: word, limits })
const permits = fc.array(permit, { maxLength: 6 })
const authority: fc.Arbitrary<Authority> = permits.map(toAuthority)
const texts = (of: readonly Permit[]): readonly string[] => of.map(textOf)

/** Something covered by `above`: some of its permits, each with its limits lowered and others added. */
const coveredBy = (above: Authority): fc.Arbitrary<Authority> => above.length === 0 ? fc.constant([]) :
  fc.array(fc.tuple(fc.nat(above.length - 1), fc.nat(3), limits), { maxLength: 6 }).map((picks) => toAuthority(picks.map(([at, less, extra]) => {
    const one = above[at]!
    const lowered = Object.fromEntries(Object.entries(one.limits).map(([limit, most]) => [limit, Math.max(0, most - less)]))
    return { ...one, limits: { ...extra, ...lowered } }
  })))

test('every authority covers itself', () => {
  fc.assert(fc.property(authority, (a) => covers(a, a)))
})

test('what covers a thing that covers another covers the other too', () => {
  const chain = authority.chain((a) => coveredBy(a).chain((b) => coveredBy(b).map((c) => [a, b, c] as const)))
  fc.assert(fc.property(chain, ([a, b, c]) => covers(a, b) && covers(b, c) && covers(a, c)), { numRuns: 3000 })
})

test('two authorities that cover each other are the same one', () => {
  fc.assert(fc.property(permits, permits, (one, other) => {
    const [a, b] = [toAuthority(one), toAuthority([...other, ...one])]
    assert.equal(covers(a, b) && covers(b, a), JSON.stringify(a) === JSON.stringify(b))
  }), { numRuns: 5000 })
})

test('the normal form is the same whatever the order, has no repeats, and covers exactly what was given', () => {
  fc.assert(fc.property(permits, fc.infiniteStream(fc.nat()), (given, numbers) => {
    const shuffled = given.map((one) => ({ one, at: numbers.next().value as number })).toSorted((a, b) => a.at - b.at).map(({ one }) => one)
    const normal = toAuthority(given)
    assert.deepEqual(texts(toAuthority([...shuffled, ...given])), texts(normal))
    assert.deepEqual(toAuthority(normal), normal)
    assert.ok(covers(normal, given) && covers(given, normal))
    assert.ok(normal.every((one) => !normal.some((other) => other !== one && covers([other], [one]))))
    assert.deepEqual(texts(normal), texts(normal).toSorted())
  }), { numRuns: 3000 })
})

test('nothing covers more than it says: one action, one resource or one limit more is not covered', () => {
  const above = toAuthority([{ type: 'stripe', resource: 'refunds', action: 'create', limits: { amount: 5000 } }])
  for (const { more, covered } of [
    { more: { limits: { amount: 5000 } }, covered: true },
    { more: { limits: { amount: 0 } }, covered: true },
    { more: { limits: { amount: 5000, rows: 1 } }, covered: true },
    { more: { limits: { amount: 5001 } }, covered: false },
    { more: { limits: {} }, covered: false },
    { more: { limits: { rows: 1 } }, covered: false },
    { more: { limits: { amount: NaN } }, covered: false },
    { more: { limits: { amount: Infinity } }, covered: false },
    { more: { action: 'delete' }, covered: false },
    { more: { resource: 'charges' }, covered: false },
    { more: { type: 'postgres' }, covered: false },
  ]) {
    assert.equal(covers(above, [{ ...above[0]!, ...more }]), covered, JSON.stringify(more))
  }
  assert.equal(covers([], []), true)
  assert.equal(covers(above, []), true)
  assert.equal(covers([], above), false)
})

for (const name of ['constructor', 'toString', 'valueOf', 'hasOwnProperty', 'isPrototypeOf']) {
  test(`a limit called \`${name}\` bounds, and its absence is not mistaken for the one every object inherits`, () => {
    const one = { type: 'a', resource: 'b', action: 'c' }
    assert.equal(covers([{ ...one, limits: { [name]: 5 } }], [{ ...one, limits: {} }]), false)
    assert.equal(covers([{ ...one, limits: { [name]: 5 } }], [{ ...one, limits: { [name]: 5 } }]), true)
    assert.equal(covers([{ ...one, limits: { [name]: 5 } }], [{ ...one, limits: { [name]: 6 } }]), false)
  })
}

test('a permit on the command line reads back as itself', () => {
  fc.assert(fc.property(permit, (one) => {
    const read = parseGrantText(textOf(one))
    assert.ok(read.ok)
    const back = fromAuthorizationDetails([read.value])
    assert.deepEqual(back.ok && texts(back.value), [textOf(one)])
  }))
})

test('an authority in authorization_details reads back as itself', () => {
  fc.assert(fc.property(authority, (one) => {
    const back = fromAuthorizationDetails(toAuthorizationDetails(one))
    assert.deepEqual(back.ok && texts(back.value), texts(one))
  }))
})

for (const { text, kind } of [
  { text: 'postgres:shop:ddl', kind: 'accepted' },
  { text: 'stripe:refunds:create?amount=5000', kind: 'accepted' },
  { text: 'stripe:refunds:create?amount=0&rows=999999999999999', kind: 'accepted' },
  { text: '', kind: 'malformed_grant' },
  { text: 'postgres:shop', kind: 'malformed_grant' },
  { text: 'postgres:shop:ddl:more', kind: 'malformed_grant' },
  { text: 'postgres::ddl', kind: 'malformed_grant' },
  { text: 'postgres:*:ddl', kind: 'malformed_grant' },
  { text: '__proto__:shop:ddl', kind: 'malformed_grant' },
  { text: 'postgres:__proto__:ddl', kind: 'malformed_grant' },
  { text: 'postgres:shop:ddl\n', kind: 'malformed_grant' },
  { text: 'postgres:shop:ddl?a=1?b=2', kind: 'malformed_grant' },
  { text: `postgres:${'x'.repeat(129)}:ddl`, kind: 'malformed_grant' },
  { text: 'postgres:shop:ddl?', kind: 'bad_limit' },
  { text: 'postgres:shop:ddl?rows', kind: 'bad_limit' },
  { text: 'postgres:shop:ddl?rows=', kind: 'bad_limit' },
  { text: 'postgres:shop:ddl?rows=-1', kind: 'bad_limit' },
  { text: 'postgres:shop:ddl?rows=1e3', kind: 'bad_limit' },
  { text: 'postgres:shop:ddl?rows=1.5', kind: 'bad_limit' },
  { text: 'postgres:shop:ddl?rows=9999999999999999', kind: 'bad_limit' },
  { text: 'postgres:shop:ddl?__proto__=1', kind: 'bad_limit' },
  { text: 'postgres:shop:ddl?rows=1&', kind: 'bad_limit' },
]) {
  test(`the grant \`${text.length > 60 ? `${text.slice(0, 30)}...` : text.replaceAll('\n', '\\n')}\` is ${kind}`, () => {
    const read = parseGrantText(text)
    assert.equal(read.ok ? 'accepted' : read.refusal.kind, kind)
  })
}

for (const text of ['stripe:refunds:create?amount=5&amount=9000', 'stripe:refunds:create?amount=5=9000']) {
  test(`the grant \`${text}\` says two amounts and is refused`, () => {
    assert.equal(parseGrantText(text).ok, false)
  })
}

for (const { what, limits: given } of [
  { what: 'a negative number', limits: { rows: -1 } },
  { what: 'a fraction', limits: { rows: 1.5 } },
  { what: 'not a number', limits: { rows: NaN } },
  { what: 'infinite', limits: { rows: Infinity } },
  { what: 'wider than a safe integer', limits: { rows: 2 ** 53 } },
  { what: 'named `__proto__`', limits: JSON.parse('{"__proto__": 1}') as Record<string, number> },
  { what: 'without a name', limits: { '': 1 } },
]) {
  test(`a limit that is ${what} is refused`, () => {
    const read = fromAuthorizationDetails([{ type: 'a', locations: ['b'], actions: ['c'], limits: given }])
    assert.equal(read.ok ? 'accepted' : read.refusal.kind, 'bad_limit')
    assert.equal(({} as Record<string, unknown>)['rows'], undefined)
  })
}

test('a hundred permits are read and one more is refused, without building them all first', () => {
  const names = (count: number): readonly string[] => Array.from({ length: count }, (_, i) => `r${i}`)
  const read = (locations: readonly string[], actions: readonly string[]) => fromAuthorizationDetails([{ type: 'a', locations, actions }])
  assert.equal(read(names(10), names(10)).ok, true)
  const refused = read(names(100), names(100))
  assert.deepEqual(refused.ok ? 'accepted' : refused.refusal, { kind: 'too_many_permits', count: MOST_PERMITS + 1, most: MOST_PERMITS })
})
