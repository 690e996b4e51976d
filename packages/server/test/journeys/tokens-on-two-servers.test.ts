import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import * as oauthContract from '@writ/contract/oauth'
import * as tasks from '@writ/contract/tasks'
import { introspect, JWT_BEARER_CLIENT, NEW_TASK, postForm, proofKey } from '../oauth-client.ts'
import { startWrit, type RunningWrit, type TestIdentity } from '../running-writ.ts'
import { startBeside } from '../second-writ.ts'

const ISSUER = 'https://writ.acme.example'
/** R34: how soon an old key is refused at every door that asks. */
const REFUSED_WITHIN_MS = 2000

describe('access tokens on two servers', () => {
  let writ: RunningWrit
  let beside: Awaited<ReturnType<typeof startBeside>>
  let bot: TestIdentity
  before(async () => {
    writ = await startWrit({ store: 'postgres', env: { WRIT_ISSUER: ISSUER } })
    beside = await startBeside(writ, { WRIT_ISSUER: ISSUER })
    bot = await writ.register('on-two-servers')
  })
  after(async () => {
    await beside.stop()
    await writ.stop()
  })

  const other = () => ({ url: beside.url, operatorKey: writ.operatorKey })
  const assertion = () => bot.assertion({ aud: ISSUER })
  const asOwner = () => writ.as(assertion)

  async function issue(at: { readonly url: string }, key: Awaited<ReturnType<typeof proofKey>>, more: { readonly assertion?: string; readonly proof?: string } = {}) {
    return postForm(at, '/oauth/token', { grant_type: 'client_credentials', client_assertion_type: JWT_BEARER_CLIENT, client_assertion: more.assertion ?? assertion(), ...NEW_TASK },
      { proof: more.proof ?? key.proof({ htu: `${ISSUER}/oauth/token` }) })
  }

  test('both sign with the one key that they made together', async () => {
    const sets = await Promise.all([writ, beside].map(async ({ url }) => (await fetch(`${url}/oauth/jwks`)).json() as Promise<{ keys: object[] }>))
    assert.equal(sets[0]!.keys.length, 1)
    assert.deepEqual(sets[0], sets[1])
  })

  test('what ends on one is refused on the other at once, with no notification between them', async () => {
    const key = await proofKey()
    for (let i = 0; i < 10; i++) {
      const { access_token: token, task } = (await issue(writ, key)).reply
      assert.equal((await introspect(other(), token))['active'], true)
      assert.equal((await asOwner()(tasks.completeTask, { parameters: { id: task } })).status, 200)
      assert.deepEqual(await introspect(other(), token), { active: false })
    }
  })

  test('an assertion and a proof that one server took are worth nothing at the other', async () => {
    const key = await proofKey()
    const [assertedOnce, proof] = [assertion(), key.proof({ htu: `${ISSUER}/oauth/token` })]
    assert.equal((await issue(writ, key, { assertion: assertedOnce, proof })).status, 200)
    assert.deepEqual([(await issue(beside, key, { assertion: assertedOnce })).error.error, (await issue(beside, key, { proof })).error.error], ['invalid_client', 'invalid_dpop_proof'])
  })

  test('R34: after an emergency on one, no token from before is taken by either, and tokens of both are good', async () => {
    const key = await proofKey()
    const old = [(await issue(writ, key)).reply.access_token, (await issue(beside, key)).reply.access_token]
    for (const token of old) for (const at of [writ, other()]) assert.equal((await introspect(at, token))['active'], true)
    const started = Date.now()
    assert.equal((await writ.operator(oauthContract.replaceSigningKeys, { body: { reason: 'a key may have leaked' } })).status, 200)
    const states = []
    for (const token of old) for (const at of [writ, other()]) states.push((await introspect(at, token))['active'])
    assert.deepEqual(states, [false, false, false, false])
    assert.ok(Date.now() - started < REFUSED_WITHIN_MS)
    // The other server has not read the keys again yet, and signs with the right one all the same.
    for (const token of [(await issue(writ, key)).reply.access_token, (await issue(beside, key)).reply.access_token]) {
      for (const at of [other(), writ]) assert.equal((await introspect(at, token))['active'], true)
    }
  })
})
