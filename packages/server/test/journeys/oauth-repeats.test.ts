import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inStoreOf, onEachStore } from '../kept.ts'
import { askToken, assertedBy, claimsIn, introspect, NEW_TASK, postForm, proofKey, type Told } from '../oauth-client.ts'
import type { RunningWrit } from '../running-writ.ts'

const counted = async (writ: RunningWrit): Promise<Readonly<Record<string, number>>> => {
  const [row] = await inStoreOf(writ, `select (select count(*) from task) as task, (select count(*) from access_token) as token, (select count(*) from event) as event`)
  return Object.fromEntries(Object.entries(row!).map(([name, value]) => [name, Number(value)]))
}

onEachStore('token requests that come again', (writ) => {
  test('R4: a storm, each of twenty requests five times at once, opens twenty tasks with one token each, and tells each caller the same', async () => {
    const bot = await writ().register('storm')
    const key = await proofKey()
    const before = await counted(writ())
    const asked = Array.from({ length: 100 }, (_, i) => i % 20)
    const ask = async (n: number): Promise<Told> => {
      const told = await askToken(writ(), bot, { ...NEW_TASK, purpose: `storm ${n}` }, { key, headers: { 'idempotency-key': `key-of-storm-${n}` } })
      // A store that has too much to do says so, and the client comes again, as it is told to.
      return told.error.error === 'temporarily_unavailable' ? ask(n) : told
    }
    const got = await Promise.all(asked.map(ask))
    assert.deepEqual(got.filter((one) => one.status !== 200).map((one) => one.text), [])
    for (let n = 0; n < 20; n++) {
      const same = got.filter((_, i) => asked[i] === n)
      assert.equal(new Set(same.map((one) => one.reply.task)).size, 1)
      assert.equal(new Set(same.map((one) => JSON.stringify(claimsIn(one.reply.access_token)))).size, 1)
      assert.equal((await introspect(writ(), same[4]!.reply.access_token))['active'], true)
    }
    const after = await counted(writ())
    assert.deepEqual({ task: after['task']! - before['task']!, token: after['token']! - before['token']!, event: after['event']! - before['event']! }, { task: 20, token: 20, event: 40 })
  })

  test('who repeats a request that he has listened to gets nothing, with its key or without', async () => {
    const bot = await writ().register('overheard')
    const key = await proofKey()
    const form = { grant_type: 'client_credentials', ...assertedBy(bot), ...NEW_TASK }
    const proof = key.proof({ htu: `${writ().url}/oauth/token` })
    const headers = { 'idempotency-key': 'key-of-overheard' }
    assert.equal((await postForm(writ(), '/oauth/token', form, { proof, headers })).status, 200)
    const before = await counted(writ())
    for (const more of [{ proof, headers }, { proof }, { key, headers }, { key }]) {
      const got = await postForm(writ(), '/oauth/token', form, more)
      assert.deepEqual([got.status, got.error.error, got.reply.access_token], [401, 'invalid_client', undefined])
    }
    const anew = await postForm(writ(), '/oauth/token', { ...form, ...assertedBy(bot) }, { proof, headers })
    assert.deepEqual([anew.status, anew.error.error], [400, 'invalid_dpop_proof'])
    assert.deepEqual(await counted(writ()), before)
  })

  test('a refused request uses its evidence up all the same, and its key not', async () => {
    const bot = await writ().register('refused-once')
    const key = await proofKey()
    const form = { grant_type: 'client_credentials', ...assertedBy(bot), ...NEW_TASK, ttl_seconds: '999999' }
    const headers = { 'idempotency-key': 'key-of-refused-once' }
    const first = await postForm(writ(), '/oauth/token', form, { key, headers })
    assert.deepEqual([first.status, first.error.error], [400, 'invalid_request'])
    const { ttl_seconds: _, ...mended } = form
    assert.equal((await postForm(writ(), '/oauth/token', mended, { key, headers })).error.error, 'invalid_client')
    assert.equal((await postForm(writ(), '/oauth/token', { ...mended, ...assertedBy(bot) }, { key, headers })).status, 200)
  })

  test('the key of one request with another one, or with another proof key, is refused', async () => {
    const bot = await writ().register('other-request')
    const [key, other] = [await proofKey(), await proofKey()]
    const headers = { 'idempotency-key': 'key-of-other-request' }
    assert.equal((await askToken(writ(), bot, NEW_TASK, { key, headers })).status, 200)
    const before = await counted(writ())
    for (const got of [await askToken(writ(), bot, { ...NEW_TASK, purpose: 'another' }, { key, headers }), await askToken(writ(), bot, NEW_TASK, { key: other, headers })]) {
      assert.deepEqual([got.status, got.error.error], [400, 'invalid_request'])
      assert.match(got.error.error_description!, /Idempotency-Key/)
    }
    assert.deepEqual(await counted(writ()), before)
  })

  test('a repeat does not bring back a token that was given back', async () => {
    const bot = await writ().register('given-back')
    const key = await proofKey()
    const more = { key, headers: { 'idempotency-key': 'key-of-given-back' } }
    const got = await askToken(writ(), bot, NEW_TASK, more)
    assert.equal((await postForm(writ(), '/oauth/revoke', { token: got.reply.access_token, ...assertedBy(bot) })).status, 200)
    const again = await askToken(writ(), bot, NEW_TASK, more)
    assert.deepEqual([again.status, again.error.error, again.reply.access_token], [400, 'invalid_grant', undefined])
  })
})
