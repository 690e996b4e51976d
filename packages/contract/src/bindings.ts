import { MOST_CLAIMS, MOST_TEXTS } from '@writ/domain/binding'
import { z } from 'zod'

const HTTPS = /^https:\/\/[^\s#?@]+$/
/** For tests and development; the server takes it only where its own settings name that very host and port. */
const LOOPBACK = /^http:\/\/(?:localhost|127\.0\.0\.1|\[::1\]):\d{1,5}(?:\/[^\s#?@]*)?$/
const TRUST_DOMAIN = /^spiffe:\/\/[a-z0-9._-]{1,255}$/

/** Exactly what `iss` says of an OpenID provider, or `spiffe://` and the name of a trust domain. Never tidied: a slash more is another issuer. */
export const issuerUrl = z.string().min(1).max(2048).refine((text) => [HTTPS, LOOPBACK, TRUST_DOMAIN].some((form) => form.test(text)), {
  error: 'must be an https URL without query, fragment and user, or `spiffe://` and a trust domain',
})

/** What a token for Writ says in `aud`, alone. */
const audience = z.string().regex(/^[\x21-\x7e]{1,255}$/, { error: 'must be 1 to 255 visible characters without blanks' })

const text = z.string().max(2048)

/**
 * Claim -> text, list of texts, or a text that ends in `*` behind `:` or `/`. A claim that lies deeper is named by a JSON Pointer (RFC 6901 §3):
 * `/kubernetes.io/namespace`.
 */
const claims = z.record(z.string().min(1).max(200), z.union([text, z.array(text).min(1, { error: 'must not be empty' }).max(MOST_TEXTS)]))
  .refine((value) => Object.keys(value).length > 0, { error: 'must name the subject: an empty binding would let everybody in' })
  .refine((value) => Object.keys(value).length <= MOST_CLAIMS, { error: `must name at most ${MOST_CLAIMS} claims` })

/** Evidence from this issuer with these claims may claim the identity. */
export const askedBinding = z.strictObject({ issuer: z.string().min(1).max(2048), audience, claims })
export type AskedBinding = z.infer<typeof askedBinding>

export const binding = z.object({
  id: z.string(),
  issuer: z.string(),
  audience: z.string(),
  claims: z.record(z.string(), z.union([z.string(), z.array(z.string())])),
  state: z.enum(['live', 'revoked', 'issuer_removed']),
  registered_at: z.string(),
})
export type BindingReply = z.infer<typeof binding>
