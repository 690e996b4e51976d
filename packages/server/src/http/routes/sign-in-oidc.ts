import * as contract from '@writ/contract/sign-in'
import { unreachable } from '@writ/domain/outcome'
import type { Logger } from 'pino'
import type { ProviderRefusal } from '../../authenticate/provider-refusal.ts'
import { networkOf } from '../../authenticate/refused-often.ts'
import type { SignInProvider } from '../../authenticate/sign-in-provider.ts'
import { beginProviderSignIn, PROVIDER_SIGN_IN_LIVES, takeProviderSignInUp } from '../../people/provider-sign-in.ts'
import { newSignIn, signInPerson } from '../../people/sign-in.ts'
import type { Clock } from '../../platform/clock.ts'
import type { Entropy } from '../../platform/entropy.ts'
import type { PerMinute } from '../../platform/per-minute.ts'
import type { Store } from '../../record/tx.ts'
import { StorageBusy, StorageUnavailable } from '../../store/faults.ts'
import { isAnyPerson } from '../../store/people.ts'
import { attemptCookie, attemptCookieIn, attemptHash, boundToAttempt, clearedAttemptCookie, newAttemptSecret } from '../attempt-cookie.ts'
import { route, type Call, type Redirect, type Route } from '../call.ts'
import { returnPath } from '../return-path.ts'
import { signInCookie } from '../sign-in-cookie.ts'

export type ProviderSignInNeeds = {
  readonly store: Store
  readonly clock: Clock
  readonly entropy: Entropy
  readonly log: Logger
  /** Undefined where none is set up. */
  readonly provider: SignInProvider | undefined
  /** Where browsers meet us. */
  readonly consoleOrigin: () => string
  /** What each address has begun in a minute, and how much it may. */
  readonly begun: PerMinute
  readonly mostBegun: number
}

/** Registered with the provider, to the letter. */
const CALLBACK_PATH = contract.finishProviderSignIn.path

export function providerSignInRoutes(needs: ProviderSignInNeeds): readonly Route[] {
  return [
    route(contract.signInWays, async () => ({
      reply: { provider: needs.provider === undefined ? null : { host: needs.provider.host, state: needs.provider.state() }, is_anybody: await needs.store.read(isAnyPerson) },
    })),
    route(contract.beginProviderSignIn, async (call) => unlessStoreIsAway(needs, () => begin(needs, call))),
    route(contract.finishProviderSignIn, async (call) => unlessStoreIsAway(needs, () => finish(needs, call))),
  ]
}

async function begin(needs: ProviderSignInNeeds, { headers, query, from, traceId }: Call<typeof contract.beginProviderSignIn>): Promise<Redirect> {
  const { store, clock, entropy, provider, consoleOrigin, begun, mostBegun } = needs
  const origin = consoleOrigin()
  const returnTo = returnPath(query.return_to, origin)
  // A browser that came by another name of this machine would come back by this one, without its cookie.
  if (isLoopbackName(headers.host) && new URL(origin).hostname === 'localhost') return { redirect: `${origin}${contract.beginProviderSignIn.path}?${new URLSearchParams({ return_to: returnTo }).toString()}` }
  if (provider === undefined) return backTo(origin, 'not_set_up', returnTo)
  const network = networkOf(from)
  if (begun.countOf(network) >= mostBegun) return backTo(origin, 'too_many', returnTo)
  begun.add(network, 1)
  const secret = attemptCookieIn(headers) ?? newAttemptSecret(entropy)
  const state = newAttemptSecret(entropy)
  const page = await provider.authorizationUrl({ redirectUri: `${origin}${CALLBACK_PATH}`, state, ...boundToAttempt(secret, state) })
  if (!page.ok) return refusedBy(needs, page.refusal, { returnTo, traceId })
  await store.change(beginProviderSignIn, { stateHash: attemptHash(state), browserHash: attemptHash(secret), returnTo, now: clock.now() })
  return { redirect: page.value.href, cookies: [attemptCookie(secret, PROVIDER_SIGN_IN_LIVES / 1000)] }
}

