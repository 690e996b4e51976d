import { readFile } from 'node:fs/promises'
import { base64url, nowSeconds, randomId, signJwt } from './dpop.ts'
import { Misconfigured, Unreachable, WritError } from './errors.ts'
import { readText as readAnswer } from './reply.ts'

/** How a workload proves who it is. */
export type Evidence = {
  /** Where it comes from, for messages. */
  readonly from: string
  /** An assertion of the identity's own key proves possession by itself; a token of another issuer is bound to a key that is shown beside it. */
  readonly kind: 'assertion' | 'workload_token'
  /** New for each request; `audience` is the server's issuer. */
  token(audience: string): Promise<string>
}

/** A private key as a JWK (RFC 7517 §4, RFC 7518 §6). */
export type PrivateJwk = Readonly<Partial<Record<'kty' | 'crv' | 'alg' | 'x' | 'y' | 'n' | 'e' | 'd', string>>>

export type Environment = Readonly<Record<string, string | undefined>>

/** Where Kubernetes puts a projected service account token when the volume is mounted as the documentation shows. */
const KUBERNETES_TOKEN = '/var/run/secrets/writ/token'
const GOOGLE_METADATA = 'http://metadata.google.internal/computeMetadata/v1/instance/service-accounts/default/identity'
const ASSERTION_LIVES_SECONDS = 60
const LONGEST_WAIT_MS = 5000

/**
 * The first of these that the environment holds: a private key that was registered (`WRIT_KEY_FILE` and `WRIT_IDENTITY`), a token file
 * (`WRIT_TOKEN_FILE`: Kubernetes, SPIFFE helpers), a token (`WRIT_ID_TOKEN`: GitLab), GitHub Actions, a projected Kubernetes token, or
 * Google Cloud's metadata server.
 */
export async function evidenceFromEnvironment(environment: Environment, call: typeof fetch = fetch): Promise<Evidence> {
  const { WRIT_KEY_FILE: keyFile, WRIT_IDENTITY: identity, WRIT_TOKEN_FILE: tokenFile, WRIT_ID_TOKEN: token } = environment
  if (keyFile) {
    if (!identity) throw new Misconfigured('WRIT_KEY_FILE is set and WRIT_IDENTITY is not', { code: 'no_identity', hint: 'set WRIT_IDENTITY to the SPIFFE ID that the key was registered for' })
    return privateKeyEvidence(identity, parseJwk(await readText(keyFile, 'WRIT_KEY_FILE'), keyFile))
  }
  if (tokenFile) return workloadTokenEvidence(tokenFile, () => readText(tokenFile, 'WRIT_TOKEN_FILE'))
  if (token) return workloadTokenEvidence('WRIT_ID_TOKEN', async () => token)
  const { ACTIONS_ID_TOKEN_REQUEST_URL: url, ACTIONS_ID_TOKEN_REQUEST_TOKEN: bearer } = environment
  if (url && bearer) return workloadTokenEvidence('GitHub Actions', (audience) => askGitHub(url, bearer, audience, call))
  if (await exists(KUBERNETES_TOKEN)) return workloadTokenEvidence(KUBERNETES_TOKEN, () => readText(KUBERNETES_TOKEN, 'the projected token'))
  if (environment.K_SERVICE) return workloadTokenEvidence('Google Cloud', (audience) => askGoogle(audience, call))
  throw new Misconfigured('nothing in the environment says who this workload is', {
    code: 'no_evidence', hint: 'set WRIT_KEY_FILE and WRIT_IDENTITY, or WRIT_TOKEN_FILE; in GitHub Actions give the job `permissions: id-token: write`',
  })
}

/** `private_key_jwt` (OpenID Connect Core 1.0 §9): an assertion of the identity's own, signed anew for each request. */
export async function privateKeyEvidence(identity: string, jwk: PrivateJwk): Promise<Evidence> {
  const { imports, signs, alg } = algorithmOf(jwk)
  const key = await crypto.subtle.importKey('jwk', jwk, imports, false, ['sign']).catch((cause: unknown) => {
    throw new Misconfigured('the private key can not be used', { code: 'bad_key', hint: 'it must be one JSON object with the member `d` (RFC 7517 §4)', cause })
  })
  const kid = await thumbprintOf(jwk)
  return {
    from: `the key of ${identity}`,
    kind: 'assertion',
    async token(audience) {
      const now = nowSeconds()
      const claims = { iss: identity, sub: identity, aud: audience, jti: randomId(), iat: now, exp: now + ASSERTION_LIVES_SECONDS }
      return signJwt({ alg, typ: 'client-authentication+jwt', kid }, claims, key, signs)
    },
  }
}

