import type { Migration } from '../migrate.ts'

/** A server of release 1 goes on as before: it makes operators, and asks for the state of each whenever a key is shown. */
export const operators: Migration = {
  release: 2,
  name: '0008-operators',
  up: (d) => [
    `alter table operator add column removed_at ${d.types.bigint}`,
    ...d.freeze('operator', ['id', 'name', 'key_hash', 'created_at'], 'operator_is_frozen'),
    ...d.onlyTransitions('operator', 'state', [['active', 'removed']], 'operator_removed_is_for_ever'),
    ...d.setOnce('operator', ['removed_at'], 'operator_is_removed_once'),
    ...d.neverDelete('operator', 'operator_is_never_deleted'),
    ...d.comment('operator', 'a human with a key to this installation; of the key a hash'),
    // Why a link was offered although there were operators; null of a link for the first one.
    'alter table bootstrap add column reason text',
    ...d.freeze('bootstrap', ['reason'], 'bootstrap_reason_is_frozen'),
  ],
}
