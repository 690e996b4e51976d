import { mintId, type NoticeId, type NoticeTargetId } from '@writ/domain/id'
import { ok } from '@writ/domain/outcome'
import { epochMs, type EpochMs } from '@writ/domain/time'
import type { EventActor } from '@writ/domain/event'
import { append } from '../record/append.ts'
import { change, type Tx } from '../record/tx.ts'
import { claimNotices, forgetNotices, insertNotices, lockNotice, lockNoticeTarget, markTargetSent, setTargetTrouble, setToldUpTo, settleNotice, type NewNotice } from '../store/notices.ts'
import { insertFindingOnce, lockOpenFinding, markFindingResolved } from '../store/watches.ts'

const WRIT: EventActor = { kind: 'writ', id: 'writ' }
const KEPT_MS = 30 * 86_400_000

type QueueInput = { readonly target: NoticeTargetId; readonly from: number; readonly upTo: number; readonly notices: readonly NewNotice[]; readonly now: EpochMs }

/** What a target is to be told of, and how far was looked for it: together, so that nothing is lost and nothing comes twice. Another server may have been first. */
export const queueNotices = change('notice.queue', async (tx: Tx, { target: id, from, upTo, notices, now }: QueueInput) => {
  const target = await lockNoticeTarget(tx, id)
  if (target?.state !== 'active' || target.toldUpTo !== from) return ok(0)
  await insertNotices(tx.db, notices, now)
  await setToldUpTo(tx.db, id, upTo)
  return ok(notices.length)
})

type ClaimInput = { readonly now: EpochMs; readonly until: EpochMs; readonly limit: number }

/** Those that are due, for this server alone; due again should it die. */
export const claimDueNotices = change('notice.claim', async (tx: Tx, claim: ClaimInput) => {
  await forgetNotices(tx.db, epochMs(claim.now - KEPT_MS))
  return ok(await claimNotices(tx, claim))
})

type SettleInput = {
  readonly notice: NoticeId
  readonly target: NoticeTargetId
  /** Null of one that has arrived. */
  readonly trouble: string | null
  /** When to try again; null when it is given up. */
  readonly again: EpochMs | null
  readonly now: EpochMs
}

/** What became of an attempt. A target that is given up on is a finding, until something arrives there again. */
export const settleSent = change('notice.settle', async (tx: Tx, { notice: id, target: targetId, trouble, again, now }: SettleInput) => {
  const target = await lockNoticeTarget(tx, targetId)
  const notice = await lockNotice(tx, id)
  if (target === undefined || notice?.state !== 'waiting') return ok(null)
  if (trouble === null) {
    await settleNotice(tx.db, notice, { state: 'sent', again: null, now })
    await markTargetSent(tx.db, target.id, now)
    const finding = await lockOpenFinding(tx, 'notice_undelivered', target.id)
    if (finding === undefined) return ok(null)
    await markFindingResolved(tx.db, finding.id, now)
    await append(tx, now, { type: 'finding.resolved', actor: WRIT, facts: { finding: finding.id, kind: 'notice_undelivered', notice_target: target.id } })
    return ok(null)
  }
  await settleNotice(tx.db, notice, { state: again === null ? 'failed' : 'waiting', again, now })
  await setTargetTrouble(tx.db, target.id, trouble)
  if (again !== null) return ok(null)
  const finding = mintId('finding', now, tx.context.entropy.bytes(10))
  const evidence = { notice_target: target.id, name: target.name, trouble }
  const isNew = await insertFindingOnce(tx.db, { id: finding, kind: 'notice_undelivered', subject: target.id, identity: null, evidence, state: 'open', raisedAt: now })
  if (isNew) await append(tx, now, { type: 'finding.raised', actor: WRIT, facts: { finding, kind: 'notice_undelivered', ...evidence } })
  return ok(null)
})
