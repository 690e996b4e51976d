import type { Endpoint, Who } from '@writ/contract/endpoint'
import type { EventActor } from '@writ/domain/event'
import type { IdentityId, TaskId } from '@writ/domain/id'
import type { IncomingHttpHeaders } from 'node:http'
import type { z } from 'zod'
import type { Caller as IdentityCaller, OneTimeUse } from '../authenticate/authenticator.ts'
import type { OperatorCaller } from '../authenticate/operator-key.ts'
import type { Once } from '../store/store.ts'
import { NO_TASK, problem, type ProblemAnswer } from './problem.ts'

export type AnyCaller = IdentityCaller | OperatorCaller

type CallerOf<W extends Who> =
  W extends 'operator' ? OperatorCaller : W extends 'identity' ? IdentityCaller : W extends 'identity_or_operator' ? AnyCaller : null

/** A request that has been read, authenticated and checked against its endpoint. */
export type Call<E extends Endpoint> = {
  readonly caller: CallerOf<E['who']>
  readonly parameters: Readonly<Record<string, string>>
  readonly query: E extends { readonly query: infer Q extends z.ZodType } ? z.output<Q> : undefined
  readonly body: E extends { readonly body: infer B extends z.ZodType } ? z.output<B> : undefined
  /** The exact bytes, for a signature over them. */
  readonly rawBody: string
  readonly headers: IncomingHttpHeaders
  /** Names the request in the log, in its decisions, and to its caller. */
  readonly traceId: string
  /** Names the request, so that its repeat is recognised; made up when the caller gave no `Idempotency-Key`. */
  readonly once: Once
  /** What is still to be used up before anything is done; empty but for a route that takes it in a change of its own. */
  readonly uses: readonly OneTimeUse[]
}

/** The reply's body, or bytes as they are. */
export type Answer<E extends Endpoint> =
  | { readonly reply: z.input<E['reply']>; readonly headers?: Readonly<Record<string, string>> }
  | { readonly raw: string | Uint8Array | AsyncIterable<string | Uint8Array>; readonly type: string; readonly headers?: Readonly<Record<string, string>> }
  | ProblemAnswer

export type Handle<E extends Endpoint> = (call: Call<E>) => Promise<Answer<E>>

type RouteMore = {
  /** What works once of the caller's evidence is used up by the route, in the very change that does what is asked, and also where that refuses. */
  readonly takesUses?: true
}

/** One endpoint joined to what answers it. */
export type Route = RouteMore & { readonly endpoint: Endpoint; readonly handle: (call: never) => Promise<Answer<Endpoint>> }

export const route = <E extends Endpoint>(endpoint: E, handle: Handle<E>, more: RouteMore = {}): Route => ({ endpoint, handle: handle as Route['handle'], ...more })

/** The caller as events name it. */
export function actorOf(caller: AnyCaller): EventActor {
  return caller.kind === 'operator' ? { kind: 'operator', id: caller.operator } : { kind: 'identity', id: caller.identity }
}

/** Whose thing it is: an operator has all, an identity its own, and whoever came with an access token what is of that token's task. */
export const isOf = (caller: AnyCaller, thing: { readonly identity: IdentityId; readonly task: TaskId }): boolean =>
  caller.kind === 'operator' || (thing.identity === caller.identity && (caller.task === null || thing.task === caller.task))

/** What an access token opens besides the addresses of its own task. */
const OPEN_TO_TASK: ReadonlySet<string> = new Set([
  'GET /v1/whoami', 'POST /v1/leases/{id}/revoke', 'GET /v1/decisions/{id}', 'GET /v1/decisions/{id}/explanation',
  'POST /access/v1/evaluation', 'POST /access/v1/evaluations',
])

/**
 * Where a holder of an access token may not go: into other tasks, which are not there for it, and to all that is not of a task. Whatever is
 * not named here is closed to it. Undefined when it may.
 */
export function outsideTask(
  caller: IdentityCaller, { method, path }: Endpoint, parameters: Readonly<Record<string, string>>,
): ProblemAnswer | undefined {
  if (caller.task === null || OPEN_TO_TASK.has(`${method} ${path}`)) return undefined
  if (/^\/v1\/tasks\/\{id\}(\/|$)/.test(path)) return parameters.id === caller.task ? undefined : NO_TASK
  return problem('not-allowed', {
    code: 'outside_task', detail: `an access token acts in its own task alone, which is ${caller.task}`, hint: 'come with a client assertion or a workload\'s token',
  })
}
