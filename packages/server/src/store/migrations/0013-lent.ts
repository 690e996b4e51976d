import type { Migration } from '../migrate.ts'

/** A server of release 1 knows nothing of it: what it lends ends with its task, as before. */
export const lent: Migration = {
  release: 2,
  name: '0013-lent',
  up: (d) => [
    // No reference to the instance: it is forgotten before its leases are.
    `create table lent_lease (
       lease_id text primary key references lease (id),
       instance_id text not null
     )${d.strict}`,
    ...d.freeze('lent_lease', ['lease_id', 'instance_id'], 'lent_lease_is_frozen'),
    ...d.comment('lent_lease', 'a lease that a run of a Writ server holds for an MCP server: it ends with that run'),
  ],
}
