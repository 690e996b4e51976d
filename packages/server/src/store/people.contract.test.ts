import assert from 'node:assert/strict'
import { test } from 'node:test'
import { epochMs, type EpochMs } from '@writ/domain/time'
import { onBothStores } from '../../test/both-stores.ts'
import { decidedWorld, newId, write, type Call, type DecidedStore } from '../../test/decided/world.ts'
import { RuleBroken } from './faults.ts'
import { countPasskeys, findPasskey, findPasskeyByCredential, listPasskeys, type Passkey } from './passkeys.ts'
import { findInvitation, findPerson, isAnyPerson, isAnyPersonByLink, listGivenRoles, listPeople, listRoleRules, OWN_ISSUER, type Person } from './people.ts'
import { findSignIn, findSignInBySecret, listSignIns, type SignIn } from './sign-ins.ts'
import type { Tables } from './tables.ts'

const at = epochMs
const bytes = (n: number): Uint8Array => new Uint8Array(32).fill(n)

const personOf = (more: Partial<Person> = {}): Person =>
  ({ id: newId('person'), issuer: 'https://idp.example', subject: newId('person'), name: 'Maya', email: 'maya@acme.example', groups: ['finance', 'on-call'], registeredAt: at(1000), signedInAt: null, blockedAt: null, ...more })
const maya = personOf()
const signInOf = (more: Partial<SignIn> = {}): SignIn =>
  ({ id: newId('signIn'), person: maya.id, kind: 'browser', how: 'oidc', madeAt: at(1000), idleUntil: at(2000), endsAt: at(9000), revokedAt: null, steppedUpAt: null, ...more })
const keyOf = (more: Partial<Passkey> = {}): Passkey => ({
  id: newId('passkey'), person: maya.id, credentialId: 'credential', publicKey: bytes(7), counter: 3, name: 'phone', enrolledEvent: newId('event'), enrolledAt: at(1000), usedAt: null, removedAt: null, ...more,
})

const put = (person: Person): Call => ({ name: 'insertPerson', given: [person] })
const putSignIn = (signIn: SignIn, secret: number): Call => ({ name: 'insertSignIn', given: [signIn, bytes(secret)] })
const putKey = (key: Passkey): Call => ({ name: 'insertPasskey', given: [key] })

