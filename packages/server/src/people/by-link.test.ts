import assert from 'node:assert/strict'
import { test } from 'node:test'
import { epochMs } from '@writ/domain/time'
import { done, OPERATOR } from '../../test/laws/estate.ts'
import { STORES, storeOfWrit } from '../../test/store-of-writ.ts'
import { offerBootstrap, redeemBootstrap } from '../registry/operators.ts'
import { isCodeOpen } from './by-link.ts'
import { giveRole, setRoleRule } from './roles.ts'
import { signInPerson } from './sign-in.ts'

for (const store of STORES) {
  test(`${store}: the first link outlives whoever signs in without a role, and ends with the first administrator, by name or by a group`, async (t) => {
    let next = 1
    const fresh = (): Uint8Array => new Uint8Array(32).fill(next++)
    for (const how of ['by name', 'by a group'] as const) {
      const writ = await storeOfWrit(store, t)
      const now = writ.now()
      const codeHash = fresh()
      const arriving = (subject: string, groups: readonly string[]) => done(writ.store.change(signInPerson, {
        who: { issuer: 'https://idp.example', subject, name: subject, email: null, groups }, newPerson: writ.newId('person'), now,
        signIn: { id: writ.newId('signIn'), secretHash: fresh(), kind: 'browser', how: 'oidc' },
      }))
      const isOpen = () => writ.store.read((db) => isCodeOpen(db, codeHash, now))
      await done(writ.store.change(offerBootstrap, { codeHash, now, expiresAt: epochMs(now + 1000) }))
      await done(writ.store.change(setRoleRule, { group: 'ad_min%', roles: ['admin'], by: OPERATOR, reason: 'they run it', now }))
      const { person } = await arriving('eve', ['adxmin%', 'AD_MIN%', 'x"ad_min%'])
      assert.equal(await isOpen(), true)
      if (how === 'by name') await done(writ.store.change(giveRole, { person, role: 'admin', by: OPERATOR, reason: 'she runs it', now }))
      else await arriving('eve', ['ad_min%'])
      assert.equal(await isOpen(), false)
      const redeeming = { codeHash, operator: writ.newId('operator'), name: 'late', keyHash: fresh(), now }
      assert.deepEqual(await writ.store.change(redeemBootstrap, redeeming), { ok: false, refusal: { kind: 'bad_code' } })
    }
    const writ = await storeOfWrit(store, t)
    const [codeHash, now] = [fresh(), writ.now()]
    await done(writ.store.change(offerBootstrap, { codeHash, now, expiresAt: epochMs(now + 1000) }))
    await writ.sql('insert into person (id, issuer, subject, name, email, group_names, registered_at, signed_in_at) values ($1, $2, $3, $4, null, $5, 1, 1)', ['psn_x', 'https://idp.example', 'eve', 'Eve', '[]'])
    await done(writ.store.change(redeemBootstrap, { codeHash, operator: writ.newId('operator'), name: 'first', keyHash: fresh(), now }))
  })
}
