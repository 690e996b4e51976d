import { ask, type Server } from './client.ts'
import { Unreachable } from './errors.ts'
import type { Evidence } from './evidence.ts'
import { SecretValue } from './secret-value.ts'

const TOKEN_PATH = '/oauth/token'
const JWT_BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer'
const CLIENT_ASSERTION = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'
const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange'
const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token'

/** A token is renewed when less than this is left of it, so that it does not end on its way. */
const RENEW_BEFORE_MS = 30_000

/** An access token of one task (RFC 9068), with what a caller has to know to use it. */
export type AccessToken = {
  readonly task: string
  readonly value: SecretValue
  readonly scheme: 'DPoP' | 'Bearer'
  readonly expiresAt: Date
  /** Whether it can be used without being renewed first; asked of a clock that does not jump. */
  isFresh(): boolean
}

/** What a token is asked for: `task` or what opens one, `resource`, `authorization_details`. */
export type Asked = Readonly<Record<string, string>>

/** Proves who the workload is, and opens a task or goes on in one. */
export async function tokenByEvidence(server: Server, evidence: Evidence, asked: Asked, signal?: AbortSignal): Promise<AccessToken> {
  return request(server, async () => {
    const token = await evidence.token(server.issuer)
    const proof = evidence.kind === 'assertion'
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

async function request(server: Server, parameters: () => Promise<Asked>, signal: AbortSignal | undefined): Promise<AccessToken> {
  const askedAt = performance.now()
  const reply = await ask(server, {
    method: 'POST', path: TOKEN_PATH, signal,
    prepare: async () => ({ body: new URLSearchParams(await parameters()).toString(), type: 'application/x-www-form-urlencoded' }),
  })
  return read(reply, askedAt)
}

function read(reply: unknown, askedAt: number): AccessToken {
  const { access_token: value, token_type: type, expires_in: seconds, task } = (reply ?? {}) as Readonly<Record<string, unknown>>
  const scheme = typeof type === 'string' ? { dpop: 'DPoP', bearer: 'Bearer' }[type.toLowerCase()] : undefined
  if (typeof value !== 'string' || typeof task !== 'string' || typeof seconds !== 'number' || scheme === undefined) {
    throw new Unreachable('the server answered a token request in a form that this SDK does not know', { code: 'unknown_reply', hint: 'server and SDK should have the same version' })
  }
  const endsAt = askedAt + seconds * 1000
  return {
    task, value: new SecretValue(value), scheme: scheme as AccessToken['scheme'],
    expiresAt: new Date(Date.now() + endsAt - performance.now()),
    isFresh: () => performance.now() < endsAt - Math.min(RENEW_BEFORE_MS, seconds * 500),
  }
}
