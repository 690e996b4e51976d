import type { BindingId, CredentialId, IdentityId, IssuerId, LeaseId, TaskId } from '@writ/domain/id'
import type { IdentityState } from '@writ/domain/identity'
import type { Outcome } from '@writ/domain/outcome'
import { PROFILES, type IdentityClass } from '@writ/domain/profile'
import type { SpiffeId } from '@writ/domain/spiffe-id'
import type { EpochMs } from '@writ/domain/time'

/** What a caller has shown, in so far as the record wants it. */
export type Evidence = {
  readonly kind: 'private_key_jwt' | 'oidc' | 'jwt_svid' | 'access_token'
  /** Of a federated workload: whose word it is. */
  readonly issuer: IssuerId | null
  /** Who the evidence says that it is about, in the words of whoever issued it. */
  readonly subject: string
  /** The credential whose key signed it, where that is one of ours. */
  readonly credential: CredentialId | null
  /** The binding by which somebody else's evidence stands for the identity. */
  readonly binding: BindingId | null
  /** When the evidence ends. What it opened may end earlier and never depends on it again. */
  readonly expiresAt: EpochMs
}

/** The identity that evidence has proved. */
export type Caller = {
  readonly kind: 'identity'
  readonly identity: IdentityId
  readonly spiffeId: SpiffeId
  readonly class: IdentityClass
  readonly evidence: Evidence
  /** The RFC 7638 thumbprint of the key that the caller has just proved to hold: its registered key, or that of its DPoP proof. */
  readonly thumbprint: string | null
  /** Set when the caller came with an access token of ours: then it acts in that task and in no other. */
  readonly task: TaskId | null
  /** That token's `jti`. */
  readonly lease: LeaseId | null
}

/** Something that works once, by its hash. `of` tells which of the things that came together it is. */
export type OneTimeUse = { readonly of: 'evidence' | 'proof'; readonly hash: Uint8Array; readonly until: EpochMs }

/**
 * A caller, and what has to be used up before anything is done for it.
 *
 * INVARIANT: using up is the last step, so that only what everything else is right with is remembered: a stranger can fill no table. It may
 * be done in the very transaction of what the caller asks for.
 */
export type Proved = { readonly caller: Caller; readonly uses: readonly OneTimeUse[] }

/** What was wrong with a DPoP proof; RFC 9449 §4.3 has the checks, but for `replayed` (§11.1) and `before_restore`, which is ours. */
export type ProofFault =
  'malformed' | 'header' | 'typ' | 'alg' | 'key' | 'signature' | 'jti' | 'htm' | 'htu' | 'iat' | 'ath' | 'nonce' | 'before_restore' | 'replayed'

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
  | { readonly kind: 'wrong_issuer' }
  | { readonly kind: 'unknown_issuer' }
  /** No keys of the issuer could be got, or the ones at hand are too old. */
  | { readonly kind: 'issuer_unreachable'; readonly because: string }
  /** A claim that marks a token made for another use. */
  | { readonly kind: 'claim_not_allowed'; readonly claim: string }
  /** The issuer's word is good, and no binding says whose identity it may claim. */
  | { readonly kind: 'no_binding' }
  /** Bindings of several identities fit, and the caller did not say which it is. */
  | { readonly kind: 'ambiguous_binding' }
  /** A token belongs to the first key that shows it. */
  | { readonly kind: 'shown_by_another_key' }
  | { readonly kind: 'wrong_audience' }
  | { readonly kind: 'expired' }
  | { readonly kind: 'not_yet_valid' }
  /** Made before the store was restored from a backup, which does not know what has been used since. */
  | { readonly kind: 'from_before_restore' }
  | { readonly kind: 'lives_too_long'; readonly mostMs: number }
  | { readonly kind: 'identity_not_active'; readonly state: IdentityState }
  /** An access token of ours that is not live any more, or never was; `why` as the store says it. */
  | { readonly kind: 'token_not_live'; readonly why: string }
  /** The token is bound to another key than the proof's, or to one while no proof came, or to none while one came. */
  | { readonly kind: 'bound_to_another_key' }
  /** The class of the identity wants every token bound to a key, and no proof came. */
  | { readonly kind: 'proof_needed' }
  /** The scheme `DPoP` wants a proof (RFC 9449 §7.1). That a proof wants the scheme is stricter, by choice, than RFC 9449 §7.2. */
  | { readonly kind: 'scheme_and_proof_differ' }
  | { readonly kind: 'bad_proof'; readonly because: ProofFault; readonly member?: string }
  | { readonly kind: 'use_dpop_nonce'; readonly nonce: string }
  | { readonly kind: 'replayed' }
  /** Not looked at: too much evidence from there was refused. */
  | { readonly kind: 'refused_too_often' }

export type ShownWith = { readonly thumbprint: string | null; readonly client?: string; readonly audience?: string }

/**
 * The plug point of every kind of evidence: a signed assertion, an issuer's token, an SVID, our own access token. Each kind is made by a
 * function that takes what it needs, and answers evidence with the identity that it proves. It throws only when its surroundings fail.
 *
 * `thumbprint` is that of the DPoP proof which came with the token and has been checked; null when none came. `client` is whom a token request
 * says that it is, by id or SPIFFE ID: it may choose among several that the evidence would prove, and proves nothing itself. `audience` is whom
 * an access token has to be for, where that is a resource with a name of its own and not the server as a whole.
 *
 * A caller outside gets one and the same answer for every refusal; the kind is for the record.
 */
export type Authenticator = {
  readonly kind: string
  authenticate(token: string, shown: ShownWith): Promise<Outcome<Proved, AuthenticateRefusal>>
}

/** Whether an identity of this class may come like this: some classes may not come with what a thief could show as well. */
export const isProofEnough = (of: IdentityClass, thumbprint: string | null): boolean => thumbprint !== null || !PROFILES[of].senderConstrained

/**
 * A restored store does not know what was used up after its backup was taken: whatever was made before `notBefore` could be a replay. Null
 * for a store that never was restored.
 */
export const isFromBeforeRestore = (issuedAt: EpochMs, notBefore: EpochMs | null): boolean => notBefore !== null && issuedAt < notBefore
