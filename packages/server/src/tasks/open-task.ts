import { textOf } from '@writ/domain/authority'
import { mintId, type IdentityId, type TaskId } from '@writ/domain/id'
import { ok, refuse, type Outcome } from '@writ/domain/outcome'
import { PROFILES } from '@writ/domain/profile'
import { settleTerms, type AskedTerms, type Task, type TermsRefusal } from '@writ/domain/task'
import type { EpochMs } from '@writ/domain/time'
import type { Identity } from '@writ/domain/identity'
import type { Holder } from '../authenticate/holder.ts'
import { append } from '../record/append.ts'
import { change, type Tx } from '../record/tx.ts'
import { countOpening, lockIdentity, markIdentityUsed } from '../store/identities.ts'
import { inheritLabels } from '../store/labels.ts'
import { insertTask, lockTask, setCallsUsed } from '../store/tasks.ts'
import { failpoint } from '../platform/failpoint.ts'
import { noticeReuse } from './reuse.ts'

export type OpenTaskInput = {
  readonly id: TaskId
  readonly identity: IdentityId
  readonly parent: TaskId | null
  readonly purpose: string
  readonly asked: AskedTerms
  /** Who opens it; absent where that is not whoever will hold it, as for a child. */
  readonly holder?: Holder
  /** The identity that opens it for another, from a task of its own. */
  readonly delegatedBy?: IdentityId
  readonly now: EpochMs
}

export type OpenTaskRefusal =
  | TermsRefusal
  | { readonly kind: 'identity_not_active'; readonly state: string; readonly reason: string }
  | { readonly kind: 'no_such_identity' }
  | { readonly kind: 'no_such_parent' }
  | { readonly kind: 'too_many_tasks'; readonly most: number }

/** A task that has just been opened, and whose it is. */
export type OpenedTask = { readonly task: Task; readonly identity: Identity }

/**
 * Opens a task, or a child of one, inside a change. Everything that bounds it is read and checked in the transaction that writes it; a
 * child reserves its budget from its parent, so that siblings together never exceed it. `locked`: the identity, where the change has locked it.
 */
export async function openTaskIn(tx: Tx, input: OpenTaskInput, locked?: Identity): Promise<Outcome<OpenedTask, OpenTaskRefusal>> {
  // INVARIANT: locked, so that no identity is stopped, and its tasks ended, between this look and our insert.
  const identity = locked ?? await lockIdentity(tx, input.identity)
  if (identity === undefined) return refuse<OpenTaskRefusal>({ kind: 'no_such_identity' })
  if (identity.state !== 'active') return refuse<OpenTaskRefusal>({ kind: 'identity_not_active', state: identity.state, reason: identity.stateReason })
  if (input.now >= identity.endsAt) return refuse<OpenTaskRefusal>({ kind: 'identity_not_active', state: 'ended', reason: 'its end date has passed' })
  const parent = input.parent === null ? null : await lockTask(tx, input.parent)
  if (parent === undefined) return refuse<OpenTaskRefusal>({ kind: 'no_such_parent' })

  const settled = settleTerms(
    input.asked,
    { authority: identity.authority, endsAt: identity.endsAt, profile: PROFILES[identity.class] },
    parent,
    input.now,
  )
  if (!settled.ok) return refuse<OpenTaskRefusal>(settled.refusal)
  if (parent === null) {
    const most = identity.tasksPerHour ?? PROFILES[identity.class].tasksPerHour
    if ((await countOpening(tx.db, identity.id, input.now)) > most) return refuse<OpenTaskRefusal>({ kind: 'too_many_tasks', most })
  }
  if (parent !== null) await setCallsUsed(tx.db, parent.id, parent.callsUsed + settled.value.budgetCalls)

  const task: Task = {
    ...settled.value,
    id: input.id,
    identity: identity.id,
    parent: input.parent,
    root: parent?.root ?? input.id,
    purpose: input.purpose,
    openedAt: input.now,
    callsUsed: 0,
    widenings: 0,
    lastHeardAt: input.now,
    lastCallAt: input.now,
    state: 'open',
    endReason: null,
    endedAt: null,
    closedAt: null,
  }
  const { holder } = input
  await insertTask(tx.db, task, holder)
  if (parent === null && holder !== undefined) await inheritLabels(tx.db, { root: task.id, identity: identity.id, workload: holder.workload })
  await markIdentityUsed(tx.db, identity, input.now)
  await append(tx, input.now, {
    type: 'task.opened',
    actor: { kind: 'identity', id: input.delegatedBy ?? identity.id },
    task: task.id,
    identity: identity.id,
    facts: {
      spiffe_id: identity.spiffeId,
      class: identity.class,
      environment: identity.environment,
      system_scope: identity.systemScope,
      authority: task.authority.map(textOf),
      deadline: task.deadline,
      budget_calls: task.budgetCalls,
      parent: task.parent,
      depth: task.depth,
      on_behalf_of: task.onBehalfOf === null ? 'no' : 'yes',
      purpose_id: task.purposeId,
      change_reference: task.changeReference,
      ...(holder === undefined ? {} : { evidence: holder.evidence, issuer: holder.issuer, workload: holder.workload }),
    },
    said: {
      purpose: task.purpose,
      technical_owner: identity.technicalOwner,
      business_owner: identity.businessOwner,
      ...(task.onBehalfOf === null ? {} : { on_behalf_of: JSON.stringify([task.onBehalfOf.issuer, task.onBehalfOf.subject]) }),
    },
  })
  if (holder !== undefined) await noticeReuse(tx, identity, task.id, holder, input.now)
  failpoint('task.open.before_commit')
  return ok({ task, identity })
}

export const openTask = change('task.open', async (tx: Tx, input: OpenTaskInput) => {
  const opened = await openTaskIn(tx, input)
  return opened.ok ? ok(opened.value.task) : opened
})

export const newTaskId = (now: EpochMs, random: Uint8Array): TaskId => mintId('task', now, random)
