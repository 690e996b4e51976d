import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { covers, MOST_PERMITS, textOf, toAuthority, type Authority, type Permit } from './authority.ts'
import { MOST_WIDENINGS, widenAuthority, type Widening } from './task.ts'
import type { Outcome } from './outcome.ts'

const permits = (...actions: readonly string[]): Authority =>
  toAuthority(actions.map((action) => ({ type: 'postgres', resource: 'shop', action, limits: {} })))
const upTo = (rows: number): Authority => toAuthority([{ type: 'postgres', resource: 'shop', action: 'read', limits: { rows } }])
const many = (from: number, to: number): Authority => permits(...Array.from({ length: to - from }, (_, i) => `a${from + i}`))

const task = { authority: permits('read'), widenings: 0 }
const mayDo = permits('read', 'write', 'ddl')
const told = (widened: Outcome<Widening, object>): unknown =>
  widened.ok ? { to: widened.value.authority.map(textOf), added: widened.value.added.map(textOf) } : widened.refusal

const given = (to: Authority, added: Authority) => ({ to: to.map(textOf), added: added.map(textOf) })
const nothing = (of: Authority) => given(of, [])

for (const { when, of = task, asked, identity = mayDo, parent = null, expected } of [
  { when: 'it asks for one permit more', asked: permits('write'), expected: given(permits('read', 'write'), permits('write')) },
  { when: 'it names what it has beside what is new', asked: permits('read', 'ddl'), expected: given(permits('read', 'ddl'), permits('ddl')) },
  { when: 'it asks for nothing', asked: [], expected: { kind: 'empty_grant' } },
  { when: 'it asks for what it has', asked: permits('read'), expected: nothing(task.authority) },
  { when: 'it asks for less of what it has', asked: upTo(5), expected: nothing(task.authority) },
  {
    when: 'it asks for a higher limit: the lower one is gone',
    of: { authority: upTo(5), widenings: 3 }, asked: upTo(9), expected: given(upTo(9), upTo(9)),
  },
  { when: 'it asks for what its identity may not', asked: permits('write', 'drop'), expected: { kind: 'grant_not_covered', by: 'identity' } },
  {
    when: 'it asks for no limit where its identity has one',
    of: { authority: upTo(5), widenings: 0 }, asked: permits('read'), identity: upTo(9), expected: { kind: 'grant_not_covered', by: 'identity' },
  },
  {
    when: 'its identity may no longer what the task was opened with',
    asked: permits('write'), identity: permits('write'), expected: { kind: 'grant_not_covered', by: 'identity' },
  },
  { when: 'its identity may nothing any more, and it asks for what it has', asked: permits('read'), identity: [], expected: nothing(task.authority) },
  { when: 'the task above may it too', asked: permits('write'), parent: permits('read', 'write'), expected: given(permits('read', 'write'), permits('write')) },
  { when: 'the task above may not', asked: permits('write'), parent: permits('read', 'ddl'), expected: { kind: 'grant_not_covered', by: 'parent' } },
  { when: 'neither may', asked: permits('drop'), parent: permits('read'), expected: { kind: 'grant_not_covered', by: 'identity' } },
  {
    when: 'it comes to the most permits there are',
    of: { authority: many(0, 60), widenings: 0 }, asked: many(60, MOST_PERMITS), identity: many(0, 200), expected: given(many(0, MOST_PERMITS), many(60, MOST_PERMITS)),
  },
  {
    when: 'it comes to one permit more than that',
    of: { authority: many(0, 60), widenings: 0 }, asked: many(60, MOST_PERMITS + 1), identity: many(0, 200),
    expected: { kind: 'too_many_permits', count: MOST_PERMITS + 1, most: MOST_PERMITS },
  },
  {
    when: 'it is the last time', of: { ...task, widenings: MOST_WIDENINGS - 1 }, asked: permits('write'), expected: given(permits('read', 'write'), permits('write')),
  },
  { when: 'it is one time too many', of: { ...task, widenings: MOST_WIDENINGS }, asked: permits('write'), expected: { kind: 'too_many_widenings', most: MOST_WIDENINGS } },
  { when: 'it was widened as often as may be, and asks for what it has', of: { ...task, widenings: MOST_WIDENINGS }, asked: permits('read'), expected: nothing(task.authority) },
]) {
  test(`a task that asks for more gets ${'kind' in expected ? expected.kind : 'its answer'} when ${when}`, () => {
    assert.deepEqual(told(widenAuthority(of, asked, identity, parent)), expected)
  })
}

/** Few words and limits, so that random authorities meet. */
const permit: fc.Arbitrary<Permit> = fc.record({
  type: fc.constant('postgres'), resource: fc.constantFrom('shop', 'bank'), action: fc.constantFrom('read', 'write'),
  limits: fc.dictionary(fc.constantFrom('rows', 'amount'), fc.nat(2), { maxKeys: 2 }).map((found) => ({ ...found })),
})
const authority = (most: number): fc.Arbitrary<Authority> => fc.array(permit, { maxLength: most }).map(toAuthority)
/** Some of its permits, so that more than a few tasks are opened within what is above them. */
const partOf = (above: Authority): fc.Arbitrary<Authority> => fc.subarray([...above]).map(toAuthority)

test('what a widening gives covers what was there and what was asked, stays within identity and parent, and keeps every child covered', (t) => {
  const stage = fc.tuple(authority(6), fc.option(authority(6), { freq: 3 })).chain(([identity, parent]) => {
    const bounds = toAuthority(parent === null ? identity : identity.filter((one) => covers(parent, [one])))
    return partOf(bounds).chain((old) => fc.record({
      identity: fc.constant(identity), parent: fc.constant(parent), old: fc.constant(old), child: partOf(old), asked: fc.oneof(partOf(bounds), authority(3)),
    }))
  })
  const seen = { given: 0, nothing: 0, refused: 0 }
  fc.assert(fc.property(stage, ({ identity, parent, old, child, asked }) => {
    const widened = widenAuthority({ authority: old, widenings: 0 }, asked, identity, parent)
    if (!widened.ok) {
      seen.refused += 1
      const { refusal } = widened
      if (refusal.kind === 'empty_grant') return asked.length === 0
      return refusal.kind === 'grant_not_covered' && !covers(refusal.by === 'identity' ? identity : parent!, [...old, ...asked])
    }
    const { authority: now, added } = widened.value
    seen[added.length === 0 ? 'nothing' : 'given'] += 1
    assert.ok(covers(now, old) && covers(now, asked) && covers(now, child))
    assert.ok(covers(identity, now) && (parent === null || covers(parent, now)))
    assert.ok(covers([...old, ...asked], now), 'it was given what it did not ask for')
    assert.equal(added.length === 0, covers(old, now))
    assert.deepEqual(added.map(textOf), now.map(textOf).filter((text) => !old.map(textOf).includes(text)))
    return true
  }), { numRuns: 10_000 })
  t.diagnostic(JSON.stringify(seen))
  assert.ok(Object.values(seen).every((times) => times > 500))
})
