import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { applyRefund, approve, attempt, personOf, previewed, requested, shownOf, stageOf, stateOf, tryRequest, type TestPerson } from '../../test/approvals/stage.ts'
import { done, OPERATOR } from '../../test/laws/estate.ts'
import { everyRow, storeForSuite, STORES, type StoreOfWrit } from '../../test/store-of-writ.ts'
import { setApprovalRoutes } from './routes.ts'

/** What somebody could write who has the database and not Writ's keys: the guards are no hindrance to whoever owns the tables. */
for (const name of STORES) {
  describe(`approvals that were written into the database, on ${name}`, () => {
    const opened = storeForSuite(name)
    let [maya, noor] = [] as unknown as [TestPerson, TestPerson]
    before(async () => {
      const writ = opened()
      await applyRefund(writ)
      ;[maya, noor] = [await personOf(writ), await personOf(writ)]
      for (const [table, ...guards] of [
        ['approval', 'approval_is_frozen', 'approval_requested_event_is_frozen', 'approval_choice_is_set_once', 'approval_goes_forward', 'approval_calls_only_grow', 'approval_has_its_quorum', 'approval_arguments_are_only_erased'],
        ['approval_vote', 'approval_vote_stays_update', 'approval_vote_stays_delete', 'approval_vote_is_of_what_was_shown'], ['approval_route', 'approval_route_is_append_only_delete', 'approval_route_is_append_only_update'],
      ] as const) for (const guard of guards) await writ.sql(`drop trigger ${guard}${name === 'postgres' ? ` on ${table}` : ''}`)
    })
    const forgeVote = async (writ: StoreOfWrit, id: string, { voter, envelope, event }: { readonly voter: TestPerson; readonly envelope: string; readonly event: string }) => writ.sql(
      `insert into approval_vote (approval_id, person_id, name, email, issuer, subject, group_names, answer, reason, envelope_sha256, passkey_id, assertion, at, event_id)
       values ($1, $2, 'x', $3, $4, $5, '[]', 'approve', null, $6, null, null, $7, $8)`, [id, voter.person, voter.email, voter.issuer, voter.subject, envelope, writ.now(), event])
    const forgeApproved = async (writ: StoreOfWrit, id: string, envelope: string) => writ.sql(
      `update approval set state = 'approved', choice = '{"scope":"once"}', envelope_sha256 = $2, calls_most = 1, decided_at = $3 where id = $1`, [id, envelope, writ.now()])
    const envelopeOf = async (writ: StoreOfWrit, id: Awaited<ReturnType<typeof requested>>) => {
      const shown = await previewed(writ, id)
      return shown.ok ? shown.value.envelopeSha256 : assert.fail()
    }
    const eventOf = async (writ: StoreOfWrit, type: string, approval: string) => String((await writ.sql(`select id from event where type = $1 and leaf like $2`, [type, `%${approval}%`]))[0]!['id'])
    const stays = async (writ: StoreOfWrit, stage: Parameters<typeof attempt>[1], why: string) => {
      const tried = await attempt(writ, stage)
      assert.deepEqual([tried.answer, tried.approval?.kind], ['deny', why])
      assert.equal(Number((await writ.sql('select count(*) as n from tool_call where task_id = $1', [stage.task]))[0]!['n']), 0)
    }

    test('an answer counts only with its event: not without one, nor with that of another approval, of another person, of a no, or of another envelope', async () => {
      const writ = opened()
      const [other, refused] = [await requested(writ, await stageOf(writ)), await requested(writ, await stageOf(writ))]
      await done(approve(writ, other, maya))
      const { sign: _, ...voter } = maya
      const { denyApproval } = await import('./vote.ts')
      await done(writ.store.change(denyApproval, { id: refused, voter, reason: null, now: writ.now() }))
      const borrowed = await eventOf(writ, 'approval.voted', other)
      for (const event of ['evt_x', borrowed, await eventOf(writ, 'approval.approved', other), await eventOf(writ, 'approval.voted', refused)]) {
        const stage = await stageOf(writ)
        const id = await requested(writ, stage)
        const envelope = await envelopeOf(writ, id)
        await forgeApproved(writ, id, envelope)
        await forgeVote(writ, id, { voter: maya, envelope, event })
        await stays(writ, stage, 'not_answered')
      }
      // A no that was turned into a yes; and a yes that was given to somebody else, or to something else.
      const turned = await stageOf(writ)
      const id = await requested(writ, turned)
      const envelope = await envelopeOf(writ, id)
      await done(writ.store.change(denyApproval, { id, voter, reason: null, now: writ.now() }))
      await writ.sql(`update approval_vote set answer = 'approve', envelope_sha256 = $2 where approval_id = $1`, [id, envelope])
      const sealed = (await writ.sql('select arguments from approval where id = $1', [other]))[0]!['arguments']
      await writ.sql(`update approval set state = 'approved', choice = '{"scope":"once"}', envelope_sha256 = $2, calls_most = 1, decided_at = $3, ended_at = null, due_at = expires_at, arguments = $4 where id = $1`, [id, envelope, writ.now(), sealed])
      await stays(writ, turned, 'not_answered')
      const moved = await stageOf(writ)
      const given = await requested(writ, moved)
      await done(approve(writ, given, maya))
      await writ.sql('update approval_vote set person_id = $2, email = $3, subject = $4 where approval_id = $1', [given, noor.person, noor.email, noor.subject])
      await stays(writ, moved, 'not_answered')
      await writ.sql('update approval_vote set person_id = $2, email = $3, subject = $4 where approval_id = $1', [given, maya.person, maya.email, maya.subject])
      // An event that was written by hand: without our key nobody makes its MAC.
      const [event] = await writ.sql('select * from event where id = $1', [borrowed])
      const forged = await stageOf(writ)
      const third = await requested(writ, forged)
      const hash = await envelopeOf(writ, third)
      const leaf = String(event!['leaf']).replaceAll(other, third).replace(/"envelope_sha256":"[0-9a-f]{64}"/, `"envelope_sha256":"${hash}"`).replaceAll(borrowed, 'evt_forged')
      await writ.sql('insert into event (id, stream, type, at, task_id, identity_id, leaf, leaf_hash, mac, leaf_index) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, null)',
        ['evt_forged', event!['stream'], event!['type'], event!['at'], forged.task, forged.identity, leaf, event!['leaf_hash'], event!['mac']])
      await forgeApproved(writ, third, hash)
      await forgeVote(writ, third, { voter: maya, envelope: hash, event: 'evt_forged' })
      await stays(writ, forged, 'not_answered')
      assert.equal((await attempt(writ, moved)).answer, 'allow', 'the one that was given counts')
    })

    test('a forged answer does not make the number that is asked for full, and lower numbers than were recorded do not count', async () => {
      const writ = opened()
      const routes = [{ name: 'two', when: {}, group: null, quorum: 2, seconds: 300, signed: false }]
      const { version } = await done(writ.store.change(setApprovalRoutes, { routes, version: 0, reason: 'two pairs of eyes', by: OPERATOR, now: writ.now() }))
      const stage = await stageOf(writ)
      const id = await requested(writ, stage)
      const envelope = await envelopeOf(writ, id)
      await writ.sql(`update approval set choice = '{"scope":"once"}', envelope_sha256 = $2, calls_most = 1 where id = $1`, [id, envelope])
      await forgeVote(writ, id, { voter: noor, envelope, event: 'evt_x' })
      assert.equal(await done(approve(writ, id, maya)), 'waiting')
      await forgeApproved(writ, id, envelope)
      await stays(writ, stage, 'not_answered')
      // One asked for two, and its row says one, is signed by nobody, or lasts for longer: whoever is shown that does not make it so.
      for (const lowered of ['quorum = 1', `group_name = 'mine'`, 'expires_at = expires_at + 60000', `labels = '[]'`, 'requested_event = null']) {
        const other = await stageOf(writ)
        const asked = await requested(writ, other)
        await writ.sql(`update approval set ${lowered} where id = $1`, [asked])
        const before = await everyRow(writ)
        const voter = { ...maya, groups: ['mine'] }
        assert.deepEqual(await approve(writ, asked, voter), { ok: false, refusal: { kind: 'damaged' } }, lowered)
        assert.deepEqual(await everyRow(writ), before)
        await forgeApproved(writ, asked, await envelopeOf(writ, asked))
        await stays(writ, other, 'damaged')
      }
      // Routes that nobody set, and routes that were brought back: nobody is asked by them.
      const waits = await requested(writ, await stageOf(writ))
      const damaged = async () => {
        const [forStage, before] = [await stageOf(writ), await everyRow(writ)]
        assert.deepEqual(await approve(writ, waits, noor), { ok: false, refusal: { kind: 'routes_damaged' } })
        assert.deepEqual(await everyRow(writ), before)
        const denial = await attempt(writ, forStage)
        assert.deepEqual(await tryRequest(writ, forStage, denial.id), { ok: false, refusal: { kind: 'routes_damaged' } })
      }
      await writ.sql(`insert into approval_route (version, routes, reason, set_by, set_at) values ($1, '[]', 'mine', 'opr_x', 1)`, [version + 1])
      await damaged()
      const healed = await done(writ.store.change(setApprovalRoutes, { routes, version: version + 1, reason: 'again', by: OPERATOR, now: writ.now() }))
      assert.equal(await done(approve(writ, waits, maya)), 'waiting')
      await writ.sql('delete from approval_route where version = $1', [healed.version])
      await damaged()
      await writ.sql('delete from approval_route')
      await damaged()
      await done(writ.store.change(setApprovalRoutes, { routes: [], version: 0, reason: 'from the start', by: OPERATOR, now: writ.now() }))
    })

    test('what was approved once is no permission for the task, whatever its rows say', async () => {
      const writ = opened()
      const stage = await stageOf(writ)
      const id = await requested(writ, stage, { arguments: '{"amount":1,"order":"1"}' })
      const bound = { arguments: { amount: { most: 1_000_000 }, order: { any: true as const } }, calls: 1000, until: (await shownOf(writ, id)).expiresAt }
      const wider = await previewed(writ, id, { scope: 'task', bound })
      assert.ok(wider.ok)
      await done(approve(writ, id, maya))
      await writ.sql('update approval set choice = $2, envelope_sha256 = $3, calls_most = 1000 where id = $1', [id, JSON.stringify(wider.value.choice), wider.value.envelopeSha256])
      await writ.sql('update approval_vote set envelope_sha256 = $2 where approval_id = $1', [id, wider.value.envelopeSha256])
      const tried = await attempt(writ, stage, { arguments: '{"amount":1000000,"order":"mine"}' })
      assert.deepEqual([tried.answer, tried.approval?.kind], ['deny', 'not_answered'])
    })

    test('one that was used is used, whatever its row says, and it allows no more calls than were shown', async () => {
      const writ = opened()
      const stage = await stageOf(writ)
      const id = await requested(writ, stage)
      await done(approve(writ, id, maya))
      const [row] = await writ.sql('select arguments, due_at from approval where id = $1', [id])
      assert.equal((await attempt(writ, stage)).answer, 'allow')
      await writ.sql(`update approval set state = 'approved', calls_used = 0, used_at = null, ended_at = null, due_at = $2, arguments = $3 where id = $1`, [id, row!['due_at'], row!['arguments']])
      const again = await attempt(writ, stage)
      assert.deepEqual([again.answer, again.approval?.kind], ['deny', 'used'])
      await writ.sql('update approval set calls_most = 5 where id = $1', [id])
      assert.deepEqual((await attempt(writ, stage)).approval?.kind, 'damaged')
      assert.equal(await stateOf(writ, id), 'approved')
      assert.equal((await shownOf(writ, id)).callsUsed, 0)
      assert.equal(Number((await writ.sql('select count(*) as n from tool_call where task_id = $1', [stage.task]))[0]!['n']), 1)
    })
  })
}
