import type { Migration } from '../migrate.ts'

export const ledger: Migration = {
  release: 1,
  name: '0003-ledger',
  up: (d) => [
    `create table event (
       seq ${d.types.serial},
       id text not null constraint event_is_distinct unique,
       stream text not null constraint event_stream_known check (stream in ('non-human', 'human')),
       type text not null,
       at ${d.types.bigint} not null,
       task_id text,
       identity_id text,
       leaf text not null,
       leaf_hash ${d.types.bytes} not null,
       mac ${d.types.bytes} not null,
       leaf_index ${d.types.bigint}
     )${d.strict}`,
    'create index event_unsealed on event (stream, seq) where leaf_index is null',
    'create unique index event_leaf_is_one on event (stream, leaf_index) where leaf_index >= 0',
    'create index event_task on event (task_id, seq) where task_id is not null',
    ...d.freeze('event', ['id', 'stream', 'type', 'at', 'task_id', 'identity_id', 'leaf', 'leaf_hash', 'mac'], 'event_is_frozen'),
    ...d.bornNull('event', ['leaf_index'], 'event_is_born_without_place'),
    ...d.setOnce('event', ['leaf_index'], 'event_has_one_place'),
    ...d.neverDelete('event', 'event_is_never_deleted'),
    ...d.comment('event', 'one entry of the ledger, written in the transaction of the change that it records'),
    `create table event_said (
       event_id text not null,
       field text not null,
       salt ${d.types.bytes} not null,
       value text not null,
       primary key (event_id, field)
     )${d.strict}`,
    ...d.freeze('event_said', ['event_id', 'field', 'salt', 'value'], 'event_said_is_frozen'),
    ...d.comment('event_said', 'personal and free text, to which the leaf only commits; a row can be erased without breaking the log'),
    `create table log (
       stream text primary key,
       origin text not null,
       vkey text not null,
       size ${d.types.bigint} not null,
       note text not null,
       signed_at ${d.types.bigint} not null
     )${d.strict}`,
    ...d.freeze('log', ['stream', 'origin', 'vkey'], 'log_origin_is_frozen'),
    `create table checkpoint (
       stream text not null,
       size ${d.types.bigint} not null,
       note text not null,
       signed_at ${d.types.bigint} not null,
       primary key (stream, size)
     )${d.strict}`,
    ...d.appendOnly('checkpoint', 'checkpoint_is_append_only'),
    `create table tile (
       stream text not null,
       level ${d.types.bigint} not null,
       tile_index ${d.types.bigint} not null,
       hashes ${d.types.bytes} not null,
       primary key (stream, level, tile_index)
     )${d.strict}`,
    `create table proof_used (
       hash ${d.types.bytes} primary key,
       expires_at ${d.types.bigint} not null
     )${d.strict}`,
    'create index proof_used_expiry on proof_used (expires_at)',
    `create table idempotency (
       caller text not null,
       key text not null,
       request_hash text not null,
       change text not null,
       result text not null,
       created_at ${d.types.bigint} not null,
       primary key (caller, key)
     )${d.strict}`,
    'create index idempotency_age on idempotency (created_at)',
  ],
}