onBothStores<Tables, null>(decidedWorld, (name, open) => {
  const opened = async (t: Parameters<typeof open>[0], ...calls: readonly Call[]): Promise<DecidedStore> => {
    const store = await open(t)
    await store.change(write, calls)
    return store
  }
  const answers = async (store: DecidedStore, ...calls: readonly Call[]) => {
    const done = await store.change(write, calls)
    return done.ok ? done.value : assert.fail()
  }
  const breaks = (store: DecidedStore, rule: string, call: Call) =>
    assert.rejects(store.change(write, [call]), (error) => error instanceof RuleBroken && error.rule === rule, rule)
  const set = (table: keyof Tables, id: object, columns: object): Call => ({ name: 'breakRule', given: [{ table, set: columns, id }] })

  test(`${name}: a person is one, whom one issuer calls so, and is read back as they came`, async (t) => {
    const store = await opened(t, put(maya))
    assert.deepEqual(await store.read((db) => findPerson(db, maya.id)), maya)
    assert.equal(await store.read(isAnyPersonByLink), false)
    assert.deepEqual(await answers(store, put(personOf({ subject: maya.subject })), put(personOf({ issuer: OWN_ISSUER }))), [false, true])
    assert.deepEqual([await store.read(isAnyPerson), await store.read(isAnyPersonByLink)], [true, true])
    await answers(store, { name: 'updatePerson', given: [{ id: maya.id, name: 'Maya B.', email: null, groups: [] }] }, { name: 'touchSignedIn', given: [maya.id, at(3000)] }, { name: 'touchSignedIn', given: [maya.id, at(2000)] })
    assert.deepEqual(await store.read((db) => findPerson(db, maya.id)), { ...maya, name: 'Maya B.', email: null, groups: [], signedInAt: 3000 })
    for (const columns of [{ issuer: 'x' }, { subject: 'x' }, { registered_at: 1 }]) await breaks(store, 'person_is_frozen', set('person', { id: maya.id }, columns))
    await breaks(store, 'person_signed_in_only_grows', set('person', { id: maya.id }, { signed_in_at: 2500 }))
    await breaks(store, 'person_is_never_deleted', { name: 'remove', given: ['person' as never] })
    const page = await store.read((db) => listPeople(db, { limit: 1 }))
    assert.equal((await store.read((db) => listPeople(db, { limit: 5, after: page[0]!.id }))).length, 1)
  })

  test(`${name}: roles are given once, taken once, and brought by one rule for each group`, async (t) => {
    const store = await opened(t, put(maya))
    const give: Call = { name: 'insertPersonRole', given: [{ person: maya.id, role: 'auditor', by: 'opr_1' }, at(2000)] }
    assert.deepEqual(await answers(store, give, give), [true, false])
    assert.deepEqual([...await store.read((db) => listGivenRoles(db, [maya.id, newId('person')]))], [[maya.id, ['auditor']]])
    await breaks(store, 'person_role_known', { name: 'insertPersonRole', given: [{ person: maya.id, role: 'king' as never, by: 'opr_1' }, at(2000)] })
    await breaks(store, 'person_role_is_frozen', set('person_role', { person_id: maya.id }, { role: 'admin' }))
    const take: Call = { name: 'deletePersonRole', given: [maya.id, 'auditor'] }
    assert.deepEqual(await answers(store, take, take), [true, false])
    const rule = (roles: readonly ('viewer' | 'admin')[], now: EpochMs): Call => ({ name: 'putRoleRule', given: [{ group: 'finance', roles, setBy: 'opr_1', setAt: now }] })
    await answers(store, rule(['viewer'], at(1)), rule(['admin'], at(2)))
    assert.deepEqual(await store.read(listRoleRules), [{ group: 'finance', roles: ['admin'], setBy: 'opr_1', setAt: 2 }])
    await breaks(store, 'role_rule_brings_roles', rule([], at(3)))
    const drop: Call = { name: 'deleteRoleRule', given: ['finance'] }
    assert.deepEqual(await answers(store, drop, drop), [true, false])
  })

  test(`${name}: a sign-in is found by the hash of its secret, idles further and further, and once revoked stays so`, async (t) => {
    const signIn = signInOf()
    const store = await opened(t, put(maya), putSignIn(signIn, 1))
    assert.deepEqual(await store.read((db) => findSignInBySecret(db, bytes(1))), { signIn, person: maya })
    assert.equal(await store.read((db) => findSignInBySecret(db, bytes(2))), undefined)
    // SQLite names the columns of what is unique.
    await breaks(store, name === 'sqlite' ? 'sign_in.secret_hash' : 'sign_in_secret_is_distinct', putSignIn(signInOf(), 1))
    await breaks(store, 'sign_in_kind_known', putSignIn(signInOf({ kind: 'carrier' as never }), 2))
    await breaks(store, 'sign_in_idles_within_its_time', putSignIn(signInOf({ idleUntil: at(9001) }), 2))
    for (const columns of [{ person_id: newId('person') }, { secret_hash: bytes(3) }, { kind: 'cli' }, { ends_at: 10_000 }]) await breaks(store, 'sign_in_is_frozen', set('sign_in', { id: signIn.id }, columns))
    const idle = (until: number): Call => ({ name: 'keepSignIn', given: [signIn.id, at(until)] })
    await answers(store, idle(5000), idle(4000), { name: 'markSteppedUp', given: [signIn.id, at(3000)] }, { name: 'markSteppedUp', given: [signIn.id, at(2900)] })
    assert.deepEqual(await store.read((db) => findSignIn(db, signIn.id)), { ...signIn, idleUntil: 5000, steppedUpAt: 3000 })
    await answers(store, { name: 'markSignInRevoked', given: [signIn.id, at(6000)] }, { name: 'markSignInRevoked', given: [signIn.id, at(7000)] }, idle(8000))
    assert.deepEqual(await store.read((db) => listSignIns(db, maya.id, 9)), [{ ...signIn, idleUntil: 5000, steppedUpAt: 3000, revokedAt: 6000 }])
    await breaks(store, 'sign_in_revoked_is_for_ever', set('sign_in', { id: signIn.id }, { revoked_at: null }))
    await breaks(store, 'sign_in_is_never_deleted', { name: 'remove', given: ['sign_in' as never] })
  })

  test(`${name}: a passkey's credential is enrolled once, its counter only grows, and one that is removed signs nothing`, async (t) => {
    const key = keyOf()
    const store = await opened(t, put(maya), putKey(key))
    assert.deepEqual(await store.read((db) => findPasskeyByCredential(db, 'credential')), key)
    assert.deepEqual(await answers(store, putKey(keyOf())), [false])
    await answers(store, { name: 'markPasskeyUsed', given: [key.id, { counter: 4, now: at(2000) }] })
    await breaks(store, 'passkey_counter_only_grows', { name: 'markPasskeyUsed', given: [key.id, { counter: 3, now: at(2000) }] })
    for (const columns of [{ public_key: bytes(8) }, { credential_id: 'x' }, { person_id: newId('person') }, { enrolled_event: 'x' }]) await breaks(store, 'passkey_is_frozen', set('passkey', { id: key.id }, columns))
    assert.deepEqual([...await store.read((db) => countPasskeys(db, [maya.id]))], [[maya.id, 1]])
    await answers(store, { name: 'markPasskeyRemoved', given: [key.id, at(3000)] })
    assert.equal(await store.read((db) => findPasskeyByCredential(db, 'credential')), undefined)
    assert.deepEqual([await store.read((db) => listPasskeys(db, maya.id)), (await store.read((db) => findPasskey(db, key.id)))?.removedAt], [[], 3000])
    await breaks(store, 'passkey_removed_is_for_ever', set('passkey', { id: key.id }, { removed_at: null }))
  })

  test(`${name}: an invitation is taken once, and not after its end`, async (t) => {
    const invitation = { codeHash: bytes(1), name: 'Noor', email: null, roles: ['reviewer'] as const, offeredBy: maya.id }
    const offer = (code: number): Call => ({ name: 'insertInvitation', given: [{ ...invitation, codeHash: bytes(code) }, { now: at(1000), endsAt: at(2000) }] })
    const store = await opened(t, offer(1), offer(2))
    assert.deepEqual((await store.read((db) => findInvitation(db, bytes(1), at(1999))))?.roles, ['reviewer'])
    const taken = await answers(store, ...[[1, 1500], [1, 1500], [2, 2000], [3, 1500]].map(([code, now]): Call => ({ name: 'takeInvitation', given: [bytes(code!), at(now!)] })))
    assert.deepEqual(taken.map((one) => one !== undefined), [true, false, false, false])
    await breaks(store, 'invitation_is_used_once', set('invitation', { used_at: 1500 }, { used_at: null }))
  })
})
