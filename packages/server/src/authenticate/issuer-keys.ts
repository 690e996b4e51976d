import type { IssuerId } from '@writ/domain/id'
import { ok, refuse, type Outcome } from '@writ/domain/outcome'
import { plus, seconds, type EpochMs } from '@writ/domain/time'
import type { Clock } from '../platform/clock.ts'
import type { Outbound, OutboundRefusal } from '../platform/outbound.ts'
import type { Issuer } from '../store/issuers.ts'
import { parseKeySet, type IssuerKey, type KeySetRefusal, type LeftOut } from './key-set.ts'

export type FetchRefusal =
  | OutboundRefusal
  | KeySetRefusal
  | { readonly kind: 'wrong_discovery'; readonly because: 'not_an_object' | 'issuer' | 'jwks_uri' }

export type KeysRefusal =
  /** It has keys, and none that could have signed this. */
  | { readonly kind: 'unknown_key' }
  | { readonly kind: 'kid_needed' }
  /** No keys at all, or none that are young enough to be trusted. */
  | { readonly kind: 'issuer_unreachable'; readonly because: FetchRefusal['kind'] }

export type IssuerKeysNeeds = {
  readonly clock: Clock
  readonly outbound: Outbound
  /** Told of every document that did not come, and of keys that were left out. */
  readonly onTrouble: (issuer: string, trouble: FetchRefusal | { readonly kind: 'keys_left_out'; readonly keys: readonly LeftOut[] }) => void
}

/** What a token says of the key that signed it. */
export type WantedKey = { readonly kid: string | undefined; readonly alg: string }

/** The keys of issuers, as this process knows them. */
export type IssuerKeys = {
  /** The keys that may have signed a token with this `kid` and `alg`. */
  readonly candidates: (issuer: Issuer, wanted: WantedKey) => Promise<Outcome<readonly IssuerKey[], KeysRefusal>>
}

/** R35: however many unknown names come, an issuer is asked no more often. */
export const FETCH_PAUSE = seconds(10)
/** R35: a key that the issuer has taken away is refused within 60 s; what is left of them is for the asking itself. */
export const FRESH_FOR = seconds(45)
/** An issuer that is down is believed for as long as this. */
export const OLDEST_KEYS = seconds(3600)
/** Where an issuer keeps its keys changes rarely; asked again after this, and whenever the keys do not come. */
const PLACE_HOLDS = seconds(600)
/** More keys than this are not tried one by one: the token names its key in `kid`. */
const MOST_KEYS_TRIED = 4

type Known = {
  /** Changes with the issuer's settings, and with every new trust: what was learned under others is forgotten. */
  readonly version: string
  keys: readonly IssuerKey[]
  fetchedAt: EpochMs | null
  triedAt: EpochMs | null
  failed: FetchRefusal | null
  place: { readonly url: string; readonly learnedAt: EpochMs } | null
  /** The fetch that is under way; everybody waits for the same. */
  underWay: Promise<void> | null
}

export function issuerKeys(needs: IssuerKeysNeeds): IssuerKeys {
  const known = new Map<IssuerId, Known>()
  const knownOf = (issuer: Issuer): Known => {
    const version = `${issuer.trustedAt}:${issuer.changedAt ?? 0}:${issuer.source.kind}`
    const found = known.get(issuer.id)
    if (found?.version === version) return found
    const begun: Known = { version, keys: [], fetchedAt: null, triedAt: null, failed: null, place: null, underWay: null }
    known.set(issuer.id, begun)
    return begun
  }
  return {
    async candidates(issuer, wanted) {
      if (issuer.source.kind === 'inline') return chosen(issuer.source.keys as readonly IssuerKey[], wanted)
      const of = knownOf(issuer)
      await refreshIfOld(needs, issuer, of)
      const now = needs.clock.now()
      if (of.fetchedAt === null || now >= plus(of.fetchedAt, OLDEST_KEYS)) {
        return refuse({ kind: 'issuer_unreachable', because: of.failed?.kind ?? 'no_connection' })
      }
      const first = chosen(of.keys, wanted)
      // A name that is not known may be that of a new key; one fetch answers for all who ask meanwhile.
      if (first.ok || first.refusal.kind === 'kid_needed' || !mayTry(of, now)) return first
      await refresh(needs, issuer, of)
      return chosen(of.keys, wanted)
    },
  }
}

