import type { Tables } from './tables.ts'

export type TableName = keyof Tables

/** A table in a backup; `orderBy` where its rows refer to each other, or their order counts. */
export type KeptTable = { readonly name: TableName; readonly orderBy?: string }

/**
 * What a backup holds: each table after those that its rows refer to, so that they can be loaded as they come. Every secret among them is
 * sealed under the master key or is a hash, and so is what decisions were made of; texts that people and agents said are not.
 */
export const KEPT_TABLES: readonly KeptTable[] = [
  { name: 'installation' },
  { name: 'operator' },
  { name: 'person' },
  { name: 'role_rule' },
  { name: 'person_role' },
  { name: 'passkey' },
  { name: 'admission' },
  { name: 'identity' },
  { name: 'credential' },
  { name: 'trigger_hook' },
  { name: 'issuer' },
  { name: 'binding' },
  { name: 'backend' },
  { name: 'task', orderBy: 'depth, id' },
  { name: 'lease' },
  { name: 'signing_key' },
  { name: 'access_token' },
  { name: 'policy_version', orderBy: 'version' },
  { name: 'policy_head' },
  { name: 'decision', orderBy: 'id' },
  { name: 'tree_label' },
  { name: 'instance_label' },
  { name: 'mode' },
  { name: 'mcp_server' },
  { name: 'mcp_tool' },
  { name: 'tool_call', orderBy: 'decision_id' },
  { name: 'approval_route', orderBy: 'version' },
  { name: 'approval', orderBy: 'id' },
  { name: 'approval_excluded' },
  { name: 'approval_vote' },
  { name: 'stop', orderBy: 'id' },
  { name: 'stop_task' },
  { name: 'stop_lease' },
  { name: 'stop_server' },
  { name: 'notice_target' },
  { name: 'notice' },
  { name: 'finding' },
  { name: 'incident' },
  { name: 'event', orderBy: 'seq' },
  { name: 'event_said' },
  { name: 'restore' },
  { name: 'past_log' },
  { name: 'past_checkpoint' },
  { name: 'past_tile' },
  { name: 'log' },
  { name: 'checkpoint' },
  { name: 'tile' },
]

/**
 * What no backup holds: the schema is the program's own, and what was used up is replaced by refusing all evidence from before the restore.
 * Nobody is signed in to a restored store, and no link leads there: one that was revoked or used since would be good again.
 */
export const LEFT_OUT: readonly (TableName | 'migration')[] = ['migration', 'bootstrap', 'proof_used', 'evidence_key', 'idempotency', 'server_instance', 'sign_in', 'invitation', 'lent_lease', 'provider_sign_in', 'device_sign_in']
