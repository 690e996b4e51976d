import { ok, refuse, type Outcome } from './outcome.ts'

declare const spiffe: unique symbol

/** `spiffe://trust-domain/path`, exactly as SPIFFE-ID §2 allows it. */
export type SpiffeId = string & { readonly [spiffe]: true }

export type SpiffeIdRefusal = {
  readonly kind: 'empty' | 'wrong_scheme' | 'missing_trust_domain' | 'bad_trust_domain_character' | 'empty_segment' | 'dot_segment' | 'trailing_slash' | 'bad_path_character' | 'too_long'
}

/** SPIFFE-ID §2.3: implementations support ids up to 2048 bytes, and trust domains up to 255. */
const MAX_BYTES = 2048
const MAX_TRUST_DOMAIN = 255

/** Reads a SPIFFE ID as written: nothing is lower-cased, decoded or trimmed (SPIFFE-ID §2.1, §2.2). */
export function parseSpiffeId(text: string): Outcome<SpiffeId, SpiffeIdRefusal> {
  if (text === '') return refuse({ kind: 'empty' })
  if (text.length > MAX_BYTES) return refuse({ kind: 'too_long' })
  if (!text.startsWith('spiffe://')) return refuse({ kind: 'wrong_scheme' })
  const rest = text.slice('spiffe://'.length)
  const slash = rest.indexOf('/')
  const trustDomain = slash === -1 ? rest : rest.slice(0, slash)
  if (trustDomain === '') return refuse({ kind: 'missing_trust_domain' })
  if (!/^[a-z0-9._-]+$/.test(trustDomain)) return refuse({ kind: 'bad_trust_domain_character' })
  if (trustDomain.length > MAX_TRUST_DOMAIN) return refuse({ kind: 'too_long' })
  if (slash === -1) return ok(text as SpiffeId)
  const segments = rest.slice(slash + 1).split('/')
  if (segments.at(-1) === '') return refuse({ kind: 'trailing_slash' })
  for (const segment of segments) {
    if (segment === '') return refuse({ kind: 'empty_segment' })
    if (segment === '.' || segment === '..') return refuse({ kind: 'dot_segment' })
    if (!/^[A-Za-z0-9._-]+$/.test(segment)) return refuse({ kind: 'bad_path_character' })
  }
  return ok(text as SpiffeId)
}

export const trustDomainOf = (id: SpiffeId): string => id.slice('spiffe://'.length).split('/', 1)[0]!

/** The last path segment, as people call the identity; the trust domain where there is no path. */
export const shortNameOf = (id: SpiffeId): string => id.slice(id.lastIndexOf('/') + 1)
