import assert from 'node:assert/strict'
import { test } from 'node:test'
import { monotonicClock } from './platform/clock.ts'
import { patiently, patientUntil } from './patience.ts'
import type { Store } from './record/tx.ts'
import { StorageUnavailable, type Left } from './store/faults.ts'

const clock = monotonicClock(() => {})

/** Fails so often before it answers. */
function failing(times: number, code: string, left: Left) {
  let asked = 0
  const ask = async (): Promise<string> => {
    if (asked++ < times) throw new StorageUnavailable(code, left)
    return 'an answer'
  }
  return { ask, asked: () => asked }
}

const storeThat = (ask: () => Promise<string>): Store => ({ read: ask }) as unknown as Store

test('a start waits for a database that is slow, and not for one that refuses the login', async () => {
  const slow = failing(2, 'connection failed', 'nothing')
  assert.equal(await patiently(clock, slow.ask), 'an answer')
  for (const code of ['28P01', '28000', '3D000']) {
    const refusing = failing(1, code, 'nothing')
    await assert.rejects(patiently(clock, refusing.ask), StorageUnavailable)
    assert.equal(refusing.asked(), 1, code)
  }
})

test('while it starts a server asks again what was not done, and nothing that may have been; once it is up, nothing', async () => {
  let isUp = false
  const patient = (of: { readonly ask: () => Promise<string> }): Promise<string> => patientUntil(() => isUp, storeThat(of.ask), clock).read(async () => '')
  assert.equal(await patient(failing(1, 'connection failed', 'nothing')), 'an answer')
  const unknown = failing(1, 'connection failed', 'unknown')
  await assert.rejects(patient(unknown), StorageUnavailable)
  assert.equal(unknown.asked(), 1)
  isUp = true
  const late = failing(1, 'connection failed', 'nothing')
  await assert.rejects(patient(late), StorageUnavailable)
  assert.equal(late.asked(), 1)
})
