import type { EventId, IdentityId, LeaseId, PersonId, TaskId } from './id.ts'
import type { EpochMs } from './time.ts'

/** Decision 8: people's acts and machines' acts are two logs, joined by ids. */
export const STREAMS = ['non-human', 'human'] as const
export type Stream = (typeof STREAMS)[number]

/**
 * The closed list of what can be recorded: its stream, and its place in OCSF 1.x (`class_uid`, `activity_id`).
 * OCSF classes: 3001 account change, 3002 authentication, 3003 authorize session, 3005 user access management,
 * 6003 API activity, 2004 detection finding, 6002 application lifecycle.
 */
export const EVENT_TYPES = {
  'server.started': { stream: 'non-human', classUid: 6002, activityId: 3 },
  'operator.key_issued': { stream: 'human', classUid: 3002, activityId: 1 },
  'operator.removed': { stream: 'human', classUid: 3005, activityId: 2 },
  'operator.bootstrap_offered': { stream: 'human', classUid: 3002, activityId: 99 },
  'person.registered': { stream: 'human', classUid: 3001, activityId: 1 },
  'person.changed': { stream: 'human', classUid: 3001, activityId: 99 },
  'person.blocked': { stream: 'human', classUid: 3001, activityId: 5 },
  'person.unblocked': { stream: 'human', classUid: 3001, activityId: 2 },
  'person.signed_in': { stream: 'human', classUid: 3002, activityId: 1 },
  'person.stepped_up': { stream: 'human', classUid: 3002, activityId: 99 },
  'person.signed_out': { stream: 'human', classUid: 3002, activityId: 2 },
  'person.invited': { stream: 'human', classUid: 3001, activityId: 99 },
  'device.allowed': { stream: 'human', classUid: 3002, activityId: 99 },
  'device.denied': { stream: 'human', classUid: 3002, activityId: 99 },
  'sign_in.revoked': { stream: 'human', classUid: 3002, activityId: 2 },
  'passkey.enrolled': { stream: 'human', classUid: 3001, activityId: 99 },
  'passkey.removed': { stream: 'human', classUid: 3001, activityId: 99 },
  'role.given': { stream: 'human', classUid: 3005, activityId: 1 },
  'role.taken': { stream: 'human', classUid: 3005, activityId: 2 },
  'role_rule.set': { stream: 'human', classUid: 3005, activityId: 99 },
  'role_rule.removed': { stream: 'human', classUid: 3005, activityId: 2 },
  'admission.decided': { stream: 'human', classUid: 3005, activityId: 99 },
  'identity.registered': { stream: 'human', classUid: 3001, activityId: 1 },
  'identity.changed': { stream: 'human', classUid: 3001, activityId: 99 },
  'identity.suspended': { stream: 'human', classUid: 3001, activityId: 5 },
  'identity.resumed': { stream: 'human', classUid: 3001, activityId: 2 },
  'identity.retired': { stream: 'human', classUid: 3001, activityId: 6 },
  'identity.transferred': { stream: 'human', classUid: 3001, activityId: 99 },
  'credential.registered': { stream: 'human', classUid: 3001, activityId: 99 },
  'credential.revoked': { stream: 'human', classUid: 3001, activityId: 99 },
  'binding.registered': { stream: 'human', classUid: 3001, activityId: 99 },
  'binding.revoked': { stream: 'human', classUid: 3001, activityId: 99 },
  'issuer.trusted': { stream: 'human', classUid: 3005, activityId: 1 },
  'issuer.changed': { stream: 'human', classUid: 3005, activityId: 99 },
  'issuer.removed': { stream: 'human', classUid: 3005, activityId: 2 },
  'backend.added': { stream: 'human', classUid: 3005, activityId: 1 },
  'backend.changed': { stream: 'human', classUid: 3005, activityId: 99 },
  'backend.tested': { stream: 'human', classUid: 3005, activityId: 99 },
  'backend.secret_set': { stream: 'human', classUid: 3005, activityId: 99 },
  'backend.secret_rotated': { stream: 'human', classUid: 3005, activityId: 99 },
  'backend.removed': { stream: 'human', classUid: 3005, activityId: 2 },
  'mcp_server.added': { stream: 'human', classUid: 3005, activityId: 1 },
  'mcp_server.changed': { stream: 'human', classUid: 3005, activityId: 99 },
  'mcp_server.retired': { stream: 'human', classUid: 3005, activityId: 2 },
  'notice_target.added': { stream: 'human', classUid: 3005, activityId: 1 },
  'notice_target.tested': { stream: 'human', classUid: 3005, activityId: 99 },
  'notice_target.removed': { stream: 'human', classUid: 3005, activityId: 2 },
  'policy.applied': { stream: 'human', classUid: 3005, activityId: 99 },
  'mode.changed': { stream: 'human', classUid: 3005, activityId: 99 },
  'decision.erased': { stream: 'human', classUid: 6003, activityId: 4 },
  'stop.made': { stream: 'human', classUid: 3005, activityId: 2 },
  'approval.voted': { stream: 'human', classUid: 3005, activityId: 99 },
  'approval.approved': { stream: 'human', classUid: 3005, activityId: 1 },
  'approval.denied': { stream: 'human', classUid: 3005, activityId: 2 },
  'approval_routes.set': { stream: 'human', classUid: 3005, activityId: 99 },
  'approval.requested': { stream: 'non-human', classUid: 3005, activityId: 99 },
  'approval.used': { stream: 'non-human', classUid: 6003, activityId: 99 },
  'approval.lapsed': { stream: 'non-human', classUid: 3005, activityId: 99 },
  'approval.cancelled': { stream: 'non-human', classUid: 3005, activityId: 99 },
  'stop.acknowledged': { stream: 'non-human', classUid: 3005, activityId: 99 },
  'stop.settled': { stream: 'non-human', classUid: 3005, activityId: 99 },
  'identity.contained': { stream: 'non-human', classUid: 3001, activityId: 5 },
  'identity.expired': { stream: 'non-human', classUid: 3001, activityId: 6 },
  'identity.trigger_fired': { stream: 'non-human', classUid: 3001, activityId: 6 },
  'task.opened': { stream: 'non-human', classUid: 3003, activityId: 1 },
  'task.delegated': { stream: 'non-human', classUid: 3003, activityId: 99 },
  'task.widened': { stream: 'non-human', classUid: 3003, activityId: 99 },
  'task.ended': { stream: 'non-human', classUid: 3003, activityId: 99 },
  'task.closed': { stream: 'non-human', classUid: 3003, activityId: 99 },
  'decision.made': { stream: 'non-human', classUid: 6003, activityId: 99 },
  'tools.seen': { stream: 'non-human', classUid: 6003, activityId: 99 },
  'call.finished': { stream: 'non-human', classUid: 6003, activityId: 99 },
  'lease.intended': { stream: 'non-human', classUid: 3005, activityId: 99 },
  'lease.minted': { stream: 'non-human', classUid: 3005, activityId: 1 },
  'lease.revoked': { stream: 'non-human', classUid: 3005, activityId: 2 },
  'lease.withdrawal_failed': { stream: 'non-human', classUid: 3005, activityId: 99 },
  'lease.ended': { stream: 'non-human', classUid: 3005, activityId: 2 },
  'signing_key.published': { stream: 'non-human', classUid: 3005, activityId: 99 },
  'signing_key.activated': { stream: 'non-human', classUid: 3005, activityId: 99 },
  'signing_key.retired': { stream: 'non-human', classUid: 3005, activityId: 99 },
  'signing_key.revoked': { stream: 'human', classUid: 3005, activityId: 2 },
  'orphan.withdrawn': { stream: 'non-human', classUid: 3005, activityId: 2 },
  'finding.raised': { stream: 'non-human', classUid: 2004, activityId: 1 },
  'finding.resolved': { stream: 'non-human', classUid: 2004, activityId: 3 },
  'incident.opened': { stream: 'non-human', classUid: 2004, activityId: 1 },
  'incident.resolved': { stream: 'non-human', classUid: 2004, activityId: 3 },
  'ledger.row_rejected': { stream: 'non-human', classUid: 2004, activityId: 1 },
  'backup.begun': { stream: 'human', classUid: 6003, activityId: 2 },
  'backup.taken': { stream: 'human', classUid: 6003, activityId: 2 },
  /** The first leaf of a log that a restore opened; it stands in both logs. */
  'log.restored': { stream: 'human', classUid: 6002, activityId: 99 },
} as const satisfies Readonly<Record<string, { stream: Stream; classUid: number; activityId: number }>>

