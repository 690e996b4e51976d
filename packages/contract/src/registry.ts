import { ROLES } from '@writ/domain/person'
import { z } from 'zod'
import { askedBinding, binding } from './bindings.ts'
import { endpoint } from './endpoint.ts'
import { environment, freeText, grantText, identityClass, instant, kind, name, owner, page, reason, spiffeId, trigger } from './words.ts'

/** CLS-1: should this have an identity at all? `delegated_token` is a real answer: nothing is registered, and the answer is recorded. */
export const admission = z.strictObject({ answer: z.enum(['identity', 'delegated_token']), reason: freeText(1000) })

/** A public key as a JWK (RFC 7517 §4); private members are refused. */
const jwk = z.record(z.string().max(32), z.union([z.string().max(2000), z.array(z.string().max(64)).max(10), z.boolean()]))

export const registration = z.strictObject({
  spiffe_id: spiffeId,
  admission,
  kind,
  class: identityClass,
  purpose: freeText(1000),
  owners: z.strictObject({ technical: owner, business: owner }),
  system_scope: z.array(name).min(1).max(50),
  environment,
  authority: z.array(grantText).min(1).max(100),
  /** How many tasks it may open in an hour, those that it is delegated not counted; that of its class unless said. */
  tasks_per_hour: z.int().min(1).max(10_000_000).optional(),
  ends_at: instant,
  trigger,
  key: jwk.optional(),
  /** Which workloads of trusted issuers may claim the identity; in a manifest, all of them. */
  bindings: z.array(askedBinding).max(20).optional(),
})
export type Registration = z.infer<typeof registration>

export const credential = z.object({ id: z.string(), thumbprint: z.string(), alg: z.string(), state: z.enum(['live', 'revoked']), registered_at: z.string() })

export const identity = z.object({
  id: z.string(),
  spiffe_id: z.string(),
  kind,
  class: identityClass,
  purpose: z.string(),
  owners: z.object({ technical: z.string(), business: z.string() }),
  system_scope: z.array(z.string()),
  environment,
  authority: z.array(z.string()),
  tasks_per_hour: z.number(),
  ends_at: z.string(),
  trigger,
  state: z.enum(['active', 'suspended', 'retired']),
  state_reason: z.string(),
  registered_at: z.string(),
  last_used_at: z.string().nullable(),
  credentials: z.array(credential),
  bindings: z.array(binding),
})
export type IdentityReply = z.infer<typeof identity>

export const registered = z.object({
  outcome: z.enum(['registered', 'declined']),
  admission: z.string(),
  identity: identity.optional(),
  /** Where the trigger's webhook listens and the secret that signs it (Standard Webhooks); shown once. */
  webhook: z.object({ path: z.string(), secret: z.string() }).optional(),
  /** What to do instead when the answer was no. */
  instead: z.string().optional(),
})
export type Registered = z.infer<typeof registered>

export const registerIdentity = endpoint({
  method: 'POST', path: '/v1/identities', who: 'operator', summary: 'Register an identity, or record that there should be none',
  body: registration, reply: registered, status: 201, problems: ['invalid-fields', 'already-exists', 'not-found', 'conflict'],
})

export const listIdentities = endpoint({
  method: 'GET', path: '/v1/identities', who: 'operator', summary: 'List identities',
  query: page.extend({ state: z.enum(['active', 'suspended', 'retired']).optional() }),
  reply: z.object({ identities: z.array(identity), next: z.string().nullable() }), problems: [],
})

/** `{id}` takes the id or the SPIFFE ID. */
export const showIdentity = endpoint({ method: 'GET', path: '/v1/identities/{id}', who: 'operator', summary: 'One identity', reply: identity, problems: ['not-found'] })

const changed = { who: 'operator', reply: identity, problems: ['not-found', 'conflict'] } as const
const stateChange = (path: string, summary: string) => endpoint({ method: 'POST', path, summary, body: reason, ...changed })
export const suspendIdentity = stateChange('/v1/identities/{id}/suspend', 'Stop an identity until it is resumed')
export const resumeIdentity = stateChange('/v1/identities/{id}/resume', 'Let a suspended identity act again')
export const retireIdentity = stateChange('/v1/identities/{id}/retire', 'Stop an identity for ever')
export const transferIdentity = endpoint({
  method: 'POST', path: '/v1/identities/{id}/transfer', summary: 'Hand an identity to other owners', ...changed,
  body: z.strictObject({ technical: owner.optional(), business: owner.optional(), reason: freeText(500) }),
})

export const addKey = endpoint({
  method: 'POST', path: '/v1/identities/{id}/keys', who: 'operator', summary: 'Register a public key; `replace` revokes the keys and bindings before in the same step',
  body: z.strictObject({ key: jwk, replace: z.boolean().default(false) }), reply: identity, status: 201, problems: ['not-found', 'conflict', 'invalid-fields', 'already-exists'],
})

export const revokeKey = endpoint({
  method: 'POST', path: '/v1/identities/{id}/keys/{key}/revoke', summary: 'Revoke one key', body: reason, ...changed,
})

