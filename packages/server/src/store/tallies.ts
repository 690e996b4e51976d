import type { Stream } from '@writ/domain/event'
import { sql, type Kysely, type SqlBool } from 'kysely'
import type { Tables } from './tables.ts'

type Db = Kysely<Tables>

/** What is open now. Each is counted by an index that holds the open ones alone, so that what has ended costs nothing. */
export type OpenCounts = {
  readonly tasks: number
  readonly leases: number
  readonly leasesBeingMade: number
  readonly leasesBeingWithdrawn: number
  readonly accessTokens: number
  readonly incidents: number
  readonly findings: ReadonlyMap<string, number>
}

export async function countOpen(db: Db): Promise<OpenCounts> {
  const count = sql<number>`count(*)`.as('count')
  const tasks = await db.selectFrom('task').select(count).where(sql<SqlBool>`state = 'open'`).executeTakeFirstOrThrow()
  const leases = await db.selectFrom('lease').select(count).where(sql<SqlBool>`state <> 'ended'`).executeTakeFirstOrThrow()
  const inHand = await db.selectFrom('lease').select(['state', count]).where(sql<SqlBool>`state in ('intended', 'withdrawing')`).groupBy('state').execute()
  const tokens = await db.selectFrom('access_token').select(count).where('due_at', 'is not', null).executeTakeFirstOrThrow()
  const incidents = await db.selectFrom('incident').select(count).where('state', '=', 'open').executeTakeFirstOrThrow()
  const findings = await db.selectFrom('finding').select(['kind', count]).where(sql<SqlBool>`state = 'open'`).groupBy('kind').execute()
  const inState = (state: string): number => Number(inHand.find((row) => row.state === state)?.count ?? 0)
  return {
    tasks: Number(tasks.count), leases: Number(leases.count), leasesBeingMade: inState('intended'), leasesBeingWithdrawn: inState('withdrawing'),
    accessTokens: Number(tokens.count), incidents: Number(incidents.count), findings: new Map(findings.map((row) => [row.kind, Number(row.count)])),
  }
}

/** How many leaves a log has, and since when an event waits to be one. */
export type LogCount = { readonly stream: Stream; readonly leaves: number; readonly waitsSince: number | null }

export async function countLogs(db: Db): Promise<readonly LogCount[]> {
  const logs = await db.selectFrom('log').select(['stream', 'size']).execute()
  return await Promise.all(logs.map(async ({ stream, size }) => {
    const oldest = await db.selectFrom('event').select('at').where('stream', '=', stream).where('leaf_index', 'is', null).orderBy('seq').limit(1).executeTakeFirst()
    return { stream: stream as Stream, leaves: size, waitsSince: oldest?.at ?? null }
  }))
}

export type LeafTally = { readonly counts: ReadonlyMap<string, number>; readonly told: readonly { readonly type: string; readonly leaf: string }[] }

/** The leaves from one place to another: how many there are of each type, and in full those of these types. */
export async function tallyLeaves(db: Db, stream: Stream, from: number, to: number, inFull: readonly string[]): Promise<LeafTally> {
  const there = db.selectFrom('event').where('stream', '=', stream).where('leaf_index', '>=', from).where('leaf_index', '<', to)
  const counts = await there.select(['type', sql<number>`count(*)`.as('count')]).groupBy('type').execute()
  const told = await there.select(['type', 'leaf']).where('type', 'in', inFull).execute()
  return { counts: new Map(counts.map((row) => [row.type, Number(row.count)])), told }
}
