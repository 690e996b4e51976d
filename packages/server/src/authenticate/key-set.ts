import { ok, refuse, type Outcome } from '@writ/domain/outcome'
import type { IssuerKind } from '@writ/domain/binding'
import { parseRegisteredKey, type KeyRefusal, type VerificationKey } from './registered-key.ts'

/** A key of an issuer, by the name under which the issuer signs with it. */
export type IssuerKey = VerificationKey & { readonly kid: string | null }

export type KeySetRefusal =
  | { readonly kind: 'not_a_key_set' }
  | { readonly kind: 'too_many_keys'; readonly count: number; readonly most: number }
  | { readonly kind: 'kid_missing'; readonly at: number }

/** What was left out, by its place in the set. */
export type LeftOut = { readonly at: number; readonly because: KeyRefusal['kind'] | 'kid_not_text' | 'kid_taken_twice' | 'for_another_use' }

export type KeySet = { readonly keys: readonly IssuerKey[]; readonly leftOut: readonly LeftOut[] }

export const MOST_KEYS_IN_A_SET = 100
const LONGEST_KID = 512

/**
 * Reads an RFC 7517 §5 JWK Set. A key that we can not use, or that shows what nobody may know, is left out and the rest holds: an issuer may
 * publish keys for others too. Keys that share a name are all left out, for nobody can tell which of them is meant (RFC 7517 §4.5).
 *
 * Of a SPIFFE bundle only the keys for JWT-SVIDs count, and each of them has a name (JWT-SVID §6.1, §6.2). A set in which no key says a use is
 * what the Workload API hands out: all of it is for JWT-SVIDs, though the letter of §6.2 has none there.
 */
export function parseKeySet(claimed: unknown, kind: IssuerKind): Outcome<KeySet, KeySetRefusal> {
  const listed = memberOf(claimed, 'keys')
  if (!Array.isArray(listed)) return refuse({ kind: 'not_a_key_set' })
  const members = listed as readonly unknown[]
  if (members.length > MOST_KEYS_IN_A_SET) return refuse({ kind: 'too_many_keys', count: members.length, most: MOST_KEYS_IN_A_SET })
  const saysUse = members.some((member) => memberOf(member, 'use') !== undefined)
  const found: (IssuerKey & { readonly at: number })[] = []
  const leftOut: LeftOut[] = []
  for (const [at, member] of members.entries()) {
    if (kind === 'spiffe' && saysUse && memberOf(member, 'use') !== 'jwt-svid') {
      leftOut.push({ at, because: 'for_another_use' })
      continue
    }
    const kid = memberOf(member, 'kid')
    if (kind === 'spiffe' && kid === undefined) return refuse({ kind: 'kid_missing', at })
    if (kid !== undefined && (typeof kid !== 'string' || kid === '' || kid.length > LONGEST_KID)) {
      leftOut.push({ at, because: 'kid_not_text' })
      continue
    }
    const key = parseRegisteredKey(kind === 'spiffe' ? withoutUse(member) : member)
    if (key.ok) found.push({ ...key.value, kid: kid ?? null, at })
    else leftOut.push({ at, because: key.refusal.kind })
  }
  const twice = new Set(found.filter(({ kid }, i) => kid !== null && found.some((other, j) => i !== j && other.kid === kid)).map(({ kid }) => kid))
  const keys = found.filter(({ kid }) => !twice.has(kid)).map(({ at: _at, ...key }) => key)
  leftOut.push(...found.filter(({ kid }) => twice.has(kid)).map(({ at }) => ({ at, because: 'kid_taken_twice' as const })))
  return ok({ keys, leftOut })
}

const memberOf = (member: unknown, name: string): unknown =>
  typeof member === 'object' && member !== null && Object.hasOwn(member, name) ? (member as Readonly<Record<string, unknown>>)[name] : undefined

function withoutUse(member: unknown): unknown {
  if (typeof member !== 'object' || member === null || Array.isArray(member)) return member
  const { use: _use, ...rest } = member as Readonly<Record<string, unknown>>
  return rest
}
