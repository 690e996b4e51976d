import assert from 'node:assert/strict'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { listEvaluated } from '@writ/contract/decisions'
import { pathOf } from '@writ/contract/endpoint'
import { applyPolicies, showCurrentPolicies, showPolicies } from '@writ/contract/policies'
import { problem } from './double.ts'
import { put, REFUND_SET } from './policy-set.ts'
import { stageWithServer } from './run-writ.ts'
import { warmWritForFile } from './warm-writ.ts'

const writ = warmWritForFile()

const VERSION = { version: 4, digest: 'a'.repeat(64), in_force: true, rolled_back_to: null, reason: 'x\u001b[2J', applied_by: 'opr_1', applied_at: '2026-11-22T00:00:00.000Z' }

for (const path of ['../out.cedar', '/tmp/out.cedar', '.bashrc', 'a/../../out.cedar', 'a//b.cedar']) {
  test(`a server that names a file \`${path}\` writes nothing here`, async (t) => {
    const stage = await stageWithServer(t)
    stage.double.instead.set(pathOf(showPolicies, { version: '4' }), [{ status: 200, value: { ...VERSION, files: { 'good.cedar': '', [path]: 'forged' } } }])
    const before = readdirSync(stage.folder)
    const done = await writ(stage, ['policy', 'show', '4', '--out', 'below'])
    assert.deepEqual([done.code, done.out], [1, ''], done.err)
    assert.match(done.err, /have paths that no directory of policies has; nothing was written/)
    assert.deepEqual([readdirSync(stage.folder), existsSync(join(stage.folder, 'below'))], [before, false])
  })
}

test('files and reasons of a server can not act on a terminal', async (t) => {
  const stage = await stageWithServer(t)
  stage.double.instead.set(showCurrentPolicies.path, Array(2).fill({ status: 200, value: { ...VERSION, files: { 'a.cedar': '// \u001b[2J\npermit' } } }))
  for (const args of [[], ['--json']]) {
    const done = await writ(stage, ['policy', 'show', ...args])
    assert.equal(done.code, 0, done.err)
    assert.ok(!(done.out + done.err).includes('\u001b'))
  }
})

test('what the server finds wrong after all is shown as it says it', async (t) => {
  const stage = await stageWithServer(t)
  put(join(stage.folder, 'p'), REFUND_SET)
  stage.double.instead.set(showCurrentPolicies.path, [{ status: 200, value: { ...VERSION, files: { ...REFUND_SET, 'refunds.cedar': '' } } }])
  stage.double.instead.set(applyPolicies.path, [problem(422, 'policy-refused', { errors: [{ field: 'refunds.cedar:7:3', message: 'not here' }] })])
  const done = await writ(stage, ['policy', 'apply', 'p', '--reason', 'why not'])
  assert.equal(done.code, 6, done.err)
  assert.match(done.err, / {2}refunds\.cedar:7:3: not here/)
  const { body } = stage.double.asked.at(-1)!
  assert.deepEqual([body.expected_version, body.reason, body.files], [4, 'why not', REFUND_SET])
})

test('a replay whose server breaks off says so, and shows no number', async (t) => {
  const stage = await stageWithServer(t)
  put(join(stage.folder, 'p'), REFUND_SET)
  const one = { id: 'dec_1', at: '2026-11-22T00:00:00.000Z', answer: 'allow', cause: 'policy', approvable: false, would_deny: false, advisory: false, policy_version: 1, policies: [], errors: [], question: null }
  stage.double.instead.set(listEvaluated.path, [{ status: 200, value: { decisions: [one], total: 2, next: 'dec_1' } }, problem(500, 'internal')])
  const done = await writ(stage, ['policy', 'simulate', 'p'])
  assert.deepEqual([done.code, done.out], [1, ''], done.err)
  assert.match(done.err, /the title of internal/)
})

test('decisions whose question is erased are not evaluated, and counted as that', async (t) => {
  const stage = await stageWithServer(t)
  put(join(stage.folder, 'p'), REFUND_SET)
  const one = { id: 'dec_1', at: '2026-11-22T00:00:00.000Z', answer: 'allow', cause: 'policy', approvable: false, would_deny: false, advisory: true, policy_version: 1, policies: [], errors: [], question: null }
  stage.double.instead.set(listEvaluated.path, [{ status: 200, value: { decisions: [one, { ...one, id: 'dec_2', cause: 'budget', answer: 'deny' }], total: 2, next: null } }])
  const done = await writ(stage, ['policy', 'simulate', 'p'])
  assert.equal(done.code, 0, done.err)
  assert.match(done.out, /^0 decisions replayed in [\d.]+ s: no answer changes$/m)
  assert.match(done.err, /^1 decision not evaluated: what was asked is erased\n1 decision left out: denied by grant, budget or state, which no policy outweighs\n2 of all were advice/m)
})
