import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { seconds } from '@writ/domain/time'
import { done } from '../../test/laws/estate.ts'
import { applyRefund, approve, ARGUMENTS, attempt, personOf, previewed, requested, shownOf, stageOf, stateOf, tryRequest, type TestPerson } from '../../test/approvals/stage.ts'
import { everyRow, storeForSuite, STORES } from '../../test/store-of-writ.ts'
import { StorageUnavailable } from '../store/faults.ts'
import { lapseApprovals } from './end.ts'

for (const name of STORES) {
  describe(`approvals that are used, on ${name}`, () => {
    const opened = storeForSuite(name)
    let maya: TestPerson
    before(async () => {
      await applyRefund(opened())
      maya = await personOf(opened(), { name: 'Maya' })
    })
    const approved = async (arguments_ = ARGUMENTS) => {
      const writ = opened()
      const stage = await stageOf(writ)
      const id = await requested(writ, stage, { arguments: arguments_ })
      assert.deepEqual(await done(approve(writ, id, maya)), 'approved')
      return { writ, stage, id }
    }

    test('what a person approved runs once, on the bytes that were kept, and is told by its events', async () => {
      const { writ, stage, id } = await approved()
      const ran = await attempt(writ, stage)
      assert.equal(ran.answer, 'allow')
      assert.deepEqual(ran.approval && { id: ran.approval.id, kind: ran.approval.kind, text: (ran.approval as { arguments?: string }).arguments }, { id, kind: 'ran', text: ARGUMENTS })
      assert.equal(await stateOf(writ, id), 'used')
      const kept = await shownOf(writ, id)
      assert.deepEqual([kept.arguments, kept.intent, kept.callsUsed], [null, null, 1])
      const again = await attempt(writ, stage)
      assert.deepEqual([again.answer, again.approval?.kind, again.approval?.id], ['deny', 'used', id])
      const events = (await writ.sql(`select type, leaf from event where type like 'approval.%' or type = 'decision.made' order by seq`))
        .map(({ leaf }) => JSON.parse(String(leaf)) as { readonly type: string; readonly stream: string; readonly actor: { readonly kind: string }; readonly task: string; readonly facts: Record<string, unknown> })
        .filter(({ task }) => task === stage.task)
      assert.deepEqual(events.map(({ type, stream, actor }) => `${type} ${stream} ${actor.kind}`), [
        'decision.made non-human identity', 'approval.requested non-human identity', 'approval.voted human person', 'approval.approved human person',
        'decision.made non-human identity', 'approval.used non-human identity', 'decision.made non-human identity',
      ])
      assert.deepEqual(events[4]!.facts['approval'], { id, is: 'ran' })
      assert.ok(!(await writ.sql('select leaf from event')).some(({ leaf }) => String(leaf).includes(kept.argumentsSha256)))
    })

    test('fifty uses at once run once', async () => {
      const { writ, stage, id } = await approved()
      const patiently = async (): ReturnType<typeof attempt> => attempt(writ, stage).catch((fault: unknown) => (fault instanceof StorageUnavailable && fault.left === 'nothing' ? patiently() : Promise.reject(fault as Error)))
      const ran = await Promise.all(Array.from({ length: 50 }, patiently))
      assert.deepEqual(ran.filter(({ answer }) => answer === 'allow').length, 1)
      assert.equal(await stateOf(writ, id), 'used')
      assert.equal(Number((await writ.sql('select count(*) as n from tool_call where task_id = $1', [stage.task]))[0]!['n']), 1)
    })

    test('one that nobody has answered, or that came to its end, lets nothing through', async () => {
      const writ = opened()
      const stage = await stageOf(writ)
      const id = await requested(writ, stage)
      assert.equal((await attempt(writ, stage)).approval?.kind, 'waiting')
      assert.equal(await done(approve(writ, id, maya)), 'approved')
      writ.clock.advance(seconds(601))
      assert.equal((await attempt(writ, stage)).answer, 'deny')
      await done(writ.store.change(lapseApprovals, { now: writ.now(), limit: 10, withMoot: true }))
      assert.deepEqual([await stateOf(writ, id), (await shownOf(writ, id)).why], ['lapsed', 'not_used'])
    })

    test('a number past what a float can hold is not the one beside it', async () => {
      const big = '{"amount":9007199254740993,"order":"551"}'
      const { writ, stage } = await approved(big)
      assert.equal((await attempt(writ, stage, { arguments: '{"amount":9007199254740992,"order":"551"}' })).answer, 'deny')
      assert.deepEqual((await attempt(writ, stage, { arguments: big })).answer, 'allow')
    })

    test('lowered arguments run in place of those that were asked for', async () => {
      const writ = opened()
      const stage = await stageOf(writ)
      const id = await requested(writ, stage, { arguments: '{"amount":4200,"order":"551"}' })
      for (const edited of ['{"amount":4201,"order":"551"}', '{"amount":4200,"order":"552"}', '{"amount":4200}', '{"amount":4200,"order":"551","more":1}', '{"amount":4.2,"order":"551"}']) {
        assert.deepEqual(await previewed(writ, id, { scope: 'edited', arguments: edited }), { ok: false, refusal: { kind: 'not_narrower' } }, edited)
      }
      await done(approve(writ, id, maya, { choice: { scope: 'edited', arguments: '{"order":"551","amount":1000}' } }))
      const ran = await attempt(writ, stage, { arguments: '{"amount":4200,"order":"551"}' })
      assert.deepEqual([ran.answer, (ran.approval as { arguments?: string }).arguments], ['allow', '{"amount":1000,"order":"551"}'])
      const [made] = await writ.sql(`select leaf from event where type = 'decision.made' order by seq desc limit 1`)
      assert.deepEqual(JSON.parse(String(made!['leaf'])).facts.arguments, { amount: 1000 })
    })

    test('where somebody else carries it out, what was lowered is denied with what may be asked, and that is allowed once', async () => {
      const writ = opened()
      const stage = await stageOf(writ)
      const [asked, less] = ['{"amount":4200,"order":"551"}', '{"amount":1000,"order":"551"}']
      const id = await requested(writ, stage, { arguments: asked, outside: true })
      await done(approve(writ, id, maya, { choice: { scope: 'edited', arguments: less } }))
      const tried = async (args: string) => attempt(writ, stage, { arguments: args, outside: true })
      const denied = await tried(asked)
      assert.deepEqual([denied.answer, denied.approval?.kind, (denied.approval as { arguments?: string }).arguments], ['deny', 'lowered', less])
      assert.equal((await tried('{"amount":1001,"order":"551"}')).answer, 'deny')
      assert.equal((await tried('{"amount":999,"order":"551"}')).answer, 'deny')
      assert.equal((await attempt(writ, stage, { arguments: less, claimed: '{"more":1}', outside: true })).answer, 'deny')
      assert.equal(await stateOf(writ, id), 'approved')
      const ran = await tried(less)
      assert.deepEqual([ran.answer, ran.approval?.kind, (ran.approval as { arguments?: string }).arguments], ['allow', 'ran', less])
      assert.equal(await stateOf(writ, id), 'used')
      assert.equal((await tried(less)).answer, 'deny')
      assert.deepEqual([(await tried(asked)).answer, (await tried(asked)).approval?.kind], ['deny', 'used'])
    })

    test('for the task: calls within what was shown run as often as was shown, and nothing wider', async () => {
      const writ = opened()
      const stage = await stageOf(writ)
      const id = await requested(writ, stage, { arguments: '{"amount":4200,"order":"551"}' })
      const bound = { arguments: { amount: { most: 5000 }, order: { any: true as const } }, calls: 3, until: (await shownOf(writ, id)).expiresAt }
      assert.deepEqual(await previewed(writ, id, { scope: 'task', bound: { ...bound, arguments: { amount: { most: 4000 } } } }), { ok: false, refusal: { kind: 'bound_too_narrow' } })
      await done(approve(writ, id, maya, { choice: { scope: 'task', bound } }))
      const tried = async (args: string) => (await attempt(writ, stage, { arguments: args })).answer
      assert.equal(await tried('{"amount":5001,"order":"1"}'), 'deny')
      assert.equal(await tried('{"amount":5000,"order":"1"}'), 'allow')
      assert.equal(await tried('{"amount":5000,"order":"1","to":"me"}'), 'deny')
      assert.equal(await tried('{"amount":1,"order":"2"}'), 'allow')
      assert.equal(await stateOf(writ, id), 'approved')
      assert.equal(await tried('{"amount":4200,"order":"551"}'), 'allow')
      assert.equal(await tried('{"amount":1,"order":"3"}'), 'deny')
      assert.equal(await stateOf(writ, id), 'used')
    })

    test('an approved call that is denied all the same uses nothing up, and the denial says why', async () => {
      const writ = opened()
      const stage = await stageOf(writ, { budget: 1 })
      const other = await requested(writ, stage, { arguments: '{"amount":1,"order":"a"}' })
      const id = await requested(writ, stage)
      await done(approve(writ, other, maya))
      await done(approve(writ, id, maya))
      assert.equal((await attempt(writ, stage)).answer, 'allow')
      const late = await attempt(writ, stage, { arguments: '{"amount":1,"order":"a"}' })
      assert.deepEqual([late.answer, late.cause, await stateOf(writ, other)], ['deny', 'budget', 'approved'])
    })

    test('the same asked again while it waits is the same request, and one that a person denied is not asked again', async () => {
      const writ = opened()
      const stage = await stageOf(writ)
      const first = await requested(writ, stage)
      assert.equal(await requested(writ, stage), first)
      assert.notEqual(await requested(writ, stage, { arguments: '{"amount":1,"order":"551"}' }), first)
      const { denyApproval } = await import('./vote.ts')
      const { sign: _, ...voter } = maya
      await done(writ.store.change(denyApproval, { id: first, voter, reason: 'no', now: writ.now() }))
      const before = await everyRow(writ)
      const again = await attempt(writ, stage)
      assert.equal(again.approval?.kind, 'denied')
      const asked = await done(tryRequest(writ, stage, again.id, { isExplicit: true }))
      assert.deepEqual([asked.isNew, asked.approval.id, asked.approval.state], [false, first, 'denied'])
      assert.equal(before.get('approval')!.length, (await everyRow(writ)).get('approval')!.length)
    })

    test('no more than twenty of a task wait, and a refused one leaves nothing', async () => {
      const writ = opened()
      const stage = await stageOf(writ)
      for (let i = 0; i < 20; i++) await requested(writ, stage, { arguments: `{"amount":${i},"order":"x"}` })
      const decided = await attempt(writ, stage, { arguments: '{"amount":21,"order":"x"}' })
      const before = await everyRow(writ)
      assert.deepEqual(await tryRequest(writ, stage, decided.id), { ok: false, refusal: { kind: 'too_many_waiting', of: 'task', most: 20 } })
      assert.deepEqual(await everyRow(writ), before)
    })
  })
}