/** A token of an issuer that the server trusts (RFC 7523 §2.1): of a pipeline, a pod, a SPIFFE workload, a cloud function. */
export function workloadTokenEvidence(from: string, token: (audience: string) => Promise<string>): Evidence {
  return {
    from, kind: 'workload_token',
    async token(audience) {
      const text = (await token(audience)).trim()
      if (/^[\w-]+\.[\w-]+\.[\w-]+$/.test(text)) return text
      throw new Misconfigured(`what came from ${from} is no token of a workload`, { code: 'no_evidence', hint: 'it must be one signed JWT in compact form' })
    },
  }
}

type Algorithm = { readonly alg: string; readonly imports: Parameters<SubtleCrypto['importKey']>[2]; readonly signs: Parameters<SubtleCrypto['sign']>[0] }

function algorithmOf({ kty, crv, alg }: PrivateJwk): Algorithm {
  if (kty === 'EC' && crv === 'P-256') return both('ES256', { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' })
  if (kty === 'OKP' && crv === 'Ed25519') return both('EdDSA', { name: 'Ed25519' })
  if (kty === 'RSA' && alg === 'RS256') return both('RS256', { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' })
  if (kty === 'RSA') return both('PS256', { name: 'RSA-PSS', hash: 'SHA-256', saltLength: 32 })
  throw new Misconfigured('the private key is of a kind that can not sign for an identity', { code: 'bad_key', hint: '`writ identity key add` makes a good one' })
}

const both = <A extends { readonly name: string }>(alg: string, algorithm: A): Algorithm => ({ alg, imports: algorithm, signs: algorithm })

/** RFC 7638 §3: the required members in the order of their names. */
async function thumbprintOf({ kty, crv, x, y, n, e }: PrivateJwk): Promise<string> {
  const members = kty === 'EC' ? { crv, kty, x, y } : kty === 'OKP' ? { crv, kty, x } : { e, kty, n }
  return base64url(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(JSON.stringify(members))))
}

/** What is wrong with it is said without quoting it. */
function parseJwk(text: string, path: string): PrivateJwk {
  const value = parsed(text)
  if (typeof value === 'object' && value !== null && 'd' in value) return value as PrivateJwk
  throw new Misconfigured(`\`${path}\` (WRIT_KEY_FILE) is not a private key in JWK form`, { code: 'bad_key', hint: 'it must be one JSON object with the member `d` (RFC 7517 §4)' })
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

async function readText(path: string, what: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (cause) {
    throw new Misconfigured(`\`${path}\` (${what}) can not be read`, { code: 'unreadable_file', cause })
  }
}

const exists = (path: string): Promise<boolean> => readFile(path).then(() => true, () => false)

async function askGitHub(url: string, bearer: string, audience: string, call: typeof fetch): Promise<string> {
  const asked = new URL(url)
  asked.searchParams.set('audience', audience)
  const text = await ask('GitHub Actions', asked, { authorization: `Bearer ${bearer}`, accept: 'application/json' }, call)
  // The parser's own message would quote what may be a token.
  const value = parsed(text)
  if (typeof value === 'object' && value !== null && 'value' in value && typeof value.value === 'string') return value.value
  throw new Unreachable('GitHub Actions answered without a token', { code: 'no_evidence' })
}

async function askGoogle(audience: string, call: typeof fetch): Promise<string> {
  const asked = new URL(GOOGLE_METADATA)
  asked.searchParams.set('audience', audience)
  asked.searchParams.set('format', 'full')
  return ask('Google Cloud', asked, { 'metadata-flavor': 'Google' }, call)
}

async function ask(whom: string, url: URL, headers: Readonly<Record<string, string>>, call: typeof fetch): Promise<string> {
  try {
    const response = await call(url, { headers, redirect: 'error', signal: AbortSignal.timeout(LONGEST_WAIT_MS) })
    if (response.ok) return await readAnswer(response)
    throw new Error(`it answered ${response.status}`)
  } catch (cause) {
    if (cause instanceof WritError) throw cause
    throw new Unreachable(`${whom} gave no token for this workload`, { code: 'no_evidence', retryable: true, cause })
  }
}
