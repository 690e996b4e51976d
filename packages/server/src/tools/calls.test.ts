import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { DecisionId, ServerInstanceId } from '@writ/domain/id'
import { seconds } from '@writ/domain/time'
import { addIdentity, done } from '../../test/laws/estate.ts'
import { callOf, definitionOf, hashOf, pinning } from '../../test/laws/tool-steps.ts'
import { OPERATOR } from '../../test/recorded.ts'
import { everyRow, storeForSuite, STORES, type StoreOfWrit } from '../../test/store-of-writ.ts'
import { evaluate } from '../evaluate/evaluate.ts'
import { applyPolicies } from '../policies/apply.ts'
import { findToolCall } from '../store/tool-calls.ts'
import { openTask } from '../tasks/open-task.ts'
import { finishCalls, type EndOfCall } from './finish-call.ts'
import { beginInstance, INSTANCE_PACE_MS, keepInstance, leaveInstance } from './instances.ts'
import { loseCalls } from './unknown-calls.ts'

const look = definitionOf('look', 'Looks.')
const authority = [{ type: 'mcp', resource: 'mail', action: 'look', limits: {} }]

for (const store of STORES) {
  describe(`calls of tools, on ${store}`, () => {
    const opened = storeForSuite(store)
    /** A call that is allowed, through an instance of its own. */
    const begun = async (writ: StoreOfWrit, open: readonly string[] = [], given?: string): Promise<{ readonly decision: DecisionId; readonly instance: ServerInstanceId }> => {
      await done(writ.store.change(applyPolicies, { files: pinning('mail', 'look', hashOf(look), open), expected: null, reason: 'looked at', by: OPERATOR, now: writ.now() }))
      const [identity, instance, task] = [await addIdentity(writ, { authority }), writ.newId('serverInstance'), writ.newId('task')]
      await done(writ.store.change(beginInstance, { instance, address: null, now: writ.now() }))
      const asked = { authority, length: seconds(600), budgetCalls: 10, idleTimeout: seconds(600), heartbeat: seconds(600), onBehalfOf: null }
      await done(writ.store.change(openTask, { id: task, identity, parent: null, purpose: 'reads', asked, now: writ.now() }))
      const { decision, input } = callOf(writ, { task, identity, instance, listed: hashOf(look), ...(given === undefined ? {} : { arguments: given }) })
      await done(writ.store.change(evaluate, input as never))
      return { decision, instance }
    }
    const endOf = (writ: StoreOfWrit, decision: DecisionId, more: Partial<EndOfCall> = {}): EndOfCall =>
      ({ decision, outcome: 'succeeded', result: { bytes: 2, sha256: 'f00d' }, durationMs: 3, labels: ['pii'], at: writ.now(), ...more })
    const finishAll = (writ: StoreOfWrit, ...ends: readonly EndOfCall[]) => writ.store.change(finishCalls, { ends, now: writ.now() })
    const finish = (writ: StoreOfWrit, decision: DecisionId, more: Partial<EndOfCall> = {}) => finishAll(writ, endOf(writ, decision, more))
    const lose = (writ: StoreOfWrit) => done(writ.store.change(loseCalls, { limit: 10, now: writ.now() }))
    const statusOf = async (writ: StoreOfWrit, decision: DecisionId) => (await writ.store.read((db) => findToolCall(db, decision)))?.status
    const lastLeaf = async (writ: StoreOfWrit) => JSON.parse(String((await writ.sql('select leaf from event order by seq desc limit 1'))[0]!['leaf'])) as { readonly facts: object; readonly commitments: object }

    test('what became of a call is recorded, and of its result no more than a commitment', async () => {
      const writ = opened()
      const { decision } = await begun(writ)
      assert.equal(await statusOf(writ, decision), 'in_flight')
      await done(finish(writ, decision))
      const { facts, commitments } = await lastLeaf(writ)
      assert.deepEqual(facts, { decision, mcp_server: 'mail', tool: 'look', outcome: 'succeeded', bytes: 2, duration_ms: 3, labels: ['pii'] })
      assert.deepEqual(Object.keys(commitments), ['result_sha256'])
      assert.equal((await writ.sql('select leaf from event')).some(({ leaf }) => String(leaf).includes('f00d')), false)
    })

    test('a server whose job has told of it before it begins is one server, and there', async () => {
      const writ = opened()
      const instance = writ.newId('serverInstance')
      for (const tells of [keepInstance, beginInstance, beginInstance]) await done(writ.store.change(tells, { instance, address: 'http://10.0.0.9:7400', now: writ.now() }))
      assert.deepEqual((await writ.sql('select gone_at from server_instance where id = $1', [instance])).map((row) => row['gone_at']), [null])
    })

    test('a call ends once: another end of it is not taken, and nothing is written', async () => {
      const writ = opened()
      const { decision } = await begun(writ)
      await done(finish(writ, decision, { outcome: 'cancelled', result: null }))
      const before = await everyRow(writ)
      const stranger = writ.newId('decision')
      assert.deepEqual(await done(finish(writ, decision)), [{ decision, kind: 'already_finished', outcome: 'cancelled' }])
      assert.deepEqual(await done(finish(writ, stranger)), [{ decision: stranger, kind: 'no_such_call' }])
      assert.deepEqual(await done(finishAll(writ)), [])
      assert.deepEqual(await everyRow(writ), before)
    })

    const SECRET = 'xyzzy-7f3a'
    for (const { what, open, given, shown } of [
      { what: 'that a person made public', open: ['id'], given: '{"id":"inbox"}', shown: { id: 'inbox' } },
      { what: 'with all that a text may hold', open: ['id'], given: '{"id":"a\\u001bb\\"c"}', shown: { id: 'a\u001bb"c' } },
      { what: 'not where it is too long', open: ['id'], given: JSON.stringify({ id: SECRET.repeat(21) }), shown: { id: { withheld: 'too_long' } } },
      { what: 'not where nobody made it public', open: [], given: `{"id":"${SECRET}"}`, shown: undefined },
    ]) {
      test(`the record of an attempt shows an argument ${what}`, async () => {
        const writ = opened()
        const { decision } = await begun(writ, open, given)
        const { facts } = await lastLeaf(writ) as { readonly facts: Record<string, unknown> }
        assert.deepEqual([facts['decision'], facts['arguments']], [decision, shown])
        assert.equal((await writ.sql('select leaf from event')).some(({ leaf }) => String(leaf).includes(SECRET)), false)
      })
    }

    test('an argument is not shown any more once a person took the word back, nor of a tool that is not as it was accepted, nor of advice', async () => {
      const writ = opened()
      await begun(writ, ['id'])
      const shown = async () => (await lastLeaf(writ) as { readonly facts: Record<string, unknown> }).facts['arguments']
      assert.deepEqual(await shown(), { id: '1' })
      const [{ identity_id: identity, task_id: task, instance_id: instance }] = await writ.sql('select identity_id, task_id, instance_id from tool_call order by decision_id desc limit 1') as [Record<string, string>]
      const ask = async (task: string | null, listed: string) => {
        const { input } = callOf(writ, { task, identity: identity as never, instance: instance!, listed })
        const [decided] = await done(writ.store.change(evaluate, input as never))
        return [decided!.cause, await shown()]
      }
      assert.deepEqual(await ask(task!, hashOf(definitionOf('look', 'Sends.'))), ['state', undefined])
      assert.deepEqual((await ask(null, hashOf(look)))[1], undefined)
      assert.deepEqual(await ask(task!, hashOf(look)), ['policy', { id: '1' }])
      await done(writ.store.change(applyPolicies, { files: pinning('mail', 'look', hashOf(look)), expected: null, reason: 'secret after all', by: OPERATOR, now: writ.now() }))
      assert.deepEqual(await ask(task!, hashOf(look)), ['policy', undefined])
    })

    test('ends that are written together have an event each, and one that is not taken keeps none of the others away', async () => {
      const writ = opened()
      const [one, two, over] = [await begun(writ), await begun(writ), await begun(writ)]
      await done(finish(writ, over.decision))
      const before = (await everyRow(writ)).get('event')!.length
      const stranger = writ.newId('decision')
      const ends = [one, over, two, { decision: stranger }, one].map(({ decision }, i) => endOf(writ, decision, { durationMs: i, ...(i === 2 ? { outcome: 'failed', result: null } : {}) }))
      assert.deepEqual(await done(finishAll(writ, ...ends)), [
        { decision: over.decision, kind: 'already_finished', outcome: 'succeeded' }, { decision: stranger, kind: 'no_such_call' }, { decision: one.decision, kind: 'already_finished', outcome: 'succeeded' },
      ])
      const leaves = (await writ.sql('select leaf from event order by seq')).slice(before).map(({ leaf }) => JSON.parse(String(leaf)) as { readonly type: string; readonly facts: Record<string, unknown>; readonly commitments: object })
      assert.deepEqual(leaves.map(({ type, facts, commitments }) => [type, facts['decision'], facts['outcome'], facts['duration_ms'], Object.keys(commitments)]), [
        ['call.finished', one.decision, 'succeeded', 0, ['result_sha256']], ['call.finished', two.decision, 'failed', 2, []],
      ])
      assert.deepEqual([await statusOf(writ, one.decision), await statusOf(writ, two.decision)], ['succeeded', 'failed'])
    })

    test('a call is unknown once its server stopped, fell silent, or was never known', async () => {
      const writ = opened()
      const [stopped, silent, stranger] = [await begun(writ), await begun(writ), await begun(writ)]
      await lose(writ)
      for (const { decision } of [stopped, silent, stranger]) assert.equal(await statusOf(writ, decision), 'in_flight')
      await done(writ.store.change(leaveInstance, { instance: stopped.instance, now: writ.now() }))
      await writ.sql(`delete from server_instance where id = '${stranger.instance}'`)
      await lose(writ)
      assert.deepEqual(await Promise.all([stopped, silent, stranger].map(({ decision }) => statusOf(writ, decision))), ['unknown', 'in_flight', 'unknown'])
      const alive = await begun(writ)
      const keep = () => done(writ.store.change(keepInstance, { instance: alive.instance, address: null, now: writ.now() }))
      for (let i = 0; i < 11; i++) {
        writ.clock.advance(INSTANCE_PACE_MS)
        await keep()
      }
      await lose(writ)
      assert.deepEqual(await Promise.all([silent, alive].map(({ decision }) => statusOf(writ, decision))), ['unknown', 'in_flight'])
    })

    test('a server that was away for a while still tells what became of its calls', async () => {
      const writ = opened()
      const away = await begun(writ)
      await done(writ.store.change(leaveInstance, { instance: away.instance, now: writ.now() }))
      await lose(writ)
      await done(finish(writ, away.decision, { outcome: 'tool_error' }))
      assert.equal(await statusOf(writ, away.decision), 'tool_error')
      assert.deepEqual((await lastLeaf(writ)).facts, { decision: away.decision, mcp_server: 'mail', tool: 'look', outcome: 'tool_error', bytes: 2, duration_ms: 3, labels: ['pii'], before: 'unknown' })
    })

    test('two servers of ours that look for lost calls at once record each once', async () => {
      const writ = opened()
      const calls = [await begun(writ), await begun(writ), await begun(writ)]
      for (const { instance } of calls) await done(writ.store.change(leaveInstance, { instance, now: writ.now() }))
      const before = (await everyRow(writ)).get('event')!.length
      await Promise.all([lose(writ), lose(writ), lose(writ)])
      await lose(writ)
      assert.equal((await everyRow(writ)).get('event')!.length, before + 3)
    })
  })
}
