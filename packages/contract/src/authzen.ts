import { ANSWERS, DECISION_CAUSES } from '@writ/domain/decision'
import { z } from 'zod'
import { endpoint } from './endpoint.ts'

/**
 * OpenID AuthZEN Authorization API 1.0. Numbers arrive as they were sent (`exact.ts`), and members that nobody knows are left out of account.
 * A question that names a task is an attempt: it takes a call of the budget. Any other is advice, and opens nothing.
 */

const type = z.string().min(1).max(300)
const id = z.string().min(1).max(2048)
const properties = z.record(z.string(), z.unknown()).optional()

export const authzenEntity = z.object({ type, id, properties })
export const authzenAction = z.object({ name: z.string().min(1).max(300), properties })
/** `task` names the task in which the attempt is made; everything else is what the caller says of its surroundings. */
export const authzenContext = z.record(z.string(), z.unknown())

export const authzenQuestion = z.object({ subject: authzenEntity, action: authzenAction, resource: authzenEntity, context: authzenContext.optional() })
export type AuthzenQuestion = z.output<typeof authzenQuestion>

export const EVALUATIONS_SEMANTICS = ['execute_all', 'deny_on_first_deny', 'permit_on_first_permit'] as const
export type EvaluationsSemantic = (typeof EVALUATIONS_SEMANTICS)[number]

/** They are answered in one transaction, for which everybody else waits. */
export const MOST_EVALUATIONS = 100

/** Of the whole request: what each question lacks is taken from here, as a whole. */
const common = z.record(z.string(), z.unknown()).optional()
export const authzenQuestions = z.object({
  subject: common, action: common, resource: common, context: common,
  options: z.object({ evaluations_semantic: z.enum(EVALUATIONS_SEMANTICS).optional() }).optional(),
  /** Absent or empty: the request is one question. */
  evaluations: z.array(z.unknown()).max(MOST_EVALUATIONS, { error: `must be at most ${MOST_EVALUATIONS} questions` }).optional(),
})

/** What a denial that a person could lift carries: AuthZEN Access Request and Approval Profile 1.0, a working draft. */
export const requestableDenial = z.object({ template: z.string(), expires_at: z.string() })

export const authzenAnswerContext = z.object({
  /** The decision, or absent where the question could not be read as one. */
  id: z.string().optional(),
  reason: z.string().optional(),
  answer: z.enum(ANSWERS).optional(),
  cause: z.enum(DECISION_CAUSES).optional(),
  policies: z.array(z.string()).optional(),
  policy_version: z.number().optional(),
  /** Policy only: it named no task, and opens nothing. */
  advisory: z.boolean().optional(),
  /** Observed: it passed, and would have been denied. */
  would_deny: z.boolean().optional(),
  /** Where the decision is explained. */
  explanation: z.string().optional(),
  /** Why there was nothing to evaluate. */
  error: z.object({ status: z.number(), code: z.string(), message: z.string() }).optional(),
  trace_id: z.string().optional(),
  evaluation_id: z.string().optional(),
  evaluated_at: z.string().optional(),
  access_request: requestableDenial.optional(),
  /**
   * What a person answered, or has yet to: `ran` where it is used up by this very answer, `lowered` where less was approved than was asked; any other
   * word says why it is not.
   */
  approval: z.object({
    id: z.string(), is: z.string(),
    /** Exact JSON of what was approved: what may run where it is used up by this answer, what to ask for where it was lowered. */
    arguments: z.string().optional(),
  }).optional(),
})
export type AuthzenAnswerContext = z.input<typeof authzenAnswerContext>

export const authzenAnswer = z.object({ decision: z.boolean(), context: authzenAnswerContext })
export type AuthzenAnswer = z.output<typeof authzenAnswer>
export const authzenAnswers = z.object({ evaluations: z.array(authzenAnswer) })

const ASKING = { method: 'POST', who: 'identity_or_operator', authzen: true } as const
const PROBLEMS = ['malformed-request', 'invalid-fields', 'not-allowed', 'not-found', 'too-many-requests'] as const

export const evaluateAccess = endpoint({
  ...ASKING, path: '/access/v1/evaluation', summary: 'May this be done? Asked in a task it is an attempt, else advice (AuthZEN 1.0)', body: authzenQuestion, reply: authzenAnswer, problems: [...PROBLEMS, 'conflict'],
})
export const evaluateAccesses = endpoint({
  ...ASKING, path: '/access/v1/evaluations', summary: 'Several questions, answered in their order (AuthZEN 1.0)',
  body: authzenQuestions, reply: z.union([authzenAnswers, authzenAnswer]), problems: [...PROBLEMS, 'conflict'],
})

const whole = (value: unknown): unknown => (typeof value === 'bigint' ? Number(value) : value)
const search = {
  context: authzenContext.optional(),
  page: z.object({
    /** More than a thousand are not given at once. */
    limit: z.preprocess(whole, z.number().int().min(1)).optional(),
    /** `page.next_token` of the answer before, to the same question. */
    token: z.string().max(4096).optional(),
  }).optional(),
}
/** An id beside the type of what is searched for is left out of account. */
const sought = z.object({ type, properties })

const page = z.object({ next_token: z.string(), count: z.number() })
const found = z.object({ results: z.array(z.object({ type: z.string(), id: z.string() })), page })

export const searchSubjects = endpoint({
  ...ASKING, path: '/access/v1/search/subject', summary: 'Who may do this? Advice, and not recorded (AuthZEN 1.0)',
  body: z.object({ subject: sought, action: authzenAction, resource: authzenEntity, ...search }), reply: found, problems: PROBLEMS,
})
export const searchResources = endpoint({
  ...ASKING, path: '/access/v1/search/resource', summary: 'To what may this be done? Advice, and not recorded (AuthZEN 1.0)',
  body: z.object({ subject: authzenEntity, action: authzenAction, resource: sought, ...search }), reply: found, problems: PROBLEMS,
})
export const searchActions = endpoint({
  ...ASKING, path: '/access/v1/search/action', summary: 'What may be done? Advice, and not recorded (AuthZEN 1.0)',
  body: z.object({ subject: authzenEntity, resource: authzenEntity, ...search }),
  reply: z.object({ results: z.array(z.object({ name: z.string() })), page }), problems: PROBLEMS,
})

export const authzenConfiguration = endpoint({
  method: 'GET', path: '/.well-known/authzen-configuration', who: 'anyone', summary: 'Where the decision point answers (AuthZEN 1.0)',
  reply: z.object({
    policy_decision_point: z.string(), access_evaluation_endpoint: z.string(), access_evaluations_endpoint: z.string(),
    search_subject_endpoint: z.string(), search_resource_endpoint: z.string(), search_action_endpoint: z.string(),
  }),
  problems: [],
})
