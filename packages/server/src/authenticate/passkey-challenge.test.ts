import assert from 'node:assert/strict'
import { createSecretKey, randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { epochMs, seconds } from '@writ/domain/time'
import { fixedClock } from '../../test/fakes/clock.ts'
import { eventMacOf } from '../keys/mac.ts'
import { hostEntropy } from '../platform/entropy.ts'
import { passkeyChallenges } from './passkey-challenge.ts'

const key = createSecretKey(randomBytes(32))
const serverAt = (clock = fixedClock(), notBefore: number | null = null, keys = [key]) =>
  ({ clock, ...passkeyChallenges({ eventMac: eventMacOf(keys), clock, entropy: hostEntropy, notBefore: notBefore === null ? null : epochMs(notBefore) }) })

test('a challenge that one server made is known to another, also after a new key', () => {
  const here = serverAt()
  const challenge = here.make('sign in')
  const there = serverAt(fixedClock(), null, [createSecretKey(randomBytes(32)), key])
  const use = there.check('sign in', challenge)
  assert.deepEqual(use?.hash, here.check('sign in', challenge)?.hash)
  assert.equal(serverAt(fixedClock(), null, [createSecretKey(randomBytes(32))]).check('sign in', challenge), undefined)
})

test('a challenge is good for one purpose, for five minutes, and to the letter', () => {
  const { make, check, clock } = serverAt()
  const challenge = make('sign in')
  for (const purpose of ['step up sgn_1', 'sign i', 'sign in ', '']) assert.equal(check(purpose, challenge), undefined)
  for (const other of ['', 'AAAA', `${challenge}A`, challenge.slice(1), `${challenge}=`, challenge.toUpperCase(), `B${challenge.slice(1)}`]) assert.equal(check('sign in', other), undefined)
  assert.notEqual(make('sign in'), challenge)
  const until = check('sign in', challenge)!.until
  assert.equal(until - clock.now(), seconds(300))
  clock.advance(seconds(299))
  assert.ok(check('sign in', challenge))
  clock.advance(seconds(1))
  assert.equal(check('sign in', challenge), undefined)
})

test('a restored store takes no challenge from before it was restored', () => {
  const clock = fixedClock()
  const challenge = serverAt(clock).make('sign in')
  assert.ok(serverAt(clock, clock.now()).check('sign in', challenge))
  assert.equal(serverAt(clock, clock.now() + 1).check('sign in', challenge), undefined)
})
