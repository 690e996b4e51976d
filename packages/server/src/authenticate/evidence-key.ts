import { createHash } from 'node:crypto'
import type { BindingId, FindingId, IdentityId, IssuerId } from '@writ/domain/id'
import { mintId } from '@writ/domain/id'
import { ok } from '@writ/domain/outcome'
import type { EpochMs } from '@writ/domain/time'
import { append } from '../record/append.ts'
import { change, type Tx } from '../record/tx.ts'
import { findEvidenceKeys, keepEvidenceKeys } from '../store/evidence-keys.ts'
import { lockIdentity } from '../store/identities.ts'
import { findOpenFinding, insertFinding } from '../store/watches.ts'

/**
 * What a federated token is known by: what was signed, never the token, since one signature can be written as another that is as good; and the
 * issuer's own name for it, where it has one.
 */
export function evidenceHashes(issuer: IssuerId, token: string, jti: string | undefined): readonly Uint8Array[] {
  const signed = token.slice(0, token.lastIndexOf('.'))
  return [hashOf('signed', issuer, signed), ...(jti === undefined ? [] : [hashOf('jti', issuer, jti)])]
}

/** No line break stands in an issuer's id, nor in a token, so that no two triples give one text. */
const hashOf = (of: 'signed' | 'jti', issuer: IssuerId, text: string): Uint8Array =>
  new Uint8Array(createHash('sha256').update(`${of}\n${issuer}\n${text}`).digest())

export type ShowEvidenceInput = {
  readonly hashes: readonly Uint8Array[]
  /** Empty where no key came with it. */
  readonly thumbprint: string
  readonly identity: IdentityId
  readonly issuer: IssuerId
  readonly binding: BindingId
  readonly until: EpochMs
  readonly now: EpochMs
}

/** `another_key`: refused, and kept as a finding; it is a value and not a refusal so that the finding is kept. */
export type ShownEvidence = { readonly outcome: 'first_key' } | { readonly outcome: 'another_key'; readonly finding: FindingId }

/** A federated token belongs to the first key that shows it. */
export const showEvidence = change('evidence.show', async (tx: Tx, input: ShowEvidenceInput) => {
  const isOthers = (thumbprints: readonly string[]): boolean => thumbprints.some((one) => one !== input.thumbprint)
  const before = await findEvidenceKeys(tx.db, input.hashes)
  if (!isOthers(before)) {
    await keepEvidenceKeys(tx.db, input.hashes, input.thumbprint, input.until)
    // Another server may have kept it since: whoever committed first is the first.
    if (!isOthers(await findEvidenceKeys(tx.db, input.hashes))) return ok<ShownEvidence>({ outcome: 'first_key' })
  }
  return ok<ShownEvidence>({ outcome: 'another_key', finding: await raiseOnce(tx, input) })
})

async function raiseOnce(tx: Tx, { identity, issuer, binding, thumbprint, hashes, now }: ShowEvidenceInput): Promise<FindingId> {
  // Locked, so that two of them raise one finding.
  await lockIdentity(tx, identity)
  const open = await findOpenFinding(tx.db, 'evidence_shown_by_another_key', identity)
  if (open !== undefined) return open
  const [first = ''] = (await findEvidenceKeys(tx.db, hashes)).filter((one) => one !== thumbprint)
  const finding = mintId('finding', now, tx.context.entropy.bytes(10))
  const evidence = { issuer, binding, first_key: first === '' ? 'none' : first, second_key: thumbprint === '' ? 'none' : thumbprint }
  const kind = 'evidence_shown_by_another_key'
  await insertFinding(tx.db, { id: finding, kind, subject: identity, identity, evidence, state: 'open', raisedAt: now })
  await append(tx, now, { type: 'finding.raised', actor: { kind: 'writ', id: 'writ' }, identity, facts: { finding, kind, ...evidence } })
  return finding
}
