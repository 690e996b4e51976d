import assert from 'node:assert/strict'
import { test } from 'node:test'
import { exactText, InexactNumber, type ExactValue } from '@writ/domain/exact'
import { readBundle } from './bundle.ts'
import { openEngine, type Engine } from './engine.ts'
import type { Answer } from './explanation.ts'
import { readJson, exactOf } from './json-text.ts'
import type { Question } from './question.ts'
import { readQuestion } from './recorded-question.ts'
import { openReplay, type RecordedDecision } from './replay.ts'

const DRAFT = `@id("shop")
permit (principal, action == Writ::Action::"connect", resource == Writ::Backend::"shop") when { context.budget_left > 0 };

@id("files")
permit (principal, action == Writ::Action::"connect", resource == Writ::Backend::"files") when { context.approved };
`

function draft(): Engine {
  const bundle = readBundle({ 'a.cedar': DRAFT })
  return bundle.ok ? openEngine(bundle.value) : assert.fail(JSON.stringify(bundle.refusal))
}

const connecting = (backend: string): Question => ({
  principal: {
    uid: { type: 'Writ::Agent', id: 'spiffe://acme.test/a' },
    attributes: { class: 'autonomous', environment: 'development', system_scope: [] }, parents: [{ type: 'Writ::Class', id: 'autonomous' }],
  },
  action: 'connect',
  resource: { uid: { type: 'Writ::Backend', id: backend }, attributes: { kind: 'postgres', labels: [], effect: 'write', reversible: false }, parents: [] },
  arguments: {},
  claimed: {},
  known: {
    task: 'tsk_1', purpose: { entity: { type: 'Writ::Purpose', id: 'none' } }, class: 'autonomous', environment: 'development', depth: 0n,
    budget_left: 10n, labels: [], approved: false, at: '2026-01-05T12:00:00Z', template: 'ddl',
  },
})

const recorded = (id: string, answer: Answer, backend: string, more: Partial<RecordedDecision> = {}): RecordedDecision =>
  ({ id, answer, byPolicy: true, question: connecting(backend), ...more })

test('a replay counts who changes from what to what, and lists those that do', () => {
  const replay = openReplay(draft())
  for (const one of [
    recorded('dec_1', 'allow', 'shop'), recorded('dec_2', 'deny', 'shop'), recorded('dec_3', 'allow', 'files'),
    recorded('dec_4', 'approval_required', 'files'), recorded('dec_5', 'allow', 'other'), recorded('dec_6', 'deny', 'other'),
  ]) replay.feed(one)
  const { matrix, fed, changed, listed } = replay.state()
  assert.deepEqual(matrix, {
    allow: { allow: 1, approval_required: 1, deny: 1 },
    approval_required: { allow: 0, approval_required: 1, deny: 0 },
    deny: { allow: 1, approval_required: 0, deny: 1 },
  })
  assert.deepEqual([fed, changed], [6, 3])
  assert.deepEqual(listed.map(({ id, was, now, by }) => [id, was, now, by.map(({ policy }) => policy)]), [
    ['dec_2', 'deny', 'allow', ['shop']], ['dec_3', 'allow', 'approval_required', []], ['dec_5', 'allow', 'deny', []],
  ])
})

test('a decision whose question was erased is not evaluated, neither the same nor changed', () => {
  const replay = openReplay(draft())
  replay.feed(recorded('dec_1', 'allow', 'shop', { question: null }))
  const { matrix, fed, changed, notEvaluated } = replay.state()
  assert.deepEqual([fed, changed, notEvaluated], [1, 0, 1])
  assert.equal(Object.values(matrix).flatMap((row) => Object.values(row)).reduce((sum, count) => sum + count, 0), 0)
})

test('a denial that no policy made stays one, whatever the draft permits', () => {
  const replay = openReplay(draft())
  replay.feed(recorded('dec_1', 'deny', 'shop', { byPolicy: false }))
  const { changed, notByPolicy } = replay.state()
  assert.deepEqual([changed, notByPolicy], [0, 1])
})

test('a question that the draft can not evaluate is denied now, with the error', () => {
  const replay = openReplay(draft())
  replay.feed(recorded('dec_1', 'allow', 'shop', { question: { ...connecting('shop'), arguments: { a: 1n } } }))
  const [one] = replay.state().listed
  assert.equal(one?.now, 'deny')
  assert.equal(one.errors.length, 1)
})

test('all changes are counted, and the first of them listed', () => {
  const replay = openReplay(draft(), 2)
  for (const id of ['dec_1', 'dec_2', 'dec_3']) replay.feed(recorded(id, 'allow', 'other'))
  const { changed, listed } = replay.state()
  assert.deepEqual([changed, listed.map(({ id }) => id)], [3, ['dec_1', 'dec_2']])
})

test('a state that was taken does not move with what is fed later', () => {
  const replay = openReplay(draft())
  const before = replay.state()
  replay.feed(recorded('dec_1', 'allow', 'other'))
  assert.deepEqual([before.matrix.allow.deny, before.listed.length, replay.state().matrix.allow.deny], [0, 0, 1])
})

test('a question comes back from its JSON with every digit', () => {
  const question: Question = { ...connecting('shop'), arguments: { a: 9007199254740993n, b: new InexactNumber('1.50') } }
  const read = readJson('', exactText(question as unknown as ExactValue))
  assert.deepEqual(read.ok && readQuestion(exactOf(read.value.root)), question)
})

for (const text of ['null', '[]', '{}', '{"principal":{"uid":{"type":"a"}}}', '1.5']) {
  test(`\`${text}\` is no question`, () => {
    const read = readJson('', text)
    assert.equal(read.ok && readQuestion(exactOf(read.value.root)), undefined)
  })
}
