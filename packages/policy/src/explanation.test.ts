import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseGrantText, toAuthority, type Authority, type Permit } from '@writ/domain/authority'
import { actualOf, grantGap, inert } from './explanation.ts'

function permitOf(text: string): Permit {
  const parsed = parseGrantText(text)
  if (!parsed.ok) return assert.fail(text)
  const { type, locations, actions, limits } = parsed.value
  return { type, resource: locations[0]!, action: actions[0]!, limits: limits ?? {} }
}

const authorityOf = (...texts: readonly string[]): Authority => toAuthority(texts.map(permitOf))

for (const { when, grant, asked, nearest, failed, actual } of [
  { when: 'a limit is passed', grant: ['mcp:pay:send?amount=1000'], asked: 'mcp:pay:send?amount=4200', nearest: 'mcp:pay:send?amount=1000', failed: 'amount <= 1000', actual: '4200' },
  { when: 'a limit is left open', grant: ['mcp:pay:send?amount=1000'], asked: 'mcp:pay:send', nearest: 'mcp:pay:send?amount=1000', failed: 'amount <= 1000', actual: 'absent' },
  { when: 'the action is another', grant: ['mcp:pay:send', 'mcp:mail:list'], asked: 'mcp:mail:send', nearest: 'mcp:mail:list', failed: 'action is list', actual: 'send' },
  { when: 'the resource is another', grant: ['mcp:pay:send', 'postgres:shop:ddl'], asked: 'mcp:mail:send', nearest: 'mcp:pay:send', failed: 'resource is pay', actual: 'mail' },
  { when: 'two permits are for the same', grant: ['mcp:pay:send?amount=10&count=0', 'mcp:pay:send?amount=20&count=0'], asked: 'mcp:pay:send?amount=15&count=1', nearest: 'mcp:pay:send?amount=20&count=0', failed: 'count <= 0', actual: '1' },
  { when: 'nothing is alike', grant: ['postgres:shop:ddl', 'mcp:mail:list'], asked: 'mcp:pay:send', nearest: null, failed: null, actual: null },
  { when: 'the grant is empty', grant: [], asked: 'mcp:pay:send', nearest: null, failed: null, actual: null },
]) {
  test(`the permit that comes nearest is named when ${when}`, () => {
    assert.deepEqual(grantGap(authorityOf(...grant), permitOf(asked)), { asked, nearest, failed, actual })
  })
}

for (const { what, text, shown } of [
  { what: 'an ordinary text', text: 'Ünïcode 4200', shown: 'Ünïcode 4200' },
  { what: 'an escape sequence', text: 'a\u001b[31mb', shown: 'a\\u{1b}[31mb' },
  { what: 'a line end', text: 'a\nallowed: b', shown: 'a\\u{a}allowed: b' },
  { what: 'a change of direction', text: 'a\u202eb', shown: 'a\\u{202e}b' },
  { what: 'a character of no width', text: 'a\u200bb', shown: 'a\\u{200b}b' },
  { what: 'half of a pair', text: 'a\ud800', shown: 'a\\u{d800}' },
  { what: 'a text of 80 characters', text: '😀'.repeat(80), shown: '😀'.repeat(80) },
  { what: 'a longer text', text: '😀'.repeat(100_000), shown: `${'😀'.repeat(80)}...` },
]) {
  test(`${what} is shown inert`, () => {
    assert.equal(inert(text), shown)
  })
}

for (const { actual, shown } of [
  { actual: {}, shown: '' },
  { actual: { 'context.a': '1' }, shown: ' (is 1)' },
  { actual: { 'context.a': '1', 'context.b': 'absent' }, shown: ' (context.a is 1, context.b is absent)' },
]) {
  test(`${Object.keys(actual).length} values are shown beside a term`, () => {
    assert.equal(actualOf(actual), shown)
  })
}
