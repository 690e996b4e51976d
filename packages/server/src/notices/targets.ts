import { mintId, type NoticeTargetId } from '@writ/domain/id'
import type { EventActor } from '@writ/domain/event'
import type { NoticeMatter } from '@writ/domain/notice'
import { ok, refuse, type Outcome } from '@writ/domain/outcome'
import type { EpochMs } from '@writ/domain/time'
import type { Sealer } from '../keys/seal.ts'
import type { Clock } from '../platform/clock.ts'
import type { Entropy } from '../platform/entropy.ts'
import { mailServerUrl } from '../platform/mail.ts'
import type { Outbound, UrlFault } from '../platform/outbound.ts'
import { append } from '../record/append.ts'
import { change, type Store, type Tx } from '../record/tx.ts'
import { newestSeq } from '../store/follow.ts'
import { insertNoticeTarget, lockNoticeTarget, markTargetRemoved, type NoticeTarget } from '../store/notices.ts'
import type { KeyReused, Once } from '../store/store.ts'
import { placeOf, sealAddress, type NoticeAddress } from './address.ts'

export type TargetNeeds = {
  readonly store: Pick<Store, 'read' | 'changeOnce'>
  readonly outbound: Pick<Outbound, 'faultOf'>
  readonly secrets: Sealer
  readonly clock: Clock
  readonly entropy: Entropy
}

export type AddTargetRefusal = { readonly kind: 'already_exists' } | { readonly kind: 'not_allowed'; readonly fault: UrlFault } | { readonly kind: 'unprotected' }
export type RemoveTargetRefusal = { readonly kind: 'no_such_target' } | { readonly kind: 'already_removed' }

export type NewTarget = { readonly name: string; readonly about: readonly NoticeMatter[]; readonly address: NoticeAddress }

/** What happened before is nothing that it is told of. Where Writ may not call, no target is taken (R41). */
export async function addTarget(needs: TargetNeeds, { name, about, address }: NewTarget, by: EventActor, once: Once): Promise<Outcome<NoticeTargetId, AddTargetRefusal | KeyReused>> {
  const fault = faultOf(needs, address)
  if (fault !== undefined) return refuse(fault)
  const now = needs.clock.now()
  const id = mintId('noticeTarget', now, needs.entropy.bytes(10))
  const target: NoticeTarget = {
    id, name, kind: address.kind, about, place: placeOf(address), sealedAddress: sealAddress(needs.secrets, id, address), state: 'active', addedBy: by.id, addedAt: now,
    removedAt: null, toldUpTo: await needs.store.read(newestSeq), lastSentAt: null, trouble: null,
  }
  const added = await needs.store.changeOnce(addNoticeTarget, { target, by, now }, once)
  return added.ok ? ok(added.value.value) : added
}

function faultOf({ outbound }: TargetNeeds, address: NoticeAddress): AddTargetRefusal | undefined {
  const url = address.kind === 'mail' ? mailServerUrl(address.server) : address.url
  const fault = outbound.faultOf(url)
  if (fault !== undefined) return { kind: 'not_allowed', fault }
  // As for plain http: by name, and on this machine.
  const isPlain = address.kind === 'mail' && address.server.security === 'none'
  return isPlain && outbound.faultOf(url.replace(/^https:/, 'http:')) !== undefined ? { kind: 'unprotected' } : undefined
}

type AddInput = { readonly target: NoticeTarget; readonly by: EventActor; readonly now: EpochMs }

export const addNoticeTarget = change('notice_target.add', async (tx: Tx, { target, by, now }: AddInput) => {
  if (!(await insertNoticeTarget(tx.db, target))) return refuse<AddTargetRefusal>({ kind: 'already_exists' })
  const facts = { notice_target: target.id, name: target.name, kind: target.kind, about: target.about }
  // A mailbox is somebody's.
  await append(tx, now, { type: 'notice_target.added', actor: by, ...(target.kind === 'mail' ? { facts, said: { place: target.place } } : { facts: { ...facts, place: target.place } }) })
  return ok(target.id)
})

type RemoveInput = { readonly reference: string; readonly reason: string; readonly by: EventActor; readonly now: EpochMs }

export const removeNoticeTarget = change('notice_target.remove', async (tx: Tx, { reference, reason, by, now }: RemoveInput) => {
  const target = await lockNoticeTarget(tx, reference)
  if (target === undefined) return refuse<RemoveTargetRefusal>({ kind: 'no_such_target' })
  if (target.state === 'removed') return refuse<RemoveTargetRefusal>({ kind: 'already_removed' })
  await markTargetRemoved(tx.db, target.id, now)
  await append(tx, now, { type: 'notice_target.removed', actor: by, facts: { notice_target: target.id, name: target.name }, said: { reason } })
  return ok(target.id)
})

type TestedInput = { readonly target: NoticeTargetId; readonly trouble: string | null; readonly by: EventActor; readonly now: EpochMs }

export const recordTargetTest = change('notice_target.record_test', async (tx: Tx, { target, trouble, by, now }: TestedInput) => {
  await append(tx, now, { type: 'notice_target.tested', actor: by, facts: { notice_target: target, arrived: trouble === null ? 'yes' : 'no', trouble } })
  return ok(target)
})
