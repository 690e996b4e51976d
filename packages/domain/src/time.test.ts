import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { earliest, epochMs, fromNumericDate, milliseconds, parseDuration, plus, seconds, toIso, toNumericDate } from './time.ts'

for (const { text, ms } of [
  { text: '1ms', ms: 1 },
  { text: '90s', ms: 90_000 },
  { text: '10m', ms: 600_000 },
  { text: '1h', ms: 3_600_000 },
  { text: '30d', ms: 2_592_000_000 },
  { text: '007s', ms: 7000 },
  { text: '999999999h', ms: 3_599_999_996_400_000 },
  { text: '999999999d', ms: undefined },
  { text: '1000000000s', ms: undefined },
  { text: '0s', ms: undefined },
  { text: '000000000d', ms: undefined },
  { text: '', ms: undefined },
  { text: '10', ms: undefined },
  { text: 'm', ms: undefined },
  { text: '-1s', ms: undefined },
  { text: '+1s', ms: undefined },
  { text: '1.5h', ms: undefined },
  { text: '1e3s', ms: undefined },
  { text: '0x10s', ms: undefined },
  { text: ' 1s', ms: undefined },
  { text: '1s\n', ms: undefined },
  { text: '1 s', ms: undefined },
  { text: '1S', ms: undefined },
  { text: '1w', ms: undefined },
  { text: '1h30m', ms: undefined },
  { text: '١s', ms: undefined },
  { text: 'Infinitys', ms: undefined },
  { text: 'forever', ms: undefined },
]) {
  test(`the length \`${text.replaceAll('\n', '\\n')}\` is ${ms === undefined ? 'refused' : `${ms} ms`}`, () => {
    assert.equal(parseDuration(text), ms)
  })
}

test('seconds are rounded down, so nothing outlives what it was cut from', () => {
  fc.assert(fc.property(fc.integer({ min: -(10 ** 12), max: 10 ** 13 }).map(epochMs), (at) => {
    const back = fromNumericDate(toNumericDate(at))
    assert.ok(back <= at && at - back < 1000 && Number.isSafeInteger(toNumericDate(at)))
  }))
  assert.equal(toNumericDate(epochMs(1999)), 1)
  assert.equal(toNumericDate(epochMs(2000)), 2)
})

test('the earliest of some instants is one of them and not after any', () => {
  fc.assert(fc.property(fc.array(fc.nat().map(epochMs), { minLength: 1 }), ([first, ...rest]) => {
    const found = earliest(first!, ...rest)
    assert.ok([first!, ...rest].includes(found) && [first!, ...rest].every((one) => found <= one))
  }))
})

test('an instant is printed in UTC with milliseconds', () => {
  assert.equal(toIso(plus(epochMs(0), milliseconds(seconds(1) + 5))), '1970-01-01T00:00:01.005Z')
})
