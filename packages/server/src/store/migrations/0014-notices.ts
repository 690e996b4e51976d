import { NOTICE_KINDS, NOTICE_STATES } from '@writ/domain/notice'
import type { Migration } from '../migrate.ts'

const oneOf = (column: string, words: readonly string[]): string => `check (${column} in (${words.map((word) => `'${word}'`).join(', ')}))`

/** A server of release 1 goes on as before: it tells nobody anything. */
export const notices: Migration = {
  release: 2,
  name: '0014-notices',
  up: (d) => [
    `create table notice_target (
       id text primary key,
       name text not null constraint notice_target_is_named check (name <> ''),
       kind text not null constraint notice_target_kind_known ${oneOf('kind', NOTICE_KINDS)},
       about text not null,
       place text not null,
       sealed_address text,
       state text not null constraint notice_target_state_known ${oneOf('state', ['active', 'removed'])},
       added_by text not null,
       added_at ${d.types.bigint} not null,
       removed_at ${d.types.bigint},
       told_up_to ${d.types.bigint} not null,
       last_sent_at ${d.types.bigint},
       trouble text,
       constraint notice_target_removed_has_time check ((state = 'removed') = (removed_at is not null)),
       constraint notice_target_active_has_address check (state = 'removed' or sealed_address is not null)
     )${d.strict}`,
    'create unique index notice_target_name_is_distinct on notice_target (name) where state = \'active\'',
    ...d.freeze('notice_target', ['id', 'name', 'kind', 'about', 'place', 'added_by', 'added_at'], 'notice_target_is_frozen'),
    ...d.onlyErased('notice_target', ['sealed_address'], 'notice_target_address_is_frozen'),
    ...d.onlyTransitions('notice_target', 'state', [['active', 'removed']], 'notice_target_removed_is_for_ever'),
    ...d.onlyGrows('notice_target', 'told_up_to', 'notice_target_only_goes_on'),
    ...d.neverDelete('notice_target', 'notice_target_is_never_deleted'),
    ...d.comment('notice_target', 'where people are told of what needs them, and up to which event they were; its address is sealed, and destroyed with its end'),

    // No reference to the event, which a restore may leave behind: the text is made when it is sent, of what is there then.
    `create table notice (
       id text primary key,
       target_id text not null references notice_target (id),
       event_id text not null,
       matter text not null,
       state text not null constraint notice_state_known ${oneOf('state', NOTICE_STATES)},
       attempts ${d.types.bigint} not null,
       made_at ${d.types.bigint} not null,
       due_at ${d.types.bigint},
       ended_at ${d.types.bigint},
       constraint notice_is_made_once unique (target_id, event_id),
       constraint notice_waits_or_has_ended check ((state = 'waiting') = (ended_at is null)),
       constraint notice_is_due_while_it_waits check ((state = 'waiting') = (due_at is not null))
     )${d.strict}`,
    'create index notice_due on notice (due_at) where due_at is not null',
    'create index notice_ended on notice (ended_at) where ended_at is not null',
    ...d.freeze('notice', ['id', 'target_id', 'event_id', 'matter', 'made_at'], 'notice_is_frozen'),
    ...d.onlyTransitions('notice', 'state', [['waiting', 'sent'], ['waiting', 'failed']], 'notice_ends_once'),
    ...d.comment('notice', 'one thing to tell one target: it waits until it has arrived, or is given up; kept for a month after'),
  ],
}
