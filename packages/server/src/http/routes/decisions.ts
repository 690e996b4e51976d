import * as contract from '@writ/contract/decisions'
import { parseId, type ApprovalId } from '@writ/domain/id'
import { epochMs, toIso, type EpochMs } from '@writ/domain/time'
import type { Explanation } from '@writ/policy/explanation'
import { questionPlace } from '../../decide/record-decision.ts'
import type { Sealer } from '../../keys/seal.ts'
import type { Clock } from '../../platform/clock.ts'
import { eraseDecision } from '../../policies/erase-evaluated.ts'
import type { PoliciesAside } from '../../policies/aside.ts'
import { unexplained } from '../../policies/explain-decision.ts'
import type { Store } from '../../record/tx.ts'
import { findApprovalsOf } from '../../store/approved-decisions.ts'
import { countDecisions, findDecision, listDecisions, type Decision, type DecisionPage } from '../../store/decisions.ts'
import { actorOf, isOf, route, type AnyCaller, type Route } from '../call.ts'
import { problem } from '../problem.ts'

export type DecisionRoutesNeeds = {
  readonly store: Store
  readonly clock: Clock
  /** Opens what was asked at a decision. */
  readonly questions: Pick<Sealer, 'unseal'>
  readonly aside: Pick<PoliciesAside, 'explain'>
}

const NO_DECISION = problem('not-found', { code: 'decision_not_found', detail: 'there is no such decision, or it is not yours', hint: 'a denial names its decision: `dec_` and 26 characters' })
const BAD_CURSOR = problem('invalid-fields', { errors: [{ field: 'cursor', message: 'is not one of ours' }] })

/** So many rows are read at once; a page that has this much text ends there, and the next one goes on behind it. */
const SLICE = 50
const MOST_PAGE_CHARACTERS = 4_000_000

export function decisionRoutes({ store, clock, questions, aside }: DecisionRoutesNeeds): readonly Route[] {
  const visible = async (caller: AnyCaller, id: string): Promise<Decision | undefined> => {
    const decision = await store.read((db) => findDecision(db, id))
    return decision !== undefined && isVisible(caller, decision) ? decision : undefined
  }
  const shown = async (decision: Decision): Promise<contract.DecisionReply> => decisionReply(decision, (await store.read((db) => findApprovalsOf(db, [decision]))).get(decision.id))
  const questionOf = ({ id, evaluated }: Decision): string | null => (evaluated === null ? null : questions.unseal(evaluated, questionPlace(id)))
  return [
    route(contract.listDecisions, async ({ query }) => {
      const page = pageOf(query)
      if (page === undefined) return BAD_CURSOR
      const { task, identity, answer } = query
      const asked = { ...page, ...(task === undefined ? {} : { task }), ...(identity === undefined ? {} : { identity }), ...(answer === undefined ? {} : { answer }) }
      const { found, approvals } = await store.read(async (db) => {
        const rows = await listDecisions(db, { ...asked, limit: query.limit + 1 })
        return { found: rows, approvals: await findApprovalsOf(db, rows) }
      })
      const decisions = found.slice(0, query.limit).map((one) => decisionReply(one, approvals.get(one.id)))
      return { reply: { decisions, next: found.length > query.limit ? decisions.at(-1)!.id : null } }
    }),
    route(contract.listEvaluated, async ({ query }) => {
      const page = pageOf(query)
      if (page === undefined) return BAD_CURSOR
      const total = query.cursor === undefined ? await store.read((db) => countDecisions(db, page)) : null
      return { reply: { total, ...await evaluatedPage(page, { limit: query.limit, read: (slice) => store.read((db) => listDecisions(db, slice)), questionOf }) } }
    }),
    route(contract.showDecision, async ({ caller, parameters }) => {
      const decision = await visible(caller, parameters.id!)
      return decision === undefined ? NO_DECISION : { reply: await shown(decision) }
    }),
    route(contract.explainDecision, async ({ caller, parameters }) => {
      const decision = await visible(caller, parameters.id!)
      if (decision === undefined) return NO_DECISION
      const question = questionOf(decision)
      if (question === null) return problem('conflict', { code: 'not_evaluated', detail: 'what was asked has been erased, so that this decision can not be explained any more' })
      return { reply: explanationReply(await aside.explain(await unexplained(store, decision, question))) }
    }),
    route(contract.eraseDecision, async ({ caller, parameters, body, once }) => {
      const erased = await store.changeOnce(eraseDecision, { decision: parameters.id!, reason: body.reason, by: actorOf(caller), now: clock.now() }, once)
      if (!erased.ok) return erased.refusal.kind === 'key_reused' ? problem('idempotency-key-reused') : NO_DECISION
      return { reply: await shown((await store.read((db) => findDecision(db, erased.value.value)))!) }
    }),
  ]
}

