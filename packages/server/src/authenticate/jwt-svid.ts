import { ok, refuse, type Outcome } from '@writ/domain/outcome'
import { parseSpiffeId, trustDomainOf } from '@writ/domain/spiffe-id'
import { fromBase64url } from '../platform/base64url.ts'
import type { AuthenticateRefusal } from './authenticator.ts'
import type { ClaimedJws } from './compact-jws.ts'

/** JWT-SVID §2: any other member must not be there. */
const HEADER_MEMBERS: readonly string[] = ['alg', 'kid', 'typ']

/** The name of the trust domain that an SVID with this subject belongs to, as an issuer's URL; undefined for what names no workload. */
export function trustDomainUrl(claimedSubject: unknown): string | undefined {
  const id = typeof claimedSubject === 'string' ? parseSpiffeId(claimedSubject) : undefined
  if (!id?.ok) return undefined
  const url = `spiffe://${trustDomainOf(id.value)}`
  return url === id.value ? undefined : url
}

/**
 * What a JWT-SVID has to be besides a good token: JWT-SVID §2 allows three header members, §2.1 no Ed25519, and the subject of §3.1 lies in
 * the trust domain whose keys are asked (so that one domain never vouches for another's workloads).
 */
export function checkSvid(token: string, { alg, claims }: ClaimedJws, trustDomain: string): Outcome<null, AuthenticateRefusal> {
  const stray = headerMembers(token).find((member) => !HEADER_MEMBERS.includes(member))
  if (stray !== undefined) return refuse({ kind: 'header_not_allowed', member: stray })
  if (alg === 'Ed25519') return refuse({ kind: 'alg_not_allowed' })
  return trustDomainUrl(claims.sub) === trustDomain ? ok(null) : refuse({ kind: 'malformed_claim', claim: 'sub' })
}

/** Of a token that was read already. */
function headerMembers(token: string): readonly string[] {
  const bytes = fromBase64url(token.slice(0, token.indexOf('.')))!
  return Object.keys(JSON.parse(Buffer.from(bytes).toString('utf8')) as object)
}