export type EventType = keyof typeof EVENT_TYPES

/** Who did it. A name that is personal stands in `said`, never here. */
export type EventActor =
  | { readonly kind: 'identity'; readonly id: IdentityId }
  | { readonly kind: 'operator'; readonly id: string }
  | { readonly kind: 'person'; readonly id: PersonId }
  | { readonly kind: 'writ'; readonly id: string }

export type PublicValue = string | number | boolean | null | readonly PublicValue[] | { readonly [field: string]: PublicValue }

/**
 * What a change hands to the record. `facts` stand in the leaf and are public to every reader of the log; `said` holds personal and
 * free text, which the leaf only commits to (decision 13), so that it can be erased later. A secret belongs in neither.
 */
export type EventDraft = {
  readonly type: EventType
  /** For what stands in both logs, and for what a person does that Writ may do too; else the type tells. */
  readonly stream?: Stream
  readonly actor: EventActor
  readonly task?: TaskId
  readonly identity?: IdentityId
  readonly lease?: LeaseId
  readonly facts: { readonly [field: string]: PublicValue }
  readonly said?: { readonly [field: string]: string }
}

/** The leaf, version 1, before canonicalisation (RFC 8785). Every reader of the log sees all of it. */
export type EventLeaf = {
  readonly v: 1
  readonly id: EventId
  readonly stream: Stream
  readonly type: EventType
  readonly at: EpochMs
  readonly actor: EventActor
  readonly task: TaskId | null
  readonly identity: IdentityId | null
  readonly lease: LeaseId | null
  readonly facts: { readonly [field: string]: PublicValue }
  /** Field -> base64url of SHA-256(salt || UTF-8 text); the salt is 32 bytes and kept outside the log. */
  readonly commitments: { readonly [field: string]: string }
}
