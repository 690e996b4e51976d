import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import * as issuers from '@writ/contract/issuers'
import * as registry from '@writ/contract/registry'
import * as tasks from '@writ/contract/tasks'
import { hashOf, signProof } from './fakes/proof.ts'
import { signToken, workload, type Members, type Workload } from './fakes/workload.ts'
import { ACCESS_TOKEN, EXCHANGE, JWT_BEARER_CLIENT, NEW_TASK, postForm } from './oauth-client.ts'
import { rawRequest, type RawAnswer } from './raw-request.ts'
import type { RunningWrit } from './running-writ.ts'

export const JWT_SPIFFE_CLIENT = 'urn:ietf:params:oauth:client-assertion-type:jwt-spiffe'
export const JWT_BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer'
const TYPE = 'urn:ietf:params:oauth:token-type:'
export const PROVIDER = 'https://issuer.example'
const DOMAIN = 'spiffe://acme.example'
const SUBJECT = 'repo:acme/shop:ref:refs/heads/main'

/** Whose private key makes a token. */
export const SIGNERS = ['registered key', 'provider', 'trust domain', 'DPoP key', 'stranger'] as const
export type Signer = (typeof SIGNERS)[number]

/** One identity that may come in every way there is, and everybody whose word counts for it. */
export type EvidenceEstate = {
  readonly writ: RunningWrit
  readonly spiffeId: string
  readonly signers: Readonly<Record<Signer, Workload>>
  readonly jwks: readonly Readonly<Record<string, unknown>>[]
  claims(of: 'client assertion' | 'federated token' | 'JWT-SVID', changes?: Members): Members
  headerOf(signer: Signer): Members
  sign(signer: Signer, header: Members, claims: Members): string
  /** RFC 9449 §4.2, by the key that every token of these tests is bound to, unless told otherwise. */
  proof(about: { readonly htm: string; readonly path: string; readonly token?: string; readonly changes?: Members; readonly header?: Members; readonly by?: Signer }): string
  /** A fresh access token in a task of its own, bound to the DPoP key. */
  accessToken(): Promise<{ readonly token: string; readonly task: string }>
}

export async function evidenceEstate(writ: RunningWrit): Promise<EvidenceEstate> {
  const signers = Object.fromEntries(SIGNERS.map((signer) => [signer, workload()])) as Record<Signer, Workload>
  const jwkOf = (signer: Signer, more: object = {}) => ({ ...signers[signer].registered.jwk, kid: signer.replaceAll(' ', '-'), ...more })
  const trusted = [
    await writ.operator(issuers.trustIssuer, { body: { url: PROVIDER, jwks: { keys: [jwkOf('provider')] } } }),
    await writ.operator(issuers.trustIssuer, { body: { url: DOMAIN, kind: 'spiffe', bundle: { keys: [jwkOf('trust domain', { use: 'jwt-svid' })] } } }),
  ]
  for (const got of trusted) assert.equal(got.status, 201, got.text)
  const bot = await writ.register('everyway', { class: 'script', key: { ...signers['registered key'].registered.jwk } })
  for (const body of [
    { issuer: PROVIDER, audience: writ.url, claims: { sub: SUBJECT } },
    { issuer: DOMAIN, audience: writ.url, claims: { sub: bot.spiffeId } },
  ]) {
    const got = await writ.operator(registry.bindIdentity, { parameters: { id: bot.id }, body })
    assert.equal(got.status, 201, got.text)
  }
  const headerOf = (signer: Signer): Members => ({ alg: 'ES256', ...(['provider', 'trust domain'].includes(signer) ? { kid: signer.replaceAll(' ', '-') } : {}) })
  const sign = (signer: Signer, header: Members, claims: Members) => signToken(signers[signer], { ...headerOf(signer), ...header }, claims)
  const claims: EvidenceEstate['claims'] = (of, changes = {}) => {
    const now = Math.floor(Date.now() / 1000)
    const [iss, sub] = of === 'client assertion' ? [bot.spiffeId, bot.spiffeId] : of === 'federated token' ? [PROVIDER, SUBJECT] : [DOMAIN, bot.spiffeId]
    return { iss, sub, aud: writ.url, jti: randomUUID(), iat: now, exp: now + 120, ...changes }
  }
  const proof: EvidenceEstate['proof'] = ({ htm, path, token, changes, header, by = 'DPoP key' }) => signProof(signers[by], {
    jti: randomUUID(), htm, htu: `${writ.url}${path}`, iat: Math.floor(Date.now() / 1000), ...(token === undefined ? {} : { ath: hashOf(token) }), ...changes,
  }, header)
  const asClient = () => ({ client_assertion_type: JWT_BEARER_CLIENT, client_assertion: sign('registered key', {}, claims('client assertion')) })
  return {
    writ, spiffeId: bot.spiffeId, signers, claims, headerOf, sign, proof,
    jwks: (await (await fetch(`${writ.url}/oauth/jwks`)).json() as { keys: Readonly<Record<string, unknown>>[] }).keys,
    async accessToken() {
      const got = await postForm(writ, '/oauth/token', { grant_type: 'client_credentials', ...asClient(), ...NEW_TASK }, { proof: proof({ htm: 'POST', path: '/oauth/token' }) })
      assert.equal(got.status, 200, got.text)
      return { token: got.reply.access_token, task: got.reply.task }
    },
  }
}

