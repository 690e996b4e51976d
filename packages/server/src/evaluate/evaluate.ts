import type { EventActor } from '@writ/domain/event'
import type { DecisionId, TaskId } from '@writ/domain/id'
import type { Identity } from '@writ/domain/identity'
import { ok, refuse, type Outcome } from '@writ/domain/outcome'
import { dueReason, type EndReason, type Task } from '@writ/domain/task'
import type { EpochMs } from '@writ/domain/time'
import type { OneTimeUse } from '../authenticate/authenticator.ts'
import { takeUses } from '../authenticate/one-time.ts'
import { adviseIn } from '../decide/advise.ts'
import { decideIn, policiesIn, type Around, type Attempted, type Policies } from '../decide/decide.ts'
import { BACKEND } from '../decide/question.ts'
import type { Decided } from '../decide/record-decision.ts'
import { failpoint } from '../platform/failpoint.ts'
import { change, type Tx } from '../record/tx.ts'
import { endTaskIn } from '../revoke/end-task.ts'
import { findIdentityOfTask } from '../store/identities.ts'
import { listLabelsAround } from '../store/labels.ts'
import { findModesAround } from '../store/modes.ts'
import { lockHeldTask } from '../store/tasks.ts'
import { findToken, standingOf, type StoredToken } from '../store/tokens.ts'
import { isNamed, mayBeIdentity, readExact, registryIn, saidOfServer, supposedIn, typeOf, type Asker, type ExactText, type Registry, type Said } from './supposed.ts'
import { barredAt, begin, type AtGateway } from './at-gateway.ts'
import { publicArguments } from './public-arguments.ts'
import { isLook, saidIn, SERVER, serversOf, useOf } from './use.ts'

/** One question in the caller's words. */
export type Asked = {
  readonly id: DecisionId
  /** The task in which it is about to happen; null for advice. */
  readonly task: TaskId | null
  readonly subject: Said
  readonly action: string
  readonly resource: Said
  readonly arguments: ExactText
  readonly claimed: ExactText
  /** Set where the gateway asks, which goes to an MCP server if it is allowed. */
  readonly atGateway?: AtGateway
}

/** AuthZEN 1.0, evaluations semantics: which answer, if any, makes the questions after it moot. */
export type StopAt = 'never' | 'deny' | 'allow'

export type EvaluateInput = {
  readonly asked: readonly Asked[]
  readonly stopAt: StopAt
  /** Nothing more is answered once so many attempts were denied; without it, all of them may be. */
  readonly mostDenied?: number
  readonly by: Asker
  readonly uses: readonly OneTimeUse[]
  readonly traceId: string
  readonly now: EpochMs
}

export type EvaluateRefusal =
  | { readonly kind: 'replayed'; readonly of: OneTimeUse['of'] }
  | { readonly kind: 'no_such_task' }
  | { readonly kind: 'token_not_live' }
  /** A task is used by the identity that holds it, and by nobody in its name. */
  | { readonly kind: 'not_the_holder' }
  /** What decides on an attempt is what Writ knows, not what its caller says. */
  | { readonly kind: 'properties_not_yours' }

/** The policies in force in the transaction, and who asks them when. */
type Asking = Omit<EvaluateInput, 'asked' | 'uses'> & { readonly policies: Policies; readonly registry: Registry }

/**
 * Answers one question, or several in their order: one trip to the database. What works once is used up, token, task and identity are looked
 * at again, the budget is taken and the answer recorded, together or not at all.
 */
export const evaluate = change('decision.evaluate', async (tx: Tx, input: EvaluateInput) => {
  const registry = registryIn(tx.db)
  const [first, ...others] = input.asked
  // All that the first question needs is asked at once: on PostgreSQL that is one round trip.
  const [seen, policies, met] = await Promise.all([takeUses(tx.db, input.uses), policiesIn(tx), first && meet(tx, first, input, registry)])
  if (seen !== undefined) return refuse<EvaluateRefusal>({ kind: 'replayed', of: seen })
  if (met === undefined) return ok<readonly Decided[]>([])
  const asking: Asking = { ...input, policies, registry }
  const answers: Decided[] = []
  let denied = 0
  for (let next: Met | undefined = met; next !== undefined;) {
    const answered: Outcome<Decided, EvaluateRefusal> = next.kind === 'advice' ? ok(await advise(tx, next.asked, asking)) : await attempt(tx, next, asking)
    if (!answered.ok) return refuse<EvaluateRefusal>(answered.refusal)
    answers.push(answered.value)
    if (next.kind === 'attempt' && answered.value.answer === 'deny') denied++
    const asked: Asked | undefined = answered.value.answer === input.stopAt || denied === input.mostDenied ? undefined : others.shift()
    next = asked && await meet(tx, asked, input, registry)
  }
  failpoint('decision.made.before_commit')
  return ok<readonly Decided[]>(answers)
})

/** A question, and all that the database has to say to it. */
type Met = { readonly kind: 'advice'; readonly asked: Asked } | MetInTask
type MetInTask = {
  readonly kind: 'attempt'
  readonly asked: AskedInTask
  readonly held: { readonly task: Task; readonly workload: string | null } | undefined
  /** That it is attempted with. */
  readonly token: StoredToken | undefined
  readonly identity: Identity | undefined
  readonly around: Around
}
type AskedInTask = Asked & { readonly task: TaskId }

