import { ANSWERS, DECISION_CAUSES, MODES } from '@writ/domain/decision'
import { z } from 'zod'
import { endpoint } from './endpoint.ts'
import { instant, page, reason } from './words.ts'

const entityRef = z.object({ type: z.string(), id: z.string() })

export const decision = z.object({
  id: z.string(),
  at: z.string(),
  task: z.string().nullable(),
  identity: z.string().nullable(),
  /** Of an advisory one, what its caller said. */
  principal: entityRef,
  action: z.string(),
  resource: entityRef,
  answer: z.enum(ANSWERS),
  /** What it hung on; `grant`, `budget` and `state` are denials that no policy can lift. */
  cause: z.enum(DECISION_CAUSES),
  /** Denied, and a person could allow it. */
  approvable: z.boolean(),
  mode: z.enum(MODES),
  /** The approval that let it through, where a person had been asked. */
  approval: z.string().nullable(),
  /** Observed: it passed, and would have been denied. */
  would_deny: z.boolean(),
  /** Policy only; it opens nothing. */
  advisory: z.boolean(),
  policy_version: z.number(),
  /** The policies that decided, by their ids. */
  policies: z.array(z.string()),
  errors: z.array(z.string()),
  /** Whether what was asked is still kept. Once erased, the decision can not be replayed or explained further. */
  evaluated: z.enum(['kept', 'erased']),
  /** Its entry in the log. */
  event: z.string(),
  trace_id: z.string().nullable(),
})
export type DecisionReply = z.infer<typeof decision>

const span = { since: instant.optional(), until: instant.optional() }

export const listDecisions = endpoint({
  method: 'GET', path: '/v1/decisions', who: 'operator', summary: 'Decisions, newest first',
  query: page.extend({ ...span, task: z.string().max(100).optional(), identity: z.string().max(100).optional(), answer: z.enum(ANSWERS).optional() }),
  reply: z.object({ decisions: z.array(decision), next: z.string().nullable() }), problems: ['invalid-fields'],
})

/** What was asked at a decision, whole: whoever has it and the policies gets the same answer at any time. */
export const evaluatedDecision = z.object({
  id: z.string(),
  at: z.string(),
  answer: z.enum(ANSWERS),
  cause: z.enum(DECISION_CAUSES),
  approvable: z.boolean(),
  would_deny: z.boolean(),
  advisory: z.boolean(),
  policy_version: z.number(),
  policies: z.array(z.string()),
  errors: z.array(z.string()),
  /** Exact JSON as a text of its own, so that no reader rounds a number of it; null once erased: then the decision is *not evaluated*. */
  question: z.string().nullable(),
})
export type EvaluatedDecisionReply = z.infer<typeof evaluatedDecision>

export const listEvaluated = endpoint({
  method: 'GET', path: '/v1/decisions/evaluated', who: 'operator', summary: 'Decisions with what was asked, oldest first, for a replay against other policies',
  query: page.extend(span), problems: ['invalid-fields'],
  /** `total`: how many there are in all, counted for the first page alone. */
  reply: z.object({ decisions: z.array(evaluatedDecision), total: z.number().nullable(), next: z.string().nullable() }),
})
export const showDecision = endpoint({
  method: 'GET', path: '/v1/decisions/{id}', who: 'identity_or_operator', summary: 'One decision; an identity sees those of its own tasks', reply: decision, problems: ['not-found'],
})

const place = z.object({ policy: z.string(), file: z.string(), line: z.number() })
/** Values of the question by path, as inert text; `absent` where there is none. */
const actual = z.record(z.string(), z.string())

/** One shape everywhere: what happened, why, what would allow it, and what to do next. */
export const explanation = z.object({
  decision: z.string().nullable(),
  verdict: z.enum(['allow', 'approval_required', 'deny']),
  cause: z.enum(DECISION_CAUSES),
  /** Who wanted what, in one line. */
  asked: z.string(),
  /** The policy that decided; null when none applied, or none was asked. */
  rule: place.nullable(),
  /** The permit that comes closest, and the terms of it that failed. */
  nearest: place.extend({ failed: z.string(), actual }).nullable(),
  /** The forbid that applied, the terms that held, and the exception that it names itself. */
  forbidden_by: place.extend({ held: z.string().nullable(), actual, unless: z.string().nullable() }).nullable(),
  /** The permit that allows it once a person has approved it. */
  with_approval: place.nullable(),
  /** Why the task's grant does not hold what was asked. */
  grant: z.object({ asked: z.string(), nearest: z.string().nullable(), failed: z.string().nullable(), actual: z.string().nullable() }).nullable(),
  /** What of identity, task or owner is not in order. */
  state: z.string().nullable(),
  errors: z.array(z.string()),
  would_allow: z.string().nullable(),
  next: z.object({ say: z.string(), cli: z.string().nullable() }),
  retryable: z.boolean(),
  trace_id: z.string().nullable(),
})
export type ExplanationReply = z.infer<typeof explanation>

/** By the policies of that time. What was asked is gone once it was erased, and a decision without it is not explained any more. */
export const explainDecision = endpoint({
  method: 'GET', path: '/v1/decisions/{id}/explanation', who: 'identity_or_operator', summary: 'Why a decision came out as it did, and what would allow it',
  reply: explanation, problems: ['not-found', 'conflict'],
})

/** What was asked goes for good, and with it the salt of its hash in the log; the answer stays. */
export const eraseDecision = endpoint({
  method: 'POST', path: '/v1/decisions/{id}/erase', who: 'operator', summary: 'Erase what a decision was made of, such as personal values in arguments',
  body: reason, reply: decision, problems: ['not-found', 'idempotency-key-reused'],
})
