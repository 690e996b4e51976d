import assert from 'node:assert/strict'
import { test } from 'node:test'
import { leafText, makeKey, makeLog, receiptsOf, sha256, type MadeEvent } from '../test/made-log.ts'
import { childClosed, closed, closedWith, ended, intended, intended2, leaseEnded, minted, neverIssued, noise, opened, story } from '../test/story.ts'
import type { Checked } from './checked.ts'
import { closureOf, type Closure } from './closure.ts'
import { overallOutcome } from './lease-closure.ts'
import { checkReceipt, type ProvedLeaf } from './receipt.ts'

const logKey = makeKey()

/** The closure of these events, sealed in this order with another event before each. */
function closureFrom(events: readonly MadeEvent[]): Checked<Closure> {
  const log = makeLog(logKey, events.flatMap((event, i) => [noise(i), event]).map(leafText))
  const leaves = receiptsOf(log, events).map((receipt): ProvedLeaf => {
    const proved = checkReceipt(sha256, log.checkpoint, receipt)
    assert.ok(proved.ok)
    return proved.value
  })
  return closureOf(leaves)
}

const kindOf = (events: readonly MadeEvent[]): string => {
  const closure = closureFrom(events)
  return closure.ok ? 'ok' : closure.refusal.kind
}
const closureOrFail = (events: readonly MadeEvent[]): Closure => {
  const closure = closureFrom(events)
  assert.ok(closure.ok, JSON.stringify(closure))
  return closure.value
}

const withFacts = (event: MadeEvent, facts: Record<string, unknown>): MadeEvent =>
  ({ ...event, facts: { ...event.facts, ...facts } as MadeEvent['facts'] })
const withoutLease = ({ id, type, at, task, identity, facts }: MadeEvent): MadeEvent => ({ id, type, at, task: task!, identity: identity!, facts })
const instead = (event: MadeEvent, other: readonly MadeEvent[]): readonly MadeEvent[] => story.flatMap((one) => (one === event ? other : [one]))
/** The story with another end of its first lease, and a closing that names it. */
const endingIn = (end: MadeEvent, outcome: string): readonly MadeEvent[] => [opened, intended, minted, ended, end, closedWith([end], [], outcome)]
const incident: MadeEvent = {
  id: 'evt_i', type: 'incident.opened', at: leaseEnded.at, task: 'tsk_1', identity: 'nhi_1', lease: 'lse_1',
  facts: { incident: 'inc_1', kind: 'withdrawal_failed', lease: 'lse_1', attempts: 6, why_code: '08006' },
}
const unproved = withFacts(
  leaseEnded,
  {
    outcome: 'not_evaluated',
    probe: { kind: 'not_evaluated', why: 'back end unreachable' },
    refused_after_ms: null,
    residual_until: leaseEnded.at + 1000,
  },
)

test('a closure tells each lease from intention to end, what was kept, and what hangs below', () => {
  const closure = closureOrFail(story)
  assert.deepEqual(closure.leases[0]?.minted, { at: minted.at, control_ok: true, took_ms: 12, why: null })
  const end = closure.leases[0]?.end
  assert.ok(end?.kind === 'ended')
  assert.deepEqual([end.outcome, end.refused_after_ms, end.reassigned.map((one) => one.disarmed)], ['proved', 180, [null, 'security definer']])
  assert.deepEqual(closure.descendants, [{ task: 'tsk_2', closed_at: childClosed.at, outcome: 'nothing_issued' }])
  assert.deepEqual([closure.reason, closure.calls_used, closure.residual_until, closure.outcome], ['completed', 1, null, 'proved'])
})

test('a lease that could not be tried again is told as not evaluated, and until when a token could still be accepted', () => {
  const closure = closureOrFail(endingIn(unproved, 'not_evaluated'))
  assert.deepEqual([closure.outcome, closure.residual_until], ['not_evaluated', leaseEnded.at + 1000])
})

