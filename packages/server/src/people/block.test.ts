import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { OperatorId, PersonId } from '@writ/domain/id'
import { epochMs } from '@writ/domain/time'
import { done, OPERATOR } from '../../test/laws/estate.ts'
import { everyRow, STORES, storeOfWrit } from '../../test/store-of-writ.ts'
import { blockPerson, unblockPerson } from './block.ts'
import { isCodeOpen, invitePerson } from './by-link.ts'
import { giveRole, takeRole } from './roles.ts'
import { addOperator, offerBootstrap } from '../registry/operators.ts'
import { listOperators } from '../store/operators.ts'
import { signInPerson } from './sign-in.ts'

for (const store of STORES) {
  test(`${store}: the last administrator is not blocked, of two who block each other one stays, and whoever is blocked counts as none`, async (t) => {
    const writ = await storeOfWrit(store, t)
    let next = 1
    const fresh = (): Uint8Array => new Uint8Array(32).fill(next++)
    const now = writ.now()
    const arriving = async (subject: string): Promise<PersonId> => {
      const newPerson = writ.newId('person')
      const signIn = { id: writ.newId('signIn'), secretHash: fresh(), kind: 'browser', how: 'oidc' } as const
      await done(writ.store.change(signInPerson, { who: { issuer: 'https://idp.example', subject, name: subject, email: null, groups: [] }, newPerson, signIn, now }))
      return newPerson
    }
    const [maya, noor] = [await arriving('maya'), await arriving('noor')]
    const about = (person: PersonId, by: PersonId) => ({ person, by: { kind: 'person', id: by } as const, reason: 'left', now })
    for (const person of [maya, noor]) await done(writ.store.change(giveRole, { person, role: 'admin', by: OPERATOR, reason: 'x', now }))
    const both = await Promise.all([writ.store.change(blockPerson, about(maya, noor)), writ.store.change(blockPerson, about(noor, maya))])
    assert.deepEqual(both.map((one) => (one.ok ? 'ok' : one.refusal.kind)).toSorted(), ['last_admin', 'ok'])
    const [blocked, left] = both[0].ok ? [maya, noor] : [noor, maya]
    const before = await everyRow(writ)
    assert.deepEqual(await writ.store.change(blockPerson, { ...about(left, left), by: OPERATOR }), { ok: false, refusal: { kind: 'last_admin' } })
    assert.deepEqual(await writ.store.change(takeRole, { ...about(left, left), role: 'admin' }), { ok: false, refusal: { kind: 'last_admin' } })
    assert.deepEqual(await everyRow(writ), before)
    // The links that they have offered let in nobody, not even a new person.
    const [invited, first] = [fresh(), fresh()]
    const endsAt = epochMs(now + 1000)
    await done(writ.store.change(invitePerson, { codeHash: invited, name: 'Eve', email: null, roles: ['admin'], by: blocked, reason: 'x', now, endsAt }))
    await done(writ.store.change(offerBootstrap, { codeHash: first, now, expiresAt: endsAt, beside: { operators: 0, reason: 'x' }, by: { kind: 'person', id: blocked } }))
    const open = () => Promise.all([invited, first].map((code) => writ.store.read((db) => isCodeOpen(db, code, now))))
    assert.deepEqual(await open(), [false, false])
    await done(writ.store.change(unblockPerson, about(blocked, left)))
    assert.deepEqual(await open(), [true, true])
  })

  test(`${store}: who is blocked leaves no operator key behind, but for the one that blocks them`, async (t) => {
    const writ = await storeOfWrit(store, t)
    let next = 1
    const fresh = (): Uint8Array => new Uint8Array(32).fill(next++)
    const now = writ.now()
    const [noor, other] = [writ.newId('person'), writ.newId('person')]
    for (const newPerson of [noor, other]) {
      const signIn = { id: writ.newId('signIn'), secretHash: fresh(), kind: 'browser', how: 'oidc' } as const
      await done(writ.store.change(signInPerson, { who: { issuer: 'https://idp.example', subject: newPerson, name: 'Noor', email: null, groups: [] }, newPerson, signIn, now }))
    }
    const keyOf = async (person: PersonId): Promise<OperatorId> =>
      (await done(writ.store.change(addOperator, { operator: writ.newId('operator'), name: 'ci', keyHash: fresh(), by: { kind: 'person', id: person }, now })))
    const [hers, blocking, others] = [await keyOf(noor), await keyOf(noor), await keyOf(other)]
    await done(writ.store.change(blockPerson, { person: noor, by: { kind: 'operator', id: blocking }, reason: 'left', now }))
    const states = new Map((await writ.store.read(listOperators)).map(({ id, state }) => [id, state]))
    assert.deepEqual([hers, blocking, others].map((id) => states.get(id)), ['removed', 'active', 'active'])
  })
}