/** INVARIANT: the lock is asked for first. What is asked together is done in that order, so that all the rest is read under it. */
async function meet(tx: Tx, asked: Asked, { by, now }: Pick<EvaluateInput, 'by' | 'now'>, registry: Registry): Promise<Met> {
  const { db } = tx
  const { task } = asked
  if (task === null) {
    if (mayBeIdentity(asked.subject.id)) await registry.identity(asked.subject.id)
    return { kind: 'advice', asked }
  }
  const [held, token, identity, labels, modes] = await Promise.all([
    lockHeldTask(tx, task),
    by.kind === 'identity' && by.lease !== null ? findToken(db, by.lease) : undefined,
    findIdentityOfTask(db, task),
    listLabelsAround(db, task),
    findModesAround(db, { task, servers: serversOf(asked.resource) }, now),
  ])
  return { kind: 'attempt', asked: { ...asked, task }, held, token, identity, around: { labels, modes } }
}

async function advise(tx: Tx, asked: Asked, { policies, registry, by, traceId, now }: Asking): Promise<Decided> {
  const [principal, resource] = await Promise.all([asked.subject, asked.resource].map((said) => supposedIn(registry, policies.engine, said, by)))
  return adviseIn(tx, {
    ...saidIn(resource!.uid, asked.action, readExact(asked.arguments)), id: asked.id, principal: principal!, resource: resource!, action: asked.action,
    claimed: readExact(asked.claimed),
    policies, by: actorOf(by), traceId, now,
  })
}

async function attempt(tx: Tx, { asked, held, token, identity, around }: MetInTask, asking: Asking): Promise<Outcome<Decided, EvaluateRefusal>> {
  const { by, traceId, now, policies, registry } = asking
  const { engine } = policies
  const task = held?.task
  if (task === undefined || identity === undefined || (by.kind === 'identity' && by.id !== task.identity)) return refuse({ kind: 'no_such_task' })
  if (token !== undefined && token.task !== task.id) return refuse({ kind: 'no_such_task' })
  // INVARIANT: looked at again under the task's lock: it may have been stopped since the door looked. What its task's end did to it, the decision tells.
  const standing = by.kind === 'identity' && by.lease !== null ? standingOf(token, { task, identity }, now) : undefined
  if (standing?.kind === 'not_live' && standing.why !== 'task_over' && standing.why !== 'identity_not_active' && task.state === 'open') return refuse({ kind: 'token_not_live' })
  const refused = refusalOf(asked, identity, asking)
  if (refused !== undefined) return refuse(refused)

  const uid = { type: typeOf(engine, asked.resource), id: asked.resource.id }
  const workload = (by.kind === 'identity' ? by.workload : null) ?? held!.workload
  const backend = uid.type === BACKEND ? await registry.backend(uid.id) : undefined
  // One that is gone is of no kind that a grant could name.
  const kind = backend?.state === 'active' ? backend.kind : ''
  const { permit, ...use } = useOf({ uid, type: asked.resource.type, kind }, asked.action, readExact(asked.arguments))
  const authority = token?.authority ?? task.authority
  const isGranted = isLook(uid, asked.action, authority)
  const barred = barredAt(asked.atGateway, uid, engine)
  // What its server defines otherwise now may mean something else by the same name.
  const open = barred === undefined ? publicArguments(engine, { uid, action: asked.action, arguments: use.arguments }) : undefined
  const said = uid.type === SERVER ? await saidOfServer(registry, uid.id) : asked.resource.properties === null ? undefined : readExact(asked.resource.properties)
  const decided = await decideIn(tx, {
    ...use, ...ofCall(asked.atGateway, by), id: asked.id, task, identity, action: asked.action, resource: uid, permit: isGranted ? null : permit, calls: isGranted ? 0 : 1, claimed: readExact(asked.claimed), ...(said === undefined ? {} : { said }),
    ...(barred === undefined ? {} : { barred }), ...(open === undefined ? {} : { publicArguments: open }), authority, workload, policies, around, by: actorOf(by), traceId, now,
  })
  await endIfDue(tx, task, decided, now)
  if (asked.atGateway?.kind === 'call' && decided.answer === 'allow') await begin(tx, { decided, task, uid, instance: asked.atGateway.instance, now })
  return ok(decided)
}

/** What the gateway alone can say of a use, for it carries it out. */
function ofCall(atGateway: AtGateway | undefined, by: Asker): Pick<Attempted, 'runsApproved' | 'continues'> {
  if (atGateway?.kind !== 'call') return {}
  const { continues } = atGateway
  return { runsApproved: true, ...(continues === undefined ? {} : { continues: { ...continues, with: by.kind === 'identity' ? by.lease : null } }) }
}

function refusalOf({ subject, resource, atGateway }: Asked, identity: Identity, { by, policies: { engine } }: Asking): EvaluateRefusal | undefined {
  // Through the gateway comes whoever holds the task's token, and nobody says who that is.
  if (atGateway === undefined && !isNamed(subject, engine, identity)) return { kind: 'not_the_holder' }
  // Of its own types an operator knows more than Writ does; of an identity, a tool or a back end nobody does.
  const isTheirs = by.kind !== 'identity' && !typeOf(engine, resource).startsWith('Writ::')
  return subject.properties !== null || (resource.properties !== null && !isTheirs) ? { kind: 'properties_not_yours' } : undefined
}

async function endIfDue(tx: Tx, task: Task, { cause }: Decided, now: EpochMs): Promise<void> {
  const because: EndReason | undefined = cause === 'budget' ? 'budget_exhausted' : cause === 'state' ? dueReason(task, now) : undefined
  if (because !== undefined) await endTaskIn(tx, task.id, { because, by: { kind: 'writ', id: 'writ' }, now })
}

const actorOf = (by: Asker): EventActor => (by.kind === 'identity' ? { kind: by.kind, id: by.id } : by)
