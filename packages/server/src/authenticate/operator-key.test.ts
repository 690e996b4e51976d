import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { OperatorId } from '@writ/domain/id'
import { SECRET_PREFIX, toSecret } from '@writ/domain/secret'
import { hostEntropy } from '../platform/entropy.ts'
import { authenticateOperator, operatorKeyHash, type OperatorKeyNeeds } from './operator-key.ts'

const MAYA = 'opr_of_the_test' as OperatorId
const newKey = (prefix: (typeof SECRET_PREFIX)[keyof typeof SECRET_PREFIX] = SECRET_PREFIX.operator) => toSecret(prefix, hostEntropy.bytes(32))

function storeWith(key: string): OperatorKeyNeeds & { readonly asked: string[] } {
  const asked: string[] = []
  const hash = Buffer.from(operatorKeyHash(key)).toString('hex')
  return {
    asked,
    async operatorOf(keyHash) {
      asked.push(Buffer.from(keyHash).toString('hex'))
      return asked.at(-1) === hash ? { id: MAYA, name: 'maya' } : undefined
    },
  }
}

test('an operator is known by the key, and the store sees its hash alone', async () => {
  const key = newKey()
  const store = storeWith(key)
  assert.deepEqual(await authenticateOperator(key, store), { ok: true, value: { kind: 'operator', operator: MAYA, name: 'maya' } })
  assert.deepEqual(store.asked, [Buffer.from(operatorKeyHash(key)).toString('hex')])
})

test('a key that nobody has is refused', async () => {
  assert.deepEqual(await authenticateOperator(newKey(), storeWith(newKey())), { ok: false, refusal: { kind: 'unknown_operator_key' } })
})

const key = newKey()
for (const { what, bearer } of [
  { what: 'nothing', bearer: '' },
  { what: 'a password', bearer: 'hunter2' },
  { what: 'a key with a wrong checksum', bearer: key.slice(0, -1) + (key.endsWith('0') ? '1' : '0') },
  { what: 'a key with a blank behind it', bearer: `${key} ` },
  { what: 'a key with its scheme', bearer: `Bearer ${key}` },
  { what: 'a key with a line break', bearer: `${key}\n` },
  { what: 'a database secret', bearer: newKey(SECRET_PREFIX.database) },
  { what: 'a bootstrap secret', bearer: newKey(SECRET_PREFIX.bootstrap) },
  { what: 'a megabyte', bearer: 'writ_op_'.repeat(131_072) },
]) {
  test(`${what} is no operator key, and the store is not asked`, async () => {
    const store = storeWith(key)
    assert.deepEqual(await authenticateOperator(bearer, store), { ok: false, refusal: { kind: 'not_an_operator_key' } })
    assert.deepEqual(store.asked, [])
  })
}
