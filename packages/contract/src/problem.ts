import { z } from 'zod'

/** Every RFC 9457 problem that Writ can answer: its HTTP status, its title, and whether trying again can help. */
export const PROBLEMS = {
  'malformed-request': { status: 400, title: 'The request could not be read', retryable: false },
  'invalid-fields': { status: 400, title: 'Some fields are missing or wrong', retryable: false },
  'unauthenticated': { status: 401, title: 'Who you are could not be established', retryable: false },
  'not-allowed': { status: 403, title: 'You may not do this', retryable: false },
  'denied': { status: 403, title: 'The policies do not allow this', retryable: false },
  'not-found': { status: 404, title: 'There is no such thing, or it is not yours', retryable: false },
  'method-not-allowed': { status: 405, title: 'This address does not take that method', retryable: false },
  'too-slow': { status: 408, title: 'The request did not come in time', retryable: true },
  'conflict': { status: 409, title: 'The thing is not in a state that allows this', retryable: false },
  'not-yet': { status: 409, title: 'Not ready yet; ask again', retryable: true },
  'secret-no-longer-shown': { status: 409, title: 'The reply held a secret and can no longer be repeated; the lease is withdrawn', retryable: false },
  'already-exists': { status: 409, title: 'There is one already', retryable: false },
  'too-large': { status: 413, title: 'The request is too large', retryable: false },
  'unsupported-media-type': { status: 415, title: 'The body must be application/json', retryable: false },
  'idempotency-key-reused': { status: 422, title: 'This idempotency key came before with another request', retryable: false },
  'grant-refused': { status: 422, title: 'The grant asked for can not be given', retryable: false },
  'policy-refused': { status: 422, title: 'The policies can not be applied', retryable: false },
  'backend-refused': { status: 422, title: 'The back end is not fit to be governed as it is', retryable: false },
  'too-many-requests': { status: 429, title: 'Too many of these for now', retryable: true },
  'internal': { status: 500, title: 'Writ failed; the record has the details', retryable: false },
  'backend-unavailable': { status: 502, title: 'The back end could not be asked or did not do as told', retryable: true },
  'stopping': { status: 503, title: 'This server is stopping; nothing was done', retryable: true },
  'storage-unavailable': { status: 503, title: 'The store can not be written; nothing was done', retryable: true },
} as const satisfies Readonly<Record<string, { status: number; title: string; retryable: boolean }>>

export type ProblemType = keyof typeof PROBLEMS

/** Base of the `type` member, relative to the server that answers (RFC 9457 §3.1.1); there it can be looked up. */
export const PROBLEM_BASE = '/problems/'

/** RFC 9457 §3 with our extensions: `code` is the refusal, `errors` names every field at fault, `hint` the way out. */
export const problem = z.object({
  type: z.string(),
  title: z.string(),
  status: z.number(),
  code: z.string(),
  detail: z.string().optional(),
  hint: z.string().optional(),
  errors: z.array(z.object({ field: z.string(), message: z.string() })).optional(),
  /** Why the task is over, where that is what stands in the way. */
  end_reason: z.string().optional(),
  /** The recorded denial, which can be explained. */
  decision: z.string().optional(),
  retryable: z.boolean(),
  trace_id: z.string(),
})
export type Problem = z.infer<typeof problem>
