import { ISSUER_KINDS } from '@writ/domain/binding'
import type { Migration } from '../migrate.ts'

/** A server of release 1 goes on as before: what it inserts is an OpenID provider with discovery, of which it knows no more than the name. */
export const federation: Migration = {
  release: 2,
  name: '0005-federation',
  up: (d) => [
    `alter table issuer add column kind text not null default 'oidc' constraint issuer_kind_known check (kind in (${ISSUER_KINDS.map((kind) => `'${kind}'`).join(', ')}))`,
    'alter table issuer add column key_source text not null default \'discovery\' constraint issuer_key_source_known check (key_source in (\'discovery\', \'url\', \'inline\'))',
    'alter table issuer add column keys_url text constraint issuer_url_source_has_url check ((key_source = \'url\') = (keys_url is not null))',
    'alter table issuer add column keys text constraint issuer_inline_source_has_keys check ((key_source = \'inline\') = (keys is not null))',
    'alter table issuer add column ca text',
    `alter table issuer add column changed_at ${d.types.bigint}`,
    ...d.freeze('issuer', ['id', 'url', 'kind'], 'issuer_is_frozen'),
    // A removal by mistake is not for ever. What was bound before it is: see `binding_revoked_is_for_ever`.
    ...d.dropGuard('issuer', 'issuer_removed_is_for_ever'),
    ...d.onlyWith('issuer', { column: 'trusted_at', state: 'state', move: ['removed', 'trusted'] }, 'issuer_is_trusted_anew'),
    ...d.neverDelete('issuer', 'issuer_is_never_deleted'),
    ...d.comment('issuer', 'who vouches for workloads: an OpenID provider or a SPIFFE trust domain, and where its keys come from'),
    `create table binding (
       id text primary key,
       identity_id text not null references identity (id),
       issuer_id text not null references issuer (id),
       audience text not null constraint binding_has_audience check (audience <> ''),
       claims text not null constraint binding_has_claims check (claims <> '{}'),
       subject text,
       state text not null constraint binding_state_known check (state in ('live', 'revoked')),
       registered_at ${d.types.bigint} not null,
       revoked_at ${d.types.bigint},
       constraint binding_revoked_has_time check ((state = 'revoked') = (revoked_at is not null))
     )${d.strict}`,
    'create index binding_identity on binding (identity_id)',
    'create index binding_of_issuer on binding (issuer_id, audience, subject) where state = \'live\'',
    ...d.freeze('binding', ['id', 'identity_id', 'issuer_id', 'audience', 'claims', 'subject', 'registered_at'], 'binding_is_frozen'),
    ...d.onlyTransitions('binding', 'state', [['live', 'revoked']], 'binding_revoked_is_for_ever'),
    ...d.neverDelete('binding', 'binding_is_never_deleted'),
    ...d.comment('binding', 'a rule: evidence from this issuer with these claims may claim this identity'),
    `create table evidence_key (
       hash ${d.types.bytes} primary key,
       thumbprint text not null,
       expires_at ${d.types.bigint} not null
     )${d.strict}`,
    'create index evidence_key_expiry on evidence_key (expires_at)',
    ...d.freeze('evidence_key', ['hash', 'thumbprint', 'expires_at'], 'evidence_key_is_frozen'),
    ...d.comment('evidence_key', 'which key first showed a federated token; empty where it came without one'),
    // Who holds a task, so that two workloads under one identity are seen (WID-8). One index serves both questions about open tasks.
    'alter table task add column workload text',
    'alter table task add column opened_by text',
    'drop index task_identity_open',
    'create index task_identity_open on task (identity_id, workload) where state = \'open\'',
    ...d.dropGuard('task', 'task_terms_are_frozen'),
    ...d.freeze('task', ['id', 'identity_id', 'parent_id', 'root_id', 'depth', 'depth_left', 'purpose', 'on_behalf_of', 'opened_at', 'deadline', 'budget_calls', 'idle_timeout', 'heartbeat', 'workload', 'opened_by'], 'task_terms_are_frozen'),
  ],
}
