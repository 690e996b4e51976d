import { parseId, type LeaseId } from '@writ/domain/id'
import { readCompactJws } from '../authenticate/compact-jws.ts'
import { signatureCheck } from '../authenticate/signature.ts'
import type { TokenKeys } from '../keys/token-keys.ts'

/** Which token it is, and who signed it; what else it says stands in its row. */
export type KnownToken = { readonly jti: LeaseId; readonly kid: string }

/** Reads one of our own tokens, for whatever audience; undefined for anything that we have not signed. Whether it is live, the store says. */
export function tokenReader(keys: Pick<TokenKeys, 'verificationKeyOf'>): (token: string) => Promise<KnownToken | undefined> {
  const isSignedBy = signatureCheck()
  return async (token) => {
    const read = readCompactJws(token, TYPES)
    if (!read.ok || read.value.claimedKid === undefined || read.value.alg !== 'ES256') return undefined
    const { claimedKid: kid, claims } = read.value
    const key = await keys.verificationKeyOf(kid)
    if (key === undefined || !isSignedBy(key, token)) return undefined
    const jti = typeof claims.jti === 'string' ? parseId('lease', claims.jti) : undefined
    return jti && { jti, kid }
  }
}

const TYPES: ReadonlySet<string | undefined> = new Set(['at+jwt', 'application/at+jwt'])
