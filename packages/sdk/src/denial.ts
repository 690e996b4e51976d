import { plain } from './client.ts'
import { ApprovalDenied, ApprovalExpired, ApprovalRequired, Denied, type Explanation, type PersonTold } from './errors.ts'

/** `word`: what the server calls it; `approval` and `url`: the request, where there is one. */
export type DenialTold = {
  readonly message?: string | undefined; readonly decision?: string | undefined; readonly traceId?: string | undefined
  readonly word?: string | undefined; readonly approval?: string | undefined; readonly url?: string | undefined
}

/** What a person's answer, or its lack, is told as. */
type Kind = new (message: string, told: PersonTold) => Denied
const BY_PERSON: Readonly<Record<string, Kind>> = {
  approval_required: ApprovalRequired, approval_denied: ApprovalDenied, approval_lapsed: ApprovalExpired, approval_cancelled: ApprovalExpired,
}

/** A denial with its reasons. What has not the form of an explanation is left out, and the denial stands. */
export function denialOf(value: unknown, told: DenialTold = {}): Denied {
  const explanation = explanationIn(value)
  const { message = 'the policies do not allow this', decision, traceId, approval, url } = told
  const code = told.word !== undefined && /^approval_\w+$/.test(told.word) ? told.word : explanation?.verdict === 'approval_required' ? 'approval_required' : 'denied'
  const Kind: Kind = Object.hasOwn(BY_PERSON, code) ? BY_PERSON[code]! : Denied
  const at = url === undefined || code !== 'approval_required' ? [] : [`a person answers at ${url}`]
  if (explanation === undefined) return new Kind(message, { code, decision, traceId, approval, url, hint: [...at, ...(decision === undefined ? [] : [`writ explain ${decision}`])].join('\n') || undefined })
  const { asked, verdict, would_allow: wouldAllow, next, retryable } = explanation
  const said = Kind === ApprovalDenied ? 'a person has said no' : Kind === ApprovalExpired ? 'nobody approved it in time' : verdict === 'approval_required' ? 'needs approval' : 'denied'
  const ways = [...at, ...(wouldAllow === null ? [] : [`would allow it: ${plain(wouldAllow)}`]), `${plain(next.say)}${next.cli === null ? '' : `: ${plain(next.cli)}`}`]
  return new Kind(`${said}: ${plain(asked)}`, {
    code, retryable, explanation, hint: ways.join('\n'), decision: plain(explanation.decision) ?? decision, traceId: plain(explanation.trace_id) ?? traceId, approval, url,
  })
}

function explanationIn(value: unknown): Explanation | undefined {
  if (!isRecord(value) || !isRecord(value.next)) return undefined
  const { verdict, asked, would_allow: wouldAllow, next: { say, cli } } = value
  const isWhole = (verdict === 'deny' || verdict === 'approval_required') && isText(asked) && isText(say) && isTextOrNull(cli) && isTextOrNull(wouldAllow)
  return isWhole ? value as unknown as Explanation : undefined
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> => typeof value === 'object' && value !== null && !Array.isArray(value)
const isText = (value: unknown): value is string => typeof value === 'string'
const isTextOrNull = (value: unknown): value is string | null => value === null || isText(value)
