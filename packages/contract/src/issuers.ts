import { ISSUER_KINDS } from '@writ/domain/binding'
import { z } from 'zod'
import { issuerUrl } from './bindings.ts'
import { endpoint } from './endpoint.ts'
import { freeText, reason } from './words.ts'

/** RFC 7517 §5, as its issuer publishes it. */
const keySet = z.looseObject({ keys: z.array(z.record(z.string(), z.unknown())).min(1).max(100) })

/** Where an issuer's keys come from: an OpenID provider is asked by discovery (OpenID Connect Discovery 1.0 §4) unless one of these says otherwise. */
const source = {
  /** Of an OpenID provider: where its keys lie, without discovery. */
  jwks_uri: z.string().max(2048).optional(),
  /** Of an OpenID provider: its keys themselves. Nothing is ever fetched. */
  jwks: keySet.optional(),
  /** Of a SPIFFE trust domain: its bundle itself. */
  bundle: keySet.optional(),
  /** Of a SPIFFE trust domain: where its bundle is published with a certificate that everybody, or `ca`, vouches for. */
  bundle_url: z.string().max(2048).optional(),
  /** Certification authorities in PEM, in place of those that everybody trusts: for the API server of a Kubernetes cluster. */
  ca: z.string().max(100_000).optional(),
}

const OF_A_PROVIDER = ['jwks', 'jwks_uri'] as const
const OF_A_DOMAIN = ['bundle', 'bundle_url'] as const

const kind = z.enum(ISSUER_KINDS).default('oidc')

export const trustIssuerBody = z.strictObject({ url: issuerUrl, kind, ...source }).superRefine((body, context) => {
  const wrong = (path: string, message: string): void => { context.addIssue({ code: 'custom', path: [path], message }) }
  const [own, other] = body.kind === 'spiffe' ? [OF_A_DOMAIN, OF_A_PROVIDER] : [OF_A_PROVIDER, OF_A_DOMAIN]
  if ((body.kind === 'spiffe') !== body.url.startsWith('spiffe://')) {
    const domain = 'must be `spiffe://` and the name of the trust domain'
    wrong('url', body.kind === 'spiffe' ? domain : 'must be the URL of an OpenID provider; for a trust domain say kind `spiffe`')
  }
  for (const field of other) if (body[field] !== undefined) wrong(field, `is nothing that an issuer of kind \`${body.kind}\` has`)
  if (own.every((field) => body[field] !== undefined)) wrong(own[0], `\`${own[0]}\` and \`${own[1]}\` exclude each other`)
  if (body.kind === 'spiffe' && own.every((field) => body[field] === undefined)) wrong('bundle', 'is missing: give `bundle` or `bundle_url`')
})
export type TrustIssuerBody = z.input<typeof trustIssuerBody>

export const issuer = z.object({
  id: z.string(),
  url: z.string(),
  kind: z.enum(ISSUER_KINDS),
  keys: z.object({
    source: z.enum(['discovery', 'url', 'inline']),
    url: z.string().nullable(),
    /** Those that the operator gave; what is fetched is not listed. */
    inline: z.array(z.object({ kid: z.string().nullable(), alg: z.string(), thumbprint: z.string() })),
  }),
  /** Whether certification authorities of its own vouch for it. */
  own_ca: z.boolean(),
  /** How many live bindings name it. */
  bindings: z.number(),
  state: z.enum(['trusted', 'removed']),
  trusted_at: z.string(),
  changed_at: z.string().nullable(),
})
export type IssuerReply = z.infer<typeof issuer>

/** `bindings_revoked`: of an issuer that had been removed, how many bindings from before stay revoked; null of a new one. */
export const trustedIssuer = issuer.extend({ bindings_revoked: z.number().nullable().default(null) })

export const trustIssuer = endpoint({
  method: 'POST', path: '/v1/issuers', who: 'operator', summary: 'Trust an issuer of workload tokens, or a SPIFFE trust domain; one that was removed as a new one',
  body: trustIssuerBody, reply: trustedIssuer, status: 201, problems: ['invalid-fields', 'already-exists'],
})
export const listIssuers = endpoint({
  method: 'GET', path: '/v1/issuers', who: 'operator', summary: 'List issuers', reply: z.object({ issuers: z.array(issuer) }), problems: [],
})

/** `{id}` takes the id or the URL. */
export const showIssuer = endpoint({
  method: 'GET', path: '/v1/issuers/{id}', who: 'operator', summary: 'One issuer', reply: issuer, problems: ['not-found'],
})

/** With none of the sources an OpenID provider goes back to discovery. `ca` is what is said here, or none. */
export const changeIssuer = endpoint({
  method: 'PUT', path: '/v1/issuers/{id}/keys', who: 'operator', summary: 'Say where the keys of an issuer come from, from now on',
  body: z.strictObject({ ...source, reason: freeText(500) }), reply: issuer, problems: ['invalid-fields', 'not-found', 'conflict'],
})
export const removeIssuer = endpoint({
  method: 'POST', path: '/v1/issuers/{id}/remove', who: 'operator', summary: 'Stop trusting an issuer: no token of it is taken from here on',
  body: reason, reply: issuer, problems: ['not-found', 'conflict'],
})
