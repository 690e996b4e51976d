import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { MOST_ATTEMPTS, outcomeOf, retryDelay, type ControlLogin, type Probe } from './lease.ts'
import { milliseconds } from './time.ts'

const refused = { kind: 'refused', by: 'PostgreSQL 18.4', code: '28P01', message: 'password authentication failed', tookMs: 3 } as const
const PROBES: Readonly<Record<string, Probe>> = {
  'was refused and is absent': { ...refused, absentFromCatalogue: true },
  'was refused and is still listed': { ...refused, absentFromCatalogue: false },
  'was accepted': { kind: 'accepted', by: 'PostgreSQL 18.4' },
  'could not be tried': { kind: 'not_evaluated', why: 'ECONNREFUSED' },
}
const CONTROLS: Readonly<Record<string, ControlLogin | null>> = {
  'had worked': { ok: true, tookMs: 4 },
  'had failed': { ok: false, why: '53300' },
  'had not been tried': null,
}

/** Read as: a lease that was live / never live, whose control login ..., whose dead secret ... */
const TABLE: readonly (readonly [everLive: boolean, control: string, probe: string, outcome: string])[] = [
  [true, 'had worked', 'was refused and is absent', 'proved'],
  [true, 'had worked', 'was refused and is still listed', 'not_evaluated'],
  [true, 'had worked', 'was accepted', 'still_accepted'],
  [true, 'had worked', 'could not be tried', 'not_evaluated'],
  [true, 'had failed', 'was refused and is absent', 'not_evaluated'],
  [true, 'had failed', 'was refused and is still listed', 'not_evaluated'],
  [true, 'had failed', 'was accepted', 'still_accepted'],
  [true, 'had failed', 'could not be tried', 'not_evaluated'],
  [true, 'had not been tried', 'was refused and is absent', 'not_evaluated'],
  [true, 'had not been tried', 'was refused and is still listed', 'not_evaluated'],
  [true, 'had not been tried', 'was accepted', 'still_accepted'],
  [true, 'had not been tried', 'could not be tried', 'not_evaluated'],
  [false, 'had worked', 'was refused and is absent', 'never_issued'],
  [false, 'had worked', 'was refused and is still listed', 'never_issued'],
  [false, 'had worked', 'was accepted', 'still_accepted'],
  [false, 'had worked', 'could not be tried', 'never_issued'],
  [false, 'had failed', 'was refused and is absent', 'never_issued'],
  [false, 'had failed', 'was refused and is still listed', 'never_issued'],
  [false, 'had failed', 'was accepted', 'still_accepted'],
  [false, 'had failed', 'could not be tried', 'never_issued'],
  [false, 'had not been tried', 'was refused and is absent', 'never_issued'],
  [false, 'had not been tried', 'was refused and is still listed', 'never_issued'],
  [false, 'had not been tried', 'was accepted', 'still_accepted'],
  [false, 'had not been tried', 'could not be tried', 'never_issued'],
]

for (const [everLive, control, probe, outcome] of TABLE) {
  const lease = `a lease that was ${everLive ? '' : 'never '}handed out`
  test(`${lease}, whose control login ${control} and whose dead secret ${probe}, is ${outcome}`, () => {
    assert.equal(outcomeOf(everLive, CONTROLS[control]!, PROBES[probe]!), outcome)
  })
}

test('the table names every combination once', () => {
  assert.equal(TABLE.length, 2 * Object.keys(CONTROLS).length * Object.keys(PROBES).length)
  assert.equal(new Set(TABLE.map((row) => row.slice(0, 3).join())).size, TABLE.length)
})

test('each retry waits about twice as long as the one before, and within half and one and a half of it', () => {
  const base = milliseconds(1000)
  const random01 = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })
  fc.assert(fc.property(fc.integer({ min: 1, max: MOST_ATTEMPTS }), random01, (attempt, random) => {
    const delay = retryDelay(attempt, base, random)
    const middle = base * 2 ** (attempt - 1)
    assert.ok(Number.isSafeInteger(delay) && delay >= middle / 2 && delay <= middle * 1.5)
  }))
  assert.equal(MOST_ATTEMPTS, 6)
  assert.deepEqual([1, 2, 3, 4, 5, 6].map((attempt) => retryDelay(attempt, base, 0.5)), [1000, 2000, 4000, 8000, 16_000, 32_000])
})
