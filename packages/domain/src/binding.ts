import { ok, refuse, type Outcome } from './outcome.ts'
import { parseSpiffeId, trustDomainOf } from './spiffe-id.ts'

/** Who vouches for workloads: an OpenID provider by its URL, or a SPIFFE trust domain by `spiffe://example.org`. */
export const ISSUER_KINDS = ['oidc', 'spiffe'] as const
export type IssuerKind = (typeof ISSUER_KINDS)[number]

declare const checked: unique symbol

/**
 * Claim -> what it must say: a text, one of several texts, or a text that ends in `*` and stands for all that begin so. A claim is named by its
 * own name, or by an RFC 6901 JSON Pointer where it lies deeper: `/kubernetes.io/namespace`. All of them must hold.
 */
export type ClaimMatchers = Readonly<Record<string, string | readonly string[]>> & { readonly [checked]: true }

export type MatcherFault =
  | 'no_claims' | 'too_many_claims' | 'bad_name' | 'named_twice' | 'checked_anyway' | 'empty' | 'too_long' | 'matches_anything'
  | 'star_not_at_the_end' | 'star_in_a_list' | 'too_many_texts' | 'subject_not_named' | 'not_of_the_trust_domain'

/** `claim` is the name as it was written; none where the whole is at fault. */
export type MatcherRefusal = { readonly kind: MatcherFault; readonly claim: string | null }

export const MOST_CLAIMS = 20
export const MOST_TEXTS = 20
const LONGEST_NAME = 200
const LONGEST_TEXT = 2048
const DEEPEST = 8

/** Every token is held to these by itself, and what a binding said of them would be a second opinion. */
const CHECKED_ANYWAY: ReadonlySet<string> = new Set(['iss', 'aud', 'exp', 'nbf', 'iat', 'jti', 'nonce', 'cnf'])

/** Beginnings of a subject that name nobody: what stands behind them is chosen by anyone whom the issuer knows. */
const NAMES_NOBODY = /^(?:(?:repo|project_path|organization|system|system:serviceaccount):|[a-z][a-z0-9+.-]*:\/+|[:/]+)$/i

/** Issuers that anybody can join: a token proves something only together with who owns the place that it came from. */
const SHARED_ISSUERS: readonly { readonly url: RegExp; readonly owners: readonly string[]; readonly subject: RegExp }[] = [
  {
    url: /^https:\/\/token\.actions\.githubusercontent\.com(?:\/|$)/,
    owners: ['repository', 'repository_id', 'repository_owner', 'repository_owner_id', 'workflow_ref'], subject: /^repo:[^/:*]+\/./,
  },
  { url: /^https:\/\/gitlab\.com$/, owners: ['project_path', 'project_id', 'namespace_path', 'namespace_id'], subject: /^project_path:[^/:*]+\/./ },
]

/** Matchers as somebody writes them. */
export type AskedMatchers = Readonly<Record<string, string | readonly string[]>>
type MatchedIssuer = { readonly kind: IssuerKind; readonly url: string }

/** Reads the matchers of a binding as somebody writes them. R36: none is empty or stands for anything, and together they name a subject. */
export function parseMatchers(issuer: MatchedIssuer, asked: AskedMatchers): Outcome<ClaimMatchers, MatcherRefusal> {
  const names = Object.keys(asked)
  if (names.length === 0) return refuse({ kind: 'no_claims', claim: null })
  if (names.length > MOST_CLAIMS) return refuse({ kind: 'too_many_claims', claim: null })
  const matchers = new Map<string, string | readonly string[]>()
  for (const claim of names) {
    const steps = stepsOf(claim)
    if (steps === undefined) return refuse({ kind: 'bad_name', claim })
    const name = steps.length > 1 ? claim : nameOf(steps[0]!)
    if (CHECKED_ANYWAY.has(name)) return refuse({ kind: 'checked_anyway', claim })
    if (matchers.has(name)) return refuse({ kind: 'named_twice', claim })
    const fault = faultOf(asked[claim]!)
    if (fault !== undefined) return refuse({ kind: fault, claim })
    matchers.set(name, normal(asked[claim]!))
  }
  const fault = issuer.kind === 'spiffe' ? spiffeFault(issuer.url, matchers.get('sub')) : subjectFault(issuer.url, matchers)
  if (fault !== undefined) return refuse({ kind: fault, claim: matchers.has('sub') ? 'sub' : null })
  return ok(Object.fromEntries([...matchers].toSorted(([a], [b]) => (a < b ? -1 : 1))) as unknown as ClaimMatchers)
}

/** Whether every matcher finds its claim and likes it. Only a text can be liked: no number, no list. */
export function claimsMatch(matchers: ClaimMatchers, claims: Readonly<Record<string, unknown>>): boolean {
  return Object.entries(matchers).every(([claim, matcher]) => {
    const said = valueAt(claims, stepsOf(claim)!)
    return typeof said === 'string' && textMatches(matcher, said)
  })
}

