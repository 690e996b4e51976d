import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { done } from '../../test/laws/estate.ts'
import { applyRefund, approve, ARGUMENTS, attempt, personOf, PIN, requested, shownOf, stageOf, stateOf, type Stage, type TestPerson } from '../../test/approvals/stage.ts'
import { storeForSuite, STORES, type StoreOfWrit } from '../../test/store-of-writ.ts'

const GUARDS = ['approval_is_frozen', 'approval_choice_is_set_once', 'approval_arguments_are_only_erased', 'approval_calls_only_grow', 'approval_goes_forward']

/** R48: what a superuser could put into the row in place of what a person saw; each is refused at the use. */
const MUTATIONS: Readonly<Record<string, (row: Readonly<Record<string, unknown>>) => unknown>> = {
  kind: () => 'use', identity_id: () => 'nhi_other', root_id: () => 'tsk_other', workload: () => 'pod-2', chain: () => '[{"task":"tsk_x","identity":"nhi_x"}]',
  on_behalf_of: () => '{"issuer":"https://idp.example","subject":"eve"}', action: () => 'read', resource_type: () => 'Writ::Backend', resource_id: () => 'shop/pay',
  arguments_sha256: () => 'f'.repeat(64), claimed_sha256: () => 'f'.repeat(64), tool_pin: () => `sha256:${'A'.repeat(43)}`, policy_version: (row) => Number(row['policy_version']) - 1,
  decision_id: () => 'dec_other', route: () => '{"name":"other","when":{}}', group_name: () => 'payments', quorum: () => 2, signed: () => 'yes', expires_at: (row) => Number(row['expires_at']) + 1,
  nonce: () => 'another', choice: () => '{"scope":"task","bound":{"arguments":{"amount":{"any":true},"order":{"any":true}},"calls":1,"until":9999999999999}}',
  arguments: () => 'w1.000000000000.AAAAAAAAAAAAAAAA.AAAA',
}

for (const name of STORES) {
  describe(`what an approval is bound to, on ${name}`, () => {
    const opened = storeForSuite(name)
    let maya: TestPerson
    before(async () => {
      const writ = opened()
      await applyRefund(writ)
      maya = await personOf(writ, { name: 'Maya' })
    })
    const approved = async (stage?: Stage) => {
      const writ = opened()
      const of = stage ?? await stageOf(writ)
      const id = await requested(writ, of)
      await done(approve(writ, id, maya))
      return { writ, stage: of, id }
    }
    const refused = async (writ: StoreOfWrit, stage: Stage, more: Parameters<typeof attempt>[2], kind: string | undefined) => {
      const decided = await attempt(writ, stage, more)
      assert.deepEqual([decided.answer, decided.approval?.kind], ['deny', kind])
    }

    test('another argument, another claim, another workload, another tool or another task is not what was approved', async () => {
      const { writ, stage, id } = await approved()
      const other = await stageOf(writ)
      await refused(writ, stage, { arguments: '{"amount":9007199254740990,"order":"551"}' }, undefined)
      await refused(writ, stage, { arguments: '{"order":"551","amount":9007199254740991}' }, undefined)
      await refused(writ, stage, { arguments: '{"amount":9007199254740991,"order":"551 "}' }, undefined)
      await refused(writ, stage, { resource: 'shop/pay' }, undefined)
      await refused(writ, stage, { workload: 'pod-2' }, 'workload_changed')
      await refused(writ, other, {}, undefined)
      await refused(writ, stage, { listed: 'sha256:another' }, undefined)
      assert.equal(await stateOf(writ, id), 'approved')
      assert.equal((await attempt(writ, stage)).answer, 'allow')
    })

    test('a child has its own approvals, and the chain above it is part of them', async () => {
      const { writ, stage } = await approved()
      const child = await stageOf(writ, { parent: stage, budget: 2 })
      await refused(writ, child, {}, undefined)
      const id = await requested(writ, child)
      assert.deepEqual((await shownOf(writ, id)).chain, [{ task: stage.task, identity: stage.identity }, { task: child.task, identity: child.identity }])
      await done(approve(writ, id, maya))
      assert.equal((await attempt(writ, child)).answer, 'allow')
    })

    test('a new version of the policies, and a tool that was accepted anew, void what was approved before', async () => {
      const { writ, stage, id } = await approved()
      await applyRefund(writ, { extra: { 'note.md': 'as before' } })
      await refused(writ, stage, {}, 'policies_changed')
      const anew = await requested(writ, stage)
      assert.notEqual(anew, id)
      assert.deepEqual([await stateOf(writ, id), (await shownOf(writ, id)).why], ['cancelled', 'changed'])
      await done(approve(writ, anew, maya))
      const pin = `sha256:${'B'.repeat(43)}`
      await applyRefund(writ, { pin })
      await refused(writ, stage, { listed: pin }, 'policies_changed')
      await applyRefund(writ)
    })

    test('whatever a superuser changes in the row, field by field, it lets nothing through', async () => {
      const { writ, stage, id } = await approved()
      assert.equal((await shownOf(writ, id)).toolPin, PIN)
      for (const guard of GUARDS) await writ.sql(`drop trigger ${guard}${name === 'postgres' ? ' on approval' : ''}`)
      if (name === 'sqlite') await writ.sql('pragma foreign_keys = off')
      else await writ.sql('set session_replication_role = replica')
      const [row] = await writ.sql('select * from approval where id = $1', [id])
      for (const [column, mutate] of Object.entries(MUTATIONS)) {
        await writ.sql(`update approval set ${column} = $2 where id = $1`, [id, mutate(row!)])
        const decided = await attempt(writ, stage).catch((fault: unknown) => fault as Error)
        assert.ok(decided instanceof Error || decided.answer === 'deny', `${column} was changed, and it ran`)
        await writ.sql(`update approval set ${column} = $2 where id = $1`, [id, row![column]])
      }
      const ran = await attempt(writ, stage, { arguments: ARGUMENTS })
      assert.deepEqual([ran.answer, await stateOf(writ, id)], ['allow', 'used'])
    })
  })
}
