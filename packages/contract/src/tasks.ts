import { END_REASONS } from '@writ/domain/task'
import { z } from 'zod'
import { endpoint } from './endpoint.ts'
import { authorizationDetail, freeText, name, nothing, page, reason } from './words.ts'

const WIDEST_SECONDS = 2_147_483

export const openTaskBody = z.strictObject({
  purpose: freeText(1000),
  /** The purpose as policies know it. A child has that of the task above it. */
  purpose_id: name.optional(),
  /** The change that this carries out, as the operator's change management names it. */
  change_reference: name.optional(),
  /** RFC 9396 §2. */
  authorization_details: z.array(authorizationDetail).min(1).max(100),
  /** From opening to deadline. */
  ttl_seconds: z.int().min(1).max(WIDEST_SECONDS).default(300),
  budget: z.strictObject({ calls: z.int().min(1).max(2_147_483_647) }).default({ calls: 100 }),
  /** The task ends when it makes no call for this long; the ttl unless said. */
  idle_timeout_seconds: z.int().min(1).max(WIDEST_SECONDS).optional(),
  /** The task ends when nothing is heard of its holder for this long. */
  heartbeat_seconds: z.int().min(1).max(3600).default(60),
})
export type OpenTaskBody = z.input<typeof openTaskBody>

export const lease = z.object({
  /** A login on a back end, or an access token of ours: it has an audience, and neither template nor user. */
  kind: z.enum(['login', 'access_token']),
  id: z.string(),
  task: z.string(),
  /** `writ` for an access token. */
  backend: z.string(),
  template: z.string().nullable(),
  user: z.string().nullable(),
  audience: z.string().nullable(),
  state: z.enum(['intended', 'live', 'withdrawing', 'stuck', 'ended']),
  outcome: z.enum(['proved', 'not_evaluated', 'never_issued']).nullable(),
  expires_at: z.string(),
  incident: z.string().nullable(),
})
export type LeaseReply = z.infer<typeof lease>

export const task = z.object({
  id: z.string(),
  identity: z.string(),
  spiffe_id: z.string(),
  parent: z.string().nullable(),
  /** The caller's words: evidence for people, never evaluated (decision 12). */
  purpose: z.string(),
  purpose_id: z.string().nullable(),
  change_reference: z.string().nullable(),
  authorization_details: z.array(authorizationDetail),
  /** How often the task was given more since it opened. */
  widenings: z.number(),
  state: z.enum(['open', 'ending', 'closed']),
  opened_at: z.string(),
  deadline: z.string(),
  budget: z.object({ calls: z.number(), used: z.number() }),
  idle_timeout_seconds: z.number(),
  heartbeat_seconds: z.number(),
  end_reason: z.enum(END_REASONS).nullable(),
  ended_at: z.string().nullable(),
  closed_at: z.string().nullable(),
  leases: z.array(lease),
})
export type TaskReply = z.infer<typeof task>

export const openTask = endpoint({
  method: 'POST', path: '/v1/tasks', who: 'identity', summary: 'Open a task',
  body: openTaskBody, reply: task, status: 201, problems: ['invalid-fields', 'grant-refused', 'conflict', 'idempotency-key-reused', 'too-many-requests'],
})
export const listTasks = endpoint({
  method: 'GET', path: '/v1/tasks', who: 'identity_or_operator', summary: 'List tasks, newest first',
  query: page.extend({ state: z.enum(['open', 'ending', 'closed']).optional(), /** Of an identity, by its id; one that asks sees its own alone. */ identity: z.string().max(100).optional() }),
  reply: z.object({ tasks: z.array(task), next: z.string().nullable() }), problems: [],
})
export const showTask = endpoint({ method: 'GET', path: '/v1/tasks/{id}', who: 'identity_or_operator', summary: 'One task', reply: task, problems: ['not-found'] })

