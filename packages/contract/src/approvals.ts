import { APPROVAL_KINDS, APPROVAL_STATES, MAY_DECIDE_REASONS, MOST_QUORUM, RISKS } from '@writ/domain/approval'
import { EFFECTS } from '@writ/domain/decision'
import { z } from 'zod'
import { endpoint } from './endpoint.ts'
import { explanation } from './decisions.ts'
import { assertionResponse } from './people.ts'
import { freeText, identityClass, instant, name, nothing, page } from './words.ts'

const entityRef = z.object({ type: z.string(), id: z.string() })

/** What a permission for the whole task lets through without asking again. An argument that is not named may not be there. */
export const approvalBound = z.strictObject({
  /** By name: up to this whole number, exactly this value (JSON as a text of its own), or whatever it is. */
  arguments: z.record(z.string().max(200), z.union([
    z.strictObject({ most: z.int().min(0) }), z.strictObject({ is: z.string().max(1_000_000) }), z.strictObject({ any: z.literal(true) }),
  ])).refine((one) => Object.keys(one).length <= 100, { error: 'must name at most 100' }),
  /** How many calls, this one included. */
  calls: z.int().min(1).max(1000),
  until: instant,
})
export type ApprovalBound = z.input<typeof approvalBound>

/** What is approved: this very call, the same with less, or calls like it for as long as the task is open. */
export const approvalChoice = z.discriminatedUnion('scope', [
  z.strictObject({ scope: z.literal('once') }),
  /** Whole numbers may be lower than those that were asked for; nothing else may differ. Exact JSON as a text of its own. */
  z.strictObject({ scope: z.literal('edited'), arguments: z.string().max(1_000_000) }),
  z.strictObject({ scope: z.literal('task'), bound: approvalBound }),
])
export type ApprovalChoice = z.input<typeof approvalChoice>

/** What the inbox shows of one. Every word of the agent's is inert text. */
export const approval = z.object({
  id: z.string(),
  kind: z.enum(APPROVAL_KINDS),
  state: z.enum(APPROVAL_STATES),
  /** Why it ended without an answer, or was withdrawn. */
  why: z.string().nullable(),
  identity: z.string(),
  spiffe_id: z.string(),
  identity_class: identityClass,
  task: z.string(),
  root_task: z.string(),
  action: z.string(),
  resource: entityRef,
  /** How bad it could be: by effect, and whether it can be taken back. */
  risk: z.enum(RISKS),
  effect: z.enum(EFFECTS).nullable(),
  reversible: z.boolean().nullable(),
  labels: z.array(z.string()),
  /** The arguments as they were asked for; hexadecimal SHA-256 of exactly the bytes that are kept. */
  arguments_sha256: z.string(),
  requested_at: z.string(),
  /** No answer by then is no; an approval that is not used by then is none. */
  expires_at: z.string(),
  /** Persons who have to say yes, and who have. */
  quorum: z.number(),
  yes: z.number(),
  /** The group whose members decide; null: every reviewer. */
  group: z.string().nullable(),
  /** A passkey has to sign, and a reason to be typed. */
  signed: z.boolean(),
  /** Equal for requests that may be shown as one list: the same identity, action and resource, and no high risk. Null where each stands alone. */
  alike: z.string().nullable(),
  decided_at: z.string().nullable(),
  used_at: z.string().nullable(),
  /** Whether you may decide; always no for an operator's key. */
  you_may: z.boolean(),
})
export type ApprovalReply = z.infer<typeof approval>

export const approvalVote = z.object({
  person: z.string(),
  /** As the person was called then. */
  name: z.string(),
  answer: z.enum(['approve', 'deny']),
  reason: z.string().nullable(),
  at: z.string(),
  signed: z.boolean(),
})

/** Everything that whoever decides has to see, in one reply. */
export const approvalCard = approval.extend({
  /** Exactly what will run, as text: the kept bytes themselves. Null once erased. */
  arguments: z.string().nullable(),
  /** What was approved, once somebody has: the same, or less. */
  choice: approvalChoice.nullable(),
  /** The arguments that will run, where somebody has lowered them. */
  edited_arguments: z.string().nullable(),
  /** From the one on whose behalf, down to the task that asks. */
  chain: z.array(z.object({
    task: z.string(), identity: z.string(), spiffe_id: z.string(), technical_owner: z.string(), business_owner: z.string(),
    /** The agent's words: evidence for people, never evaluated. */
    purpose: z.string(),
    deadline: z.string(),
  })),
  on_behalf_of: z.object({ issuer: z.string(), subject: z.string() }).nullable(),
  /** The agent's words about this very call, and not verified; null where it said nothing. */
  intent: z.string().nullable(),
  /** Why a person is asked: the explanation of the denial; null once what was asked is erased. */
  explanation: explanation.nullable(),
  decision: z.string(),
  policy_version: z.number(),
  tool_pin: z.string().nullable(),
  /** Earlier requests of this identity for this action on this resource, of the last 30 days. */
  history: z.object({ used: z.number(), denied: z.number(), lapsed: z.number() }),
  votes: z.array(approvalVote),
  /** What `for this task` would allow unless it is changed; null where it is not offered. */
  bound: approvalBound.nullable(),
  /** Calls that a permission for the task has let through, and may. */
  calls: z.object({ used: z.number(), most: z.number() }).nullable(),
  who_can_decide: z.object({
    say: z.string(), role: z.literal('reviewer'), group: z.string().nullable(), quorum: z.number(),
    /** By name, of those who have signed in here and may. */
    people: z.array(z.object({ person: z.string(), name: z.string() })),
  }),
  you: z.object({ may: z.boolean(), why_not: z.enum(MAY_DECIDE_REASONS).nullable(), say: z.string().nullable() }),
  /** Of what is approved as it stands, or `once`: what an answer has to name. Null once it has its end. */
  envelope_sha256: z.string().nullable(),
  /** The envelope itself, in canonical JSON. */
  envelope: z.string().nullable(),
  /** To sign with: the WebAuthn challenge is the envelope's SHA-256, in base64url; your own passkeys. Null where none is needed. */
  signing: z.object({ challenge: z.string(), rp_id: z.string(), credentials: z.array(z.string()) }).nullable(),
})
export type ApprovalCardReply = z.infer<typeof approvalCard>

