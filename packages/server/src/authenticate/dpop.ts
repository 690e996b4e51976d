import { createHash } from 'node:crypto'
import { ok, refuse, type Outcome } from '@writ/domain/outcome'
import { plus, seconds, type EpochMs } from '@writ/domain/time'
import type { Clock } from '../platform/clock.ts'
import { isFromBeforeRestore, type AuthenticateRefusal, type OneTimeUse, type ProofFault } from './authenticator.ts'
import { readProofJws, type ClaimedJws } from './compact-jws.ts'
import type { DpopNonces } from './dpop-nonce.ts'
import { CLOCK_TOLERANCE, instantOf } from './private-key-jwt.ts'
import { parseRegisteredKey, SIGNATURE_ALGS, type VerificationKey } from './registered-key.ts'
import { signatureCheck } from './signature.ts'
import { normalTargetUri } from './target-uri.ts'

export type DpopNeeds = {
  readonly clock: Clock
  /** The server's issuer: an origin, under which every address of ours lies, whatever the `Host` header says. */
  readonly issuer: string
  readonly nonces: DpopNonces
  /** Whether a proof without a nonce is refused. */
  readonly nonceRequired: boolean
  /** What was made before is refused; see `isFromBeforeRestore`. */
  readonly notBefore: EpochMs | null
}

/** A proof and the request that it came with. */
export type ShownProof = {
  readonly proof: string
  readonly method: string
  /** As it stands in the request line. */
  readonly path: string
  /** What came with it, and whether the proof has to be about it: at a resource it has to (RFC 9449 §7), at the token endpoint it may. */
  readonly token: string
  readonly aboutToken: 'must' | 'may'
}

/** The key that the caller holds, by its RFC 7638 thumbprint, and the proof's use, which is still to be used up. */
export type CheckedProof = { readonly thumbprint: string; readonly use: OneTimeUse }
export type DpopRefusal = Extract<AuthenticateRefusal, { readonly kind: 'bad_proof' | 'use_dpop_nonce' }>
export type DpopCheck = (shown: ShownProof) => Outcome<CheckedProof, DpopRefusal>

/** RFC 9449 §11.1, R32: how far from now a proof may have been made, to either side; that far itself is too far. */
export const PROOF_WINDOW = seconds(60)

/** What a client may sign a proof with, by the names that it may use for it. */
export const DPOP_ALGS = [...SIGNATURE_ALGS, 'EdDSA'] as const

const TYPES: ReadonlySet<string | undefined> = new Set(['dpop+jwt'])
/** Keys whose reading is remembered by their spelling: to read one costs half as much as to verify with it. */
const MOST_KEYS = 2000

const SHORTEST_JTI = 8
const LONGEST_JTI = 256

/** The checks of RFC 9449 §4.3. Whether the token is bound to the key, its reader sees; whether the proof is a repeat (§11.1), who uses it up. */
export function dpop(needs: DpopNeeds): DpopCheck {
  // Its own memory of keys: strangers bring as many as they like, and must not drive out those of identities.
  const isSignedBy = signatureCheck()
  const known = new Map<string, VerificationKey>()
  return ({ proof, ...request }) => {
    const read = readProofJws(proof, TYPES)
    if (!read.ok) return readFault(read.refusal)
    const spelling = JSON.stringify([read.value.alg, read.value.claimedJwk])
    const key = known.get(spelling) ?? keyOf(read.value)
    if (key === undefined) return fault('key', 'jwk')
    if (!isSignedBy(key, proof)) return fault('signature')
    const [oldest] = known.keys()
    if (known.size >= MOST_KEYS && oldest !== undefined) known.delete(oldest)
    known.set(spelling, key)
    const now = needs.clock.now()
    const { claims } = read.value
    const jti = checkClaims(claims, { ...request, issuer: needs.issuer, notBefore: needs.notBefore, now })
    if (!jti.ok) return jti
    const { nonce } = claims
    const isRecent = typeof nonce === 'string' && needs.nonces.isRecent(nonce, now)
    if (needs.nonceRequired && !isRecent) return refuse({ kind: 'use_dpop_nonce', nonce: needs.nonces.current(now) })
    // RFC 9449 §11.3: whoever is given a nonce may not leave it out again. Where none is needed none is given, also not for a wrong one.
    if (nonce !== undefined && !isRecent) return refuse({ kind: 'bad_proof', because: 'nonce' })
    const until = plus(plus(instantOf(claims.iat)!, PROOF_WINDOW), CLOCK_TOLERANCE)
    return ok({ thumbprint: key.thumbprint, use: { of: 'proof', hash: useHash(key.thumbprint, jti.value), until } })
  }
}

/** RFC 9449 §4.2 `ath`. */
export const accessTokenHash = (token: string): string => createHash('sha256').update(token, 'ascii').digest('base64url')

/** A key is for the one algorithm that the header names, and for no other than its own `alg`, where it says one. */
function keyOf({ alg, claimedJwk }: ClaimedJws): VerificationKey | undefined {
  if (typeof claimedJwk !== 'object' || claimedJwk === null || Array.isArray(claimedJwk)) return undefined
  const parsed = parseRegisteredKey({ alg, ...claimedJwk })
  return parsed.ok && parsed.value.alg === alg ? parsed.value : undefined
}

type About = Omit<ShownProof, 'proof'> & { readonly issuer: string; readonly notBefore: EpochMs | null; readonly now: EpochMs }

/** Answers the `jti`. */
function checkClaims(claims: ClaimedJws['claims'], { method, path, token, aboutToken, issuer, notBefore, now }: About): Outcome<string, DpopRefusal> {
  const { jti, htm, htu, ath } = claims
  if (typeof jti !== 'string' || jti.length < SHORTEST_JTI || jti.length > LONGEST_JTI) return fault('jti')
  if (htm !== method) return fault('htm')
  const target = path.startsWith('/') ? normalTargetUri(`${issuer}${path}`) : undefined
  if (target === undefined || typeof htu !== 'string' || normalTargetUri(htu) !== target) return fault('htu')
  const madeAt = instantOf(claims.iat)
  if (madeAt === undefined || Math.abs(now - madeAt) >= PROOF_WINDOW) return fault('iat')
  if (isFromBeforeRestore(madeAt, notBefore)) return fault('before_restore')
  if ((ath !== undefined || aboutToken === 'must') && ath !== accessTokenHash(token)) return fault('ath')
  return ok(jti)
}

function readFault(refusal: AuthenticateRefusal): Outcome<never, DpopRefusal> {
  if (refusal.kind === 'header_not_allowed') return fault('header', refusal.member)
  return fault(refusal.kind === 'alg_not_allowed' ? 'alg' : refusal.kind === 'typ_not_allowed' ? 'typ' : 'malformed')
}

const fault = (because: ProofFault, member?: string): Outcome<never, DpopRefusal> =>
  refuse({ kind: 'bad_proof', because, ...(member === undefined ? {} : { member }) })

/** RFC 9449 §4.2: `jti` is unique in a context, here its maker's key. No thumbprint has a line break or is a SPIFFE ID: no two uses are one text. */
const useHash = (thumbprint: string, jti: string): Uint8Array => new Uint8Array(createHash('sha256').update(`dpop\n${thumbprint}\n${jti}`).digest())
