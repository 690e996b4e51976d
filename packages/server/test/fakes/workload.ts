import assert from 'node:assert/strict'
import { generateKeyPairSync, randomUUID, sign, type KeyObject } from 'node:crypto'
import type { CredentialId, IdentityId } from '@writ/domain/id'
import type { IdentityState } from '@writ/domain/identity'
import { ok, refuse, type Outcome } from '@writ/domain/outcome'
import type { SpiffeId } from '@writ/domain/spiffe-id'
import { toNumericDate } from '@writ/domain/time'
import type { AuthenticateRefusal, Caller } from '../../src/authenticate/authenticator.ts'
import { privateKeyJwt, type RegisteredKey } from '../../src/authenticate/private-key-jwt.ts'
import { parseRegisteredKey, type SignatureAlg } from '../../src/authenticate/registered-key.ts'
import { fixedClock } from './clock.ts'

export const ISSUER = 'https://writ.acme.example'
export const DEPLOY_BOT = 'spiffe://acme.example/deploy-bot' as SpiffeId

export type Members = Readonly<Record<string, unknown>>

/** A workload that holds a private key and signs whatever a test asks for, honest or not. */
export type Workload = {
  readonly alg: SignatureAlg
  readonly privateKey: KeyObject
  readonly publicKey: KeyObject
  readonly registered: RegisteredKey
}

const NEW_PAIR = {
  ES256: () => generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  Ed25519: () => generateKeyPairSync('ed25519'),
  PS256: () => generateKeyPairSync('rsa', { modulusLength: 2048 }),
  RS256: () => generateKeyPairSync('rsa', { modulusLength: 2048 }),
} as const satisfies Readonly<Record<SignatureAlg, unknown>>

export function workload(alg: SignatureAlg = 'ES256', state: IdentityState = 'active'): Workload {
  const { privateKey, publicKey } = NEW_PAIR[alg]()
  const parsed = parseRegisteredKey({ ...publicKey.export({ format: 'jwk' }), alg })
  if (!parsed.ok) return assert.fail(`the key was refused: ${parsed.refusal.kind}`)
  const registered = { ...parsed.value, identity: 'nhi_of_the_test' as IdentityId, class: 'autonomous' as const, state, credential: 'crd_of_the_test' as CredentialId }
  return { alg, privateKey, publicKey, registered }
}

export const encode = (part: string | Uint8Array | object): string =>
  Buffer.from(typeof part === 'string' || part instanceof Uint8Array ? part : JSON.stringify(part)).toString('base64url')

/** Signs the bytes as the algorithm wants it: JWS has the raw form of ECDSA (RFC 7518 §3.4), RSASSA-PSS a salt of the hash's length (§3.5). */
export function signBytes({ alg, privateKey }: Pick<Workload, 'alg' | 'privateKey'>, bytes: string): Uint8Array {
  const input = Buffer.from(bytes)
  if (alg === 'Ed25519') return sign(null, input, privateKey)
  // 6 is RSA_PKCS1_PSS_PADDING.
  const how = alg === 'ES256' ? { dsaEncoding: 'ieee-p1363' as const } : alg === 'PS256' ? { padding: 6, saltLength: 32 } : {}
  return sign('sha256', input, { key: privateKey, ...how })
}

/** `header` and `payload` are objects, or text where a test has to choose every byte. */
export function signToken(by: Pick<Workload, 'alg' | 'privateKey'>, header: string | object, payload: string | object): string {
  const input = `${encode(header)}.${encode(payload)}`
  return `${input}.${encode(signBytes(by, input))}`
}

/** One server with one registered workload (or several), a memory of used `jti`s and a clock that stands. */
export function authenticatorFor(workloads: readonly Workload[]) {
  const clock = fixedClock()
  const used = new Map<string, number>()
  const asked: string[] = []
  const plain = privateKeyJwt({
    clock,
    issuer: ISSUER,
    notBefore: null,
    async keysOf(spiffeId) {
      asked.push(spiffeId)
      return spiffeId === DEPLOY_BOT ? workloads.map(({ registered }) => registered) : []
    },
  })
  /** With its last step: what works once is used up. */
  const authenticator = {
    kind: plain.kind,
    async authenticate(token: string, shown: { readonly thumbprint: string | null } = { thumbprint: null }): Promise<Outcome<Caller, AuthenticateRefusal>> {
      const proved = await plain.authenticate(token, shown)
      if (!proved.ok) return proved
      for (const use of proved.value.uses) {
        const hash = Buffer.from(use.hash).toString('hex')
        if (used.has(hash)) return refuse({ kind: 'replayed' })
        used.set(hash, use.until)
      }
      return ok(proved.value.caller)
    },
  }
  /** What an honest client says now; a test takes away from it or adds to it. */
  const claims = (changes: Members = {}): Members => {
    const now = toNumericDate(clock.now())
    return { iss: DEPLOY_BOT, sub: DEPLOY_BOT, aud: ISSUER, jti: randomUUID(), iat: now, exp: now + 60, ...changes }
  }
  return { clock, used, asked, authenticator, claims }
}
