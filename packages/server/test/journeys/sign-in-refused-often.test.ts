import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import * as people from '@writ/contract/people'
import * as registry from '@writ/contract/registry'
import { SECRET_PREFIX, toSecret } from '@writ/domain/secret'
import { browser, signInAs } from '../people.ts'
import { startWrit, type RunningWrit } from '../running-writ.ts'

const MOST = 20
let writ: RunningWrit
before(async () => { writ = await startWrit({ env: { WRIT_REFUSED_PER_MINUTE: String(MOST) } }) })
after(async () => { await writ.stop() })

test('whoever guesses codes and passkeys is not looked at any more, cannot tell so, and keeps nobody out who came in from there before', async () => {
  const [known, late] = [await signInAs(writ, { roles: ['viewer'] }), await signInAs(writ, { roles: ['viewer'] })]
  const stranger = browser(writ, '')
  const signs = async (by: typeof known, wrong = {}) => {
    const { options } = (await stranger(people.beginPasskeySignIn)).reply
    return by.authenticator.sign(options, by.origin, wrong)
  }
  const told = async (response: people.AssertionResponse) => {
    const got = await stranger(people.signInWithPasskey, { body: { response } })
    const { trace_id: _, ...problem } = got.problem
    return { status: got.status, said: got.status === 201 ? '' : JSON.stringify(problem) }
  }
  const [good, bad] = [await signs(known), await signs(late, { signature: 'of another key' })]
  const [goodOfKnown, goodOfLate] = [await signs(known), await signs(late)]
  assert.equal((await told(good)).status, 201)
  const refusedOnce = await told(bad)
  assert.equal(refusedOnce.status, 401)
  const codes = new Set<string>()
  for (let i = 0; i < MOST; i++) {
    const code = toSecret(SECRET_PREFIX.bootstrap, new Uint8Array(32).fill(i))
    const got = await stranger(people.beginPersonByLink, { body: { code, name: 'guesser' } })
    codes.add(`${got.status} ${got.problem.code}`)
    const redeemed = await writ.stranger(registry.redeemBootstrap, { body: { code, operator: 'guesser' } })
    codes.add(`${redeemed.status} ${redeemed.problem.code}`)
  }
  assert.deepEqual([...codes], ['401 bad_bootstrap_code'])
  assert.deepEqual(await told(goodOfLate), refusedOnce, 'also what is good is not looked at')
  assert.equal((await told(goodOfKnown)).status, 201)
  assert.equal((await known.api(registry.whoAmI)).status, 200, 'nor is anybody put out who has signed in')
})
