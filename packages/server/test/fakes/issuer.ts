import { createHash, generateKeyPairSync, randomUUID, sign, type KeyObject } from 'node:crypto'
import { once } from 'node:events'
import { createServer as createPlainServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { signBytes, type Members } from './workload.ts'
import type { Certified } from './x509.ts'

export type IssuerAlg = 'ES256' | 'RS256'

/** A key that an issuer signs with, under the name that it gives it. */
export type IssuerSigner = { readonly alg: IssuerAlg; readonly kid: string; readonly privateKey: KeyObject; readonly jwk: Members }

export function issuerSigner(alg: IssuerAlg = 'ES256', kid: string = randomUUID()): IssuerSigner {
  const { privateKey, publicKey } = alg === 'ES256' ? generateKeyPairSync('ec', { namedCurve: 'P-256' }) : generateKeyPairSync('rsa', { modulusLength: 2048 })
  return { alg, kid, privateKey, jwk: { ...publicKey.export({ format: 'jwk' }), kid, alg, use: 'sig' } }
}

/** What a test may change of an issuer while it runs. */
export type Answers = {
  discovery: () => unknown
  jwks: () => unknown
  /** In place of everything: an answer that no tidy issuer gives. True when it has taken the request. */
  instead: (request: IncomingMessage, response: ServerResponse) => boolean
}

/** An issuer of workload tokens on a real socket: an OpenID provider, and as hostile as a test wants it. */
export type FakeIssuer = {
  /** What `iss` says. */
  readonly url: string
  readonly host: string
  readonly signer: IssuerSigner
  readonly answers: Answers
  /** The paths that were asked, in order. */
  readonly asked: string[]
  /** How many have connected. */
  connections(): number
  token(claims?: Members, more?: { readonly header?: Members; readonly by?: IssuerSigner; readonly at?: number }): string
  close(): Promise<void>
}

export type IssuerOrder = { readonly alg?: IssuerAlg; readonly tls?: Certified; readonly hostname?: string; readonly path?: string }

export async function fakeIssuer({ alg = 'ES256', tls, hostname = '127.0.0.1', path = '' }: IssuerOrder = {}): Promise<FakeIssuer> {
  const signer = issuerSigner(alg)
  const asked: string[] = []
  let connected = 0
  const answers: Answers = { discovery: () => ({ issuer: url, jwks_uri: `${url}/keys` }), jwks: () => ({ keys: [signer.jwk] }), instead: () => false }
  const answer: RequestListener = (request, response) => {
    asked.push(request.url!)
    if (answers.instead(request, response)) return
    const isDiscovery = request.url!.endsWith('/.well-known/openid-configuration')
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(isDiscovery ? answers.discovery() : answers.jwks()))
  }
  const server: Server = tls === undefined ? createPlainServer(answer) : createTlsServer({ cert: tls.cert, key: tls.key }, answer)
  server.on('connection', () => { connected++ })
  server.on('tlsClientError', () => undefined)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const host = `${hostname}:${(server.address() as AddressInfo).port}`
  const url = `${tls === undefined ? 'http' : 'https'}://${host}${path}`
  return {
    url, host, signer, answers, asked, connections: () => connected,
    token: (claims, { header, by = signer, at } = {}) => signWith(by, { iss: url, ...claims }, header, at),
    async close() {
      server.closeAllConnections()
      await new Promise<void>((done) => { server.close(() => done()) })
    },
  }
}

/** A token as issuers make them, good for five minutes from `at` (in ms) unless the claims say otherwise; undefined takes one away. */
export function signWith({ alg, kid, privateKey }: Pick<IssuerSigner, 'alg' | 'kid' | 'privateKey'>, claims: Members, header: Members = {}, at: number = Date.now()): string {
  const now = Math.floor(at / 1000)
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')
  const input = `${part({ alg, kid, typ: 'JWT', ...header })}.${part({ iat: now, nbf: now, exp: now + 300, jti: randomUUID(), ...claims })}`
  return `${input}.${Buffer.from(signBytes({ alg, privateKey }, input)).toString('base64url')}`
}

/** A JWT-SVID, as SPIRE makes them: no `iss`, the audience in a list. */
export const svidOf = (signer: IssuerSigner, sub: string, aud: string, more: Members = {}, header: Members = {}): string =>
  signWith(signer, { sub, aud: [aud], jti: undefined, nbf: undefined, ...more }, header)

/** RFC 9449 §4.2, by a key that the workload has made for itself. */
export function dpopKey() {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const { kty, crv, x, y } = publicKey.export({ format: 'jwk' })
  const jwk = { kty, crv, x, y }
  return {
    jwk, privateKey,
    proof(method: string, url: string, token: string, more: Members = {}): string {
      const ath = createHash('sha256').update(token).digest('base64url')
      const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')
      const input = `${part({ typ: 'dpop+jwt', alg: 'ES256', jwk })}.${part({ jti: randomUUID(), htm: method, htu: url, iat: Math.floor(Date.now() / 1000), ath, ...more })}`
      return `${input}.${sign('sha256', Buffer.from(input), { key: privateKey, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`
    },
  }
}
export type DpopKey = ReturnType<typeof dpopKey>
