import { parseId, type IdentityId, type LeaseId, type TaskId } from '@writ/domain/id'
import { ok, refuse, type Outcome } from '@writ/domain/outcome'
import type { IdentityClass } from '@writ/domain/profile'
import type { SpiffeId } from '@writ/domain/spiffe-id'
import { plus, type EpochMs } from '@writ/domain/time'
import type { Clock } from '../platform/clock.ts'
import { isFromBeforeRestore, type Authenticator, type AuthenticateRefusal } from './authenticator.ts'
import { readCompactJws, type ClaimedJws } from './compact-jws.ts'
import { CLOCK_TOLERANCE, instantOf } from './private-key-jwt.ts'
import type { VerificationKey } from './registered-key.ts'
import { rememberedSignatureCheck } from './signature.ts'

/** What the store knows of a token, its task, its identity and the key that signed it, read in one go. */
export type TokenStanding =
  | {
    readonly kind: 'live'
    readonly token: { readonly task: TaskId; readonly jkt: string | null; readonly audience: string }
    readonly identity: { readonly id: IdentityId; readonly spiffeId: SpiffeId; readonly class: IdentityClass }
  }
  | { readonly kind: 'not_live'; readonly why: string }

export type AccessTokenNeeds = {
  readonly clock: Clock
  /** The server's issuer: who signs our tokens, and the audience of those that are for the server as a whole. */
  readonly issuer: string
  /** What was issued before is refused; see `isFromBeforeRestore`. */
  readonly notBefore: EpochMs | null
  /** A key that we sign or have signed with; undefined for one that is not ours, or that has been revoked. */
  verificationKeyOf(kid: string): VerificationKey | undefined | Promise<VerificationKey | undefined>
  standingOf(token: { readonly jti: LeaseId; readonly kid: string }, now: EpochMs): Promise<TokenStanding>
}

/** RFC 9068 §4. */
const TYPES: ReadonlySet<string | undefined> = new Set(['at+jwt', 'application/at+jwt'])

/** Whether a token says of itself that it is an access token. */
export const isAccessTokenType = (typ: unknown): boolean => typeof typ === 'string' && TYPES.has(typ)

/**
 * RFC 9068 §4 for our own access tokens. Stricter: `aud` is one text, our issuer or the name of the one resource that is asked, so that what
 * is meant for another resource opens nothing here; and a good signature is not enough: the store says whether the token is live, so that what
 * has ended is refused everywhere at once.
 */
export function accessToken(needs: AccessTokenNeeds): Authenticator {
  const isSignedBy = rememberedSignatureCheck()
  return {
    kind: 'access_token',
    async authenticate(token, { thumbprint, audience = needs.issuer }) {
      const read = readCompactJws(token, TYPES)
      if (!read.ok) return read
      const { alg, claimedKid: kid, claims } = read.value
      if (kid === undefined) return refuse({ kind: 'kid_needed' })
      const key = await needs.verificationKeyOf(kid)
      if (key === undefined || key.alg !== alg) return refuse({ kind: 'unknown_key' })
      if (!isSignedBy(key, token)) return refuse({ kind: 'bad_signature' })

      const now = needs.clock.now()
      const checked = checkClaims(claims, { issuer: needs.issuer, audience, notBefore: needs.notBefore }, now)
      if (!checked.ok) return checked
      const { jti, jkt, expiresAt, subject, holder, task } = checked.value
      // RFC 9449 §7.1, §7.2: a bound token only with a proof of its key. Any other only without: stricter, by choice.
      if (jkt !== thumbprint) return refuse({ kind: 'bound_to_another_key' })
      const standing = await needs.standingOf({ jti, kid }, now)
      if (standing.kind === 'not_live') return refuse({ kind: 'token_not_live', why: standing.why })
      const { token: stored, identity } = standing
      // What we signed and what we keep say the same, or somebody else signs with our key.
      const isSame = stored.task === task && stored.jkt === jkt && stored.audience === audience && identity.spiffeId === holder
      if (!isSame) return refuse({ kind: 'token_not_live', why: 'differs' })
      return ok({
        caller: {
          kind: 'identity', identity: identity.id, spiffeId: identity.spiffeId, class: identity.class, thumbprint, task: stored.task, lease: jti,
          evidence: { kind: 'access_token', issuer: null, subject, credential: null, binding: null, expiresAt },
        },
        uses: [],
      })
    },
  }
}

type CheckedClaims = {
  readonly jti: LeaseId
  readonly jkt: string | null
  readonly expiresAt: EpochMs
  readonly subject: string
  /** The SPIFFE ID of the identity that the token was issued to; `sub` may be the one on whose behalf it acts (RFC 8693 §4.1). */
  readonly holder: string
  readonly task: TaskId
}

function checkClaims(
  claims: ClaimedJws['claims'], { issuer, audience, notBefore }: Pick<AccessTokenNeeds, 'issuer' | 'notBefore'> & { readonly audience: string }, now: EpochMs,
): Outcome<CheckedClaims, AuthenticateRefusal> {
  if (claims.iss !== issuer) return refuse({ kind: 'wrong_issuer' })
  if (claims.aud !== audience) return refuse({ kind: 'wrong_audience' })
  const { sub: subject, client_id: holder } = claims
  if (typeof subject !== 'string') return refuse({ kind: 'malformed_claim', claim: 'sub' })
  if (typeof holder !== 'string') return refuse({ kind: 'malformed_claim', claim: 'client_id' })
  const jti = typeof claims.jti === 'string' ? parseId('lease', claims.jti) : undefined
  if (jti === undefined) return refuse({ kind: 'malformed_claim', claim: 'jti' })
  const task = typeof claims.txn === 'string' ? parseId('task', claims.txn) : undefined
  if (task === undefined) return refuse({ kind: 'malformed_claim', claim: 'txn' })
  const jkt = thumbprintIn(claims.cnf)
  if (jkt === undefined) return refuse({ kind: 'malformed_claim', claim: 'cnf' })
  const [expiresAt, issuedAt] = [instantOf(claims.exp), instantOf(claims.iat)]
  if (expiresAt === undefined) return refuse({ kind: 'malformed_claim', claim: 'exp' })
  if (issuedAt === undefined) return refuse({ kind: 'malformed_claim', claim: 'iat' })
  // No leeway at the end: it is our own clock that set it. At the start, other servers' clocks may be a little ahead.
  if (now >= expiresAt) return refuse({ kind: 'expired' })
  if (issuedAt > plus(now, CLOCK_TOLERANCE)) return refuse({ kind: 'not_yet_valid' })
  if (isFromBeforeRestore(issuedAt, notBefore)) return refuse({ kind: 'from_before_restore' })
  return ok({ jti, jkt, expiresAt, subject, holder, task })
}

/** RFC 9449 §6.1; null for a token that is bound to no key, undefined for one that is bound in a way that we bind none. */
function thumbprintIn(cnf: unknown): string | null | undefined {
  if (cnf === undefined) return null
  if (typeof cnf !== 'object' || cnf === null || Object.keys(cnf).length !== 1 || !('jkt' in cnf)) return undefined
  return typeof cnf.jkt === 'string' ? cnf.jkt : undefined
}
