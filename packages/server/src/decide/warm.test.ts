import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { storeForSuite, STORES } from '../../test/store-of-writ.ts'
import type { Store } from '../record/tx.ts'
import { warmRound } from './warm.ts'

for (const name of STORES) {
  describe(`policies that are warmed, on ${name}`, () => {
    const at = storeForSuite(name)

    test('each version is parsed once where it decides, and nothing is written', async () => {
      const { store } = at()
      const seen: string[] = []
      const watched: Pick<Store, 'read' | 'change'> = {
        read: (query) => store.read(query),
        change: (change, input) => {
          seen.push(change.name)
          return store.change(change, input)
        },
      }
      const events = async () => (await at().sql('select count(*) as n from event'))[0]!.n
      const before = await events()
      const round = warmRound({ store: watched })
      for (let i = 0; i < 4; i++) await round()
      assert.deepEqual(seen, ['policy.warm'])
      await at().sql(`insert into policy_version (version, digest, files, applied_by, applied_at) select version + 1, digest, files, 'test', 1 from policy_version`)
      await at().sql('update policy_head set version = version + 1')
      for (let i = 0; i < 4; i++) await round()
      assert.deepEqual(seen, ['policy.warm', 'policy.warm'])
      assert.equal(await events(), before)
    })
  })
}
