import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { createLocalJWKSet, errors, jwtVerify, type JWTVerifyGetKey } from 'jose'
import { makeFirstKey, publishKey, replaceKeys, rotateWhenDue, SIGNS_FOR_MS, turnKeys } from '../../src/issue/signing-keys.ts'
import { newTokenKey, PUBLISHED_BEFORE_USE_MS, tokenKeys, type TokenKeys } from '../../src/keys/token-keys.ts'
import { listSigningKeys } from '../../src/store/signing-keys.ts'
import { everyRow, storeOfWrit, STORES, type StoreOfWrit } from '../store-of-writ.ts'

const WRIT = { kind: 'writ', id: 'writ' } as const
const OPERATOR = { kind: 'operator', id: 'opr_of_the_test' } as const
const CACHED_MS = 300_000

/** One server's view of the keys, and the round of its job. */
function serverOn(writ: StoreOfWrit): { readonly keys: TokenKeys; round(): Promise<void> } {
  const { store, keys: { secrets }, clock } = writ
  const keys = tokenKeys({ list: () => store.read(listSigningKeys), secrets, clock })
  return { keys, round: async () => { await rotateWhenDue({ store, secrets }, await keys.refresh(), clock.now()) } }
}

/** RFC 7517 client that fetches the key set and believes it for five minutes, whatever it meets. */
function cachingClient(keys: TokenKeys, writ: StoreOfWrit) {
  let until = 0
  let set: JWTVerifyGetKey = createLocalJWKSet({ keys: [] })
  return async (token: string): Promise<void> => {
    if (writ.now() >= until) {
      set = createLocalJWKSet(keys.jwks() as never)
      until = writ.now() + CACHED_MS
    }
    await jwtVerify(token, set, { currentDate: new Date(writ.now()), typ: 'at+jwt' })
  }
}

const statesOf = async ({ store }: StoreOfWrit) => (await store.read(listSigningKeys)).map((key) => key.state).toSorted()
const made = (writ: StoreOfWrit) => ({ key: newTokenKey(writ.keys.secrets), by: WRIT, now: writ.now() })

