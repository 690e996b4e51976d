import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { exportJWK, generateKeyPair, SignJWT, decodeJwt, type CryptoKey, type JWTPayload } from 'jose'

type Claims = Readonly<Record<string, unknown>>
/** What it answers at one of its addresses, before it is sent. */
type Answered = { status: number; body: Record<string, unknown> }
type Context = { readonly path: string; status: number; body: Record<string, unknown>; readonly req: IncomingMessage; readonly res: ServerResponse; respond?: boolean }

type Provider = {
  readonly callback: () => (request: IncomingMessage, response: ServerResponse) => void
  readonly use: (middleware: (context: Context, next: () => Promise<void>) => Promise<void>) => void
  readonly interactionFinished: (request: IncomingMessage, response: ServerResponse, result: object) => Promise<void>
}

/** A real `oidc-provider` with one client, where whoever comes is `person` and agrees to everything. */
export type OpenIdProvider = {
  readonly issuer: string
  /** Settings of a Writ that knows it. */
  readonly env: NodeJS.ProcessEnv
  readonly secretFile: string
  /** Who signs in next, and what is said of them. */
  person: Claims & { readonly sub: string }
  /** The person says no. */
  declines: boolean
  /** Changes what it answers at `/token`, `/me`, `/jwks` or the discovery document. */
  tamper: ((path: string, answered: Answered) => Promise<void> | void) | undefined
  /** How often each address was asked. */
  readonly asked: Map<string, number>
  /** Another ID token in place of the one in the answer, signed with the provider's own key. */
  readonly resigned: (body: Record<string, unknown>, claims: (own: JWTPayload) => JWTPayload) => Promise<void>
  /** Nobody listens any more, until it is up again at the same address. */
  readonly down: () => Promise<void>
  readonly up: () => Promise<void>
  readonly stop: () => Promise<void>
}

const CLIENT = 'writ'
const SECRET = 'the secret of the client, with : and % in it'

/** `callbacks`: where it may send browsers; of this machine the port is not looked at (RFC 8252 §7.3). */
export async function startOpenIdProvider(): Promise<OpenIdProvider> {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const issuer = `http://127.0.0.1:${port}`
  const { privateKey } = await generateKeyPair('ES256', { extractable: true })
  const folder = mkdtempSync(join(tmpdir(), 'writ-oidc-'))
  const secretFile = join(folder, 'secret')
  writeFileSync(secretFile, `${SECRET}\n`, { mode: 0o600 })
  const own: OpenIdProvider = {
    issuer, secretFile, person: { sub: 'nobody' }, declines: false, tamper: undefined, asked: new Map(),
    env: { WRIT_OIDC_ISSUER: issuer, WRIT_OIDC_CLIENT_ID: CLIENT, WRIT_OIDC_CLIENT_SECRET_FILE: secretFile, WRIT_OIDC_SCOPES: 'openid profile email groups', WRIT_OUTBOUND_ALLOW: `127.0.0.1:${port}` },
    resigned: async (body, claims) => { body['id_token'] = await signed(privateKey, claims(decodeJwt(String(body['id_token'])))) },
    async down() {
      server.closeAllConnections()
      await new Promise((done) => { server.close(done) })
    },
    async up() {
      server.listen(port, '127.0.0.1')
      await once(server, 'listening')
    },
    async stop() {
      rmSync(folder, { recursive: true })
      server.closeAllConnections()
      if (server.listening) await new Promise((done) => { server.close(done) })
    },
  }
  const provider = await providerOf(own, { ...(await exportJWK(privateKey)), kid: KID, alg: 'ES256', use: 'sig' })
  server.on('request', provider.callback())
  return own
}

const KID = 'the-key'
const signed = (key: CryptoKey, claims: JWTPayload): Promise<string> => new SignJWT(claims).setProtectedHeader({ alg: 'ES256', kid: KID }).sign(key)

