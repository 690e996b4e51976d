import { ENVIRONMENTS, IDENTITY_KINDS } from '@writ/domain/identity'
import { IDENTITY_CLASSES } from '@writ/domain/profile'
import type { Migration } from '../migrate.ts'

const oneOf = (words: readonly string[]): string => words.map((word) => `'${word}'`).join(', ')

export const registry: Migration = {
  release: 1,
  name: '0001-registry',
  up: (d) => [
    `create table installation (
       id text primary key,
       singleton ${d.types.bigint} not null default 1 constraint installation_is_one unique,
       created_at ${d.types.bigint} not null,
       key_check text not null
     )${d.strict}`,
    `create table operator (
       id text primary key,
       name text not null,
       key_hash ${d.types.bytes} not null constraint operator_key_is_distinct unique,
       state text not null constraint operator_state_known check (state in ('active', 'removed')),
       created_at ${d.types.bigint} not null
     )${d.strict}`,
    `create table bootstrap (
       code_hash ${d.types.bytes} primary key,
       created_at ${d.types.bigint} not null,
       expires_at ${d.types.bigint} not null,
       used_at ${d.types.bigint},
       constraint bootstrap_ends_after_start check (expires_at > created_at)
     )${d.strict}`,
    ...d.setOnce('bootstrap', ['used_at'], 'bootstrap_is_used_once'),
    ...d.freeze('bootstrap', ['created_at', 'expires_at'], 'bootstrap_is_frozen'),
    `create table admission (
       id text primary key,
       spiffe_id text not null,
       answer text not null constraint admission_answer_known check (answer in ('identity', 'delegated_token')),
       reason text not null,
       decided_by text not null,
       decided_at ${d.types.bigint} not null
     )${d.strict}`,
    ...d.appendOnly('admission', 'admission_is_append_only'),
    ...d.comment('admission', 'whether something should have an identity at all, answered before any credential exists (CLS-1)'),
    `create table identity (
       id text primary key,
       spiffe_id text not null constraint identity_is_distinct unique,
       kind text not null constraint identity_kind_known check (kind in (${oneOf(IDENTITY_KINDS)})),
       class text not null constraint identity_class_known check (class in (${oneOf(IDENTITY_CLASSES)})),
       purpose text not null constraint identity_has_purpose check (purpose <> ''),
       technical_owner text not null constraint identity_has_technical_owner check (technical_owner <> ''),
       business_owner text not null constraint identity_has_business_owner check (business_owner <> ''),
       system_scope text not null constraint identity_has_scope check (system_scope <> '[]'),
       environment text not null constraint identity_environment_known check (environment in (${oneOf(ENVIRONMENTS)})),
       authority text not null,
       ends_at ${d.types.bigint} not null,
       trigger text not null,
       trigger_kind text not null constraint identity_trigger_known check (trigger_kind in ('webhook', 'backend_removed', 'issuer_removed', 'unused')),
       trigger_on text not null,
       admission_id text not null references admission (id),
       state text not null constraint identity_state_known check (state in ('active', 'suspended', 'retired')),
       state_reason text not null,
       registered_at ${d.types.bigint} not null,
       last_used_at ${d.types.bigint},
       due_at ${d.types.bigint},
       constraint identity_ends_after_start check (ends_at > registered_at)
     )${d.strict}`,
    'create index identity_due on identity (due_at) where due_at is not null',
    'create index identity_trigger on identity (trigger_kind, trigger_on)',
    ...d.freeze('identity', ['id', 'spiffe_id', 'admission_id', 'registered_at'], 'identity_is_frozen'),
    ...d.onlyTransitions('identity', 'state', [['active', 'suspended'], ['suspended', 'active'], ['active', 'retired'], ['suspended', 'retired']], 'identity_retired_is_for_ever'),
    ...d.neverDelete('identity', 'identity_is_never_deleted'),
    ...d.comment('identity', 'a registered non-human principal; never deleted, only retired'),
    `create table credential (
       id text primary key,
       identity_id text not null references identity (id),
       thumbprint text not null constraint credential_is_distinct unique,
       alg text not null,
       jwk text not null,
       state text not null constraint credential_state_known check (state in ('live', 'revoked')),
       registered_at ${d.types.bigint} not null,
       revoked_at ${d.types.bigint},
       constraint credential_revoked_has_time check ((state = 'revoked') = (revoked_at is not null))
     )${d.strict}`,
    'create index credential_identity on credential (identity_id)',
    ...d.freeze('credential', ['id', 'identity_id', 'thumbprint', 'alg', 'jwk', 'registered_at'], 'credential_is_frozen'),
    ...d.onlyTransitions('credential', 'state', [['live', 'revoked']], 'credential_revoked_is_for_ever'),
    ...d.neverDelete('credential', 'credential_is_never_deleted'),
    `create table trigger_hook (
       identity_id text primary key references identity (id),
       sealed_secret text not null,
       created_at ${d.types.bigint} not null
     )${d.strict}`,
    `create table issuer (
       id text primary key,
       url text not null constraint issuer_is_distinct unique,
       state text not null constraint issuer_state_known check (state in ('trusted', 'removed')),
       trusted_at ${d.types.bigint} not null,
       removed_at ${d.types.bigint}
     )${d.strict}`,
    ...d.onlyTransitions('issuer', 'state', [['trusted', 'removed']], 'issuer_removed_is_for_ever'),
    `create table backend (
       id text primary key,
       name text not null constraint backend_is_distinct unique,
       kind text not null,
       settings text not null,
       templates text not null,
       sealed_secret text not null,
       next_sealed_secret text,
       version text not null,
       state text not null constraint backend_state_known check (state in ('active', 'removed')),
       added_at ${d.types.bigint} not null,
       removed_at ${d.types.bigint},
       secret_rotated_at ${d.types.bigint}
     )${d.strict}`,
    ...d.onlyTransitions('backend', 'state', [['active', 'removed']], 'backend_removed_is_for_ever'),
    ...d.neverDelete('backend', 'backend_is_never_deleted'),
  ],
}
