import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { seconds } from '@writ/domain/time'
import { applyRefund, approve, ARGUMENTS, attempt, personOf, previewed, requested, shownOf, stageOf, stateOf, type CallMore, type Stage, type TestPerson } from './stage.ts'
import { done, WRIT } from '../laws/estate.ts'
import { tokenIn } from '../laws/tokens.ts'
import { storeForSuite, STORES } from '../store-of-writ.ts'
import { makeFirstKey } from '../../src/issue/signing-keys.ts'
import { newTokenKey } from '../../src/keys/token-keys.ts'
import { endTask } from '../../src/revoke/end-task.ts'
import { revokeToken } from '../../src/issue/revoke-token.ts'
import { StorageUnavailable } from '../../src/store/faults.ts'
import { finishCalls } from '../../src/tools/finish-call.ts'
import { MOST_ROUNDS, type Continues } from '../../src/decide/continued.ts'
import type { Decided } from '../../src/decide/record-decision.ts'

for (const name of STORES) {
  describe(`an approved call whose server asks back, on ${name}`, () => {
    const opened = storeForSuite(name)
    let maya: TestPerson
    before(async () => {
      const writ = opened()
      await done(writ.store.change(makeFirstKey, { key: newTokenKey(writ.keys.secrets), by: WRIT, now: writ.now() }))
      await applyRefund(writ)
      maya = await personOf(writ, { name: 'Maya' })
    })

    type Begun = { readonly stage: Stage; readonly first: Decided; readonly continues: Continues }
    const tokenOf = async ({ task: id, identity }: Stage, jkt?: string) => (await tokenIn(opened(), { id, identity }, jkt)).id
    /** Approved, and run once. */
    async function begun(more: Parameters<typeof approve>[3] = {}, args = ARGUMENTS): Promise<Begun> {
      const writ = opened()
      const stage = await stageOf(writ, { lasts: 1200 })
      const approval = await requested(writ, stage, { arguments: args })
      await done(approve(writ, approval, maya, more))
      const lease = await tokenOf(stage)
      const first = await attempt(writ, stage, { arguments: args, lease })
      assert.deepEqual([first.answer, first.approval?.kind], ['allow', 'ran'])
      return { stage, first, continues: { approval, first: first.id, last: first.id, lease, round: 0 } }
    }
    const goesOn = ({ stage, continues }: Begun, more: CallMore = {}) => attempt(opened(), stage, { lease: continues.lease, continues, ...more })
    const refused = async (one: Promise<Decided>, kind: string | undefined, what = '') => {
      const decided = await one
      assert.deepEqual([decided.answer, decided.approval?.kind], ['deny', kind], what)
    }
    const callsOf = async ({ task }: Stage) => Number((await opened().sql('select count(*) as n from tool_call where task_id = $1', [task]))[0]!['n'])

    test('goes on once after each question, under the use that it began with, and each round is a decision of its own', async () => {
      const one = await begun()
      const second = await goesOn(one)
      assert.deepEqual([second.answer, second.approval?.kind, (second.approval as { readonly arguments?: string }).arguments], ['allow', 'goes_on', ARGUMENTS])
      const third = await goesOn({ ...one, continues: { ...one.continues, last: second.id, round: 1 } })
      assert.equal(third.answer, 'allow')
      await refused(goesOn(one), 'used', 'the first question answered twice')
      await refused(goesOn({ ...one, continues: { ...one.continues, last: second.id, round: 1 } }), 'used', 'the second question answered twice')
      await refused(attempt(opened(), one.stage, { lease: one.continues.lease }), 'used', 'begun anew')
      assert.equal(await callsOf(one.stage), 3)
      assert.deepEqual([(await shownOf(opened(), one.continues.approval)).callsUsed, await stateOf(opened(), one.continues.approval)], [1, 'used'])
      const events = (await opened().sql(`select leaf from event where task_id = $1 and type in ('decision.made', 'approval.used') order by seq`, [one.stage.task]))
        .map(({ leaf }) => JSON.parse(String(leaf)) as { readonly type: string; readonly facts: Readonly<Record<string, unknown>> })
      assert.equal(events.filter(({ type }) => type === 'approval.used').length, 1)
      assert.deepEqual(events.find(({ facts }) => facts['decision'] === second.id)!.facts['approval'], { id: one.continues.approval, is: 'goes_on', first: one.first.id })
    })

    test('fifty answers to one question at once go on once', async () => {
      const one = await begun()
      const patiently = async (): Promise<Decided> => goesOn(one).catch((fault: unknown) => (fault instanceof StorageUnavailable && fault.left === 'nothing' ? patiently() : Promise.reject(fault as Error)))
      assert.equal((await Promise.all(Array.from({ length: 50 }, patiently))).filter(({ answer }) => answer === 'allow').length, 1)
      assert.equal(await callsOf(one.stage), 2)
    })

    test('nothing else goes on with it: other arguments, another tool, task, token or workload, a call that was not its own', async () => {
      const one = await begun()
      const other = await begun()
      const { stage, continues } = one
      await refused(goesOn(one, { arguments: '{"amount":9007199254740990,"order":"551"}' }), 'used', 'another number')
      await refused(goesOn(one, { arguments: '{"order":"551","amount":9007199254740991}' }), 'used', 'another order')
      await refused(goesOn(one, { resource: 'shop/pay' }), undefined, 'another tool')
      await refused(goesOn(one, { listed: 'sha256:another' }), undefined, 'another definition of the tool')
      await refused(goesOn(one, { workload: 'pod-2' }), 'workload_changed', 'another workload')
      await refused(goesOn(one, { lease: await tokenOf(stage, 'another-key') }), 'used', 'a token of another key')
      await refused(goesOn({ ...one, continues: { ...continues, last: other.first.id } }), 'used', 'after a call of another task')
      await refused(goesOn({ ...one, continues: { ...continues, first: other.first.id } }), 'used', 'begun by a call of another task')
      await refused(goesOn({ ...one, continues: { ...continues, approval: other.continues.approval } }), 'used', 'an approval of another task')
      await refused(goesOn({ ...one, stage: other.stage }, { lease: other.continues.lease }), 'used', 'in another task')
      await refused(goesOn({ ...one, continues: { ...continues, round: MOST_ROUNDS } }), 'lapsed', 'too often')
      assert.equal(await callsOf(stage), 1)
      assert.equal((await goesOn(one)).answer, 'allow', 'none of them has taken its turn')
    })

    test('a token is followed by another of the same key, and by none once it was stopped', async () => {
      const one = await begun()
      assert.equal((await goesOn(one, { lease: await tokenOf(one.stage) })).answer, 'allow')
      const stopped = await begun()
      await done(opened().store.change(revokeToken, { token: stopped.continues.lease, by: WRIT, now: opened().now() }))
      await refused(goesOn(stopped, { lease: await tokenOf(stopped.stage) }), 'used')
    })

    test('not after its time, nor once its call has come to its end, its task is over, or other policies are in force', async () => {
      const writ = opened()
      const [ended, over, changed] = [await begun(), await begun(), await begun()]
      const end = { decision: ended.first.id, outcome: 'succeeded' as const, result: null, durationMs: 1, labels: [], at: writ.now() }
      await done(writ.store.change(finishCalls, { ends: [end], now: writ.now() }))
      await refused(goesOn(ended), 'used')
      await done(writ.store.change(endTask, { task: over.stage.task, because: 'completed', by: { kind: 'identity', id: over.stage.identity }, now: writ.now() }))
      await refused(goesOn(over), undefined)
      await applyRefund(writ, { extra: { 'note.md': 'as before' } })
      await refused(goesOn(changed), 'policies_changed')
      await applyRefund(writ)
      const late = await begun()
      writ.clock.advance(seconds(601))
      await refused(goesOn(late, { lease: await tokenOf(late.stage) }), 'lapsed')
    })

    test('what a person lowered goes on lowered, and a permission for the task counts it as one call', async () => {
      const writ = opened()
      const [asked, less] = ['{"amount":4200,"order":"551"}', '{"amount":1000,"order":"551"}']
      const lowered = await begun({ choice: { scope: 'edited', arguments: less } }, asked)
      const ran = await goesOn(lowered, { arguments: asked })
      assert.deepEqual([ran.answer, (ran.approval as { readonly arguments?: string }).arguments], ['allow', less])
      await refused(goesOn({ ...lowered, continues: { ...lowered.continues, last: ran.id, round: 1 } }, { arguments: '{"amount":999,"order":"551"}' }), 'used')

      const stage = await stageOf(writ)
      const id = await requested(writ, stage, { arguments: asked })
      const bound = { arguments: { amount: { most: 5000 }, order: { any: true as const } }, calls: 2, until: (await shownOf(writ, id)).expiresAt }
      assert.ok((await previewed(writ, id, { scope: 'task', bound })).ok)
      await done(approve(writ, id, maya, { choice: { scope: 'task', bound } }))
      const lease = await tokenOf(stage)
      const first = await attempt(writ, stage, { arguments: asked, lease })
      const going = { stage, first, continues: { approval: id, first: first.id, last: first.id, lease, round: 0 } }
      await refused(goesOn(going, { arguments: less }), 'used', 'within the bound, and not what ran')
      assert.equal((await goesOn(going, { arguments: asked })).answer, 'allow')
      await refused(goesOn(going, { arguments: asked }), 'used')
      assert.equal((await shownOf(writ, id)).callsUsed, 1)
      assert.equal((await attempt(writ, stage, { arguments: less, lease })).answer, 'allow')
    })
  })
}
