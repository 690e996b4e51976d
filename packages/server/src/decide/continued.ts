import { parseExactJson } from '@writ/contract/strict-json'
import { isWithin } from '@writ/domain/approval'
import type { ExactRecord } from '@writ/domain/exact'
import type { ApprovalId, DecisionId, LeaseId } from '@writ/domain/id'
import { plus, seconds } from '@writ/domain/time'
import type { CallStatus } from '@writ/domain/tool-call'
import { readQuestion } from '@writ/policy/recorded-question'
import type { Tx } from '../record/tx.ts'
import { findApproval, type Approval } from '../store/approvals.ts'
import { countGoneOn } from '../store/approved-decisions.ts'
import { findDecision, type Decision } from '../store/decisions.ts'
import { findToken } from '../store/tokens.ts'
import { findToolCall, type ToolCall } from '../store/tool-calls.ts'
import { changedSince, factsOf, isSignedFor, whyUnanswered, type Approved, type InForce, type NotReady } from './approved.ts'
import type { Attempted } from './decide.ts'
import { argumentText, sha256Hex } from './envelope.ts'
import { questionPlace } from './record-decision.ts'

/** A call that an approval let through, and that goes on once its server has what it asked for in the middle of it. */
export type Continues = {
  readonly approval: ApprovalId
  /** The decision that took a use of the approval. */
  readonly first: DecisionId
  /** The one after which its server has asked. */
  readonly last: DecisionId
  /** The token that it began with. */
  readonly lease: LeaseId
  /** How often it has gone on before. */
  readonly round: number
}

/** `with`: the token that comes now. */
export type Continuing = Continues & { readonly with: LeaseId | null }

const GOES_ON_FOR = seconds(600)
export const MOST_ROUNDS = 20

/** Whose server may have asked something. That it has may be in the record only after its client is back, or never. */
const MAY_HAVE_ASKED: ReadonlySet<CallStatus> = new Set(['in_flight', 'input_required', 'unknown'])

/**
 * Looks whether this is that call going on: then it takes no other use. INVARIANT: what it runs are the arguments that ran first, to the byte; all that
 * the approval is bound to is read anew; and after each question it goes on once, which the record says, and no row.
 */
export async function findContinued(tx: Tx, use: Attempted, continuing: Continuing, inForce: InForce): Promise<Approved> {
  const approval = await findApproval(tx.db, continuing.approval)
  if (approval === undefined) return { kind: 'none' }
  const no = (why: NotReady): Approved => ({ kind: 'not_ready', approval, why })
  const [first, call] = [await findDecision(tx.db, continuing.first), await findToolCall(tx.db, continuing.last)]
  if (first === undefined || call === undefined || !isOneCall(use, { approval, first, call }) || !(await isSameHolder(tx, continuing))) return no('used')
  if (approval.state !== 'used' && approval.state !== 'approved') return no(approval.state)
  if (use.now >= plus(first.at, GOES_ON_FOR) || continuing.round >= MOST_ROUNDS) return no('lapsed')
  const changed = changedSince(approval, await factsOf(tx, use, inForce))
  if (changed !== undefined) return no(changed)
  const { choice } = approval
  const ran = argumentsOf(tx, first)
  if (choice === null || ran === undefined) return no('damaged')
  const unanswered = await whyUnanswered(tx, approval, choice, isSignedFor(use, inForce))
  if (unanswered !== undefined) return no(unanswered)
  const text = argumentText(ran, undefined)
  if (!isOf(approval, { ran, text, attempted: argumentText(use.arguments, undefined) })) return no('used')
  return (await countGoneOn(tx.db, first)) === continuing.round ? { kind: 'ready', approval, arguments: ran, text } : no('used')
}

type OneCall = { readonly approval: Approval; readonly first: Decision; readonly call: ToolCall }

function isOneCall({ task, identity, action, resource }: Attempted, { approval, first, call }: OneCall): boolean {
  return [approval, first].every((one) => one.task === task.id && one.identity === identity.id && one.action === action && one.resource.type === resource.type)
    && approval.kind === 'call' && approval.callsUsed > 0 && first.answer === 'allow' && first.resource.id === resource.id
    && call.task === task.id && `${call.server}/${call.tool}` === resource.id && MAY_HAVE_ASKED.has(call.status)
}

/** A token may run out meanwhile: the next one goes on with it that is bound to the same key. One that was stopped has stopped its calls. */
async function isSameHolder(tx: Tx, { lease, with: other }: Continuing): Promise<boolean> {
  if (other === null || lease === other) return lease === other
  const [before, now] = [await findToken(tx.db, lease), await findToken(tx.db, other)]
  return before !== undefined && before.jkt !== null && before.stopAt === null && before.jkt === now?.jkt && before.audience === now.audience
}

function argumentsOf(tx: Tx, { id, evaluated }: Decision): ExactRecord | undefined {
  const read = evaluated === null ? undefined : parseExactJson(tx.context.questions.unseal(evaluated, questionPlace(id)))
  return read?.ok === true ? readQuestion(read.value)?.arguments : undefined
}

/** What is attempted again is what ran, or what was asked for before a person lowered it. */
function isOf({ choice, argumentsSha256 }: Approval, { ran, text, attempted }: { readonly ran: ExactRecord; readonly text: string; readonly attempted: string }): boolean {
  if (choice === null) return false
  if (choice.scope === 'task') return attempted === text && isWithin(choice.bound, ran)
  if (choice.scope === 'once') return attempted === text && sha256Hex(text) === argumentsSha256
  return sha256Hex(text) === choice.argumentsSha256 && (attempted === text || sha256Hex(attempted) === argumentsSha256)
}
