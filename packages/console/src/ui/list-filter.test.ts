import assert from 'node:assert/strict'
import { test } from 'node:test'
import { filterRows, type Fields } from './list-filter.ts'

const ROWS: readonly Fields[] = [
  { name: 'refund-agent', kind: 'agent', owner: 'team:desk', calls: 12 }, { name: 'deploy-bot', kind: 'pipeline', owner: 'team:platform', calls: 0 },
  { name: 'triage-agent', kind: 'agent', owner: 'none', calls: 300 },
]
const found = (query: string): readonly unknown[] | string => {
  const { rows, fault } = filterRows(ROWS, query, (row) => row)
  return fault ?? rows.map((row) => row['name'])
}

for (const { query, is } of [
  { query: '', is: ['refund-agent', 'deploy-bot', 'triage-agent'] },
  { query: 'kind:agent', is: ['refund-agent', 'triage-agent'] },
  { query: 'kind:agent -owner:none', is: ['refund-agent'] },
  { query: 'calls:>10 (name:refund OR name:triage)', is: ['refund-agent', 'triage-agent'] },
  { query: 'BOT', is: ['deploy-bot'] },
  { query: 'owner:"team:desk"', is: ['refund-agent'] },
]) test(`the filter \`${query}\` finds ${is.length}`, () => { assert.deepEqual(found(query), is) })

test('what fits stays in the order in which it stood, whichever part of the filter it fits', () => {
  assert.deepEqual(found('kind:pipeline OR kind:agent'), ['refund-agent', 'deploy-bot', 'triage-agent'])
})

test('a filter that can not be read says where, and filters nothing', () => {
  assert.match(String(found('kind:agent AND')), /can not be read/)
  assert.match(String(found('"open')), /can not be read/)
  assert.match(String(found('calls:>many')), /number|can not be read/)
  assert.equal(filterRows(ROWS, '(', (row) => row).rows.length, 3)
})

test('no text is ever made into a function', () => {
  assert.equal(found('.constructor:x'), 'the name of a field begins with a letter')
  assert.equal(found('kind:agent (-.a:b)'), 'the name of a field begins with a letter')
})
