import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { before, describe, test } from 'node:test'
import * as registry from '@writ/contract/registry'
import * as signIn from '@writ/contract/sign-in'
import { revokeSignIn } from '@writ/contract/people'
import { SECRET_PREFIX, toSecret } from '@writ/domain/secret'
import { hostEntropy } from '../../src/platform/entropy.ts'
import { eventsOf, inStoreOf, onEachStore, refused } from '../kept.ts'
import { signInAs, type SignedInPerson } from '../people.ts'
import { startWrit, type Got, type RunningWrit } from '../running-writ.ts'

const begin = async (writ: RunningWrit, device?: string) => {
  const begun = await writ.stranger(signIn.beginDeviceSignIn, { body: device === undefined ? {} : { device } })
  assert.equal(begun.status, 201, begun.text)
  return begun.reply
}
const redeem = (writ: RunningWrit, code: string) => writ.stranger(signIn.redeemDeviceSignIn, { body: { device_code: code } })
const said = ({ status, problem, headers }: Got<unknown>) => [status, problem.code, headers.get('retry-after')]
const hashOf = (text: string): Buffer => createHash('sha256').update(text).digest()

onEachStore('a command line that asks to be let in', (writ) => {
  let maya: SignedInPerson
  before(async () => { maya = await signInAs(writ(), { roles: ['viewer'], name: 'Maya' }) })

  test('is told to wait, to wait longer when it is in a hurry, and is let in once', async () => {
    const begun = await begin(writ(), 'maya@laptop')
    assert.match(begun.user_code, /^[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}$/)
    assert.deepEqual([begun.verification_uri, begun.expires_in, begun.interval], [`http://localhost:${new URL(writ().url).port}/device`, 600, 5])
    assert.equal(begun.verification_uri_complete, `${begun.verification_uri}#${begun.user_code}`)
    assert.deepEqual(said(await redeem(writ(), begun.device_code)), [409, 'authorization_pending', '5'])
    assert.deepEqual(said(await redeem(writ(), begun.device_code)), [409, 'slow_down', '10'])
    assert.deepEqual(said(await redeem(writ(), begun.device_code)), [409, 'slow_down', '15'])
    const confirmed = await maya.api(signIn.confirmDeviceSignIn, { body: { user_code: begun.user_code, answer: 'allow' } })
    assert.equal(confirmed.status, 200, confirmed.text)
    const all = await Promise.all(Array.from({ length: 5 }, () => redeem(writ(), begun.device_code)))
    assert.deepEqual(all.map(({ status }) => status).toSorted((a, b) => a - b), [201, 401, 401, 401, 401])
    const { secret, person, sign_in: made } = all.find(({ status }) => status === 201)!.reply
    assert.deepEqual([person, made.kind, made.how, made.stepped_up_at], [{ id: maya.id, name: 'Maya', roles: ['viewer'] }, 'cli', 'device', null])
    const me = await writ().as(() => secret)(registry.whoAmI)
    assert.deepEqual([me.status, me.reply.id, me.reply.roles], [200, maya.id, ['viewer']])
    assert.equal((await writ().stranger(registry.whoAmI, { headers: { cookie: `__Host-writ=${secret}` } })).status, 401, 'it is none of a browser')
    const told = (await eventsOf(writ(), 'human')).filter(({ actor }) => actor.id === maya.id).slice(-2)
    assert.deepEqual(told.map(({ type }) => type), ['device.allowed', 'person.signed_in'])
    assert.deepEqual(told[0]!.said, { asked_from: '127.0.0.1', device: 'maya@laptop' })
  })

  test('is refused when somebody says no, and when it is too late', async () => {
    const begun = await begin(writ())
    await maya.api(signIn.confirmDeviceSignIn, { body: { user_code: begun.user_code, answer: 'deny' } })
    await refused(writ(), () => redeem(writ(), begun.device_code), { status: 403, code: 'access_denied' })
    await refused(writ(), () => maya.api(signIn.confirmDeviceSignIn, { body: { user_code: begun.user_code, answer: 'allow' } }), { status: 409, code: 'answered_already' })
    const late = toSecret(SECRET_PREFIX.device, hostEntropy.bytes(32))
    await inStoreOf(writ(), `insert into device_sign_in (device_hash, user_code, asked_from, begun_at, ends_at, pace_ms, state) values ($1, 'LATELATE', '::1', 1, $2, 5000, 'waiting') returning state`, [hashOf(late), Date.now() - 1])
    await refused(writ(), () => redeem(writ(), late), { status: 401, code: 'expired_token' })
    await refused(writ(), () => maya.api(signIn.confirmDeviceSignIn, { body: { user_code: 'late-late', answer: 'allow' } }), { status: 404, code: 'no_such_code' })
  })

  test('gets nothing by a code that nobody gave out', async () => {
    for (const code of ['', 'x', toSecret(SECRET_PREFIX.device, hostEntropy.bytes(32)), toSecret(SECRET_PREFIX.signIn, hostEntropy.bytes(32))]) {
      await refused(writ(), () => redeem(writ(), code), { status: 401, code: 'invalid_grant' })
    }
  })

  test('is not let in by another command line, by an operator, by an agent or by a page elsewhere', async () => {
    const begun = await begin(writ())
    const body = { user_code: begun.user_code, answer: 'allow' }
    const cli = await signInAs(writ(), { as: maya.id, kind: 'cli', passkey: false })
    await refused(writ(), () => cli.api(signIn.confirmDeviceSignIn, { body }), { status: 403, code: 'not_from_a_browser' })
    const agent = await writ().register(`agent-${writ().databaseUrl === undefined ? 'a' : 'b'}`)
    for (const api of [writ().operator, agent.api]) {
      assert.equal((await api(signIn.confirmDeviceSignIn, { body })).status, 403)
      assert.equal((await api(signIn.showDeviceSignIn, { body: { user_code: begun.user_code } })).status, 403)
    }
    await refused(writ(), () => writ().stranger(signIn.confirmDeviceSignIn, { body, headers: { cookie: maya.cookie, origin: 'https://evil.example' } }), { status: 403, code: 'cross_site' })
    assert.deepEqual(said(await redeem(writ(), begun.device_code)), [409, 'authorization_pending', '5'])
  })

  test('is not let in any more once whoever confirmed it was thrown out', async () => {
    const dave = await signInAs(writ(), { roles: ['viewer'] })
    const begun = await begin(writ())
    await dave.api(signIn.confirmDeviceSignIn, { body: { user_code: begun.user_code, answer: 'allow' } })
    const revoked = await writ().operator(revokeSignIn, { parameters: { id: dave.signIn }, body: { reason: 'their laptop is gone' } })
    assert.equal(revoked.status, 200, revoked.text)
    await refused(writ(), () => redeem(writ(), begun.device_code), { status: 403, code: 'access_denied' })
  })

  for (const { what, statement, rule } of [
    { what: 'answered by nobody', statement: 'update device_sign_in set state = \'allowed\' where state = \'waiting\'', rule: /answered_by_somebody/ },
    { what: 'taken before it is allowed', statement: 'update device_sign_in set state = \'taken\' where state = \'denied\'', rule: /moves_on/ },
    { what: 'answered twice', statement: 'update device_sign_in set answered_at = answered_at - 1 where state = \'denied\'', rule: /answered_once/ },
    { what: 'given another code', statement: 'update device_sign_in set user_code = \'AAAAAAAA\' where state = \'denied\'', rule: /is_frozen/ },
    { what: 'asked for more often than it was told', statement: 'update device_sign_in set pace_ms = 1 where state = \'denied\'', rule: /pace_only_slows/ },
  ]) test(`can not be ${what}, past Writ either`, () => assert.rejects(inStoreOf(writ(), `${statement} returning state`), rule))
})

describe('how often a command line may ask to be let in', () => {
  test('one address only so often, and codes can not be tried at will', async (t) => {
    const writ = await startWrit({ env: { WRIT_SIGN_INS_PER_MINUTE: '3', WRIT_REFUSED_PER_MINUTE: '50' } })
    t.after(() => writ.stop())
    for (let i = 0; i < 3; i++) await begin(writ)
    const over = await writ.stranger(signIn.beginDeviceSignIn, { body: {} })
    assert.deepEqual([over.status, over.problem.code], [429, 'too_many_sign_ins'])
    assert.ok(Number(over.headers.get('retry-after')) > 0)
    const maya = await signInAs(writ, { roles: ['viewer'] })
    for (let i = 0; i < 5; i++) assert.equal((await maya.api(signIn.showDeviceSignIn, { body: { user_code: 'BBBB-BBBB' } })).status, 404)
    assert.deepEqual(said(await maya.api(signIn.showDeviceSignIn, { body: { user_code: 'BBBB-BBBC' } })).slice(0, 2), [429, 'too_many_codes'])
  })
})
