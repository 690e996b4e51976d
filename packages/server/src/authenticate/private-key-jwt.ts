import { createHash } from 'node:crypto'
import type { CredentialId, IdentityId } from '@writ/domain/id'
import type { IdentityState } from '@writ/domain/identity'
import { ok, refuse, type Outcome } from '@writ/domain/outcome'
import type { IdentityClass } from '@writ/domain/profile'
import { parseSpiffeId, type SpiffeId } from '@writ/domain/spiffe-id'
import { epochMs, plus, seconds, type EpochMs } from '@writ/domain/time'
import type { Clock } from '../platform/clock.ts'
import { isFromBeforeRestore, type AuthenticateRefusal, type Authenticator } from './authenticator.ts'
import { claimOfAnotherUse, readCompactJws, type ClaimedJws } from './compact-jws.ts'
import type { VerificationKey } from './registered-key.ts'
import { signatureCheck, type SignatureCheck } from './signature.ts'

/** A key that an identity may sign with: registered, and not revoked since. */
export type RegisteredKey = VerificationKey & {
  readonly identity: IdentityId
  readonly class: IdentityClass
  readonly state: IdentityState
  readonly credential: CredentialId
}

export type PrivateKeyJwtNeeds = {
  readonly clock: Clock
  /** The server's issuer, exactly as clients are told it. */
  readonly issuer: string
  /** What was made before is refused; see `isFromBeforeRestore`. */
  readonly notBefore: EpochMs | null
  /** The keys that are not revoked; none for a name that nobody has. */
  keysOf(spiffeId: SpiffeId): Promise<readonly RegisteredKey[]>
}

/** R33: how far a client's clock may be off. Ten seconds pass, a minute does not. */
export const CLOCK_TOLERANCE = seconds(10)

/** The longest that an assertion may live. It also bounds how long a `jti` is remembered. */
export const LONGEST_ASSERTION = seconds(300)

/** More keys than this are not tried one by one: the client names its key in `kid`. */
export const MOST_KEYS_TRIED = 4

const SHORTEST_JTI = 8
const LONGEST_JTI = 256

/** No `typ`, the `JWT` of RFC 7519 §5.1, or the name that draft-ietf-oauth-rfc7523bis gives to this use. A token for another use has its own. */
const TYPES: ReadonlySet<string | undefined> = new Set([undefined, 'JWT', 'client-authentication+jwt'])

/**
 * RFC 7523 §3 client assertions, `private_key_jwt` in OpenID Connect Core 1.0 §9: the workload signs with the key that was registered for
 * its identity. Stricter than both: the audience is one string, the issuer of this server, so that an assertion made for another server is
 * worth nothing here; and `jti` is required and works once. That makes it a proof of possession by itself; one that came with it is the
 * workload's word on which key its token should be bound to.
 */
export function privateKeyJwt(needs: PrivateKeyJwtNeeds): Authenticator {
  const isSignedBy = signatureCheck()
  return {
    kind: 'private_key_jwt',
    async authenticate(token, shown) {
      const read = readCompactJws(token, TYPES)
      if (!read.ok) return read
      const signed = await findSigner(needs, isSignedBy, token, read.value)
      if (!signed.ok) return signed
      const { signer, spiffeId } = signed.value

      const checked = checkClaims(read.value.claims, needs, needs.clock.now())
      if (!checked.ok) return checked
      const { jti, expiresAt } = checked.value
      if (signer.state !== 'active') return refuse({ kind: 'identity_not_active', state: signer.state })

      const { identity, credential } = signer
      return ok({
        caller: {
          kind: 'identity', identity, spiffeId, class: signer.class, task: null, lease: null, thumbprint: shown.thumbprint ?? signer.thumbprint,
          evidence: { kind: 'private_key_jwt', issuer: null, subject: spiffeId, credential, binding: null, expiresAt },
        },
        uses: [{ of: 'evidence', hash: hashOf(spiffeId, jti), until: plus(expiresAt, CLOCK_TOLERANCE) }],
      })
    },
  }
}

