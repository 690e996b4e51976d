import type { IncomingHttpHeaders } from 'node:http'
import { SIGN_IN_LIVES } from '../authenticate/sign-in.ts'

/** RFC 6265bis §4.1.3.2: no other host and no other path can set it, and no plain connection carries it; browsers count `localhost` as secure. */
export const SIGN_IN_COOKIE = '__Host-writ'

const ATTRIBUTES = 'Path=/; Secure; HttpOnly; SameSite=Lax'

/** Whoever has signed in gets this with the answer: its secret is of the kind `browser`. */
export const signInCookie = (secret: string): Readonly<Record<'set-cookie', string>> =>
  ({ 'set-cookie': `${SIGN_IN_COOKIE}=${secret}; ${ATTRIBUTES}; Max-Age=${SIGN_IN_LIVES / 1000}` })

export const clearedCookie = (): Readonly<Record<'set-cookie', string>> => ({ 'set-cookie': `${SIGN_IN_COOKIE}=; ${ATTRIBUTES}; Max-Age=0` })

/** Undefined where there is none, and where there are several: which of them counts would depend on who reads. */
export function signInCookieIn({ cookie }: IncomingHttpHeaders): string | undefined {
  const found = (cookie ?? '').split(';').map((one) => one.trim()).filter((one) => one.startsWith(`${SIGN_IN_COOKIE}=`))
  const [only] = found
  return found.length === 1 ? only!.slice(SIGN_IN_COOKIE.length + 1) : undefined
}

/**
 * Whether a request that came with the cookie, and would change something, came from our own pages. A browser says where a page is from in
 * `Origin` (RFC 6454 §7) and in `Sec-Fetch-Site`, and no page can make it say otherwise; one that says neither is none.
 */
export function isFromOwnPage(headers: IncomingHttpHeaders, ownOrigin: string): boolean {
  const { origin, 'sec-fetch-site': site } = headers
  if (origin === undefined && site === undefined) return false
  return (origin === undefined || origin === ownOrigin) && (site === undefined || site === 'same-origin')
}

/** A page elsewhere can send a form and a text without asking anybody, and no JSON. */
export const isJson = ({ 'content-type': type }: IncomingHttpHeaders): boolean => /^application\/json\s*(;|$)/i.test(type ?? '')
