import { ANSWERS, DECISION_CAUSES, MODES, MODE_SUBJECTS } from '@writ/domain/decision'
import type { Migration } from '../migrate.ts'

const oneOf = (column: string, words: readonly string[]): string => `check (${column} in (${words.map((word) => `'${word}'`).join(', ')}))`
const yesOrNo = (column: string): string => oneOf(column, ['yes', 'no'])

const TASK_TERMS = [
  'id', 'identity_id', 'parent_id', 'root_id', 'depth', 'depth_left', 'purpose', 'on_behalf_of', 'opened_at', 'deadline', 'budget_calls', 'idle_timeout', 'heartbeat',
  'opened_by', 'purpose_id', 'change_reference',
]

/** A server of release 1 goes on as before: it opens tasks without a purpose id, asks no policy and counts no openings. */
export const decisions: Migration = {
  release: 2,
  name: '0009-decisions',
  up: (d) => [
    `create table policy_version (
       version ${d.types.bigint} primary key,
       digest text not null,
       files text not null constraint policy_version_has_files check (files <> '{}'),
       rolled_back_to ${d.types.bigint} references policy_version (version),
       reason text,
       applied_by text not null,
       applied_at ${d.types.bigint} not null,
       constraint policy_version_counts_up check (version > 0),
       constraint policy_version_goes_back_to_an_older check (rolled_back_to < version)
     )${d.strict}`,
    ...d.appendOnly('policy_version', 'policy_version_is_append_only'),
    ...d.comment('policy_version', 'the files of a policy directory as they were applied; a decision names the version that it was made by'),
    `create table policy_head (
       singleton ${d.types.bigint} primary key constraint policy_head_is_one check (singleton = 1),
       version ${d.types.bigint} not null references policy_version (version)
     )${d.strict}`,
    ...d.onlyGrows('policy_head', 'version', 'policy_head_goes_forward'),
    ...d.neverDelete('policy_head', 'policy_head_is_never_deleted'),
    ...d.comment('policy_head', 'the version that decides; read in the transaction of each decision'),

    // No reference to the version: every decision would lock its one row on PostgreSQL. By `id` is by time.
    `create table decision (
       id text primary key,
       at ${d.types.bigint} not null,
       task_id text references task (id),
       identity_id text references identity (id),
       principal_type text not null,
       principal_id text not null,
       action text not null,
       resource_type text not null,
       resource_id text not null,
       permit text,
       answer text not null constraint decision_answer_known ${oneOf('answer', ANSWERS)},
       cause text not null constraint decision_cause_known ${oneOf('cause', DECISION_CAUSES)},
       approvable text not null constraint decision_approvable_known ${yesOrNo('approvable')},
       mode text not null constraint decision_mode_known ${oneOf('mode', MODES)},
       would_deny text not null constraint decision_would_deny_known ${yesOrNo('would_deny')},
       advisory text not null constraint decision_advisory_known ${yesOrNo('advisory')},
       policy_version ${d.types.bigint} not null,
       by_policies text not null,
       errors text not null,
       evaluated text,
       evaluated_salt ${d.types.bytes},
       trace_id text,
       event_id text not null,
       constraint decision_error_denies check (errors = '[]' or answer = 'deny'),
       constraint decision_observed_is_by_policy check (would_deny = 'no' or (mode = 'observe' and answer = 'allow' and cause = 'policy')),
       constraint decision_approvable_was_denied check (approvable = 'no' or answer = 'deny' or would_deny = 'yes'),
       constraint decision_advisory_has_no_task check (advisory = 'no' or task_id is null),
       constraint decision_of_task_has_identity check (task_id is null or identity_id is not null),
       constraint decision_evaluated_has_salt check ((evaluated is null) = (evaluated_salt is null))
     )${d.strict}`,
    'create index decision_task on decision (task_id, id) where task_id is not null',
    ...d.freeze('decision', [
      'id', 'at', 'task_id', 'identity_id', 'principal_type', 'principal_id', 'action', 'resource_type', 'resource_id', 'permit', 'answer', 'cause', 'approvable', 'mode', 'would_deny', 'advisory',
      'policy_version', 'by_policies', 'errors', 'trace_id', 'event_id',
    ], 'decision_is_frozen'),
    ...d.onlyErased('decision', ['evaluated', 'evaluated_salt'], 'decision_evaluated_is_only_erased'),
    ...d.neverDelete('decision', 'decision_is_never_deleted'),
    ...d.comment('decision', 'the recorded answer to one question; what was evaluated is sealed, its leaf holds the salted hash'),

    `create table tree_label (
       root_id text not null references task (id),
       label text not null constraint tree_label_is_named check (label <> ''),
       at ${d.types.bigint} not null,
       decision_id text not null references decision (id),
       source text not null,
       primary key (root_id, label)
     )${d.strict}`,
    ...d.appendOnly('tree_label', 'tree_label_stays'),
    ...d.comment('tree_label', 'what a task tree may have seen, and through what; it never shrinks (POL-8)'),
    `create table instance_label (
       identity_id text not null references identity (id),
       workload text not null,
       label text not null constraint instance_label_is_named check (label <> ''),
       at ${d.types.bigint} not null,
       decision_id text not null references decision (id),
       source text not null,
       primary key (identity_id, workload, label)
     )${d.strict}`,
    ...d.appendOnly('instance_label', 'instance_label_stays'),
    ...d.comment('instance_label', 'what a running instance of an identity may have seen: its next task begins with it'),

    `create table mode (
       subject_kind text not null constraint mode_subject_known ${oneOf('subject_kind', MODE_SUBJECTS)},
       subject text not null,
       mode text not null constraint mode_known ${oneOf('mode', MODES)},
       reason text not null constraint mode_has_reason check (reason <> ''),
       until ${d.types.bigint},
       set_by text not null,
       set_at ${d.types.bigint} not null,
       primary key (subject_kind, subject),
       constraint mode_observe_has_end check ((mode = 'observe') = (until is not null)),
       constraint mode_ends_after_start check (until > set_at)
     )${d.strict}`,
    ...d.freeze('mode', ['subject_kind', 'subject'], 'mode_subject_is_frozen'),
    ...d.neverDelete('mode', 'mode_is_never_deleted'),
    ...d.comment('mode', 'observe or enforce, of an identity or a server; enforced where there is none, and after its end'),

    'alter table task add column purpose_id text constraint task_purpose_id_is_named check (purpose_id <> \'\')',
    'alter table task add column change_reference text constraint task_change_is_named check (change_reference <> \'\')',
    `alter table task add column denied_calls ${d.types.bigint} not null default 0 constraint task_denied_holds check (denied_calls >= 0)`,
    ...d.onlyGrows('task', 'denied_calls', 'task_denied_only_grows'),
    ...d.dropGuard('task', 'task_terms_are_frozen'),
    ...d.freeze('task', TASK_TERMS, 'task_terms_are_frozen'),
    // A task that was delegated has no holder before somebody comes for it.
    ...d.setOnce('task', ['workload'], 'task_workload_is_set_once'),
    // How many tasks an identity opened in the hour that began at `opens_window`, and how many it may; null where nothing was said (R26).
    `alter table identity add column opens_window ${d.types.bigint} not null default 0`,
    `alter table identity add column opens_count ${d.types.bigint} not null default 0 constraint identity_opens_hold check (opens_count >= 0)`,
    `alter table identity add column tasks_per_hour ${d.types.bigint} constraint identity_tasks_per_hour_hold check (tasks_per_hour > 0)`,
  ],
}
