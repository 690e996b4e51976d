import type { FastifyRequest } from 'fastify'
import type { Presented } from '../authenticate/authenticate.ts'
import type { From } from '../authenticate/refused-often.ts'
import { DPOP_ALGS } from '../authenticate/dpop.ts'
import { signInCookieIn } from './sign-in-cookie.ts'

/** RFC 6750 §2.1, RFC 9449 §7.1. */
const CREDENTIALS = /^(Bearer|DPoP) +([\x21-\x7e]+)$/i
const ALGS = `algs="${DPOP_ALGS.join(' ')}"`

/** What the request shows; undefined for nothing, and for two `Authorization` headers: which of them counts would depend on who reads. */
export function presentedIn(request: FastifyRequest): (Presented & From) | undefined {
  const count = request.raw.rawHeaders.filter((name, i) => i % 2 === 0 && name.toLowerCase() === 'authorization').length
  if (count === 0) return signInIn(request)
  const found = CREDENTIALS.exec(request.headers.authorization ?? '')
  if (count !== 1 || found === null) return undefined
  const { dpop } = request.headers
  return {
    scheme: found[1]!.toLowerCase() === 'dpop' ? 'DPoP' : 'Bearer', token: found[2]!, proof: Array.isArray(dpop) ? dpop.join(', ') : dpop,
    method: request.method, path: request.raw.url ?? '', from: request.from,
  }
}

/** What the cookie of a browser shows. No page of ours sends both it and an `Authorization` header: there that one counts. */
function signInIn(request: FastifyRequest): (Presented & From) | undefined {
  const token = signInCookieIn(request.headers)
  return token === undefined ? undefined : { scheme: 'Cookie', token, proof: undefined, method: request.method, path: request.raw.url ?? '', from: request.from }
}

/**
 * RFC 9449 §7.2: both schemes are welcome, and the error stands with the one that was tried. It tells no more than that it was in vain,
 * whatever the reason; RFC 6750 §3.1: whoever showed nothing is told of no error. RFC 9728 §5.1: where the resource says what it takes.
 */
export function challenge(tried?: Presented['scheme'], resourceMetadata?: string): string {
  const more = resourceMetadata === undefined ? [] : [`resource_metadata="${resourceMetadata}"`]
  const of = (scheme: 'Bearer' | 'DPoP', ...parameters: readonly string[]): string =>
    [scheme, [...(tried === scheme ? ['error="invalid_token"'] : []), ...parameters, ...more].join(', ')].join(' ').trimEnd()
  return `${of('Bearer')}, ${of('DPoP', ALGS)}`
}

/** RFC 9449 §9: what to put into the next proof. */
export const nonceChallenge = (nonce: string, resourceMetadata?: string): Readonly<Record<string, string>> =>
  ({ 'www-authenticate': `DPoP error="use_dpop_nonce", ${ALGS}${resourceMetadata === undefined ? '' : `, resource_metadata="${resourceMetadata}"`}`, 'dpop-nonce': nonce })

/** RFC 6750 §3.1, RFC 9449 §7.1: of a resource that has said what it takes (RFC 9728 §5.1), to whoever came with the wrong token, or with one for less (`scope`). */
export function resourceChallenge(error: 'invalid_token' | 'insufficient_scope', resourceMetadata: string, scope?: string): string {
  const said = [`error="${error}"`, ...(scope === undefined ? [] : [`scope="${scope}"`]), `resource_metadata="${resourceMetadata}"`]
  return `Bearer ${said.join(', ')}, DPoP ${[...said.slice(0, 1), ALGS, ...said.slice(1)].join(', ')}`
}
