import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import * as backends from '@writ/contract/backends'
import { governedPostgres, type GovernedPostgres } from '../governed-postgres.ts'
import { addShop, complete, leased, login, opened, refusalOf } from '../governed-writ.ts'
import { eventsOf, inStoreOf, onEachStore, refused } from '../kept.ts'
import { closureOf } from '../proofs.ts'
import type { Got, RunningWrit } from '../running-writ.ts'

const NEW_SECRET = 'what-the-administrator-has-now-1'

const setSecret = (writ: RunningWrit, secret: string, name = 'shop'): Promise<Got<backends.BackendReply>> =>
  writ.operator(backends.setBackendSecret, { parameters: { name }, body: { secret } })

const sealedIn = async (writ: RunningWrit): Promise<unknown> => (await inStoreOf(writ, 'select sealed_secret, next_sealed_secret, secret_rotated_at from backend'))[0]

onEachStore('an administrator\'s secret that Writ no longer has', (writ) => {
  let shop: GovernedPostgres
  before(async () => {
    shop = await governedPostgres(18)
    await addShop(writ(), shop, { rotate: true })
  })
  after(() => shop.remove())

  test('is set again with one that logs in: what could not be withdrawn is, and its end is proved', async () => {
    const bot = await writ().register('bot')
    const task = await opened(bot)
    const lease = await leased(bot, task)
    const session = await login(lease)
    // As a restore leaves it: the secret in the store is older than the one in force.
    await shop.asSuperuser(`alter role ${shop.settings.user} password '${NEW_SECRET}'`)
    await shop.asSuperuser('select pg_terminate_backend(pid) from pg_stat_activity where usename = $1', [shop.settings.user])
    await complete(bot, task)
    assert.equal((await writ().operator(backends.rotateBackend, { parameters: { name: 'shop' } })).status, 502, 'a rotation needs the one in force')
    const done = await setSecret(writ(), NEW_SECRET)
    assert.equal(done.status, 200, done.text)
    assert.deepEqual([done.reply.name, done.reply.secret_rotated_at], ['shop', null], 'somebody outside knows this one')
    assert.ok(!done.text.includes(NEW_SECRET))
    assert.equal((await closureOf(writ(), bot.api, task)).outcome, 'proved')
    await session.end().catch(() => undefined)
    assert.match(await refusalOf(lease), /^28/)
    const told = (await eventsOf(writ(), 'human')).filter((event) => event.type === 'backend.secret_set')
    assert.deepEqual(told.map(({ actor, facts }) => [actor.kind, Object.keys(facts)]), [['operator', ['backend']]])
  })

  test('is no other for being said again: nothing is written', async () => {
    const before = [await sealedIn(writ()), (await eventsOf(writ())).length]
    assert.equal((await setSecret(writ(), NEW_SECRET)).status, 200)
    assert.deepEqual([await sealedIn(writ()), (await eventsOf(writ())).length], before)
  })

  test('is refused when it does not log in, when there is no such back end, and when it is empty; the one before stays', async () => {
    const before = await sealedIn(writ())
    const wrong = await refused(writ(), () => setSecret(writ(), 'canary-of-a-wrong-one'), { status: 422, code: 'administrator_refused' })
    assert.ok(!wrong.text.includes('canary'))
    await refused(writ(), () => setSecret(writ(), NEW_SECRET, 'nowhere'), { status: 404, code: 'no_such_thing' })
    await refused(writ(), () => setSecret(writ(), ''), { status: 400, code: 'invalid_fields' })
    assert.deepEqual(await sealedIn(writ()), before)
    assert.equal((await writ().operator(backends.testBackend, { parameters: { name: 'shop' } })).status, 200)
  })

  test('is not set by hearsay, while the back end can not be asked', async () => {
    const move = (from: number, to: number) => inStoreOf(writ(), `update backend set settings = replace(settings, '"port":${from}', '"port":${to}')`)
    await move(shop.settings.port, 1)
    await refused(writ(), () => setSecret(writ(), 'what-nobody-can-try'), { status: 502, code: 'unreachable' })
    await move(1, shop.settings.port)
  })

  test('can be rotated again afterwards, and then nobody outside knows it', async () => {
    const rotated = await writ().operator(backends.rotateBackend, { parameters: { name: 'shop' } })
    assert.equal(rotated.status, 200, rotated.text)
    assert.notEqual(rotated.reply.secret_rotated_at, null)
    await refused(writ(), () => setSecret(writ(), NEW_SECRET), { status: 422, code: 'administrator_refused' })
    assert.ok(!writ().log().includes(NEW_SECRET))
  })
})
