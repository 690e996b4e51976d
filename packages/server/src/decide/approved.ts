import { callsOf, isSameHuman, isWithin, riskOf, type ApprovalChoice, type ApprovalState, type ChainLink } from '@writ/domain/approval'
import type { Effect } from '@writ/domain/decision'
import type { ExactRecord, ExactValue } from '@writ/domain/exact'
import type { EventActor } from '@writ/domain/event'
import type { EpochMs } from '@writ/domain/time'
import { parseExactJson } from '@writ/contract/strict-json'
import type { Engine } from '@writ/policy/engine'
import { isSignedBy } from '../keys/passkey-signature.ts'
import { append, sha256 } from '../record/append.ts'
import { isAuthentic } from '../record/authentic.ts'
import type { Tx } from '../record/tx.ts'
import { findEnrolments, listVotes, type Vote } from '../store/approval-votes.ts'
import { lockApprovalsFor, markCallUsed, type Approval } from '../store/approvals.ts'
import { countApprovalUses } from '../store/events.ts'
import { listChain } from '../store/chain.ts'
import type { Attempted } from './decide.ts'
import { argumentsPlace, argumentText, editedPlace, envelopeText, fieldsOf, sha256Hex } from './envelope.ts'
import { recordedOf } from './recorded-approval.ts'

/**
 * What answers for a use that a person could allow. `ready`: it may be asked again, as approved, with these arguments. `lowered`: it would be, if what
 * is attempted were no more than this text. Of what is not, `why` says in a word what stands in the way.
 */
export type Approved =
  | { readonly kind: 'none' }
  | { readonly kind: 'ready'; readonly approval: Approval; /** In place of those of the attempt. */ readonly arguments: ExactRecord; readonly text: string }
  | { readonly kind: 'lowered'; readonly approval: Approval; readonly text: string }
  | { readonly kind: 'not_ready'; readonly approval: Approval; readonly why: NotReady }

/** Its state, or what has changed since a person saw it, or what its answer lacks. */
export type NotReady = Exclude<ApprovalState, 'approved'> | ChangedField | 'not_signed' | 'not_answered' | 'damaged'
export type ChangedField = 'workload_changed' | 'policies_changed' | 'tool_changed' | 'chain_changed' | 'subject_changed' | 'identity_changed'

export type InForce = { readonly engine: Engine; readonly version: number }

/**
 * Looks for what answers for this use; one statement where nobody was asked. INVARIANT (law 6): it opens nothing itself, and whatever it is an approval
 * of is read anew here, so that what has changed since it was shown is refused.
 */
export async function findApproved(tx: Tx, use: Attempted, inForce: InForce): Promise<Approved> {
  const text = argumentText(use.arguments, templateOf(use))
  const found = await lockApprovalsFor(tx, {
    task: use.task.id, action: use.action, resource: use.resource, argumentsSha256: sha256Hex(text), claimedSha256: claimedSha256Of(use.claimed),
  })
  const [same, others] = [found.filter((one) => one.argumentsSha256 === sha256Hex(text)), found.filter((one) => one.argumentsSha256 !== sha256Hex(text))]
  const refused: Approved[] = []
  for (const approval of [...same, ...others]) {
    if (approval.state !== 'approved') continue
    const tried = await tryOne(tx, approval, { use, text, inForce })
    if (tried?.kind === 'ready') return tried
    if (tried !== undefined) refused.push(tried)
  }
  const waiting = same.find((one) => one.state === 'waiting')
  if (waiting !== undefined) return { kind: 'not_ready', approval: waiting, why: changedSince(waiting, await factsOf(tx, use, inForce)) ?? (use.now >= waiting.expiresAt ? 'lapsed' : 'waiting') }
  if (refused[0] !== undefined) return refused[0]
  const [newest] = same
  return newest === undefined || newest.state === 'approved' ? { kind: 'none' } : { kind: 'not_ready', approval: newest, why: newest.state }
}

type Trying = { readonly use: Attempted; readonly text: string; readonly inForce: InForce }