for (const name of STORES) {
  describe(`the keys that sign access tokens, on ${name}`, () => {
    test('three servers that start together make one key, and one event of each kind', async (t) => {
      const writ = await storeOfWrit(name, t)
      await Promise.all([1, 2, 3].map(() => serverOn(writ).round()))
      assert.deepEqual(await statesOf(writ), ['active'])
      const events = await writ.sql('select type from event where type like \'signing_key.%\' order by seq')
      assert.deepEqual(events.map((row) => row['type']), ['signing_key.published', 'signing_key.activated'])
    })

    test('R34: over ten rotations no token is met by a cached key set that does not know its key', async (t) => {
      const writ = await storeOfWrit(name, t)
      const servers = [serverOn(writ), serverOn(writ)]
      for (const server of servers) await server.round()
      for (const server of servers) await server.keys.refresh()
      // They fetch at different times, half of them from the other server.
      const clients = Array.from({ length: 20 }, (_, i) => cachingClient(servers[i % 2]!.keys, writ))
      const live: { readonly token: string; readonly exp: number }[] = []
      const signedBy = new Set<string>()
      let checked = 0
      for (let rotation = 0; rotation < 10; rotation++) {
        await writ.store.change(publishKey, made(writ))
        for (let step = 0; step < 60; step++) {
          const active = (await writ.store.read(listSigningKeys)).find((key) => key.state === 'active')!
          signedBy.add(active.kid)
          const exp = Math.floor(writ.now() / 1000) + 300
          // A server may be late: it reads the table every second at best.
          live.push({ token: await servers[step % 2]!.keys.sign({ exp, sub: 'a' }, active.kid), exp })
          const [oldest] = live
          if (oldest!.exp * 1000 <= writ.now() + 1000) live.shift()
          for (const client of [clients[step % 20]!, clients[(step * 7 + rotation) % 20]!]) {
            for (const one of [live[0]!, live.at(-1)!]) {
              await client(one.token)
              checked += 1
            }
          }
          writ.clock.advance(7_000)
          await servers[step % 2]!.round()
        }
      }
      assert.deepEqual({ keys: signedBy.size, checked }, { keys: 11, checked: 2400 })
    })

    test('a key that has signed for thirty days is followed by one that was shown for five minutes before', async (t) => {
      const writ = await storeOfWrit(name, t)
      const server = serverOn(writ)
      await server.round()
      await server.round()
      assert.deepEqual(await statesOf(writ), ['active'])
      writ.clock.advance(SIGNS_FOR_MS)
      await server.round()
      assert.deepEqual(await statesOf(writ), ['active', 'next'])
      writ.clock.advance(PUBLISHED_BEFORE_USE_MS - 1)
      await server.round()
      assert.deepEqual(await statesOf(writ), ['active', 'next'])
      writ.clock.advance(1)
      await server.round()
      assert.deepEqual(await statesOf(writ), ['active', 'retired'])
    })

    test('two servers that turn at once turn once', async (t) => {
      const writ = await storeOfWrit(name, t)
      await writ.store.change(makeFirstKey, made(writ))
      await writ.store.change(publishKey, made(writ))
      const keys = await writ.store.read(listSigningKeys)
      const turn = { from: keys.find((key) => key.state === 'active')!.kid, to: keys.find((key) => key.state === 'next')!.kid, now: writ.now() }
      const turned = await Promise.all([1, 2, 3].map(() => writ.store.change(turnKeys, turn)))
      assert.equal(turned.filter((one) => one.ok).length, 1)
      assert.deepEqual(await statesOf(writ), ['active', 'retired'])
    })

    test('to ask twice for the next key shows one', async (t) => {
      const writ = await storeOfWrit(name, t)
      await writ.store.change(makeFirstKey, made(writ))
      await Promise.all([1, 2, 3].map(() => writ.store.change(publishKey, made(writ))))
      assert.deepEqual(await statesOf(writ), ['active', 'next'])
    })

    test('an emergency revokes all of them, and a new one signs at once', async (t) => {
      const writ = await storeOfWrit(name, t)
      const server = serverOn(writ)
      await server.round()
      await writ.store.change(publishKey, made(writ))
      const [kid] = (await writ.store.read(listSigningKeys)).filter((key) => key.state === 'active').map((key) => key.kid)
      await server.keys.refresh()
      const old = await server.keys.sign({ sub: 'a' }, kid!)
      const replaced = await writ.store.change(replaceKeys, { ...made(writ), by: OPERATOR, reason: 'the backup tape is gone' })
      assert.ok(replaced.ok)
      await server.keys.refresh()
      assert.deepEqual(await statesOf(writ), ['active', 'revoked', 'revoked'])
      assert.equal(await server.keys.verificationKeyOf(kid!), undefined)
      await assert.rejects(jwtVerify(old, createLocalJWKSet(server.keys.jwks() as never)), errors.JWKSNoMatchingKey)
      const rows = (await everyRow(writ)).get('signing_key')!
      assert.deepEqual(rows.map((row) => `${String(row['state'])}: ${row['sealed_private'] === null ? 'forgotten' : 'kept'}`).toSorted(), ['active: kept', 'revoked: forgotten', 'revoked: forgotten'])
    })

    test('the store itself refuses a second active key, a change of a key, and a key that comes back', async (t) => {
      const writ = await storeOfWrit(name, t)
      await writ.store.change(makeFirstKey, made(writ))
      await writ.store.change(replaceKeys, { ...made(writ), by: OPERATOR, reason: 'x' })
      for (const statement of [
        'update signing_key set state = \'active\' where state = \'revoked\'', 'update signing_key set jwk = \'{}\'', 'delete from signing_key',
        'update signing_key set revoked_at = 5 where state = \'revoked\'',
        'update signing_key set sealed_private = null where state = \'active\'',
        'insert into signing_key (id, jwk, sealed_private, state, published_at, activated_at) values (\'x\', \'{}\', \'y\', \'active\', 1, 1)',
      ]) await assert.rejects(writ.sql(statement), Error, statement)
      assert.deepEqual(await statesOf(writ), ['active', 'revoked'])
    })
  })
}
