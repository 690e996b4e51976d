import type { Migration } from '../migrate.ts'

/** Rows that live for minutes and are forgotten: none is in a backup. */
export const signInFlows: Migration = {
  release: 2,
  name: '0015-sign-in-flows',
  up: (d) => [
    `create table provider_sign_in (
       state_hash ${d.types.bytes} primary key,
       browser_hash ${d.types.bytes} not null,
       return_to text not null constraint provider_sign_in_returns_to_a_path check (return_to like '/%' and return_to not like '//%'),
       begun_at ${d.types.bigint} not null,
       ends_at ${d.types.bigint} not null,
       constraint provider_sign_in_ends_after_start check (ends_at > begun_at)
     )${d.strict}`,
    'create index provider_sign_in_end on provider_sign_in (ends_at)',
    ...d.freeze('provider_sign_in', ['state_hash', 'browser_hash', 'return_to', 'begun_at', 'ends_at'], 'provider_sign_in_is_frozen'),
    ...d.comment('provider_sign_in', 'a browser that is on its way to the OpenID provider and back; gone once it is back'),

    `create table device_sign_in (
       device_hash ${d.types.bytes} primary key,
       user_code text not null constraint device_sign_in_code_is_distinct unique,
       asked_from text not null,
       claimed_device text,
       begun_at ${d.types.bigint} not null,
       ends_at ${d.types.bigint} not null,
       pace_ms ${d.types.bigint} not null,
       asked_again_at ${d.types.bigint},
       state text not null constraint device_sign_in_state_known check (state in ('waiting', 'allowed', 'denied', 'taken')),
       answered_by text references sign_in (id),
       answered_at ${d.types.bigint},
       constraint device_sign_in_ends_after_start check (ends_at > begun_at),
       constraint device_sign_in_is_answered_by_somebody check ((state = 'waiting') = (answered_by is null)),
       constraint device_sign_in_is_answered_at_a_time check ((answered_by is null) = (answered_at is null)),
       constraint device_sign_in_is_answered_in_time check (answered_at < ends_at)
     )${d.strict}`,
    'create index device_sign_in_end on device_sign_in (ends_at)',
    ...d.freeze('device_sign_in', ['device_hash', 'user_code', 'asked_from', 'claimed_device', 'begun_at', 'ends_at'], 'device_sign_in_is_frozen'),
    ...d.setOnce('device_sign_in', ['answered_by', 'answered_at'], 'device_sign_in_is_answered_once'),
    ...d.onlyGrows('device_sign_in', 'pace_ms', 'device_sign_in_pace_only_slows'),
    ...d.onlyTransitions('device_sign_in', 'state', [['waiting', 'allowed'], ['waiting', 'denied'], ['allowed', 'taken']], 'device_sign_in_moves_on'),
    ...d.comment('device_sign_in', 'a command line that waits for somebody to let it in as them; of the secret code a hash'),
  ],
}
