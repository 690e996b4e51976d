import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { epochMs } from '@writ/domain/time'
import { forget } from '../../src/jobs/forget.ts'
import { beginDeviceSignIn } from '../../src/people/device-sign-in.ts'
import { beginProviderSignIn, takeProviderSignInUp } from '../../src/people/provider-sign-in.ts'
import { storeForSuite, STORES } from '../store-of-writ.ts'

const bytes = (n: number): Uint8Array => new Uint8Array(32).fill(n)
const MINUTE = 60_000

for (const name of STORES) {
  describe(`what somebody began and nobody finished, on ${name}`, () => {
    const opened = storeForSuite(name)

    test('is forgotten ten minutes after its end, and nothing else is', async () => {
      const writ = opened()
      const { store } = writ
      const begun = writ.now()
      for (const [n, at] of [[1, begun], [2, epochMs(begun + 5 * MINUTE)]] as const) {
        await store.change(beginProviderSignIn, { stateHash: bytes(n), browserHash: bytes(9), returnTo: '/', now: at })
        await store.change(beginDeviceSignIn, { deviceHash: bytes(n), userCode: 'BCDFGHJK'[n]!.repeat(8), askedFrom: '192.0.2.1', claimedDevice: null, now: at })
      }
      const left = async () => Promise.all(['provider_sign_in', 'device_sign_in'].map(async (table) => Number((await writ.sql(`select count(*) as many from ${table}`))[0]!['many'])))
      await store.change(forget, { now: epochMs(begun + 20 * MINUTE) })
      assert.deepEqual(await left(), [2, 2])
      await store.change(forget, { now: epochMs(begun + 20 * MINUTE + 1) })
      assert.deepEqual(await left(), [1, 1])
      const late = await store.change(takeProviderSignInUp, { stateHash: bytes(2), browserHash: bytes(9), now: epochMs(begun + 15 * MINUTE) })
      assert.deepEqual(late, { ok: false, refusal: { kind: 'unknown_attempt' } }, 'too late by itself, before it is forgotten')
      await store.change(forget, { now: epochMs(begun + 60 * MINUTE) })
      assert.deepEqual(await left(), [0, 0])
    })
  })
}