test('a lease that could not be withdrawn is told as an incident', () => {
  const closure = closureOrFail(endingIn(incident, 'incident'))
  assert.deepEqual(
    closure.leases[0]?.end,
    { kind: 'incident', at: incident.at, incident: 'inc_1', incident_kind: 'withdrawal_failed', attempts: 6, why_code: '08006' },
  )
})

test('a task without a lease is told as nothing issued', () => {
  assert.equal(closureOrFail([opened, ended, closedWith([], [], 'nothing_issued')]).outcome, 'nothing_issued')
})

test('the outcome of a task is the worst of its leases and of the tasks below it', () => {
  assert.equal(overallOutcome([]), 'nothing_issued')
  assert.equal(overallOutcome(['nothing_issued', 'proved']), 'proved')
  assert.equal(overallOutcome(['proved', 'not_evaluated']), 'not_evaluated')
  assert.equal(overallOutcome(['not_evaluated', 'incident', 'proved']), 'incident')
})

for (const event of story.filter((one) => one !== minted)) {
  test(
    `a certificate without its \`${event.type}\` (${event.lease ?? event.task}) is incomplete`,
    () => assert.equal(kindOf(story.filter((one) => one !== event)), 'incomplete'),
  )
}

for (const { what, events, kind } of [
  { what: 'the minting of a lease that is called proved is left out', events: story.filter((one) => one !== minted), kind: 'contradiction' },
  {
    what: 'a lease has another end than the closing names',
    events: instead(leaseEnded, [withFacts(leaseEnded, { sessions_ended: 0 })]),
    kind: 'incomplete',
  },
  {
    what: 'a child task has another closing than the one named',
    events: instead(childClosed, [{ ...childClosed, at: childClosed.at - 1 }]),
    kind: 'incomplete',
  },
  {
    what: 'a lease is there that the closing does not name',
    events: [...story.slice(0, -1), closedWith([leaseEnded], [childClosed], 'proved')],
    kind: 'incomplete',
  },
  {
    what: 'a child task is there that the closing does not name',
    events: [...story.slice(0, -1), closedWith([leaseEnded, neverIssued], [], 'proved')],
    kind: 'incomplete',
  },
  {
    what: 'the closing names a lease twice',
    events: [...story.slice(0, -1), closedWith([leaseEnded, leaseEnded, neverIssued], [childClosed], 'proved')],
    kind: 'incomplete',
  },
  { what: 'the closing calls it proved over an incident', events: endingIn(incident, 'proved'), kind: 'contradiction' },
  { what: 'the closing calls it proved over an end that was not evaluated', events: endingIn(unproved, 'proved'), kind: 'contradiction' },
  {
    what: 'a lease of another task is among the receipts',
    events: instead(intended2, [intended2, { ...intended, id: 'evt_x', task: 'tsk_3', lease: 'lse_3' }]),
    kind: 'foreign_receipt',
  },
  {
    what: 'a lease of another identity is among the receipts',
    events: instead(intended2, [{ ...intended2, identity: 'nhi_3' }]),
    kind: 'foreign_receipt',
  },
  {
    what: 'an event of another kind is among the receipts',
    events: instead(intended2, [intended2, { ...noise(50), task: 'tsk_1' }]),
    kind: 'foreign_receipt',
  },
  { what: 'an event of the other stream is among the receipts', events: instead(ended, [{ ...ended, stream: 'human' }]), kind: 'foreign_receipt' },
  { what: 'a lease was minted twice', events: instead(minted, [minted, { ...minted, id: 'evt_x' }]), kind: 'repeated' },
  { what: 'a lease has an end and an incident', events: instead(leaseEnded, [incident, leaseEnded]), kind: 'repeated' },
  { what: 'the task ended twice', events: instead(ended, [ended, { ...ended, id: 'evt_x' }]), kind: 'repeated' },
  { what: 'the task was opened twice', events: [opened, { ...opened, id: 'evt_x' }, ...story.slice(1)], kind: 'repeated' },
  { what: 'an event id stands twice', events: instead(ended, [{ ...ended, id: intended.id }]), kind: 'repeated' },
  { what: 'the task was closed before a lease ended', events: [...story.slice(0, 6), closed, ...story.slice(6, 8)], kind: 'out_of_order' },
  {
    what: 'a lease was minted before it was intended',
    events: [opened, minted, intended, ended, leaseEnded, closedWith([leaseEnded], [], 'proved')],
    kind: 'out_of_order',
  },
  {
    what: 'a lease was intended after the task had ended',
    events: [opened, ended, intended, minted, leaseEnded, closedWith([leaseEnded], [], 'proved')],
    kind: 'out_of_order',
  },
  { what: 'the task was closed before its child', events: [...story.slice(0, 7), closed, childClosed], kind: 'out_of_order' },
  {
    what: 'a lease would outlive its task',
    events: instead(intended, [withFacts(intended, { expires_at: Number(opened.facts['deadline']) + 1 })]),
    kind: 'contradiction',
  },
  { what: 'a lease names no lease', events: instead(minted, [withoutLease(minted)]), kind: 'malformed_leaf' },
  { what: 'an incident names another lease', events: endingIn(withFacts(incident, { lease: 'lse_9' }), 'incident'), kind: 'malformed_leaf' },
  { what: 'a fact is missing', events: instead(ended, [{ ...ended, facts: { reason: 'completed', calls_used: 1 } }]), kind: 'malformed_facts' },
  { what: 'a fact is of another kind', events: instead(ended, [withFacts(ended, { calls_used: -1 })]), kind: 'malformed_facts' },
]) {
  test(`a certificate is refused when ${what}`, () => assert.equal(kindOf(events), kind))
}

