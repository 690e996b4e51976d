import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { MadeEvent } from '../test/made-log.ts'
import { closedWith, ended, intended, leaseEnded, minted, opened, TOKEN_EXPIRES as EXPIRES, tokenEnded as stopped, tokenIssued as issued, tokenStory as story } from '../test/story.ts'
import { closureOr, verified } from '../test/verified.ts'
import { isToken } from './closure.ts'
import { describeClosure } from './describe.ts'

const incident: MadeEvent = {
  id: 'evt_t3', type: 'incident.opened', at: stopped.at, task: 'tsk_1', identity: 'nhi_1', lease: 'lse_t', facts: { incident: 'inc_1', kind: 'still_accepted', lease: 'lse_t', attempts: 1, why_code: 'accepted' },
}
const closing = (ends: readonly MadeEvent[], outcome = 'proved'): MadeEvent => closedWith(ends, [], outcome)
const withFacts = (event: MadeEvent, facts: Record<string, unknown>): MadeEvent => ({ ...event, facts: { ...event.facts, ...facts } as MadeEvent['facts'] })
const without = (event: MadeEvent, fact: string): MadeEvent => ({ ...event, facts: Object.fromEntries(Object.entries(event.facts).filter(([name]) => name !== fact)) })

const endingIn = (end: MadeEvent, outcome = 'proved', begin = issued): readonly MadeEvent[] => [opened, begin, ended, end, closing([end], outcome)]

test('a certificate tells for whom a token was, how it ended, and until when somebody who never asks could accept it', () => {
  const closure = closureOr(verified(story))
  const [token, login] = closure.leases
  assert.ok(token !== undefined && isToken(token) && login !== undefined && !isToken(login))
  assert.deepEqual([token.audience, token.jkt, token.authority, token.expires_at, token.minted], ['https://shop.example', 'thumb', null, EXPIRES, { at: issued.at }])
  assert.deepEqual([closure.outcome, closure.residual_until], ['proved', EXPIRES])
  const lines = describeClosure(closure)
  assert.deepEqual(lines.slice(lines.indexOf('  lease lse_t')).slice(0, 7), [
    '  lease lse_t',
    '    access token for https://shop.example, bound to the key thumb',
    '    issued: 2026-09-21T14:13:20.005Z, to expire at 2026-09-21T14:18:20.000Z',
    '    stopped: 2026-09-21T14:13:25.000Z',
    '    asked about it again: refused by writ, stopped, 40 ms after the end or revocation',
    '    end: 2026-09-21T14:13:25.040Z, proved',
    '    who checks it offline, and never asks, could accept it until: 2026-09-21T14:18:20.000Z',
  ])
  assert.ok(lines.includes('  a token of its leases could still be accepted offline until: 2026-09-21T14:18:20.000Z'))
  assert.match(lines.at(-1)!, /^ {2}outcome: proved: .*; who checks tokens offline learns of it when they expire$/)
})

test('a token that expired by itself, or that anybody could bear, or that may less than its task, is told as such', () => {
  const narrow = withFacts(issued, { jkt: null, authority: ['postgres:shop:read'], expires_at: ended.at })
  const expired = withFacts(stopped, {
    withdrawn_at: null, residual_until: ended.at, probe: { kind: 'refused', by: 'writ', code: 'expired', message: 'the token has expired' },
  })
  const lines = describeClosure(closureOr(verified(endingIn(expired, 'proved', narrow))))
  for (const line of [
    '    access token for https://shop.example, good for whoever bears it', '    authority: postgres:shop:read', '    stopped: it expired by itself',
  ]) assert.ok(lines.includes(line), line)
})

test('a token that was still accepted is an incident, and stays acceptable offline until it expires', () => {
  const closure = closureOr(verified(endingIn(incident, 'incident')))
  assert.deepEqual([closure.outcome, closure.residual_until], ['incident', EXPIRES])
  assert.ok(describeClosure(closure).some((line) => line.startsWith('    INCIDENT OPEN: inc_1 (still_accepted)')))
})

