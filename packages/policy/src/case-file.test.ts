import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readCases, type PolicyCase } from './case-file.ts'
import type { Complaint } from './complaint.ts'

function casesOf(text: string): readonly PolicyCase[] {
  const read = readCases({ 'tests/a.json': text })
  return read.ok ? read.value : assert.fail(JSON.stringify(read.refusal))
}

function complaintsOf(text: string): readonly Complaint[] {
  const read = readCases({ 'tests/a.json': text })
  return read.ok ? assert.fail('the file was read') : read.refusal
}

test('a case needs no more than a name, an action, a resource and what is expected', () => {
  assert.deepEqual(casesOf('[\n  { "name": "a", "action": "call", "resource": "Tool mail/send", "expect": "allow" }\n]'), [{
    name: 'a', file: 'tests/a.json', line: 2, action: 'call', expect: 'allow', by: null,
    principal: { type: 'Agent', id: null, attributes: {}, parents: [] },
    resource: { type: 'Tool', id: 'mail/send', attributes: {}, parents: [] },
    arguments: {}, claimed: {}, context: {},
  }])
})

test('a case keeps every digit of its arguments', () => {
  const [one] = casesOf('[{ "name": "a", "action": "call", "resource": "Tool a/b", "arguments": { "amount": 9007199254740993 }, "expect": "deny" }]')
  assert.deepEqual(one!.arguments, { amount: 9007199254740993n })
})

test('a case may say its subject as AuthZEN does, with properties and parents', () => {
  const [one] = casesOf(`[{ "name": "a", "subject": { "type": "user", "id": "x y", "properties": { "level": 3 }, "parents": ["Group a", { "type": "Group", "id": "b" }] },
    "action": "read", "resource": "record 1", "expect": "needs_approval", "by": ["p"] }]`)
  assert.deepEqual(one!.principal, { type: 'user', id: 'x y', attributes: { level: 3n }, parents: [{ type: 'Group', id: 'a' }, { type: 'Group', id: 'b' }] })
  assert.deepEqual([one!.expect, one!.by], ['needs_approval', ['p']])
})

test('cases of all files are read, in the order of their files', () => {
  const one = (name: string): string => `[{ "name": "${name}", "action": "call", "resource": "Tool a/b", "expect": "allow" }]`
  const read = readCases({ 'tests/b.json': one('b'), 'tests/a.json': one('a'), 'entities.json': '[1]', 'a.cedar': '' })
  assert.deepEqual(read.ok && read.value.map(({ name }) => name), ['a', 'b'])
})

const CASE = '"name": "a", "action": "call", "resource": "Tool a/b", "expect": "allow"'

for (const { what, text, line, says } of [
  { what: 'what is no JSON', text: '[\n  { "name" "a" }\n]', line: 2, says: /`"` where `:` is expected/ },
  { what: 'what is no list', text: '{}', line: 1, says: /a file of cases is an array/ },
  { what: 'a case that is no object', text: '[\n1\n]', line: 2, says: /a case is an object/ },
  { what: 'a case without a name', text: '[{ "action": "call", "resource": "Tool a/b", "expect": "allow" }]', line: 1, says: /`name` is missing/ },
  { what: 'a case without a resource', text: '[{ "name": "a", "action": "call", "expect": "allow" }]', line: 1, says: /`resource` is missing/ },
  { what: 'a case that expects nothing', text: '[{ "name": "a", "action": "call", "resource": "Tool a/b" }]', line: 1, says: /`expect` is one of `allow`, `deny`, `needs_approval`/ },
  { what: 'another answer', text: '[{ "name": "a", "action": "call", "resource": "Tool a/b",\n"expect": "maybe" }]', line: 2, says: /`expect` is one of/ },
  { what: 'a member that cases do not have', text: `[{ ${CASE},\n"expected": 1 }]`, line: 2, says: /a case has no `expected`/ },
  { what: 'a name twice', text: `[{ ${CASE},\n"expect": "deny" }]`, line: 2, says: /`expect` stands twice/ },
  { what: 'a subject beside a principal', text: `[{ ${CASE}, "principal": "Agent a",\n"subject": "Agent a" }]`, line: 2, says: /the same thing/ },
  { what: 'policies that are no list', text: `[{ ${CASE},\n"by": "p" }]`, line: 2, says: /a list of ids/ },
  { what: 'arguments that are no object', text: `[{ ${CASE},\n"arguments": [1] }]`, line: 2, says: /an object is expected/ },
  { what: 'an entity with another member', text: `[{ ${CASE},\n"principal": { "type": "Agent", "class": "x" } }]`, line: 2, says: /an entity has no `class`/ },
  { what: 'a parent without an id', text: `[{ ${CASE},\n"principal": { "type": "Agent", "parents": ["Group"] } }]`, line: 2, says: /a parent has an id/ },
]) {
  test(`${what} is complained of on its line`, () => {
    const [complaint, ...others] = complaintsOf(text)
    assert.deepEqual([complaint!.file, complaint!.line, others.length], ['tests/a.json', line, 0], JSON.stringify([complaint, ...others]))
    assert.match(complaint!.message, says)
  })
}
