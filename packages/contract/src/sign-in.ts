import { z } from 'zod'
import { ROLES } from '@writ/domain/person'
import { endpoint } from './endpoint.ts'
import { signIn } from './people.ts'
import { freeText, nothing } from './words.ts'

/**
 * Why a browser was sent back to the page of the sign-in, as `/sign-in?problem=...`: the whole list, and no other text comes that way.
 * `start_again`: the attempt is over, was finished before, or was begun in another browser. `blocked`: an administrator here has blocked this person.
 */
export const SIGN_IN_PROBLEMS = ['provider_unreachable', 'provider_misbehaved', 'provider_refused', 'declined', 'start_again', 'blocked', 'not_set_up', 'too_many', 'not_now'] as const
export type SignInProblem = (typeof SIGN_IN_PROBLEMS)[number]

/** Where a browser goes after it has signed in: a path of this origin. */
const returnTo = z.string().max(2000)

export const signInWays = endpoint({
  method: 'GET', path: '/v1/sign-in/ways', who: 'anyone', summary: 'How somebody can sign in here',
  reply: z.object({
    /** The organisation's provider, by the host of its issuer; null where none is set up. `unreachable`: the last time that somebody asked it. */
    provider: z.object({ host: z.string(), state: z.enum(['not_asked', 'ready', 'unreachable']) }).nullable(),
    /** Whether anybody has ever signed in: until then the link that `writ up` prints makes the first one. */
    is_anybody: z.boolean(),
  }),
  problems: [],
})

export const beginProviderSignIn = endpoint({
  method: 'GET', path: '/sign-in/oidc', who: 'anyone', summary: 'Send the browser to the organisation\'s OpenID provider; whatever goes wrong leads to `/sign-in?problem=`',
  query: z.looseObject({ return_to: returnTo.optional().catch(undefined) }), reply: z.string(), status: 303, media: 'text/plain', problems: [],
})

const parameter = z.union([z.string(), z.array(z.string())]).optional()

/** OpenID Connect Core 1.0 §3.1.2.5, RFC 9207 §2: where the provider sends the browser back to. Register this address there, to the letter. */
export const finishProviderSignIn = endpoint({
  method: 'GET', path: '/sign-in/oidc/callback', who: 'anyone', summary: 'Where the OpenID provider sends the browser back to; sets the cookie, and leads to where the sign-in was begun',
  query: z.looseObject({ code: parameter, state: parameter, iss: parameter, error: parameter }), reply: z.string(), status: 303, media: 'text/plain', problems: [],
})

/** Shown to whoever is asked to confirm; nobody has checked it. */
const claimedDevice = freeText(100)

/** RFC 8628 §3.1, §3.2, in JSON. */
export const beginDeviceSignIn = endpoint({
  method: 'POST', path: '/v1/sign-in/device', who: 'anyone', summary: 'Ask for a sign-in that somebody confirms in their browser; for the command line',
  body: z.strictObject({ device: claimedDevice.optional() }),
  reply: z.object({
    device_code: z.string(),
    user_code: z.string(),
    verification_uri: z.string(),
    /** With the code behind `#`, which no browser sends. */
    verification_uri_complete: z.string(),
    expires_in: z.number(),
    /** Seconds between two questions. */
    interval: z.number(),
  }),
  status: 201, problems: ['too-many-requests'],
})

/**
 * RFC 8628 §3.4, §3.5: the problem's `code` is `authorization_pending` or `slow_down` as long as asking again can help, `Retry-After` says when;
 * then `access_denied`, `expired_token` or `invalid_grant`.
 */
export const redeemDeviceSignIn = endpoint({
  method: 'POST', path: '/v1/sign-in/device/token', who: 'anyone', summary: 'The sign-in that was asked for, once somebody has confirmed it; its secret is shown in this reply and kept nowhere',
  body: z.strictObject({ device_code: z.string().max(200) }),
  reply: z.object({ secret: z.string(), sign_in: signIn, person: z.object({ id: z.string(), name: z.string(), roles: z.array(z.enum(ROLES)) }) }), status: 201,
  problems: ['not-yet', 'not-allowed', 'unauthenticated'],
})

/** What somebody sees before they confirm. */
export const askedDevice = z.object({
  user_code: z.string(),
  /** The address from which it was asked. */
  asked_from: z.string(),
  /** How the command line calls its machine: it says so itself. */
  claimed_device: z.string().nullable(),
  asked_at: z.string(),
  /** When it is too late to confirm. */
  ends_at: z.string(),
  /** What it will be able to do: what you may, as long as you may it. */
  roles: z.array(z.enum(ROLES)),
  /** How long the sign-in lives, and how long unless it is used. */
  lives_seconds: z.number(),
  idles_seconds: z.number(),
})
export type AskedDeviceReply = z.infer<typeof askedDevice>

/** As it stands on the terminal; spaces, hyphens and case do not matter. */
const userCode = z.string().max(50)

export const showDeviceSignIn = endpoint({
  method: 'POST', path: '/v1/sign-in/device/show', who: 'person', summary: 'What a code on a terminal stands for, before you confirm it', body: z.strictObject({ user_code: userCode }), reply: askedDevice,
  problems: ['invalid-fields', 'not-found', 'not-allowed', 'too-many-requests'],
})
export const confirmDeviceSignIn = endpoint({
  method: 'POST', path: '/v1/sign-in/device/confirm', who: 'person', summary: 'Let a command line sign in as you, or do not; from a browser only',
  body: z.strictObject({ user_code: userCode, answer: z.enum(['allow', 'deny']) }), reply: nothing,
  problems: ['invalid-fields', 'not-found', 'not-allowed', 'conflict', 'too-many-requests'],
})
