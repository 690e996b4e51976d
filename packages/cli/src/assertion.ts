import { randomBytes } from 'node:crypto'
import { calculateJwkThumbprint, importJWK, SignJWT, type JWK } from 'jose'
import { CommandFailure, EXIT } from './exit.ts'

export type Holder = { readonly spiffeId: string; readonly key: JWK }

/** How long one assertion is good for; it is used once, at once. */
const LIFETIME_SECONDS = 60

/** Two methods of RFC 7518 §3.1 and RFC 8037 §3.1, by the key's own kind. */
export function algorithmOf(key: JWK): string | undefined {
  if (key.alg !== undefined) return key.alg
  if (key.kty === 'EC') return { 'P-256': 'ES256', 'P-384': 'ES384' }[key.crv ?? '']
  if (key.kty === 'OKP' && key.crv === 'Ed25519') return 'EdDSA'
  if (key.kty === 'RSA') return 'PS256'
  return undefined
}

/**
 * A client assertion (RFC 7523 §3): the identity speaks for itself, to this server alone, once. `aud` is the server's issuer
 * identifier, which is its origin.
 */
export async function makeAssertion(holder: Holder, server: string, nowMs = Date.now()): Promise<string> {
  const alg = algorithmOf(holder.key)
  if (alg === undefined) throw new CommandFailure(EXIT.bad_configuration, `the key of \`${holder.spiffeId}\` is of a kind that can not sign assertions`, { hints: ['`writ identity key add` makes a good one'] })
  const now = Math.floor(nowMs / 1000)
  return new SignJWT({ jti: randomBytes(16).toString('hex') })
    .setProtectedHeader({ alg, typ: 'client-authentication+jwt', kid: await calculateJwkThumbprint(holder.key) })
    .setIssuer(holder.spiffeId)
    .setSubject(holder.spiffeId)
    .setAudience(server)
    .setIssuedAt(now)
    .setExpirationTime(now + LIFETIME_SECONDS)
    .sign(await importJWK(holder.key, alg))
}