/** The grant only grows, and nothing else of the task changes; to ask for what it has changes nothing. */
export const widenTask = endpoint({
  method: 'POST', path: '/v1/tasks/{id}/widen', who: 'identity', summary: 'Ask for more, within what the identity and the task above may',
  body: z.strictObject({ authorization_details: z.array(authorizationDetail).min(1).max(100), reason: freeText(500) }), reply: task,
  problems: ['not-found', 'invalid-fields', 'grant-refused', 'conflict', 'idempotency-key-reused'],
})

/** Its budget is taken from the task above it, and unless said it is a small part of one. */
export const delegateTask = endpoint({
  method: 'POST', path: '/v1/tasks/{id}/delegate', who: 'identity', summary: 'Open a task below this one for another identity, within what both may; its holder goes on with `task=<id>`',
  body: openTaskBody.extend({
    /** Its id or its SPIFFE ID. */
    identity: z.string().min(1).max(2048),
    budget: z.strictObject({ calls: z.int().min(1).max(2_147_483_647) }).default({ calls: 10 }),
  }),
  reply: task, status: 201, problems: ['not-found', 'invalid-fields', 'grant-refused', 'conflict', 'idempotency-key-reused'],
})

/** Idempotent: a task that is ending or closed answers as it stands. */
export const completeTask = endpoint({ method: 'POST', path: '/v1/tasks/{id}/complete', who: 'identity', summary: 'Say that the work is done', body: nothing, reply: task, problems: ['not-found'] })
export const endTask = endpoint({ method: 'POST', path: '/v1/tasks/{id}/end', who: 'operator', summary: 'End a task from outside', body: reason, reply: task, problems: ['not-found'] })
export const heartbeat = endpoint({
  method: 'POST', path: '/v1/tasks/{id}/heartbeat', who: 'identity', summary: 'Say that the holder is alive, and how many calls it has made since',
  body: z.strictObject({
    calls: z.int().min(0).max(1_000_000).default(0),
    /**
     * Nothing goes on because a person is asked: `here`, the holder waits for the answer, and that is not idleness; `away`, it is not heard of again
     * before the request has come to its time. Both hold as long as one of the task's requests is open, and never past the deadline.
     */
    waits: z.enum(['here', 'away']).optional(),
  }), reply: task, problems: ['not-found', 'conflict'],
})

export const issuedLease = lease.extend({
  kind: z.literal('login'),
  template: z.string(),
  user: z.string(),
  type: z.literal('postgres'),
  host: z.string(),
  port: z.number(),
  database: z.string(),
  tls: z.boolean(),
  /** Shown in this reply and, for 60 s, in its repeats. */
  secret: z.string(),
})
export type IssuedLease = z.infer<typeof issuedLease>

export const issueLease = endpoint({
  method: 'POST', path: '/v1/tasks/{id}/leases', who: 'identity', summary: 'Get a credential that lives no longer than the task; takes one call of the budget',
  body: z.strictObject({ type: name, resource: name, action: name }), reply: issuedLease, status: 201,
  problems: ['not-found', 'conflict', 'grant-refused', 'backend-unavailable', 'secret-no-longer-shown', 'idempotency-key-reused'],
})
export const revokeLease = endpoint({ method: 'POST', path: '/v1/leases/{id}/revoke', who: 'identity_or_operator', summary: 'Withdraw one lease, or refuse one access token; its task goes on', body: reason, reply: lease, problems: ['not-found'] })

/** The certificate as the ledger writes it: see `@writ/ledger/certificate`. */
export const certificate = endpoint({
  method: 'GET', path: '/v1/tasks/{id}/certificate', who: 'identity_or_operator', summary: 'The closure certificate; `wait_seconds` waits for it',
  query: z.strictObject({ wait_seconds: z.coerce.number().int().min(0).max(60).default(0) }), reply: z.looseObject({ format: z.string() }), problems: ['not-found', 'not-yet'],
})
