import assert from 'node:assert/strict'
import { test } from 'node:test'
import { epochMs } from '@writ/domain/time'
import type { Tables } from './tables.ts'
import { onBothStores } from '../../test/both-stores.ts'
import { countUp, decidedWorld, decisionOf, denyOne, newId, write, type Call, type DecidedStore } from '../../test/decided/world.ts'
import { findDecision, listDecisions, type Decision, type DecisionPage } from './decisions.ts'
import { RuleBroken } from './faults.ts'
import { describeTreeLabels, listInstanceLabels, listLabelsAround, listTreeLabels } from './labels.ts'
import { findModes, findModesAround, listModes, modeAt } from './modes.ts'
import { findPolicyFiles, findPolicyHead, findPolicyVersion, findVersionInForce, listPolicyVersions, peekPolicyHead } from './policies.ts'
import { findTask } from './tasks.ts'

const identity = newId('identity')
const [task, other] = [newId('task'), newId('task')]

const begin: Call = { name: 'estate', given: [{ identity, tasks: [task, other] }] }
const put = (decision: Decision): Call => ({ name: 'insertDecision', given: [decision] })

/** `RuleBroken` with this rule, and nothing of the change is there. */
async function breaks(store: DecidedStore, rule: string, ...calls: readonly Call[]): Promise<void> {
  const before = await store.read((db) => listDecisions(db, { limit: 100 }))
  await assert.rejects(store.change(write, calls), (error) => error instanceof RuleBroken && error.rule === rule, rule)
  assert.deepEqual(await store.read((db) => listDecisions(db, { limit: 100 })), before, rule)
}

