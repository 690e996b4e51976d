import { ENVIRONMENTS } from '@writ/domain/identity'
import { CALL_OUTCOMES, CALL_STATUSES, MCP_TRANSPORTS } from '@writ/domain/tool-call'
import type { Migration } from '../migrate.ts'

const oneOf = (column: string, words: readonly string[]): string => `check (${column} in (${words.map((word) => `'${word}'`).join(', ')}))`

/** A server of release 1 goes on as before: it serves no MCP and knows of none of these. */
export const mcp: Migration = {
  release: 2,
  name: '0010-mcp',
  up: (d) => [
    `create table mcp_server (
       id text primary key,
       name text not null constraint mcp_server_is_named check (name <> ''),
       transport text not null constraint mcp_server_transport_known ${oneOf('transport', MCP_TRANSPORTS)},
       settings text not null,
       sealed_secret text,
       environment text constraint mcp_server_environment_known ${oneOf('environment', ENVIRONMENTS)},
       state text not null constraint mcp_server_state_known ${oneOf('state', ['active', 'retired'])},
       added_by text not null,
       added_at ${d.types.bigint} not null,
       secret_set_at ${d.types.bigint},
       retired_at ${d.types.bigint},
       constraint mcp_server_retired_has_time check ((state = 'retired') = (retired_at is not null))
     )${d.strict}`,
    'create unique index mcp_server_name_is_distinct on mcp_server (name) where state = \'active\'',
    ...d.freeze('mcp_server', ['id', 'name', 'transport', 'settings', 'environment', 'added_by', 'added_at'], 'mcp_server_is_frozen'),
    ...d.onlyTransitions('mcp_server', 'state', [['active', 'retired']], 'mcp_server_retired_is_for_ever'),
    ...d.neverDelete('mcp_server', 'mcp_server_is_never_deleted'),
    ...d.comment('mcp_server', 'a server of tools that tasks reach through Writ; what Writ shows it as its own is sealed'),

    `create table mcp_tool (
       server_id text not null references mcp_server (id),
       name text not null constraint mcp_tool_is_named check (name <> ''),
       hash text not null,
       definition text not null,
       flags text not null,
       first_seen ${d.types.bigint} not null,
       last_seen ${d.types.bigint} not null,
       gone_at ${d.types.bigint},
       primary key (server_id, name, hash),
       constraint mcp_tool_seen_in_order check (last_seen >= first_seen),
       constraint mcp_tool_gone_after_seen check (gone_at >= last_seen)
     )${d.strict}`,
    'create unique index mcp_tool_listed_once on mcp_tool (server_id, name) where gone_at is null',
    ...d.freeze('mcp_tool', ['server_id', 'name', 'hash', 'definition', 'first_seen'], 'mcp_tool_is_frozen'),
    ...d.onlyGrows('mcp_tool', 'last_seen', 'mcp_tool_last_seen_only_grows'),
    ...d.comment('mcp_tool', 'a definition that a server was seen to list; those that are gone stay for a while, for whoever compares'),

    `create table server_instance (
       id text primary key,
       address text,
       started_at ${d.types.bigint} not null,
       seen_at ${d.types.bigint} not null,
       gone_at ${d.types.bigint}
     )${d.strict}`,
    ...d.freeze('server_instance', ['id', 'address', 'started_at'], 'server_instance_is_frozen'),
    ...d.onlyGrows('server_instance', 'seen_at', 'server_instance_seen_only_grows'),
    ...d.comment('server_instance', 'one run of a Writ server, and where the others find it'),

    // No reference but to the decision, which has those to task and identity: a reference to the instance would lock its one row for every call.
    `create table tool_call (
       decision_id text primary key references decision (id),
       task_id text not null,
       identity_id text not null,
       server text not null,
       tool text not null,
       instance_id text not null,
       started_at ${d.types.bigint} not null,
       status text not null constraint tool_call_status_known ${oneOf('status', CALL_STATUSES)},
       finished_at ${d.types.bigint},
       bytes ${d.types.bigint},
       sha256 text,
       duration_ms ${d.types.bigint},
       constraint tool_call_finished_has_time check ((status = 'in_flight') = (finished_at is null)),
       constraint tool_call_result_is_of_one_finished check (status not in ('in_flight', 'unknown') or (bytes is null and sha256 is null and duration_ms is null)),
       constraint tool_call_result_is_whole check ((bytes is null) = (sha256 is null))
     )${d.strict}`,
    'create index tool_call_unfinished on tool_call (instance_id, decision_id) where status = \'in_flight\'',
    'create index tool_call_task on tool_call (task_id, decision_id)',
    ...d.freeze('tool_call', ['decision_id', 'task_id', 'identity_id', 'server', 'tool', 'instance_id', 'started_at'], 'tool_call_attempt_is_frozen'),
    // What was taken for lost may still come to its end: whoever served it was away for a while.
    ...d.onlyTransitions('tool_call', 'status', [
      ...CALL_OUTCOMES.map((outcome) => ['in_flight', outcome] as const),
      ...CALL_OUTCOMES.filter((outcome) => outcome !== 'unknown').map((outcome) => ['unknown', outcome] as const),
    ], 'tool_call_ends_once'),
    ...d.neverDelete('tool_call', 'tool_call_is_never_deleted'),
    ...d.comment('tool_call', 'a call that went to an MCP server: the attempt with its decision, before a byte leaves, and what became of it'),

    // As release 1 made them, PostgreSQL looks at all of their columns whatever an update sets: with every call, and every leaf that is placed.
    ...d.dropGuard('task', 'task_goes_forward'),
    ...d.onlyTransitions('task', 'state', [['open', 'ending'], ['ending', 'closed']], 'task_goes_forward'),
    ...d.dropGuard('task', 'task_ends_once'),
    ...d.setOnce('task', ['end_reason', 'ended_at', 'closed_at', 'closed_leaf', 'closed_outcome'], 'task_ends_once'),
    ...d.dropGuard('event', 'event_is_frozen'),
    ...d.freeze('event', ['id', 'stream', 'type', 'at', 'task_id', 'identity_id', 'leaf', 'leaf_hash', 'mac'], 'event_is_frozen'),
  ],
}
