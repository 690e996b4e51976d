import { claimsMatch } from '@writ/domain/binding'
import { ok, refuse, type Outcome } from '@writ/domain/outcome'
import { epochMs, plus, seconds, type EpochMs } from '@writ/domain/time'
import type { Clock } from '../platform/clock.ts'
import type { Store } from '../record/tx.ts'
import { findClaimable, type Claimable } from '../store/bindings.ts'
import { findEvidenceKeys } from '../store/evidence-keys.ts'
import { findTrusted, type Issuer } from '../store/issuers.ts'
import { isFromBeforeRestore, isProofEnough, type AuthenticateRefusal, type Authenticator, type Proved } from './authenticator.ts'
import { claimedKindOf, claimOfAnotherUse, readCompactJws, type ClaimedJws } from './compact-jws.ts'
import { evidenceHashes, showEvidence } from './evidence-key.ts'
import type { IssuerKeys } from './issuer-keys.ts'
import { checkSvid, trustDomainUrl } from './jwt-svid.ts'
import { CLOCK_TOLERANCE, instantOf } from './private-key-jwt.ts'
import { signatureCheck, type SignatureCheck } from './signature.ts'

export type FederatedNeeds = {
  readonly store: Pick<Store, 'read' | 'change'>
  readonly clock: Clock
  readonly keys: IssuerKeys
  /** What was made before is refused; see `isFromBeforeRestore`. */
  readonly notBefore: EpochMs | null
}

/** The longest that an issuer's token may live: a projected token of a pod lives an hour, and none that we know a day. */
export const LONGEST_EVIDENCE = seconds(86_400)
/** What a token is kept for beyond its end, so that it is never forgotten while some server still takes it. */
const KEPT_BEYOND = seconds(60)
const LONGEST_SUBJECT = 2048
const LONGEST_JTI = 1024

/** `typ` of an issuer's token. A token for another use has a type of its own, and is none of these (RFC 8725 §3.11). */
const TYPES = {
  oidc: new Set([undefined, 'JWT']),
  // JWT-SVID §2.3.
  spiffe: new Set([undefined, 'JWT', 'JOSE']),
} as const satisfies Readonly<Record<Issuer['kind'], ReadonlySet<string | undefined>>>

/**
 * The word of an issuer that the operator trusts: an OpenID Connect token, as a pipeline, a pod or a cloud function gets one, or a JWT-SVID of a
 * SPIFFE trust domain. A binding says whose identity it may claim. It belongs to the first key that shows it, and may be shown again with that.
 */
export function federated(needs: FederatedNeeds): Authenticator {
  const isSignedBy = signatureCheck()
  return {
    kind: 'federated',
    async authenticate(token, shown) {
      const issuer = await claimedIssuer(needs, token)
      if (!issuer.ok) return issuer
      const read = readCompactJws(token, TYPES[issuer.value.kind])
      if (!read.ok) return read
      const signed = await checkSignature(needs, isSignedBy, { issuer: issuer.value, token, jws: read.value })
      if (!signed.ok) return signed
      const svid = issuer.value.kind === 'spiffe' ? checkSvid(token, read.value, issuer.value.url) : checkIssuer(read.value, issuer.value.url)
      if (!svid.ok) return svid
      const claims = checkClaims(read.value.claims, issuer.value, needs)
      if (!claims.ok) return claims
      const chosen = await findIdentity(needs, issuer.value, claims.value, shown.client)
      if (!chosen.ok) return chosen
      return prove(needs, { issuer: issuer.value, token, claims: claims.value, chosen: chosen.value, thumbprint: shown.thumbprint })
    },
  }
}

/** Of the unverified claims it uses the names alone, to know whose keys to ask for. */
async function claimedIssuer({ store }: FederatedNeeds, token: string): Promise<Outcome<Issuer, AuthenticateRefusal>> {
  const claimed = claimedKindOf(token)
  if (claimed === undefined) return refuse({ kind: 'malformed_token', part: 'segments' })
  const trustDomain = trustDomainUrl(claimed.sub)
  const url = typeof claimed.iss === 'string' && claimed.iss.length <= LONGEST_SUBJECT && !claimed.iss.includes('\0') ? claimed.iss : undefined
  const trusted = await store.read((db) => findTrusted(db, [url, trustDomain].filter((one) => one !== undefined)))
  // A trust domain may also have an OpenID provider, which is trusted by itself: its tokens say so in `iss`.
  const issuer = trusted.find((one) => one.kind === 'oidc' && one.url === url)
    ?? trusted.find((one) => one.kind === 'spiffe' && one.url === trustDomain)
  return issuer === undefined ? refuse({ kind: 'unknown_issuer' }) : ok(issuer)
}

