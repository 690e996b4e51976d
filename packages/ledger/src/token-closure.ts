import { fails, holds, type Checked } from './checked.ts'
import { readFacts } from './facts.ts'
import { inert } from './inert.ts'
import { readLeaseEnd, type LeaseEnd } from './lease-closure.ts'
import type { Leaf } from './leaf.ts'
import type { ProvedLeaf } from './receipt.ts'

/** What the minting of an access token says that it is; that of a login says nothing of the kind. */
const ACCESS_TOKEN = 'access_token'

/** An access token, from its issue to its end. Instants are milliseconds since 1970. */
export type TokenClosure = {
  readonly lease: string
  /** Who refuses it: Writ itself. */
  readonly backend: string
  readonly backend_kind: typeof ACCESS_TOKEN
  /** RFC 8707: for whom it was. */
  readonly audience: string
  /** RFC 7638 thumbprint of the key that its holder had to prove; null where whoever bore it held it. */
  readonly jkt: string | null
  /** Null: all that its task might. */
  readonly authority: readonly string[] | null
  readonly expires_at: number
  readonly minted: { readonly at: number }
  readonly end: LeaseEnd
}

/** The receipts that tell of one token: it is intended nowhere, since nothing can be made of it and not recorded. */
export type TokenReceipts = { readonly intended: undefined; readonly minted: ProvedLeaf; readonly end: ProvedLeaf }

export const isTokenMinting = ({ type, facts }: Leaf): boolean =>
  type === 'lease.minted' && Object.hasOwn(facts, 'backend_kind') && facts['backend_kind'] === ACCESS_TOKEN

export function closureOfToken(id: string, { minted, end }: TokenReceipts): Checked<TokenClosure> {
  const issued = readFacts(minted.leaf, (facts) => ({
    backend: facts.text('backend'), audience: facts.text('audience'), jkt: facts.textOrNull('jkt'),
    authority: facts.is('authority', 'task') ? null : facts.texts('authority'), expires_at: facts.instant('expires_at'),
  }))
  if (!issued.ok) return issued
  const over = readLeaseEnd(end.leaf, 'no catalogue')
  if (!over.ok) return over
  const { backend, ...terms } = issued.value
  const token: TokenClosure = { lease: id, backend, backend_kind: ACCESS_TOKEN, ...terms, minted: { at: minted.leaf.at }, end: over.value }
  const why = whyNotSupported(token)
  return why === undefined ? holds(token) : fails('contradiction', `lease \`${inert(id)}\` ${why}`)
}

/**
 * Nobody logs in with a token when it is made, and no catalogue lists it. Its end is proved by the refusal of whoever issued it, and the
 * record has to say until when somebody who never asks could accept it all the same.
 */
function whyNotSupported({ backend, minted, expires_at: expires, end }: TokenClosure): string | undefined {
  if (expires <= minted.at) return 'expired before it was issued'
  if (end.kind === 'incident') return undefined
  if (end.outcome === 'never_issued') return 'is called never issued, and a receipt shows that it was'
  if (end.control_login !== 'none') return 'has the control login of something else'
  if (end.residual_until !== expires) return 'could be accepted offline until another time than its end says'
  if (end.outcome !== 'proved') return undefined
  if (end.probe.kind !== 'refused' || end.refused_after_ms === null) return 'is called proved and nobody refused it'
  if (end.probe.by !== backend) return 'is called proved and was refused by somebody else than whoever issued it'
  return end.probe.code === 'expired' && end.at < expires ? 'is called expired before its time' : undefined
}
