import type { Endpoint, Who } from '@writ/contract/endpoint'
import type { EventActor } from '@writ/domain/event'
import type { IdentityId, TaskId } from '@writ/domain/id'
import { unreachable } from '@writ/domain/outcome'
import type { PersonCaller } from '@writ/domain/person'
import type { IncomingHttpHeaders } from 'node:http'
import type { z } from 'zod'
import type { Caller as IdentityCaller, OneTimeUse } from '../authenticate/authenticator.ts'
import type { OperatorCaller } from '../authenticate/operator-key.ts'
import type { Once } from '../store/store.ts'
import { NO_TASK, problem, type ProblemAnswer } from './problem.ts'

/** A person, and how far they may go here: where they are let in as an owner alone, whose owner they are; else null. */
export type PersonAtDoor = PersonCaller & { readonly own: Own | null }

/** What a person is an owner of: identities by id and by SPIFFE ID. */
export type Own = { readonly owners: readonly string[]; readonly identities: ReadonlySet<string> }

/** Whoever may what operators may. */
export type HumanCaller = OperatorCaller | PersonAtDoor

export type AnyCaller = IdentityCaller | HumanCaller

type CallerOf<W extends Who> =
  W extends 'operator' ? HumanCaller : W extends 'person' ? PersonAtDoor : W extends 'identity' ? IdentityCaller : W extends 'identity_or_operator' ? AnyCaller : null

/** A request that has been read, authenticated and checked against its endpoint. */
export type Call<E extends Endpoint> = {
  readonly caller: CallerOf<E['who']>
  readonly parameters: Readonly<Record<string, string>>
  readonly query: E extends { readonly query: infer Q extends z.ZodType } ? z.output<Q> : undefined
  readonly body: E extends { readonly body: infer B extends z.ZodType } ? z.output<B> : undefined
  /** The exact bytes, for a signature over them. */
  readonly rawBody: string
  readonly headers: IncomingHttpHeaders
  /** The address that it comes from. */
  readonly from: string
  /** Names the request in the log, in its decisions, and to its caller. */
  readonly traceId: string
  /** Names the request, so that its repeat is recognised; made up when the caller gave no `Idempotency-Key`. */
  readonly once: Once
  /** What is still to be used up before anything is done; empty but for a route that takes it in a change of its own. */
  readonly uses: readonly OneTimeUse[]
}

/** Somewhere else, for a browser: a whole address. `cookies`: each as a header of its own. */
export type Redirect = { readonly redirect: string; readonly cookies?: readonly string[] }

/** The reply's body, or bytes as they are, or another address. */
export type Answer<E extends Endpoint> =
  | { readonly reply: z.input<E['reply']>; readonly headers?: Readonly<Record<string, string>> }
  | { readonly raw: string | Uint8Array | AsyncIterable<string | Uint8Array>; readonly type: string; readonly headers?: Readonly<Record<string, string>> }
  | Redirect
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
  switch (caller.kind) {
    case 'operator': return { kind: 'operator', id: caller.operator }
    case 'person': return { kind: 'person', id: caller.person }
    case 'identity': return { kind: 'identity', id: caller.identity }
    default: return unreachable(caller)
  }
}

/** Whose thing it is: an operator has all, so does a person but for one who is an owner alone; an identity has its own, and whoever came with an access token what is of that token's task. */
export function isOf(caller: AnyCaller, thing: { readonly identity: IdentityId; readonly task: TaskId }): boolean {
  if (caller.kind === 'operator') return true
  if (caller.kind === 'person') return isOwn(caller, thing.identity)
  return thing.identity === caller.identity && (caller.task === null || thing.task === caller.task)
}

/** `identity`: its id or its SPIFFE ID. */
export const isOwn = (caller: HumanCaller, identity: string): boolean => caller.kind === 'operator' || caller.own === null || caller.own.identities.has(identity)

/** Whether an event is for them: who is let in as an owner alone sees what concerns identities of theirs, without what was said. */
export const seesEvent = (caller: HumanCaller, { identity }: { readonly identity: string | null }): boolean => hearsWhatWasSaid(caller) || (identity !== null && isOwn(caller, identity))

export const hearsWhatWasSaid = (caller: HumanCaller): boolean => caller.kind === 'operator' || caller.own === null

/** Whose identities alone a list shows, to whoever is let in as an owner alone. */
export const ownersOf = (caller: HumanCaller): { readonly owners?: readonly string[] } => (caller.kind === 'operator' || caller.own === null ? {} : { owners: caller.own.owners })

/** What an access token opens besides the addresses of its own task. */
const OPEN_TO_TASK: ReadonlySet<string> = new Set([
  'GET /v1/whoami', 'POST /v1/leases/{id}/revoke', 'GET /v1/decisions/{id}', 'GET /v1/decisions/{id}/explanation',
  'POST /access/v1/evaluation', 'POST /access/v1/evaluations',
  'POST /access/v1/requests', 'GET /access/v1/requests/{id}', 'POST /access/v1/requests/{id}/cancel', 'POST /v1/approvals/{id}/cancel',
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
