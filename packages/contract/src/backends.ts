import { z } from 'zod'
import { endpoint } from './endpoint.ts'
import { name, nothing, reason } from './words.ts'

/** A PostgreSQL identifier as the catalogue holds it: at most 63 bytes, no NUL. */
const identifier = z.string().min(1).max(63).refine((text) => !text.includes('\0'), { error: 'must not hold NUL' })

export const templateGrant = z.strictObject({
  privileges: z.array(z.enum(['select', 'insert', 'update', 'delete', 'truncate', 'references', 'trigger', 'usage', 'create', 'connect', 'temporary', 'execute'])).min(1),
  on: z.enum(['schema', 'table', 'all tables in schema', 'sequence', 'all sequences in schema', 'function', 'all functions in schema', 'database']),
  names: z.array(z.string().min(1).max(200)).min(1).max(100),
})

export const template = z.strictObject({
  database: identifier,
  /** Who owns, after the lease's end, what the lease has made. */
  owner: identifier,
  member_of: z.array(identifier).max(20).default([]),
  grants: z.array(templateGrant).max(100).default([]),
  connection_limit: z.int().min(1).max(100).default(5),
})

export const backendSettings = z.strictObject({
  host: z.string().min(1).max(255),
  port: z.int().min(1).max(65535).default(5432),
  /** The database that the administrator logs in to. */
  database: identifier,
  user: identifier,
  tls: z.enum(['disable', 'require', 'verify-full']),
  /** The certification authority's certificate in PEM, with `verify-full`. */
  ca: z.string().max(100_000).optional(),
})

/** Sealed before it is stored and never shown again. */
const administratorSecret = z.string().min(1).max(1000)

export const addBackendBody = z.strictObject({
  name,
  kind: z.literal('postgres'),
  settings: backendSettings,
  /** Action of a grant -> template: `postgres:shop:ddl` is template `ddl` of back end `shop`. */
  templates: z.record(name, template).refine((value) => Object.keys(value).length > 0, { error: 'must hold at least one template' }),
  secret: administratorSecret,
  /** Whether Writ gives the administrator a new secret that nobody else has ever seen. */
  rotate: z.boolean().default(false),
})
export type AddBackendBody = z.input<typeof addBackendBody>

export const backend = z.object({
  id: z.string(),
  name,
  kind: z.literal('postgres'),
  settings: backendSettings.omit({ ca: true }),
  templates: z.record(z.string(), template),
  version: z.string(),
  state: z.enum(['active', 'removed']),
  added_at: z.string(),
  secret_rotated_at: z.string().nullable(),
})
export type BackendReply = z.infer<typeof backend>

export const backendTest = z.object({ name: z.string(), version: z.string(), cycle_ms: z.number(), steps: z.array(z.string()) })

export const addBackend = endpoint({
  method: 'POST', path: '/v1/backends', who: 'operator', summary: 'Add a back end, after the whole cycle has run on a test login',
  body: addBackendBody, reply: backend, status: 201, problems: ['invalid-fields', 'already-exists', 'backend-refused', 'backend-unavailable'],
})
export const listBackends = endpoint({ method: 'GET', path: '/v1/backends', who: 'operator', summary: 'List back ends', reply: z.object({ backends: z.array(backend) }), problems: [] })
export const testBackend = endpoint({ method: 'POST', path: '/v1/backends/{name}/test', who: 'operator', summary: 'Run the whole cycle on a test login', body: nothing, reply: backendTest, problems: ['not-found', 'backend-refused', 'backend-unavailable'] })
export const rotateBackend = endpoint({ method: 'POST', path: '/v1/backends/{name}/rotate', who: 'operator', summary: 'Give the administrator a new secret', body: nothing, reply: backend, problems: ['not-found', 'backend-unavailable'] })
export const setBackendSecret = endpoint({
  method: 'PUT', path: '/v1/backends/{name}/secret', who: 'operator', summary: 'Take the secret that the administrator has by now, after it has logged in',
  body: z.strictObject({ secret: administratorSecret }), reply: backend, problems: ['invalid-fields', 'not-found', 'conflict', 'backend-refused', 'backend-unavailable'],
})
export const removeBackend = endpoint({ method: 'POST', path: '/v1/backends/{name}/remove', who: 'operator', summary: 'Remove a back end; identities whose trigger it is are retired', body: reason, reply: backend, problems: ['not-found', 'conflict'] })

