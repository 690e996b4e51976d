import { randomBytes } from 'node:crypto'
import { mintId, type Id, type IdKind, type IdentityId, type TaskId } from '@writ/domain/id'
import { ok } from '@writ/domain/outcome'
import { epochMs, type EpochMs } from '@writ/domain/time'
import type { Kysely } from 'kysely'
import { change, type TxOf } from '../../src/store/change.ts'
import { countDenied, eraseEvaluated, insertDecision, type Decision } from '../../src/store/decisions.ts'
import { addLabels } from '../../src/store/labels.ts'
import { forgetGoneTools, insertMcpServer, markMcpServerRetired, markToolsGone, putSeenTool, setMcpSecret, touchListedTools } from '../../src/store/mcp-servers.ts'
import { MIGRATIONS } from '../../src/store/migrations/all.ts'
import { setMode } from '../../src/store/modes.ts'
import { insertPasskey, markPasskeyRemoved, markPasskeyUsed } from '../../src/store/passkeys.ts'
import { deletePersonRole, deleteRoleRule, insertInvitation, insertPerson, insertPersonRole, putRoleRule, takeInvitation, touchSignedIn, updatePerson } from '../../src/store/people.ts'
import { insertPolicyVersion, lockPolicyHead, movePolicyHead } from '../../src/store/policies.ts'
import { forgetServerInstances, insertServerInstance, markServerInstanceGone, markUnseenInstancesGone, touchServerInstance } from '../../src/store/server-instances.ts'
import { insertSignIn, keepSignIn, markSignInRevoked, markSteppedUp } from '../../src/store/sign-ins.ts'
import type { Tables } from '../../src/store/tables.ts'
import { lockTask } from '../../src/store/tasks.ts'
import { insertToolCall, lockLostCalls, markCallsFinished } from '../../src/store/tool-calls.ts'
import type { Store } from '../../src/store/store.ts'
import type { World } from '../both-stores.ts'

type DecidedTx = TxOf<Tables, null>
export type DecidedStore = Store<Tables, null>

/** What store functions write, and two that go past them. */
const WRITERS = {
  insertDecision, eraseEvaluated, countDenied, addLabels, insertPolicyVersion, movePolicyHead, setMode,
  insertMcpServer, markMcpServerRetired, setMcpSecret, putSeenTool, markToolsGone, touchListedTools, forgetGoneTools,
  insertToolCall, markCallsFinished, insertServerInstance, touchServerInstance, markServerInstanceGone, markUnseenInstancesGone, forgetServerInstances,
  insertPerson, updatePerson, touchSignedIn, insertPersonRole, deletePersonRole, putRoleRule, deleteRoleRule, insertInvitation, takeInvitation,
  insertSignIn, keepSignIn, markSteppedUp, markSignInRevoked, insertPasskey, markPasskeyUsed, markPasskeyRemoved,
  /** One statement as a change of its own, to come upon the guards. */
  async breakRule(db: Kysely<Tables>, { table, set, id }: { readonly table: keyof Tables; readonly set: object; readonly id: object }) {
    let query = db.updateTable(table as 'decision').set(set)
    for (const [column, value] of Object.entries(id)) query = query.where(column as 'id', '=', value as string)
    await query.execute()
  },
  async remove(db: Kysely<Tables>, table: 'decision') {
    await db.deleteFrom(table).execute()
  },
  async estate(db: Kysely<Tables>, { identity, tasks }: { readonly identity: IdentityId; readonly tasks: readonly TaskId[] }) {
    await db.insertInto('admission').values({ id: 'adm_1', spiffe_id: 'spiffe://a/b', answer: 'identity', reason: 'x', decided_by: 'x', decided_at: 1 }).execute()
    await db.insertInto('identity').values({
      id: identity, spiffe_id: 'spiffe://a/b', kind: 'agent', class: 'autonomous', purpose: 'x', technical_owner: 'team:x', business_owner: 'team:y', system_scope: '["shop"]',
      environment: 'test', authority: '[]', ends_at: 9, trigger: '{}', trigger_kind: 'unused', trigger_on: '', admission_id: 'adm_1', state: 'active', state_reason: 'x',
      registered_at: 1, last_used_at: null, due_at: 9, opens_window: 0, opens_count: 0, tasks_per_hour: null,
    }).execute()
    for (const task of tasks) {
      await db.insertInto('task').values({
        id: task, identity_id: identity, parent_id: null, root_id: task, depth: 0, depth_left: 1, purpose: 'x', authority: '[1]', on_behalf_of: null, opened_at: 1,
        deadline: 9, budget_calls: 5, calls_used: 0, widenings: 0, workload: null, opened_by: null, idle_timeout: 5, heartbeat: 5, last_heard_at: 1, last_call_at: 1,
        state: 'open', end_reason: null, ended_at: null, closed_at: null, closed_leaf: null, closed_outcome: null, due_at: 6, purpose_id: 'restock', change_reference: 'CHG-1',
        denied_calls: 0,
      }).execute()
    }
  },
}

