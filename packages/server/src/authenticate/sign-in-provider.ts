import * as client from 'openid-client'
import { ok, refuse, type Outcome } from '@writ/domain/outcome'
import { milliseconds, plus, seconds, type EpochMs } from '@writ/domain/time'
import type { SignInProviderSettings } from '../config/sign-in-provider.ts'
import type { Clock } from '../platform/clock.ts'
import type { OutboundStreams } from '../platform/outbound.ts'
import { clientSecretIn } from './client-secret.ts'
import { providerCalls } from './provider-calls.ts'
import { ProviderMisbehaved, refusalOf, type ProviderRefusal } from './provider-refusal.ts'
import { isIncomplete, vouchedPerson, type Claims, type VouchedPerson } from './vouched-person.ts'

/** What names one attempt to sign in, and what ties the provider's answer to it. */
export type Attempt = {
  /** Where the provider sends the browser back to: registered there, to the letter. */
  readonly redirectUri: string
  readonly state: string
  readonly nonce: string
  /** RFC 7636 §4.1. */
  readonly codeVerifier: string
}

/** The organisation's OpenID provider. Nothing is asked of it before somebody wants to sign in. */
export type SignInProvider = {
  readonly host: string
  /** As it was when somebody last asked. */
  readonly state: () => 'not_asked' | 'ready' | 'unreachable'
  /** Where the browser goes now. */
  readonly authorizationUrl: (attempt: Attempt) => Promise<Outcome<URL, ProviderRefusal>>
  /** Whom the provider vouches for. `answered`: the address at which the browser came back, whole. */
  readonly personBehind: (answered: URL, attempt: Attempt) => Promise<Outcome<VouchedPerson, ProviderRefusal>>
}

export type SignInProviderNeeds = {
  readonly settings: SignInProviderSettings
  readonly outbound: OutboundStreams
  readonly clock: Clock
  /** Told of what an administrator should know. */
  readonly onTrouble: (trouble: ProviderRefusal | { readonly kind: 'groups_left_out'; readonly count: number }) => void
}

/** What the provider says of itself changes rarely; an older word of it counts while it can not be asked. */
const METADATA_HOLDS = seconds(600)
const OLDEST_METADATA = seconds(3600)
const FIRST_PAUSE = seconds(1)
const LONGEST_PAUSE = seconds(30)
const LONGEST_CALL_MS = 5000
const CLOCK_TOLERANCE_S = 30

type Known = {
  config: client.Configuration | undefined
  learnedAt: EpochMs | null
  failed: ProviderRefusal | null
  failures: number
  mayTryAt: EpochMs | null
  /** Everybody waits for the same. */
  underWay: Promise<void> | null
}

export function signInProvider(needs: SignInProviderNeeds): SignInProvider {
  const { settings } = needs
  const known: Known = { config: undefined, learnedAt: null, failed: null, failures: 0, mayTryAt: null, underWay: null }
  const attempted = async <T>(work: (config: client.Configuration) => Promise<Outcome<T, ProviderRefusal>>): Promise<Outcome<T, ProviderRefusal>> => {
    const found = await configIn(needs, known)
    const outcome = found.ok ? await work(found.value).catch((error: unknown) => refuse(refusalOf(error))) : found
    if (!outcome.ok && outcome.refusal.kind !== 'declined') needs.onTrouble(outcome.refusal)
    return outcome
  }
  return {
    host: new URL(settings.issuer).host,
    state: () => (known.failed !== null ? 'unreachable' : known.config === undefined ? 'not_asked' : 'ready'),
    authorizationUrl: ({ redirectUri, state, nonce, codeVerifier }) => attempted(async (config) => {
      const parameters = {
        redirect_uri: redirectUri, scope: settings.scopes.join(' '), state, nonce, response_type: 'code',
        code_challenge: await client.calculatePKCECodeChallenge(codeVerifier), code_challenge_method: 'S256',
      }
      return ok(client.buildAuthorizationUrl(config, parameters))
    }),
    personBehind: (answered, { state, nonce, codeVerifier }) => attempted(async (config) => {
      // RFC 9207 §2.4, RFC 9700 §2.1.1, OpenID Connect Core 1.0 §3.1.3.7: the library compares each; the code goes to nobody but this provider.
      const tokens = await client.authorizationCodeGrant(config, answered, { expectedState: state, expectedNonce: nonce, pkceCodeVerifier: codeVerifier, idTokenExpected: true })
      const own: Claims | undefined = tokens.claims()
      if (own === undefined) return refuse({ kind: 'misbehaved', because: 'no_id_token' })
      const found = vouchedPerson(config.serverMetadata().issuer, await completed(config, { own, accessToken: tokens.access_token, settings }), settings.groupsClaim)
      if (found === undefined) return refuse({ kind: 'misbehaved', because: 'sub' })
      if (found.leftOut > 0) needs.onTrouble({ kind: 'groups_left_out', count: found.leftOut })
      return ok(found.person)
    }),
  }
}

