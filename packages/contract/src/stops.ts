import { STOP_STATES, STOP_TARGETS } from '@writ/domain/stop'
import { z } from 'zod'
import { endpoint } from './endpoint.ts'
import { freeText, page } from './words.ts'

/** A task by its id, an identity by its id or its SPIFFE ID, or an identity with whoever it has delegated to. */
export const stopTarget = z.strictObject({ kind: z.enum(STOP_TARGETS), id: z.string().min(1).max(2048) })

export const stopTouches = z.object({
  /** That are suspended by it. */
  identities: z.number(),
  /** With those that had ended before and still have something to withdraw. */
  tasks: z.number(),
  logins: z.number(),
  access_tokens: z.number(),
  calls_in_flight: z.number(),
  /** Requests that wait for a person, and approvals that are not used up. */
  approvals: z.number(),
})

/** Who has to confirm, and what they have. */
export const stopPoint = z.discriminatedUnion('kind', [
  z.object({
    /** A Writ server that ran when it was stopped. */
    kind: z.literal('server'), id: z.string(), address: z.string().nullable(),
    /** `gone`: it runs no more, and had nothing in flight. `lost`: it runs no more, and what became of its calls nobody can tell. */
    state: z.enum(['pending', 'acknowledged', 'gone', 'lost']),
    /** Since when it is awaited, or when it was known. */
    at: z.string(),
    after_ms: z.number().nullable(),
    /** In flight there when it was stopped, and of these those of which nobody can tell what became. */
    calls: z.number(), calls_lost: z.number(),
  }),
  z.object({
    /** A login on a back end, or an access token of ours. */
    kind: z.enum(['login', 'access_token']), id: z.string(), backend: z.string().nullable(),
    /** `proved`: the dead credential was tried and refused. `incident`: it was not, or it could not be withdrawn. */
    state: z.enum(['pending', 'incident', 'not_evaluated', 'proved', 'never_issued']),
    /** Since when it is awaited; null once it has its end, which the certificate of its task tells. */
    since: z.string().nullable(),
    incident: z.string().nullable(),
  }),
])
export type StopPointReply = z.infer<typeof stopPoint>

export const stop = z.object({
  id: z.string(),
  target: z.object({ kind: z.enum(STOP_TARGETS), id: z.string() }),
  identity: z.string(),
  spiffe_id: z.string(),
  reason: z.string(),
  by: z.object({ kind: z.string(), id: z.string() }),
  at: z.string(),
  /**
   * `contained`: every server has confirmed that nothing of it is in flight, and every credential was refused when it was tried. `not_proved`:
   * nothing is awaited any more, and of something it is not known whether it ended.
   */
  state: z.enum(STOP_STATES),
  settled_at: z.string().nullable(),
  after_ms: z.number().nullable(),
  touched: stopTouches,
  confirmed: z.number(),
  of: z.number(),
})
export type StopReply = z.infer<typeof stop>

export const stopWithPoints = stop.extend({
  tasks: z.array(z.string()),
  /** Servers first; of credentials at most 200, those first that are awaited. */
  points: z.array(stopPoint),
})
export type StopWithPointsReply = z.infer<typeof stopWithPoints>

export const makeStop = endpoint({
  method: 'POST', path: '/v1/stops', who: 'operator', summary: 'Stop a task, or an identity and all that it does, now; or say what that would touch',
  body: z.strictObject({ target: stopTarget, reason: freeText(500), dry_run: z.boolean().default(false) }),
  reply: z.object({
    /** Null of a dry run. */
    stop: stop.nullable(),
    touches: stopTouches,
    /** The identities that it suspends, by SPIFFE ID. */
    suspends: z.array(z.string()),
    /** Sessions and open ways to MCP servers; how many other servers run, whose own nobody here can count. */
    mcp: z.object({ sessions: z.number(), links: z.number(), servers_not_evaluated: z.number() }),
  }),
  problems: ['invalid-fields', 'not-found', 'not-allowed', 'idempotency-key-reused'],
})
export const listStops = endpoint({
  method: 'GET', path: '/v1/stops', who: 'operator', summary: 'What was stopped, newest first', query: page,
  reply: z.object({ stops: z.array(stop), next: z.string().nullable() }), problems: ['invalid-fields'],
})
export const showStop = endpoint({ method: 'GET', path: '/v1/stops/{id}', who: 'operator', summary: 'One stop, and who has confirmed it', reply: stopWithPoints, problems: ['not-found'] })
