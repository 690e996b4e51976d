import { z } from 'zod'
import { endpoint } from './endpoint.ts'
import { instant, page } from './words.ts'

export const STREAM_NAMES = ['non-human', 'human'] as const

export const event = z.object({
  id: z.string(),
  stream: z.enum(STREAM_NAMES),
  type: z.string(),
  at: z.string(),
  actor: z.object({ kind: z.string(), id: z.string() }),
  task: z.string().nullable(),
  identity: z.string().nullable(),
  lease: z.string().nullable(),
  facts: z.record(z.string(), z.unknown()),
  /** Personal and free text, as said and not verified; absent once erased, and to whoever comes as an owner alone. */
  said: z.record(z.string(), z.string()),
  /** Null until the sealer has given it its place. */
  leaf_index: z.number().nullable(),
  /** The log in which it has that place: there may be several of a stream, one after each restore. */
  log: z.string().nullable().default(null),
  /** OCSF 1.x */
  ocsf: z.object({ class_uid: z.number(), activity_id: z.number(), type_uid: z.number(), time: z.number() }),
})
export type EventReply = z.infer<typeof event>

export const EVENT_ORDERS = ['oldest_first', 'newest_first'] as const

export const listEvents = endpoint({
  method: 'GET', path: '/v1/events', who: 'operator',
  summary: 'Events in the order of writing, or from the newest back; `next` goes on the same way. `wait_seconds` waits for the next one',
  query: page.extend({
    stream: z.enum(STREAM_NAMES).optional(), task: z.string().optional(),
    /** From this instant on, and before that one. */
    since: instant.optional(), until: instant.optional(),
    /** A cursor goes on in the order in which it came. With `newest_first`, `next` is null at the oldest. */
    order: z.enum(EVENT_ORDERS).default('oldest_first'),
    wait_seconds: z.coerce.number().int().min(0).max(30).default(0),
    /** The last ones, in the order of writing: where a follower begins. */
    newest: z.enum(['true', 'false']).default('false'),
  }),
  reply: z.object({ events: z.array(event), next: z.string().nullable() }), problems: ['not-yet'],
})

export const showEvent = endpoint({ method: 'GET', path: '/v1/events/{id}', who: 'operator', summary: 'One event, of any age', reply: event, problems: ['not-found'] })

/** One leaf, the way from it to a checkpoint, and what opens its commitments: checkable with the log's key alone (`@writ/ledger/receipt`). */
export const eventReceipt = z.object({
  event: z.string(),
  stream: z.enum(STREAM_NAMES),
  /** The log that it stands in, and its key: compare that with the one noted when the log began. */
  log: z.string(), vkey: z.string(), checkpoint: z.string(), checkpoint_at: z.string(),
  receipt: z.object({
    leaf: z.string(), index: z.number(), proof: z.array(z.string()),
    /** Absent of what was erased, and to whoever comes as an owner alone. */
    disclosures: z.record(z.string(), z.object({ salt: z.string(), value: z.string() })).optional(),
  }),
})
export type EventReceiptReply = z.infer<typeof eventReceipt>

/** Whoever may read an event may read its proof: the other leaves stand in it as hashes, and those are public. */
export const showEventReceipt = endpoint({
  method: 'GET', path: '/v1/events/{id}/receipt', who: 'operator', summary: 'The proof that an event stands in its log; `wait_seconds` waits until it is sealed',
  query: z.strictObject({ wait_seconds: z.coerce.number().int().min(0).max(30).default(0) }),
  reply: eventReceipt, problems: ['not-found', 'not-yet'],
})

/** A log that ended with a restore: where it stood in the backup, and what was known of it outside. */
export const pastLog = z.object({
  origin: z.string(), vkey: z.string(), size: z.number(), checkpoint: z.string(), checkpoint_at: z.string(),
  restore: z.string(), restored_at: z.string(), backup: z.string(), backup_at: z.string(),
  /** At least so many of its leaves are lost; null where nobody gave a newer checkpoint, so that it could not be found out. */
  leaves_lost: z.number().nullable(),
})
export type PastLogReply = z.infer<typeof pastLog>

export const log = z.object({
  stream: z.enum(STREAM_NAMES), origin: z.string(), vkey: z.string(), size: z.number(), checkpoint: z.string(), checkpoint_at: z.string(), unsealed: z.number(),
  /** The logs of this stream before it, oldest first. */
  past: z.array(pastLog).default([]),
})
export type LogReply = z.infer<typeof log>

/** The verifier key is public: an auditor should compare it with the one noted when the log began. */
export const listLogs = endpoint({ method: 'GET', path: '/v1/logs', who: 'anyone', summary: 'The two logs, their keys and newest checkpoints', reply: z.object({ logs: z.array(log) }), problems: [] })

export const exportLog = endpoint({
  method: 'GET', path: '/v1/logs/{stream}/export', who: 'operator', summary: 'The whole log as text lines, for `writ verify`',
  /** One before the current one, by its origin. */
  query: z.strictObject({ origin: z.string().max(200).optional() }),
  media: 'application/x-ndjson', reply: z.string(), problems: ['not-found'],
})

const logFile = { method: 'GET', reply: z.string(), problems: ['not-found'] } as const

/** C2SP tlog-tiles. Hashes and checkpoints tell a stranger nothing; the entries tell who works on what, and are for operators. */
export const logCheckpoint = endpoint({ ...logFile, path: '/logs/{stream}/checkpoint', who: 'anyone', summary: 'The newest checkpoint, as a signed note', media: 'text/plain' })
export const hashTile = endpoint({ ...logFile, path: '/logs/{stream}/tile/*', who: 'anyone', summary: 'A tile of hashes: `<level>/<index>`, in three digits a step', media: 'application/octet-stream' })
export const entryBundle = endpoint({ ...logFile, path: '/logs/{stream}/tile/entries/*', who: 'operator', summary: 'The entries below a tile', media: 'application/octet-stream' })

/** The same of a log that ended with this restore. */
export const pastCheckpoint = endpoint({ ...logFile, path: '/past-logs/{restore}/{stream}/checkpoint', who: 'anyone', summary: 'The last checkpoint of a log that ended with a restore', media: 'text/plain' })
export const pastHashTile = endpoint({ ...logFile, path: '/past-logs/{restore}/{stream}/tile/*', who: 'anyone', summary: 'A tile of hashes of a log that ended with a restore', media: 'application/octet-stream' })
export const pastEntryBundle = endpoint({ ...logFile, path: '/past-logs/{restore}/{stream}/tile/entries/*', who: 'operator', summary: 'The entries below a tile of a log that ended with a restore', media: 'application/octet-stream' })
