import { createHash, createPrivateKey, generateKeyPairSync, sign, type KeyObject } from 'node:crypto'
import type { EpochMs } from '@writ/domain/time'
import { toBase64url } from '../platform/base64url.ts'
import type { Clock } from '../platform/clock.ts'
import type { Sealer } from './seal.ts'

/** RFC 7517 §4 with the members that RFC 7638 §3.2 makes the thumbprint of. */
export type TokenJwk = { readonly kty: 'EC'; readonly crv: 'P-256'; readonly x: string; readonly y: string }

/** A key as the store keeps it; `sealedPrivate` is null once it signs no more. */
export type KeptTokenKey = {
  readonly kid: string
  readonly jwk: TokenJwk
  readonly state: 'next' | 'active' | 'retired' | 'revoked'
  readonly sealedPrivate: string | null
  readonly publishedAt: EpochMs
  readonly activatedAt: EpochMs | null
  readonly retiredAt: EpochMs | null
}

export type NewTokenKey = { readonly kid: string; readonly jwk: TokenJwk; readonly sealedPrivate: string }

/** What a signature of one of ours is checked with. */
export type TokenVerificationKey = { readonly jwk: TokenJwk; readonly thumbprint: string; readonly alg: 'ES256' }

/** The longest that an access token lives. */
export const LONGEST_TOKEN_MS = 300_000

/** How long a client may keep what `/oauth/jwks` answered, in seconds. */
export const JWKS_MAX_AGE = 300

/** Each server reads the table once a second; ten are given to one that is slow. */
const SERVERS_LAG_MS = 10_000

/** R34: whoever has fetched the key set before a key was in it has fetched it again when that key signs first. */
export const PUBLISHED_BEFORE_USE_MS = JWKS_MAX_AGE * 1000 + SERVERS_LAG_MS

/** R34: published until the last token that it signed has expired, and a minute more. */
export const KEPT_AFTER_USE_MS = LONGEST_TOKEN_MS + 60_000 + SERVERS_LAG_MS

/** How soon the keys are read again for a name that nobody knows. */
const UNKNOWN_KEY_PACE_MS = 250

/** The keys of this installation's access tokens, as far as this server knows them: `refresh` reads them anew. */
export type TokenKeys = {
  /** A JWS in compact form (RFC 7515 §7.1), by the key named, or by the active one where that one signs no more. */
  readonly sign: (claims: object, kid: string) => Promise<string>
  /** Undefined for a key that is unknown or revoked. One that is not known here may be new: then the keys are read, though not for every stranger. */
  readonly verificationKeyOf: (kid: string) => Promise<TokenVerificationKey | undefined>
  /** RFC 7517 §5: what a client needs to check every token that may be good now or soon. */
  readonly jwks: () => { readonly keys: readonly object[] }
  readonly refresh: () => Promise<readonly KeptTokenKey[]>
}

export type TokenKeysNeeds = {
  readonly list: () => Promise<readonly KeptTokenKey[]>
  readonly secrets: Pick<Sealer, 'unseal'>
  readonly clock: Clock
}

const placeOf = (kid: string): string => `signing_key:${kid}:private`

/** ES256 (RFC 7518 §3.4), the one algorithm that every OAuth library knows and that signs fast. */
export function newTokenKey(secrets: Pick<Sealer, 'seal'>): NewTokenKey {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const { x, y } = publicKey.export({ format: 'jwk' }) as { readonly x: string; readonly y: string }
  const jwk: TokenJwk = { kty: 'EC', crv: 'P-256', x, y }
  const kid = createHash('sha256').update(JSON.stringify({ crv: jwk.crv, kty: jwk.kty, x, y })).digest('base64url')
  return { kid, jwk, sealedPrivate: secrets.seal(privateKey.export({ format: 'pem', type: 'pkcs8' }).toString(), placeOf(kid)) }
}

/** What is signed with one key, and the header that says so. */
type TokenSigner = { readonly header: string; readonly privateKey: KeyObject }

export function tokenKeys({ list, secrets, clock }: TokenKeysNeeds): TokenKeys {
  let kept: ReadonlyMap<string, KeptTokenKey> = new Map()
  const signers = new Map<string, TokenSigner>()
  let reading: Promise<readonly KeptTokenKey[]> | undefined
  let readAt = Number.NEGATIVE_INFINITY

  /** Private parts are unsealed once, and let go of with the row's. */
  async function read(): Promise<readonly KeptTokenKey[]> {
    const now = clock.now()
    const keys = await list()
    readAt = now
    for (const { kid, sealedPrivate } of keys) {
      if (sealedPrivate === null) signers.delete(kid)
      else if (!signers.has(kid)) signers.set(kid, signerOf(kid, secrets.unseal(sealedPrivate, placeOf(kid))))
    }
    kept = new Map(keys.map((key) => [key.kid, key]))
    return keys
  }

  const refresh = (): Promise<readonly KeptTokenKey[]> => {
    reading ??= read().finally(() => { reading = undefined })
    return reading
  }

  const activeSigner = (): TokenSigner | undefined => {
    for (const { kid, state } of kept.values()) if (state === 'active') return signers.get(kid)
    return undefined
  }

  return {
    refresh,
    async sign(claims, kid) {
      let signer = kept.get(kid)?.state === 'active' ? signers.get(kid) : undefined
      if (signer === undefined) {
        await refresh()
        signer = activeSigner()
      }
      if (signer === undefined) throw new Error('there is no active key for access tokens')
      return signWith(signer, claims)
    },
    async verificationKeyOf(kid) {
      if (!kept.has(kid) && clock.now() >= readAt + UNKNOWN_KEY_PACE_MS) await refresh()
      const key = kept.get(kid)
      return key === undefined || key.state === 'revoked' ? undefined : { jwk: key.jwk, thumbprint: kid, alg: 'ES256' }
    },
    jwks() {
      const now = clock.now()
      const published = [...kept.values()].filter(({ state, retiredAt }) =>
        state === 'next' || state === 'active' || (state === 'retired' && retiredAt !== null && now < retiredAt + KEPT_AFTER_USE_MS))
      return { keys: published.map(({ kid, jwk }) => ({ ...jwk, kid, use: 'sig', alg: 'ES256' })) }
    },
  }
}

function signerOf(kid: string, pem: string): TokenSigner {
  return { privateKey: createPrivateKey(pem), header: encode({ alg: 'ES256', typ: 'at+jwt', kid }) }
}

/** Synchronous with a cached key: the thread pool costs more than the signature does. */
function signWith({ header, privateKey }: TokenSigner, claims: object): string {
  const input = `${header}.${encode(claims)}`
  return `${input}.${toBase64url(rawOf(sign('sha256', Buffer.from(input, 'latin1'), privateKey)))}`
}

const encode = (value: object): string => Buffer.from(JSON.stringify(value), 'utf8').toString('base64url')

/** RFC 7518 §3.4: R and S side by side, 32 bytes each. What signs is fastest in DER, where each is a whole number with a sign (X.690 §8.3). */
export function rawOf(der: Uint8Array): Uint8Array {
  const raw = new Uint8Array(64)
  let at = 2
  for (const end of [32, 64]) {
    const length = der[at + 1]!
    const whole = der.subarray(at + 2, at + 2 + length)
    const digits = whole.length > 32 ? whole.subarray(whole.length - 32) : whole
    raw.set(digits, end - digits.length)
    at += 2 + length
  }
  return raw
}
