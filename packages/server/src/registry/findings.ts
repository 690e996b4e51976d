import type { EventActor } from '@writ/domain/event'
import type { EpochMs } from '@writ/domain/time'
import { ok, refuse } from '@writ/domain/outcome'
import { append } from '../record/append.ts'
import { change, type Tx } from '../record/tx.ts'
import { lockFinding, markFindingResolved } from '../store/watches.ts'

export type FindingRefusal = { readonly kind: 'no_such_finding' } | { readonly kind: 'already_resolved' }

type ResolveInput = { readonly finding: string; readonly reason: string; readonly by: EventActor; readonly now: EpochMs }

/** A person's word that it is no longer so. Whoever sees it again raises it again. */
export const resolveFinding = change('finding.resolve', async (tx: Tx, { finding: reference, reason, by, now }: ResolveInput) => {
  const finding = await lockFinding(tx, reference)
  if (finding === undefined) return refuse<FindingRefusal>({ kind: 'no_such_finding' })
  if (finding.state === 'resolved') return refuse<FindingRefusal>({ kind: 'already_resolved' })
  await markFindingResolved(tx.db, finding.id, now)
  await append(tx, now, {
    type: 'finding.resolved', stream: 'human', actor: by, ...(finding.identity === null ? {} : { identity: finding.identity }),
    facts: { finding: finding.id, kind: finding.kind }, said: { reason },
  })
  return ok(finding.id)
})