/** The registered key that made the signature. Of the unverified claims it uses the name alone, to know whose keys to try. */
async function findSigner(
  needs: Pick<PrivateKeyJwtNeeds, 'keysOf'>,
  isSignedBy: SignatureCheck,
  token: string,
  { alg, claimedKid, claims }: ClaimedJws,
): Promise<Outcome<{ readonly signer: RegisteredKey; readonly spiffeId: SpiffeId }, AuthenticateRefusal>> {
  const { iss: claimedIssuer, sub: claimedSubject } = claims
  if (typeof claimedIssuer !== 'string') return refuse({ kind: 'malformed_claim', claim: 'iss' })
  if (typeof claimedSubject !== 'string') return refuse({ kind: 'malformed_claim', claim: 'sub' })
  if (claimedIssuer !== claimedSubject) return refuse({ kind: 'issuer_is_not_subject' })
  const claimed = parseSpiffeId(claimedSubject)
  if (!claimed.ok) return refuse({ kind: 'malformed_claim', claim: 'sub' })

  const keys = await needs.keysOf(claimed.value)
  if (keys.length === 0) return refuse({ kind: 'unknown_identity' })
  const candidates = keys.filter((key) => key.alg === alg && (claimedKid === undefined || key.thumbprint === claimedKid))
  if (candidates.length === 0) return refuse({ kind: 'unknown_key' })
  if (candidates.length > MOST_KEYS_TRIED) return refuse({ kind: 'kid_needed' })
  for (const signer of candidates) {
    if (isSignedBy(signer, token)) return ok({ signer, spiffeId: claimed.value })
  }
  return refuse({ kind: 'bad_signature' })
}

type CheckedClaims = { readonly jti: string; readonly expiresAt: EpochMs }

function checkClaims(
  claims: ClaimedJws['claims'], { issuer, notBefore: openSince }: Pick<PrivateKeyJwtNeeds, 'issuer' | 'notBefore'>, now: EpochMs,
): Outcome<CheckedClaims, AuthenticateRefusal> {
  const other = claimOfAnotherUse(claims)
  if (other !== undefined) return refuse({ kind: 'claim_not_allowed', claim: other })
  const { aud, jti } = claims
  if (typeof jti !== 'string' || jti.length < SHORTEST_JTI || jti.length > LONGEST_JTI) return refuse({ kind: 'malformed_claim', claim: 'jti' })
  if (aud !== issuer) return refuse({ kind: 'wrong_audience' })

  const [expiresAt, issuedAt, notBefore] = [instantOf(claims.exp), instantOf(claims.iat), instantOf(claims.nbf ?? claims.iat)]
  if (expiresAt === undefined) return refuse({ kind: 'malformed_claim', claim: 'exp' })
  if (issuedAt === undefined) return refuse({ kind: 'malformed_claim', claim: 'iat' })
  if (notBefore === undefined) return refuse({ kind: 'malformed_claim', claim: 'nbf' })
  if (now >= plus(expiresAt, CLOCK_TOLERANCE)) return refuse({ kind: 'expired' })
  if (Math.max(issuedAt, notBefore) > plus(now, CLOCK_TOLERANCE)) return refuse({ kind: 'not_yet_valid' })
  if (expiresAt > plus(issuedAt, LONGEST_ASSERTION)) return refuse({ kind: 'lives_too_long', mostMs: LONGEST_ASSERTION })
  if (isFromBeforeRestore(issuedAt, openSince)) return refuse({ kind: 'from_before_restore' })
  return ok({ jti, expiresAt })
}

/** RFC 7519 §2 NumericDate; a fraction of a second is allowed there, and is cut to milliseconds. */
export function instantOf(claim: unknown): EpochMs | undefined {
  const at = typeof claim === 'number' ? Math.floor(claim * 1000) : Number.NaN
  return Number.isSafeInteger(at) && at >= 0 ? epochMs(at) : undefined
}

/** RFC 7519 §4.1.7 makes `jti` unique for its issuer only. No SPIFFE ID has a line break, so that no two pairs give one text. */
const hashOf = (spiffeId: SpiffeId, jti: string): Uint8Array => new Uint8Array(createHash('sha256').update(`${spiffeId}\n${jti}`).digest())
