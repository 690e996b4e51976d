import { createHash, createSecretKey, randomUUID } from 'node:crypto'
import { toNumericDate, type EpochMs } from '@writ/domain/time'
import { dpopNonces } from '../../src/authenticate/dpop-nonce.ts'
import { dpop, type DpopCheck, type DpopNeeds, type ShownProof } from '../../src/authenticate/dpop.ts'
import { fixedClock, type FixedClock } from './clock.ts'
import { ISSUER, signToken, type Members, type Workload } from './workload.ts'

export const TOKEN = 'a.b.c'
export const PATH = '/v1/tasks'

/** RFC 9449 §4.2. */
export const hashOf = (token: string): string => createHash('sha256').update(token).digest('base64url')

export const jwkOf = ({ publicKey }: Pick<Workload, 'publicKey'>): Members => ({ ...publicKey.export({ format: 'jwk' }) })

/** What an honest client says with its proof for `POST /v1/tasks` and the token of these tests. */
export const proofClaims = (now: EpochMs, changes: Members = {}): Members =>
  ({ jti: randomUUID(), htm: 'POST', htu: `${ISSUER}${PATH}`, iat: toNumericDate(now), ath: hashOf(TOKEN), ...changes })

export const signProof = (by: Workload, claims: Members | string, header: Members = {}): string =>
  signToken(by, { typ: 'dpop+jwt', alg: by.alg, jwk: jwkOf(by), ...header }, claims)

export type ProofDesk = { readonly clock: FixedClock; readonly check: DpopCheck; readonly nonces: DpopNeeds['nonces']; claims(changes?: Members): Members; shown(proof: string, more?: Partial<ShownProof>): ShownProof }

/** Checks proofs as a server does that knows the time and a key for nonces. */
export function proofDesk(more: Partial<Pick<DpopNeeds, 'nonceRequired' | 'notBefore' | 'issuer'>> = {}): ProofDesk {
  const clock = fixedClock()
  const nonces = dpopNonces([createSecretKey(Buffer.alloc(32, 7))])
  return {
    clock, nonces,
    check: dpop({ clock, issuer: ISSUER, nonces, nonceRequired: false, notBefore: null, ...more }),
    claims: (changes) => proofClaims(clock.now(), changes),
    shown: (proof, changes = {}) => ({ proof, method: 'POST', path: PATH, token: TOKEN, aboutToken: 'must', ...changes }),
  }
}
