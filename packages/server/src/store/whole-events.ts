import { setTimeout as pause } from 'node:timers/promises'
import { sql, type Kysely } from 'kysely'
import type { Dialect } from './dialect.ts'
import type { Tables } from './tables.ts'

export type Reading = { readonly dialect: Dialect; read<T>(query: (db: Kysely<Tables>) => Promise<T>): Promise<T> }

/** A transaction ends in some milliseconds: looked at often first, and for 2.5 s in all. PostgreSQL ends one that does not end in 5 s. */
const WAITS_MS = [5, 5, 5, 10, 20, 40, ...Array.from({ length: 24 }, () => 100)]

/** The transactions that have written events, or are about to: each holds this lock from before it takes a number until its end. */
const writers = sql`
       from pg_locks
      where locktype = 'relation'
        and database = (select oid from pg_database where datname = current_database())
        and relation = 'event'::regclass
        and mode = 'RowExclusiveLock'`

/**
 * Up to which event the record is whole: who has read up to there and goes on behind it later, misses none. On PostgreSQL an event's number is
 * taken before its transaction commits, so that a higher one may be seen first: those who were writing when the highest was looked up are
 * waited for. What the caller has had acknowledged is always within. Null when one of them does not end in time.
 */
export async function wholeUpTo(of: Reading): Promise<number | null> {
  // SQLite has one writer, so numbers are in the order of commits.
  if (of.dialect.name === 'sqlite') return Number.MAX_SAFE_INTEGER
  // The locks are looked at after the statement's snapshot was taken: who is not among them has ended, and is seen by the next statement.
  const [seen] = (await of.read((db) => sql<{ newest: number; writing: string | null }>`
     select (select coalesce(max(seq), 0) from event) as newest,
            (select string_agg(virtualtransaction, ' ') ${writers}) as writing`.execute(db))).rows
  let { writing } = seen!
  for (const wait of WAITS_MS) {
    if (writing === null) return seen!.newest
    await pause(wait)
    const among = writing
    writing = (await of.read((db) => sql<{ writing: string | null }>`
     select string_agg(virtualtransaction, ' ') as writing ${writers}
        and virtualtransaction = any(string_to_array(${among}, ' '))`.execute(db))).rows[0]!.writing
  }
  return writing === null ? seen!.newest : null
}