export const bindIdentity = endpoint({
  method: 'POST', path: '/v1/identities/{id}/bindings', who: 'operator', summary: 'Let workloads of a trusted issuer claim the identity; `replace` revokes the keys and bindings before in the same step',
  body: askedBinding.extend({ replace: z.boolean().default(false) }), reply: identity, status: 201, problems: ['not-found', 'conflict', 'invalid-fields'],
})

export const unbindIdentity = endpoint({
  method: 'POST', path: '/v1/identities/{id}/bindings/{binding}/revoke', summary: 'Revoke one binding', body: reason, ...changed,
})

/** One identity in a manifest: a registration, where the key may come later by `writ identity key`. */
export const manifest = z.strictObject({ identities: z.array(registration).min(1).max(400) })
export type Manifest = z.infer<typeof manifest>

export const manifestChange = z.object({
  spiffe_id: z.string(),
  action: z.enum(['register', 'decline', 'change', 'none']),
  fields: z.array(z.object({ field: z.string(), from: z.string().nullable(), to: z.string() })),
  webhook: z.object({ path: z.string(), secret: z.string() }).optional(),
})

export const applyManifest = endpoint({
  method: 'POST', path: '/v1/manifest', who: 'operator', summary: 'Make the registry as the manifest says, all of it or nothing; `dry_run=true` only shows the difference',
  query: z.strictObject({ dry_run: z.enum(['true', 'false']).default('false') }),
  body: manifest, reply: z.object({ applied: z.boolean(), changes: z.array(manifestChange) }), problems: ['invalid-fields', 'conflict', 'not-found'],
})

/** Standard Webhooks 1.0: `webhook-id`, `webhook-timestamp`, `webhook-signature: v1,<base64 HMAC-SHA256 of id.timestamp.body>`. */
export const fireTrigger = endpoint({ method: 'POST', path: '/v1/triggers/{id}', who: 'webhook', summary: 'The signed word of a system that it is gone', body: z.looseObject({}), reply: z.object({ retired: z.boolean() }), status: 202, problems: ['unauthenticated'] })

export const finding = z.object({ id: z.string(), kind: z.string(), identity: z.string().nullable(), evidence: z.record(z.string(), z.unknown()), state: z.enum(['open', 'resolved']), raised_at: z.string() })
export const listFindings = endpoint({ method: 'GET', path: '/v1/findings', who: 'operator', summary: 'List findings', query: page, reply: z.object({ findings: z.array(finding), next: z.string().nullable() }), problems: [] })

export const resolveFinding = endpoint({
  method: 'POST', path: '/v1/findings/{id}/resolve', who: 'operator', summary: 'Say that what was found is no longer so; should it be seen again, it is found again',
  body: reason, reply: finding, problems: ['not-found', 'conflict'],
})

export const incident = z.object({ id: z.string(), kind: z.string(), lease: z.string().nullable(), task: z.string().nullable(), identity: z.string().nullable(), why: z.string(), state: z.enum(['open', 'resolved']), opened_at: z.string(), resolved_at: z.string().nullable() })
export const listIncidents = endpoint({ method: 'GET', path: '/v1/incidents', who: 'operator', summary: 'List incidents', query: page, reply: z.object({ incidents: z.array(incident), next: z.string().nullable() }), problems: [] })

export const redeemBootstrap = endpoint({
  method: 'POST', path: '/v1/bootstrap', who: 'anyone', summary: 'Trade the one-time bootstrap code for an operator key',
  body: z.strictObject({ code: z.string().max(200), operator: freeText(100) }), reply: z.object({ operator: z.string(), key: z.string() }), status: 201, problems: ['unauthenticated'],
})
export const whoAmI = endpoint({
  method: 'GET', path: '/v1/whoami', who: 'identity_or_operator', summary: 'Who the caller is',
  reply: z.object({
    kind: z.enum(['identity', 'operator', 'person']), id: z.string(), name: z.string(),
    /** What this installation is for, where that was said; to people and operators. */
    environment: environment.optional(),
    /** Of a person: what follows. */
    email: z.string().nullable().optional(),
    groups: z.array(z.string()).optional(),
    roles: z.array(z.enum(ROLES)).optional(),
    sign_in: z.string().optional(),
    passkeys: z.number().optional(),
    /** When a passkey last confirmed that they are there. */
    stepped_up_at: z.string().nullable().optional(),
    /** Of an identity: the most that its tasks may be granted. */
    authority: z.array(z.string()).optional(),
  }),
  problems: [],
})

export const health = endpoint({ method: 'GET', path: '/healthz', who: 'anyone', summary: 'Whether the process answers', reply: z.object({ ok: z.literal(true), version: z.string() }), problems: [] })
export const ready = endpoint({ method: 'GET', path: '/readyz', who: 'anyone', summary: 'Whether tasks can be opened', reply: z.object({ ready: z.literal(true), now: z.string() }), problems: ['storage-unavailable'] })

/** Where the `type` of a problem leads: its title, its status and whether trying again can help, as a text. */
export const explainProblem = endpoint({ method: 'GET', path: '/problems/{type}', who: 'anyone', summary: 'What a type of problem means', media: 'text/plain', reply: z.string(), problems: ['not-found'] })
