import { END_REASONS } from '@writ/domain/task'
import { z } from 'zod'
import { endpoint } from './endpoint.ts'
import { authorizationDetail, name, reason } from './words.ts'

/** RFC 6749 §4.4, RFC 7523 §2.1, RFC 8693 §2.1. */
export const GRANT_TYPES = [
  'client_credentials', 'urn:ietf:params:oauth:grant-type:jwt-bearer', 'urn:ietf:params:oauth:grant-type:token-exchange',
] as const

/** RFC 7523 §2.2; draft-ietf-oauth-spiffe-client-auth for SVIDs. */
export const ASSERTION_TYPES = {
  jwt: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
  svid: 'urn:ietf:params:oauth:client-assertion-type:jwt-spiffe',
} as const

/** RFC 8693 §3. */
export const TOKEN_TYPES = {
  accessToken: 'urn:ietf:params:oauth:token-type:access_token',
  idToken: 'urn:ietf:params:oauth:token-type:id_token',
  jwt: 'urn:ietf:params:oauth:token-type:jwt',
} as const

const MOST_TOKEN = 8192
const token = z.string().max(MOST_TOKEN)
const wholeNumber = z.string().regex(/^[1-9]\d{0,9}$/, { error: 'must be a whole number above zero' }).transform(Number)

/**
 * RFC 8707 §2: an absolute URI without fragment. Without query and user too: what a token is for stands in the log, and neither is a part of
 * a name.
 */
const resource = z.string().max(512).regex(/^[a-z][a-z0-9+.-]*:[^\s?#@\\"<>^`{|}\p{Cc}]+$/u, { error: 'must be an absolute URI without query and fragment' })

/** RFC 7521 §4.2: how a client proves itself. */
const client = {
  client_id: z.string().max(2048).optional(),
  client_assertion_type: z.string().max(200).optional(),
  client_assertion: token.optional(),
}

/** `task` names an open task; `authorization_details` and `purpose` open one. What is not known is ignored (RFC 6749 §3.2). */
export const tokenBody = z.object({
  ...client,
  grant_type: z.string().max(200),
  /** RFC 7523 §2.1: a federated workload's token. */
  assertion: token.optional(),
  /** RFC 8693 §2.1. */
  subject_token: token.optional(),
  subject_token_type: z.string().max(200).optional(),
  requested_token_type: z.string().max(200).optional(),
  actor_token: token.optional(),
  audience: z.string().max(2048).optional(),
  scope: z.string().max(2048).optional(),
  resource: resource.optional(),
  task: z.string().max(100).optional(),
  /** RFC 9396 §2: JSON. */
  authorization_details: z.string().max(50_000).optional(),
  purpose: z.string().trim().min(1).max(1000).optional(),
  purpose_id: name.optional(),
  change_reference: name.optional(),
  ttl_seconds: wholeNumber.optional(),
  budget_calls: wholeNumber.optional(),
  idle_timeout_seconds: wholeNumber.optional(),
  heartbeat_seconds: wholeNumber.refine((length) => length <= 3600, { error: 'must be at most 3600' }).optional(),
})
export type TokenBody = z.output<typeof tokenBody>

export const tokenReply = z.object({
  access_token: z.string(),
  /** RFC 9449 §5 where the token is bound to a key. */
  token_type: z.enum(['DPoP', 'Bearer']),
  expires_in: z.number(),
  authorization_details: z.array(authorizationDetail),
  task: z.string(),
  /** RFC 8693 §2.2.1. */
  issued_token_type: z.string().optional(),
})
export type TokenReply = z.infer<typeof tokenReply>

/** RFC 6749 §5.2, what RFC 7009 §2.2.1, RFC 8707 §2, RFC 9396 §5 and RFC 9449 §5, §8 add, and for faults of ours two words of RFC 6749 §4.1.2.1. */
export const OAUTH_ERRORS = [
  'invalid_request', 'invalid_client', 'invalid_grant', 'unauthorized_client', 'unsupported_grant_type', 'invalid_scope', 'invalid_target',
  'invalid_authorization_details', 'unsupported_token_type', 'invalid_dpop_proof', 'use_dpop_nonce', 'temporarily_unavailable', 'server_error',
] as const
export type OauthErrorCode = (typeof OAUTH_ERRORS)[number]

/** `end_reason`: why the task is over, for its holder. */
export const oauthError = z.object({ error: z.enum(OAUTH_ERRORS), error_description: z.string().optional(), end_reason: z.enum(END_REASONS).optional(), trace_id: z.string() })
export type OauthError = z.infer<typeof oauthError>

/** RFC 7662 §2.2. */
export const introspectionReply = z.looseObject({ active: z.boolean() })

const metadataReply = z.looseObject({ issuer: z.string() })
const jwksReply = z.object({ keys: z.array(z.looseObject({ kid: z.string() })) })
const form = { form: true, who: 'anyone', problems: [] } as const

export const issueToken = endpoint({ ...form, method: 'POST', path: '/oauth/token', summary: 'An access token in an open task, or in one that is opened with it (RFC 6749, 7523, 8693, 9396, 9449)', body: tokenBody, reply: tokenReply })
export const introspect = endpoint({
  ...form, method: 'POST', path: '/oauth/introspect', summary: 'Whether an access token is live at this moment (RFC 7662)',
  body: z.object({ ...client, token: z.string(), token_type_hint: z.string().max(200).optional() }), reply: introspectionReply,
})
export const revokeToken = endpoint({
  ...form, method: 'POST', path: '/oauth/revoke', summary: 'Give an access token back (RFC 7009); its task goes on',
  body: z.object({ ...client, token: z.string(), token_type_hint: z.string().max(200).optional() }), reply: z.object({}),
})
export const jwks = endpoint({ method: 'GET', path: '/oauth/jwks', who: 'anyone', summary: 'What access tokens are checked with (RFC 7517)', reply: jwksReply, problems: [] })
export const metadata = endpoint({
  method: 'GET', path: '/.well-known/oauth-authorization-server', who: 'anyone', summary: 'What this authorization server can do (RFC 8414)', reply: metadataReply, problems: [],
})

export const signingKey = z.object({
  kid: z.string(),
  alg: z.literal('ES256'),
  state: z.enum(['next', 'active', 'retired', 'revoked']),
  published_at: z.string(),
  activated_at: z.string().nullable(),
  retired_at: z.string().nullable(),
  revoked_at: z.string().nullable(),
})
export type SigningKeyReply = z.infer<typeof signingKey>
export const signingKeys = z.object({ keys: z.array(signingKey) })

export const listSigningKeys = endpoint({ method: 'GET', path: '/v1/signing-keys', who: 'operator', summary: 'The keys that sign access tokens, newest first', reply: signingKeys, problems: [] })
export const rotateSigningKeys = endpoint({
  method: 'POST', path: '/v1/signing-keys/rotate', who: 'operator', summary: 'Show the next key, which signs from five minutes later on',
  body: z.strictObject({}), reply: signingKeys, problems: [],
})
export const replaceSigningKeys = endpoint({
  method: 'POST', path: '/v1/signing-keys/replace', who: 'operator', summary: 'Revoke every key at once: whatever they signed is refused from now on, and a new one signs',
  body: reason, reply: signingKeys, problems: ['conflict'],
})
