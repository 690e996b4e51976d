import type { EventActor } from '@writ/domain/event'
import type { ExactRecord } from '@writ/domain/exact'
import type { DecisionId } from '@writ/domain/id'
import type { EpochMs } from '@writ/domain/time'
import type { Entity, Question } from '@writ/policy/question'
import type { Tx } from '../record/tx.ts'
import { judgedBy, type Policies } from './decide.ts'
import { recordDecision, type Decided } from './record-decision.ts'

/** What is asked when nothing is about to happen. */
export type AskedForAdvice = {
  readonly principal: Entity
  readonly action: string
  readonly resource: Entity
  readonly arguments: ExactRecord
  readonly claimed: ExactRecord
  /** What is supposed of this action alone. */
  readonly also?: Question['known']
}

export type Advised = AskedForAdvice & {
  readonly id: DecisionId
  /** The policies in force in this very transaction. */
  readonly policies: Policies
  readonly by: EventActor
  readonly traceId: string
  readonly now: EpochMs
}

/** What the policies alone say to a question that names no task. It is recorded as advice, and opens nothing: there is no grant, no budget and no state in it. */
export async function adviseIn(tx: Tx, { id, policies, by, traceId, now, ...asked }: Advised): Promise<Decided> {
  const question = adviceQuestion(asked, now)
  const decided: Decided = { ...judgedBy(policies.engine.decide(question)), id, wouldDeny: false, policyVersion: policies.version }
  await recordDecision(tx, { decided, question, mode: 'enforce', task: null, identity: null, advisory: true, resource: asked.resource.uid, permit: null, by, traceId, now })
  return decided
}

/** Of a task that is not there: what no policy could take for one that has begun, except that it has calls left. */
export function adviceQuestion({ also, ...asked }: AskedForAdvice, now: EpochMs): Question {
  const { class: ofClass, environment } = asked.principal.attributes
  return {
    ...asked,
    known: {
      task: 'none', purpose: { entity: { type: 'Writ::Purpose', id: 'none' } }, depth: 0n, budget_left: 1n, labels: [], approved: false, at: new Date(now).toISOString(),
      class: typeof ofClass === 'string' ? ofClass : 'none', environment: typeof environment === 'string' ? environment : 'none', ...also,
    },
  }
}
