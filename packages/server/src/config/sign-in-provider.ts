import { resolve } from 'node:path'

/** The organisation's OpenID provider, by which people sign in. */
export type SignInProviderSettings = {
  /** Exactly as its discovery document and its tokens name it. */
  readonly issuer: string
  readonly clientId: string
  /** Read anew whenever it is needed, so that another secret needs no restart. */
  readonly clientSecretFile: string
  /** The claim that names a person's groups. */
  readonly groupsClaim: string
  readonly scopes: readonly string[]
}

export const SIGN_IN_PROVIDER_SETTINGS = ['WRIT_OIDC_ISSUER', 'WRIT_OIDC_CLIENT_ID', 'WRIT_OIDC_CLIENT_SECRET_FILE', 'WRIT_OIDC_GROUPS_CLAIM', 'WRIT_OIDC_SCOPES'] as const

type Environment = Readonly<Record<string, string | undefined>>
type Fault = (setting: (typeof SIGN_IN_PROVIDER_SETTINGS)[number], message: string) => void

const USUAL_SCOPES = 'openid profile email'

/** Null where people sign in by passkeys alone. What can not be used is told, and leaves it out. */
export function readSignInProvider(env: Environment, dataDirectory: string, fault: Fault): SignInProviderSettings | null {
  const [issuer, clientId, secretFile] = [env.WRIT_OIDC_ISSUER, env.WRIT_OIDC_CLIENT_ID, env.WRIT_OIDC_CLIENT_SECRET_FILE]
  const others = SIGN_IN_PROVIDER_SETTINGS.filter((name) => name !== 'WRIT_OIDC_ISSUER' && env[name])
  if (!issuer) {
    if (others.length > 0) fault('WRIT_OIDC_ISSUER', `is missing: ${others.join(', ')} ${others.length === 1 ? 'is' : 'are'} of no use without it`)
    return null
  }
  if (!isIssuer(issuer)) fault('WRIT_OIDC_ISSUER', 'must be an `https://` URL without a query, exactly as the provider calls itself')
  if (!clientId) fault('WRIT_OIDC_CLIENT_ID', 'is missing: what the provider calls this client')
  else if (!/^[\x21-\x7e]{1,255}$/.test(clientId)) fault('WRIT_OIDC_CLIENT_ID', 'must be 1 to 255 visible ASCII characters')
  if (!secretFile) fault('WRIT_OIDC_CLIENT_SECRET_FILE', 'is missing: the file that holds the client\'s secret, readable by Writ alone')
  else if (resolve(secretFile).startsWith(`${dataDirectory}/`)) fault('WRIT_OIDC_CLIENT_SECRET_FILE', 'must lie outside of WRIT_DATA: a copy of the data must hold no secret')
  const groupsClaim = env.WRIT_OIDC_GROUPS_CLAIM || 'groups'
  if (!/^[\x21-\x7e]{1,200}$/.test(groupsClaim)) fault('WRIT_OIDC_GROUPS_CLAIM', 'must be the name of one claim, such as `groups`')
  const scopes = (env.WRIT_OIDC_SCOPES || USUAL_SCOPES).split(/ +/).filter((one) => one !== '')
  // RFC 6749 §3.3 scope-token; OpenID Connect Core 1.0 §3.1.2.1: without `openid` there is no ID token.
  if (!scopes.includes('openid') || !scopes.every((one) => /^[\x21\x23-\x5b\x5d-\x7e]+$/.test(one))) fault('WRIT_OIDC_SCOPES', 'must be scopes with spaces between them, and `openid` among them')
  return { issuer, clientId: clientId ?? '', clientSecretFile: resolve(secretFile ?? ''), groupsClaim, scopes }
}

/** OpenID Connect Core 1.0 §1.2, Issuer Identifier. Plain http only for a provider on this machine, which WRIT_OUTBOUND_ALLOW has to name too. */
function isIssuer(text: string): boolean {
  const url = URL.parse(text)
  if (url === null || url.search !== '' || url.hash !== '' || url.username !== '' || url.password !== '' || /[?#\s]/.test(text)) return false
  return url.protocol === 'https:' || (url.protocol === 'http:' && ['localhost', '127.0.0.1', '[::1]'].includes(url.hostname))
}
