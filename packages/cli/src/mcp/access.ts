import { createHash, randomUUID } from 'node:crypto'
import { ASSERTION_TYPES } from '@writ/contract/oauth'
import { exportJWK, generateKeyPair, SignJWT, type CryptoKey, type JWK } from 'jose'
import { makeAssertion, type Holder } from '../assertion.ts'
import { CommandFailure, EXIT, exitOfStatus } from '../exit.ts'
import { isNotThere, patiently } from './patience.ts'

/** The task can give no more tokens: it is over, or its holder is nobody any more. */
export class NoAccess extends Error {
  /** As the server says it; undefined where it says no more than no. */
  readonly endReason: string | undefined
  constructor(message: string, endReason: string | undefined) {
    super(message)
    this.name = 'NoAccess'
    this.endReason = endReason
  }
}

/** Tokens of one task for one resource (RFC 8707), each shown with a proof that is good for one request (RFC 9449). */
export type Access = {
  /** What one request carries. */
  headers(method: string): Promise<Readonly<Record<string, string>>>
  /** What a refused request tells: whether to ask again, with the nonce or the token that it takes. */
  mayAskAgain(refused: Response): boolean
}

export type AccessOrder = { readonly server: string; readonly holder: Holder; readonly task: string; readonly resource: string; readonly patienceMs: number }

type Token = { readonly text: string; readonly type: 'DPoP' | 'Bearer'; readonly renewAt: number }

/** A token is renewed when less than this is left of it, so that it does not end on its way. */
const RENEW_BEFORE_MS = 30_000
/** No access token of the server lives longer. */
const LONGEST_SECONDS = 300
const TOKEN_PATH = '/oauth/token'

type Nonces = { token: string | undefined; resource: string | undefined }

export async function accessTo(order: AccessOrder): Promise<Access> {
  const prove = await proofs()
  let token: Token | undefined
  let asked: Promise<Token> | undefined
  /** The newest that the server gave (RFC 9449 §8.2). */
  const nonces: Nonces = { token: undefined, resource: undefined }

  const held = async (): Promise<Token> => {
    if (token !== undefined && performance.now() < token.renewAt) return token
    asked ??= askToken(order, prove, nonces).finally(() => { asked = undefined })
    token = await asked
    return token
  }
  return {
    async headers(method) {
      const { text, type } = await held()
      if (type === 'Bearer') return { authorization: `Bearer ${text}` }
      return { authorization: `DPoP ${text}`, dpop: await prove({ method, url: order.resource, token: text, nonce: nonces.resource }) }
    },
    mayAskAgain({ headers }) {
      const nonce = headers.get('dpop-nonce') ?? undefined
      const isNew = nonce !== undefined && nonce !== nonces.resource
      nonces.resource = nonce ?? nonces.resource
      if (isNew && /use_dpop_nonce/.test(headers.get('www-authenticate') ?? '')) return true
      // It may have been revoked alone: whoever asks for another is told what became of the task.
      const wasHeld = token !== undefined
      token = undefined
      return wasHeld
    },
  }
}

type ProofOf = { readonly method: string; readonly url: string; readonly token?: string | undefined; readonly nonce?: string | undefined }

/** RFC 9449 §4.2, by a key that this process alone has. */
async function proofs(): Promise<(of: ProofOf) => Promise<string>> {
  const { privateKey, publicKey }: { readonly privateKey: CryptoKey; readonly publicKey: CryptoKey } = await generateKeyPair('ES256')
  const { kty, crv, x, y } = await exportJWK(publicKey)
  const jwk = { kty, crv, x, y } as JWK
  return ({ method, url, token, nonce }) => new SignJWT({
    jti: randomUUID(), htm: method, htu: url,
    ...(token === undefined ? {} : { ath: createHash('sha256').update(token).digest('base64url') }), ...(nonce === undefined ? {} : { nonce }),
  }).setProtectedHeader({ typ: 'dpop+jwt', alg: 'ES256', jwk }).setIssuedAt().sign(privateKey)
}

type Told = { readonly access_token?: unknown; readonly token_type?: unknown; readonly expires_in?: unknown; readonly error?: unknown; readonly error_description?: unknown; readonly end_reason?: unknown }

async function askToken(order: AccessOrder, prove: (of: ProofOf) => Promise<string>, nonces: Nonces): Promise<Token> {
  const { server, holder, task, resource, patienceMs } = order
  return patiently(patienceMs, async () => {
    for (let isSecond = false; ; isSecond = true) {
      const askedAt = performance.now()
      const response = await fetch(server + TOKEN_PATH, {
        method: 'POST', redirect: 'error', signal: AbortSignal.timeout(patienceMs),
        headers: { accept: 'application/json', dpop: await prove({ method: 'POST', url: server + TOKEN_PATH, nonce: nonces.token }) },
        body: new URLSearchParams({
          grant_type: 'client_credentials', client_assertion_type: ASSERTION_TYPES.jwt, client_assertion: await makeAssertion(holder, server), task, resource,
        }),
      })
      nonces.token = response.headers.get('dpop-nonce') ?? nonces.token
      const told = await response.json().catch(() => ({})) as Told
      if (response.ok) return tokenOf(told, askedAt, server)
      if (!isSecond && told.error === 'use_dpop_nonce') continue
      throw refusalOf(response, told, server)
    }
  }, isNotThere)
}

function tokenOf({ access_token: text, token_type: type, expires_in: seconds }: Told, askedAt: number, server: string): Token {
  if (typeof text !== 'string' || !/^[\w.~+/=-]+$/.test(text) || typeof seconds !== 'number' || (type !== 'DPoP' && type !== 'Bearer')) {
    throw new CommandFailure(EXIT.unexpected, `${server} answered with a token in a form that this writ does not know`)
  }
  const lengthMs = Math.min(seconds, LONGEST_SECONDS) * 1000
  return { text, type, renewAt: askedAt + lengthMs - Math.min(RENEW_BEFORE_MS, lengthMs / 2) }
}

/** What the server itself has said is a no; anything else may pass. */
function refusalOf({ status }: Response, told: Told, server: string): Error {
  const why = typeof told.error_description === 'string' ? told.error_description : typeof told.error === 'string' ? told.error : `${server} answered ${status}`
  const endReason = typeof told.end_reason === 'string' ? told.end_reason : undefined
  if (endReason !== undefined || (typeof told.error === 'string' && status < 500 && status !== 429)) return new NoAccess(why, endReason)
  return new CommandFailure(exitOfStatus(status), why)
}
