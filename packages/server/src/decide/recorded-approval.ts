import type { ApprovalRoute } from '@writ/domain/approval'
import type { EventLeaf, PublicValue } from '@writ/domain/event'
import type { EventId } from '@writ/domain/id'
import { ok, refuse, type Outcome } from '@writ/domain/outcome'
import { canonical } from '@writ/ledger/canonical'
import { isAuthentic } from '../record/authentic.ts'
import type { Tx } from '../record/tx.ts'
import { findRoutes, type Vote } from '../store/approval-votes.ts'
import type { Approval, NewApproval } from '../store/approvals.ts'
import { listEventsById, listRoutesSet, type StoredEvent } from '../store/events.ts'
import { sha256Hex } from './envelope.ts'

type Facts = { readonly [field: string]: PublicValue }

/** What the record says of a request: all that decides who may answer it, and how. */
export const requestFacts = (of: NewApproval): Facts => ({
  approval: of.id, kind: of.kind, decision: of.decision, action: of.action, resource_type: of.resource.type, resource: of.resource.id, risk: of.risk, labels: of.labels,
  policy_version: of.policyVersion, tool_pin: of.toolPin, route: of.route.name, group: of.route.group, quorum: of.route.quorum, signed: of.route.signed ? 'yes' : 'no',
  expires_at: of.expiresAt,
})

export const voteFacts = ({ approval, answer, envelopeSha256, signature }: Pick<Vote, 'approval' | 'answer' | 'envelopeSha256' | 'signature'>): Facts =>
  ({ approval, answer, envelope_sha256: envelopeSha256, passkey: signature?.passkey ?? null })

export const routesFacts = (version: number, routes: readonly ApprovalRoute[]): Facts => ({ version, routes: routes.length, sha256: sha256Hex(JSON.stringify(routes)) })

/**
 * What of a request and its answers stands in the record under our MAC. INVARIANT: a row that says so is not enough, of a request as of an answer:
 * whoever can write to the database could have put it there.
 */
export async function recordedOf(tx: Tx, approval: Approval, votes: readonly Vote[]): Promise<{ readonly isRequest: boolean; readonly votes: readonly Vote[] }> {
  const { requestedEvent } = approval
  const events = new Map((await listEventsById(tx.db, [...(requestedEvent === null ? [] : [requestedEvent]), ...votes.map(({ event }) => event)])).map((one) => [one.id, one]))
  const says = (id: EventId | null, said: Pick<EventLeaf, 'type' | 'actor' | 'facts'>): boolean => {
    const event = id === null ? undefined : events.get(id)
    return event !== undefined && event.task === approval.task && event.identity === approval.identity && tells(tx, event, said)
  }
  return {
    isRequest: says(requestedEvent, { type: 'approval.requested', actor: { kind: 'identity', id: approval.identity }, facts: requestFacts(approval) }),
    votes: votes.filter((vote) => vote.approval === approval.id && says(vote.event, { type: 'approval.voted', actor: { kind: 'person', id: vote.person }, facts: voteFacts(vote) })),
  }
}

/** Facts beside these do not matter. */
function tells({ context }: Tx, event: StoredEvent, { type, actor, facts }: Pick<EventLeaf, 'type' | 'actor' | 'facts'>): boolean {
  if (event.type !== type || !isAuthentic(context.eventMac, event)) return false
  const leaf = JSON.parse(event.text) as EventLeaf
  return canonical(leaf.actor) === canonical(actor) && Object.entries(facts).every(([field, value]) => canonical(leaf.facts[field] ?? null) === canonical(value))
}

/** Who is asked about what, as long as that is what was recorded last: neither put there by hand, nor brought back. */
export async function routesInForce(tx: Tx): Promise<Outcome<readonly ApprovalRoute[], { readonly kind: 'routes_damaged' }>> {
  const { version, routes } = await findRoutes(tx.db)
  const newest = (await listRoutesSet(tx.db, CONSIDERED)).find((event) => isAuthentic(tx.context.eventMac, event))
  if (newest === undefined) return version === 0 ? ok(routes) : refuse({ kind: 'routes_damaged' })
  const { facts } = JSON.parse(newest.text) as EventLeaf
  return canonical(facts) === canonical(routesFacts(version, routes)) ? ok(routes) : refuse({ kind: 'routes_damaged' })
}

/** Forged ones are marked within a second or so; behind more of them than these nothing is looked for. */
const CONSIDERED = 20
