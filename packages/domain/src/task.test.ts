import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inspect } from 'node:util'
import fc from 'fast-check'
import { toAuthority, type Authority } from './authority.ts'
import { PROFILES } from './profile.ts'
import { dueReason, nextDueAt, settleTerms, type AskedTerms, type Task } from './task.ts'
import { epochMs, milliseconds, seconds } from './time.ts'

const permits = (...actions: readonly string[]): Authority =>
  toAuthority(actions.map((action) => ({ type: 'postgres', resource: 'shop', action, limits: {} })))

const now = epochMs(1_800_000_000_000)
const identity = { authority: permits('read', 'write'), endsAt: epochMs(now + seconds(30 * 86_400)), profile: PROFILES.autonomous }
const asked: AskedTerms = {
  authority: permits('read'), length: seconds(300), budgetCalls: 10, idleTimeout: seconds(60), heartbeat: seconds(30), onBehalfOf: null,
}
const user = { issuer: 'https://idp.example', subject: 'maya' }
const parent = {
  authority: permits('read', 'write'), deadline: epochMs(now + seconds(600)), budgetCalls: 100, callsUsed: 40, state: 'open', depth: 0, depthLeft: 3,
  onBehalfOf: user, purposeId: 'refunds', changeReference: 'CHG-1',
} as const

const kindOf = (settled: ReturnType<typeof settleTerms>): string => settled.ok ? 'opened' : settled.refusal.kind

/** As a caller without a type checker could say them. */
const BAD_NUMBERS: readonly unknown[] = [
  0, -0, -1, NaN, Infinity, -Infinity, 2 ** 31, 1.5, Number.MAX_SAFE_INTEGER, Number.MAX_VALUE, Number.MIN_VALUE,
  '300', null, undefined, true, [300], 300n,
]
const FIELDS = [['length', 'length'], ['budgetCalls', 'budget'], ['idleTimeout', 'idle_timeout'], ['heartbeat', 'heartbeat']] as const
for (const value of BAD_NUMBERS) {
  for (const [field, name] of FIELDS) {
    test(`a task is refused when its ${name} is ${inspect(value)}`, () => {
      const settled = settleTerms({ ...asked, [field]: value }, identity, null, now)
      assert.deepEqual(settled, { ok: false, refusal: { kind: 'bad_number', field: name } })
    })
  }
}

for (const { when, change, who, expected } of [
  { when: 'everything is as it should be', change: {}, who: {}, expected: 'opened' },
  { when: 'it lasts exactly as long as its class allows', change: { length: seconds(3600) }, who: {}, expected: 'opened' },
  { when: 'it lasts a millisecond longer', change: { length: milliseconds(3_600_001) }, who: {}, expected: 'too_long' },
  { when: 'a script lasts four hours', change: { length: seconds(4 * 3600) }, who: { profile: PROFILES.script }, expected: 'opened' },
  { when: 'it may make the most calls there are', change: { budgetCalls: 2 ** 31 - 1 }, who: {}, expected: 'opened' },
  { when: 'it asks for nothing', change: { authority: [] }, who: {}, expected: 'empty_grant' },
  { when: 'it asks for all that the identity may', change: { authority: permits('read', 'write') }, who: {}, expected: 'opened' },
  { when: 'it asks for one action more', change: { authority: permits('read', 'drop') }, who: {}, expected: 'grant_not_covered' },
  { when: 'the identity may nothing', change: {}, who: { authority: [] }, expected: 'grant_not_covered' },
]) {
  test(`a task is ${expected} when ${when}`, () => {
    assert.equal(kindOf(settleTerms({ ...asked, ...change }, { ...identity, ...who }, null, now)), expected)
  })
}

test('a task ends with its identity, if that is earlier', () => {
  const endsAt = epochMs(now + 1)
  const settled = settleTerms(asked, { ...identity, endsAt }, null, now)
  assert.equal(settled.ok && settled.value.deadline, endsAt)
})

test('a task of its own keeps the user that was verified for it', () => {
  const settled = settleTerms({ ...asked, onBehalfOf: user }, identity, null, now)
  assert.deepEqual(settled.ok && [settled.value.onBehalfOf, settled.value.depth], [user, 0])
})