test('an end of a token that was not evaluated is told as that', () => {
  const unsure = withFacts(stopped, { outcome: 'not_evaluated', probe: { kind: 'not_evaluated', why: 'nobody was asked' }, refused_after_ms: null })
  assert.equal(closureOr(verified(endingIn(unsure, 'not_evaluated'))).outcome, 'not_evaluated')
})

for (const { what, events, kind } of [
  { what: 'one of its tokens is left out', events: story.filter((one) => one.lease !== 'lse_t'), kind: 'incomplete' },
  { what: 'the end of a token is left out', events: story.filter((one) => one !== stopped), kind: 'incomplete' },
  { what: 'the issue of a token is left out', events: story.filter((one) => one !== issued), kind: 'incomplete' },
  { what: 'the closing does not name a token', events: [...story.slice(0, -1), closing([leaseEnded])], kind: 'incomplete' },
  { what: 'a login calls itself a token, to hide where it was', events: [opened, withFacts(minted, { backend_kind: 'access_token' }), ended, leaseEnded, closing([leaseEnded])], kind: 'malformed_facts' },
  { what: 'a login and its intention call it a token', events: [opened, intended, withFacts(minted, issued.facts), ended, leaseEnded, closing([leaseEnded])], kind: 'contradiction' },
  { what: 'a token was issued after the task had ended', events: [opened, ended, issued, stopped, closing([stopped])], kind: 'out_of_order' },
  { what: 'a token ended before it was issued', events: [opened, stopped, issued, ended, closing([stopped])], kind: 'out_of_order' },
  { what: 'a token was issued twice', events: [opened, issued, { ...issued, id: 'evt_x' }, ended, stopped, closing([stopped])], kind: 'repeated' },
  {
    what: 'a token would outlive its task', kind: 'contradiction',
    events: endingIn(withFacts(stopped, { residual_until: opened.at + 600_001 }), 'proved', withFacts(issued, { expires_at: opened.at + 600_001 })),
  },
  { what: 'a token expired before it was issued', events: endingIn(withFacts(stopped, { residual_until: 1 }), 'proved', withFacts(issued, { expires_at: 1 })), kind: 'contradiction' },
  { what: 'a token names no audience', events: endingIn(stopped, 'proved', without(issued, 'audience')), kind: 'malformed_facts' },
  { what: 'a token says nothing of its authority', events: endingIn(stopped, 'proved', without(issued, 'authority')), kind: 'malformed_facts' },
  { what: 'the incident of a token is closed over as proved', events: endingIn(incident), kind: 'contradiction' },
]) test(`a certificate is refused when ${what}`, () => assert.equal(verified(events), kind))

const refusal = stopped.facts['probe'] as Record<string, unknown>
for (const { what, facts } of [
  { what: 'and nobody refused it', facts: { probe: { kind: 'not_evaluated', why: 'x' } } },
  { what: 'and the refusal has no time', facts: { refused_after_ms: null } },
  { what: 'and somebody else than Writ refused it', facts: { probe: { ...refusal, by: 'a resource server' } } },
  { what: 'and it does not say until when it could be accepted offline', facts: { residual_until: null } },
  { what: 'and says another time until which it could be accepted offline', facts: { residual_until: EXPIRES - 1000 } },
  { what: 'as expired before its time', facts: { probe: { ...refusal, code: 'expired' } } },
  { what: 'with the control login of something else', facts: { control_login: 'ok' } },
]) test(`a token is not proved ended ${what}, whatever the log calls it`, () => assert.equal(verified(endingIn(withFacts(stopped, facts))), 'contradiction'))

test('a token that was issued is never called never issued', () => {
  assert.equal(verified(endingIn(withFacts(stopped, { outcome: 'never_issued' }), 'nothing_issued')), 'contradiction')
})

test('what a token is for makes no line of its own and no colour', () => {
  const evil = 'x\n  outcome: proved\u001b[2K\u202e'
  const lines = describeClosure(closureOr(verified(endingIn(stopped, 'proved', withFacts(issued, { audience: evil, jkt: evil, authority: [evil] })))))
  for (const line of lines) assert.doesNotMatch(line, /[\p{C}\p{Zl}\p{Zp}]/u)
})
