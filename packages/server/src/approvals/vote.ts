import { foldedEmail, mayDecide, type ApprovalState, type Human, type MayDecideReason, type Requesters } from '@writ/domain/approval'
import type { PasskeyId } from '@writ/domain/id'
import { ok, refuse, type Outcome } from '@writ/domain/outcome'
import { dueReason, type Task } from '@writ/domain/task'
import type { EpochMs } from '@writ/domain/time'
import { usePasskey } from '../authenticate/use-passkey.ts'
import { isSignedBy } from '../keys/passkey-signature.ts'
import { failpoint } from '../platform/failpoint.ts'
import { append } from '../record/append.ts'
import { change, type Tx } from '../record/tx.ts'
import { insertVote, listVotes, type Vote } from '../store/approval-votes.ts'
import { usableUntil } from '../decide/approved.ts'
import { lockApproval, markApprovalEnded, markApproved, setChoice, type Approval } from '../store/approvals.ts'
import { editedPlace } from '../decide/envelope.ts'
import { recordedOf, routesInForce, voteFacts } from '../decide/recorded-approval.ts'
import { findIdentity } from '../store/identities.ts'
import { findVersionInForce } from '../store/policies.ts'
import { findTask } from '../store/tasks.ts'
import { settle, type AskedChoice, type ChoiceRefusal, type Settled } from './choose.ts'
import { requestersOf } from './request.ts'

/** Whoever answers, by the sign-in that the door has checked. */
export type Voter = Human & { readonly name: string }

export type VoteRefusal =
  | { readonly kind: 'no_such_approval' }
  | { readonly kind: 'over'; readonly state: ApprovalState; readonly why: string | null }
  | { readonly kind: 'may_not'; readonly why: MayDecideReason }
  /** What was shown is not what it would be an approval of now. */
  | { readonly kind: 'other_envelope' }
  /** Somebody has said yes to something else than this one would. */
  | { readonly kind: 'other_choice' }
  | { readonly kind: 'changed'; readonly what: 'policies' | 'task_over' }
  /** The request, or who is asked about what, is not as it was recorded. */
  | { readonly kind: 'damaged' | 'routes_damaged' }
  | { readonly kind: 'reason_needed' }
  | { readonly kind: 'signature_needed' }
  | { readonly kind: 'bad_signature' }
  | ChoiceRefusal

/** A signature whose form and place the door has checked; the key's own signature is checked here again. */
export type GivenSignature = { readonly passkey: PasskeyId; readonly newCounter: number; /** JSON. */ readonly assertion: string }

export type ApproveInput = {
  readonly id: string
  readonly voter: Voter
  readonly choice: AskedChoice
  /** Of what was shown. */
  readonly envelopeSha256: string
  readonly reason: string | null
  readonly signature: GivenSignature | null
  readonly now: EpochMs
}

/** One person's yes; with as many as the route asks for, it is approved. Of two who answer at once the second finds what the first has made of it. */
export const approveApproval = change('approval.approve', async (tx: Tx, input: ApproveInput): Promise<Outcome<ApprovalState, VoteRefusal>> => {
  const { voter, now } = input
  const met = await meet(tx, input)
  if (!met.ok) return met
  const { approval, task, votes } = met.value
  const recorded = await recordedOf(tx, approval, votes)
  if (!recorded.isRequest) return refuse({ kind: 'damaged' })
  if (task.state !== 'open' || dueReason(task, now) !== undefined) return refuse({ kind: 'changed', what: 'task_over' })
  if ((await findVersionInForce(tx.db)) !== approval.policyVersion) return refuse({ kind: 'changed', what: 'policies' })
  const identity = (await findIdentity(tx.db, approval.identity))!
  const routes = await routesInForce(tx)
  if (!routes.ok) return routes
  const chosen = settle(approval, input.choice, { questions: tx.context.questions, deadline: task.deadline, routes: routes.value, identityClass: identity.class, now })
  if (!chosen.ok) return chosen
  if (chosen.value.envelopeSha256 !== input.envelopeSha256) return refuse({ kind: 'other_envelope' })
  if (approval.envelopeSha256 !== null && approval.envelopeSha256 !== chosen.value.envelopeSha256) return refuse({ kind: 'other_choice' })
  const unsigned = await signatureFault(tx, { approval, chosen: chosen.value, input })
  if (unsigned !== undefined) return refuse(unsigned)

  if (approval.envelopeSha256 === null) await choose(tx, approval, chosen.value)
  await vote(tx, approval, { voter, answer: 'approve', reason: input.reason, envelopeSha256: chosen.value.envelopeSha256, signature: input.signature, scope: chosen.value.choice.scope, now })
  if (recorded.votes.filter(({ answer }) => answer === 'approve').length + 1 < approval.route.quorum) return ok('waiting')
  await markApproved(tx.db, approval.id, { now, until: usableUntil(approval, chosen.value.choice) })
  await append(tx, now, {
    type: 'approval.approved', actor: { kind: 'person', id: voter.person }, task: approval.task, identity: approval.identity,
    facts: { approval: approval.id, envelope_sha256: chosen.value.envelopeSha256, quorum: approval.route.quorum, scope: chosen.value.choice.scope, calls_most: chosen.value.calls },
  })
  failpoint('approval.approved.before_commit')
  return ok('approved')
})

