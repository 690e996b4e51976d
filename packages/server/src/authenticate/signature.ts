import { constants, createPublicKey, hash, verify, type KeyObject, type VerifyKeyObjectInput } from 'node:crypto'
import { fromBase64url } from '../platform/base64url.ts'
import type { SignatureAlg, VerificationKey } from './registered-key.ts'

/** How RFC 7518 §3.1 (RFC 8037 §3.1 for Ed25519) says a signature of this algorithm is checked. */
const HOW: Readonly<Record<SignatureAlg, { readonly digest: 'sha256' | null; readonly options: Omit<VerifyKeyObjectInput, 'key'> }>> = {
  // RFC 7518 §3.4: R and S side by side, not DER.
  ES256: { digest: 'sha256', options: { dsaEncoding: 'ieee-p1363' } },
  Ed25519: { digest: null, options: {} },
  // RFC 7518 §3.5: the salt is as long as the hash.
  PS256: { digest: 'sha256', options: { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 } },
  RS256: { digest: 'sha256', options: { padding: constants.RSA_PKCS1_PADDING } },
}

/** Imported keys that are kept: importing one costs a quarter of verifying with it, and each holds 4 KB. */
const MOST_KEYS = 2000

export type SignatureCheck = (key: VerificationKey, token: string) => boolean

/**
 * Whether the compact token was signed by this key, with the algorithm that the key was registered for. Keys are kept by their RFC 7638
 * thumbprint, which is all of the key; a token is never remembered here, since one token has no second spelling but may have a second signature.
 */
export function signatureCheck(): SignatureCheck {
  const imported = new Map<string, KeyObject>()
  const keyOf = ({ thumbprint, jwk }: VerificationKey): KeyObject => {
    const known = imported.get(thumbprint)
    if (known !== undefined) return known
    const key = createPublicKey({ key: { ...jwk }, format: 'jwk' })
    const [oldest] = imported.keys()
    if (imported.size >= MOST_KEYS && oldest !== undefined) imported.delete(oldest)
    imported.set(thumbprint, key)
    return key
  }
  return (key, token) => {
    const end = token.lastIndexOf('.')
    const signature = fromBase64url(token.slice(end + 1))
    if (signature === undefined) return false
    const { digest, options } = HOW[key.alg]
    return verify(digest, Buffer.from(token.slice(0, end), 'latin1'), { ...options, key: keyOf(key) }, signature)
  }
}

/** Tokens of a server that is busy: more, and the oldest is verified again. */
const MOST_VERIFIED = 10_000

/**
 * The same for tokens that are shown again and again: what was good once under this very key, is. Remembered is the hash of the whole token, its
 * signature with it: whatever differs in one bit is verified. Whether the key still counts, and the token, is not the signature's to say.
 */
export function rememberedSignatureCheck(): SignatureCheck {
  const isSignedBy = signatureCheck()
  const good = new Set<string>()
  return (key, token) => {
    const name = hash('sha256', `${key.alg} ${key.thumbprint} ${token}`, 'base64url')
    if (good.has(name)) return true
    if (!isSignedBy(key, token)) return false
    const [oldest] = good
    if (good.size >= MOST_VERIFIED && oldest !== undefined) good.delete(oldest)
    good.add(name)
    return true
  }
}
