import type { NoticeTargetId } from '@writ/domain/id'
import type { Sealer } from '../keys/seal.ts'
import type { MailServer } from '../platform/mail.ts'
import { noticeAddressPlace, type NoticeTarget } from '../store/notices.ts'

/** Where a target is, and what opens it. Kept sealed as a whole: of a Slack-compatible webhook the URL is as good as a password. */
export type NoticeAddress =
  /** `secret`: 32 bytes, in base64 (Standard Webhooks 1.0). */
  | { readonly kind: 'webhook'; readonly url: string; readonly ca: string | null; readonly secret: string }
  | { readonly kind: 'slack'; readonly url: string; readonly ca: string | null }
  | { readonly kind: 'mail'; readonly server: MailServer; readonly from: string; readonly to: readonly string[] }

/** As much of it as nobody could use. */
export function placeOf(address: NoticeAddress): string {
  if (address.kind !== 'mail') return new URL(address.url).origin
  return `${address.to.join(', ')} by ${address.server.host}:${address.server.port}`
}

export const sealAddress = (sealer: Sealer, id: NoticeTargetId, address: NoticeAddress): string => sealer.seal(JSON.stringify(address), noticeAddressPlace(id))

/** Undefined of a target that was removed. */
export const openAddress = (sealer: Sealer, { id, sealedAddress }: Pick<NoticeTarget, 'id' | 'sealedAddress'>): NoticeAddress | undefined =>
  (sealedAddress === null ? undefined : JSON.parse(sealer.unseal(sealedAddress, noticeAddressPlace(id))) as NoticeAddress)
