import assert from 'node:assert/strict'
import { test } from 'node:test'
import { asBody, oneMoreArgument } from './exact-arguments.ts'

for (const { said, sent } of [
  { said: 'amount=4200', sent: '{"amount":4200}' },
  { said: 'amount=9007199254740993', sent: '{"amount":9007199254740993}' },
  { said: 'amount=-9223372036854775808', sent: '{"amount":-9223372036854775808}' },
  { said: 'amount=1.50', sent: '{"amount":1.50}' },
  { said: 'amount=1e3', sent: '{"amount":1e3}' },
  { said: 'urgent=true', sent: '{"urgent":true}' },
  { said: 'note=null', sent: '{"note":null}' },
  { said: 'note=order 551', sent: '{"note":"order 551"}' },
  { said: 'note="4200"', sent: '{"note":"4200"}' },
  { said: 'note=', sent: '{"note":""}' },
  { said: 'note=a=b', sent: '{"note":"a=b"}' },
  { said: 'date=2026-11-22', sent: '{"date":"2026-11-22"}' },
  { said: 'ids=[1,9007199254740993]', sent: '{"ids":[1,9007199254740993]}' },
  { said: 'to={"id":9007199254740993,"name":"x"}', sent: '{"to":{"id":9007199254740993,"name":"x"}}' },
  { said: '__proto__=1', sent: '{"__proto__":1}' },
]) {
  test(`\`${said}\` is sent as ${sent}`, () => assert.equal(JSON.stringify(asBody(oneMoreArgument(said))), sent))
}

for (const said of ['amount', '=4200', '', 'a={"b":1,"b":2}', 'a=[1,', 'a="x', 'a=01', 'a=0x10']) {
  test(`\`${said}\` is refused`, () => assert.throws(() => oneMoreArgument(said), { code: 'commander.invalidArgument' }))
}

test('an argument that stands twice is refused', () => assert.throws(() => oneMoreArgument('a=2', oneMoreArgument('a=1')), /stands twice/))
