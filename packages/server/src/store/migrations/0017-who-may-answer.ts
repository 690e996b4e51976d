import type { Migration } from '../migrate.ts'

/** A server of release 1 goes on as before: it knows no person, and what it registers names nobody. */
export const whoMayAnswer: Migration = {
  release: 2,
  name: '0017-who-may-answer',
  up: (d) => [
    // Ids of persons or operators; null of what stood here before.
    'alter table credential add column registered_by text',
    ...d.freeze('credential', ['registered_by'], 'credential_registered_by_is_frozen'),
    'alter table binding add column registered_by text',
    ...d.freeze('binding', ['registered_by'], 'binding_registered_by_is_frozen'),
    'alter table issuer add column keys_by text',
    'alter table operator add column made_by text',
    ...d.freeze('operator', ['made_by'], 'operator_made_by_is_frozen'),
    'alter table bootstrap add column offered_by text',
    ...d.freeze('bootstrap', ['offered_by'], 'bootstrap_offered_by_is_frozen'),

    `alter table person add column blocked_at ${d.types.bigint}`,

    'alter table approval add column requested_event text',
    ...d.freeze('approval', ['requested_event'], 'approval_requested_event_is_frozen'),
    'create index event_approval_used on event (task_id, seq) where type = \'approval.used\'',
    'create index event_approval_routes on event (seq) where type = \'approval_routes.set\'',
  ],
}
