import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { pathOf, type Endpoint } from '@writ/contract/endpoint'
import * as people from '@writ/contract/people'
import { mintId, type PersonId, type SignInId } from '@writ/domain/id'
import type { Role } from '@writ/domain/person'
import { SECRET_PREFIX, toSecret } from '@writ/domain/secret'
import { epochMs } from '@writ/domain/time'
import { signInSecretHash } from '../src/authenticate/sign-in.ts'
import { softAuthenticator, type SoftAuthenticator } from './authenticator.ts'
import { inStoreOf } from './kept.ts'
import type { Api, Ask, Got, RunningWrit } from './running-writ.ts'

type Where = Pick<RunningWrit, 'url' | 'issuer'>

/** Somebody who has signed in, with the passkey that they have. */
export type SignedInPerson = {
  readonly id: PersonId
  readonly signIn: SignInId
  readonly email: string | null
  /** Sends the cookie as their browser does from our own pages, or the bearer value as their command line does. */
  readonly api: Api
  /** The `cookie` header; '' of the command line. */
  readonly cookie: string
  /** The secret behind it. */
  readonly secret: string
  /** What WebAuthn takes for the page's place. */
  readonly origin: string
  readonly authenticator: SoftAuthenticator
  /** Confirms by the passkey that they are there. */
  stepUp(): Promise<Got<people.SignInReply>>
}

export type SignInOrder = {
  readonly roles?: readonly Role[]
  readonly groups?: readonly string[]
  readonly email?: string | null
  readonly name?: string
  readonly kind?: 'browser' | 'cli'
  /** Without one where false. */
  readonly passkey?: boolean
  /** Of whoever has signed in before, for one more sign-in. */
  readonly as?: PersonId
  /** Their sign-in is near its end: by disuse, or in any case. */
  readonly until?: { readonly idle?: number; readonly over?: number }
}

/**
 * Somebody signed in, past every door: the rows stand in the store as a sign-in would leave them, but for the events. The passkey is enrolled
 * as it is by everybody, so that it has its event.
 */
export async function signInAs(writ: RunningWrit, order: SignInOrder = {}): Promise<SignedInPerson> {
  const now = Date.now()
  const person = order.as ?? mintId('person', epochMs(now), randomBytes(10))
  const signIn = mintId('signIn', epochMs(now), randomBytes(10))
  const email = order.email === undefined ? null : order.email
  const kind = order.kind ?? 'browser'
  const secret = toSecret(SECRET_PREFIX.signIn, randomBytes(32))
  if (order.as === undefined) {
    await inStoreOf(writ, 'insert into person (id, issuer, subject, name, email, group_names, registered_at, signed_in_at) values ($1, $2, $3, $4, $5, $6, $7, $8) returning id',
      [person, 'https://idp.example', person, order.name ?? email ?? 'somebody', email, JSON.stringify(order.groups ?? []), now, now])
  }
  for (const role of order.roles ?? []) {
    await inStoreOf(writ, 'insert into person_role (person_id, role, given_by, given_at) values ($1, $2, $3, $4) returning role', [person, role, 'opr_of_the_test', now])
  }
  await inStoreOf(writ, 'insert into sign_in (id, person_id, secret_hash, kind, how, made_at, idle_until, ends_at) values ($1, $2, $3, $4, $5, $6, $7, $8) returning id',
    [signIn, person, Buffer.from(signInSecretHash(secret)), kind, 'oidc', now, order.until?.idle ?? order.until?.over ?? now + 1_800_000, order.until?.over ?? now + 43_200_000])
  const signedIn = signedInPerson(writ, { person, signIn, email, kind, secret, authenticator: softAuthenticator() })
  if (order.passkey !== false) await enrol(signedIn)
  return signedIn
}

/** The whole way of a one-time link: what `writ up` prints, or an invitation. */
export async function comeByLink(writ: Where, link: string, name: string): Promise<SignedInPerson> {
  const code = link.trim().split('#')[1]!
  const authenticator = softAuthenticator()
  const stranger = browser(writ, '')
  const begun = await stranger(people.beginPersonByLink, { body: { code, name } })
  assert.equal(begun.status, 200, begun.text)
  const response = authenticator.make(begun.reply.options, originOf(writ))
  const done = await stranger(people.registerPersonByLink, { body: { code, name, response } })
  assert.equal(done.status, 201, done.text)
  return signedInPerson(writ, {
    person: done.reply.person.id as PersonId, signIn: done.reply.sign_in.id as SignInId, email: done.reply.person.email, kind: 'browser', secret: secretIn(done), authenticator,
  })
}

/** What an answer sets the cookie to. */
export const secretIn = (got: Pick<Got<unknown>, 'headers'>): string => /^__Host-writ=([^;]*);/.exec(got.headers.get('set-cookie') ?? '')?.[1] ?? ''

/** Where the console is: passkeys are bound to a name, never to an address. */
export const originOf = ({ url, issuer }: Where): string => (issuer === url ? `${new URL(url).protocol}//localhost:${new URL(url).port}` : new URL(issuer).origin)

export async function enrol({ api, authenticator, origin }: Pick<SignedInPerson, 'api' | 'authenticator' | 'origin'>): Promise<people.PasskeyReply> {
  const begun = await api(people.beginPasskey)
  assert.equal(begun.status, 200, begun.text)
  const done = await api(people.enrolPasskey, { body: { name: 'of the test', response: authenticator.make(begun.reply.options, origin) } })
  assert.equal(done.status, 201, done.text)
  return done.reply
}

type Made = Pick<SignedInPerson, 'email' | 'secret' | 'authenticator' | 'signIn'> & { readonly person: PersonId; readonly kind: 'browser' | 'cli' }

function signedInPerson(writ: Where, { person: id, signIn, email, kind, secret, authenticator }: Made): SignedInPerson {
  const [cookie, origin] = [kind === 'browser' ? `__Host-writ=${secret}` : '', originOf(writ)]
  const api = kind === 'browser' ? browser(writ, cookie) : withHeaders(writ, { authorization: `Bearer ${secret}` })
  return {
    id, signIn, email, api, cookie, secret, origin, authenticator,
    async stepUp() {
      const begun = await api(people.beginStepUp)
      return api(people.stepUp, { body: { response: authenticator.sign(begun.reply.options, origin) } })
    },
  }
}

/** A browser on one of our own pages. */
export const browser = (writ: Where, cookie: string): Api =>
  withHeaders(writ, { ...(cookie === '' ? {} : { cookie }), origin: originOf(writ), 'sec-fetch-site': 'same-origin' })

function withHeaders({ url }: Where, headers: Readonly<Record<string, string>>): Api {
  return async (of, ask = {}) => call(url, of, { ...ask, headers: { ...headers, ...ask.headers } })
}

async function call(url: string, of: Endpoint, ask: Ask) {
  const query = ask.query === undefined ? '' : `?${new URLSearchParams(ask.query).toString()}`
  const answer = await fetch(`${url}${pathOf(of, ask.parameters)}${query}`, {
    method: of.method, headers: { ...(of.method === 'GET' ? {} : { 'content-type': 'application/json' }), ...ask.headers },
    ...(of.method === 'GET' ? {} : { body: typeof ask.body === 'string' ? ask.body : JSON.stringify(ask.body ?? {}) }),
  })
  const text = await answer.text()
  const value: unknown = /^application\/(problem\+)?json\b/.test(answer.headers.get('content-type') ?? '') && text !== '' ? JSON.parse(text) : text
  return { status: answer.status, headers: answer.headers, reply: value as never, problem: value as never, text }
}