type Writers = typeof WRITERS
type Given<Name extends keyof Writers> = Writers[Name] extends (db: never, ...given: infer Rest) => unknown ? Rest : never
export type Call = { [Name in keyof Writers]: { readonly name: Name; readonly given: Given<Name> } }[keyof Writers]

/** Several store functions in one transaction; what each of them answered. */
export const write = change('decided.write', async (tx: DecidedTx, calls: readonly Call[]) => {
  const answers: unknown[] = []
  for (const { name, given } of calls) answers.push(await (WRITERS[name] as (db: Kysely<Tables>, ...given: readonly unknown[]) => Promise<unknown>)(tx.db, ...given))
  return ok(answers)
})

/** The calls that nobody serves any more, as whoever finishes them finds them. */
export const lost = change('decided.lost', async (tx: DecidedTx, limit: number) => ok((await lockLostCalls(tx, limit)).map((one) => one.decision)))

/** As an application of policies does it: whoever has the head counts up from it. */
export const countUp = change('decided.count_up', async (tx: DecidedTx) => {
  const version = ((await lockPolicyHead(tx))?.version ?? 0) + 1
  await insertPolicyVersion(tx.db, { version, digest: `of ${version}`, files: { 'a.cedar': String(version) }, rolledBackTo: null, reason: null, appliedBy: 'writ', appliedAt: epochMs(1) })
  await movePolicyHead(tx.db, version)
  return ok(version)
})

/** As a denied use does it: under the lock of the task's tree. Answers whether the task is there. */
export const denyOne = change('decided.deny_one', async (tx: DecidedTx, task: TaskId) => {
  const held = await lockTask(tx, task)
  if (held !== undefined) await countDenied(tx.db, task)
  return ok(held?.id)
})

export const DECIDED_CHANGES = [write, lost, countUp, denyOne]

export const decidedWorld: World<null> = {
  migrations: { release: 2, list: MIGRATIONS }, writer: new URL('./writer.ts', import.meta.url), given: null, makeContext: () => null,
}

export const newId = <K extends IdKind>(of: K, at: EpochMs = epochMs(1000)): Id<K> => mintId(of, at, randomBytes(10))

/** An allowed use in a task, as an attempt records it. */
export const decisionOf = (more: Partial<Decision> & Pick<Decision, 'task' | 'identity'>): Decision => {
  const at = more.at ?? epochMs(1000)
  return {
    id: newId('decision', at), at, principal: { type: 'Writ::Agent', id: 'spiffe://a/b' }, action: 'call', permit: null, resource: { type: 'Writ::Tool', id: 'shop/refund' },
    answer: 'allow', cause: 'policy', approvable: false, mode: 'enforce', wouldDeny: false, advisory: false, policyVersion: 1, by: ['refunds-small'], errors: [],
    evaluated: 'w1.sealed', evaluatedSalt: new Uint8Array(32).fill(7), traceId: 'trace', event: newId('event'), ...more,
  }
}
