import { createHmac } from 'node:crypto'
import { ok, refuse, type Outcome } from '@writ/domain/outcome'
import type { EpochMs } from '@writ/domain/time'
import type { OutboundRefusal, OutboundStreams } from '../platform/outbound.ts'

export type PostRefusal = OutboundRefusal

const ANSWER_MS = 10_000

/** Posts JSON and reads nothing of the answer but whether it was taken. */
export async function postJson(outbound: OutboundStreams, to: { readonly url: string; readonly ca: string | null }, body: string, headers: Readonly<Record<string, string>>): Promise<Outcome<null, PostRefusal>> {
  const late = AbortSignal.timeout(ANSWER_MS)
  const opened = await outbound.open(to.url, {
    method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body, signal: late, headersDeadlineMs: ANSWER_MS, ca: to.ca,
  }).catch((cause: unknown) => {
    if (late.aborted) return refuse<OutboundRefusal>({ kind: 'too_slow', mostMs: ANSWER_MS })
    throw cause
  })
  if (!opened.ok) return opened
  opened.value.close()
  const { status } = opened.value
  return status >= 200 && status < 300 ? ok(null) : refuse({ kind: 'status', status })
}

/** As receivers are given it; 32 bytes. */
export const shownSecret = (secret: string): string => `whsec_${secret}`

/** Standard Webhooks 1.0: HMAC-SHA256 over id, seconds and body. The id is the same for every attempt, so that a second one is known. */
export function signedHeaders(secret: string, id: string, now: EpochMs, body: string): Readonly<Record<string, string>> {
  const at = String(Math.floor(now / 1000))
  const signature = createHmac('sha256', Buffer.from(secret, 'base64')).update(`${id}.${at}.${body}`).digest('base64')
  return { 'webhook-id': id, 'webhook-timestamp': at, 'webhook-signature': `v1,${signature}` }
}
