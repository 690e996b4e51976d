import { createHash, createPublicKey } from 'node:crypto'
import { ok, refuse, type Outcome } from '@writ/domain/outcome'
import { fromBase64url } from '../platform/base64url.ts'
import { isUsableEd25519Point } from './edwards-point.ts'

/** RFC 8725 §3.1, §3.2: a closed list, and a key is used with the one algorithm that it was registered for. */
export const SIGNATURE_ALGS = ['ES256', 'Ed25519', 'PS256', 'RS256'] as const
export type SignatureAlg = (typeof SIGNATURE_ALGS)[number]

/** Exactly the members that RFC 7638 §3.2 makes the thumbprint of: nothing private, nothing that points elsewhere. */
export type PublicJwk =
  | { readonly kty: 'EC'; readonly crv: 'P-256'; readonly x: string; readonly y: string }
  | { readonly kty: 'OKP'; readonly crv: 'Ed25519'; readonly x: string }
  | { readonly kty: 'RSA'; readonly n: string; readonly e: string }

export type VerificationKey = { readonly jwk: PublicJwk; readonly thumbprint: string; readonly alg: SignatureAlg }

export type KeyRefusal =
  | { readonly kind: 'not_a_key'; readonly member?: string }
  | { readonly kind: 'secret_member'; readonly member: string }
  | { readonly kind: 'unsupported_key'; readonly member: 'kty' | 'crv' | 'alg'; readonly supported: readonly string[] }
  | { readonly kind: 'alg_of_another_key'; readonly supported: readonly string[] }
  | { readonly kind: 'not_for_signatures'; readonly member: 'use' | 'key_ops' }
  | { readonly kind: 'weak_key'; readonly why: 'modulus_too_short' | 'modulus_too_long' | 'modulus_even' | 'exponent' }
  | { readonly kind: 'not_on_curve' }

/** RFC 7518 §6.2.2, §6.3.2, §6.4.1: members that only a private or a shared key has. */
const SECRET_MEMBERS = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k'] as const

/** RFC 7518 §3.3 asks for 2048 bits at least; above 4096 a stranger could make us work for nothing. */
const LEAST_RSA_BITS = 2048
const MOST_RSA_BITS = 4096
/** 65537, what every tool makes. Small exponents have a history. */
const RSA_EXPONENT = 'AQAB'

type Members = Readonly<Record<string, unknown>>

/** The algorithm that a header's `alg` stands for; undefined when it is not on the list. RFC 9864 gives `EdDSA` its exact name. */
export function algOf(headerAlg: string): SignatureAlg | undefined {
  return headerAlg === 'EdDSA' ? 'Ed25519' : SIGNATURE_ALGS.find((alg) => alg === headerAlg)
}

/** Reads an RFC 7517 public key as somebody registers it, and keeps of it only what verifies. */
export function parseRegisteredKey(claimed: unknown): Outcome<VerificationKey, KeyRefusal> {
  if (typeof claimed !== 'object' || claimed === null || Array.isArray(claimed)) return refuse({ kind: 'not_a_key' })
  const members = claimed as Members
  const secret = SECRET_MEMBERS.find((member) => Object.hasOwn(members, member))
  if (secret !== undefined) return refuse({ kind: 'secret_member', member: secret })
  if (members.use !== undefined && members.use !== 'sig') return refuse({ kind: 'not_for_signatures', member: 'use' })
  if (!mayVerify(members.key_ops)) return refuse({ kind: 'not_for_signatures', member: 'key_ops' })

  const jwk = publicKeyOf(members)
  if (!jwk.ok) return jwk
  const alg = algFor(jwk.value, members.alg)
  return alg.ok ? ok({ jwk: jwk.value, thumbprint: thumbprintOf(jwk.value), alg: alg.value }) : alg
}

/** RFC 7638 §3: SHA-256 over the required members, in lexicographic order and without blanks. */
export function thumbprintOf(jwk: PublicJwk): string {
  const text = JSON.stringify(Object.fromEntries(Object.entries(jwk).toSorted(([a], [b]) => (a < b ? -1 : 1))))
  return createHash('sha256').update(text).digest('base64url')
}

