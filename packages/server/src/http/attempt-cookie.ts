import { createHash, createHmac } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import type { Entropy } from '../platform/entropy.ts'

/** What a browser holds while it is on its way to the provider and back; nobody else can finish what it began (RFC 9700 §4.7). */
const NAME = '__Host-writ-oidc'
const ATTRIBUTES = 'Path=/; Secure; HttpOnly; SameSite=Lax'
const SECRET = /^[A-Za-z0-9_-]{43}$/

/** The browser's secret; undefined where there is none, and where there are several. */
export function attemptCookieIn({ cookie }: IncomingHttpHeaders): string | undefined {
  const found = (cookie ?? '').split(';').map((one) => one.trim()).filter((one) => one.startsWith(`${NAME}=`))
  const secret = found[0]?.slice(NAME.length + 1) ?? ''
  return found.length === 1 && SECRET.test(secret) ? secret : undefined
}

export const newAttemptSecret = (entropy: Entropy): string => Buffer.from(entropy.bytes(32)).toString('base64url')
export const attemptCookie = (secret: string, seconds: number): string => `${NAME}=${secret}; ${ATTRIBUTES}; Max-Age=${seconds}`
export const clearedAttemptCookie = (): string => `${NAME}=; ${ATTRIBUTES}; Max-Age=0`

/** What the store keeps of the secret, and of the name of an attempt. */
export const attemptHash = (text: string): Uint8Array => new Uint8Array(createHash('sha256').update(text).digest())

/** Of one attempt of this browser: made of what it holds, so that the store keeps none of it. */
export const boundToAttempt = (secret: string, state: string): { readonly nonce: string; readonly codeVerifier: string } =>
  ({ nonce: derived(secret, 'nonce', state), codeVerifier: derived(secret, 'code_verifier', state) })

const derived = (secret: string, what: string, state: string): string => createHmac('sha256', secret).update(`${what}\0${state}`).digest('base64url')