type NotChosen = Extract<KeysRefusal, { readonly kind: 'unknown_key' | 'kid_needed' }>

function chosen(keys: readonly IssuerKey[], { kid, alg }: WantedKey): Outcome<readonly IssuerKey[], NotChosen> {
  const fitting = keys.filter((key) => key.alg === alg && (kid === undefined || key.kid === kid))
  if (fitting.length === 0) return refuse({ kind: 'unknown_key' })
  return fitting.length > MOST_KEYS_TRIED ? refuse({ kind: 'kid_needed' }) : ok(fitting)
}

const mayTry = (of: Known, now: EpochMs): boolean => of.underWay !== null || of.triedAt === null || now >= plus(of.triedAt, FETCH_PAUSE)

/** Waits for keys that are fresh; while the issuer is down those at hand do, and nobody waits for it. */
async function refreshIfOld(needs: IssuerKeysNeeds, issuer: Issuer, of: Known): Promise<void> {
  const now = needs.clock.now()
  if (of.fetchedAt !== null && now < plus(of.fetchedAt, FRESH_FOR)) return
  if (!mayTry(of, now)) return
  const mayGoOn = of.fetchedAt !== null && of.failed !== null && now < plus(of.fetchedAt, OLDEST_KEYS)
  const refreshed = refresh(needs, issuer, of)
  if (!mayGoOn) await refreshed
}

/** One fetch at a time; what it learns stays in `of`. It never throws: trouble is told, and waits for the next time. */
function refresh(needs: IssuerKeysNeeds, issuer: Issuer, of: Known): Promise<void> {
  of.underWay ??= (async () => {
    of.triedAt = needs.clock.now()
    try {
      const fetched = await fetchKeys(needs, issuer, of)
      if (fetched.ok) {
        of.keys = fetched.value
        // From when it was asked: what the issuer took away since then we do not know of.
        of.fetchedAt = of.triedAt
        of.failed = null
      } else {
        of.failed = fetched.refusal
        of.place = null
        needs.onTrouble(issuer.url, fetched.refusal)
      }
    } finally {
      of.underWay = null
    }
  })()
  return of.underWay
}

async function fetchKeys(
  { clock, outbound, onTrouble }: IssuerKeysNeeds, issuer: Issuer, of: Known,
): Promise<Outcome<readonly IssuerKey[], FetchRefusal>> {
  const options = { ca: issuer.ca }
  if (of.place === null || clock.now() >= plus(of.place.learnedAt, PLACE_HOLDS)) {
    const place = issuer.source.kind === 'url'
      ? ok(issuer.source.url)
      : placeIn(issuer.url, await outbound.getJson(discoveryUrl(issuer.url), options))
    if (!place.ok) return place
    of.place = { url: place.value, learnedAt: clock.now() }
  }
  const document = await outbound.getJson(of.place.url, options)
  const set = document.ok ? parseKeySet(document.value, issuer.kind) : document
  if (!set.ok) return set
  if (set.value.leftOut.length > 0) onTrouble(issuer.url, { kind: 'keys_left_out', keys: set.value.leftOut })
  return ok(set.value.keys)
}

/** OpenID Connect Discovery 1.0 §4.1: behind the issuer, without its last slash. */
const discoveryUrl = (issuer: string): string => `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`

/** OpenID Connect Discovery 1.0 §4.3: the document is about the very issuer that was asked, to the letter. */
function placeIn(issuer: string, document: Outcome<unknown, OutboundRefusal>): Outcome<string, FetchRefusal> {
  if (!document.ok) return document
  if (typeof document.value !== 'object' || document.value === null || Array.isArray(document.value)) {
    return refuse({ kind: 'wrong_discovery', because: 'not_an_object' })
  }
  const { issuer: claimedIssuer, jwks_uri: claimedPlace } = document.value as Readonly<Record<string, unknown>>
  if (claimedIssuer !== issuer) return refuse({ kind: 'wrong_discovery', because: 'issuer' })
  return typeof claimedPlace === 'string' ? ok(claimedPlace) : refuse({ kind: 'wrong_discovery', because: 'jwks_uri' })
}
