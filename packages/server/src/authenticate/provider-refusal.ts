import * as client from 'openid-client'
import { ProviderUnreachable } from './provider-calls.ts'

/** Why nobody could be signed in by the provider. `because` is a word of ours, of a standard or of the system's. */
export type ProviderRefusal =
  /** It can not be asked, or says that it can not answer now. */
  | { readonly kind: 'unreachable'; readonly because: string }
  /** What it answered is not what a provider answers, or not to what was asked. */
  | { readonly kind: 'misbehaved'; readonly because: string }
  /** It says no to this client. */
  | { readonly kind: 'refused'; readonly because: string }
  /** The person said no. */
  | { readonly kind: 'declined' }
  /** The client's secret can not be read. */
  | { readonly kind: 'no_secret'; readonly because: string }

/** What it says of itself, or of somebody, can not be. */
export class ProviderMisbehaved extends Error {
  readonly because: string

  constructor(because: string) {
    super(`the provider misbehaved: ${because}`)
    this.because = because
  }
}

export class SecretUnreadable extends Error {
  readonly because: string

  constructor(because: string) {
    super(`the client's secret can not be read: ${because}`)
    this.because = because
  }
}

const NOT_NOW: ReadonlySet<string> = new Set(['temporarily_unavailable', 'server_error'])

/** Faults of our own are thrown on. */
export function refusalOf(error: unknown): ProviderRefusal {
  for (const one of causesOf(error)) {
    if (one instanceof ProviderUnreachable) return { kind: 'unreachable', because: one.because }
    if (one instanceof ProviderMisbehaved) return { kind: 'misbehaved', because: one.because }
    if (one instanceof SecretUnreadable) return { kind: 'no_secret', because: one.because }
  }
  if (error instanceof client.AuthorizationResponseError) return error.error === 'access_denied' ? { kind: 'declined' } : refusedBy(error.error)
  if (error instanceof client.ResponseBodyError) return error.status >= 500 ? { kind: 'unreachable', because: 'status' } : refusedBy(error.error)
  if (error instanceof client.WWWAuthenticateChallengeError) return { kind: 'refused', because: 'challenged' }
  if (error instanceof client.ClientError) return ofLibrary(error)
  // What is not even of the right type, such as an endpoint that is no URL.
  if (error instanceof TypeError) return { kind: 'misbehaved', because: 'type' }
  throw error
}

/** RFC 6749 §4.1.2.1, §5.2. */
function refusedBy(claimedError: string): ProviderRefusal {
  const because = /^[a-z_]{1,60}$/.test(claimedError) ? claimedError : 'unknown'
  return { kind: NOT_NOW.has(because) ? 'unreachable' : 'refused', because }
}

function ofLibrary(error: client.ClientError): ProviderRefusal {
  if (error.code === 'OAUTH_TIMEOUT' || error.code === 'OAUTH_ABORT') return { kind: 'unreachable', because: 'too_slow' }
  if (error.cause instanceof Response && error.cause.status >= 500) return { kind: 'unreachable', because: 'status' }
  return { kind: 'misbehaved', because: [error.code ?? 'unknown', ...claimIn(error.cause)].join(' ').toLowerCase() }
}

/** Which claim it was, where the library says so. */
function* claimIn(cause: unknown): Generator<string> {
  for (const one of causesOf(cause)) {
    if (typeof one === 'object' && one !== null && 'claim' in one && typeof one.claim === 'string' && /^\w{1,30}$/.test(one.claim)) yield one.claim
  }
}

function* causesOf(error: unknown): Generator<unknown> {
  for (let one = error, depth = 0; one !== undefined && one !== null && depth < 8; one = (one as { readonly cause?: unknown }).cause, depth++) yield one
}
