import type { EventReply } from '@writ/contract/events'
import { Link } from '@tanstack/react-router'
import { pageOfId } from '../ids.ts'
import { Inert } from '../ui/agent-words.tsx'
import { Id } from '../ui/copy.tsx'
import { utcText } from '../ui/spans.ts'
import { CALL_STATUSES, plain, saidOf } from '../ui/words.ts'
import type { Tone } from '../ui/mark.tsx'
import { isDenied } from './event-bins.ts'

type Outcome = readonly [tone: Tone, word: string]

const ALARMS = new Set(['finding.raised', 'incident.opened', 'ledger.row_rejected', 'lease.withdrawal_failed'])

/** How something came out that could have come out otherwise; null of what only happened. */
export function outcomeOf(event: EventReply): Outcome | null {
  if (isDenied(event)) return ['bad', 'denied']
  if (ALARMS.has(event.type)) return ['bad', 'alarm']
  const { answer, would_deny: wouldDeny, outcome } = event.facts
  if (event.type === 'decision.made') return wouldDeny === 'yes' ? ['ask', 'would be denied'] : answer === 'allow' ? ['good', 'allowed'] : null
  if (event.type === 'call.finished' && typeof outcome === 'string') return saidOf(CALL_STATUSES, outcome)
  return event.type === 'approval.approved' ? ['good', 'approved'] : null
}

const textOf = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value))

const isNothing = (value: unknown): boolean => value === null || value === '' || (Array.isArray(value) && value.length === 0)

/** What an event tells, in one line. */
export function summaryOf({ type, facts }: EventReply): string {
  if (type === 'decision.made') return `${textOf(facts['action'])} ${textOf(facts['resource_type']).replace(/^Writ::/, '').toLowerCase()} ${textOf(facts['resource'])}`
  if (type === 'call.finished') return `${textOf(facts['mcp_server'])}/${textOf(facts['tool'])}, ${textOf(facts['bytes'] ?? 0)} bytes in ${textOf(facts['duration_ms'])} ms`
  return Object.entries(facts).filter(([, value]) => !isNothing(value)).map(([name, value]) => `${plain(name)} ${textOf(value)}`).join(', ')
}

export const actorText = ({ actor }: EventReply): string => (actor.kind === actor.id ? actor.kind : `${actor.kind}:${actor.id}`)

const IDS = /^[a-z]{3}_[0-9a-z]{26}$/

/** A number that is this century's milliseconds is told as a time beside it; nothing else is counted so high. */
const isInstant = (value: unknown): value is number => typeof value === 'number' && value > 1e12 && value < 4.1e12

/** A value as the leaf says it; an id leads to what it names. */
export function FactValue({ of }: { readonly of: unknown }) {
  if (typeof of === 'string' && IDS.test(of) && pageOfId(of) !== undefined) return <Link to="/go/$id" params={{ id: of }}><code>{of}</code></Link>
  return <><code><Inert text={textOf(of)} most={2000} /></code>{isInstant(of) && <span className="w-dim"> {utcText(of)}</span>}</>
}

/** An id that has a page, shortened. */
export function LinkedId({ id }: { readonly id: string }) {
  return pageOfId(id) === undefined ? <Id of={id} /> : <Link to="/go/$id" params={{ id }}><Id of={id} /></Link>
}
