import { ROLES } from '@writ/domain/person'
import type { Migration } from '../migrate.ts'

const oneOf = (column: string, words: readonly string[]): string => `check (${column} in (${words.map((word) => `'${word}'`).join(', ')}))`

/** A server of release 1 goes on as before: it knows operators alone, and those that it makes came by a link. */
export const people: Migration = {
  release: 2,
  name: '0011-people',
  up: (d) => [
    `create table person (
       id text primary key,
       issuer text not null constraint person_issuer_is_named check (issuer <> ''),
       subject text not null constraint person_subject_is_named check (subject <> ''),
       name text not null constraint person_is_named check (name <> ''),
       email text,
       group_names text not null,
       registered_at ${d.types.bigint} not null,
       signed_in_at ${d.types.bigint},
       constraint person_is_one unique (issuer, subject),
       constraint person_signed_in_after_start check (signed_in_at >= registered_at)
     )${d.strict}`,
    ...d.freeze('person', ['id', 'issuer', 'subject', 'registered_at'], 'person_is_frozen'),
    ...d.onlyGrows('person', 'signed_in_at', 'person_signed_in_only_grows'),
    ...d.neverDelete('person', 'person_is_never_deleted'),
    ...d.comment('person', 'a human who signs in; by whom and as whom their provider knows them, or by a passkey alone'),

    `create table role_rule (
       group_name text primary key constraint role_rule_group_is_named check (group_name <> ''),
       roles text not null constraint role_rule_brings_roles check (roles <> '[]'),
       set_by text not null,
       set_at ${d.types.bigint} not null
     )${d.strict}`,
    ...d.freeze('role_rule', ['group_name'], 'role_rule_group_is_frozen'),
    ...d.comment('role_rule', 'which roles a group of the provider brings; asked anew with every request'),

    `create table person_role (
       person_id text not null references person (id),
       role text not null constraint person_role_known ${oneOf('role', ROLES)},
       given_by text not null,
       given_at ${d.types.bigint} not null,
       primary key (person_id, role)
     )${d.strict}`,
    ...d.freeze('person_role', ['person_id', 'role', 'given_by', 'given_at'], 'person_role_is_frozen'),
    ...d.comment('person_role', 'a role that was given to one person and not to a group'),

    // An instant that ends it may be set once, and is never taken back.
    `create table sign_in (
       id text primary key,
       person_id text not null references person (id),
       secret_hash ${d.types.bytes} not null constraint sign_in_secret_is_distinct unique,
       kind text not null constraint sign_in_kind_known ${oneOf('kind', ['browser', 'cli'])},
       how text not null constraint sign_in_how_known ${oneOf('how', ['oidc', 'passkey', 'device'])},
       made_at ${d.types.bigint} not null,
       idle_until ${d.types.bigint} not null,
       ends_at ${d.types.bigint} not null,
       revoked_at ${d.types.bigint},
       stepped_up_at ${d.types.bigint},
       constraint sign_in_ends_after_start check (ends_at > made_at),
       constraint sign_in_idles_within_its_time check (idle_until <= ends_at),
       constraint sign_in_stepped_up_after_start check (stepped_up_at >= made_at)
     )${d.strict}`,
    'create index sign_in_person on sign_in (person_id, id)',
    ...d.freeze('sign_in', ['id', 'person_id', 'secret_hash', 'kind', 'how', 'made_at', 'ends_at'], 'sign_in_is_frozen'),
    ...d.setOnce('sign_in', ['revoked_at'], 'sign_in_revoked_is_for_ever'),
    ...d.onlyGrows('sign_in', 'idle_until', 'sign_in_idle_only_grows'),
    ...d.onlyGrows('sign_in', 'stepped_up_at', 'sign_in_stepped_up_only_grows'),
    ...d.neverDelete('sign_in', 'sign_in_is_never_deleted'),
    ...d.comment('sign_in', 'what the cookie of a browser or the token of a command line stands for; of the secret a hash'),

    `create table passkey (
       id text primary key,
       person_id text not null references person (id),
       credential_id text not null constraint passkey_credential_is_distinct unique,
       public_key ${d.types.bytes} not null,
       counter ${d.types.bigint} not null constraint passkey_counter_holds check (counter >= 0),
       name text not null,
       enrolled_event text not null,
       enrolled_at ${d.types.bigint} not null,
       used_at ${d.types.bigint},
       removed_at ${d.types.bigint}
     )${d.strict}`,
    'create index passkey_person on passkey (person_id, id)',
    ...d.freeze('passkey', ['id', 'person_id', 'credential_id', 'public_key', 'name', 'enrolled_event', 'enrolled_at'], 'passkey_is_frozen'),
    ...d.onlyGrows('passkey', 'counter', 'passkey_counter_only_grows'),
    ...d.setOnce('passkey', ['removed_at'], 'passkey_removed_is_for_ever'),
    ...d.neverDelete('passkey', 'passkey_is_never_deleted'),
    ...d.comment('passkey', 'a public key that a person\'s authenticator holds the other half of; its enrolment is an event with the key\'s hash'),

    `create table invitation (
       code_hash ${d.types.bytes} primary key,
       name text not null,
       email text,
       roles text not null constraint invitation_brings_roles check (roles <> '[]'),
       offered_by text not null,
       offered_at ${d.types.bigint} not null,
       ends_at ${d.types.bigint} not null,
       used_at ${d.types.bigint},
       constraint invitation_ends_after_start check (ends_at > offered_at)
     )${d.strict}`,
    ...d.freeze('invitation', ['code_hash', 'name', 'email', 'roles', 'offered_by', 'offered_at', 'ends_at'], 'invitation_is_frozen'),
    ...d.setOnce('invitation', ['used_at'], 'invitation_is_used_once'),
    ...d.neverDelete('invitation', 'invitation_is_never_deleted'),
    ...d.comment('invitation', 'a one-time link by which somebody becomes a person here; of the code a hash'),

    `alter table operator add column came_by text not null default 'link' constraint operator_came_by_known ${oneOf('came_by', ['link', 'operator'])}`,
    ...d.freeze('operator', ['came_by'], 'operator_came_by_is_frozen'),
  ],
}