type Claimed = { readonly issuer: Issuer; readonly token: string; readonly jws: ClaimedJws }

async function checkSignature(
  { keys }: FederatedNeeds, isSignedBy: SignatureCheck, { issuer, token, jws }: Claimed,
): Promise<Outcome<null, AuthenticateRefusal>> {
  const candidates = await keys.candidates(issuer, { kid: jws.claimedKid, alg: jws.alg })
  if (!candidates.ok) return candidates
  return candidates.value.some((key) => isSignedBy(key, token)) ? ok(null) : refuse({ kind: 'bad_signature' })
}

/** R36: to the letter; a slash more is another issuer. */
const checkIssuer = ({ claims }: ClaimedJws, url: string): Outcome<null, AuthenticateRefusal> =>
  claims.iss === url ? ok(null) : refuse({ kind: 'wrong_issuer' })

type CheckedClaims = {
  readonly claims: Readonly<Record<string, unknown>>
  readonly subject: string
  readonly audience: string
  readonly jti: string | undefined
  readonly expiresAt: EpochMs
}

function checkClaims(claims: Readonly<Record<string, unknown>>, issuer: Issuer, needs: FederatedNeeds): Outcome<CheckedClaims, AuthenticateRefusal> {
  const other = claimOfAnotherUse(claims)
  if (other !== undefined) return refuse({ kind: 'claim_not_allowed', claim: other })
  const { sub: subject, jti } = claims
  if (typeof subject !== 'string' || !isPlainText(subject, LONGEST_SUBJECT)) return refuse({ kind: 'malformed_claim', claim: 'sub' })
  if (jti !== undefined && (typeof jti !== 'string' || !isPlainText(jti, LONGEST_JTI))) return refuse({ kind: 'malformed_claim', claim: 'jti' })
  const audience = audienceOf(claims.aud)
  if (audience === undefined) return refuse({ kind: 'wrong_audience' })
  const expiresAt = checkTimes(claims, issuer, needs)
  return expiresAt.ok ? ok({ claims, subject, audience, jti, expiresAt: expiresAt.value }) : expiresAt
}

const isPlainText = (text: string, most: number): boolean => text !== '' && text.length <= most && !text.includes('\0')

/**
 * One audience, alone or in a list of one (RFC 7519 §4.1.3 allows both, and pods and SVIDs have the list). A token for several is refused,
 * whoever is among them: each of them could show it here (JWT-SVID §7.2).
 */
function audienceOf(aud: unknown): string | undefined {
  const one: unknown = Array.isArray(aud) && aud.length === 1 ? aud[0] : aud
  return typeof one === 'string' && isPlainText(one, LONGEST_SUBJECT) ? one : undefined
}

/** JWT-SVID §3.3 wants an end and no beginning; OpenID Connect Core 1.0 §2 both. */
function checkTimes(
  claims: Readonly<Record<string, unknown>>, issuer: Issuer, { clock, notBefore: openSince }: FederatedNeeds,
): Outcome<EpochMs, AuthenticateRefusal> {
  const now = clock.now()
  const { exp, iat, nbf } = claims
  const expiresAt = instantOf(exp)
  const issuedAt = iat === undefined && issuer.kind === 'spiffe' ? now : instantOf(iat)
  const notBefore = nbf === undefined ? issuedAt : instantOf(nbf)
  if (expiresAt === undefined) return refuse({ kind: 'malformed_claim', claim: 'exp' })
  if (issuedAt === undefined) return refuse({ kind: 'malformed_claim', claim: 'iat' })
  if (notBefore === undefined) return refuse({ kind: 'malformed_claim', claim: 'nbf' })
  if (now >= plus(expiresAt, CLOCK_TOLERANCE)) return refuse({ kind: 'expired' })
  if (Math.max(issuedAt, notBefore) > plus(now, CLOCK_TOLERANCE)) return refuse({ kind: 'not_yet_valid' })
  // Of an SVID that does not say when it was made nothing is known but its end.
  if (isFromBeforeRestore(iat === undefined ? epochMs(0) : issuedAt, openSince)) return refuse({ kind: 'from_before_restore' })
  if (expiresAt > plus(issuedAt, LONGEST_EVIDENCE)) return refuse({ kind: 'lives_too_long', mostMs: LONGEST_EVIDENCE })
  return ok(expiresAt)
}