async function providerOf(own: OpenIdProvider, key: object): Promise<Provider> {
  const { default: Made } = await import('oidc-provider' as string) as { readonly default: new (issuer: string, settings: object) => Provider }
  const quiet = console.info
  console.info = () => undefined
  const provider = new Made(own.issuer, {
    jwks: { keys: [key] },
    clients: [{
      client_id: CLIENT, client_secret: SECRET, application_type: 'native', redirect_uris: ['http://localhost/sign-in/oidc/callback'], grant_types: ['authorization_code'], response_types: ['code'],
      id_token_signed_response_alg: 'ES256', token_endpoint_auth_method: 'client_secret_basic',
    }],
    scopes: ['openid', 'profile', 'email', 'groups'],
    claims: { openid: ['sub'], profile: ['name', 'preferred_username'], email: ['email', 'email_verified'], groups: ['groups'] },
    pkce: { required: () => true },
    cookies: { keys: ['of a test'] },
    features: { devInteractions: { enabled: false } },
    interactions: { url: (_: unknown, { uid }: { readonly uid: string }) => `/interaction/${uid}` },
    findAccount: (_: unknown, sub: string) => ({ accountId: sub, claims: () => ({ ...own.person, sub }) }),
    async loadExistingGrant({ oidc }: { readonly oidc: GrantContext }) {
      const grant = new oidc.provider.Grant({ clientId: CLIENT, accountId: oidc.session.accountId })
      grant.addOIDCScope('openid profile email groups')
      await grant.save()
      return grant
    },
  })
  console.info = quiet
  provider.use(async (context, next) => {
    own.asked.set(context.path, (own.asked.get(context.path) ?? 0) + 1)
    if (context.path.startsWith('/interaction/')) {
      const result = own.declines ? { error: 'access_denied', error_description: 'no' } : { login: { accountId: own.person.sub }, consent: {} }
      context.respond = false
      return provider.interactionFinished(context.req, context.res, result)
    }
    await next()
    if (own.tamper !== undefined && typeof context.body === 'object' && context.body !== null) {
      const answered: Answered = { status: context.status, body: structuredClone(context.body) }
      await own.tamper(context.path, answered)
      Object.assign(context, answered)
    }
  })
  return provider
}

type GrantContext = {
  readonly session: { readonly accountId: string }
  readonly provider: { readonly Grant: new (of: object) => { addOIDCScope(scope: string): void; save(): Promise<string> } }
}

export type Landed = { readonly url: URL; readonly status: number; readonly steps: readonly URL[]; readonly headers: Headers }

/** As much of a browser as redirects and cookies need; it knows hosts apart, and no page. */
export type RedirectBrowser = {
  readonly cookies: Map<string, Map<string, string>>
  /** Follows redirects until there are none, or until `stopAt` says that it is far enough: then that address is not called. */
  readonly go: (url: string, stopAt?: (url: URL) => boolean) => Promise<Landed>
}

export function redirectBrowser(): RedirectBrowser {
  const cookies = new Map<string, Map<string, string>>()
  const jarOf = ({ hostname }: URL): Map<string, string> => cookies.get(hostname) ?? (cookies.set(hostname, new Map()), cookies.get(hostname)!)
  return {
    cookies,
    async go(begin, stopAt = () => false) {
      const steps: URL[] = []
      for (let url = new URL(begin); ;) {
        steps.push(url)
        const cookie = [...jarOf(url)].map(([name, value]) => `${name}=${value}`).join('; ')
        const answer = await fetch(url, { redirect: 'manual', headers: cookie === '' ? {} : { cookie } })
        for (const line of answer.headers.getSetCookie()) keep(jarOf(url), line)
        const next = answer.headers.get('location')
        await answer.body?.cancel()
        if (next === null) return { url, status: answer.status, steps, headers: answer.headers }
        url = new URL(next, url)
        if (stopAt(url)) return { url, status: answer.status, steps, headers: answer.headers }
        if (steps.length > 20) throw new Error(`it leads nowhere: ${steps.join(' ')}`)
      }
    },
  }
}

function keep(jar: Map<string, string>, line: string): void {
  const [pair, ...attributes] = line.split(';').map((one) => one.trim())
  const [name, value] = [pair!.slice(0, pair!.indexOf('=')), pair!.slice(pair!.indexOf('=') + 1)]
  const isGone = attributes.some((one) => /^max-age=0$/i.test(one) || (/^expires=/i.test(one) && Date.parse(one.slice(8)) < Date.now()))
  if (isGone || value === '') jar.delete(name)
  else jar.set(name, value)
}
