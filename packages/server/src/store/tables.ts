import type { Generated } from 'kysely'
import type { NoticeRow, NoticeTargetRow } from './notice-tables.ts'
import type { PeopleTables } from './people-tables.ts'
import type { StopTables } from './stop-tables.ts'
import type { ApprovalExcludedRow, ApprovalRouteRow, ApprovalRow, ApprovalVoteRow } from './approval-tables.ts'

/**
 * The tables as both databases hold them: instants are epoch milliseconds, lists and objects are JSON text, bytes are bytes.
 * Row functions beside this file turn rows into the domain's values; nothing else reads them.
 */
export type Tables = PeopleTables & StopTables & {
  installation: InstallationRow
  operator: OperatorRow
  bootstrap: BootstrapRow
  admission: AdmissionRow
  identity: IdentityRow
  credential: CredentialRow
  trigger_hook: TriggerHookRow
  issuer: IssuerRow
  binding: BindingRow
  evidence_key: EvidenceKeyRow
  backend: BackendRow
  task: TaskRow
  lease: LeaseRow
  finding: FindingRow
  incident: IncidentRow
  event: EventRow
  event_said: EventSaidRow
  log: LogRow
  checkpoint: CheckpointRow
  tile: TileRow
  proof_used: ProofUsedRow
  idempotency: IdempotencyRow
  signing_key: SigningKeyRow
  access_token: AccessTokenRow
  restore: RestoreRow
  past_log: PastLogRow
  past_checkpoint: PastCheckpointRow
  past_tile: PastTileRow
  policy_version: PolicyVersionRow
  policy_head: PolicyHeadRow
  decision: DecisionRow
  tree_label: TreeLabelRow
  instance_label: InstanceLabelRow
  mode: ModeRow
  mcp_server: McpServerRow
  mcp_tool: McpToolRow
  server_instance: ServerInstanceRow
  lent_lease: LentLeaseRow
  tool_call: ToolCallRow
  notice_target: NoticeTargetRow
  notice: NoticeRow
  approval: ApprovalRow
  approval_excluded: ApprovalExcludedRow
  approval_vote: ApprovalVoteRow
  approval_route: ApprovalRouteRow
}

export type InstallationRow = { id: string; singleton: number; created_at: number; key_check: string; not_before: number | null }
export type OperatorRow = { id: string; name: string; key_hash: Uint8Array; state: string; created_at: number; removed_at: number | null; came_by: string; made_by: string | null }
export type BootstrapRow = { code_hash: Uint8Array; created_at: number; expires_at: number; used_at: number | null; reason: string | null; offered_by: string | null }
export type AdmissionRow = { id: string; spiffe_id: string; answer: string; reason: string; decided_by: string; decided_at: number }

export type IdentityRow = {
  id: string
  spiffe_id: string
  kind: string
  class: string
  purpose: string
  technical_owner: string
  business_owner: string
  system_scope: string
  environment: string
  authority: string
  ends_at: number
  trigger: string
  trigger_kind: string
  /** What the trigger watches: a back end's name, an issuer's URL; empty for the others. */
  trigger_on: string
  admission_id: string
  state: string
  state_reason: string
  registered_at: number
  last_used_at: number | null
  /** When the sweeper has to look: the end, or the day on which it has been unused for too long. */
  due_at: number | null
  /** The beginning of the hour in which `opens_count` tasks were opened. */
  opens_window: number
  opens_count: number
  /** How many it may; null where nothing was said. */
  tasks_per_hour: number | null
}

export type CredentialRow = { id: string; identity_id: string; thumbprint: string; alg: string; jwk: string; state: string; registered_at: number; revoked_at: number | null; registered_by: string | null }
export type TriggerHookRow = { identity_id: string; sealed_secret: string; created_at: number }

export type IssuerRow = {
  id: string
  url: string
  state: string
  trusted_at: number
  removed_at: number | null
  kind: string
  key_source: string
  keys_url: string | null
  /** JSON of the keys that the operator gave. */
  keys: string | null
  /** PEM. */
  ca: string | null
  changed_at: number | null
  keys_by: string | null
}

