import * as contract from '@writ/contract/events'
import { STREAMS, type Stream } from '@writ/domain/event'
import { toIso } from '@writ/domain/time'
import { TILE_WIDTH } from '@writ/ledger/tile'
import { parseTilePath } from '@writ/ledger/tile-path'
import { exportLines, tileFile } from '../../prove/log-files.ts'
import type { Db } from '../../record/tx.ts'
import { countUnsealed } from '../../store/events.ts'
import { findLog } from '../../store/logs.ts'
import { listPastLogs, listRestores } from '../../store/past-logs.ts'
import { logsOf, type ReadableLog } from '../../prove/logs-of-stream.ts'
import { route, type Answer, type Route } from '../call.ts'
import { problem } from '../problem.ts'
import { eventRoutes, type EventRoutesNeeds } from './events.ts'

const NO_LOG = problem('not-found', { code: 'no_such_log', detail: 'the logs are `non-human` and `human`' })

/**
 * C2SP tlog-tiles: a full tile never changes. A partial one is superseded within seconds, so no cache is asked to keep it. RFC 9111 §3.5:
 * what needed an `Authorization` is kept by shared caches only when it says `public`.
 */
const FOR_EVER = { anyone: 'public, max-age=31536000, immutable', operator: 'private, max-age=31536000, immutable' } as const

type FileAnswer = Answer<typeof contract.logCheckpoint>

export function recordRoutes(needs: EventRoutesNeeds): readonly Route[] {
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
    ...eventRoutes(needs),
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
