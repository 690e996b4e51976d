/** A standing observation that something is wrong, until it is resolved. */
export const FINDING_KINDS = [
  'shared_identity', 'asks_too_often', 'evidence_shown_by_another_key', 'orphan_on_backend', 'row_forged', 'owner_missing', 'clock_skew', 'tool_changed', 'tool_hidden_text', 'tool_unreadable', 'notice_undelivered',
] as const
export type FindingKind = (typeof FINDING_KINDS)[number]
export type FindingState = 'open' | 'resolved'

/** Something that is wrong now and that somebody has to act on. */
export const INCIDENT_KINDS = ['withdrawal_failed', 'still_accepted'] as const
export type IncidentKind = (typeof INCIDENT_KINDS)[number]
export type IncidentState = 'open' | 'resolved'