/** Above this rate over this many answers a policy would say it as well. */
export const habit = z.object({ answered: z.number(), approve_rate: z.number().nullable(), median_seconds: z.number().nullable(), propose_policy: z.boolean() })

const approvalId = { problems: ['not-found', 'conflict', 'not-allowed'] } as const

export const listApprovals = endpoint({
  method: 'GET', path: '/v1/approvals', who: 'operator', summary: 'Requests for approval, newest first; with `state=waiting` those that end first come first',
  query: page.extend({
    state: z.enum(APPROVAL_STATES).optional(), identity: z.string().max(100).optional(), task: z.string().max(100).optional(), risk: z.enum(RISKS).optional(),
    /** Only those that you may decide. */
    mine: z.enum(['true', 'false']).optional(),
  }),
  reply: z.object({
    approvals: z.array(approval), next: z.string().nullable(),
    /** How many wait, whatever the filter. */
    waiting: z.number(),
    /** Of your own answers; null for an operator's key. */
    habit: habit.nullable(),
  }),
  problems: ['invalid-fields'],
})
export const showApproval = endpoint({ method: 'GET', path: '/v1/approvals/{id}', who: 'operator', summary: 'One request with everything that whoever decides has to see', reply: approvalCard, problems: ['not-found'] })

/** Answers nothing: what an approval of this would hold, and its hash, which an answer has to name. */
export const previewApproval = endpoint({
  method: 'POST', path: '/v1/approvals/{id}/preview', who: 'person', summary: 'What approving this would allow, and the hash to approve it by',
  body: z.strictObject({ choice: approvalChoice }),
  reply: z.object({ envelope: z.string(), envelope_sha256: z.string(), challenge: z.string(), /** In one line: what it allows. */ allows: z.string(), arguments: z.string().nullable() }),
  problems: ['not-found', 'conflict', 'invalid-fields'],
})

export const approveApproval = endpoint({
  method: 'POST', path: '/v1/approvals/{id}/approve', who: 'person', summary: 'Say yes to exactly what was shown',
  body: z.strictObject({
    choice: approvalChoice.default({ scope: 'once' }),
    /** Of what was shown. */
    envelope_sha256: z.string().regex(/^[0-9a-f]{64}$/, { error: 'must be 64 hexadecimal digits' }),
    /** Where the risk is high it has to be there. */
    reason: freeText(500).optional(),
    assertion: assertionResponse.optional(),
  }),
  reply: approval, problems: [...approvalId.problems, 'invalid-fields', 'idempotency-key-reused'],
})
/** One no ends it. */
export const denyApproval = endpoint({
  method: 'POST', path: '/v1/approvals/{id}/deny', who: 'person', summary: 'Say no',
  body: z.strictObject({ reason: freeText(500).optional() }), reply: approval, problems: [...approvalId.problems, 'idempotency-key-reused'],
})
export const cancelApproval = endpoint({
  method: 'POST', path: '/v1/approvals/{id}/cancel', who: 'identity', summary: 'Take a request back', body: nothing, reply: z.object({ id: z.string(), state: z.enum(APPROVAL_STATES) }),
  problems: ['not-found', 'conflict'],
})

/** Who is asked about what: the first that fits counts, and behind the last any one reviewer for fifteen minutes. */
export const approvalRoute = z.strictObject({
  name,
  /** Each that is there has to fit. */
  when: z.strictObject({
    class: identityClass.optional(),
    /** A label of the resource. */
    label: z.string().min(1).max(100).optional(),
    /** An argument that is a whole number of at least this much. */
    amount: z.strictObject({ argument: z.string().min(1).max(200), from: z.int().min(0) }).optional(),
  }).default({}),
  /** As the identity provider calls it; null: every reviewer. */
  group: z.string().min(1).max(200).nullable().default(null),
  quorum: z.int().min(1).max(MOST_QUORUM).default(1),
  seconds: z.int().min(10).max(604_800).default(900),
  /** What is of high risk is always signed. */
  signed: z.boolean().default(false),
})
export type ApprovalRouteBody = z.input<typeof approvalRoute>
const approvalRoutes = z.object({ version: z.number(), routes: z.array(approvalRoute), set_by: z.string().nullable(), set_at: z.string().nullable(), reason: z.string().nullable() })

export const showApprovalRoutes = endpoint({ method: 'GET', path: '/v1/approval-routes', who: 'operator', summary: 'Who is asked about what', reply: approvalRoutes, problems: [] })
export const setApprovalRoutes = endpoint({
  method: 'PUT', path: '/v1/approval-routes', who: 'operator', summary: 'Say who is asked about what; requests that wait keep the route that they were made by',
  body: z.strictObject({
    routes: z.array(approvalRoute).max(100).refine((routes) => new Set(routes.map((one) => one.name)).size === routes.length, { error: 'must not hold a name twice' }),
    /** The version that this is a change of. */
    version: z.int().min(0),
    reason: freeText(500),
  }),
  reply: approvalRoutes, problems: ['invalid-fields', 'conflict', 'idempotency-key-reused'],
})