async function finish(needs: ProviderSignInNeeds, { headers, query, traceId }: Call<typeof contract.finishProviderSignIn>): Promise<Redirect> {
  const { store, clock, provider, consoleOrigin } = needs
  const origin = consoleOrigin()
  const secret = attemptCookieIn(headers)
  const { state } = query
  if (provider === undefined) return backTo(origin, 'not_set_up')
  if (secret === undefined || typeof state !== 'string') return backTo(origin, 'start_again')
  const returnTo = await store.change(takeProviderSignInUp, { stateHash: attemptHash(state), browserHash: attemptHash(secret), now: clock.now() })
  if (!returnTo.ok) return backTo(origin, 'start_again')
  const found = await provider.personBehind(answeredAt(`${origin}${CALLBACK_PATH}`, query), { redirectUri: `${origin}${CALLBACK_PATH}`, state, ...boundToAttempt(secret, state) })
  if (!found.ok) return refusedBy(needs, found.refusal, { returnTo: returnTo.value, traceId })
  const made = newSignIn(needs, { kind: 'browser', how: 'oidc' })
  const done = await store.change(signInPerson, { who: found.value, newPerson: made.newPerson, signIn: made.signIn, now: clock.now() })
  if (!done.ok && done.refusal.kind === 'blocked') return backTo(origin, 'blocked')
  // Somebody whom a provider vouches for is made, if need be.
  if (!done.ok) throw new Error(`a person who is vouched for was refused: ${done.refusal.kind}`)
  return { redirect: `${origin}${returnTo.value}`, cookies: [signInCookie(made.secret)['set-cookie'], clearedAttemptCookie()] }
}

/** The address as the browser came to it, a parameter that stands twice included. */
function answeredAt(redirectUri: string, query: Readonly<Record<string, unknown>>): URL {
  const url = new URL(redirectUri)
  for (const [name, value] of Object.entries(query)) for (const one of [value].flat()) url.searchParams.append(name, String(one))
  return url
}

/** `127.0.0.1` and `[::1]`, where pages call this machine `localhost`. */
const isLoopbackName = (host: string | undefined): boolean => /^(?:127\.\d+\.\d+\.\d+|\[::1\])(?::\d+)?$/.test(host ?? '')

function backTo(origin: string, problem: contract.SignInProblem, returnTo = '/'): Redirect {
  const query = new URLSearchParams({ problem, ...(returnTo === '/' ? {} : { return_to: returnTo }) })
  return { redirect: `${origin}/sign-in?${query.toString()}` }
}

/** The page says which kind of trouble it is; the log says more, by the number of the request. */
function refusedBy({ log, consoleOrigin }: ProviderSignInNeeds, refusal: ProviderRefusal, { returnTo, traceId }: { readonly returnTo: string; readonly traceId: string }): Redirect {
  log.info({ trace_id: traceId, refusal }, 'a sign-in by the provider came to nothing')
  return backTo(consoleOrigin(), problemOf(refusal), returnTo)
}

function problemOf(refusal: ProviderRefusal): contract.SignInProblem {
  switch (refusal.kind) {
    case 'unreachable': return 'provider_unreachable'
    case 'misbehaved': return 'provider_misbehaved'
    case 'refused': return 'provider_refused'
    case 'declined': return 'declined'
    case 'no_secret': return 'not_set_up'
    default: return unreachable(refusal)
  }
}

/** A page is no place for a problem in JSON. */
async function unlessStoreIsAway({ consoleOrigin }: ProviderSignInNeeds, answer: () => Promise<Redirect>): Promise<Redirect> {
  try {
    return await answer()
  } catch (error) {
    if (error instanceof StorageUnavailable || error instanceof StorageBusy) return backTo(consoleOrigin(), 'not_now')
    throw error
  }
}