export type DenyInput = { readonly id: string; readonly voter: Voter; readonly reason: string | null; readonly now: EpochMs }

/** One no ends it, whoever has said yes before. */
export const denyApproval = change('approval.deny', async (tx: Tx, input: DenyInput): Promise<Outcome<ApprovalState, VoteRefusal>> => {
  const { voter, reason, now } = input
  const met = await meet(tx, input)
  if (!met.ok) return met
  const { approval } = met.value
  await vote(tx, approval, { voter, answer: 'deny', reason, envelopeSha256: null, signature: null, scope: null, now })
  await markApprovalEnded(tx.db, approval.id, { state: 'denied', why: 'denied', now })
  await append(tx, now, { type: 'approval.denied', actor: { kind: 'person', id: voter.person }, task: approval.task, identity: approval.identity, facts: { approval: approval.id } })
  return ok('denied')
})

type Met = { readonly approval: Approval; readonly task: Task; readonly votes: readonly Vote[] }

/** The request, locked, if this person may answer it now. */
async function meet(tx: Tx, { id, voter, now }: Pick<DenyInput, 'id' | 'voter' | 'now'>): Promise<Outcome<Met, VoteRefusal>> {
  const approval = await lockApproval(tx, id)
  if (approval === undefined) return refuse({ kind: 'no_such_approval' })
  const votes = await listVotes(tx.db, [approval.id])
  const may = mayDecide({ human: voter, requesters: await allRequesters(tx, approval), route: approval.route, voted: votes })
  // That it is over is no secret to whoever stands behind it.
  if (approval.state !== 'waiting' || now >= approval.expiresAt) return refuse({ kind: 'over', state: approval.state === 'waiting' ? 'lapsed' : approval.state, why: approval.why })
  if (!may.ok) return refuse({ kind: 'may_not', why: may.refusal })
  return ok({ approval, task: (await findTask(tx.db, approval.task))!, votes })
}

/** Whoever stood behind it when it was asked for, and whoever does now. */
export async function allRequesters(tx: Pick<Tx, 'db'>, { requesters, chain, onBehalfOf }: Pick<Approval, 'requesters' | 'chain' | 'onBehalfOf'>): Promise<Requesters> {
  const now = await requestersOf(tx, { chain, onBehalfOf })
  return { owners: [...new Set([...requesters.owners, ...now.owners])], onBehalfOf, persons: [...requesters.persons, ...now.persons] }
}

type Signing = { readonly approval: Approval; readonly chosen: Settled; readonly input: ApproveInput }

async function signatureFault(tx: Tx, { approval, chosen, input: { signature, reason, voter, now } }: Signing): Promise<VoteRefusal | undefined> {
  if (approval.route.signed && reason === null) return { kind: 'reason_needed' }
  if (approval.route.signed && signature === null) return { kind: 'signature_needed' }
  if (signature === null) return undefined
  const used = await usePasskey(tx, signature, now)
  const isGood = used.ok && used.value.person === voter.person && isSignedBy(used.value.publicKey, Buffer.from(chosen.envelopeSha256, 'hex'), signature.assertion)
  return isGood ? undefined : { kind: 'bad_signature' }
}

async function choose(tx: Tx, approval: Approval, { choice, envelopeSha256, calls, text, isEdited }: Settled): Promise<void> {
  await setChoice(tx.db, approval.id, { choice, envelopeSha256, callsMost: calls, edited: isEdited ? tx.context.questions.seal(text, editedPlace(approval.id)) : null })
}

type Voting = { readonly voter: Voter; readonly answer: Vote['answer']; readonly reason: string | null; readonly envelopeSha256: string | null; readonly signature: GivenSignature | null; readonly scope: string | null; readonly now: EpochMs }

async function vote(tx: Tx, approval: Approval, { voter, answer, reason, envelopeSha256, signature, scope, now }: Voting): Promise<void> {
  const event = await append(tx, now, {
    type: 'approval.voted', actor: { kind: 'person', id: voter.person }, task: approval.task, identity: approval.identity,
    facts: { ...voteFacts({ approval: approval.id, answer, envelopeSha256, signature }), scope }, ...(reason === null ? {} : { said: { reason } }),
  })
  await insertVote(tx.db, {
    approval: approval.id, person: voter.person, name: voter.name, email: voter.email === null ? null : foldedEmail(voter.email), issuer: voter.issuer, subject: voter.subject,
    groups: voter.groups, answer, reason, envelopeSha256, signature: signature === null ? null : { passkey: signature.passkey, assertion: signature.assertion }, at: now, event: event.id,
  })
}

