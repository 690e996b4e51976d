import type { EventActor } from '@writ/domain/event'
import type { IdentityId, StopId, TaskId } from '@writ/domain/id'
import type { Identity } from '@writ/domain/identity'
import { ok, refuse, type Outcome } from '@writ/domain/outcome'
import type { StopTarget, Touched } from '@writ/domain/stop'
import type { EpochMs } from '@writ/domain/time'
import { failpoint } from '../platform/failpoint.ts'
import { append } from '../record/append.ts'
import { change, type Db, type Tx } from '../record/tx.ts'
import { cancelApprovalsOf } from '../revoke/cancel-approvals.ts'
import { endTaskIn } from '../revoke/end-task.ts'
import { changeIdentityState } from '../revoke/stop-identity.ts'
import { findIdentity, lockIdentity } from '../store/identities.ts'
import { countTouched, insertStop } from '../store/stops.ts'
import { findTask, lockRoots, lockTask } from '../store/tasks.ts'
import { reachOfIdentity, reachOfTask, type Reach } from './reach.ts'

/** `reference`: a task's id; an identity's id or its SPIFFE ID. `own`: the identities that whoever asks may stop; null: all. */
export type StopAsked = { readonly target: StopTarget; readonly reference: string; readonly own: readonly string[] | null }
type MakeStopInput = StopAsked & { readonly id: StopId; readonly reason: string; readonly by: EventActor; readonly now: EpochMs }

export type StopRefusal =
  | { readonly kind: 'no_such_task' }
  | { readonly kind: 'no_such_identity' }
  | { readonly kind: 'not_yours'; readonly identities: readonly IdentityId[] }

/** `task`: where that alone is stopped. Whoever is suspended is suspended with all their tasks. */
type Aim = { readonly identity: Identity; readonly task: TaskId | undefined; readonly suspends: readonly Identity[]; readonly reach: Reach }

const notOwn = ({ own }: StopAsked, { identities }: Reach): readonly IdentityId[] => (own === null ? [] : identities.filter((id) => !own.includes(id)))

/**
 * Stops a task, or suspends an identity and whoever it has delegated to, with all that runs of them. From the commit on everything of it is
 * refused on every server; what is still in flight is cancelled by whoever serves it.
 */
export const makeStop = change('stop.make', async (tx: Tx, input: MakeStopInput): Promise<Outcome<StopId, StopRefusal>> => {
  const aim = input.target === 'task' ? await aimAtTask(tx, input) : await aimAtIdentity(tx, input)
  if (!aim.ok) return refuse(aim.refusal)
  const { identity, suspends, reach } = aim.value
  const tasks = reach.tasks.map((task) => task.id)
  const touched = await touchedBy(tx.db, reach, suspends.length)
  await insertStop(tx.db, { id: input.id, target: input.target, targetId: aim.value.task ?? identity.id, identity: identity.id, reason: input.reason, by: input.by, at: input.now, touched }, tasks)
  await append(tx, input.now, {
    type: 'stop.made', actor: input.by, identity: identity.id, ...(aim.value.task === undefined ? {} : { task: aim.value.task }),
    facts: {
      stop: input.id, target: input.target, identities: touched.identities, tasks: touched.tasks, logins: touched.logins, tokens: touched.tokens, calls_in_flight: touched.callsInFlight,
      approvals: touched.approvals,
    },
    said: { reason: input.reason },
  })
  for (const one of suspends) await changeIdentityState(tx, one, { change: 'suspend', event: 'identity.suspended', by: input.by, reason: input.reason, now: input.now })
  if (aim.value.task !== undefined) await endTaskIn(tx, aim.value.task, { because: 'ended_by_person', by: input.by, now: input.now, why: input.reason })
  await cancelApprovalsOf(tx, tasks, input.by, input.now)
  failpoint('stop.made.before_commit')
  return ok(input.id)
})

async function aimAtTask(tx: Tx, input: MakeStopInput): Promise<Outcome<Aim, StopRefusal>> {
  // Its root is locked with it: nothing of its tree begins or ends meanwhile.
  const task = await lockTask(tx, input.reference)
  if (task === undefined || (input.own !== null && !input.own.includes(task.identity))) return refuse({ kind: 'no_such_task' })
  return ok({ identity: (await findIdentity(tx.db, task.identity))!, task: task.id, suspends: [], reach: await reachOfTask(tx.db, task.id) })
}

async function aimAtIdentity(tx: Tx, input: MakeStopInput): Promise<Outcome<Aim, StopRefusal>> {
  const target = input.target as Exclude<StopTarget, 'task'>
  const found = await findIdentity(tx.db, input.reference)
  if (found === undefined || (input.own !== null && !input.own.includes(found.id))) return refuse({ kind: 'no_such_identity' })
  const locked = new Map<IdentityId, Identity>()
  const held = new Set<string>()
  // Whoever is locked opens nothing; while they were not, somebody may have come to it. Each round locks what has come, until nothing has.
  for (;;) {
    const reach = await reachOfIdentity(tx.db, found.id, target)
    const strangers = notOwn(input, reach)
    if (strangers.length > 0) return refuse({ kind: 'not_yours', identities: strangers })
    const [identities, roots] = [reach.identities.filter((id) => !locked.has(id)), [...new Set(reach.tasks.map((task) => task.root))].filter((root) => !held.has(root))]
    if (identities.length === 0 && roots.length === 0) {
      return ok({ identity: locked.get(found.id)!, task: undefined, suspends: [found.id, ...reach.identities.filter((id) => id !== found.id)].map((id) => locked.get(id)!).filter(({ state }) => state === 'active'), reach })
    }
    for (const id of identities) locked.set(id, (await lockIdentity(tx, id))!)
    await lockRoots(tx, roots)
    for (const root of roots) held.add(root)
  }
}

export async function touchedBy(db: Db, { tasks }: Reach, identities: number): Promise<Touched> {
  return { identities, tasks: tasks.length, ...(await countTouched(db, tasks.map((task) => task.id))) }
}

/** What it would touch; nothing is changed. */
export async function weighStop(db: Db, asked: StopAsked): Promise<Outcome<{ readonly reach: Reach; readonly touched: Touched }, StopRefusal>> {
  if (asked.target === 'task') {
    const task = await findTask(db, asked.reference)
    if (task === undefined || (asked.own !== null && !asked.own.includes(task.identity))) return refuse({ kind: 'no_such_task' })
    const reach = await reachOfTask(db, task.id)
    return ok({ reach, touched: await touchedBy(db, reach, 0) })
  }
  const identity = await findIdentity(db, asked.reference)
  if (identity === undefined || (asked.own !== null && !asked.own.includes(identity.id))) return refuse({ kind: 'no_such_identity' })
  const reach = await reachOfIdentity(db, identity.id, asked.target)
  const strangers = notOwn(asked, reach)
  if (strangers.length > 0) return refuse({ kind: 'not_yours', identities: strangers })
  const states = await Promise.all(reach.identities.map(async (id) => (await findIdentity(db, id))!.state))
  return ok({ reach, touched: await touchedBy(db, reach, states.filter((state) => state === 'active').length) })
}
