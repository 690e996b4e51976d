import { mintId, type IdentityId } from '@writ/domain/id'
import { ok } from '@writ/domain/outcome'
import type { EpochMs } from '@writ/domain/time'
import { append } from '../record/append.ts'
import { change, type Tx } from '../record/tx.ts'
import { insertFindingOnce } from '../store/watches.ts'

export type AskedTooOften = { readonly identity: IdentityId; /** Of what: advice, or attempts that are denied. */ readonly of: 'advice' | 'denied'; readonly mostPerMinute: number; readonly now: EpochMs }

/** An identity goes on asking although it has had its answers. However often it does, one such finding is open at a time. */
export const noteAskedTooOften = change('identity.asks_too_often', async (tx: Tx, { identity, of, mostPerMinute, now }: AskedTooOften) => {
  const finding = mintId('finding', now, tx.context.entropy.bytes(10))
  const evidence = { of, most_per_minute: mostPerMinute }
  const isNew = await insertFindingOnce(tx.db, { id: finding, kind: 'asks_too_often', subject: identity, identity, evidence, state: 'open', raisedAt: now })
  if (isNew) await append(tx, now, { type: 'finding.raised', actor: { kind: 'writ', id: 'writ' }, identity, facts: { finding, kind: 'asks_too_often', ...evidence } })
  return ok(isNew)
})
