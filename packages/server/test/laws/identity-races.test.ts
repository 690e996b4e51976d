import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { test } from 'node:test'
import type { Owner } from '@writ/domain/owner'
import { parseRegisteredKey, type VerificationKey } from '../../src/authenticate/registered-key.ts'
import { changeIdentity, transferIdentity } from '../../src/registry/change-identity.ts'
import { addKey } from '../../src/registry/register.ts'
import { STORES, storeOfWrit } from '../store-of-writ.ts'
import { addIdentity, eventsOf, OPERATOR, openOne } from './estate.ts'

function newKey(): VerificationKey {
  const parsed = parseRegisteredKey(generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'jwk' }))
  if (!parsed.ok) throw new Error(parsed.refusal.kind)
  return parsed.value
}

for (const store of STORES) {
  test(`${store}: an identity that is suspended while its owners change and its tasks open stays suspended, with its new owners`, async (t) => {
    const of = await storeOfWrit(store, t)
    for (let round = 0; round < 12; round++) {
      const identity = await addIdentity(of)
      const about = { identity, reason: 'the test says so', by: OPERATOR, now: of.now() }
      await Promise.all([
        of.store.change(transferIdentity, { ...about, technical: 'team:new' as Owner, business: null }),
        of.store.change(changeIdentity, { ...about, change: 'suspend' }),
        of.store.change(transferIdentity, { ...about, technical: null, business: 'team:sales' as Owner }),
        openOne(of, { identity }).catch(() => {}),
      ])
      const row = await of.store.read((db) => db.selectFrom('identity').selectAll().where('id', '=', identity).executeTakeFirstOrThrow())
      assert.deepEqual([row.state, row.technical_owner, row.business_owner], ['suspended', 'team:new', 'team:sales'])
    }
  })

  test(`${store}: of two people who suspend an identity at once one does it, and it is recorded once`, async (t) => {
    const of = await storeOfWrit(store, t)
    for (let round = 0; round < 8; round++) {
      const identity = await addIdentity(of)
      const done = await Promise.all([1, 2, 3].map(() => of.store.change(changeIdentity, { identity, change: 'suspend', reason: 'twice', by: OPERATOR, now: of.now() })))
      assert.deepEqual(done.map((one) => (one.ok ? 'done' : one.refusal.kind)).toSorted(), ['already_in_state', 'already_in_state', 'done'])
      assert.equal((await eventsOf(of, 'identity.suspended')).length, round + 1)
    }
  })

  test(`${store}: of keys that are added at once an identity that may not be shared gets one`, async (t) => {
    const of = await storeOfWrit(store, t)
    for (let round = 0; round < 8; round++) {
      const identity = await addIdentity(of)
      const added = await Promise.all([1, 2, 3].map(() => of.store.change(addKey, {
        identity, credential: of.newId('credential'), key: newKey(), by: OPERATOR, now: of.now(), replace: false,
      })))
      assert.deepEqual(added.map((one) => (one.ok ? one.value.outcome : one.refusal.kind)).toSorted(), ['added', 'shared', 'shared'])
      const live = await of.store.read((db) => db.selectFrom('credential').select('id').where('identity_id', '=', identity).where('state', '=', 'live').execute())
      assert.equal(live.length, 1)
      assert.equal((await eventsOf(of, 'finding.raised')).length, round + 1)
    }
  })
}
