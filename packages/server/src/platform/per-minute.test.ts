import assert from 'node:assert/strict'
import { test } from 'node:test'
import { epochMs, milliseconds } from '@writ/domain/time'
import { fixedClock } from '../../test/fakes/clock.ts'
import { perMinute } from './per-minute.ts'

const START = epochMs(1_795_327_200_000)

test('a minute begins with the first time, and what was counted in it is gone with it', () => {
  const clock = fixedClock(START)
  const counted = perMinute(clock)
  assert.equal(counted.countOf('a'), 0)
  counted.add('a', 2)
  clock.advance(milliseconds(59_001))
  counted.add('a', 3)
  assert.deepEqual([counted.countOf('a'), counted.secondsLeft('a'), counted.countOf('b')], [5, 1, 0])
  clock.advance(milliseconds(999))
  assert.deepEqual([counted.countOf('a'), counted.secondsLeft('a')], [0, 1])
  counted.add('a', 1)
  assert.deepEqual([counted.countOf('a'), counted.secondsLeft('a')], [1, 60])
})

test('nothing that is counted begins no minute', () => {
  const clock = fixedClock(START)
  const counted = perMinute(clock)
  counted.add('a', 0)
  clock.advance(milliseconds(30_000))
  counted.add('a', 1)
  assert.equal(counted.secondsLeft('a'), 60)
})

test('whoever began first is forgotten where there are too many, and nobody else', () => {
  const clock = fixedClock(START)
  const counted = perMinute(clock, 3)
  for (const name of ['a', 'b', 'c', 'a', 'd']) counted.add(name, 1)
  assert.deepEqual(['a', 'b', 'c', 'd'].map(counted.countOf), [0, 1, 1, 1])
  clock.advance(milliseconds(30_000))
  counted.add('e', 1)
  clock.advance(milliseconds(30_000))
  counted.add('f', 1)
  assert.deepEqual(['b', 'c', 'd', 'e', 'f'].map(counted.countOf), [0, 0, 0, 1, 1])
})
