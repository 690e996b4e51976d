import { ok, refuse, type Outcome } from '@writ/domain/outcome'
import type { PersonCaller } from '@writ/domain/person'
import { parseSpiffeId } from '@writ/domain/spiffe-id'
import { isAccessTokenType } from './access-token.ts'
import {
  isProofEnough, type AuthenticateRefusal, type Authenticator, type Caller, type Evidence, type OneTimeUse, type Proved,
} from './authenticator.ts'
import { claimedKindOf } from './compact-jws.ts'
import type { CheckedProof, DpopCheck } from './dpop.ts'
import { isOperatorKey, type OperatorCaller, type OperatorRefusal } from './operator-key.ts'
import { isSignInSecret, type ShownSignIn, type SignInRefusal } from './sign-in.ts'

/** What a request shows at a door of ours: the `Authorization` and `DPoP` headers, and what a proof is about. */
export type Presented = {
  /** `Cookie`: the sign-in of a browser, and nothing else. */
  readonly scheme: 'Bearer' | 'DPoP' | 'Cookie'
  readonly token: string
  /** The `DPoP` header. Two of them arrive as one with a comma, which no compact token holds: they are refused (RFC 9449 §4.3). */
  readonly proof: string | undefined
  readonly method: string
  readonly path: string
  /** Nobody need be there who asks: it is no use of a sign-in. */
  readonly unattended?: boolean
}

/** What a token request shows, and as what: each has its own parameter there, and none may stand in for another. */
export type ShownAtTokenEndpoint = Omit<Presented, 'scheme'> & {
  readonly as: 'client_assertion' | 'client_svid' | 'federated' | 'access_token'
  /** The `client_id` parameter; see `Authenticator`. */
  readonly client?: string
}

export type AuthenticationNeeds = {
  operator(key: string): Promise<Outcome<OperatorCaller, OperatorRefusal>>
  signIn(secret: string, shown: ShownSignIn): Promise<Outcome<PersonCaller, SignInRefusal>>
  readonly privateKeyJwt: Authenticator
  readonly federated?: Authenticator
  readonly accessToken?: Authenticator
  readonly dpop: DpopCheck
  /** Throws when no more uses can be remembered. */
  roomFor(more: number): Promise<void>
  /** Uses all of them up, or none; answers which of them had been used before. */
  useOnce(uses: readonly OneTimeUse[]): Promise<OneTimeUse['of'] | undefined>
}

export type ProvedAtDoor = { readonly caller: Caller | OperatorCaller | PersonCaller; readonly uses: readonly OneTimeUse[] }

export type DoorRefusal = AuthenticateRefusal | OperatorRefusal | SignInRefusal

export type Authentication = {
  /** Who asks. What works once is used up. */
  atDoor(presented: Presented): Promise<Outcome<Caller | OperatorCaller | PersonCaller, DoorRefusal>>
  /** The same, but that what works once is still to be used up, in the transaction of what is asked: see `takeUses`. */
  atDoorUnused(presented: Presented): Promise<Outcome<ProvedAtDoor, DoorRefusal>>
  /**
   * Who comes to a resource that has a name of its own, with an access token for just that: no other evidence is any there. What works once
   * is still to be used up.
   */
  readonly atResource: (presented: Presented, audience: string) => Promise<Outcome<Proved, AuthenticateRefusal>>
  /**
   * Who asks for a token, and the key to bind it to (null when no proof came). What works once is still to be used up, in the transaction
   * that issues the token: see `takeUses`.
   */
  atTokenEndpoint(shown: ShownAtTokenEndpoint): Promise<Outcome<Proved & { readonly jkt: string | null }, AuthenticateRefusal>>
}

/** The one place where evidence meets whoever understands it. No answer is remembered: a token is read anew each time that it is shown. */
export function authentication(needs: AuthenticationNeeds): Authentication {
  return {
    async atDoor(presented) {
      const proved = await proveAtDoor(needs, presented)
      if (!proved.ok) return proved
      const { caller, uses } = proved.value
      if (uses.length === 0) return ok(caller)
      const seen = await needs.useOnce(uses)
      return seen === undefined ? ok(caller) : refuse(shownBefore(seen))
    },

    atDoorUnused: (presented) => proveAtDoor(needs, presented),

    async atResource(presented, audience) {
      const { scheme, token, proof } = presented
      if ((scheme === 'DPoP') !== (proof !== undefined)) return refuse({ kind: 'scheme_and_proof_differ' })
      const checked = checkProof(needs.dpop, presented, 'must')
      if (!checked.ok) return checked
      if (needs.accessToken === undefined) return refuse({ kind: 'typ_not_allowed' })
      const proved = await prove(needs.accessToken, { token, audience }, checked.value)
      if (proved.ok && proved.value.uses.length > 0) await needs.roomFor(proved.value.uses.length)
      return proved
    },

    async atTokenEndpoint(shown) {
      const checked = checkProof(needs.dpop, shown, 'may')
      if (!checked.ok) return checked
      const [by, wanted] = asWanted(needs, shown.as)
      // A parameter takes its own kind of evidence, whatever else would be welcome elsewhere.
      if (by === undefined) return refuse({ kind: 'typ_not_allowed' })
      const proved = await prove(by, shown, checked.value)
      if (!proved.ok) return proved
      if (!wanted.includes(proved.value.caller.evidence.kind)) return refuse({ kind: 'typ_not_allowed' })
      await needs.roomFor(proved.value.uses.length)
      return ok({ ...proved.value, jkt: checked.value?.thumbprint ?? null })
    },
  }
}

