import { z } from 'zod'
import { endpoint } from './endpoint.ts'
import { page } from './words.ts'

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
  /** Personal and free text, as said and not verified; absent once erased. */
  said: z.record(z.string(), z.string()),
  /** Null until the sealer has given it its place. */
  leaf_index: z.number().nullable(),
  /** OCSF 1.x */
  ocsf: z.object({ class_uid: z.number(), activity_id: z.number(), type_uid: z.number(), time: z.number() }),
})
export type EventReply = z.infer<typeof event>

export const listEvents = endpoint({
  method: 'GET', path: '/v1/events', who: 'operator', summary: 'Events in order of their ids; `wait_seconds` waits for the next one',
  query: page.extend({ stream: z.enum(STREAM_NAMES).optional(), task: z.string().optional(), wait_seconds: z.coerce.number().int().min(0).max(30).default(0), newest: z.enum(['true', 'false']).default('false') }),
  reply: z.object({ events: z.array(event), next: z.string().nullable() }), problems: [],
})

export const log = z.object({ stream: z.enum(STREAM_NAMES), origin: z.string(), vkey: z.string(), size: z.number(), checkpoint: z.string(), checkpoint_at: z.string(), unsealed: z.number() })
export type LogReply = z.infer<typeof log>

/** The verifier key is public: an auditor should compare it with the one noted when the log began. */
export const listLogs = endpoint({ method: 'GET', path: '/v1/logs', who: 'anyone', summary: 'The two logs, their keys and newest checkpoints', reply: z.object({ logs: z.array(log) }), problems: [] })

/** Beside these the server serves C2SP tlog-tiles below `/logs/{stream}/`: `checkpoint`, `tile/<L>/<N>`, `tile/entries/<N>`. */
export const exportLog = endpoint({ method: 'GET', path: '/v1/logs/{stream}/export', who: 'operator', summary: 'The whole log as text lines, for `writ verify`', reply: z.string(), problems: ['not-found'] })