/** Somewhere that evidence is shown: what it is for there, and whether it opens. */
export type Door = {
  readonly name: string
  readonly htm: string
  readonly path: string
  /** Shows the token there, with everything else as it should be. */
  readonly show: (at: EvidenceEstate, token: string) => Promise<RawAnswer>
  readonly opens: (answer: RawAnswer) => boolean
}

const was200 = (answer: RawAnswer): boolean => answer.status === 200
const form = (path: string, fields: Readonly<Record<string, string>>, headers: readonly (readonly [string, string])[] = []) =>
  ({ method: 'POST', path, headers: [['content-type', 'application/x-www-form-urlencoded'] as const, ...headers], body: new URLSearchParams(fields).toString() })
const proofHeader = (at: EvidenceEstate, path: string) => ['dpop', at.proof({ htm: 'POST', path })] as const

const atWhoAmI = (name: string, headers: (at: EvidenceEstate, token: string) => Promise<readonly (readonly [string, string])[]> | readonly (readonly [string, string])[]): Door => ({
  name, htm: 'GET', path: '/v1/whoami', opens: was200,
  show: async (at, token) => rawRequest(at.writ.url, { path: '/v1/whoami', headers: await headers(at, token) }),
})

const atToken = (name: string, fields: (token: string) => Readonly<Record<string, string>>): Door => ({
  name, htm: 'POST', path: '/oauth/token', opens: was200,
  show: (at, token) => rawRequest(at.writ.url, form('/oauth/token', { ...fields(token), ...(name.includes('access_token') ? {} : NEW_TASK) }, [proofHeader(at, '/oauth/token')])),
})

/** Every place where somebody may show who he is. */
export const DOORS: readonly Door[] = [
  atWhoAmI('Bearer', (_, token) => [['authorization', `Bearer ${token}`]]),
  atWhoAmI('DPoP', (at, token) => [['authorization', `DPoP ${token}`], ['dpop', at.proof({ htm: 'GET', path: '/v1/whoami', token })]]),
  atWhoAmI('the DPoP header', async (at, token) => [['authorization', `DPoP ${await boundToken(at)}`], ['dpop', token]]),
  {
    name: 'an operator\'s door', htm: 'GET', path: '/v1/identities', opens: was200,
    show: (at, token) => rawRequest(at.writ.url, { path: '/v1/identities', headers: [['authorization', `Bearer ${token}`]] }),
  },
  {
    name: 'the first sign-in', htm: 'POST', path: '/v1/bootstrap', opens: was200,
    show: (at, token) => rawRequest(at.writ.url, { method: 'POST', path: '/v1/bootstrap', headers: [['content-type', 'application/json']], body: JSON.stringify({ code: token, operator: 'x' }) }),
  },
  {
    name: 'the DPoP header of a token request', htm: 'POST', path: '/oauth/token', opens: was200,
    show: (at, token) => rawRequest(at.writ.url, form('/oauth/token', {
      grant_type: 'client_credentials', client_assertion_type: JWT_BEARER_CLIENT, client_assertion: at.sign('registered key', {}, at.claims('client assertion')), ...NEW_TASK,
    }, [['dpop', token]])),
  },
  atToken('client_assertion', (token) => ({ grant_type: 'client_credentials', client_assertion_type: JWT_BEARER_CLIENT, client_assertion: token })),
  atToken('client_assertion, as an SVID', (token) => ({ grant_type: 'client_credentials', client_assertion_type: JWT_SPIFFE_CLIENT, client_assertion: token })),
  atToken('assertion', (token) => ({ grant_type: JWT_BEARER, assertion: token })),
  atToken('subject_token, as a JWT', (token) => ({ grant_type: EXCHANGE, subject_token: token, subject_token_type: `${TYPE}jwt` })),
  atToken('subject_token, as an ID token', (token) => ({ grant_type: EXCHANGE, subject_token: token, subject_token_type: `${TYPE}id_token` })),
  atToken('subject_token, as an access_token', (token) => ({ grant_type: EXCHANGE, subject_token: token, subject_token_type: ACCESS_TOKEN })),
  {
    name: 'introspection', htm: 'POST', path: '/oauth/introspect', opens: (answer) => was200(answer) && (JSON.parse(answer.text) as { active: boolean }).active,
    show: (at, token) => rawRequest(at.writ.url, form('/oauth/introspect', { token }, [['authorization', `Bearer ${at.writ.operatorKey}`]])),
  },
  {
    name: 'whoever introspects, as a bearer', htm: 'POST', path: '/oauth/introspect', opens: was200,
    show: (at, token) => rawRequest(at.writ.url, form('/oauth/introspect', { token: 'x' }, [['authorization', `Bearer ${token}`]])),
  },
  {
    name: 'whoever introspects, by client_assertion', htm: 'POST', path: '/oauth/introspect', opens: was200,
    show: (at, token) => rawRequest(at.writ.url, form('/oauth/introspect', { token: 'x', client_assertion_type: JWT_BEARER_CLIENT, client_assertion: token })),
  },
]

export const doorNamed = (name: string): Door => DOORS.find((door) => door.name === name) ?? assert.fail(`there is no door \`${name}\``)

const BOUND = new WeakMap<EvidenceEstate, Promise<string>>()

/** One bound token for all of the tests of an estate that are not about it. */
export function boundToken(at: EvidenceEstate): Promise<string> {
  const known = BOUND.get(at) ?? at.accessToken().then(({ token }) => token)
  BOUND.set(at, known)
  return known
}

/** How many tasks there are. */
export const countTasks = async (writ: RunningWrit): Promise<number> => (await writ.operator(tasks.listTasks, { query: { limit: '500' } })).reply.tasks.length
