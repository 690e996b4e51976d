const utf8 = new TextEncoder()

const ES256 = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const

/** Seconds since 1970, for `iat`. */
export const nowSeconds = (): number => Math.floor(Date.now() / 1000)

/** 128 bits, for a `jti` or a key of one request. */
export const randomId = (): string => base64url(crypto.getRandomValues(new Uint8Array(16)))

export function base64url(bytes: Uint8Array | ArrayBuffer): string {
  return btoa(String.fromCharCode(...new Uint8Array(bytes))).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')
}

/** A compact JWS (RFC 7515 §7.1) by a WebCrypto key; its raw ECDSA signature is what RFC 7518 §3.4 asks for. */
export async function signJwt(header: object, claims: object, key: CryptoKey, algorithm: Parameters<SubtleCrypto['sign']>[0]): Promise<string> {
  const input = [header, claims].map((part) => base64url(utf8.encode(JSON.stringify(part)))).join('.')
  return `${input}.${base64url(await crypto.subtle.sign(algorithm, key, utf8.encode(input)))}`
}

export type ProofOf = {
  readonly method: string
  /** The address as the server calls itself; query and fragment are left out (RFC 9449 §4.2). */
  readonly url: string
  readonly accessToken?: string | undefined
  readonly nonce?: string | undefined
}

/** RFC 9449: a key of this process alone, which can not be exported, and a proof for each request. */
export type ProofKey = { prove(of: ProofOf): Promise<string> }

let made: Promise<ProofKey> | undefined

/** One for the whole process: what a platform says of a workload belongs to the first key that shows it, however many `Writ`s show it. */
export const proofKeyOfProcess = (): Promise<ProofKey> => (made ??= makeProofKey())

export async function makeProofKey(): Promise<ProofKey> {
  const { privateKey, publicKey } = await crypto.subtle.generateKey(ES256, false, ['sign', 'verify'])
  const { kty, crv, x, y } = await crypto.subtle.exportKey('jwk', publicKey)
  const header = { typ: 'dpop+jwt', alg: 'ES256', jwk: { kty, crv, x, y } }
  return {
    async prove({ method, url, accessToken, nonce }) {
      const { origin, pathname } = new URL(url)
      const claims = {
        jti: randomId(), htm: method, htu: origin + pathname, iat: nowSeconds(),
        ...(accessToken === undefined ? {} : { ath: base64url(await crypto.subtle.digest('SHA-256', utf8.encode(accessToken))) }),
        ...(nonce === undefined ? {} : { nonce }),
      }
      return signJwt(header, claims, privateKey, ES256)
    },
  }
}