/** Undefined of a permission for the task that this use is not within. */
async function tryOne(tx: Tx, approval: Approval, { use, text, inForce }: Trying): Promise<Approved | undefined> {
  const { choice } = approval
  const no = (why: NotReady): Approved => ({ kind: 'not_ready', approval, why })
  if (choice === null || approval.callsMost !== callsOf(choice)) return no('damaged')
  const isForTask = choice.scope === 'task'
  const isLowered = choice.scope === 'edited' && choice.argumentsSha256 === sha256Hex(text)
  if (isForTask ? !isWithin(choice.bound, withTemplate(use)) : !isLowered && approval.argumentsSha256 !== sha256Hex(text)) return undefined
  if (use.now >= usableUntil(approval, choice)) return no('lapsed')
  if (approval.callsUsed >= approval.callsMost) return no('used')
  const changed = changedSince(approval, await factsOf(tx, use, inForce))
  if (changed !== undefined) return no(changed)
  const unanswered = await whyUnanswered(tx, approval, choice, isSignedFor(use, inForce))
  if (unanswered !== undefined) return no(unanswered)
  if ((await countApprovalUses(tx.db, approval)) > approval.callsUsed) return no('used')
  const ran = isForTask ? text : keptText(tx, approval, choice)
  const read = ran === undefined ? undefined : readArguments(ran, templateOf(use))
  if (ran === undefined || read === undefined) return no('damaged')
  // INVARIANT: an allowed attempt is of what was approved. Only where we carry it out ourselves can it run less than was asked for.
  return choice.scope === 'edited' && !isLowered && use.runsApproved !== true ? { kind: 'lowered', approval, text: ran } : { kind: 'ready', approval, arguments: read, text: ran }
}

export const usableUntil = (approval: Approval, choice: ApprovalChoice): EpochMs => (choice.scope === 'task' ? choice.bound.until : approval.expiresAt)

export const templateOf = ({ also }: Pick<Attempted, 'also'>): string | undefined => (typeof also?.['template'] === 'string' ? also['template'] : undefined)
const withTemplate = (use: Attempted): ExactRecord => {
  const template = templateOf(use)
  return template === undefined ? use.arguments : { ...use.arguments, template }
}
export const claimedSha256Of = (claimed: ExactRecord): string => sha256Hex(argumentText(claimed, undefined))

/** What an approval is bound to, besides the bytes. */
export type UseFacts = Pick<Approval, 'identity' | 'workload' | 'root' | 'chain' | 'onBehalfOf' | 'toolPin' | 'policyVersion'>

export async function factsOf(tx: Tx, { task, identity, workload, resource }: Pick<Attempted, 'task' | 'identity' | 'workload' | 'resource'>, { engine, version }: InForce): Promise<UseFacts> {
  const chain: readonly ChainLink[] = task.parent === null ? [{ task: task.id, identity: task.identity }] : await listChain(tx.db, task.id)
  return { identity: identity.id, workload, root: task.root, chain, onBehalfOf: task.onBehalfOf, toolPin: engine.bundle.tools.find(({ id }) => id === resource.id)?.pin ?? null, policyVersion: version }
}

export function changedSince(approval: Approval, now: UseFacts): ChangedField | undefined {
  if (approval.identity !== now.identity) return 'identity_changed'
  if (approval.workload !== now.workload) return 'workload_changed'
  if (approval.policyVersion !== now.policyVersion) return 'policies_changed'
  if (approval.toolPin !== now.toolPin) return 'tool_changed'
  if (approval.root !== now.root || JSON.stringify(approval.chain.map(linkText)) !== JSON.stringify(now.chain.map(linkText))) return 'chain_changed'
  const [then, since] = [approval.onBehalfOf, now.onBehalfOf]
  return then?.issuer !== since?.issuer || then?.subject !== since?.subject ? 'subject_changed' : undefined
}

const linkText = ({ task, identity }: ChainLink): string => `${task} ${identity}`

/** INVARIANT: what is of high risk by what is known of it now is signed, whatever its row says. */
export function isSignedFor({ resource, known }: Attempted, { engine }: InForce): boolean {
  const { effect, reversible } = (known ?? engine.entity(resource))?.attributes ?? {}
  return riskIn(effect, reversible) === 'high'
}

