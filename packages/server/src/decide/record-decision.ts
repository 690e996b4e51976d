import { textOf, type Permit } from '@writ/domain/authority'
import type { DecisionCause, Mode } from '@writ/domain/decision'
import type { EventActor, PublicValue } from '@writ/domain/event'
import { exactText, type ExactValue } from '@writ/domain/exact'
import type { ApprovalId, DecisionId, IdentityId, TaskId } from '@writ/domain/id'
import type { EpochMs } from '@writ/domain/time'
import { commit } from '@writ/ledger/commitment'
import type { EntityRef, PolicyPlace, Question } from '@writ/policy/question'
import { append, sha256 } from '../record/append.ts'
import type { Tx } from '../record/tx.ts'
import { insertDecision } from '../store/decisions.ts'
import type { NotReady } from './approved.ts'

export type Decided = {
  readonly id: DecisionId
  readonly answer: 'allow' | 'deny'
  readonly cause: DecisionCause
  readonly by: readonly PolicyPlace[]
  readonly errors: readonly string[]
  /** A person could allow it. */
  readonly approvable: boolean
  /** Allowed only because it is observed. */
  readonly wouldDeny: boolean
  readonly policyVersion: number
  /** Absent where no person was asked. */
  readonly approval?: ApprovalAtUse
}

/**
 * What answers for a use that a person could allow. `ran`: it was approved and is used; `arguments` are what was kept to be run, byte for byte.
 * `goes_on`: it was used by the decision `first`, and this is the same call, with the same arguments.
 * `lowered`: less was approved than is attempted, and whoever carries it out has to ask for that: for these `arguments`.
 * `denied_still`: it was approved, and is denied all the same. Any other word says why it is not ready.
 */
export type ApprovalAtUse = { readonly id: ApprovalId; readonly expiresAt: EpochMs; readonly why: string | null } & (
  | { readonly kind: 'ran' | 'lowered'; readonly arguments: string }
  | { readonly kind: 'goes_on'; readonly arguments: string; readonly first: DecisionId }
  | { readonly kind: 'denied_still' | NotReady }
)

type Recorded = {
  readonly decided: Decided
  readonly question: Question
  readonly mode: Mode
  /** Null for advice, which opens nothing. */
  readonly task: TaskId | null
  readonly identity: IdentityId | null
  readonly advisory: boolean
  readonly resource: EntityRef
  /** Null of advice. */
  readonly permit: Permit | null
  readonly publicArguments?: { readonly [name: string]: PublicValue }
  readonly by: EventActor
  readonly traceId: string
  readonly now: EpochMs
}

/** Where a decision's question is sealed for. */
export const questionPlace = (id: DecisionId): string => `decision:${id}:question`

/** The decision as a row, with what was asked sealed beside it, and its event, which holds the salted hash of what was asked. */
export async function recordDecision(tx: Tx, { decided, question, mode, task, identity, advisory, resource, permit, publicArguments, by, traceId, now }: Recorded): Promise<void> {
  const { questions, entropy } = tx.context
  const text = exactText(question as ExactValue)
  const salt = entropy.bytes(32)
  const event = await append(tx, now, {
    type: 'decision.made', actor: by, ...(task === null ? {} : { task }), ...(identity === null ? {} : { identity }),
    facts: {
      decision: decided.id, answer: decided.answer, cause: decided.cause, action: question.action, resource_type: resource.type, resource: resource.id,
      policy_version: decided.policyVersion, policies: decided.by.map((place) => place.policy), mode, would_deny: yesNo(decided.wouldDeny),
      approvable: yesNo(decided.approvable), advisory: yesNo(advisory), evaluated: commit(sha256, salt, text),
      ...(publicArguments === undefined ? {} : { arguments: publicArguments }),
      ...(decided.approval === undefined ? {} : { approval: factOf(decided.approval) }),
    },
  })
  await insertDecision(tx.db, {
    id: decided.id, at: now, task, identity, principal: question.principal.uid, action: question.action, resource, permit: permit === null ? null : textOf(permit), answer: decided.answer, cause: decided.cause,
    approvable: decided.approvable, mode, wouldDeny: decided.wouldDeny, advisory, policyVersion: decided.policyVersion, by: decided.by.map((place) => place.policy),
    errors: decided.errors, evaluated: questions.seal(text, questionPlace(decided.id)), evaluatedSalt: salt, traceId, event: event.id,
  })
}

const factOf = (of: ApprovalAtUse) => ({ id: of.id, is: of.kind, ...(of.kind === 'goes_on' ? { first: of.first } : {}) })

const yesNo = (is: boolean): 'yes' | 'no' => (is ? 'yes' : 'no')
