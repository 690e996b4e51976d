import { APPROVAL_KINDS, APPROVAL_MOVES, APPROVAL_STATES, RISKS } from '@writ/domain/approval'
import { EFFECTS } from '@writ/domain/decision'
import type { Migration } from '../migrate.ts'

const oneOf = (column: string, words: readonly string[]): string => `check (${column} in (${words.map((word) => `'${word}'`).join(', ')}))`
const yesOrNo = (column: string): string => oneOf(column, ['yes', 'no'])

const FROZEN = [
  'id', 'kind', 'task_id', 'identity_id', 'root_id', 'workload', 'chain', 'on_behalf_of', 'action', 'resource_type', 'resource_id', 'arguments_sha256', 'claimed_sha256',
  'tool_pin', 'policy_version', 'decision_id', 'effect', 'reversible', 'labels', 'risk', 'route', 'group_name', 'quorum', 'signed', 'requested_at', 'expires_at', 'nonce', 'requesters',
]

/** A server of release 1 goes on as before: it asks no person. */
export const approvals: Migration = {
  release: 2,
  name: '0012-approvals',
  up: (d) => [
    `create table approval_route (
       version ${d.types.bigint} primary key constraint approval_route_counts_up check (version > 0),
       routes text not null,
       reason text not null constraint approval_route_has_reason check (reason <> ''),
       set_by text not null,
       set_at ${d.types.bigint} not null
     )${d.strict}`,
    ...d.appendOnly('approval_route', 'approval_route_is_append_only'),
    ...d.comment('approval_route', 'who is asked about what; the highest version counts, and a request keeps the one that it was made by'),

    // No reference to the version of the policies: see table decision.
    `create table approval (
       id text primary key,
       kind text not null constraint approval_kind_known ${oneOf('kind', APPROVAL_KINDS)},
       state text not null constraint approval_state_known ${oneOf('state', APPROVAL_STATES)},
       task_id text not null references task (id),
       identity_id text not null references identity (id),
       root_id text not null references task (id),
       workload text,
       chain text not null,
       on_behalf_of text,
       action text not null,
       resource_type text not null,
       resource_id text not null,
       arguments text,
       arguments_sha256 text not null,
       claimed_sha256 text not null,
       intent text,
       tool_pin text,
       policy_version ${d.types.bigint} not null,
       decision_id text not null references decision (id),
       effect text constraint approval_effect_known ${oneOf('effect', EFFECTS)},
       reversible text constraint approval_reversible_known ${yesOrNo('reversible')},
       labels text not null,
       risk text not null constraint approval_risk_known ${oneOf('risk', RISKS)},
       route text not null,
       group_name text,
       quorum ${d.types.bigint} not null constraint approval_quorum_holds check (quorum > 0),
       signed text not null constraint approval_signed_known ${yesOrNo('signed')},
       requesters text not null,
       requested_at ${d.types.bigint} not null,
       expires_at ${d.types.bigint} not null,
       nonce text not null,
       choice text,
       edited text,
       envelope_sha256 text,
       calls_most ${d.types.bigint},
       calls_used ${d.types.bigint} not null default 0,
       decided_at ${d.types.bigint},
       used_at ${d.types.bigint},
       ended_at ${d.types.bigint},
       why text,
       due_at ${d.types.bigint},
       constraint approval_expires_after_request check (expires_at > requested_at),
       constraint approval_high_risk_is_signed check (risk <> 'high' or signed = 'yes'),
       constraint approval_choice_is_whole check ((choice is null) = (envelope_sha256 is null) and (choice is null) = (calls_most is null)),
       constraint approval_approved_has_choice check (state not in ('approved', 'used') or (choice is not null and decided_at is not null)),
       constraint approval_calls_hold check (calls_used >= 0 and calls_used <= coalesce(calls_most, 0)),
       constraint approval_used_is_used_up check (state in ('waiting', 'approved', 'used') and (state = 'used') = (calls_most is not null and calls_used = calls_most) or state in ('denied', 'lapsed', 'cancelled')),
       constraint approval_live_is_due check ((state in ('waiting', 'approved')) = (due_at is not null) and (state in ('waiting', 'approved')) = (ended_at is null)),
       constraint approval_ended_is_erased check (state in ('waiting', 'approved') or (arguments is null and edited is null and intent is null))
     )${d.strict}`,
    `create unique index approval_live_once on approval (task_id, action, resource_type, resource_id, arguments_sha256, claimed_sha256) where state in ('waiting', 'approved')`,
    'create index approval_task on approval (task_id, arguments_sha256, id)',
    'create index approval_identity on approval (identity_id, id)',
    'create index approval_due on approval (due_at, id) where due_at is not null',
    ...d.freeze('approval', FROZEN, 'approval_is_frozen'),
    ...d.setOnce('approval', ['choice', 'envelope_sha256', 'calls_most', 'decided_at', 'ended_at'], 'approval_choice_is_set_once'),
    ...d.onlyErased('approval', ['arguments', 'intent'], 'approval_arguments_are_only_erased'),
    ...d.onlyTransitions('approval', 'state', APPROVAL_MOVES, 'approval_goes_forward'),
    ...d.onlyGrows('approval', 'calls_used', 'approval_calls_only_grow'),
    ...d.neverDelete('approval', 'approval_is_never_deleted'),
    ...d.comment('approval', 'a request for a person\'s answer to one denial, the answer, and what became of it; it permits nothing'),

    `create table approval_excluded (
       approval_id text not null references approval (id),
       kind text not null constraint approval_excluded_kind_known ${oneOf('kind', ['email', 'team', 'subject', 'person'])},
       issuer text not null,
       value text not null,
       primary key (approval_id, kind, issuer, value)
     )${d.strict}`,
    ...d.appendOnly('approval_excluded', 'approval_excluded_stays'),
    ...d.comment('approval_excluded', 'who stood in the chain when it was asked for, and can not answer, whatever the program says'),

    `create table approval_vote (
       approval_id text not null references approval (id),
       person_id text not null references person (id),
       name text not null,
       email text,
       issuer text,
       subject text,
       group_names text not null,
       answer text not null constraint approval_vote_answer_known ${oneOf('answer', ['approve', 'deny'])},
       reason text,
       envelope_sha256 text,
       passkey_id text references passkey (id),
       assertion text,
       at ${d.types.bigint} not null,
       event_id text not null,
       primary key (approval_id, person_id),
       constraint approval_vote_yes_names_what check ((answer = 'approve') = (envelope_sha256 is not null)),
       constraint approval_vote_signature_is_whole check ((passkey_id is null) = (assertion is null)),
       constraint approval_vote_subject_is_whole check ((issuer is null) = (subject is null))
     )${d.strict}`,
    'create unique index approval_vote_once_by_email on approval_vote (approval_id, email) where email is not null',
    'create unique index approval_vote_once_by_subject on approval_vote (approval_id, issuer, subject) where subject is not null',
    'create index approval_vote_person on approval_vote (person_id, at)',
    ...d.appendOnly('approval_vote', 'approval_vote_stays'),
    ...d.refuseFound('approval_vote', {
      on: 'insert',
      found: `exists (select 1 from approval_excluded as x where x.approval_id = new.approval_id and (
                (x.kind = 'person' and x.value = new.person_id) or (x.kind = 'email' and x.value = new.email)
             or (x.kind = 'subject' and x.issuer = new.issuer and x.value = new.subject)
             or (x.kind = 'team' and ${d.name === 'sqlite' ? 'instr' : 'strpos'}(new.group_names, x.value) > 0)))`,
    }, 'approval_vote_not_by_the_chain'),
    ...d.refuseFound('approval_vote', {
      on: 'insert',
      found: `exists (select 1 from approval as a where a.id = new.approval_id and (a.ended_at < new.at or a.decided_at < new.at or a.expires_at <= new.at
             or (new.answer = 'approve' and (a.envelope_sha256 is null or a.envelope_sha256 <> new.envelope_sha256 or (a.signed = 'yes' and (new.assertion is null or new.reason is null))))))`,
    }, 'approval_vote_is_of_what_was_shown'),
    ...d.refuseFound('approval', {
      on: 'update',
      found: `new.state = 'approved' and old.state = 'waiting' and (select count(*) from approval_vote as v
             where v.approval_id = new.id and v.answer = 'approve' and v.envelope_sha256 = new.envelope_sha256) < new.quorum`,
    }, 'approval_has_its_quorum'),
    ...d.comment('approval_vote', 'what one person answered, to exactly what; signed by a passkey where that is asked for'),
  ],
}
