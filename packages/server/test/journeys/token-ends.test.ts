import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as oauthContract from '@writ/contract/oauth'
import * as registry from '@writ/contract/registry'
import * as tasks from '@writ/contract/tasks'
import { eventsOf, onEachStore } from '../kept.ts'
import { ACCESS_TOKEN, askToken, callWith, claimsIn, EXCHANGE, introspect, NEW_TASK, postForm, proofKey } from '../oauth-client.ts'
import type { RunningWrit } from '../running-writ.ts'

/** What a token opens now: whether it is active, and whether it still says that its holder is alive. */
async function opens(writ: RunningWrit, key: Awaited<ReturnType<typeof proofKey>>, token: string): Promise<readonly unknown[]> {
  const heard = await callWith(writ, { key, token, path: `/v1/tasks/${String(claimsIn(token)['txn'])}/heartbeat` })
  return [(await introspect(writ, token))['active'], heard.status]
}

onEachStore('how an access token ends', (writ) => {
  const LIVE = [true, 200]
  const DEAD = [false, 401]

  test('it is dead at once when its task is completed, ended, or its identity suspended, and other tasks go on', async () => {
    const [bot, other, key] = [await writ().register('ends'), await writ().register('goes-on'), await proofKey()]
    const living = (await askToken(writ(), other, NEW_TASK, { key })).reply.access_token
    const ends: readonly ((task: string, token: string) => Promise<unknown>)[] = [
      (task, token) => callWith(writ(), { key, token, path: `/v1/tasks/${task}/complete` }),
      (task) => writ().operator(tasks.endTask, { parameters: { id: task }, body: { reason: 'enough' } }),
      () => writ().operator(registry.suspendIdentity, { parameters: { id: bot.id }, body: { reason: 'enough' } }),
    ]
    for (const end of ends) {
      const { access_token: token, task } = (await askToken(writ(), bot, NEW_TASK, { key })).reply
      assert.deepEqual(await opens(writ(), key, token), LIVE)
      await end(task, token)
      assert.deepEqual(await opens(writ(), key, token), DEAD)
      assert.deepEqual(await introspect(writ(), token), { active: false })
    }
    assert.deepEqual(await opens(writ(), key, living), LIVE)
  })

  test('it is dead when its time is over, to the second, and ends no later than its task', async () => {
    const [bot, key] = [await writ().register('expires'), await proofKey()]
    const { access_token: token, expires_in: length } = (await askToken(writ(), bot, { ...NEW_TASK, ttl_seconds: '2' }, { key })).reply
    const exp = Number(claimsIn(token)['exp']) * 1000
    assert.ok(length >= 1 && length <= 2)
    for (;;) {
      const asked = Date.now()
      const { active } = await introspect(writ(), token)
      if (asked > exp + 50) return assert.equal(active, false)
      if (Date.now() < exp - 50) assert.equal(active, true)
    }
  })

  test('a holder goes on with its token until the task ends, and then is told why it ended', async () => {
    const [bot, key] = [await writ().register('renews'), await proofKey()]
    const renew = (token: string) => postForm(writ(), '/oauth/token', { grant_type: EXCHANGE, subject_token: token, subject_token_type: ACCESS_TOKEN }, { key })
    const first = (await askToken(writ(), bot, { ...NEW_TASK, ttl_seconds: '3000' }, { key })).reply
    const second = await renew(first.access_token)
    assert.deepEqual([second.status, second.reply.task, second.reply.authorization_details], [200, first.task, first.authorization_details])
    assert.deepEqual(await opens(writ(), key, second.reply.access_token), LIVE)
    await writ().operator(tasks.endTask, { parameters: { id: first.task }, body: { reason: 'enough' } })
    const third = await renew(second.reply.access_token)
    assert.deepEqual([third.status, third.error.error, third.error.end_reason], [400, 'invalid_request', 'ended_by_person'])
    const fourth = await askToken(writ(), bot, { task: first.task }, { key })
    assert.deepEqual([fourth.status, fourth.error.error, fourth.error.end_reason], [400, 'invalid_grant', 'ended_by_person'])
  })

  test('an emergency puts out every token that was ever issued, and the next one is good', async () => {
    const [bot, key] = [await writ().register('emergency'), await proofKey()]
    const before = (await askToken(writ(), bot, NEW_TASK, { key })).reply
    assert.deepEqual(await opens(writ(), key, before.access_token), LIVE)
    const replaced = await writ().operator(oauthContract.replaceSigningKeys, { body: { reason: 'a key may have leaked' } })
    assert.equal(replaced.status, 200, replaced.text)
    assert.deepEqual(await opens(writ(), key, before.access_token), DEAD)
    const after = (await askToken(writ(), bot, { task: before.task }, { key })).reply
    assert.deepEqual(await opens(writ(), key, after.access_token), LIVE)
    const { keys } = await (await fetch(`${writ().url}/oauth/jwks`)).json() as { keys: { kid: string }[] }
    assert.equal(keys.length, 1)
    const events = (await eventsOf(writ())).filter((event) => event.type.startsWith('signing_key.'))
    assert.deepEqual(events.filter((event) => event.type === 'signing_key.revoked').map((event) => [event.stream, event.said['reason']]), [['human', 'a key may have leaked']])
  })

  test('the next key is shown when an operator asks for it, once however often', async () => {
    const shown = [await writ().operator(oauthContract.rotateSigningKeys), await writ().operator(oauthContract.rotateSigningKeys)]
    assert.deepEqual(shown.map((got) => got.reply.keys.map((one) => one.state).filter((state) => state !== 'revoked').toSorted()), [['active', 'next'], ['active', 'next']])
    const { keys } = await (await fetch(`${writ().url}/oauth/jwks`)).json() as { keys: { kid: string }[] }
    assert.deepEqual(keys.map((one) => one.kid).toSorted(), shown[0]!.reply.keys.filter((one) => one.state !== 'revoked').map((one) => one.kid).toSorted())
    for (const ask of [writ().stranger, (await writ().register('no-operator')).api]) {
      assert.ok([401, 403].includes((await ask(oauthContract.replaceSigningKeys, { body: { reason: 'x' } })).status))
      assert.ok([401, 403].includes((await ask(oauthContract.listSigningKeys)).status))
    }
  })

  test('after a restart the same key signs, and tokens from before are as good as they were', async () => {
    const [bot, key] = [await writ().register('restarts'), await proofKey()]
    const [live, dead] = [(await askToken(writ(), bot, NEW_TASK, { key })).reply, (await askToken(writ(), bot, NEW_TASK, { key })).reply]
    await callWith(writ(), { key, token: dead.access_token, path: `/v1/tasks/${dead.task}/complete` })
    await writ().kill()
    await writ().restart()
    assert.deepEqual([await opens(writ(), key, live.access_token), await opens(writ(), key, dead.access_token)], [LIVE, DEAD])
  })
})
