import assert from 'node:assert/strict'
import { inspect } from 'node:util'
import { test } from 'node:test'
import { toSeconds } from './duration.ts'
import { Misconfigured } from './errors.ts'
import { toAuthorizationDetail } from './grant.ts'
import { SecretValue } from './secret-value.ts'

test('a grant in words is what the server takes', () => {
  assert.deepEqual(toAuthorizationDetail('postgres:shop:read'), { type: 'postgres', locations: ['shop'], actions: ['read'] })
  assert.deepEqual(toAuthorizationDetail('stripe:refunds:create?amount=5000&count=2'), {
    type: 'stripe', locations: ['refunds'], actions: ['create'], limits: { amount: 5000, count: 2 },
  })
  const whole = { type: 'a', locations: ['b', 'c'], actions: ['d'] }
  assert.equal(toAuthorizationDetail(whole), whole)
})

for (const text of ['', 'postgres', 'postgres:shop', 'postgres:shop:read:more', 'a:b:c?', 'a:b:c?x', 'a:b:c?x=-1', 'a:b:c?x=1&x=2', 'a:b:c?x=1?y=2', '::']) {
  test(`\`${text}\` is no grant, and the way out is said`, () => {
    assert.throws(() => toAuthorizationDetail(text), (fault) => fault instanceof Misconfigured && fault.code === 'malformed_grant' && fault.explain().includes('TYPE:RESOURCE:ACTION'))
  })
}

test('a length of time is said with its unit, or in seconds', () => {
  assert.deepEqual([toSeconds('90s'), toSeconds('10m'), toSeconds('2h'), toSeconds(5)], [90, 600, 7200, 5])
})

for (const length of ['0s', '5', '-1s', '1.5m', '1d', '', 'forever', 0, -5, 1.5, Number.NaN, Number.POSITIVE_INFINITY]) {
  test(`\`${length}\` is no length of time`, () => {
    assert.throws(() => toSeconds(length as never), Misconfigured)
  })
}

test('a secret is shown by nothing but the one who asks for it', () => {
  const held = { secret: new SecretValue('hunter2') }
  for (const shown of [inspect(held), inspect(held, { showHidden: true, depth: 9 }), JSON.stringify(held), String(held.secret), ['', held.secret].join(''), JSON.stringify(Object.entries(held.secret))]) {
    assert.ok(!shown.includes('hunter2'), shown)
  }
  assert.equal(held.secret.reveal(), 'hunter2')
})
