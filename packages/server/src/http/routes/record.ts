import * as contract from '@writ/contract/events'
import { STREAMS, type Stream } from '@writ/domain/event'
import { toIso } from '@writ/domain/time'
import { TILE_WIDTH } from '@writ/ledger/tile'
import { parseTilePath } from '@writ/ledger/tile-path'
import type { EventMac } from '../../keys/mac.ts'
import type { Bell } from '../../platform/bell.ts'
import type { Clock } from '../../platform/clock.ts'
import { exportLines, tileFile } from '../../prove/log-files.ts'
import { isAuthentic } from '../../record/authentic.ts'
import type { Db, Store } from '../../record/tx.ts'
import { countUnsealed, listEvents, listSaid, type EventPage } from '../../store/events.ts'
import { findLog } from '../../store/logs.ts'
import { listPastLogs, listRestores } from '../../store/past-logs.ts'
import { logHolding, logsOf, type ReadableLog } from '../../prove/logs-of-stream.ts'
import { wholeUpTo } from '../../store/whole-events.ts'
import { route, type Answer, type Route } from '../call.ts'
import { problem } from '../problem.ts'
import { eventReply } from '../replies.ts'

export type RecordRoutesNeeds = { readonly store: Store; readonly eventMac: EventMac; readonly clock: Clock; readonly sealed: Bell; /** Once it is aborted, nobody waits any longer. */ readonly stopping: AbortSignal }

const NO_LOG = problem('not-found', { code: 'no_such_log', detail: 'the logs are `non-human` and `human`' })
const LONGEST_WAIT_STEP_MS = 500

/**
 * C2SP tlog-tiles: a full tile never changes. A partial one is superseded within seconds, so no cache is asked to keep it. RFC 9111 §3.5:
 * what needed an `Authorization` is kept by shared caches only when it says `public`.
 */
const FOR_EVER = { anyone: 'public, max-age=31536000, immutable', operator: 'private, max-age=31536000, immutable' } as const

type FileAnswer = Answer<typeof contract.logCheckpoint>

export function recordRoutes(needs: RecordRoutesNeeds): readonly Route[] {
  const { store } = needs
  /** The stream's current log, or the one that the named restore has ended. */
  const logNamed = async ({ stream: named, restore }: Named): Promise<ReadableLog | undefined> => {
    const stream = streamOf(named)
    const logs = stream === undefined ? [] : await store.read((db) => logsOf(db, stream))
    return logs.find((log) => log.endedBy === (restore ?? null))
  }
  const serveTile = async (named: Named, path: string, who: keyof typeof FOR_EVER): Promise<FileAnswer> => {
    const log = await logNamed(named)
    const bytes = log && await store.read((db) => tileFile(db, log, path))
    return bytes === undefined ? problem('not-found', { code: 'no_such_tile' }) : { raw: bytes, type: 'application/octet-stream', ...(isPartial(path) ? {} : { headers: { 'cache-control': FOR_EVER[who] } }) }
  }
  return [
    route(contract.listEvents, async ({ query }) => {
      const afterSeq = query.cursor === undefined ? undefined : Number(query.cursor)
      if (afterSeq !== undefined && !Number.isSafeInteger(afterSeq)) return problem('invalid-fields', { errors: [{ field: 'cursor', message: 'is not one of ours' }] })
      const page: EventPage = {
        limit: query.limit, newest: query.newest === 'true', ...(afterSeq === undefined ? {} : { afterSeq }),
        ...(query.stream === undefined ? {} : { stream: query.stream }), ...(query.task === undefined ? {} : { task: query.task }),
      }
      return { reply: await waitForEvents(needs, page, query.wait_seconds * 1000) }
    }),
    route(contract.listLogs, async () => ({
      reply: {
        logs: await Promise.all(STREAMS.map((stream) => store.read(async (db) => {
          const head = (await findLog(db, stream))!
          const [unsealed, past] = [await countUnsealed(db, stream), await describePast(db, stream)]
          return { stream, origin: head.origin, vkey: head.vkey, size: head.size, checkpoint: head.note, checkpoint_at: toIso(head.signedAt), unsealed, past }
        }))),
      },
    })),
    route(contract.exportLog, async ({ parameters, query }): Promise<Answer<typeof contract.exportLog>> => {
      const stream = streamOf(parameters.stream)
      const logs = stream === undefined ? [] : await store.read((db) => logsOf(db, stream))
      const log = query.origin === undefined ? logs.at(-1) : logs.find((one) => one.origin === query.origin)
      return log === undefined ? NO_LOG : { raw: exportLines((query) => store.read(query), log), type: 'application/x-ndjson' }
    }),
    ...[contract.logCheckpoint, contract.pastCheckpoint].map((of) => route(of, async ({ parameters }): Promise<FileAnswer> => {
      const log = await logNamed(parameters)
      return log === undefined ? NO_LOG : { raw: log.note, type: 'text/plain; charset=utf-8' }
    })),
    ...[contract.hashTile, contract.pastHashTile].map((of) => route(of, async ({ parameters }): Promise<FileAnswer> => {
      const rest = parameters['*'] ?? ''
      return rest.startsWith('entries') ? problem('not-found', { code: 'no_such_tile' }) : serveTile(parameters, `tile/${rest}`, 'anyone')
    })),
    ...[contract.entryBundle, contract.pastEntryBundle].map((of) => route(of, ({ parameters }) => serveTile(parameters, `tile/entries/${parameters['*'] ?? ''}`, 'operator'))),
  ]
}

