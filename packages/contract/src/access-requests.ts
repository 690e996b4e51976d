import { z } from 'zod'
import { authzenAction, authzenContext, authzenEntity } from './authzen.ts'
import { endpoint } from './endpoint.ts'

/**
 * OpenID AuthZEN Access Request and Approval Profile 1.0, a working draft: the words of the profile stand here and in the one adapter that speaks
 * them. What the draft has and is not here, such as catalogues and forms, is not offered.
 */
export const ACCESS_REQUEST_STATUSES = ['pending', 'approved', 'denied', 'expired', 'cancelled', 'failed'] as const

const instantText = z.string().max(64)

/** Whatever else the profile lets a requester say is read over. */
export const accessRequestBody = z.object({
  subject: authzenEntity.optional(),
  action: authzenAction.optional(),
  resource: authzenEntity.optional(),
  context: authzenContext.optional(),
  requested_access: z.object({ requested_until: instantText.optional() }).optional(),
  /** Of the denial: what its context held. */
  denial: z.object({ evaluation_id: z.string().max(100) }),
  /** In the requester's words, for people. */
  justification: z.string().max(2000).optional(),
})

export const accessRequest = z.object({
  task: z.object({
    id: z.string(),
    /** Any other than these is to be taken for not approved. */
    status: z.enum(ACCESS_REQUEST_STATUSES),
    status_endpoint: z.string(),
    expires_at: z.string(),
    links: z.object({ cancel: z.string(), /** Where a person answers. */ page: z.string() }),
  }),
  /** Once it is approved: how to go on. The approval grants nothing. */
  result: z.object({
    mode: z.literal('reevaluate'),
    approval: z.object({ id: z.string(), approved_at: z.string(), approved_until: z.string(), state: z.enum(['active', 'used']) }),
  }).optional(),
  reason: z.string().optional(),
  who_can_decide: z.string(),
})
export type AccessRequestReply = z.infer<typeof accessRequest>

const ASKING = { who: 'identity', authzen: true } as const

export const requestAccess = endpoint({
  ...ASKING, method: 'POST', path: '/access/v1/requests', summary: 'Ask people about a denial (AuthZEN access request profile, draft)', status: 202,
  body: accessRequestBody, reply: accessRequest, problems: ['malformed-request', 'invalid-fields', 'not-found', 'conflict', 'too-many-requests', 'too-large'],
})
export const showAccessRequest = endpoint({
  ...ASKING, method: 'GET', path: '/access/v1/requests/{id}', summary: 'How far a request is; `wait_seconds` waits for the answer (AuthZEN access request profile, draft)',
  query: z.strictObject({ wait_seconds: z.coerce.number().int().min(0).max(60).default(0) }), reply: accessRequest, problems: ['not-found'],
})
export const cancelAccessRequest = endpoint({
  ...ASKING, method: 'POST', path: '/access/v1/requests/{id}/cancel', summary: 'Take a request back (AuthZEN access request profile, draft)',
  body: z.object({}), reply: accessRequest, problems: ['not-found', 'conflict'],
})