/** The one text that the subject must be; undefined where it may be several, or is not named. */
export function exactSubject(matchers: ClaimMatchers): string | undefined {
  const { sub } = matchers
  return typeof sub === 'string' && !sub.endsWith('*') ? sub : undefined
}

function textMatches(matcher: string | readonly string[], said: string): boolean {
  if (typeof matcher !== 'string') return matcher.includes(said)
  // More than the beginning: `repo:acme/*` is not `repo:acme/`.
  return matcher.endsWith('*') ? said.length >= matcher.length && said.startsWith(matcher.slice(0, -1)) : said === matcher
}

/** One text in a list is that text; the order and repeats of a list mean nothing. */
function normal(matcher: string | readonly string[]): string | readonly string[] {
  if (typeof matcher === 'string') return matcher
  const texts = [...new Set(matcher)].toSorted()
  return texts.length === 1 ? texts[0]! : texts
}

function faultOf(matcher: string | readonly string[]): MatcherFault | undefined {
  if (typeof matcher === 'string') return textFault(matcher)
  if (matcher.length === 0) return 'empty'
  if (matcher.length > MOST_TEXTS) return 'too_many_texts'
  return matcher.map((text) => (text.includes('*') ? 'star_in_a_list' : textFault(text))).find((fault) => fault !== undefined)
}

function textFault(text: string): MatcherFault | undefined {
  if (text.trim() === '') return 'empty'
  if (text.length > LONGEST_TEXT) return 'too_long'
  if (!text.includes('*')) return undefined
  const beginning = text.slice(0, -1)
  if (/^\**$/.test(beginning)) return 'matches_anything'
  return beginning.includes('*') || !/[:/]$/.test(beginning) ? 'star_not_at_the_end' : undefined
}

function subjectFault(issuer: string, matchers: ReadonlyMap<string, string | readonly string[]>): MatcherFault | undefined {
  const subject = matchers.get('sub')
  const beginnings = [...matchers.values()].filter((matcher) => typeof matcher === 'string' && matcher.endsWith('*')) as readonly string[]
  const opens = beginnings.some((matcher) => NAMES_NOBODY.test(matcher.slice(0, -1)))
  if (opens) return 'matches_anything'
  const shared = SHARED_ISSUERS.find((one) => one.url.test(issuer))
  if (shared === undefined) return subject === undefined ? 'subject_not_named' : undefined
  if (shared.owners.some((claim) => matchers.has(claim))) return undefined
  const texts = subject === undefined ? [] : typeof subject === 'string' ? [subject] : subject
  return texts.length > 0 && texts.every((text) => shared.subject.test(text)) ? undefined : 'subject_not_named'
}

/** A subject is a workload of this trust domain, or all below a path of it; the whole trust domain is nobody. */
function spiffeFault(issuer: string, subject: string | readonly string[] | undefined): MatcherFault | undefined {
  if (subject === undefined) return 'subject_not_named'
  for (const text of typeof subject === 'string' ? [subject] : subject) {
    const isBeginning = text.endsWith('*')
    if (isBeginning && (NAMES_NOBODY.test(text.slice(0, -1)) || text === `${issuer}/*`)) return 'matches_anything'
    const id = parseSpiffeId(isBeginning ? text.slice(0, -2) : text)
    if (!id.ok || (isBeginning && !text.endsWith('/*'))) return 'not_of_the_trust_domain'
    if (`spiffe://${trustDomainOf(id.value)}` !== issuer || id.value === issuer) return 'not_of_the_trust_domain'
  }
  return undefined
}

/** A plain name is one step whatever it holds; a pointer has as many as RFC 6901 §3 and §4 say. */
function stepsOf(claim: string): readonly string[] | undefined {
  if (claim === '' || claim.length > LONGEST_NAME || claim !== claim.trim()) return undefined
  if (!claim.startsWith('/')) return [claim]
  const steps = claim.slice(1).split('/')
  if (steps.length > DEEPEST || steps.some((step) => step === '' || /~(?![01])/.test(step))) return undefined
  return steps.map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'))
}

/** The plain name of a claim on the top level, or its pointer where a plain name would read as one. */
const nameOf = (step: string): string => (step.startsWith('/') ? `/${step.replaceAll('~', '~0').replaceAll('/', '~1')}` : step)

function valueAt(claims: Readonly<Record<string, unknown>>, steps: readonly string[]): unknown {
  let at: unknown = claims
  for (const step of steps) {
    if (typeof at !== 'object' || at === null || Array.isArray(at) || !Object.hasOwn(at, step)) return undefined
    at = (at as Readonly<Record<string, unknown>>)[step]
  }
  return at
}
