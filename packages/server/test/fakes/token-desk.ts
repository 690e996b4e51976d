import { mintId, type IdentityId, type LeaseId } from '@writ/domain/id'
import type { IdentityClass } from '@writ/domain/profile'
import { toNumericDate } from '@writ/domain/time'
import { accessToken, type AccessTokenNeeds, type TokenStanding } from '../../src/authenticate/access-token.ts'
import type { Authenticator } from '../../src/authenticate/authenticator.ts'
import { fixedClock, type FixedClock } from './clock.ts'
import { DEPLOY_BOT, ISSUER, signToken, workload, type Members, type Workload } from './workload.ts'

export const HOLDER = 'nhi_of_the_test' as IdentityId

/** A server's own tokens: one key that signs, and one token that the store calls live. */
export type TokenDesk = {
  readonly clock: FixedClock
  readonly authenticator: Authenticator
  /** The key that the server signs with; a thief of it can sign whatever he likes. */
  readonly signer: Workload
  readonly holder: Workload
  readonly task: string
  readonly jti: LeaseId
  readonly asked: readonly string[]
  claims(changes?: Members): Members
  token(changes?: Members, header?: Members): string
}

export function tokenDesk(more: { readonly bound?: boolean; readonly standing?: TokenStanding; readonly class?: IdentityClass; readonly needs?: Partial<AccessTokenNeeds> } = {}): TokenDesk {
  const clock = fixedClock()
  const [signer, holder] = [workload(), workload()]
  const now = clock.now()
  const [task, jti] = [mintId('task', now, new Uint8Array(10).fill(1)), mintId('lease', now, new Uint8Array(10).fill(2))]
  const jkt = more.bound === false ? null : holder.registered.thumbprint
  const asked: string[] = []
  const live: TokenStanding = { kind: 'live', token: { task, jkt, audience: ISSUER }, identity: { id: HOLDER, spiffeId: DEPLOY_BOT, class: more.class ?? 'autonomous' } }
  const authenticator = accessToken({
    clock, issuer: ISSUER, notBefore: null,
    verificationKeyOf: (kid) => (kid === signer.registered.thumbprint ? signer.registered : undefined),
    async standingOf(token) {
      asked.push(token.jti)
      return token.jti === jti ? more.standing ?? live : { kind: 'not_live', why: 'unknown' }
    },
    ...more.needs,
  })
  const claims = (changes: Members = {}): Members => ({
    iss: ISSUER, sub: DEPLOY_BOT, aud: ISSUER, client_id: DEPLOY_BOT, iat: toNumericDate(clock.now()), exp: toNumericDate(clock.now()) + 300, jti, txn: task,
    authorization_details: [], ...(jkt === null ? {} : { cnf: { jkt } }), ...changes,
  })
  return {
    clock, authenticator, signer, holder, task, jti, asked, claims,
    token: (changes, header) => signToken(signer, { typ: 'at+jwt', alg: 'ES256', kid: signer.registered.thumbprint, ...header }, claims(changes)),
  }
}

