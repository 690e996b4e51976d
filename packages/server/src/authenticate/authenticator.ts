import type { CredentialId, IdentityId } from '@writ/domain/id'
import type { IdentityState } from '@writ/domain/identity'
import type { Outcome } from '@writ/domain/outcome'
import type { SpiffeId } from '@writ/domain/spiffe-id'
import type { EpochMs } from '@writ/domain/time'

/** The identity that evidence has proved, and the evidence in so far as the record wants it. */
export type Caller = {
  readonly kind: 'identity'
  readonly identity: IdentityId
  readonly spiffeId: SpiffeId
  /** The credential whose key signed the evidence, and that key's RFC 7638 thumbprint. */
  readonly credential: CredentialId
  readonly thumbprint: string
  readonly jti: string
  /** When the evidence ends. What it opened may end earlier and never depends on it again. */
  readonly expiresAt: EpochMs
}

/** Members and claims that a refusal names; all of them are words of a standard, none is the caller's text. */
export type AuthenticateRefusal =
  | { readonly kind: 'token_too_long'; readonly most: number }
  | { readonly kind: 'malformed_token'; readonly part: 'segments' | 'header' | 'payload' }
  | { readonly kind: 'header_not_allowed'; readonly member: string }
  | { readonly kind: 'alg_not_allowed' }
  | { readonly kind: 'typ_not_allowed' }
  | { readonly kind: 'malformed_claim'; readonly claim: string }
  | { readonly kind: 'issuer_is_not_subject' }
  | { readonly kind: 'unknown_identity' }
  | { readonly kind: 'unknown_key' }
  | { readonly kind: 'kid_needed' }
  | { readonly kind: 'bad_signature' }
  | { readonly kind: 'wrong_audience' }
  | { readonly kind: 'expired' }
  | { readonly kind: 'not_yet_valid' }
  | { readonly kind: 'lives_too_long'; readonly mostMs: number }
  | { readonly kind: 'identity_not_active'; readonly state: IdentityState }
  | { readonly kind: 'replayed' }

/**
 * The plug point of every kind of evidence: a signed assertion today, an issuer's token or an SVID tomorrow. Each kind is made by a function
 * that takes what it needs, and answers evidence with the identity that it proves. It throws only when its surroundings fail.
 *
 * A caller outside gets one and the same answer for every refusal; the kind is for the record.
 */
export type Authenticator = {
  readonly kind: string
  authenticate(evidence: string): Promise<Outcome<Caller, AuthenticateRefusal>>
}
