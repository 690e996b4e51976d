import { plain } from './client.ts'
import { Denied, type Explanation } from './errors.ts'

/** A denial with its reasons. What has not the form of an explanation is left out, and the denial stands. */
export function denialOf(value: unknown, told: { readonly message?: string | undefined; readonly decision?: string | undefined; readonly traceId?: string | undefined } = {}): Denied {
  const explanation = explanationIn(value)
  const { message = 'the policies do not allow this', decision, traceId } = told
  if (explanation === undefined) return new Denied(message, { code: 'denied', decision, traceId, hint: hintFor(decision) })
  const { asked, verdict, would_allow: wouldAllow, next, retryable } = explanation
  const said = verdict === 'approval_required' ? 'needs approval' : 'denied'
  const ways = [...(wouldAllow === null ? [] : [`would allow it: ${plain(wouldAllow)}`]), `${plain(next.say)}${next.cli === null ? '' : `: ${plain(next.cli)}`}`]
  return new Denied(`${said}: ${plain(asked)}`, {
    code: verdict === 'approval_required' ? 'approval_required' : 'denied', retryable, explanation, hint: ways.join('\n'),
    decision: plain(explanation.decision) ?? decision, traceId: plain(explanation.trace_id) ?? traceId,
  })
}

const hintFor = (decision: string | undefined): string | undefined => (decision === undefined ? undefined : `writ explain ${decision}`)

function explanationIn(value: unknown): Explanation | undefined {
  if (!isRecord(value) || !isRecord(value.next)) return undefined
  const { verdict, asked, would_allow: wouldAllow, next: { say, cli } } = value
  const isWhole = (verdict === 'deny' || verdict === 'approval_required') && isText(asked) && isText(say) && isTextOrNull(cli) && isTextOrNull(wouldAllow)
  return isWhole ? value as unknown as Explanation : undefined
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> => typeof value === 'object' && value !== null && !Array.isArray(value)
const isText = (value: unknown): value is string => typeof value === 'string'
const isTextOrNull = (value: unknown): value is string | null => value === null || isText(value)