const mayVerify = (operations: unknown): boolean =>
  operations === undefined || (Array.isArray(operations) && operations.length === 1 && operations[0] === 'verify')

function publicKeyOf(members: Members): Outcome<PublicJwk, KeyRefusal> {
  switch (members.kty) {
    case 'EC': return ecKeyOf(members)
    case 'OKP': return okpKeyOf(members)
    case 'RSA': return rsaKeyOf(members)
    default: return refuse({ kind: 'unsupported_key', member: 'kty', supported: ['EC', 'OKP', 'RSA'] })
  }
}

function ecKeyOf({ crv, x, y }: Members): Outcome<PublicJwk, KeyRefusal> {
  if (crv !== 'P-256') return refuse({ kind: 'unsupported_key', member: 'crv', supported: ['P-256'] })
  if (!hasBytes(x, 32)) return refuse({ kind: 'not_a_key', member: 'x' })
  if (!hasBytes(y, 32)) return refuse({ kind: 'not_a_key', member: 'y' })
  const jwk = { kty: 'EC', crv, x, y } as const
  return isAccepted(jwk) ? ok(jwk) : refuse({ kind: 'not_on_curve' })
}

function okpKeyOf({ crv, x }: Members): Outcome<PublicJwk, KeyRefusal> {
  if (crv !== 'Ed25519') return refuse({ kind: 'unsupported_key', member: 'crv', supported: ['Ed25519'] })
  if (!hasBytes(x, 32)) return refuse({ kind: 'not_a_key', member: 'x' })
  return isUsableEd25519Point(fromBase64url(x)!) ? ok({ kty: 'OKP', crv, x }) : refuse({ kind: 'not_on_curve' })
}

function rsaKeyOf({ n, e }: Members): Outcome<PublicJwk, KeyRefusal> {
  const modulus = typeof n === 'string' ? fromBase64url(n) : undefined
  // RFC 7518 §6.3.1.1: the fewest octets; a leading zero would give one key two thumbprints.
  if (typeof n !== 'string' || modulus === undefined || !modulus[0]) return refuse({ kind: 'not_a_key', member: 'n' })
  if (typeof e !== 'string' || !fromBase64url(e)) return refuse({ kind: 'not_a_key', member: 'e' })
  const bits = modulus.length * 8 - (Math.clz32(modulus[0]) - 24)
  if (bits < LEAST_RSA_BITS) return refuse({ kind: 'weak_key', why: 'modulus_too_short' })
  if (bits > MOST_RSA_BITS) return refuse({ kind: 'weak_key', why: 'modulus_too_long' })
  if (modulus.at(-1)! % 2 === 0) return refuse({ kind: 'weak_key', why: 'modulus_even' })
  if (e !== RSA_EXPONENT) return refuse({ kind: 'weak_key', why: 'exponent' })
  return ok({ kty: 'RSA', n, e })
}

/** RSA serves two algorithms; a key without a word on it is for RS256, which most client libraries sign with unless told otherwise. */
function algFor(jwk: PublicJwk, claimedAlg: unknown): Outcome<SignatureAlg, KeyRefusal> {
  const supported: readonly SignatureAlg[] = jwk.kty === 'EC' ? ['ES256'] : jwk.kty === 'OKP' ? ['Ed25519'] : ['RS256', 'PS256']
  if (claimedAlg === undefined) return ok(supported[0]!)
  const alg = typeof claimedAlg === 'string' ? algOf(claimedAlg) : undefined
  if (alg === undefined) return refuse({ kind: 'unsupported_key', member: 'alg', supported })
  return supported.includes(alg) ? ok(alg) : refuse({ kind: 'alg_of_another_key', supported })
}

const hasBytes = (text: unknown, count: number): text is string => typeof text === 'string' && fromBase64url(text)?.length === count

/** OpenSSL takes no point that is off its curve (RFC 8725 §3.4). */
function isAccepted(jwk: PublicJwk & { readonly kty: 'EC' }): boolean {
  try {
    createPublicKey({ key: jwk, format: 'jwk' })
    return true
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ERR_CRYPTO_INVALID_JWK') return false
    throw error
  }
}
