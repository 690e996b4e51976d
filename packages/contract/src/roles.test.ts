import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ROLES } from '@writ/domain/person'
import { MAY, inOrder, reachOf } from './roles.ts'

test('what is not in the table is closed to everybody', () => {
  for (const name of ['', 'dropEverything', 'toString', 'constructor', '__proto__']) assert.equal(reachOf(name, ROLES), 'none', name)
})

test('with no role there is nothing but one\'s own', () => {
  for (const [name, may] of Object.entries(MAY)) assert.equal(reachOf(name, []), may === 'everybody' ? 'all' : 'none', name)
})

test('an owner alone goes no further than what is theirs, and with a second role as far as that one goes', () => {
  assert.equal(reachOf('showIdentity', ['owner']), 'own')
  assert.equal(reachOf('showIdentity', ['owner', 'viewer']), 'all')
  assert.equal(reachOf('suspendIdentity', ['owner', 'viewer']), 'own')
  assert.equal(reachOf('suspendIdentity', ['viewer']), 'none')
})

test('roles are told in one order, each once', () => {
  assert.deepEqual(inOrder(['admin', 'viewer', 'admin', 'owner']), ['viewer', 'owner', 'admin'])
})
