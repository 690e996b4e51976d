import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { EvaluatedDecisionReply } from '@writ/contract/decisions'
import { parseExactJson } from '@writ/contract/strict-json'
import { recordOf } from '@writ/policy/recorded-decision'
import { together } from './replay-threads.ts'

const QUESTION = '{"principal":{"uid":{"type":"Writ::Agent","id":"a"},"attributes":{},"parents":[]},"action":"call","resource":{"uid":{"type":"Writ::Tool","id":"a/b"},"attributes":{},"parents":[]},'
  + '"arguments":{"amount":9007199254740993},"claimed":{},"known":{}}'
const RECORDED: EvaluatedDecisionReply = {
  id: 'dec_1', at: '2026-11-22T00:00:00.000Z', answer: 'allow', cause: 'policy', approvable: false, would_deny: false, advisory: false, policy_version: 1, policies: [], errors: [], question: QUESTION,
}

for (const { what, more, answer, byPolicy } of [
  { what: 'allowed', more: {}, answer: 'allow', byPolicy: true },
  { what: 'denied by policy', more: { answer: 'deny' }, answer: 'deny', byPolicy: true },
  { what: 'denied until approved', more: { answer: 'deny', approvable: true }, answer: 'approval_required', byPolicy: true },
  { what: 'let through because it is observed', more: { would_deny: true }, answer: 'deny', byPolicy: true },
  { what: 'let through where an approval would have been asked for', more: { would_deny: true, approvable: true }, answer: 'approval_required', byPolicy: true },
  { what: 'denied because it could not be evaluated', more: { answer: 'deny', cause: 'error' }, answer: 'deny', byPolicy: true },
  { what: 'denied by its budget', more: { answer: 'deny', cause: 'budget' }, answer: 'deny', byPolicy: false },
  { what: 'denied by its grant', more: { answer: 'deny', cause: 'grant' }, answer: 'deny', byPolicy: false },
] as const) {
  test(`what was ${what} is replayed as ${answer}${byPolicy ? '' : ', and not as the policies\' answer'}`, () => {
    const record = recordOf({ ...RECORDED, ...more }, parseExactJson)
    assert.deepEqual([record.answer, record.byPolicy], [answer, byPolicy])
  })
}

test('a question is replayed digit for digit, and one that is erased or is none is not evaluated', () => {
  assert.equal(recordOf(RECORDED, parseExactJson).question?.arguments['amount'], 9_007_199_254_740_993n)
  for (const question of [null, '{', '{"action":"call"}', '1']) assert.equal(recordOf({ ...RECORDED, question }, parseExactJson).question, null, String(question))
})

test('what several threads found is one answer, the first that changed before the others', () => {
  const none = { allow: 0, approval_required: 0, deny: 0 }
  const state = (ids: readonly string[]) => ({
    matrix: { allow: { ...none, deny: ids.length }, approval_required: none, deny: none }, fed: 10, changed: ids.length, notEvaluated: 1, notByPolicy: 2,
    listed: ids.map((id) => ({ id, was: 'allow' as const, now: 'deny' as const, principal: { type: 'a', id: 'a' }, action: 'call', resource: { type: 'a', id: 'a' }, by: [], errors: [] })),
  })
  const found = together([state(['dec_2', 'dec_5']), state(['dec_1', 'dec_9'])], 3)
  assert.deepEqual([found.fed, found.changed, found.notEvaluated, found.notByPolicy, found.matrix.allow.deny], [20, 4, 2, 4, 4])
  assert.deepEqual(found.listed.map(({ id }) => id), ['dec_1', 'dec_2', 'dec_5'])
})