export type BindingRow = {
  id: string
  identity_id: string
  issuer_id: string
  audience: string
  /** JSON of the matchers. */
  claims: string
  /** Where they name one text for `sub`, so that it is found by it. */
  subject: string | null
  state: string
  registered_at: number
  revoked_at: number | null
  registered_by: string | null
}

export type EvidenceKeyRow = { hash: Uint8Array; thumbprint: string; expires_at: number }

export type BackendRow = {
  id: string
  name: string
  kind: string
  settings: string
  templates: string
  sealed_secret: string
  next_sealed_secret: string | null
  version: string
  state: string
  added_at: number
  removed_at: number | null
  secret_rotated_at: number | null
}

export type TaskRow = {
  id: string
  identity_id: string
  parent_id: string | null
  root_id: string
  depth: number
  depth_left: number
  purpose: string
  authority: string
  on_behalf_of: string | null
  opened_at: number
  deadline: number
  budget_calls: number
  calls_used: number
  widenings: number
  /** Who opened it, as its evidence said; null of a child, whose holder is not known when it opens. */
  workload: string | null
  /** The credential or binding that let its holder in; null where that is not known. */
  opened_by: string | null
  idle_timeout: number
  heartbeat: number
  last_heard_at: number
  last_call_at: number
  state: string
  end_reason: string | null
  ended_at: number | null
  closed_at: number | null
  /** Leaf hash and outcome of `task.closed`, for the parent's own. */
  closed_leaf: Uint8Array | null
  closed_outcome: string | null
  due_at: number | null
  /** Of the operator's purposes the one that it names: policies see this, never the words. */
  purpose_id: string | null
  change_reference: string | null
  /** How many calls were denied: what it tried and may not. */
  denied_calls: number
}

export type LeaseRow = {
  id: string
  task_id: string
  identity_id: string
  backend_id: string
  template: string
  handle: string
  sealed_secret: string | null
  state: string
  outcome: string | null
  intended_at: number
  minted_at: number | null
  expires_at: number
  /** JSON of `ControlLogin`. */
  control: string | null
  stop_at: number | null
  attempts: number
  due_at: number | null
  incident_id: string | null
  /** Leaf hash of `lease.ended` or of the incident, for `task.closed`. */
  end_leaf: Uint8Array | null
  /** JSON of what a withdrawal found, written before it is handed over. */
  survey: string | null
}

export type FindingRow = { id: string; kind: string; subject: string; identity_id: string | null; evidence: string; state: string; raised_at: number; resolved_at: number | null }

export type IncidentRow = {
  id: string
  kind: string
  lease_id: string | null
  task_id: string | null
  identity_id: string | null
  why: string
  state: string
  opened_at: number
  resolved_at: number | null
}

export type EventRow = {
  /** The order of writing; the sealer's order too. */
  seq: Generated<number>
  id: string
  stream: string
  type: string
  at: number
  task_id: string | null
  identity_id: string | null
  /** The leaf: canonical JSON (RFC 8785). */
  leaf: string
  leaf_hash: Uint8Array
  /** HMAC of the leaf under a key outside the database (decision 13). */
  mac: Uint8Array
  /** Null until sealed; -1 when the sealer refused the row as forged. Counted over all logs of the stream: see `log.first_leaf`. */
  leaf_index: number | null
}

export type EventSaidRow = { event_id: string; field: string; salt: Uint8Array; value: string }
export type LogRow = { stream: string; origin: string; vkey: string; size: number; note: string; signed_at: number; first_leaf: number }
export type CheckpointRow = { stream: string; size: number; note: string; signed_at: number }
export type TileRow = { stream: string; level: number; tile_index: number; hashes: Uint8Array }
export type ProofUsedRow = { hash: Uint8Array; expires_at: number }
export type IdempotencyRow = { caller: string; key: string; request_hash: string; change: string; result: string; created_at: number }

export type SigningKeyRow = {
  /** Its `kid`: the RFC 7638 thumbprint. */
  id: string
  jwk: string
  sealed_private: string | null
  state: string
  published_at: number
  activated_at: number | null
  retired_at: number | null
  revoked_at: number | null
}

