import { ask, Refusal, type Server } from './client.ts'
import { Unreachable } from './errors.ts'
import type { Evidence } from './evidence.ts'
import { inForm } from './reply.ts'
import { SecretValue } from './secret-value.ts'

const TOKEN_PATH = '/oauth/token'
const JWT_BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer'
const CLIENT_ASSERTION = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'
const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange'
const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token'

/** A token is renewed when less than this is left of it, so that it does not end on its way. */
const RENEW_BEFORE_MS = 30_000
/** No access token of the server lives longer; whatever it says, this one is not held for longer. */
const LONGEST_SECONDS = 300
/** A task that calls ever new places does not hold for ever what it got for each. */
const MOST_HELD = 200

/** An access token of one task (RFC 9068), bound to a key of this process. */
export type AccessToken = {
  readonly task: string
  readonly value: SecretValue
  readonly expiresAt: Date
  /** Whether it can be used without being renewed first; asked of a clock that does not jump. */
  isFresh(): boolean
  /** Whether it has not ended: good enough to be exchanged for another. */
  isLive(): boolean
  /** What one request carries: the token, and a proof for this method and address alone (RFC 9449 §7.1). `nonce` is the one that the resource asked for. */
  headers(method: string, url: string | URL, nonce?: string): Promise<{ readonly authorization: string; readonly dpop: string }>
}

/** What a token is asked for: `task` or what opens one, `resource`, `authorization_details`. */
export type Asked = Readonly<Record<string, string>>

/** Proves who the workload is, and opens a task or goes on in one. */
export async function tokenByEvidence(server: Server, evidence: Evidence, asked: Asked, signal?: AbortSignal): Promise<AccessToken> {
  return request(server, async () => {
    const token = await evidence.token(server.issuer)
    const proof: Asked = evidence.kind === 'assertion'
      ? { grant_type: 'client_credentials', client_assertion_type: CLIENT_ASSERTION, client_assertion: token }
      : { grant_type: JWT_BEARER, assertion: token }
    return { ...proof, ...asked }
  }, signal)
}

/** RFC 8693 §2.1: another token of the same task, for another resource or for longer. */
export async function tokenByExchange(server: Server, token: AccessToken, asked: Asked, signal?: AbortSignal): Promise<AccessToken> {
  const parameters = { grant_type: TOKEN_EXCHANGE, subject_token: token.value.reveal(), subject_token_type: ACCESS_TOKEN, ...asked }
  return request(server, async () => parameters, signal)
}

/** What has ended, or can not be exchanged any more: whoever proves who it is gets another. */
export const isSpent = (fault: unknown): boolean => fault instanceof Refusal && ['invalid_grant', 'invalid_request'].includes(fault.code)

async function request(server: Server, parameters: () => Promise<Asked>, signal: AbortSignal | undefined): Promise<AccessToken> {
  const askedAt = performance.now()
  const reply = await ask(server, {
    method: 'POST', path: TOKEN_PATH, signal,
    prepare: async () => ({ body: new URLSearchParams(await parameters()).toString(), type: 'application/x-www-form-urlencoded' }),
  })
  return read(server, reply, askedAt)
}

type TokenMembers = { readonly access_token: string; readonly token_type: string; readonly expires_in: number; readonly task: string }

function read(server: Server, reply: unknown, askedAt: number): AccessToken {
  const { access_token: text, token_type: type, expires_in: said, task } = inForm<TokenMembers>(reply, { access_token: 'token', token_type: 'text', expires_in: 'seconds', task: 'id' })
  // RFC 9449 §5: we have shown a key, and a token that is not bound to it would be a thief's as well as ours.
  if (type.toLowerCase() !== 'dpop') throw new Unreachable('the server answered with a token that is not bound to this process', { code: 'unbound_token', hint: 'something between the SDK and the server has taken the proof away' })
  const lengthMs = Math.min(said, LONGEST_SECONDS) * 1000
  const endsAt = askedAt + lengthMs
  const value = new SecretValue(text)
  return {
    task, value,
    expiresAt: new Date(Date.now() + endsAt - performance.now()),
    isFresh: () => performance.now() < endsAt - Math.min(RENEW_BEFORE_MS, lengthMs / 2),
    isLive: () => performance.now() < endsAt,
    headers: async (method, url, nonce) => ({
      authorization: `DPoP ${text}`, dpop: await server.key.prove({ method: method.toUpperCase(), url: String(url), accessToken: text, nonce }),
    }),
  }
}

/** The tokens that a task holds: one for each thing asked for, and one request for it however many ask at once. */
export class HeldTokens {
  readonly #held = new Map<string, AccessToken>()
  readonly #doubted = new WeakSet<AccessToken>()
  #asked = new Map<string, Promise<AccessToken>>()

  /** The one that is held, if it has not ended. */
  live(key: string): AccessToken | undefined {
    const token = this.#held.get(key)
    return token?.isLive() === true ? token : undefined
  }

  get(key: string, renew: () => Promise<AccessToken>): Promise<AccessToken> {
    const token = this.#held.get(key)
    if (token?.isFresh() === true && !this.#doubted.has(token)) return Promise.resolve(token)
    const asked = this.#asked
    const before = asked.get(key)
    if (before !== undefined) return before
    const renewed = renew().then((got) => {
      // What was asked for before the task was given more is not what is asked for now.
      if (this.#asked === asked) this.hold(key, got)
      return got
    }).finally(() => asked.delete(key))
    asked.set(key, renewed)
    return renewed
  }

  hold(key: string, token: AccessToken): void {
    this.#held.delete(key)
    this.#held.set(key, token)
    if (this.#held.size > MOST_HELD) this.#held.delete(this.#held.keys().next().value!)
  }

  /** Somebody has refused it: it is used no more, but to ask the server for another. */
  doubt(token: AccessToken): void {
    this.#doubted.add(token)
  }

  /** Lets go of this very one; another that has come in its place stays. */
  drop(key: string, token: AccessToken): void {
    if (this.#held.get(key) === token) this.#held.delete(key)
  }

  clear(): void {
    this.#held.clear()
    this.#asked = new Map()
  }
}