/** Of attributes as policies have them. */
export const riskIn = (effect: ExactValue | undefined, reversible: ExactValue | undefined) =>
  riskOf(typeof effect === 'string' ? (effect as Effect) : null, typeof reversible === 'boolean' ? reversible : null)

/** The answers are counted anew, each that was recorded, and to the very envelope that today's facts make. */
export async function whyUnanswered(tx: Tx, approval: Approval, choice: ApprovalChoice, mustBeSigned: boolean): Promise<NotReady | undefined> {
  const envelope = sha256Hex(envelopeText(fieldsOf(approval, choice)))
  const recorded = await recordedOf(tx, approval, await listVotes(tx.db, [approval.id]))
  if (!recorded.isRequest) return 'damaged'
  const yes = recorded.votes.filter((vote) => vote.answer === 'approve' && vote.envelopeSha256 === envelope)
  const humans = yes.filter((vote, i) => !yes.slice(0, i).some((other) => isSameHuman(vote, other)))
  if (humans.length < approval.route.quorum) return 'not_answered'
  return (mustBeSigned || approval.route.signed) && !(await areSigned(tx, humans, envelope)) ? 'not_signed' : undefined
}

/**
 * INVARIANT: the signature itself is what counts, by a key whose enrolment stands in the record under our MAC: a row that says so is not enough.
 */
async function areSigned(tx: Tx, votes: readonly Vote[], envelope: string): Promise<boolean> {
  const enrolments = new Map((await findEnrolments(tx.db, votes.flatMap(({ signature }) => (signature === null ? [] : [signature.passkey])))).map((one) => [one.passkey, one]))
  return votes.every(({ person, signature }) => {
    const enrolled = signature === null ? undefined : enrolments.get(signature.passkey)
    if (signature === null || enrolled === undefined || enrolled.person !== person || enrolled.removedAt !== null) return false
    if (!isAuthentic(tx.context.eventMac, enrolled.event) || !isEnrolmentOf(enrolled.event.text, enrolled.passkey, enrolled.publicKey)) return false
    return isSignedBy(enrolled.publicKey, Buffer.from(envelope, 'hex'), signature.assertion)
  })
}

function isEnrolmentOf(leaf: string, passkey: string, publicKey: Uint8Array): boolean {
  const { type, facts } = JSON.parse(leaf) as { readonly type: string; readonly facts: Readonly<Record<string, unknown>> }
  return type === 'passkey.enrolled' && facts['passkey'] === passkey && facts['public_key_sha256'] === sha256OfBytes(publicKey)
}

const sha256OfBytes = (bytes: Uint8Array): string => Buffer.from(sha256(bytes)).toString('hex')

/** What was kept to be run: never the attempt's own copy. */
function keptText(tx: Tx, approval: Approval, choice: ApprovalChoice): string | undefined {
  const { questions } = tx.context
  if (choice.scope === 'edited') {
    const text = approval.edited === null ? undefined : questions.unseal(approval.edited, editedPlace(approval.id))
    return text !== undefined && sha256Hex(text) === choice.argumentsSha256 ? text : undefined
  }
  const text = approval.arguments === null ? undefined : questions.unseal(approval.arguments, argumentsPlace(approval.id))
  return text !== undefined && sha256Hex(text) === approval.argumentsSha256 ? text : undefined
}

function readArguments(text: string, template: string | undefined): ExactRecord | undefined {
  const read = parseExactJson(text)
  if (!read.ok) return undefined
  const { template: _, ...args } = read.value as ExactRecord
  return template === undefined ? (read.value as ExactRecord) : args
}

type Ran = { readonly use: Attempted; readonly approval: Approval; readonly now: EpochMs }

/** One use of it, in the transaction of the attempt (law 6: once, or as often as its bound says). */
export async function takeApproved(tx: Tx, { use: { task, identity, by, id }, approval, now }: Ran): Promise<void> {
  await markCallUsed(tx.db, approval, now)
  const actor: EventActor = by
  await append(tx, now, {
    type: 'approval.used', actor, task: task.id, identity: identity.id,
    facts: { approval: approval.id, decision: id, envelope_sha256: approval.envelopeSha256, call: approval.callsUsed + 1, calls_most: approval.callsMost },
  })
}