onBothStores<Tables, null>(decidedWorld, (name, open) => {
  const opened = async (t: Parameters<typeof open>[0], ...calls: readonly Call[]): Promise<DecidedStore> => {
    const store = await open(t)
    await store.change(write, [begin, ...calls])
    return store
  }

  test(`${name}: a decision is read back as it was written`, async (t) => {
    const plain = decisionOf({ task, identity })
    const observed = decisionOf({ task, identity, at: epochMs(2000), mode: 'observe', wouldDeny: true, approvable: true, by: [], traceId: null })
    const advice = decisionOf({ task: null, identity: null, advisory: true, answer: 'deny', cause: 'error', errors: ['`amount` is no integer'], evaluated: null, evaluatedSalt: null })
    const store = await opened(t, put(plain), put(observed), put(advice))
    for (const decision of [plain, observed, advice]) assert.deepEqual(await store.read((db) => findDecision(db, decision.id)), decision)
    assert.equal(await store.read((db) => findDecision(db, newId('decision'))), undefined)
  })

  test(`${name}: decisions are listed by time, task, identity and answer, page by page and from either end`, async (t) => {
    const decisions = [1000, 1000, 2000, 3000, 3000].map((at, i) => decisionOf({ task: i % 2 === 0 ? task : other, identity, at: epochMs(at), answer: i === 4 ? 'deny' : 'allow' }))
    const store = await opened(t, ...decisions.map(put))
    const inOrder = decisions.map((one) => one.id).toSorted()
    const ids = async (page: Partial<DecisionPage>) => (await store.read((db) => listDecisions(db, { limit: 100, ...page }))).map((one) => one.id)
    assert.deepEqual(await ids({}), inOrder.toReversed())
    assert.deepEqual(await ids({ oldestFirst: true }), inOrder)
    assert.deepEqual(await ids({ oldestFirst: true, limit: 2, beyond: inOrder[1]! }), inOrder.slice(2, 4))
    assert.deepEqual(await ids({ limit: 2, beyond: inOrder[3]! }), [inOrder[2], inOrder[1]])
    assert.deepEqual(await ids({ since: epochMs(2000) }), inOrder.slice(2).toReversed())
    assert.deepEqual(await ids({ until: epochMs(2000) }), inOrder.slice(0, 2).toReversed())
    assert.deepEqual(await ids({ since: epochMs(1001), until: epochMs(3000) }), [decisions[2]!.id])
    assert.deepEqual(await ids({ task }), [0, 2, 4].map((i) => decisions[i]!.id).toSorted().toReversed())
    assert.deepEqual(await ids({ answer: 'deny' }), [decisions[4]!.id])
    assert.deepEqual(await ids({ identity: newId('identity') }), [])
  })

  test(`${name}: a decision whose id was minted at another time is a bug, and is not written`, async (t) => {
    const store = await opened(t)
    await assert.rejects(store.change(write, [put({ ...decisionOf({ task, identity }), at: epochMs(1001) })]))
    assert.deepEqual(await store.read((db) => listDecisions(db, { limit: 9 })), [])
  })

  test(`${name}: no decision contradicts itself`, async (t) => {
    const store = await opened(t)
    const refused: readonly (readonly [string, Partial<Decision>])[] = [
      ['decision_error_denies', { errors: ['it broke'] }],
      ['decision_observed_is_by_policy', { wouldDeny: true }],
      ['decision_observed_is_by_policy', { wouldDeny: true, mode: 'observe', cause: 'budget' }],
      ['decision_approvable_was_denied', { approvable: true }],
      ['decision_advisory_has_no_task', { advisory: true }],
      ['decision_of_task_has_identity', { identity: null }],
      ['decision_evaluated_has_salt', { evaluatedSalt: null }],
      ['decision_answer_known', { answer: 'approve' as never }],
      ['decision_cause_known', { cause: 'mood' as never }],
    ]
    for (const [rule, more] of refused) await breaks(store, rule, put(decisionOf({ task, identity, ...more })))
  })

  test(`${name}: a decision never changes but that what was evaluated is erased, with its salt and for good`, async (t) => {
    const decision = decisionOf({ task, identity })
    const store = await opened(t, put(decision))
    const set = (columns: object): Call => ({ name: 'breakRule', given: [{ table: 'decision', set: columns, id: { id: decision.id } }] })
    for (const columns of [{ answer: 'deny' }, { policy_version: 2 }, { principal_id: 'another' }, { by_policies: '[]' }, { would_deny: 'yes' }, { event_id: 'evt_other' }]) {
      await breaks(store, 'decision_is_frozen', set(columns))
    }
    await breaks(store, 'decision_evaluated_is_only_erased', set({ evaluated: 'another' }))
    await breaks(store, 'decision_evaluated_has_salt', set({ evaluated: null }))
    await breaks(store, 'decision_is_never_deleted', { name: 'remove', given: ['decision'] })
    await store.change(write, [{ name: 'eraseEvaluated', given: [decision.id] }])
    assert.deepEqual(await store.read((db) => findDecision(db, decision.id)), { ...decision, evaluated: null, evaluatedSalt: null })
    await breaks(store, 'decision_evaluated_is_only_erased', set({ evaluated: 'back again', evaluated_salt: new Uint8Array(32) }))
  })

  test(`${name}: labels of a tree and of an instance are added once and never go away`, async (t) => {
    const [first, second] = [decisionOf({ task, identity }), decisionOf({ task, identity, at: epochMs(2000) })]
    const labels = (decision: Decision, fresh: readonly string[], workload: string | null): Call =>
      ({ name: 'addLabels', given: [{ root: task, identity, workload, fresh, brought: fresh, decision: decision.id, source: decision.resource.id, now: decision.at }] })
    const store = await opened(t, put(first), labels(first, ['confidential', 'untrusted'], 'pod-1'), put(second), labels(second, ['untrusted', 'pii'], null))
    assert.deepEqual(await store.read((db) => listTreeLabels(db, task)), ['confidential', 'pii', 'untrusted'])
    assert.deepEqual(await store.read((db) => listTreeLabels(db, other)), [])
    assert.deepEqual(await store.read((db) => listLabelsAround(db, task)), ['confidential', 'pii', 'untrusted'])
    assert.deepEqual(await store.read((db) => listLabelsAround(db, other)), [])
    assert.deepEqual((await store.read((db) => describeTreeLabels(db, task))).map((one) => [one.label, one.decision, one.source, one.at]), [
      ['confidential', first.id, 'shop/refund', 1000], ['untrusted', first.id, 'shop/refund', 1000], ['pii', second.id, 'shop/refund', 2000],
    ])
    assert.deepEqual(await store.read((db) => listInstanceLabels(db, identity, 'pod-1')), ['confidential', 'untrusted'])
    assert.deepEqual(await store.read((db) => listInstanceLabels(db, identity, 'pod-2')), [])
    await breaks(store, 'tree_label_stays_delete', { name: 'remove', given: ['tree_label' as never] })
    await breaks(store, 'instance_label_stays_delete', { name: 'remove', given: ['instance_label' as never] })
    await breaks(store, 'tree_label_stays_update', { name: 'breakRule', given: [{ table: 'tree_label', set: { label: 'public' }, id: { root_id: task } }] })
  })

  test(`${name}: denied calls are counted up, and what a task is for never changes`, async (t) => {
    const store = await opened(t, { name: 'countDenied', given: [task] }, { name: 'countDenied', given: [task] })
    const row = () => store.read((db) => db.selectFrom('task').select(['denied_calls', 'purpose_id', 'change_reference']).where('id', '=', task).executeTakeFirstOrThrow())
    assert.deepEqual(await row(), { denied_calls: 2, purpose_id: 'restock', change_reference: 'CHG-1' })
    const set = (columns: object): Call => ({ name: 'breakRule', given: [{ table: 'task', set: columns, id: { id: task } }] })
    await breaks(store, 'task_denied_only_grows', set({ denied_calls: 1 }))
    await breaks(store, 'task_terms_are_frozen', set({ purpose_id: 'sell' }))
    await breaks(store, 'task_terms_are_frozen', set({ change_reference: null }))
    assert.equal((await store.read((db) => findTask(db, task)))?.purpose, 'x')
  })

  test(`${name}: a task that many use at the same time is there for each of them, and counts them all`, async (t) => {
    const store = await opened(t)
    const found = await Promise.all(Array.from({ length: 12 }, () => store.change(denyOne, task)))
    assert.deepEqual(found.map((one) => one.ok && one.value), found.map(() => task))
    assert.deepEqual(await store.read((db) => db.selectFrom('task').select('denied_calls').where('id', '=', task).execute()), [{ denied_calls: 12 }])
  })

  test(`${name}: versions of the policies count up, whoever applies at the same time`, async (t) => {
    const store = await opened(t)
    assert.equal(await store.read(peekPolicyHead), undefined)
    for (const find of [findPolicyHead, findVersionInForce]) await assert.rejects(store.read<unknown>(find), /no policies were ever applied/)
    await store.change(countUp, null)
    const counted = await Promise.all(Array.from({ length: 8 }, () => store.change(countUp, null)))
    assert.deepEqual(counted.map((one) => one.ok && one.value).toSorted((a, b) => Number(a) - Number(b)), [2, 3, 4, 5, 6, 7, 8, 9])
    assert.deepEqual(await store.read(findPolicyHead), { version: 9, digest: 'of 9' })
    assert.equal(await store.read(findVersionInForce), 9)
    assert.deepEqual(await store.read((db) => findPolicyFiles(db, 3)), { 'a.cedar': '3' })
    await assert.rejects(store.read((db) => findPolicyFiles(db, 10)), /no version 10/)
    assert.equal(await store.read((db) => findPolicyVersion(db, 10)), undefined)
    assert.deepEqual((await store.read((db) => listPolicyVersions(db, { limit: 2, before: 9 }))).map((one) => one.version), [8, 7])
  })

  test(`${name}: what was applied never changes, and the head never goes back`, async (t) => {
    const store = await opened(t)
    for (const _ of [1, 2]) await store.change(countUp, null)
    await breaks(store, 'policy_version_is_append_only_update', { name: 'breakRule', given: [{ table: 'policy_version', set: { files: '{"b":""}' }, id: { version: 1 } }] })
    await breaks(store, 'policy_version_is_append_only_delete', { name: 'remove', given: ['policy_version' as never] })
    await breaks(store, 'policy_head_goes_forward', { name: 'movePolicyHead', given: [1] })
    await breaks(store, 'policy_head_is_never_deleted', { name: 'remove', given: ['policy_head' as never] })
    const next = { version: 3, digest: 'x', files: { a: '' }, rolledBackTo: 3, reason: 'x', appliedBy: 'x', appliedAt: epochMs(1) }
    await breaks(store, 'policy_version_goes_back_to_an_older', { name: 'insertPolicyVersion', given: [next] })
  })

  test(`${name}: what is observed is enforced again at its end`, async (t) => {
    const observed = { kind: 'server', subject: 'shop', mode: 'observe', reason: 'a trial', until: epochMs(5000), setBy: 'opr_1', setAt: epochMs(1000) } as const
    const enforced = { ...observed, kind: 'identity', subject: identity, mode: 'enforce', until: null } as const
    const store = await opened(t, { name: 'setMode', given: [observed] }, { name: 'setMode', given: [enforced] })
    const at = (now: number, server = 'shop') => store.read((db) => findModes(db, { identity, server }, epochMs(now)))
    assert.deepEqual(await at(4999), [observed])
    assert.deepEqual(await at(5000), [])
    const around = (now: number, ...servers: [string, string, string]) => store.read((db) => findModesAround(db, { task, servers }, epochMs(now)))
    assert.deepEqual(await around(4999, 'shop/refund', 'shop', 'tool'), [observed])
    assert.deepEqual(await around(4999, 'bank/refund', 'bank', 'tool'), [])
    assert.deepEqual(await around(5000, 'shop', 'shop', 'shop'), [])
    await store.change(write, [{ name: 'setMode', given: [{ ...enforced, mode: 'observe', until: epochMs(3000) }] }])
    assert.deepEqual((await around(2999, 'a', 'b', 'c')).map(({ kind }) => kind), ['identity'])
    await store.change(write, [{ name: 'setMode', given: [enforced] }])
    assert.deepEqual(await at(4999, identity), [])
    assert.deepEqual(await store.read(listModes), [enforced, observed])
    await store.change(write, [{ name: 'setMode', given: [{ ...observed, mode: 'enforce', until: null }] }])
    assert.deepEqual(await at(2000), [])
    assert.equal(modeAt(undefined, epochMs(1)), 'enforce')
    await breaks(store, 'mode_observe_has_end', { name: 'setMode', given: [{ ...observed, until: null }] })
    await breaks(store, 'mode_ends_after_start', { name: 'setMode', given: [{ ...observed, until: epochMs(1000) }] })
    await breaks(store, 'mode_is_never_deleted', { name: 'remove', given: ['mode' as never] })
  })
})
