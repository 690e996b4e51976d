import { createHash, generateKeyPairSync, randomUUID, sign, type KeyObject } from 'node:crypto'
import { calculateJwkThumbprint } from 'jose'
import type { OauthError, TokenReply } from '@writ/contract/oauth'
import type { RunningWrit, TestIdentity } from './running-writ.ts'

export const JWT_BEARER_CLIENT = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'
export const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token'
export const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange'
export const DETAILS = JSON.stringify([{ type: 'postgres', locations: ['shop'], actions: ['ddl', 'read'] }])

/** What a token request gets: the token, or the error of RFC 6749 §5.2. */
export type Told = { readonly status: number; readonly headers: Headers; readonly reply: TokenReply; readonly error: OauthError; readonly text: string }

/** A key of a client's own, which it proves to hold (RFC 9449). */
export type ProofKey = {
  readonly jkt: string
  readonly privateKey: KeyObject
  /** `ath` is made of `token`. */
  proof(about: { readonly htu: string; readonly htm?: string; readonly token?: string; readonly claims?: object; readonly header?: object }): string
}

const encode = (part: object): string => Buffer.from(JSON.stringify(part)).toString('base64url')

export function signJws(privateKey: KeyObject, header: object, claims: object): string {
  const input = `${encode(header)}.${encode(claims)}`
  return `${input}.${sign('sha256', Buffer.from(input), { key: privateKey, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`
}

export async function proofKey(): Promise<ProofKey> {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const { kty, crv, x, y } = publicKey.export({ format: 'jwk' })
  const jwk = { kty, crv, x, y }
  return {
    privateKey,
    jkt: await calculateJwkThumbprint(jwk as never),
    proof({ htu, htm = 'POST', token, claims, header }) {
      const ath = token === undefined ? {} : { ath: createHash('sha256').update(token).digest('base64url') }
      return signJws(privateKey, { alg: 'ES256', typ: 'dpop+jwt', jwk, ...header }, { jti: randomUUID(), iat: Math.floor(Date.now() / 1000), htm, htu, ...ath, ...claims })
    },
  }
}

type More = { readonly key?: ProofKey | undefined; readonly proof?: string; readonly headers?: Readonly<Record<string, string>> }

/** Sends a form as any OAuth client does, with a proof for this address where there is a key. */
export async function postForm(writ: Pick<RunningWrit, 'url'>, path: string, form: Readonly<Record<string, string>> | string, { key, proof, headers }: More = {}): Promise<Told> {
  const shown = proof ?? key?.proof({ htu: writ.url + path })
  const answer = await fetch(writ.url + path, {
    method: 'POST',
    headers: { 'content-type': 'application/x-www-form-urlencoded', ...(shown === undefined ? {} : { dpop: shown }), ...headers },
    body: typeof form === 'string' ? form : new URLSearchParams(form).toString(),
  })
  const text = await answer.text()
  const value: unknown = text === '' ? undefined : JSON.parse(text)
  return { status: answer.status, headers: answer.headers, reply: value as TokenReply, error: value as OauthError, text }
}

/** What a client with a registered key shows in the body. */
export const assertedBy = (identity: TestIdentity): Readonly<Record<string, string>> => ({ client_assertion_type: JWT_BEARER_CLIENT, client_assertion: identity.assertion() })

/** A client credentials request of this identity: a new task, unless `form` says otherwise. */
export const askToken = (writ: Pick<RunningWrit, 'url'>, identity: TestIdentity, form: Readonly<Record<string, string>>, more: More = {}): Promise<Told> =>
  postForm(writ, '/oauth/token', { grant_type: 'client_credentials', ...assertedBy(identity), ...form }, more)

export const NEW_TASK = { purpose: 'tidy up', authorization_details: DETAILS } as const

/** RFC 7662, as an operator asks. */
export async function introspect(writ: Pick<RunningWrit, 'url' | 'operatorKey'>, token: string): Promise<Readonly<Record<string, unknown>>> {
  const got = await postForm(writ, '/oauth/introspect', { token }, { headers: { authorization: `Bearer ${writ.operatorKey}` } })
  if (got.status !== 200) throw new Error(`introspection answered ${got.status}: ${got.text}`)
  return got.reply as unknown as Readonly<Record<string, unknown>>
}

/** RFC 9449 §7.1: calls an endpoint of `/v1` with a bound token and a proof of its own. */
export async function callWith(writ: Pick<RunningWrit, 'url'>, { key, token, method = 'POST', path, body = {}, proof, scheme = 'DPoP' }: {
  readonly key?: ProofKey; readonly token: string; readonly method?: string; readonly path: string; readonly body?: object; readonly proof?: string; readonly scheme?: string
}): Promise<{ readonly status: number; readonly headers: Headers; readonly value: Readonly<Record<string, unknown>> }> {
  const shown = proof ?? key?.proof({ htu: writ.url + path.split('?')[0]!, htm: method, token })
  const answer = await fetch(writ.url + path, {
    method, headers: { authorization: `${scheme} ${token}`, ...(shown === undefined ? {} : { dpop: shown }), ...(method === 'GET' ? {} : { 'content-type': 'application/json' }) },
    ...(method === 'GET' ? {} : { body: JSON.stringify(body) }),
  })
  return { status: answer.status, headers: answer.headers, value: await answer.json() as Readonly<Record<string, unknown>> }
}

/** The claims of a token, unchecked. */
export const claimsIn = (token: string): Readonly<Record<string, unknown>> => JSON.parse(Buffer.from(token.split('.')[1]!, 'base64url').toString()) as Readonly<Record<string, unknown>>
