import { MAIL_SECURITIES, NOTICE_KINDS, NOTICE_MATTERS } from '@writ/domain/notice'
import { z } from 'zod'
import { endpoint } from './endpoint.ts'
import { name, reason } from './words.ts'

const about = z.array(z.enum(NOTICE_MATTERS)).min(1).max(NOTICE_MATTERS.length).refine((all) => new Set(all).size === all.length, { error: 'must name each once' })

const url = z.string().max(2048)
const mailAddress = z.string().max(254).regex(/^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$/, { error: 'must be an address such as `maya@acme.example`' })
const hostName = z.string().max(253).regex(/^[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?$|^\[[0-9A-Fa-f:.]+\]$/, { error: 'must be the name or address of a host' })
/** Certification authorities in PEM, in place of those that everybody trusts. */
const ca = z.string().max(100_000).optional()
const visible = (most: number) => z.string().min(1).max(most).regex(/^[^\p{Cc}]*$/u, { error: 'must hold no control characters' })

/** Where people are told of what needs them. An address that is as good as a password is kept sealed and never shown again. */
export const addNoticeTargetBody = z.discriminatedUnion('kind', [
  /** Standard Webhooks 1.0. The secret that signs is made here and shown once. */
  z.strictObject({ kind: z.literal('webhook'), name, about, url, ca }),
  /** An incoming webhook as Slack, Mattermost and others have it. */
  z.strictObject({ kind: z.literal('slack'), name, about, url, ca }),
  z.strictObject({
    kind: z.literal('mail'), name, about, to: z.array(mailAddress).min(1).max(20), from: mailAddress, ca,
    smtp: z.strictObject({
      host: hostName, port: z.int().min(1).max(65_535), security: z.enum(MAIL_SECURITIES).default('starttls'), username: visible(254).optional(), password: visible(1000).optional(),
    }).refine((smtp) => (smtp.username === undefined) === (smtp.password === undefined), { error: 'must hold `username` and `password`, or neither' })
      .refine((smtp) => smtp.security !== 'none' || smtp.password === undefined, { error: 'must be `tls` or `starttls` where there is a password', path: ['security'] }),
  }),
])
export type AddNoticeTargetBody = z.input<typeof addNoticeTargetBody>

export const noticeTarget = z.object({
  id: z.string(),
  name: z.string(),
  kind: z.enum(NOTICE_KINDS),
  about: z.array(z.enum(NOTICE_MATTERS)),
  /** As much of where it is as nobody could use: an origin, or recipients and their mail server. */
  place: z.string(),
  state: z.enum(['active', 'removed']),
  added_at: z.string(),
  removed_at: z.string().nullable(),
  /** Not delivered yet. */
  waiting: z.number(),
  /** Given up. */
  failed: z.number(),
  last_sent_at: z.string().nullable(),
  /** Why the newest that did not arrive did not; null where none has failed since one arrived. */
  trouble: z.string().nullable(),
})
export type NoticeTargetReply = z.infer<typeof noticeTarget>

export const addedNoticeTarget = noticeTarget.extend({ /** `whsec_...`, with which a webhook checks that it is us; null of the others. */ secret: z.string().nullable() })

const targets = '/v1/notice-targets'

export const listNoticeTargets = endpoint({ method: 'GET', path: targets, who: 'operator', summary: 'Where people are told of what needs them', reply: z.object({ targets: z.array(noticeTarget) }), problems: [] })

export const addNoticeTarget = endpoint({
  method: 'POST', path: targets, who: 'operator', summary: 'Tell a webhook, a mailbox or a Slack-compatible channel from now on',
  body: addNoticeTargetBody, reply: addedNoticeTarget, status: 201, problems: ['invalid-fields', 'already-exists'],
})

/** `{id}` takes the id or the name. */
export const removeNoticeTarget = endpoint({
  method: 'POST', path: `${targets}/{id}/remove`, who: 'operator', summary: 'Tell it nothing any more; what still waits for it is not sent', body: reason, reply: noticeTarget, problems: ['not-found', 'conflict'],
})

/** `trouble`: a word of ours, never what the other side wrote. */
export const testNoticeTarget = endpoint({
  method: 'POST', path: `${targets}/{id}/test`, who: 'operator', summary: 'Send it a notice that says that it is a test',
  body: z.strictObject({}), reply: z.object({ arrived: z.boolean(), trouble: z.string().nullable() }), problems: ['not-found', 'conflict'],
})
