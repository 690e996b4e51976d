import { SERVER_ANSWERS, STOP_STATES, STOP_TARGETS } from '@writ/domain/stop'
import type { Migration } from '../migrate.ts'

const oneOf = (column: string, words: readonly string[]): string => `check (${column} in (${words.map((word) => `'${word}'`).join(', ')}))`

/** A server of release 1 does not acknowledge: as long as one runs, nothing is called contained. */
export const stops: Migration = {
  release: 2,
  name: '0016-stops',
  up: (d) => [
    `create table stop (
       id text primary key,
       target text not null constraint stop_target_known ${oneOf('target', STOP_TARGETS)},
       target_id text not null,
       identity_id text not null references identity (id),
       reason text not null constraint stop_has_reason check (reason <> ''),
       made_by_kind text not null,
       made_by text not null,
       made_at ${d.types.bigint} not null,
       touched text not null,
       state text not null constraint stop_state_known ${oneOf('state', STOP_STATES)},
       settled_at ${d.types.bigint},
       constraint stop_is_settled_once_known check ((state = 'containing') = (settled_at is null))
     )${d.strict}`,
    'create index stop_containing on stop (id) where state = \'containing\'',
    'create index stop_identity on stop (identity_id, id)',
    ...d.freeze('stop', ['id', 'target', 'target_id', 'identity_id', 'reason', 'made_by_kind', 'made_by', 'made_at', 'touched'], 'stop_is_frozen'),
    ...d.setOnce('stop', ['settled_at'], 'stop_is_settled_once'),
    ...d.onlyTransitions('stop', 'state', [['containing', 'contained'], ['containing', 'not_proved']], 'stop_goes_forward'),
    ...d.neverDelete('stop', 'stop_is_never_deleted'),
    ...d.comment('stop', 'a task or an identity that a person stopped, and whether everybody has confirmed it'),

    `create table stop_task (
       stop_id text not null references stop (id),
       task_id text not null references task (id),
       primary key (stop_id, task_id)
     )${d.strict}`,
    ...d.appendOnly('stop_task', 'stop_task_stays'),
    ...d.comment('stop_task', 'a task that was open, or still had something to withdraw, when it was stopped'),

    // No references: a lease is a login on a back end or an access token, which are two tables.
    `create table stop_lease (
       stop_id text not null references stop (id),
       lease_id text not null,
       kind text not null constraint stop_lease_kind_known ${oneOf('kind', ['login', 'token'])},
       primary key (stop_id, lease_id)
     )${d.strict}`,
    ...d.appendOnly('stop_lease', 'stop_lease_stays'),
    ...d.comment('stop_lease', 'a credential that had no recorded end when it was stopped'),

    // No reference to the instance: it is forgotten before what it confirmed is.
    `create table stop_server (
       stop_id text not null references stop (id),
       instance_id text not null,
       address text,
       calls ${d.types.bigint} not null constraint stop_server_counts check (calls >= 0),
       answer text constraint stop_server_answer_known ${oneOf('answer', SERVER_ANSWERS)},
       answered_at ${d.types.bigint},
       calls_lost ${d.types.bigint} not null default 0,
       primary key (stop_id, instance_id),
       constraint stop_server_answered_has_time check ((answer is null) = (answered_at is null)),
       constraint stop_server_lost_calls_are_lost check ((calls_lost > 0) = (answer is not null and answer = 'lost'))
     )${d.strict}`,
    'create index stop_server_open on stop_server (instance_id, stop_id) where answer is null',
    ...d.freeze('stop_server', ['stop_id', 'instance_id', 'address', 'calls'], 'stop_server_is_frozen'),
    ...d.setOnce('stop_server', ['answer', 'answered_at'], 'stop_server_answers_once'),
    ...d.neverDelete('stop_server', 'stop_server_is_never_deleted'),
    ...d.refuseFound('stop_server', {
      on: 'update',
      found: `new.answer is not null and exists (select 1 from tool_call as c join stop_task as t on t.task_id = c.task_id
             where t.stop_id = new.stop_id and c.instance_id = new.instance_id and c.status = 'in_flight')`,
    }, 'stop_server_has_no_call_in_flight'),
    ...d.comment('stop_server', 'a server that ran when something was stopped, and what it says of it since'),

    ...d.refuseFound('stop', {
      on: 'update',
      found: `new.state = 'contained' and (
                exists (select 1 from stop_server as s where s.stop_id = new.id and (s.answer is null or s.answer = 'lost'))
             or exists (select 1 from stop_task as t join task on task.id = t.task_id where t.stop_id = new.id and task.state = 'open')
             or exists (select 1 from stop_lease as l join lease on lease.id = l.lease_id
                         where l.stop_id = new.id and (lease.outcome is null or lease.outcome = 'not_evaluated'))
             or exists (select 1 from stop_lease as l join access_token on access_token.id = l.lease_id
                         where l.stop_id = new.id and (access_token.outcome is null or access_token.outcome = 'not_evaluated')))`,
    }, 'stop_contained_is_confirmed'),
    'create index task_identity_ending on task (identity_id) where state = \'ending\'',
  ],
}
