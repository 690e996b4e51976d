import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import * as operators from '@writ/contract/operators'
import * as registry from '@writ/contract/registry'
import { isSecret, SECRET_PREFIX } from '@writ/domain/secret'
import { eventsOf, inStoreOf, keptIn, onEachStore, refused } from '../kept.ts'
import { startBeside } from '../second-writ.ts'
import type { Api, Got, RunningWrit } from '../running-writ.ts'

const add = (by: Api, name: string, headers = {}) => by(operators.addOperator, { body: { name }, headers })
const remove = (by: Api, id: string) => by(operators.removeOperator, { parameters: { id }, body: { reason: 'has left' } })
const list = async (by: Api) => (await by(operators.listOperators)).reply.operators

/** The operator and a way to ask as it. */
async function added(writ: RunningWrit, name: string, by: Api = writ.operator): Promise<{ readonly id: string; readonly key: string; readonly api: Api }> {
  const got = await add(by, name)
  assert.equal(got.status, 201, got.text)
  const { id, key } = got.reply
  return { id, key, api: writ.as(() => key) }
}

const UNAUTHENTICATED = { status: 401, code: 'unauthenticated' } as const
const linkOf = (writ: RunningWrit): string => join(writ.folder, 'data', 'bootstrap')
const codeIn = (writ: RunningWrit): string => readFileSync(linkOf(writ), 'utf8').trim().split('#')[1]!
const redeem = (writ: RunningWrit, code: string): Promise<Got<{ readonly key: string }>> => writ.stranger(registry.redeemBootstrap, { body: { code, operator: 'Maya again' } })

onEachStore('operators', (writ, store) => {
  test('one makes a key for another, which is shown once and kept as a hash', async () => {
    const noor = await added(writ(), 'Noor')
    assert.ok(isSecret(noor.key) && noor.key.startsWith(SECRET_PREFIX.operator))
    assert.deepEqual((await noor.api(registry.whoAmI)).reply, { kind: 'operator', id: noor.id, name: 'Noor' })
    const shown = await noor.api(operators.listOperators)
    assert.deepEqual(shown.reply.operators.map(({ name, state, removed_at: at }) => `${name} ${state} ${at}`).toSorted(), ['Noor active null', 'a test active null'])
    assert.ok(!shown.text.includes(noor.key) && !JSON.stringify(await inStoreOf(writ(), 'select * from idempotency')).includes(noor.key) && !writ().log().includes(noor.key))
    const issued = (await eventsOf(writ(), 'human')).filter(({ type }) => type === 'operator.key_issued').at(-1)!
    assert.deepEqual([issued.facts, issued.said, issued.actor.id === noor.id], [{ operator: noor.id }, { name: 'Noor' }, false])
  })

  test('the repeat of a request makes no second operator, and does not show the key again', async () => {
    const headers = { 'idempotency-key': 'one-more-operator' }
    const first = await add(writ().operator, 'Once', headers)
    assert.equal(first.status, 201)
    const again = await refused(writ(), () => add(writ().operator, 'Once', headers), { status: 409, code: 'key_shown_once' })
    assert.ok(again.text.includes(first.reply.id) && !again.text.includes(first.reply.key))
  })

  test('a removed one is refused at once, and stays so; whom it made stays', async () => {
    const left = await added(writ(), 'Left')
    const made = await added(writ(), 'Made', left.api)
    const gone = await remove(writ().operator, left.id)
    assert.deepEqual([gone.status, gone.reply.state, gone.reply.removed_at === null], [200, 'removed', false], gone.text)
    for (const tried of [() => left.api(registry.whoAmI), () => add(left.api, 'Mallory')]) await refused(writ(), tried, UNAUTHENTICATED)
    assert.equal((await made.api(registry.whoAmI)).status, 200)
    await refused(writ(), () => remove(writ().operator, left.id), { status: 409, code: 'already_removed' })
    await refused(writ(), () => remove(writ().operator, 'opr_nobody'), { status: 404, code: 'no_such_operator' })
    const told = (await eventsOf(writ(), 'human')).filter(({ type }) => type === 'operator.removed')
    assert.deepEqual(told.map(({ facts, said }) => [facts, said]), [[{ operator: left.id }, { reason: 'has left' }]])
    const past = [`update operator set state = 'active', removed_at = null where state = 'removed'`, `update operator set key_hash = (select key_hash from operator where state = 'removed') where name = 'Made'`, 'delete from operator']
    for (const statement of past) await assert.rejects(inStoreOf(writ(), statement), /operator_(removed_is_for_ever|is_frozen|is_never_deleted|is_removed_once)/)
  })

  test('the key of a removed one is refused at once by another server too', { skip: store === 'sqlite' ? 'one server' : false }, async () => {
    const other = await startBeside(writ())
    try {
      const left = await added(writ(), 'Left elsewhere')
      const ask = async () => (await fetch(other.url + registry.whoAmI.path, { headers: { authorization: `Bearer ${left.key}` } })).status
      assert.equal(await ask(), 200)
      assert.equal((await remove(writ().operator, left.id)).status, 200)
      assert.equal(await ask(), 401)
    } finally {
      await other.stop()
    }
  })

  test('of any number who remove each other at once, one stays, and cannot be removed', async () => {
    const others = []
    for (const name of ['A', 'B', 'C']) others.push(await added(writ(), name))
    const everybody = (await list(writ().operator)).filter(({ state }) => state === 'active')
    const keys = new Map(others.map(({ id, api }) => [id, api] as const))
    const apis = everybody.map(({ id }) => keys.get(id) ?? writ().operator)
    await Promise.all(everybody.flatMap(({ id }) => apis.map((api) => remove(api, id))))
    const rows = await inStoreOf(writ(), `select id from operator where state = 'active'`)
    assert.equal(rows.length, 1)
    const last = String(rows[0]!['id'])
    const api = keys.get(last)
    if (api !== undefined) await refused(writ(), () => remove(api, last), { status: 409, code: 'last_operator' })
  })

  test('whose keys are all lost comes in by a link that the server\'s host asks for, with its reason in the record', async () => {
    const before = await keptIn(writ())
    await writ().kill('SIGTERM')
    await writ().restart({ WRIT_NEW_OPERATOR_LINK: 'the laptop was stolen' })
    const code = codeIn(writ())
    const got = await redeem(writ(), code)
    assert.equal(got.status, 201, got.text)
    const api = writ().as(() => got.reply.key)
    assert.equal((await api(registry.whoAmI)).status, 200)
    await refused(writ(), () => redeem(writ(), code), { status: 401, code: 'bad_bootstrap_code' })
    assert.equal((await keptIn(writ())).operator, before.operator + 1)
    const offered = (await inStoreOf(writ(), `select leaf, (select value from event_said where event_id = event.id) as said from event where type = 'operator.bootstrap_offered' order by seq desc limit 1`))[0]!
    assert.deepEqual([(JSON.parse(String(offered['leaf'])) as { facts: object }).facts, offered['said']].map((one) => (typeof one === 'object' ? Object.keys(one as object) : one)), [['expires_at', 'operators'], 'the laptop was stolen'])
    assert.match(writ().log(), /a link for one more operator is offered/)
    assert.ok(!writ().log().includes(code))
    const lost = (await list(api)).filter(({ state, name }) => state === 'active' && name !== 'Maya again')
    for (const { id } of lost) assert.equal((await remove(api, id)).status, 200)
    await refused(writ(), () => writ().operator(registry.whoAmI), UNAUTHENTICATED)
    await writ().kill('SIGTERM')
    await writ().restart()
    assert.ok(!existsSync(linkOf(writ())), 'the next start offers none')
  })
})
