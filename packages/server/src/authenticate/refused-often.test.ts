import assert from 'node:assert/strict'
import { test } from 'node:test'
import { epochMs, milliseconds } from '@writ/domain/time'
import { fixedClock } from '../../test/fakes/clock.ts'
import { refusedOften } from './refused-often.ts'

function often(most = 20) {
  const clock = fixedClock(epochMs(1_795_327_200_000))
  const told: string[] = []
  const counted = refusedOften({ clock, most, onOver: (from) => { told.push(from) } })
  const refuse = (from: string, claim: string | null, times: number): void => { for (let i = 0; i < times; i++) counted.refused(from, claim) }
  return { ...counted, refuse, told, passes: (ms: number) => { clock.advance(milliseconds(ms)) } }
}

test('of what claims the same identity a tenth is looked at, from that address and for that minute', () => {
  const at = often()
  at.refuse('192.0.2.1', 'agent', 1)
  assert.equal(at.isOver('192.0.2.1', 'agent'), false)
  at.refuse('192.0.2.1', 'agent', 1)
  assert.deepEqual([['192.0.2.1', 'agent'], ['192.0.2.1', 'other'], ['192.0.2.1', null], ['192.0.2.2', 'agent']].map(([from, claim]) => at.isOver(from!, claim!)), [true, false, false, false])
  at.passes(60_000)
  assert.equal(at.isOver('192.0.2.1', 'agent'), false)
})

test('from an address that is refused too often nobody is looked at but those that were good there within the hour', () => {
  const at = often()
  at.proved('192.0.2.1', 'known')
  at.proved('192.0.2.1', 'guessed')
  at.proved('192.0.2.9', 'elsewhere')
  at.refuse('192.0.2.1', 'guessed', 2)
  at.refuse('192.0.2.1', null, 18)
  const isOver = () => ['known', 'guessed', 'elsewhere', null].map((claim) => at.isOver('192.0.2.1', claim))
  assert.deepEqual(isOver(), [false, true, true, true])
  assert.equal(at.isOver('192.0.2.9', null), false)
  assert.deepEqual(at.told, ['192.0.2.1'])
  at.passes(3_600_000)
  at.refuse('192.0.2.1', null, 20)
  assert.deepEqual(isOver(), [true, true, true, true])
  assert.deepEqual(at.told, ['192.0.2.1', '192.0.2.1'])
})

for (const [one, other, isSame] of [
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::1', true], ['2001:db8:1:2::1', '2001:db8:1:3::1', false], ['2001:db8::1', '2001:db8::2:3:4:5', true], ['::1', '::2', true],
  ['fe80::1%eth0', 'fe80::2%eth1', true], ['::ffff:192.0.2.1', '192.0.2.1', true], ['::ffff:192.0.2.1', '::ffff:192.0.2.2', false], ['', '192.0.2.1', false],
] as const) {
  test(`${one} and ${other} are ${isSame ? 'one place' : 'two places'}`, () => {
    const at = often()
    at.refuse(one, null, 20)
    assert.equal(at.isOver(other, null), isSame)
    assert.equal(at.isWatched(other), isSame)
  })
}
