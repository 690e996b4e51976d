import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ExactRecord } from '@writ/domain/exact'
import { InexactNumber } from '@writ/domain/exact'
import { serversOf, useOf, type AskedResource } from './use.ts'

const tool = (id: string): AskedResource => ({ uid: { type: 'Writ::Tool', id }, type: 'tool', kind: 'none' })
const shop: AskedResource = { uid: { type: 'Writ::Backend', id: 'shop' }, type: 'backend', kind: 'postgres' }
const order: AskedResource = { uid: { type: 'order', id: '7' }, type: 'order', kind: 'none' }

const CASES: readonly (readonly [resource: AskedResource, action: string, args: ExactRecord, grant: string, server: string])[] = [
  [tool('crm/search'), 'call', {}, 'mcp crm search', 'crm'],
  [tool('crm/search'), 'read', {}, 'mcp crm search', 'crm'],
  [tool('crm/deep/er'), 'call', {}, 'mcp crm deep/er', 'crm'],
  [tool('crm'), 'call', {}, 'mcp crm ', 'crm'],
  [tool('/search'), 'call', {}, 'mcp  search', ''],
  [tool('crm/refund'), 'call', { amount: 5000n, to: 'x', deep: { amount: 1n } }, 'mcp crm refund amount=5000', 'crm'],
  [tool('crm/refund'), 'call', { amount: 0n, rows: 9007199254740991n }, 'mcp crm refund amount=0 rows=9007199254740991', 'crm'],
  [shop, 'connect', { template: 'ddl' }, 'postgres shop ddl', 'shop'],
  [shop, 'connect', { template: 'ddl', rows: 5n }, 'postgres shop ddl rows=5', 'shop'],
  [shop, 'connect', {}, 'postgres shop connect', 'shop'],
  [shop, 'connect', { template: 7n }, 'postgres shop connect template=7', 'shop'],
  [shop, 'read', { template: 'ddl' }, 'postgres shop read', 'shop'],
  [order, 'approve', { amount: 1n }, 'order 7 approve amount=1', 'order'],
]

test('each use is one permit, and has the mode of one server', () => {
  for (const [resource, action, args, grant, server] of CASES) {
    const { permit, server: of } = useOf(resource, action, args)
    const limits = Object.entries(permit.limits).map(([name, most]) => `${name}=${most}`)
    assert.deepEqual([[permit.type, permit.resource, permit.action, ...limits].join(' '), of], [grant, server])
    assert.ok(serversOf({ type: resource.type, id: resource.uid.id }).includes(server))
  }
})

test('only whole numbers from zero on that a grant can say are bounded by it; all others are bounded by none', () => {
  for (const value of [-1n, 9007199254740992n, 2n ** 64n, new InexactNumber('1.0'), '5', null, true, [1n], {}]) assert.deepEqual(useOf(tool('crm/refund'), 'call', { amount: value }).permit.limits, {})
})

test('the template of a lease is Writ\'s to know, and no argument', () => {
  const { also, arguments: args } = useOf(shop, 'connect', { template: 'ddl', rows: 5n })
  assert.deepEqual([also, args], [{ template: 'ddl' }, { rows: 5n }])
  for (const [action, given] of [['read', { template: 'ddl' }], ['connect', { template: 7n }]] as const) {
    const use = useOf(shop, action, given)
    assert.deepEqual([use.also, use.arguments], [{}, given])
  }
})
