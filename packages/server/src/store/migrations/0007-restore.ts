import type { Migration } from '../migrate.ts'

/**
 * `event.leaf_index` counts over all logs of a stream: leaf i of the current one stands at `log.first_leaf + i`, and each past log has its
 * own part below. A server of release 1 knows no log but the first, whose `first_leaf` is 0.
 */
export const restore: Migration = {
  release: 2,
  name: '0007-restore',
  up: (d) => [
    `alter table installation add column not_before ${d.types.bigint}`,
    `alter table log add column first_leaf ${d.types.bigint} not null default 0`,
    ...d.freeze('log', ['first_leaf'], 'log_begins_where_it_began'),
    `create table restore (
       id text primary key,
       state text not null constraint restore_state_known check (state in ('begun', 'done')),
       backup_id text not null,
       backup_at ${d.types.bigint} not null,
       begun_at ${d.types.bigint} not null,
       done_at ${d.types.bigint},
       trusts_identities text not null constraint restore_trust_known check (trusts_identities in ('yes', 'no')),
       constraint restore_done_has_time check ((state = 'done') = (done_at is not null))
     )${d.strict}`,
    ...d.freeze('restore', ['id', 'backup_id', 'backup_at', 'begun_at', 'trusts_identities'], 'restore_is_frozen'),
    ...d.onlyTransitions('restore', 'state', [['begun', 'done']], 'restore_done_is_for_ever'),
    ...d.setOnce('restore', ['done_at'], 'restore_is_done_once'),
    ...d.comment('restore', 'a backup that became this store; one that has begun and is not done keeps every server from starting'),
    `create table past_log (
       origin text primary key,
       stream text not null,
       vkey text not null,
       first_leaf ${d.types.bigint} not null,
       size ${d.types.bigint} not null,
       note text not null,
       signed_at ${d.types.bigint} not null,
       restore_id text not null references restore (id),
       known_note text,
       known_size ${d.types.bigint},
       constraint past_log_known_has_size check ((known_note is null) = (known_size is null))
     )${d.strict}`,
    'create unique index past_log_place on past_log (stream, first_leaf, origin)',
    ...d.appendOnly('past_log', 'past_log_is_over'),
    ...d.comment('past_log', 'a log that ended with a restore: read, and never extended'),
    `create table past_checkpoint (
       origin text not null references past_log (origin),
       size ${d.types.bigint} not null,
       note text not null,
       signed_at ${d.types.bigint} not null,
       primary key (origin, size)
     )${d.strict}`,
    ...d.appendOnly('past_checkpoint', 'past_checkpoint_is_over'),
    `create table past_tile (
       origin text not null references past_log (origin),
       level ${d.types.bigint} not null,
       tile_index ${d.types.bigint} not null,
       hashes ${d.types.bytes} not null,
       primary key (origin, level, tile_index)
     )${d.strict}`,
    ...d.appendOnly('past_tile', 'past_tile_is_over'),
  ],
}
