import type { Migration } from '../migrate.ts'

/** A server of release 1 knows nothing of the column, and never changes an authority: it goes on as before. */
export const widening: Migration = {
  release: 2,
  name: '0004-widening',
  up: (d) => [
    `alter table task add column widenings ${d.types.bigint} not null default 0 constraint task_widenings_hold check (widenings >= 0)`,
    ...d.dropGuard('task', 'task_terms_are_frozen'),
    ...d.freeze('task', ['id', 'identity_id', 'parent_id', 'root_id', 'depth', 'depth_left', 'purpose', 'on_behalf_of', 'opened_at', 'deadline', 'budget_calls', 'idle_timeout', 'heartbeat'], 'task_terms_are_frozen'),
    ...d.onlyCounted('task', { column: 'authority', counter: 'widenings', state: 'state', while: 'open' }, 'task_grant_widens_while_open'),
  ],
}