export type AccessTokenRow = {
  /** Its `jti`. */
  id: string
  task_id: string
  identity_id: string
  kid: string
  audience: string
  jkt: string | null
  authority: string
  subject: string
  subject_issuer: string | null
  /** SPIFFE IDs, the one that acts first; empty where the subject acts itself. */
  actors: string
  issued_at: number
  expires_at: number
  state: string
  outcome: string | null
  stop_at: number | null
  due_at: number | null
  incident_id: string | null
  /** Leaf hash of `lease.ended` or of the incident, for `task.closed`. */
  end_leaf: Uint8Array | null
}

export type RestoreRow = {
  id: string
  state: string
  backup_id: string
  backup_at: number
  begun_at: number
  done_at: number | null
  trusts_identities: string
}

/** A log that ended with a restore. `known_note`: the newest checkpoint of it that was known outside. */
export type PastLogRow = LogRow & { restore_id: string; known_note: string | null; known_size: number | null }
export type PastCheckpointRow = { origin: string; size: number; note: string; signed_at: number }
export type PastTileRow = { origin: string; level: number; tile_index: number; hashes: Uint8Array }

export type PolicyVersionRow = {
  version: number
  /** SHA-256 over the files in canonical JSON, in hexadecimal digits. */
  digest: string
  /** JSON: path -> text. */
  files: string
  rolled_back_to: number | null
  reason: string | null
  applied_by: string
  applied_at: number
}

export type PolicyHeadRow = { singleton: number; version: number }

export type DecisionRow = {
  /** Minted at `at`: in the order of ids is in the order of time. */
  id: string
  at: number
  task_id: string | null
  identity_id: string | null
  principal_type: string
  principal_id: string
  action: string
  resource_type: string
  resource_id: string
  /** Which part of the grant it needed, as grants are written; null of an advisory one. */
  permit: string | null
  answer: string
  cause: string
  approvable: string
  mode: string
  would_deny: string
  advisory: string
  policy_version: number
  /** JSON: the ids of the policies that decided. */
  by_policies: string
  /** JSON: texts. */
  errors: string
  /** Sealed: the whole question as canonical JSON. Null once erased, together with the salt of its hash in the leaf. */
  evaluated: string | null
  evaluated_salt: Uint8Array | null
  trace_id: string | null
  event_id: string
}

export type TreeLabelRow = { root_id: string; label: string; at: number; decision_id: string; source: string }
export type InstanceLabelRow = { identity_id: string; workload: string; label: string; at: number; decision_id: string; source: string }
/** `until`: null of one that is enforced. */
export type ModeRow = { subject_kind: string; subject: string; mode: string; reason: string; until: number | null; set_by: string; set_at: number }

export type McpServerRow = {
  id: string
  name: string
  transport: string
  /** JSON of `McpSettings`. */
  settings: string
  /** JSON of names and values: headers of one over HTTP, environment variables of one over stdio. Null where there are none. */
  sealed_secret: string | null
  environment: string | null
  state: string
  added_by: string
  added_at: number
  /** When its secret was last put in place of another; null of one that is as it was added. */
  secret_set_at: number | null
  retired_at: number | null
}

export type McpToolRow = {
  server_id: string
  name: string
  /** `sha256:` and the digest of the definition. */
  hash: string
  /** In canonical form. */
  definition: string
  /** JSON: `HiddenText`s. */
  flags: string
  first_seen: number
  last_seen: number
  /** Null of what the server lists now. */
  gone_at: number | null
}

export type ServerInstanceRow = { id: string; address: string | null; started_at: number; seen_at: number; gone_at: number | null }
export type LentLeaseRow = { lease_id: string; instance_id: string }

export type ToolCallRow = {
  decision_id: string
  task_id: string
  identity_id: string
  /** Names, as the client said them. */
  server: string
  tool: string
  instance_id: string
  started_at: number
  status: string
  finished_at: number | null
  /** Of the result's text, in UTF-8; null where there was none. */
  bytes: number | null
  /** In hexadecimal digits. */
  sha256: string | null
  duration_ms: number | null
}