type Half = { readonly own: Claims; readonly accessToken: string; readonly settings: SignInProviderSettings }

/** OpenID Connect Core 1.0 §5.3: what the ID token does not say. An address and whether it is verified are believed from one place, never from two. */
async function completed(config: client.Configuration, { own, accessToken, settings }: Half): Promise<Claims> {
  if (!isIncomplete(own, settings.groupsClaim) || config.serverMetadata().userinfo_endpoint === undefined) return own
  const more: Claims = await client.fetchUserInfo(config, accessToken, String(own['sub']))
  const { email, email_verified: isVerified } = own['email'] === undefined ? more : own
  return { ...more, ...own, email, email_verified: isVerified }
}

/** What the provider says of itself, asked for again when that is old; while it is away, no more often than it makes sense. */
async function configIn(needs: SignInProviderNeeds, known: Known): Promise<Outcome<client.Configuration, ProviderRefusal>> {
  const now = needs.clock.now()
  const isFresh = known.learnedAt !== null && now < plus(known.learnedAt, METADATA_HOLDS)
  if (!isFresh && (known.underWay !== null || known.mayTryAt === null || now >= known.mayTryAt)) await discover(needs, known)
  const isUsable = known.learnedAt !== null && now < plus(known.learnedAt, OLDEST_METADATA)
  return known.config !== undefined && isUsable ? ok(known.config) : refuse(known.failed ?? { kind: 'unreachable', because: 'not_asked' })
}

/** One at a time; what it learns, or why it learned nothing, stays in `known`. */
function discover(needs: SignInProviderNeeds, known: Known): Promise<void> {
  const { clock } = needs
  known.underWay ??= (async () => {
    try {
      known.config = await configOf(needs)
      Object.assign(known, { learnedAt: clock.now(), failed: null, failures: 0, mayTryAt: null })
    } catch (error) {
      const pause = milliseconds(Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** known.failures))
      Object.assign(known, { failed: refusalOf(error), failures: known.failures + 1, mayTryAt: plus(clock.now(), pause) })
      if (known.config !== undefined) needs.onTrouble(known.failed!)
    } finally {
      known.underWay = null
    }
  })()
  return known.underWay
}

async function configOf({ settings, outbound }: SignInProviderNeeds): Promise<client.Configuration> {
  const isPlain = settings.issuer.startsWith('http:')
  const config = await client.discovery(new URL(settings.issuer), settings.clientId, { [client.clockTolerance]: CLOCK_TOLERANCE_S }, secretAuth(settings), {
    [client.customFetch]: providerCalls(outbound, LONGEST_CALL_MS),
    timeout: LONGEST_CALL_MS / 1000,
    // The signature of an ID token is verified although it comes by TLS. Plain http is open to a provider on this machine that an operator has named.
    execute: [client.enableNonRepudiationChecks, ...(isPlain ? [client.allowInsecureRequests] : [])],
  })
  const metadata = config.serverMetadata()
  // OpenID Connect Discovery 1.0 §4.3, without the exceptions that the library makes for some providers.
  if (metadata.issuer !== settings.issuer) throw new ProviderMisbehaved('issuer')
  const page = URL.parse(metadata.authorization_endpoint ?? '')
  if (page === null || !(page.protocol === 'https:' || (isPlain && page.protocol === 'http:'))) throw new ProviderMisbehaved('authorization_endpoint')
  return config
}

/** RFC 6749 §2.3.1; the secret is read when it is used, and stays nowhere. */
const secretAuth = (settings: SignInProviderSettings): client.ClientAuth => (as, of, body, headers) => {
  const secret = clientSecretIn(settings.clientSecretFile)
  const methods = as.token_endpoint_auth_methods_supported
  const auth = !Array.isArray(methods) || methods.includes('client_secret_basic') ? client.ClientSecretBasic(secret) : client.ClientSecretPost(secret)
  auth(as, of, body, headers)
}