/** The one identity whose binding fits. The audience is that of the binding, to the letter (R31). */
async function findIdentity(
  { store }: FederatedNeeds, issuer: Issuer, { claims, audience, subject }: CheckedClaims, client: string | undefined,
): Promise<Outcome<Claimable, AuthenticateRefusal>> {
  const claimable = await store.read((db) => findClaimable(db, { issuer: issuer.id, audience, subject }))
  const isMeant = (one: Claimable): boolean => client === undefined || client === one.identity || client === one.spiffeId
  const fitting = claimable.filter((one) => isMeant(one) && claimsMatch(one.claims, claims))
  const [first] = fitting
  if (first === undefined) return refuse({ kind: 'no_binding' })
  return fitting.every((one) => one.identity === first.identity) ? ok(first) : refuse({ kind: 'ambiguous_binding' })
}

type Evidence = {
  readonly issuer: Issuer
  readonly token: string
  readonly claims: CheckedClaims
  readonly chosen: Claimable
  readonly thumbprint: string | null
}

async function prove(needs: FederatedNeeds, { issuer, token, claims, chosen, thumbprint }: Evidence): Promise<Outcome<Proved, AuthenticateRefusal>> {
  if (chosen.state !== 'active') return refuse({ kind: 'identity_not_active', state: chosen.state })
  // Before the token is bound to "no key", which would lock out the one that has the key.
  if (!isProofEnough(chosen.class, thumbprint)) return refuse({ kind: 'proof_needed' })
  if (!isConfirmed(claims.claims.cnf, thumbprint)) return refuse({ kind: 'bound_to_another_key' })
  // INVARIANT: the last step. Only a token that everything else is right with is remembered.
  if (!(await isFirstKey(needs, { issuer, token, claims, chosen, thumbprint }))) return refuse({ kind: 'shown_by_another_key' })
  const { identity, spiffeId } = chosen
  const { subject, expiresAt } = claims
  const evidence = { kind: issuer.kind === 'spiffe' ? 'jwt_svid' : 'oidc', issuer: issuer.id, subject, credential: null, binding: chosen.binding, expiresAt } as const
  return ok({ caller: { kind: 'identity', identity, spiffeId, class: chosen.class, thumbprint, task: null, lease: null, evidence }, uses: [] })
}

/** What the issuer has bound itself (RFC 9449 §6.1) is good with that key alone. Stricter, by choice, than RFC 7800 §3.1: no member is ignored. */
function isConfirmed(cnf: unknown, thumbprint: string | null): boolean {
  if (cnf === undefined) return true
  return typeof cnf === 'object' && cnf !== null && Object.keys(cnf).length === 1 && 'jkt' in cnf && thumbprint !== null && cnf.jkt === thumbprint
}

async function isFirstKey({ store, clock }: FederatedNeeds, { issuer, token, claims, chosen, thumbprint }: Evidence): Promise<boolean> {
  const hashes = evidenceHashes(issuer.id, token, claims.jti)
  const key = thumbprint ?? ''
  const known = await store.read((db) => findEvidenceKeys(db, hashes))
  if (known.length === hashes.length && known.every((one) => one === key)) return true
  const until = plus(plus(claims.expiresAt, CLOCK_TOLERANCE), KEPT_BEYOND)
  const { identity, binding } = chosen
  const shown = await store.change(showEvidence, { hashes, thumbprint: key, identity, issuer: issuer.id, binding, until, now: clock.now() })
  return shown.ok && shown.value.outcome === 'first_key'
}
