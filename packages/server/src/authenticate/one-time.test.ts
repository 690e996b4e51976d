import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { describe, test } from 'node:test'
import { epochMs } from '@writ/domain/time'
import { storeForSuite, STORES } from '../../test/store-of-writ.ts'
import { forget } from '../jobs/forget.ts'
import { StorageUnavailable } from '../store/faults.ts'
import type { OneTimeUse } from './authenticator.ts'
import { proofRoom, useOnce } from './one-time.ts'

const LATER = epochMs(4_000_000_000_000)
const use = (of: OneTimeUse['of'] = 'proof', until = LATER): OneTimeUse => ({ of, hash: new Uint8Array(randomBytes(32)), until })

for (const name of STORES) {
  describe(`what works once, on ${name}`, () => {
    const at = storeForSuite(name)
    const count = async () => Number((await at().sql('select count(*) as n from proof_used'))[0]!.n)
    const used = async (...uses: readonly OneTimeUse[]) => {
      const answer = await at().store.change(useOnce, { uses })
      return answer.ok ? 'used' : answer.refusal
    }

    test('works once, and a hundred times not again', async () => {
      const one = use()
      assert.equal(await used(one), 'used')
      for (let i = 0; i < 100; i++) assert.deepEqual(await used(one), { kind: 'replayed', of: 'proof' })
    })

    test('of a hundred at once one gets through', async () => {
      const one = use()
      const answers = await Promise.all(Array.from({ length: 100 }, () => used(one)))
      assert.equal(answers.filter((answer) => answer === 'used').length, 1)
    })

    test('two things that came together are used up together or not at all', async () => {
      const [evidence, proof] = [use('evidence'), use('proof')]
      assert.equal(await used(proof), 'used')
      const before = await count()
      assert.deepEqual(await used(evidence, proof), { kind: 'replayed', of: 'proof' })
      assert.equal(await count(), before)
      assert.equal(await used(evidence, use('proof')), 'used')
      assert.deepEqual(await used(evidence, use('proof')), { kind: 'replayed', of: 'evidence' })
      assert.equal(await count(), before + 2)
    })

    test('what has expired is forgotten, and nothing else', async () => {
      const [old, fresh] = [use('proof', epochMs(1000)), use('proof')]
      await used(old, fresh)
      await at().store.change(forget, { now: epochMs(1001) })
      assert.deepEqual(await used(fresh), { kind: 'replayed', of: 'proof' })
      assert.equal(await used(old), 'used')
    })

    test('many that have expired are forgotten a part at a time', async () => {
      const left = async () => Number((await at().sql('select count(*) as n from proof_used where expires_at < 1500'))[0]!.n)
      await at().store.change(forget, { now: epochMs(1500) })
      for (let i = 0; i < 21; i++) await used(...Array.from({ length: 100 }, () => use('proof', epochMs(1200))))
      assert.deepEqual(await at().store.change(forget, { now: epochMs(1500) }), { ok: true, value: true })
      assert.equal(await left(), 100)
      assert.deepEqual(await at().store.change(forget, { now: epochMs(1500) }), { ok: true, value: false })
      assert.equal(await left(), 0)
    })

    test('when the store holds as many as it may, nobody gets in until some are forgotten', async () => {
      await used(use('proof', epochMs(2000)), use('proof', epochMs(2000)))
      const held = await count()
      const roomFor = proofRoom({ store: at().store, clock: at().clock }, held + 3)
      await roomFor(2)
      await roomFor(1)
      await assert.rejects(roomFor(1), (error) => error instanceof StorageUnavailable && error.code === 'too_many_proofs')
      await at().store.change(forget, { now: epochMs(2001) })
      await assert.rejects(roomFor(1))
      at().clock.advance(10_000)
      await roomFor(1)
    })
  })
}