/** Why evidence is refused that has been shown before. */
export const shownBefore = (seen: OneTimeUse['of']): AuthenticateRefusal => (seen === 'proof' ? { kind: 'bad_proof', because: 'replayed' } : { kind: 'replayed' })

async function proveAtDoor(needs: AuthenticationNeeds, presented: Presented): Promise<Outcome<ProvedAtDoor, DoorRefusal>> {
  const { scheme, token, proof } = presented
  if ((scheme === 'DPoP') !== (proof !== undefined)) return refuse({ kind: 'scheme_and_proof_differ' })
  if (scheme === 'Cookie' || isSignInSecret(token)) {
    const person = scheme === 'DPoP' ? refuse({ kind: 'scheme_and_proof_differ' } as const) : await needs.signIn(token, { kind: scheme === 'Cookie' ? 'browser' : 'cli', isUse: presented.unattended !== true })
    return person.ok ? ok({ caller: person.value, uses: [] }) : person
  }
  if (isOperatorKey(token)) {
    const operator = scheme === 'Bearer' ? await needs.operator(token) : refuse({ kind: 'scheme_and_proof_differ' } as const)
    return operator.ok ? ok({ caller: operator.value, uses: [] }) : operator
  }
  const checked = checkProof(needs.dpop, presented, 'must')
  if (!checked.ok) return checked
  const proved = await prove(chosen(needs, token), { token }, checked.value)
  if (proved.ok && proved.value.uses.length > 0) await needs.roomFor(proved.value.uses.length)
  return proved
}

/** Null when no proof came. */
function checkProof(
  check: DpopCheck, { proof, method, path, token }: Omit<Presented, 'scheme'>, aboutToken: 'must' | 'may',
): ReturnType<DpopCheck> | Outcome<null, never> {
  return proof === undefined ? ok(null) : check({ proof, method, path, token, aboutToken })
}

async function prove(
  by: Authenticator, { token, client, audience }: { readonly token: string; readonly client?: string; readonly audience?: string }, proof: CheckedProof | null,
): Promise<Outcome<Proved, AuthenticateRefusal>> {
  const proved = await by.authenticate(token, { thumbprint: proof?.thumbprint ?? null, ...(client === undefined ? {} : { client }), ...(audience === undefined ? {} : { audience }) })
  if (!proved.ok) return proved
  const { caller, uses } = proved.value
  if (!isProofEnough(caller.class, caller.thumbprint)) return refuse({ kind: 'proof_needed' })
  return ok({ caller, uses: proof === null ? uses : [...uses, proof.use] })
}

/**
 * Chooses by what the token claims; whoever is chosen believes none of it. An access token says so in its type (RFC 9068 §2.1), a client
 * assertion is issued by its own subject, one of our names (RFC 7521 §5.2, RFC 7523 §3), and anything else is the word of some issuer.
 */
function chosen({ privateKeyJwt, federated, accessToken }: AuthenticationNeeds, token: string): Authenticator {
  const claimed = claimedKindOf(token)
  if (claimed === undefined) return privateKeyJwt
  if (isAccessTokenType(claimed.typ)) return accessToken ?? privateKeyJwt
  const isOwnName = typeof claimed.sub === 'string' && claimed.iss === claimed.sub && parseSpiffeId(claimed.sub).ok
  return isOwnName ? privateKeyJwt : federated ?? privateKeyJwt
}

function asWanted(
  { privateKeyJwt, federated, accessToken }: AuthenticationNeeds, as: ShownAtTokenEndpoint['as'],
): readonly [by: Authenticator | undefined, wanted: readonly Evidence['kind'][]] {
  switch (as) {
    case 'client_assertion': return [privateKeyJwt, ['private_key_jwt']]
    case 'client_svid': return [federated, ['jwt_svid']]
    case 'federated': return [federated, ['oidc', 'jwt_svid']]
    case 'access_token': return [accessToken, ['access_token']]
  }
}
