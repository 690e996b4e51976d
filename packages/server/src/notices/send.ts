import { unreachable, type Outcome } from '@writ/domain/outcome'
import type { Clock } from '../platform/clock.ts'
import type { MailRefusal, SendMail } from '../platform/mail.ts'
import type { OutboundStreams } from '../platform/outbound.ts'
import type { NoticeAddress } from './address.ts'
import { linesOf, payloadOf, subjectOf, type Telling } from './telling.ts'
import { postJson, signedHeaders } from './webhook.ts'

export type SendNeeds = { readonly outbound: OutboundStreams; readonly sendMail: SendMail; readonly clock: Clock }

/** Tells one target one thing, once. */
export function send(needs: SendNeeds, address: NoticeAddress, telling: Telling): Promise<Outcome<null, MailRefusal>> {
  switch (address.kind) {
    case 'webhook': {
      const body = JSON.stringify(payloadOf(telling))
      return postJson(needs.outbound, address, body, signedHeaders(address.secret, telling.id, needs.clock.now(), body))
    }
    case 'slack': return postJson(needs.outbound, address, JSON.stringify(slackMessage(linesOf(telling))), {})
    case 'mail': {
      const { server, from, to } = address
      return needs.sendMail(server, { from, to, subject: subjectOf(telling), text: `${linesOf(telling).join('\n')}\n`, messageId: `${telling.id}@${from.slice(from.lastIndexOf('@') + 1)}` })
    }
    default: return unreachable(address)
  }
}

/** Text alone: no markup, no buttons, no names that call people, no previews of what a link leads to. */
const slackMessage = (lines: readonly string[]) => ({ text: lines.map(escaped).join('\n'), mrkdwn: false, parse: 'none', link_names: false, unfurl_links: false, unfurl_media: false })

/** The three characters that mean something to Slack in every text. */
const escaped = (line: string): string => line.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')

/** Why it did not arrive, in a word. */
export function troubleOf(refusal: MailRefusal): string {
  switch (refusal.kind) {
    case 'status': return `status_${refusal.status}`
    case 'no_connection': return `no_connection_${refusal.code.toLowerCase()}`
    case 'mail': return `mail_${refusal.code}`
    case 'bad_url':
    case 'address_not_allowed':
    case 'no_such_host':
    case 'too_slow':
    case 'not_json':
    case 'too_large': return refusal.kind
    default: return unreachable(refusal)
  }
}

/** RFC 9110 §15.5.11, and Standard Webhooks 1.0: it wants nothing any more. */
export const isForEver = (refusal: MailRefusal): boolean => refusal.kind === 'status' && refusal.status === 410
