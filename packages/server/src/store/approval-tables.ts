/** Who is asked about what; `routes` is JSON of `ApprovalRoute[]`. */
export type ApprovalRouteRow = { version: number; routes: string; reason: string; set_by: string; set_at: number }

export type ApprovalRow = {
  id: string
  kind: string
  state: string
  task_id: string
  identity_id: string
  root_id: string
  workload: string | null
  /** JSON of `ChainLink[]`, from the top of the tree. */
  chain: string
  on_behalf_of: string | null
  action: string
  resource_type: string
  resource_id: string
  /** Exactly the bytes that were asked for, sealed; null once it has its end. */
  arguments: string | null
  arguments_sha256: string
  claimed_sha256: string
  /** The agent's words about it, sealed; null once it has its end, or where it said nothing. */
  intent: string | null
  tool_pin: string | null
  policy_version: number
  /** The denial. */
  decision_id: string
  effect: string | null
  reversible: string | null
  labels: string
  risk: string
  route: string
  group_name: string | null
  quorum: number
  signed: string
  /** JSON of `Requesters`. */
  requesters: string
  requested_at: number
  expires_at: number
  nonce: string
  /** JSON of `ApprovalChoice`, from the first yes on. */
  choice: string | null
  /** The arguments that run in place of those that were asked for, sealed. */
  edited: string | null
  envelope_sha256: string | null
  calls_most: number | null
  calls_used: number
  decided_at: number | null
  used_at: number | null
  ended_at: number | null
  why: string | null
  due_at: number | null
  requested_event: string | null
}

/** `issuer` is empty of what needs none; a team is JSON text, so that it is found in a list of groups. */
export type ApprovalExcludedRow = { approval_id: string; kind: string; issuer: string; value: string }

export type ApprovalVoteRow = {
  approval_id: string
  person_id: string
  /** As the person was called then. */
  name: string
  email: string | null
  issuer: string | null
  subject: string | null
  group_names: string
  answer: string
  reason: string | null
  envelope_sha256: string | null
  passkey_id: string | null
  /** JSON of what the browser made. */
  assertion: string | null
  at: number
  event_id: string
}
