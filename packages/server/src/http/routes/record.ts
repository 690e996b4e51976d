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
import { route, type Answer, type Route } from '../call.ts'
import { problem } from '../problem.ts'
import { eventReply } from '../replies.ts'
import { endpoint } from '@writ/contract/endpoint'
import { z } from 'zod'

export type RecordRoutesNeeds = { readonly store: Store; readonly eventMac: EventMac; readonly clock: Clock; readonly sealed: Bell }

const NO_LOG = problem('not-found', { code: 'no_such_log', detail: 'the logs are `non-human` and `human`' })
const LONGEST_WAIT_STEP_MS = 500

/**
 * C2SP tlog-tiles: a full tile never changes. A partial one is superseded within seconds, so no cache is asked to keep it. RFC 9111 §3.5:
 * what needed an `Authorization` is kept by shared caches only when it says `public`.
 */
const FOR_EVER = { anyone: 'public, max-age=31536000, immutable', operator: 'private, max-age=31536000, immutable' } as const

const logFile = <W extends 'anyone' | 'operator'>(path: string, who: W) => endpoint({ method: 'GET', path, who, summary: 'C2SP tlog-tiles', reply: z.string(), problems: ['not-found'] })
type FileAnswer = Answer<ReturnType<typeof logFile>>

/** Hashes and checkpoints tell a stranger nothing; the entries tell who works on what, and are for operators. */
const hashTile = logFile('/logs/{stream}/tile/*', 'anyone')
const entryBundle = logFile('/logs/{stream}/tile/entries/*', 'operator')

export function recordRoutes(needs: RecordRoutesNeeds): readonly Route[] {
  const { store } = needs
  const serveTile = async (named: string | undefined, path: string, who: keyof typeof FOR_EVER): Promise<FileAnswer> => {
    const stream = streamOf(named)
    const bytes = stream && await store.read((db) => tileFile(db, stream, path))
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
          return { stream, origin: head.origin, vkey: head.vkey, size: head.size, checkpoint: head.note, checkpoint_at: toIso(head.signedAt), unsealed: await countUnsealed(db, stream) }
        }))),
      },
    })),
    route(contract.exportLog, async ({ parameters }): Promise<Answer<typeof contract.exportLog>> => {
      const stream = streamOf(parameters.stream)
      return stream === undefined ? NO_LOG : { raw: exportLines((query) => store.read(query), stream), type: 'application/x-ndjson' }
    }),
    route(logFile('/logs/{stream}/checkpoint', 'anyone'), async ({ parameters }): Promise<FileAnswer> => {
      const stream = streamOf(parameters.stream)
      const head = stream && await store.read((db) => findLog(db, stream))
      return head === undefined ? NO_LOG : { raw: head.note, type: 'text/plain; charset=utf-8' }
    }),
    route(hashTile, async ({ parameters }) => {
      const rest = parameters['*'] ?? ''
      return rest.startsWith('entries') ? problem('not-found', { code: 'no_such_tile' }) : serveTile(parameters.stream, `tile/${rest}`, 'anyone')
    }),
    route(entryBundle, ({ parameters }) => serveTile(parameters.stream, `tile/entries/${parameters['*'] ?? ''}`, 'operator')),
  ]
}

const isPartial = (path: string): boolean => parseTilePath(path)?.width !== TILE_WIDTH

const streamOf = (text: string | undefined): Stream | undefined => STREAMS.find((stream) => stream === text)

async function waitForEvents(needs: RecordRoutesNeeds, page: EventPage, ms: number) {
  const until = needs.clock.now() + ms
  const listener = needs.sealed.listener()
  for (;;) {
    const found = await needs.store.read((db) => describeEvents(db, needs.eventMac, page))
    const left = until - needs.clock.now()
    if (found.events.length > 0 || left <= 0) return found
    await listener.heard(Math.min(left, LONGEST_WAIT_STEP_MS))
  }
}

/** A row that is not ours is shown to nobody as an event; where one stood in the log, the log's verification says so. */
async function describeEvents(db: Db, eventMac: EventMac, page: EventPage) {
  const events = await listEvents(db, page)
  const ours = events.filter((event) => isAuthentic(eventMac, event))
  const said = await listSaid(db, ours.map((event) => event.id))
  return { events: ours.map((event) => eventReply(event, said.get(event.id) ?? [])), next: events.length === 0 ? (page.afterSeq === undefined ? null : String(page.afterSeq)) : String(events.at(-1)!.seq) }
}
