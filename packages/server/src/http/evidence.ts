import type { FastifyRequest } from 'fastify'
import type { Presented } from '../authenticate/authenticate.ts'
import { DPOP_ALGS } from '../authenticate/dpop.ts'

/** RFC 6750 §2.1, RFC 9449 §7.1. */
const CREDENTIALS = /^(Bearer|DPoP) +([\x21-\x7e]+)$/i
const ALGS = `algs="${DPOP_ALGS.join(' ')}"`

/** What the request shows; undefined for nothing, and for two `Authorization` headers: which of them counts would depend on who reads. */
export function presentedIn(request: FastifyRequest): Presented | undefined {
  const count = request.raw.rawHeaders.filter((name, i) => i % 2 === 0 && name.toLowerCase() === 'authorization').length
  const found = CREDENTIALS.exec(request.headers.authorization ?? '')
  if (count !== 1 || found === null) return undefined
  const { dpop } = request.headers
  return {
    scheme: found[1]!.toLowerCase() === 'dpop' ? 'DPoP' : 'Bearer', token: found[2]!, proof: Array.isArray(dpop) ? dpop.join(', ') : dpop,
    method: request.method, path: request.raw.url ?? '',
  }
}

/**
 * RFC 9449 §7.2: both schemes are welcome, and the error stands with the one that was tried. It tells no more than that it was in vain,
 * whatever the reason; RFC 6750 §3.1: whoever showed nothing is told of no error.
 */
export function challenge(tried?: Presented['scheme']): string {
  const error = 'error="invalid_token"'
  return `Bearer${tried === 'Bearer' ? ` ${error}` : ''}, DPoP ${tried === 'DPoP' ? `${error}, ` : ''}${ALGS}`
}

/** RFC 9449 §9: what to put into the next proof. */
export const nonceChallenge = (nonce: string): Readonly<Record<string, string>> =>
  ({ 'www-authenticate': `DPoP error="use_dpop_nonce", ${ALGS}`, 'dpop-nonce': nonce })
