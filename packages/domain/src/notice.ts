import type { EventType } from './event.ts'

/** What a person may be told of where no page of ours is open: events, by their type. */
export const NOTICE_MATTERS = [
  'approval.requested', 'approval.approved', 'approval.denied', 'approval.lapsed', 'approval.cancelled',
  'incident.opened', 'incident.resolved', 'finding.raised', 'finding.resolved', 'identity.contained',
] as const satisfies readonly EventType[]
export type NoticeMatter = (typeof NOTICE_MATTERS)[number]

/** Ways to tell. None of them lets anybody decide anything: each holds a link, behind which one signs in. */
export const NOTICE_KINDS = ['webhook', 'mail', 'slack'] as const
export type NoticeKind = (typeof NOTICE_KINDS)[number]

export const NOTICE_STATES = ['waiting', 'sent', 'failed'] as const
export type NoticeState = (typeof NOTICE_STATES)[number]

/** How a connection to a mail server is protected: from its first byte, from before the first word that matters, or not at all. */
export const MAIL_SECURITIES = ['tls', 'starttls', 'none'] as const
export type MailSecurity = (typeof MAIL_SECURITIES)[number]
