import assert from 'node:assert/strict'
import { test } from 'node:test'
import { leafText, makeKey, makeLog, primitives, receiptsOf, sha256, type MadeEvent } from '../test/made-log.ts'
import { closedWith, ended, opened, story } from '../test/story.ts'
import { closureOr, verified } from '../test/verified.ts'
import { printCertificate, verifyCertificate } from './certificate.ts'
import { describeClosure } from './describe.ts'

const logKey = makeKey()

const widened = (nth: number, facts: Record<string, unknown>): MadeEvent => ({
  id: `evt_w${nth}`, type: 'task.widened', at: opened.at + 100 * nth, task: 'tsk_1', identity: 'nhi_1', facts: { nth, ...facts } as MadeEvent['facts'],
  said: { reason: `reason ${nth}` },
})
const [DDL, READ, WRITE] = ['postgres:shop:ddl', 'postgres:shop:read', 'postgres:shop:write'] as const
const first = widened(1, { added: [READ], authority: [DDL, READ] })
const second = widened(2, { added: [WRITE], authority: [DDL, READ, WRITE] })
const endedAfter = (times: unknown): MadeEvent => ({ ...ended, facts: { ...ended.facts, widened: times } as MadeEvent['facts'] })
const over = closedWith([], [], 'nothing_issued')
const wide = [opened, first, second, endedAfter(2), over] as const

test('a certificate tells what the task was opened with, and what it was given later, when and why as it said', () => {
  const closure = closureOr(verified(wide))
  assert.deepEqual([closure.authority, closure.widenings], [[DDL], [
    { at: first.at, added: [READ], reason: 'reason 1' }, { at: second.at, added: [WRITE], reason: 'reason 2' },
  ]])
  const lines = describeClosure(closure)
  assert.deepEqual(lines.slice(lines.indexOf(`  authority: ${DDL}`)).slice(1, 3), [
    `  widened: 2026-09-21T14:13:20.100Z, by ${READ}, because (said by the agent, not verified): "reason 1"`,
    `  widened: 2026-09-21T14:13:20.200Z, by ${WRITE}, because (said by the agent, not verified): "reason 2"`,
  ])
})

test('a task that was never widened says so, and one of before there were widenings says nothing', () => {
  assert.deepEqual(closureOr(verified([opened, endedAfter(0), over])).widenings, [])
  const before = closureOr(verified(story))
  assert.ok(!('widenings' in before), 'the summary of an older certificate would no longer be what its receipts show')
})

test('a reason that was erased is told as not disclosed, and the widening stays', () => {
  const log = makeLog(logKey, wide.map(leafText))
  const receipts = receiptsOf(log, wide).map(({ leaf, index, proof, disclosures }) =>
    leaf.includes('evt_w1') ? { leaf, index, proof } : { leaf, index, proof, ...(disclosures === undefined ? {} : { disclosures }) })
  const printed = printCertificate(sha256, log.note, receipts)
  const read = verifyCertificate(primitives, logKey.key, printed.ok ? printed.value : '')
  assert.deepEqual(read.ok && read.value.closure.widenings?.map(({ reason }) => reason), [null, 'reason 2'])
})

test('a grant that a wider one covers is gone from the authority, and that is no contradiction', () => {
  const narrow: MadeEvent = { ...opened, facts: { ...opened.facts, authority: [`${READ}?rows=5`] } }
  const wider = widened(1, { added: [READ], authority: [READ] })
  assert.deepEqual(closureOr(verified([narrow, wider, endedAfter(1), over])).widenings?.map(({ added }) => added), [[READ]])
})

for (const { what, events, kind } of [
  { what: 'a widening is left out', events: [opened, first, endedAfter(2), over], kind: 'incomplete' },
  { what: 'the other one is left out', events: [opened, second, endedAfter(2), over], kind: 'incomplete' },
  { what: 'all widenings are left out', events: [opened, endedAfter(2), over], kind: 'incomplete' },
  { what: 'there is one more than the end says', events: [opened, first, second, endedAfter(1), over], kind: 'contradiction' },
  { what: 'the end is of before there were widenings', events: [opened, first, ended, over], kind: 'contradiction' },
  { what: 'a widening stands twice', events: [opened, first, { ...first, id: 'evt_x' }, endedAfter(2), over], kind: 'out_of_order' },
  { what: 'two widenings changed places', events: [opened, second, first, endedAfter(2), over], kind: 'out_of_order' },
  { what: 'the task was widened after its end', events: [opened, first, endedAfter(2), second, over], kind: 'out_of_order' },
  { what: 'the task was widened before it opened', events: [first, opened, second, endedAfter(2), over], kind: 'out_of_order' },
  { what: 'a widening is of another task', events: [opened, { ...first, task: 'tsk_2' }, endedAfter(1), over], kind: 'foreign_receipt' },
  { what: 'a widening is of another identity', events: [opened, { ...first, identity: 'nhi_2' }, endedAfter(1), over], kind: 'foreign_receipt' },
  { what: 'a widening adds nothing', events: [opened, widened(1, { added: [], authority: [DDL] }), endedAfter(1), over], kind: 'contradiction' },
  { what: 'a widening adds what was there', events: [opened, widened(1, { added: [DDL], authority: [DDL] }), endedAfter(1), over], kind: 'contradiction' },
  { what: 'what was added is not in the authority', events: [opened, widened(1, { added: [READ], authority: [DDL] }), endedAfter(1), over], kind: 'contradiction' },
  { what: 'a widening adds more than it says', events: [opened, widened(1, { added: [READ], authority: [DDL, READ, WRITE] }), endedAfter(1), over], kind: 'contradiction' },
  { what: 'a widening does not say what it added', events: [opened, widened(1, { authority: [DDL, READ] }), endedAfter(1), over], kind: 'malformed_facts' },
  { what: 'the end does not count', events: [opened, endedAfter('none'), over], kind: 'malformed_facts' },
]) {
  test(`a certificate is refused when ${what}`, () => assert.equal(verified(events), kind))
}

test('the receipt of a widening can not be taken out of the file, nor the summary be made to hide it', () => {
  const log = makeLog(logKey, wide.map(leafText))
  const printed = printCertificate(sha256, log.note, receiptsOf(log, wide))
  assert.ok(printed.ok)
  type File = { receipts: { leaf: string }[]; summary: { widenings?: unknown[] } }
  for (const { damage, kind } of [
    { damage: (file: File) => { file.receipts = file.receipts.filter(({ leaf }) => !leaf.includes('evt_w2')) }, kind: 'incomplete' },
    { damage: (file: File) => { file.summary.widenings = [] }, kind: 'wrong_summary' },
    { damage: (file: File) => { delete file.summary.widenings }, kind: 'wrong_summary' },
  ]) {
    const file = JSON.parse(printed.value) as File
    damage(file)
    const read = verifyCertificate(primitives, logKey.key, JSON.stringify(file))
    assert.equal(read.ok ? 'ok' : read.refusal.kind, kind)
  }
})
