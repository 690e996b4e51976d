import assert from 'node:assert/strict'
import { test } from 'node:test'
import { UNATTENDED as inContract } from '@writ/contract/endpoint'
import { isAttended, UNATTENDED, watchTouches } from './attended.ts'

test('a page that nobody has touched for a minute is unattended until somebody does', (t) => {
  assert.equal(UNATTENDED, inContract)
  t.mock.timers.enable({ apis: ['Date'], now: Date.now() })
  const page = new EventTarget()
  watchTouches(page)
  assert.equal(isAttended(), true)
  t.mock.timers.tick(59_000)
  assert.equal(isAttended(), true)
  t.mock.timers.tick(2000)
  assert.equal(isAttended(), false)
  page.dispatchEvent(new Event('keydown'))
  assert.equal(isAttended(), true)
})
