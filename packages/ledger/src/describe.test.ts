import assert from 'node:assert/strict'
import { test } from 'node:test'
import { leafText, makeKey, makeLog, primitives, receiptsOf, sha256, type MadeEvent } from '../test/made-log.ts'
import { closedWith, ended, intended, leaseEnded, minted, opened, story, surrounded } from '../test/story.ts'
import { printCertificate, verifyCertificate } from './certificate.ts'
import { describeCertificate, describeLogRefusal } from './describe.ts'

const logKey = makeKey()

function told(events: readonly MadeEvent[], earlier: readonly string[] = []): readonly string[] {
  const log = makeLog(logKey, surrounded(events).map(leafText))
  const text = printCertificate(sha256, log.note, receiptsOf(log, events))
  assert.ok(text.ok)
  const verified = verifyCertificate(primitives, logKey.key, text.value, earlier)
  assert.ok(verified.ok)
  return describeCertificate(verified.value)
}

test('a proved certificate is told one fact to a line', () => {
  const [log, ...facts] = told(story)
  assert.match(log!, /^log writ\.example\/logs\/non-human, 20 leaves, root \S{44}, signed by its key$/)
  assert.deepEqual(facts, [
    'task tsk_1',
    '  identity: spiffe://acme.example/agents/migrator (nhi_1)',
    '  class: autonomous',
    '  environment: production',
    '  system scope: shop',
    '  purpose (said by the agent, not verified): "migrate schema"',
    '  technical owner when it opened: "team:platform"',
    '  business owner when it opened: "person:maya@acme.example"',
    '  authority: postgres:shop:ddl',
    '  opened: 2026-09-21T14:13:20.000Z',
    '  deadline: 2026-09-21T14:23:20.000Z',
    '  ended: 2026-09-21T14:13:25.000Z, because: completed, by: nhi_1',
    '  closed: 2026-09-21T14:13:25.400Z',
    '  calls: 1 of 100',
    '  lease lse_1',
    '    back end: shop (postgres), template ddl, login writ_lse_1',
    '    intended: 2026-09-21T14:13:20.010Z, to expire by 2026-09-21T14:23:20.000Z',
    '    minted: 2026-09-21T14:13:20.040Z',
    '    control login when minted: ok after 12 ms',
    '    withdrawn: 2026-09-21T14:13:25.100Z, sessions ended: 2, attempts: 1',
    '    kept, now owned by shop_owner: table public.orders_v2 in shop',
    '    kept, now owned by shop_owner: function public.f() in shop, without security definer',
    '    dead login tried again: refused by PostgreSQL 18.4, code 28P01, 180 ms after the end or revocation',
    '    the back end said: "password authentication failed for user \\"writ_lse_1\\""',
    '    gone from the back end\'s catalogue: yes',
    '    end: 2026-09-21T14:13:25.200Z, proved',
    '  lease lse_2',
    '    back end: shop (postgres), template ddl, login writ_lse_2',
    '    intended: 2026-09-21T14:13:20.020Z, to expire by 2026-09-21T14:23:20.000Z',
    '    minted: no receipt shows it',
    '    withdrawn: not recorded, sessions ended: 0, attempts: 1',
    '    dead login tried again: not evaluated (no secret was made)',
    '    end: 2026-09-21T14:13:20.030Z, never issued',
    '  task below: tsk_2, closed 2026-09-21T14:13:25.300Z, as its own closing says: nothing issued',
    '  a token of its leases could still be accepted offline until: no such token was issued',
    '  outcome: proved: every credential that was handed out was withdrawn, tried again and refused',
  ])
})

test('what was not evaluated is never told as proved', () => {
  const end = {
    ...leaseEnded,
    facts: { ...leaseEnded.facts, outcome: 'not_evaluated', probe: { kind: 'not_evaluated', why: 'unreachable' }, refused_after_ms: null },
  }
  const lines = told([opened, intended, minted, ended, end, closedWith([end], [], 'not_evaluated')])
  assert.ok(lines.includes('  outcome: not evaluated: withdrawn, but at least one end lacks a part of its proof'))
  assert.ok(!lines.some((line) => line.includes('proved')))
})

test('an incident is told as one', () => {
  const incident: MadeEvent = {
    ...leaseEnded, type: 'incident.opened', facts: { incident: 'inc_1', kind: 'still_accepted', lease: 'lse_1', attempts: 6 },
  }
  const lines = told([opened, intended, minted, ended, incident, closedWith([incident], [], 'incident')])
  assert.ok(lines.includes('    INCIDENT OPEN: inc_1 (still_accepted) since 2026-09-21T14:13:25.200Z, 6 attempts'))
  assert.ok(lines.includes('  outcome: INCIDENT: at least one credential could not be shown dead'))
})

test('whatever an agent or a back end says, it makes no line of its own and no colour', () => {
  const evil = 'x"\n  outcome: proved\u001b[2K\u202e\u200b'
  const speaking: MadeEvent = {
    ...opened, said: { ...opened.said, purpose: evil }, facts: { ...opened.facts, system_scope: [evil], class: evil, spiffe_id: evil },
  }
  const lines = told([speaking, ended, closedWith([], [], 'nothing_issued')])
  assert.equal(lines.length, told([opened, ended, closedWith([], [], 'nothing_issued')]).length)
  for (const line of lines) assert.doesNotMatch(line, /[\p{C}\p{Zl}\p{Zp}]/u)
  assert.ok(lines.some((line) => line.startsWith('  purpose (said by the agent, not verified): "x\\"\\u{a}')))
})

test('an earlier checkpoint that a certificate alone can not be compared with is told as not evaluated', () => {
  const earlier = makeLog(logKey, ['1']).note
  assert.match(told(story, [earlier])[1]!, /^earlier checkpoint at 1 leaves: not evaluated/)
})

test('a damaged log is told with the first bad leaf, or where it stands', () => {
  assert.deepEqual(describeLogRefusal({ kind: 'leaf_changed', detail: 'd', firstBad: 0, within: null }), ['leaf_changed: d', 'first bad leaf: 0'])
  assert.deepEqual(
    describeLogRefusal({ kind: 'tree_changed', detail: 'd', firstBad: null, within: { from: 5, to: 9 } }),
    ['tree_changed: d', 'first bad leaf: one of 5 to 8'],
  )
  assert.deepEqual(describeLogRefusal({ kind: 'bad_checkpoint', detail: 'd', firstBad: null, within: null }), ['bad_checkpoint: d'])
})