type Named = { readonly stream?: string; readonly restore?: string }

async function describePast(db: Db, stream: Stream): Promise<contract.PastLogReply[]> {
  const restores = new Map((await listRestores(db)).map((one) => [one.id, one]))
  return (await listPastLogs(db, stream)).map((log) => {
    const { backup, backupAt, doneAt } = restores.get(log.restore)!
    return {
      origin: log.origin, vkey: log.vkey, size: log.size, checkpoint: log.note, checkpoint_at: toIso(log.signedAt),
      restore: log.restore, restored_at: toIso(doneAt!), backup, backup_at: toIso(backupAt), leaves_lost: log.known === null ? null : log.known.size - log.size,
    }
  })
}

const isPartial = (path: string): boolean => parseTilePath(path)?.width !== TILE_WIDTH

const streamOf = (text: string | undefined): Stream | undefined => STREAMS.find((stream) => stream === text)

async function waitForEvents(needs: RecordRoutesNeeds, page: EventPage, ms: number) {
  const until = needs.clock.now() + ms
  const listener = needs.sealed.listener()
  for (;;) {
    // With null nothing is shown: the next look goes on from the same place.
    const upToSeq = (await wholeUpTo(needs.store)) ?? 0
    const found = await needs.store.read((db) => describeEvents(db, needs.eventMac, { ...page, upToSeq }))
    const left = until - needs.clock.now()
    if (found.events.length > 0 || left <= 0 || needs.stopping.aborted) return found
    await listener.heard(Math.min(left, LONGEST_WAIT_STEP_MS))
  }
}

/** A row that is not ours is shown to nobody as an event; where one stood in the log, the log's verification says so. */
async function describeEvents(db: Db, eventMac: EventMac, page: EventPage) {
  const events = await listEvents(db, page)
  const ours = events.filter((event) => isAuthentic(eventMac, event))
  const said = await listSaid(db, ours.map((event) => event.id))
  const logs = new Map<Stream, readonly ReadableLog[]>()
  for (const stream of new Set(ours.map((event) => event.stream))) logs.set(stream, await logsOf(db, stream))
  const replies = ours.map((event) => eventReply(event, said.get(event.id) ?? [], logHolding(logs.get(event.stream)!, event.leafIndex)))
  return { events: replies, next: events.length === 0 ? (page.afterSeq === undefined ? null : String(page.afterSeq)) : String(events.at(-1)!.seq) }
}
