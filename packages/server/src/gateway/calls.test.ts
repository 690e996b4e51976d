import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { DecisionId } from '@writ/domain/id'
import { seconds } from '@writ/domain/time'
import { pino } from 'pino'
import { addIdentity, done } from '../../test/laws/estate.ts'
import { callOf, definitionOf, hashOf, pinning } from '../../test/laws/tool-steps.ts'
import { OPERATOR } from '../../test/recorded.ts'
import { storeForSuite, STORES, type StoreOfWrit } from '../../test/store-of-writ.ts'
import { evaluate } from '../evaluate/evaluate.ts'
import { applyPolicies } from '../policies/apply.ts'
import type { Store } from '../record/tx.ts'
import { findToolCall } from '../store/tool-calls.ts'
import { openTask } from '../tasks/open-task.ts'
import type { FinishCallsInput } from '../tools/finish-call.ts'
import { beginInstance } from '../tools/instances.ts'
import { callRecorder } from './calls.ts'

const look = definitionOf('look', 'Looks.')
const authority = [{ type: 'mcp', resource: 'mail', action: 'look', limits: {} }]
const log = pino({ level: 'silent' })

for (const store of STORES) {
  describe(`what became of calls, on ${store}`, () => {
    const opened = storeForSuite(store)
    const callsOf = async (writ: StoreOfWrit, count: number): Promise<readonly DecisionId[]> => {
      await done(writ.store.change(applyPolicies, { files: pinning('mail', 'look', hashOf(look)), expected: null, reason: 'looked at', by: OPERATOR, now: writ.now() }))
      const [identity, instance, task] = [await addIdentity(writ, { authority }), writ.newId('serverInstance'), writ.newId('task')]
      await done(writ.store.change(beginInstance, { instance, address: null, now: writ.now() }))
      const asked = { authority, length: seconds(600), budgetCalls: 1000, idleTimeout: seconds(600), heartbeat: seconds(600), onBehalfOf: null }
      await done(writ.store.change(openTask, { id: task, identity, parent: null, purpose: 'reads', asked, now: writ.now() }))
      const decisions: DecisionId[] = []
      for (let i = 0; i < count; i++) {
        const { decision, input } = callOf(writ, { task, identity, instance, listed: hashOf(look) })
        await done(writ.store.change(evaluate, input as never))
        decisions.push(decision)
      }
      return decisions
    }
    /** The store, and how many ends each change that was asked of it held. */
    const counted = (writ: StoreOfWrit) => {
      const sizes: number[] = []
      const change: Store['change'] = (which, input) => {
        sizes.push((input as unknown as FinishCallsInput).ends.length)
        return writ.store.change(which, input)
      }
      return { sizes, recorder: callRecorder({ store: { change }, clock: writ.clock, log }) }
    }
    const endOf = (decision: DecisionId, outcome = 'succeeded') => ({ decision, outcome: outcome as 'succeeded', result: { bytes: 2, sha256: 'ab' }, durationMs: 1, labels: [] })
    const statusesOf = (writ: StoreOfWrit, decisions: readonly DecisionId[]) => writ.store.read(async (db) => {
      const statuses = []
      for (const decision of decisions) statuses.push((await findToolCall(db, decision))?.status)
      return statuses
    })

    test('those that end at about the same time are written together, up to a bound', async () => {
      const writ = opened()
      const calls = await callsOf(writ, 70)
      const { sizes, recorder } = counted(writ)
      for (const call of calls) recorder.finish(endOf(call))
      assert.equal(await recorder.drain(60_000), true)
      assert.deepEqual([sizes, new Set(await statusesOf(writ, calls))], [[64, 6], new Set(['succeeded'])])
    })

    test('one that can not be written takes no other with it', async () => {
      const writ = opened()
      const [first, odd, last] = await callsOf(writ, 3) as [DecisionId, DecisionId, DecisionId]
      const { sizes, recorder } = counted(writ)
      for (const end of [endOf(first), endOf(odd, 'slept'), endOf(last)]) recorder.finish(end)
      assert.equal(await recorder.drain(60_000), true)
      assert.deepEqual([sizes, await statusesOf(writ, [first, odd, last])], [[3, 1, 1, 1], ['succeeded', 'in_flight', 'succeeded']])
    })

    test('the end of a server waits for what is not written yet, and no longer than it was told to', async () => {
      const writ = opened()
      const [kept] = await callsOf(writ, 1) as [DecisionId]
      const { promise, resolve } = Promise.withResolvers<never>()
      const stuck = callRecorder({ store: { change: () => promise }, clock: writ.clock, log })
      stuck.finish(endOf(kept))
      assert.equal(await stuck.drain(20), false)
      resolve({ ok: true, value: [] } as never)
      assert.equal(await counted(writ).recorder.drain(0), true)
    })
  })
}
