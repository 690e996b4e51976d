import assert from 'node:assert/strict'
import { test } from 'node:test'
import { epochMs, seconds, type Milliseconds } from '@writ/domain/time'
import fc from 'fast-check'
import { fixedClock } from '../../test/fakes/clock.ts'
import { monotonicClock } from './clock.ts'

const START = 1_795_327_200_000
const HOUR = 3_600_000

/** A host whose two readings the test moves by hand. */
function settableHost() {
  const host = { wall: START, monotonic: 5_000.25 }
  return {
    host: { monotonicMs: () => host.monotonic, wallMs: () => host.wall },
    passes: (ms: number) => {
      host.wall += ms
      host.monotonic += ms
    },
    wallJumps: (ms: number) => {
      host.wall += ms
    },
  }
}

function clockOn(host: ReturnType<typeof settableHost>) {
  const skews: Milliseconds[] = []
  return { clock: monotonicClock((skew) => skews.push(skew), host.host), skews }
}

test('the clock starts at the wall time of the host, in whole milliseconds', () => {
  const host = settableHost()
  const { clock } = clockOn(host)
  assert.equal(clock.now(), START)
  host.passes(1_000.6)
  assert.equal(clock.now(), START + 1_000)
})

test('the real clock tells the time of day', () => {
  const clock = monotonicClock(() => assert.fail('no skew was expected'))
  assert.ok(Math.abs(clock.now() - Date.now()) < 1_000)
  clock.resync()
})

for (const { when, jump } of [
  { when: 'back by an hour', jump: -HOUR },
  { when: 'back by a leap second', jump: -1_000 },
  { when: 'forward by an hour', jump: HOUR },
  { when: 'forward by a day', jump: 24 * HOUR },
]) {
  test(`setting the host's clock ${when} moves nothing between two comparisons`, () => {
    const host = settableHost()
    const { clock, skews } = clockOn(host)
    host.wallJumps(jump)
    host.passes(10)
    assert.equal(clock.now(), START + 10)
    assert.deepEqual(skews, [])
  })
}

for (const { when, jump, after, reported } of [
  { when: 'an hour behind is reported and not followed', jump: -HOUR, after: START, reported: [-HOUR] },
  { when: 'three seconds behind is reported and not followed', jump: -3_000, after: START, reported: [-3_000] },
  { when: 'a leap second behind is waited for in silence', jump: -1_000, after: START, reported: [] },
  { when: 'two seconds ahead is adopted in silence', jump: 2_000, after: START + 2_000, reported: [] },
  { when: 'an hour ahead is reported and adopted', jump: HOUR, after: START + HOUR, reported: [HOUR] },
  { when: 'a day ahead is reported and adopted', jump: 24 * HOUR, after: START + 24 * HOUR, reported: [24 * HOUR] },
]) {
  test(`a reference that is ${when}`, () => {
    const { clock, skews } = clockOn(settableHost())
    assert.equal(clock.resync(epochMs(START + jump)), jump)
    assert.equal(clock.now(), after)
    assert.deepEqual(skews, reported)
  })
}

test('a clock that is a second ahead stands still for a second and then runs with its reference', () => {
  const host = settableHost()
  const { clock } = clockOn(host)
  clock.resync(epochMs(START - 1_000))
  host.passes(900)
  assert.equal(clock.now(), START)
  host.passes(200)
  assert.equal(clock.now(), START + 100)
})

test('a reference that creeps backwards is reported once it is more than two seconds behind', () => {
  const { clock, skews } = clockOn(settableHost())
  clock.resync(epochMs(START - 1_500))
  clock.resync(epochMs(START - 3_000))
  assert.deepEqual(skews, [-3_000])
})

test('a reference that stays behind is reported at every comparison, until it is right again', () => {
  const host = settableHost()
  const { clock, skews } = clockOn(host)
  host.wallJumps(-HOUR)
  clock.resync()
  clock.resync()
  host.wallJumps(HOUR)
  assert.equal(clock.resync(), 0)
  assert.equal(skews.length, 2)
})

test('whatever the host and the reference do, time never goes backwards', () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant('passes' as const), ms: fc.double({ min: 0, max: 100_000, noNaN: true }) }),
    fc.record({ kind: fc.constant('wallJumps' as const), ms: fc.integer({ min: -48 * HOUR, max: 48 * HOUR }) }),
    fc.record({ kind: fc.constant('resync' as const), ms: fc.integer({ min: -48 * HOUR, max: 48 * HOUR }) }),
  )
  fc.assert(fc.property(fc.array(step, { maxLength: 50 }), (steps) => {
    const host = settableHost()
    const { clock } = clockOn(host)
    let before = clock.now()
    for (const { kind, ms } of steps) {
      if (kind === 'resync') clock.resync(epochMs(START + ms))
      else host[kind](ms)
      const now = clock.now()
      assert.ok(now >= before && Number.isSafeInteger(now))
      before = now
    }
  }))
})

test('a fixed clock moves only when it is told to', () => {
  const clock = fixedClock(epochMs(START))
  assert.equal(clock.now(), START)
  clock.advance(seconds(5))
  assert.equal(clock.now(), START + 5_000)
  clock.set(START)
  assert.equal(clock.now(), START)
})
