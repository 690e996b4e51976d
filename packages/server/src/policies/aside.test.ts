import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { DecisionId } from '@writ/domain/id'
import { DEFAULT_BUNDLE } from '@writ/policy/defaults'
import { policiesAside } from './aside.ts'
import { digestOf } from './apply.ts'
import type { CheckedFiles } from './check.ts'

const order = (asked: string, files = DEFAULT_BUNDLE) => ({ decision: 'dec_1' as DecisionId, version: 1, files, asked, cause: { kind: 'budget' } as const, traceId: null })

test('policies are checked beside, while this thread goes on, and what is wrong is said by its place', async (t) => {
  const aside = policiesAside()
  t.after(() => aside.close())
  let turns = 0
  const ticking = setInterval(() => { turns++ }, 1)
  const checks = await Promise.all([DEFAULT_BUNDLE, { 'a.cedar': 'permit' }].map((files) => aside.check(files)))
  clearInterval(ticking)
  assert.deepEqual(checks.map((one) => one.ok), [true, false])
  assert.ok(turns > 10, `${turns} turns`)
  const [, bad] = checks
  assert.ok(bad?.ok === false && bad.refusal[0]!.file === 'a.cedar' && bad.refusal[0]!.line === 1)
})

test('a job that fails is a fault of its own, and the next one is done', async (t) => {
  const aside = policiesAside()
  t.after(() => aside.close())
  await assert.rejects(aside.explain(order('no JSON')), /what was asked at dec_1 can not be read: malformed_json/)
  await assert.rejects(aside.explain({ ...order('{}', { 'a.cedar': 'permit' }), version: 2 }), /version 2 of the policies can not be read/)
  assert.ok((await aside.check(DEFAULT_BUNDLE)).ok)
})

test('whoever waits when it is closed is told, and nothing that is asked later hangs', async () => {
  const aside = policiesAside()
  const waiting = assert.rejects(aside.check(DEFAULT_BUNDLE), /the thread beside ended/)
  await aside.close()
  await waiting
  assert.ok((await aside.check(DEFAULT_BUNDLE)).ok)
  await aside.close()
})

test('the same files have the same digest in whatever order they come, and no others have it', () => {
  const digest = (files: Readonly<Record<string, string>>) => digestOf(files as CheckedFiles)
  assert.equal(digest({ a: '1', b: '2' }), digest({ b: '2', a: '1' }))
  assert.notEqual(digest({ a: '1', b: '2' }), digest({ a: '12', b: '' }))
  assert.match(digest({ a: '' }), /^[0-9a-f]{64}$/)
})
