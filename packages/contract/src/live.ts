import { z } from 'zod'
import { endpoint } from './endpoint.ts'
import { event } from './events.ts'

/** What was recorded, as the live stream tells it: without what was said, which may be personal. */
export const liveEvent = event.pick({ id: true, type: true, stream: true, at: true, actor: true, task: true, identity: true, lease: true, facts: true })
export type LiveEvent = z.infer<typeof liveEvent>

/** The first word. `resumed`: no means that the stream begins now, and that what was shown before has to be read anew. */
export const liveHello = z.object({ at: z.string(), resumed: z.boolean(), heartbeat_ms: z.number() })
export type LiveHello = z.infer<typeof liveHello>

/** Told when nothing else was: whoever has heard nothing for two of these is cut off. */
export const liveHeartbeat = z.object({ at: z.string() })

/** An approval that is another than before, for whoever shows it; the event that says so comes with it. `state`: null where the event leaves it open. */
export const liveApproval = z.object({ id: z.string(), type: z.string(), state: z.string().nullable(), at: z.string() })
export type LiveApproval = z.infer<typeof liveApproval>

/** What stands behind `event:`; WHATWG HTML §9.2. */
export const LIVE_WORDS = ['hello', 'event', 'approval', 'heartbeat'] as const

/** It ends with the sign-in that opened it, and keeps none from ending. */
export const liveStream = endpoint({
  method: 'GET', path: '/v1/live', who: 'operator', unattended: true,
  summary: 'Every recorded event as it comes, as server-sent events: `hello`, `event`, `approval`, `heartbeat`; `Last-Event-ID` goes on where a stream was cut',
  query: z.strictObject({ stream: event.shape.stream.optional(), task: z.string().max(40).optional() }),
  media: 'text/event-stream', reply: z.string(), problems: ['too-many-requests'],
})
