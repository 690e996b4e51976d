import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as people from '@writ/contract/people'
import * as registry from '@writ/contract/registry'
import { eventsOf, inStoreOf, keptIn, onEachStore, refused } from '../kept.ts'
import { browser, enrol, originOf, secretIn, signInAs, type SignedInPerson } from '../people.ts'
import type { Misdeed } from '../authenticator.ts'

async function invitation(by: SignedInPerson): Promise<{ readonly code: string }> {
  await by.stepUp()
  const offered = await by.api(people.invitePerson, { body: { name: 'Eve', roles: ['admin'], reason: 'x' } })
  assert.equal(offered.status, 201, offered.text)
  return offered.reply
}

onEachStore('a person', (writ, store) => {
  test(`a passkey signs its person in, and out again [${store}]`, async () => {
    const maya = await signInAs(writ(), { name: 'Maya', roles: ['viewer'] })
    const stranger = browser(writ(), '')
    const begun = await stranger(people.beginPasskeySignIn)
    const response = maya.authenticator.sign(begun.reply.options, maya.origin)
    const got = await stranger(people.signInWithPasskey, { body: { response } })
    assert.equal(got.status, 201, got.text)
    assert.equal(got.reply.person.id, maya.id)
    assert.match(got.headers.get('set-cookie')!, /^__Host-writ=writ_si_[\w-]+; Path=\/; Secure; HttpOnly; SameSite=Lax; Max-Age=43200$/)
    assert.ok(!got.text.includes(secretIn(got)))
    const hers = browser(writ(), `__Host-writ=${secretIn(got)}`)
    const { reply } = await hers(registry.whoAmI)
    assert.deepEqual({ ...reply, stepped_up_at: typeof reply.stepped_up_at }, {
      kind: 'person', id: maya.id, name: 'Maya', email: null, groups: [], roles: ['viewer'], sign_in: got.reply.sign_in.id, passkeys: 1, stepped_up_at: 'string',
    })
    const again = await stranger(people.signInWithPasskey, { body: { response } })
    assert.deepEqual([again.status, again.problem.code], [401, 'bad_passkey'], 'a signature is good once')
    const out = await hers(people.signOut)
    assert.deepEqual([out.status, out.headers.get('set-cookie')], [200, '__Host-writ=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0'])
    assert.equal((await hers(registry.whoAmI)).status, 401)
    assert.deepEqual((await eventsOf(writ(), 'human')).slice(-3).map((one) => one.type), ['passkey.enrolled', 'person.signed_in', 'person.signed_out'])
  })

  test(`whoever is blocked is signed out everywhere, and signs in by nothing, until they are not [${store}]`, async () => {
    const [admin, maya] = [await signInAs(writ(), { roles: ['admin'], passkey: false }), await signInAs(writ(), { name: 'Maya', roles: ['admin'] })]
    const onCli = await signInAs(writ(), { as: maya.id, kind: 'cli', passkey: false })
    const at = (id: string) => ({ parameters: { id }, body: { reason: 'they have left' } })
    await refused(writ(), () => admin.api(people.blockPerson, at(admin.id)), { status: 409, code: 'yourself' })
    await refused(writ(), () => admin.api(people.blockPerson, at('psn_none')), { status: 404, code: 'no_such_person' })
    await refused(writ(), () => admin.api(people.unblockPerson, at(maya.id)), { status: 409, code: 'not_blocked' })
    const { code } = await invitation(maya)
    const done = await admin.api(people.blockPerson, at(maya.id))
    assert.deepEqual([done.status, typeof done.reply.blocked_at], [200, 'string'], done.text)
    for (const one of [maya, onCli]) assert.equal((await one.api(registry.whoAmI)).status, 401)
    const stranger = browser(writ(), '')
    const sign = async () => ({ body: { response: maya.authenticator.sign((await stranger(people.beginPasskeySignIn)).reply.options, maya.origin) } })
    const signed = await sign()
    await refused(writ(), () => stranger(people.signInWithPasskey, signed), { status: 401, code: 'bad_passkey' })
    await refused(writ(), () => stranger(people.beginPersonByLink, { body: { code, name: 'Maya again' } }), { status: 401, code: 'bad_bootstrap_code' })
    await refused(writ(), () => admin.api(people.blockPerson, at(maya.id)), { status: 409, code: 'blocked_already' })
    // A row that says that she is signed in is not enough.
    const planted = await signInAs(writ(), { as: maya.id, passkey: false })
    assert.deepEqual([(await planted.api(registry.whoAmI)).status, (await admin.api(registry.whoAmI)).status], [401, 200])
    const told = (await eventsOf(writ(), 'human')).filter(({ type, facts }) => facts['person'] === maya.id && type !== 'person.stepped_up').map(({ type }) => type)
    assert.deepEqual(told.slice(-3), ['person.blocked', 'sign_in.revoked', 'sign_in.revoked'])
    assert.equal((await admin.api(people.unblockPerson, at(maya.id))).reply.blocked_at, null)
    assert.equal((await stranger(people.signInWithPasskey, await sign())).status, 201)
    assert.equal((await maya.api(registry.whoAmI)).status, 401, 'what was ended stays so')
  })

  const wrongs: readonly { readonly what: string; readonly wrong?: Misdeed; readonly origin?: string }[] = [
    { what: 'for another page', origin: 'https://evil.example' },
    { what: 'for another name', wrong: { rpId: 'evil.example' } },
    { what: 'that nobody was there for', wrong: { flags: 0 } },
    { what: 'whose holder was not verified', wrong: { flags: 1 } },
    { what: 'of another key', wrong: { signature: 'of another key' } },
    { what: 'of a challenge that nobody made', wrong: { challenge: 'A'.repeat(75) } },
    { what: 'of the making of a passkey', wrong: { type: 'webauthn.create' } },
    { what: 'of a counter that went back', wrong: { counter: 0 } },
  ]
  test(`whatever is wrong with a passkey's signature, the answer is the same and nothing is written [${store}]`, async () => {
    const maya = await signInAs(writ(), { roles: ['viewer'] })
    await maya.stepUp()
    const stranger = browser(writ(), '')
    const answers = new Set<string>()
    for (const { what, wrong, origin } of wrongs) {
      const { options } = (await stranger(people.beginPasskeySignIn)).reply
      const response = maya.authenticator.sign(options, origin ?? maya.origin, wrong)
      const got = await refused(writ(), () => stranger(people.signInWithPasskey, { body: { response } }), { status: 401, code: 'bad_passkey' })
      assert.equal(got.headers.get('set-cookie'), null, what)
      const { trace_id: _, ...said } = got.problem
      answers.add(JSON.stringify(said))
    }
    const elsewhere = await signInAs(writ(), { passkey: false })
    const { options } = (await stranger(people.beginPasskeySignIn)).reply
    const unknown = { ...maya.authenticator.sign(options, maya.origin), id: 'AAAA', rawId: 'AAAA' }
    const got = await refused(writ(), () => stranger(people.signInWithPasskey, { body: { response: unknown } }), { status: 401, code: 'bad_passkey' })
    const { trace_id: _, ...said } = got.problem
    answers.add(JSON.stringify(said))
    assert.equal(answers.size, 1)
    const stepping = (await maya.api(people.beginStepUp)).reply.options
    await refused(writ(), () => elsewhere.api(people.stepUp, { body: { response: maya.authenticator.sign(stepping, maya.origin) } }), { status: 403, code: 'not_confirmed' })
  })

  test(`what changes something comes with the cookie from our own pages alone, as JSON [${store}]`, async () => {
    const maya = await signInAs(writ(), { roles: ['admin'], passkey: false })
    const origin = originOf(writ())
    const send = async (headers: Readonly<Record<string, string>>) => {
      const answer = await fetch(`${writ().url}/v1/manifest?dry_run=true`, { method: 'POST', headers: { cookie: maya.cookie, ...headers }, body: JSON.stringify({ identities: [] }) })
      return [answer.status, ((await answer.json()) as { code: string }).code]
    }
    const json = { 'content-type': 'application/json' }
    const before = await keptIn(writ())
    for (const headers of [
      { ...json }, { ...json, origin: 'https://evil.example' }, { ...json, origin: 'null' }, { ...json, 'sec-fetch-site': 'cross-site' }, { ...json, 'sec-fetch-site': 'same-site' },
      { ...json, origin, 'sec-fetch-site': 'cross-site' }, { ...json, origin: 'https://evil.example', 'sec-fetch-site': 'same-origin' },
    ]) assert.deepEqual(await send(headers), [403, 'cross_site'], JSON.stringify(headers))
    assert.deepEqual((await send({ 'content-type': 'text/plain', origin }))[0], 415)
    for (const headers of [{ ...json, origin }, { ...json, 'sec-fetch-site': 'same-origin' }]) assert.deepEqual(await send(headers), [400, 'invalid_fields'])
    assert.deepEqual(await keptIn(writ()), before)
    const asked = await fetch(`${writ().url}/v1/whoami`, { headers: { cookie: maya.cookie, origin: 'https://evil.example' } })
    assert.deepEqual([asked.status, asked.headers.get('access-control-allow-origin')], [200, null], 'a page elsewhere may ask, and may not read')
  })

  test(`the secret of a browser is worth nothing outside its cookie, nor one of the command line in it [${store}]`, async () => {
    const [inBrowser, onCli] = [await signInAs(writ(), { roles: ['viewer'], passkey: false }), await signInAs(writ(), { roles: ['viewer'], kind: 'cli', passkey: false })]
    assert.equal((await onCli.api(registry.whoAmI)).reply.id, onCli.id)
    const status = async (headers: Readonly<Record<string, string>>) => (await fetch(`${writ().url}/v1/whoami`, { headers })).status
    assert.equal(await status({ authorization: `Bearer ${inBrowser.secret}` }), 401)
    assert.equal(await status({ cookie: `__Host-writ=${onCli.secret}` }), 401)
    assert.equal(await status({ cookie: `${inBrowser.cookie}; ${inBrowser.cookie}` }), 401)
    assert.equal(await status({ cookie: `__Host-writ=${writ().operatorKey}` }), 401)
    assert.equal(await status({ authorization: `DPoP ${onCli.secret}` }), 401)
  })

  test(`a sign-in ends when it idles, when its time is over and when it is revoked, and is kept while it is used [${store}]`, async () => {
    const maya = await signInAs(writ(), { roles: ['viewer'], passkey: false })
    const other = await signInAs(writ(), { as: maya.id, passkey: false })
    const idleUntil = async () => Number((await inStoreOf(writ(), 'select idle_until from sign_in where id = $1', [maya.signIn]))[0]!['idle_until'])
    const first = await idleUntil()
    await maya.api(registry.whoAmI)
    assert.equal(await idleUntil(), first, 'not written at each request')
    const revoked = await maya.api(people.revokeSignIn, { parameters: { id: other.signIn }, body: { reason: 'left open at the office' } })
    assert.deepEqual([revoked.status, revoked.reply.state], [200, 'revoked'])
    assert.equal((await other.api(registry.whoAmI)).status, 401)
    const listed = (await maya.api(people.listSignIns)).reply.sign_ins
    const statesOf = Object.fromEntries(listed.map((one) => [one.id, `${one.own} ${one.state}`]))
    assert.deepEqual(statesOf, { [maya.signIn]: 'true live', [other.signIn]: 'false revoked' })
    const noor = await signInAs(writ(), { roles: ['viewer'], passkey: false })
    await refused(writ(), () => noor.api(people.revokeSignIn, { parameters: { id: maya.signIn }, body: { reason: 'not mine' } }), { status: 404, code: 'no_such_sign_in' })
    const past = Date.now() - 60_000
    for (const columns of [`idle_until = ${past}, ends_at = ${Date.now() + 9_000_000}`, `idle_until = ${past}, ends_at = ${past}`]) {
      const old = await signInAs(writ(), { roles: ['viewer'], passkey: false })
      await guardless(store, columns, old.signIn)
      assert.equal((await old.api(registry.whoAmI)).status, 401, columns)
    }
    const soon = await signInAs(writ(), { roles: ['viewer'], passkey: false })
    await guardless(store, `idle_until = ${Date.now() + 60_000}`, soon.signIn)
    assert.equal((await soon.api(registry.whoAmI)).status, 200)
    const [kept] = await inStoreOf(writ(), 'select idle_until from sign_in where id = $1', [soon.signIn])
    assert.ok(Number(kept!['idle_until']) > Date.now() + 1_700_000)
  })

  /** Time that has gone by, past the guards. */
  async function guardless(name: string, columns: string, id: string): Promise<void> {
    const rules = ['sign_in_is_frozen', 'sign_in_idle_only_grows']
    if (name === 'postgres') {
      await inStoreOf(writ(), 'alter table sign_in disable trigger user')
      await inStoreOf(writ(), `update sign_in set made_at = made_at - 50000000, ${columns} where id = $1 returning id`, [id])
      await inStoreOf(writ(), 'alter table sign_in enable trigger user')
      return
    }
    const kept = await inStoreOf(writ(), 'select sql from sqlite_schema where type = \'trigger\' and name in ($1, $2)', rules)
    assert.equal(kept.length, 2)
    for (const rule of rules) await inStoreOf(writ(), `drop trigger ${rule}`)
    await inStoreOf(writ(), `update sign_in set made_at = made_at - 50000000, ${columns} where id = $1 returning id`, [id])
    for (const { sql } of kept) await inStoreOf(writ(), String(sql))
  }

  test(`a new passkey takes the confirmation of one that there is, or a fresh sign-in [${store}]`, async () => {
    const maya = await signInAs(writ(), { roles: ['viewer'] })
    await refused(writ(), () => maya.api(people.beginPasskey), { status: 403, code: 'step_up_needed' })
    const stepped = await maya.stepUp()
    assert.equal(typeof stepped.reply.stepped_up_at, 'string')
    const second = await enrol(maya)
    assert.equal((await maya.api(people.listPasskeys)).reply.passkeys.length, 2)
    const told = (await eventsOf(writ(), 'human')).find((one) => one.id === second.event)!
    assert.deepEqual([told.type, told.facts['credential_id'], String(told.facts['public_key_sha256']).length], ['passkey.enrolled', second.credential_id, 64])
    const gone = await maya.api(people.removePasskey, { parameters: { id: second.id }, body: { reason: 'the phone is lost' } })
    assert.equal(gone.status, 200, gone.text)
    const begun = (await browser(writ(), '')(people.beginPasskeySignIn)).reply.options
    const lost = maya.authenticator.sign({ ...begun, allowCredentials: [{ type: 'public-key', id: second.credential_id }] }, maya.origin)
    await refused(writ(), () => browser(writ(), '')(people.signInWithPasskey, { body: { response: lost } }), { status: 401, code: 'bad_passkey' })
  })

  test(`what a group brings holds from the next request on, and so does what is taken back [${store}]`, async () => {
    const noor = await signInAs(writ(), { groups: ['finance'], passkey: false })
    const { operator } = writ()
    assert.equal((await noor.api(registry.listIdentities)).problem.code, 'role_needed')
    const set = await operator(people.setRoleRule, { body: { group: 'finance', roles: ['responder', 'viewer', 'viewer'], reason: 'they watch the payments' } })
    assert.deepEqual(set.reply.roles, ['viewer', 'responder'])
    assert.equal((await noor.api(registry.listIdentities)).status, 200)
    const given = await operator(people.giveRole, { parameters: { id: noor.id }, body: { role: 'auditor', reason: 'for the year\'s end' } })
    assert.deepEqual([given.reply.roles, given.reply.given_roles], [['viewer', 'responder', 'auditor'], ['auditor']])
    await refused(writ(), () => operator(people.giveRole, { parameters: { id: noor.id }, body: { role: 'auditor', reason: 'again' } }), { status: 409, code: 'has_it_already' })
    assert.equal((await operator(people.removeRoleRule, { body: { group: 'finance', reason: 'they do not any more' } })).status, 200)
    await refused(writ(), () => operator(people.removeRoleRule, { body: { group: 'finance', reason: 'again' } }), { status: 404, code: 'no_such_rule' })
    assert.equal((await operator(people.takeRole, { parameters: { id: noor.id }, body: { role: 'auditor', reason: 'it is over' } })).status, 200)
    assert.equal((await noor.api(registry.listIdentities)).problem.code, 'role_needed')
    assert.equal((await noor.api(registry.whoAmI)).status, 200)
    assert.deepEqual((await eventsOf(writ(), 'human')).slice(-4).map((one) => one.type), ['role_rule.set', 'role.given', 'role_rule.removed', 'role.taken'])
  })
})