for (const { when, change, above, expected } of [
  { when: 'it asks for less', change: {}, above: {}, expected: 'opened' },
  { when: 'it asks for all calls that are left', change: { budgetCalls: 60 }, above: {}, expected: 'opened' },
  { when: 'it asks for one call more than is left', change: { budgetCalls: 61 }, above: {}, expected: 'budget_not_covered' },
  { when: 'no call is left', change: { budgetCalls: 1 }, above: { callsUsed: 100 }, expected: 'budget_not_covered' },
  {
    when: 'its identity may more than the parent',
    change: { authority: permits('write') }, above: { authority: permits('read') }, expected: 'grant_not_covered',
  },
  { when: 'the parent is ending', change: {}, above: { state: 'ending' as const }, expected: 'parent_not_open' },
  { when: 'the parent is closed', change: {}, above: { state: 'closed' as const }, expected: 'parent_not_open' },
  { when: 'it is the last generation', change: {}, above: { depth: 2, depthLeft: 1 }, expected: 'opened' },
  { when: 'it is one generation too deep', change: {}, above: { depth: 3, depthLeft: 0 }, expected: 'too_deep' },
  { when: 'the class of its parent delegates nothing', change: {}, above: { depthLeft: PROFILES.script.delegationDepth }, expected: 'too_deep' },
  { when: 'it names the same user', change: { onBehalfOf: { ...user } }, above: {}, expected: 'opened' },
  { when: 'it names another user', change: { onBehalfOf: { ...user, subject: 'eve' } }, above: {}, expected: 'other_user' },
  {
    when: 'it names the same subject of another issuer',
    change: { onBehalfOf: { ...user, issuer: 'https://evil.example' } }, above: {}, expected: 'other_user',
  },
  { when: 'it names a user and its parent has none', change: { onBehalfOf: user }, above: { onBehalfOf: null }, expected: 'other_user' },
  { when: 'it names the same purpose and change', change: { purposeId: 'refunds', changeReference: 'CHG-1' }, above: {}, expected: 'opened' },
  { when: 'it names another purpose', change: { purposeId: 'payouts' }, above: {}, expected: 'other_purpose' },
  { when: 'it names a purpose and its parent has none', change: { purposeId: 'refunds' }, above: { purposeId: null }, expected: 'other_purpose' },
  { when: 'it names another change', change: { changeReference: 'CHG-2' }, above: {}, expected: 'other_change' },
]) {
  test(`a delegated task is ${expected} when ${when}`, () => {
    assert.equal(kindOf(settleTerms({ ...asked, ...change }, identity, { ...parent, ...above }, now)), expected)
  })
}

test('a delegated task acts for its parent\'s user though it named none, and ends no later than its parent', () => {
  const settled = settleTerms({ ...asked, length: seconds(3600) }, identity, parent, now)
  assert.deepEqual(settled.ok && [settled.value.onBehalfOf, settled.value.deadline, settled.value.depth], [user, parent.deadline, 1])
  assert.deepEqual(settled.ok && [settled.value.purposeId, settled.value.changeReference], ['refunds', 'CHG-1'])
})

for (const { when, who, above, of } of [
  { when: 'its identity ends this instant', who: { endsAt: now }, above: null, of: 'identity' },
  { when: 'its identity has ended and its parent has not', who: { endsAt: epochMs(now - 1) }, above: parent, of: 'identity' },
  { when: 'its parent is due this instant', who: {}, above: { ...parent, deadline: now }, of: 'parent' },
  { when: 'its parent is overdue and not yet ended', who: {}, above: { ...parent, deadline: epochMs(now - 1) }, of: 'parent' },
]) {
  test(`no task opens when ${when}`, () => {
    assert.deepEqual(settleTerms(asked, { ...identity, ...who }, above, now), { ok: false, refusal: { kind: 'no_time_left', of } })
  })
}

test('a delegated task may not delegate deeper than its own class nor than any class above', () => {
  const leftBelow = (mine: keyof typeof PROFILES, depthLeft: number): number | undefined => {
    const settled = settleTerms(asked, { ...identity, profile: PROFILES[mine] }, { ...parent, depthLeft }, now)
    return settled.ok ? settled.value.depthLeft : undefined
  }
  assert.deepEqual([leftBelow('autonomous', 3), leftBelow('autonomous', 1), leftBelow('chatbot', 3), leftBelow('script', 3)], [2, 0, 1, 0])
})

const length = fc.integer({ min: 1, max: 5000 }).map(milliseconds)
const instant = fc.nat(10_000).map(epochMs)
const clocks = fc.record({ deadline: instant, lastHeardAt: instant, heartbeat: length, lastCallAt: instant, idleTimeout: length })

test('a task is due exactly from the instant that the sweeper looks for', () => {
  fc.assert(fc.property(clocks, instant, (task, at) => {
    assert.equal(dueReason(task, at) !== undefined, at >= nextDueAt(task))
    assert.equal(dueReason(task, epochMs(nextDueAt(task) - 1)), undefined)
    assert.notEqual(dueReason(task, nextDueAt(task)), undefined)
  }), { numRuns: 5000 })
})

const running: Pick<Task, 'deadline' | 'lastHeardAt' | 'heartbeat' | 'lastCallAt' | 'idleTimeout'> = {
  deadline: epochMs(10_000), lastHeardAt: epochMs(1000), heartbeat: milliseconds(3000), lastCallAt: epochMs(1000), idleTimeout: milliseconds(5000),
}
for (const { when, task, at, reason } of [
  { when: 'all its clocks run', task: {}, at: 3999, reason: undefined },
  { when: 'its holder was not heard of', task: {}, at: 4000, reason: 'silence' },
  { when: 'it made no call and its holder lives', task: { lastHeardAt: epochMs(5999) }, at: 6000, reason: 'idle' },
  { when: 'its deadline is here', task: { lastHeardAt: epochMs(9999), lastCallAt: epochMs(9999) }, at: 10_000, reason: 'deadline' },
  { when: 'all three have run out', task: {}, at: 20_000, reason: 'deadline' },
  { when: 'it was silent and idle', task: {}, at: 9000, reason: 'silence' },
]) {
  test(`a task ${reason === undefined ? 'goes on' : `ends by ${reason}`} when ${when}`, () => {
    assert.equal(dueReason({ ...running, ...task }, epochMs(at)), reason)
  })
}
