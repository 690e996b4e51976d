import type { EventLeaf, Stream } from '@writ/domain/event'
import { firstIdAt, type ApprovalId, type EventId } from '@writ/domain/id'
import { epochMs, type EpochMs } from '@writ/domain/time'
import { sql, type Kysely, type SqlBool } from 'kysely'
import { insertRows } from './prepared.ts'
import type { EventRow, Tables } from './tables.ts'

type Db = Kysely<Tables>

export type NewEvent = { readonly leaf: EventLeaf; readonly text: string; readonly leafHash: Uint8Array; readonly mac: Uint8Array }

/** One field of personal or free text, to which a leaf commits. */
export type Said = { readonly field: string; readonly salt: Uint8Array; readonly value: string }

/** In the order in which they are given. */
export async function insertEvents(db: Db, events: readonly NewEvent[]): Promise<void> {
  await insertRows(db, 'event', events.map(({ leaf, text, leafHash, mac }) => ({
    id: leaf.id,
    stream: leaf.stream,
    type: leaf.type,
    at: leaf.at,
    task_id: leaf.task,
    identity_id: leaf.identity,
    leaf: text,
    leaf_hash: leafHash,
    mac,
    leaf_index: null,
  })))
}

/** Of several events together. */
export async function insertEventSaid(db: Db, said: readonly (Said & { readonly event: EventId })[]): Promise<void> {
  await insertRows(db, 'event_said', said.map(({ event, field, salt, value }) => ({ event_id: event, field, salt, value })))
}

/** An event as it is read back; `said` holds what was not erased. */
export type StoredEvent = {
  readonly seq: number
  readonly id: EventId
  readonly stream: Stream
  readonly type: string
  readonly at: EpochMs
  readonly task: string | null
  readonly identity: string | null
  readonly text: string
  readonly leafHash: Uint8Array
  readonly mac: Uint8Array
  /** Null until sealed; -1 when the sealer refused the row as forged. */
  readonly leafIndex: number | null
}

function parseEventRow(row: EventRow & { readonly seq: number }): StoredEvent {
  return {
    seq: row.seq,
    id: row.id as EventId,
    stream: row.stream as Stream,
    type: row.type,
    at: epochMs(row.at),
    task: row.task_id,
    identity: row.identity_id,
    text: row.leaf,
    leafHash: row.leaf_hash,
    mac: row.mac,
    leafIndex: row.leaf_index,
  }
}

const isNotRefused = sql<SqlBool>`(leaf_index is null or leaf_index >= 0)`

export type EventPage = {
  readonly limit: number
  readonly afterSeq?: number
  readonly beforeSeq?: number
  readonly upToSeq?: number
  readonly newest?: boolean
  readonly stream?: Stream
  readonly task?: string
  readonly types?: readonly string[]
  readonly since?: EpochMs
  readonly until?: EpochMs
}

/** In the order of writing; with `newest`, the last ones instead of the first. */
export async function listEvents(db: Db, page: EventPage): Promise<readonly StoredEvent[]> {
  let query = db.selectFrom('event').selectAll().where(isNotRefused).orderBy('seq', page.newest ? 'desc' : 'asc').limit(page.limit)
  if (page.afterSeq !== undefined) query = query.where('seq', '>', page.afterSeq)
  if (page.beforeSeq !== undefined) query = query.where('seq', '<', page.beforeSeq)
  if (page.upToSeq !== undefined) query = query.where('seq', '<=', page.upToSeq)
  if (page.stream !== undefined) query = query.where('stream', '=', page.stream)
  if (page.task !== undefined) query = query.where('task_id', '=', page.task)
  if (page.types !== undefined) query = query.where('type', 'in', page.types)
  if (page.since !== undefined || page.until !== undefined) query = query.where('seq', 'in', numbersWithin(db, page))
  const events = (await query.execute()).map((row) => parseEventRow(row as EventRow & { seq: number }))
  return page.newest ? events.toReversed() : events
}

/** An event's id begins with its instant. Of their own: SQLite then reads the index of ids alone, where it would read every row of a long span. */
function numbersWithin(db: Db, { since, until }: Pick<EventPage, 'since' | 'until'>) {
  let query = db.selectFrom('event').select('seq')
  if (since !== undefined) query = query.where('id', '>=', firstIdAt('event', since))
  if (until !== undefined) query = query.where('id', '<', firstIdAt('event', until))
  return query
}

/** All events of a task, in order; without those that the sealer refused, which anyone may have put under it. */
export async function listEventsOfTask(db: Db, task: string): Promise<readonly StoredEvent[]> {
  const rows = await db.selectFrom('event').selectAll().where('task_id', '=', task).where(isNotRefused).orderBy('seq').execute()
  return rows.map((row) => parseEventRow(row as EventRow & { seq: number }))
}

export async function listEventsById(db: Db, ids: readonly EventId[]): Promise<readonly StoredEvent[]> {
  if (ids.length === 0) return []
  const rows = await db.selectFrom('event').selectAll().where('id', 'in', ids).where(isNotRefused).execute()
  return rows.map((row) => parseEventRow(row as EventRow & { seq: number }))
}

/** How often an approval was used: a row that says less has been turned back. */
export async function countApprovalUses(db: Db, { id, task }: { readonly id: ApprovalId; readonly task: string }): Promise<number> {
  const row = await db.selectFrom('event').select((eb) => eb.fn.countAll<number>().as('count'))
    .where('task_id', '=', task).where('type', '=', sql.lit('approval.used')).where('leaf', 'like', `%"approval":"${id}"%`).executeTakeFirstOrThrow()
  return Number(row.count)
}

/** The newest first. */
export async function listRoutesSet(db: Db, limit: number): Promise<readonly StoredEvent[]> {
  const rows = await db.selectFrom('event').selectAll().where('type', '=', sql.lit('approval_routes.set')).where(isNotRefused).orderBy('seq', 'desc').limit(limit).execute()
  return rows.map((row) => parseEventRow(row as EventRow & { seq: number }))
}

export async function listSaid(db: Db, events: readonly EventId[]): Promise<ReadonlyMap<EventId, readonly Said[]>> {
  const found = new Map<EventId, Said[]>()
  if (events.length === 0) return found
  for (const row of await db.selectFrom('event_said').selectAll().where('event_id', 'in', events).orderBy('field').execute()) {
    const id = row.event_id as EventId
    found.set(id, [...(found.get(id) ?? []), { field: row.field, salt: row.salt, value: row.value }])
  }
  return found
}

export async function listUnsealed(db: Db, stream: Stream, limit: number): Promise<readonly StoredEvent[]> {
  const rows = await db.selectFrom('event').selectAll()
    .where('stream', '=', stream).where('leaf_index', 'is', null).orderBy('seq').limit(limit).execute()
  return rows.map((row) => parseEventRow(row as EventRow & { seq: number }))
}

export async function countUnsealed(db: Db, stream: Stream): Promise<number> {
  const row = await db.selectFrom('event').select((eb) => eb.fn.countAll<number>().as('count')).where('stream', '=', stream).where('leaf_index', 'is', null).executeTakeFirstOrThrow()
  return Number(row.count)
}

/** Leaves in order, for tiles and exports. */
export async function listLeaves(db: Db, stream: Stream, range: { readonly from: number; readonly count: number }): Promise<readonly StoredEvent[]> {
  const rows = await db.selectFrom('event').selectAll().where('stream', '=', stream)
    .where('leaf_index', '>=', range.from).where('leaf_index', '<', range.from + range.count).orderBy('leaf_index').execute()
  return rows.map((row) => parseEventRow(row as EventRow & { seq: number }))
}
