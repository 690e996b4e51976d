import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ENDPOINTS } from '@writ/contract/endpoints'
import { MAY } from '@writ/contract/roles'
import * as endpoints from './endpoints.ts'
import { NAV } from './shell/nav.ts'

test('every endpoint that the console calls is the contract\'s of that name', () => {
  for (const [name, { method, path }] of Object.entries(endpoints)) {
    const found = ENDPOINTS.find((one) => one.name === name)
    assert.deepEqual(found && [found.endpoint.method, found.endpoint.path], [method, path], name)
  }
})

test('every page of the menu is shown by who may call something that there is', () => {
  for (const { needs, name } of NAV) assert.ok(Object.hasOwn(MAY, needs), name)
  assert.equal(new Set(NAV.map(({ key }) => key)).size, NAV.length)
})
