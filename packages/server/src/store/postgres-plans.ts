import type { Statement } from './postgres-flight.ts'

/*
 * A statement is parsed once on each connection, and planned each time with its values, as if it had no name: a plan for any value would be made
 * while a table is small and would serve when it is large, and could use no index `where state = 'open'`. But to plan it costs three times what it
 * costs to run it. Of the few that every request comes with and that find their rows by key (`BY_KEY` in `prepared.ts`) one plan is kept, made as if
 * no table could be read from end to end: there is no other then that a table which grows would make a bad one.
 */

/**
 * How all is planned on a connection of ours unless something else is said. Up to PostgreSQL 17 a table that has to be read from end to end all the
 * same, such as one of a single row, has a cost then at which each execution would be compiled first.
 */
export const PLANNED_WITH_VALUES = '-c plan_cache_mode=force_custom_plan -c jit=off'

/** For what comes after it, up to the end of the transaction; outside of one, of what travels with it. */
const planned = (mode: string, scans: 'on' | 'off'): Statement =>
  ({ text: `select set_config('plan_cache_mode', '${mode}', true), set_config('enable_seqscan', '${scans}', true)`, parameters: [] })

const KEPT = planned('force_generic_plan', 'off')
const ANEW = planned('force_custom_plan', 'on')

/** What has to be said before each statement of one transaction, in their order; undefined where nothing has. */
export function planSwitch(): (statement: Statement) => Statement | undefined {
  let isKept = false
  return (statement) => {
    if (statement.isKept === undefined || statement.isKept === isKept) return undefined
    isKept = statement.isKept
    return isKept ? KEPT : ANEW
  }
}