for (const { what, facts } of [
  { what: 'without a control login', facts: { control_login: 'none' } },
  { what: 'with a control login that failed', facts: { control_login: 'failed' } },
  { what: 'and nobody refused it', facts: { probe: { kind: 'not_evaluated', why: 'x' } } },
  { what: 'and the refusal has no time', facts: { refused_after_ms: null } },
  { what: 'while the catalogue still shows it', facts: { probe: { ...(leaseEnded.facts['probe'] as object), absent_from_catalogue: 'no' } } },
]) {
  test(
    `a lease is not proved ${what}, whatever the log calls it`,
    () => assert.equal(kindOf(endingIn(withFacts(leaseEnded, facts), 'proved')), 'contradiction'),
  )
}

test('a failed control login of an end that was not evaluated is told as it was', () => {
  const failing = withFacts(minted, { control: { ok: 'no', why: 'timeout' } })
  const end = withFacts(unproved, { control_login: 'failed' })
  const closure = closureOrFail([opened, intended, failing, ended, end, closedWith([end], [], 'not_evaluated')])
  assert.deepEqual(closure.leases[0]?.minted, { at: minted.at, control_ok: false, took_ms: null, why: 'timeout' })
})

test('the user for whom the task acted is told when disclosed', () => {
  const acting = withFacts({ ...opened, said: { ...opened.said, on_behalf_of: 'https://idp.example maya' } }, { on_behalf_of: 'yes' })
  const closure = closureOrFail([acting, ended, closedWith([], [], 'nothing_issued')])
  assert.deepEqual([closure.for_a_user, closure.on_behalf_of], [true, 'https://idp.example maya'])
})

test('a thousand leases are told in the order of the log', () => {
  const leases = Array.from(
    { length: 1000 },
    (_, i) => ({ begin: { ...intended, id: `evt_b${i}`, lease: `lse_${i}` }, end: { ...neverIssued, id: `evt_e${i}`, lease: `lse_${i}` } }),
  )
  const closing = closedWith(leases.map(({ end }) => end), [], 'nothing_issued')
  const closure = closureOrFail([opened, ...leases.flatMap(({ begin, end }) => [begin, end]), ended, closing])
  assert.deepEqual(closure.leases.map(({ lease }) => lease), leases.map(({ end }) => end.lease))
})