/** Advice is nobody's but the operators': who asked for it was told at once. */
const isVisible = (caller: AnyCaller, { task, identity }: Decision): boolean =>
  caller.kind === 'operator' || (caller.kind === 'person' && caller.own === null) || (task !== null && identity !== null && isOf(caller, { task, identity }))

type Asked = { readonly since?: string | undefined; readonly until?: string | undefined; readonly cursor?: string | undefined }

/** Undefined when the cursor is not one of ours. */
function pageOf({ since, until, cursor }: Asked): Omit<DecisionPage, 'limit'> | undefined {
  const beyond = cursor === undefined ? undefined : parseId('decision', cursor)
  if (cursor !== undefined && beyond === undefined) return undefined
  return {
    ...(beyond === undefined ? {} : { beyond }),
    ...(since === undefined ? {} : { since: toInstant(since) }),
    ...(until === undefined ? {} : { until: toInstant(until) }),
  }
}

/** The contract has seen to it that it is one. Ids know no time before 1970. */
const toInstant = (text: string): EpochMs => epochMs(Math.max(0, Date.parse(text)))

type Reading = {
  readonly limit: number
  readonly read: (page: DecisionPage) => Promise<readonly Decision[]>
  readonly questionOf: (decision: Decision) => string | null
}

async function evaluatedPage(page: Omit<DecisionPage, 'limit'>, { limit, read, questionOf }: Reading): Promise<{ decisions: contract.EvaluatedDecisionReply[]; next: string | null }> {
  const decisions: contract.EvaluatedDecisionReply[] = []
  let characters = 0
  for (let { beyond } = page; ;) {
    const asked = Math.min(SLICE, limit - decisions.length)
    const slice = await read({ ...page, oldestFirst: true, limit: asked, ...(beyond === undefined ? {} : { beyond }) })
    for (const decision of slice) {
      const question = questionOf(decision)
      characters += question?.length ?? 0
      decisions.push(evaluatedReply(decision, question))
      if (characters > MOST_PAGE_CHARACTERS || decisions.length === limit) return { decisions, next: decision.id }
    }
    if (slice.length < asked) return { decisions, next: null }
    beyond = slice.at(-1)!.id
  }
}

const explanationReply = (explanation: Explanation): contract.ExplanationReply => ({ ...explanation, errors: [...explanation.errors] })

const evaluatedReply = ({ id, at, answer, cause, approvable, wouldDeny, advisory, policyVersion, by, errors }: Decision, question: string | null): contract.EvaluatedDecisionReply => ({
  id, at: toIso(at), answer, cause, approvable, would_deny: wouldDeny, advisory, policy_version: policyVersion, policies: [...by], errors: [...errors], question,
})

const decisionReply = (decision: Decision, approval: ApprovalId | undefined): contract.DecisionReply => ({
  id: decision.id, at: toIso(decision.at), task: decision.task, identity: decision.identity, principal: decision.principal, action: decision.action, resource: decision.resource,
  answer: decision.answer, cause: decision.cause, approvable: decision.approvable, approval: approval ?? null, mode: decision.mode, would_deny: decision.wouldDeny, advisory: decision.advisory,
  policy_version: decision.policyVersion, policies: [...decision.by], errors: [...decision.errors], evaluated: decision.evaluated === null ? 'erased' : 'kept',
  event: decision.event, trace_id: decision.traceId,
})
