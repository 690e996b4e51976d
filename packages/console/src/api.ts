import type { Endpoint } from '@writ/contract/endpoint'
import type { Problem } from '@writ/contract/problem'
import { isAttended, UNATTENDED } from './attended.ts'
import { heardServerTime } from './clock.ts'

/** What a schema of the contract reads and writes, without the library that reads it. */
type Of<Schema, Side extends 'input' | 'output'> = Schema extends { readonly _zod: Readonly<Record<Side, infer Value>> } ? Value : undefined

type ParametersOf<Path extends string> =
  string extends Path ? Readonly<Record<string, string>> :
    Path extends `${string}{${infer Name}}${infer Rest}` ? { readonly [N in Name]: string } & ParametersOf<Rest> : unknown

type QueryOf<E extends Endpoint> = E extends { readonly query: infer Q } ? Partial<Of<Q, 'input'>> : undefined
type BodyOf<E extends Endpoint> = E extends { readonly body: infer B } ? Of<B, 'input'> : undefined
export type ReplyOf<E extends Endpoint> = Of<E['reply'], 'output'>

/** What is asked of an endpoint: exactly what its path, its query and its body have places for. */
export type AskOf<E extends Endpoint> =
  & (string extends E['path'] ? { readonly parameters?: Readonly<Record<string, string>> } : E['path'] extends `${string}{${string}` ? { readonly parameters: ParametersOf<E['path']> } : { readonly parameters?: never })
  & (QueryOf<E> extends undefined ? { readonly query?: never } : { readonly query?: QueryOf<E> })
  & (BodyOf<E> extends undefined ? { readonly body?: never } : { readonly body: BodyOf<E> })

declare const ofContract: unique symbol

/** An endpoint of the contract by its method and path; what it takes and replies is in its type alone. */
export type At<E extends Endpoint> = { readonly method: E['method']; readonly path: E['path']; readonly [ofContract]?: E }

/** `at<typeof tasks.listTasks>('GET', '/v1/tasks')`: another method or path than the contract's does not compile. */
export const at = <E extends Endpoint>(method: E['method'], path: E['path']): At<E> => ({ method, path })

/** What was asked in words that a browser, a shell and a person can read. */
export type Sent = { readonly method: string; readonly target: string; readonly body: string | undefined }

type AnyAsk = { readonly parameters?: object | undefined; readonly query?: object | undefined; readonly body?: unknown }

export function sentOf<E extends Endpoint>(to: At<E>, ask: AskOf<E>): Sent {
  const { parameters = {}, query = {}, body } = ask as AnyAsk
  const path = to.path.replaceAll(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(String((parameters as Record<string, unknown>)[name])))
  const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== '').map(([name, value]) => [name, String(value)])
  const search = given.length === 0 ? '' : `?${new URLSearchParams(given).toString()}`
  return { method: to.method, target: path + search, body: to.method === 'GET' || to.method === 'DELETE' ? undefined : JSON.stringify(body ?? {}) }
}

/** The server's no, in its own words (RFC 9457). */
export class Refused extends Error {
  readonly problem: Problem

  constructor(problem: Problem) {
    super(problem.detail ?? problem.title)
    this.problem = problem
  }
}

/** No answer came: the way, or whoever stands on it. */
export class Unreachable extends Error {}

/** Asks the server as whoever is signed in; throws what it refuses as `Refused`. */
export async function ask<E extends Endpoint>(to: At<E>, asked: AskOf<E>, signal?: AbortSignal): Promise<ReplyOf<E>> {
  const { method, target, body } = sentOf(to, asked)
  const headers = { accept: 'application/json', ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...(isAttended() ? {} : { [UNATTENDED]: '1' }) }
  const answer = await fetch(target, { method, headers, credentials: 'same-origin', redirect: 'error', ...(body === undefined ? {} : { body }), ...(signal === undefined ? {} : { signal }) })
    .catch((cause: unknown) => { throw signal?.aborted ? cause : new Unreachable('no answer came from the server', { cause }) })
  heardServerTime(answer.headers.get('date'))
  if (!answer.ok) throw await refusalIn(answer)
  const isJson = (answer.headers.get('content-type') ?? '').startsWith('application/json')
  return (isJson ? await answer.json() : await answer.text()) as ReplyOf<E>
}

/** Whatever stands between may answer in another way than Writ. */
async function refusalIn(answer: Response): Promise<Refused | Unreachable> {
  if (answer.headers.get('content-type')?.startsWith('application/problem+json')) return new Refused(await answer.json() as Problem)
  return new Unreachable(`an answer came that is not Writ's own: ${answer.status} ${answer.statusText}`)
}

/** Nobody is signed in, or no longer. */
export const isSignedOut = (error: unknown): boolean => error instanceof Refused && error.problem.status === 401
