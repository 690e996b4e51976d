import { parseStrictJson } from '@writ/contract/strict-json'
import { ok, refuse, type Outcome } from '@writ/domain/outcome'
import { fromBase64url } from '../platform/base64url.ts'
import type { AuthenticateRefusal } from './authenticator.ts'
import { algOf, type SignatureAlg } from './registered-key.ts'
import { textOf } from '../platform/utf8.ts'

/** What a token says of itself before anybody has checked its signature. */
export type ClaimedJws = {
  readonly alg: SignatureAlg
  readonly claimedKid: string | undefined
  /** Only where a token may bring its own key: a DPoP proof. */
  readonly claimedJwk: unknown
  readonly claims: Readonly<Record<string, unknown>>
}

/** Much longer than any honest token; read before anything else is. */
export const LONGEST_TOKEN = 8192

/**
 * Header members that bring a key, name a place to fetch one from, or change how the rest is read. A key comes from the registry and from
 * nowhere else (RFC 8725 §3.10), and we understand no extension (RFC 7515 §4.1.11).
 */
const FORBIDDEN_MEMBERS = ['crit', 'b64', 'jwk', 'jku', 'x5u', 'x5c', 'cty', 'enc', 'zip', 'epk', 'p2c', 'p2s'] as const

type Types = ReadonlySet<string | undefined>

const FORBIDDEN_MEMBERS_OF_PROOF = FORBIDDEN_MEMBERS.filter((member) => member !== 'jwk')

/**
 * Reads an RFC 7515 §7.1 compact token. It has one spelling only: strict base64url and strict JSON, so that two readers never see two tokens,
 * nor one reader one token twice. `types` are the values of `typ` that mean this use; undefined stands for no `typ` (RFC 8725 §3.11).
 */
export function readCompactJws(token: string, types: Types): Outcome<ClaimedJws, AuthenticateRefusal> {
  return readJws(token, types, FORBIDDEN_MEMBERS)
}

/** RFC 9449 §4.2: the one kind of token that brings its own key, since all that it proves is that its maker holds that key. */
export function readProofJws(token: string, types: Types): Outcome<ClaimedJws, AuthenticateRefusal> {
  return readJws(token, types, FORBIDDEN_MEMBERS_OF_PROOF)
}

function readJws(token: string, types: Types, forbiddenMembers: readonly string[]): Outcome<ClaimedJws, AuthenticateRefusal> {
  if (token.length > LONGEST_TOKEN) return refuse({ kind: 'token_too_long', most: LONGEST_TOKEN })
  const [headerText = '', payloadText = '', signatureText = '', ...more] = token.split('.')
  const signature = fromBase64url(signatureText)
  if (more.length > 0 || signature === undefined || signature.length === 0) return refuse({ kind: 'malformed_token', part: 'segments' })

  const header = objectOf(headerText)
  if (header === undefined) return refuse({ kind: 'malformed_token', part: 'header' })
  const forbidden = forbiddenMembers.find((member) => Object.hasOwn(header, member))
  if (forbidden !== undefined) return refuse({ kind: 'header_not_allowed', member: forbidden })
  const { alg: headerAlg, typ, kid: claimedKid, jwk: claimedJwk } = header
  const alg = typeof headerAlg === 'string' ? algOf(headerAlg) : undefined
  if (alg === undefined) return refuse({ kind: 'alg_not_allowed' })
  if ((typ !== undefined && typeof typ !== 'string') || !types.has(typ)) return refuse({ kind: 'typ_not_allowed' })
  if (claimedKid !== undefined && typeof claimedKid !== 'string') return refuse({ kind: 'header_not_allowed', member: 'kid' })

  const claims = objectOf(payloadText)
  if (claims === undefined) return refuse({ kind: 'malformed_token', part: 'payload' })
  return ok({ alg, claimedKid, claimedJwk, claims })
}

/**
 * Claims of tokens for other uses that may wear the plain type: a sign-in of a person at a browser (OpenID Connect Core 1.0 §2, §3.1.3.6,
 * §3.3.2.11), a security event (RFC 8417 §2.2), a DPoP proof (RFC 9449 §4.2).
 */
const OTHER_USES = ['nonce', 'at_hash', 'c_hash', 's_hash', 'events', 'htm', 'htu', 'ath'] as const

/** The claim by which a token shows that it was made for something else than to say who its subject is. */
export const claimOfAnotherUse = (claims: ClaimedJws['claims']): string | undefined => OTHER_USES.find((claim) => Object.hasOwn(claims, claim))

/** What a token says of its kind and of whose it is, to choose who reads it: nothing that is believed. */
export type ClaimedKind = { readonly typ: unknown; readonly iss: unknown; readonly sub: unknown }

/** Undefined for what is no compact token at all. */
export function claimedKindOf(token: string): ClaimedKind | undefined {
  if (token.length > LONGEST_TOKEN) return undefined
  const [headerText = '', payloadText = ''] = token.split('.', 2)
  const [header, claims] = [objectOf(headerText), objectOf(payloadText)]
  return header && claims && { typ: header.typ, iss: claims.iss, sub: claims.sub }
}

function objectOf(segment: string): Readonly<Record<string, unknown>> | undefined {
  const bytes = fromBase64url(segment)
  const text = bytes && textOf(bytes)
  const parsed = text === undefined ? undefined : parseStrictJson(text, { depth: 8, keys: 100 })
  if (!parsed?.ok || typeof parsed.value !== 'object' || parsed.value === null || Array.isArray(parsed.value)) return undefined
  return parsed.value as Readonly<Record<string, unknown>>
}
