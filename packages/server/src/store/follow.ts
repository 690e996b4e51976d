import { sql, type Kysely } from 'kysely'
import { wholeUpTo, type Reading } from './whole-events.ts'
import type { Tables } from './tables.ts'

type Db = Kysely<Tables>

/** The highest number that an event has taken and committed; 0 where there is none. On PostgreSQL a lower one may still come. */
export async function newestSeq(db: Db): Promise<number> {
  return (await db.selectFrom('event').select(sql<number>`coalesce(max(seq), 0)`.as('seq')).executeTakeFirstOrThrow()).seq
}

/**
 * Up to which event a follower that has read up to `after` may read on: whatever it reads up to there, nothing comes to stand before it.
 * `after` when there is nothing new, or nothing that is whole yet. Most looks find nothing, and cost one look-up.
 */
export async function readableUpTo(of: Reading, after: number): Promise<number> {
  const newest = await of.read(newestSeq)
  if (newest <= after) return after
  // SQLite has one writer: what is there is whole.
  if (of.dialect.name === 'sqlite') return newest
  return Math.max(after, (await wholeUpTo(of)) ?? after)
}

/** The number of the event of this id; undefined where there is none. */
export async function seqOfEvent(db: Db, id: string): Promise<number | undefined> {
  return (await db.selectFrom('event').select('seq').where('id', '=', id).where('leaf_index', 'is distinct from', -1).executeTakeFirst())?.seq
}

/** The id of the last event up to this number. */
export async function idOfEventAt(db: Db, upTo: number): Promise<string | undefined> {
  return (await db.selectFrom('event').select('id').where('seq', '<=', upTo).where('leaf_index', 'is distinct from', -1).orderBy('seq', 'desc').limit(1).executeTakeFirst())?.id
}
