import { createHash } from 'node:crypto'
import { isIPv6 } from 'node:net'
import { refuse, type Outcome } from '@writ/domain/outcome'
import type { Clock } from '../platform/clock.ts'
import { perMinute } from '../platform/per-minute.ts'
import type { Authentication, DoorRefusal, Presented, ProvedAtDoor, ShownAtTokenEndpoint } from './authenticate.ts'
import type { AuthenticateRefusal } from './authenticator.ts'
import { claimedKindOf } from './compact-jws.ts'
import { isOperatorKey } from './operator-key.ts'

/** The address that a request comes from, as far as that can be believed. */
export type From = { readonly from: string }

/**
 * R80: how often evidence was refused, by where it came from and by whom it claimed to be. INVARIANT: who is counted depends on nothing that
 * only we know, so that whoever is not looked at learns of nobody whether he is there. A claim is counted by address too: nobody can shut
 * out an identity that comes from elsewhere.
 */
export type RefusedOften = {
  /** Whether anything from there was refused of late: else nothing more need be asked. */
  readonly isWatched: (from: string) => boolean
  /** Whether evidence that claims this is not looked at for now. */
  readonly isOver: (from: string, claim: string | null) => boolean
  readonly refused: (from: string, claim: string | null) => void
  /** From now on it comes in from there although others there are refused often. */
  readonly proved: (from: string, claim: string | null) => void
}

export type RefusedOftenNeeds = { readonly clock: Clock; /** From one address in a minute. */ readonly most: number; /** An address is not looked at for the rest of its minute. */ readonly onOver: (from: string) => void }

const PROVED_FOR_MS = 3_600_000
const MOST_PROVED = 100_000
/** Of an address's share, for one claim. */
const CLAIM_SHARE = 0.1

export function refusedOften({ clock, most, onOver }: RefusedOftenNeeds): RefusedOften {
  const mostOfClaim = Math.ceil(most * CLAIM_SHARE)
  const byAddress = perMinute(clock)
  const byClaim = perMinute(clock)
  const provedUntil = new Map<string, number>()
  const isKnown = (name: string): boolean => (provedUntil.get(name) ?? 0) > clock.now()
  return {
    isWatched: (from) => byAddress.countOf(networkOf(from)) > 0,
    isOver(from, claim) {
      const network = networkOf(from)
      const count = byAddress.countOf(network)
      const name = `${network} ${claim}`
      if (claim !== null && byClaim.countOf(name) >= mostOfClaim) return true
      return count >= most && (claim === null || !isKnown(name))
    },
    refused(from, claim) {
      const network = networkOf(from)
      byAddress.add(network, 1)
      if (claim !== null) byClaim.add(`${network} ${claim}`, 1)
      if (byAddress.countOf(network) === most) onOver(from)
    },
    proved(from, claim) {
      if (claim === null) return
      const name = `${networkOf(from)} ${claim}`
      provedUntil.delete(name)
      provedUntil.set(name, clock.now() + PROVED_FOR_MS)
      if (provedUntil.size > MOST_PROVED) provedUntil.delete(provedUntil.keys().next().value!)
    },
  }
}

/** Of IPv6 the first 64 bits: one machine has as many addresses in there as it likes. */
export function networkOf(address: string): string {
  const [own] = address.split('%', 1) as [string]
  if (own.startsWith('::ffff:') && own.includes('.')) return own.slice('::ffff:'.length)
  if (!isIPv6(own)) return own
  const [before, after] = own.split('::', 2) as [string, string | undefined]
  const [head, tail] = [before, after ?? ''].map((part) => (part === '' ? [] : part.split(':'))) as [string[], string[]]
  const zeros = after === undefined ? 0 : 8 - head.length - tail.length
  return [...head, ...Array.from({ length: zeros }, () => '0'), ...tail].slice(0, 4).join(':')
}

/** What only a holder of good evidence meets, and in good order too; and what is our own trouble. None of it is a guess. */
const NO_GUESS: ReadonlySet<DoorRefusal['kind']> = new Set([
  'use_dpop_nonce', 'issuer_unreachable', 'expired', 'not_yet_valid', 'from_before_restore', 'token_not_live', 'identity_not_active', 'proof_needed', 'replayed', 'sign_in_over',
])

/** The same doors, but that nobody is looked at who was refused too often. Outside that is one more refusal among the others. */
export type SparingAuthentication = {
  readonly atDoor: (presented: Presented & From) => ReturnType<Authentication['atDoor']>
  readonly atDoorUnused: (presented: Presented & From) => ReturnType<Authentication['atDoorUnused']>
  readonly atResource: (presented: Presented & From, audience: string) => ReturnType<Authentication['atResource']>
  readonly atTokenEndpoint: (shown: ShownAtTokenEndpoint & From) => ReturnType<Authentication['atTokenEndpoint']>
}

export function sparing(known: Authentication, often: RefusedOften): SparingAuthentication {
  const spared = async <Value, Refusal extends { readonly kind: DoorRefusal['kind'] }>(
    { from, token }: From & { readonly token: string }, authenticate: () => Promise<Outcome<Value, Refusal>>, callerIn: (value: Value) => ProvedAtDoor['caller'],
  ): Promise<Outcome<Value, Refusal | TooOften>> => {
    if (often.isWatched(from) && often.isOver(from, claimOf(token))) return refuse({ kind: 'refused_too_often' })
    const found = await authenticate()
    if (found.ok) often.proved(from, provedClaim(callerIn(found.value), token))
    else if (!NO_GUESS.has(found.refusal.kind)) often.refused(from, claimOf(token))
    return found
  }
  return {
    atDoor: (presented) => spared(presented, () => known.atDoor(presented), (caller) => caller),
    atDoorUnused: (presented) => spared(presented, () => known.atDoorUnused(presented), ({ caller }) => caller),
    atResource: (presented, audience) => spared(presented, () => known.atResource(presented, audience), ({ caller }) => caller),
    atTokenEndpoint: (shown) => spared(shown, () => known.atTokenEndpoint(shown), ({ caller }) => caller),
  }
}

type TooOften = Extract<AuthenticateRefusal, { readonly kind: 'refused_too_often' }>

/** Whom it claims to be about, unread otherwise; null where it says nothing of that. Each operator key and each sign-in claims to be itself. */
function claimOf(token: string): string | null {
  if (isOperatorKey(token)) return keyClaim(token)
  const sub = claimedKindOf(token)?.sub
  return typeof sub === 'string' ? subjectClaim(sub) : null
}

const provedClaim = (caller: ProvedAtDoor['caller'], token: string): string => (caller.kind !== 'identity' ? keyClaim(token) : subjectClaim(caller.evidence.subject))
const keyClaim = (key: string): string => `key ${digestOf(key)}`
const subjectClaim = (sub: string): string => `sub ${digestOf(sub)}`
const digestOf = (text: string): string => createHash('sha256').update(text).digest('base64url')
