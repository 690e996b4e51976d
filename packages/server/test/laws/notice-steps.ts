import type { EventType } from '@writ/domain/event'
import { claimDueNotices, queueNotices, settleSent } from '../../src/notices/outbox.ts'
import { addNoticeTarget, recordTargetTest, removeNoticeTarget } from '../../src/notices/targets.ts'
import type { NoticeTarget } from '../../src/store/notices.ts'
import { OPERATOR } from '../recorded.ts'
import type { StoreOfWrit } from '../store-of-writ.ts'

type Expected = { readonly tells: readonly EventType[] } | { readonly refuses: string }
type MakeStep<Step> = (of: { readonly name: string }, input: () => object, expect: Expected) => Step

export const targetOf = (writ: StoreOfWrit, more: Partial<NoticeTarget> = {}): NoticeTarget => ({
  id: writ.newId('noticeTarget'), name: 'hook', kind: 'webhook', about: ['finding.raised'], place: 'https://hook.example', sealedAddress: 'sealed', state: 'active', addedBy: OPERATOR.id,
  addedAt: writ.now(), removedAt: null, toldUpTo: 0, lastSentAt: null, trouble: null, ...more,
})

/** The life of a notice target, of what it is told, and of what does not reach it. */
export function* noticeSteps<Step>(writ: StoreOfWrit, step: MakeStep<Step>): Generator<Step> {
  const tells = (...types: readonly EventType[]): Expected => ({ tells: types })
  const refuses = (kind: string): Expected => ({ refuses: kind })
  const target = targetOf(writ)
  const adding = (one: NoticeTarget) => () => ({ target: one, by: OPERATOR, now: writ.now() })
  yield step(addNoticeTarget, adding(target), tells('notice_target.added'))
  yield step(addNoticeTarget, adding(targetOf(writ)), refuses('already_exists'))
  yield step(addNoticeTarget, adding(targetOf(writ, { kind: 'mail', name: 'mail' })), tells('notice_target.added'))
  yield step(recordTargetTest, () => ({ target: target.id, trouble: 'status_404', by: OPERATOR, now: writ.now() }), tells('notice_target.tested'))

  const [first, second] = [0, 1].map((n) => ({ id: writ.newId('notice'), target: target.id, event: `evt_${n}`, matter: 'finding.raised' as const }))
  const upTo = 1_000_000
  const queueing = (from: number) => () => ({ target: target.id, from, upTo, notices: [first, second], now: writ.now() })
  yield step(queueNotices, queueing(0), tells())
  yield step(queueNotices, queueing(upTo), tells())
  yield step(claimDueNotices, () => ({ now: writ.now(), until: writ.now() + 1000, limit: 5 }), tells())
  const settling = (of: typeof first, trouble: string | null, again: number | null = null) => () => ({ notice: of!.id, target: target.id, trouble, again, now: writ.now() })
  yield step(settleSent, settling(first, 'status_500', writ.now() + 1000), tells())
  yield step(settleSent, settling(first, 'status_410'), tells('finding.raised'))
  yield step(settleSent, settling(first, null), tells())
  yield step(settleSent, settling(second, null), tells('finding.resolved'))

  const removing = (reference: string) => () => ({ reference, reason: 'the test says so', by: OPERATOR, now: writ.now() })
  yield step(removeNoticeTarget, removing('ntt_none'), refuses('no_such_target'))
  yield step(removeNoticeTarget, removing(target.id), tells('notice_target.removed'))
  yield step(removeNoticeTarget, removing(target.id), refuses('already_removed'))
}
