import type { PublicValue } from '@writ/domain/event'
import { mintId, type FindingId } from '@writ/domain/id'
import type { Identity } from '@writ/domain/identity'
import type { EpochMs } from '@writ/domain/time'
import { append } from '../record/append.ts'
import type { Tx } from '../record/tx.ts'
import { findOpenFinding, insertFinding } from '../store/watches.ts'

/** WID-2: several workloads under one identity whose class has one alone. The identity is locked; one such finding is open at a time. */
export async function raiseSecondWorkload(tx: Tx, identity: Pick<Identity, 'id' | 'class'>, seen: Readonly<Record<string, PublicValue>>, now: EpochMs): Promise<FindingId> {
  const open = await findOpenFinding(tx.db, 'shared_identity', identity.id)
  if (open !== undefined) return open
  const finding = mintId('finding', now, tx.context.entropy.bytes(10))
  const evidence = { ...seen, class: identity.class }
  await insertFinding(tx.db, { id: finding, kind: 'shared_identity', subject: identity.id, identity: identity.id, evidence, state: 'open', raisedAt: now })
  await append(tx, now, { type: 'finding.raised', actor: { kind: 'writ', id: 'writ' }, identity: identity.id, facts: { finding, kind: 'shared_identity', ...evidence } })
  return finding
}
