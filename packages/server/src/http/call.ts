import type { Endpoint, Who } from '@writ/contract/endpoint'
import type { EventActor } from '@writ/domain/event'
import type { IncomingHttpHeaders } from 'node:http'
import type { z } from 'zod'
import type { Caller as IdentityCaller } from '../authenticate/authenticator.ts'
import type { Once } from '../store/store.ts'
import type { ProblemAnswer } from './problem.ts'

export type OperatorCaller = { readonly kind: 'operator'; readonly operator: string; readonly name: string }
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
  /** Names the request, so that its repeat is recognised; made up when the caller gave no `Idempotency-Key`. */
  readonly once: Once
}

/** The reply's body, or bytes as they are. */
export type Answer<E extends Endpoint> =
  | { readonly reply: z.input<E['reply']>; readonly headers?: Readonly<Record<string, string>> }
  | { readonly raw: string | Uint8Array | AsyncIterable<string>; readonly type: string; readonly headers?: Readonly<Record<string, string>> }
  | ProblemAnswer

export type Handle<E extends Endpoint> = (call: Call<E>) => Promise<Answer<E>>

/** One endpoint joined to what answers it. */
export type Route = { readonly endpoint: Endpoint; readonly handle: (call: never) => Promise<Answer<Endpoint>> }

export const route = <E extends Endpoint>(endpoint: E, handle: Handle<E>): Route => ({ endpoint, handle: handle as Route['handle'] })

/** The caller as events name it. */
export function actorOf(caller: AnyCaller): EventActor {
  return caller.kind === 'operator' ? { kind: 'operator', id: caller.operator } : { kind: 'identity', id: caller.identity }
}
