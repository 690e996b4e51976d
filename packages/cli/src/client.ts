import { randomUUID } from 'node:crypto'
import { setTimeout as wait } from 'node:timers/promises'
import { pathOf, type Endpoint } from '@writ/contract/endpoint'
import type { Problem } from '@writ/contract/problem'
import type { z } from 'zod'
import { CommandFailure, EXIT, exitOfStatus, failureOfProblem } from './exit.ts'

/** One server, and how the caller proves itself to it. */
export type Connection = {
  /** Its origin, without a slash at the end. */
  readonly server: string
  /** A bearer value for one request; a client assertion is a new one each time. */
  readonly bearer?: () => Promise<string> | string
  readonly timeoutMs: number
  /** What to say in place of the server, which does not say why it takes nobody for anybody. */
  readonly onceRefused?: { readonly message: string; readonly hint: string }
  /** The key of the command's one change; a new one per call when absent. */
  readonly idempotencyKey?: string
}

export type Ask<Body extends z.ZodType, Query extends z.ZodType> = {
  readonly parameters?: Readonly<Record<string, string>>
  readonly query?: z.input<Query>
  readonly body?: z.input<Body>
  /** Goes on asking a server that is not there until the timeout: for what must not be left undone. */
  readonly patient?: boolean
  /** `Infinity` for what never ends; then `signal` ends it. */
  readonly timeoutMs?: number
  readonly signal?: AbortSignal
  /** Of a stream that was cut: what came last of it. */
  readonly lastEventId?: string | undefined
}

type Answered =
  | { readonly kind: 'reply'; readonly value: unknown }
  | { readonly kind: 'problem'; readonly failure: CommandFailure; readonly retryable: boolean; readonly retryAfterMs: number }
  | { readonly kind: 'unreachable'; readonly failure: CommandFailure; readonly mayPass: boolean }

const FIRST_DELAY_MS = 100
const LONGEST_DELAY_MS = 2000

/** A connection that stood and broke: the server may be restarting. One that never stood is said at once. */
const BROKEN: readonly string[] = ['ECONNRESET', 'EPIPE', 'UND_ERR_SOCKET']

/**
 * Asks one endpoint. Every change carries an idempotency key that stays the same over the attempts of one call, so that all calls may
 * be repeated: after a retryable problem, after a broken connection, and, when `patient`, while nobody listens.
 */
export async function call<Body extends z.ZodType, Query extends z.ZodType, Reply extends z.ZodType>(
  connection: Connection, endpoint: Endpoint<Body, Query, Reply>, ask: Ask<Body, Query> = {},
): Promise<z.infer<Reply>> {
  const deadline = performance.now() + (ask.timeoutMs ?? connection.timeoutMs)
  const idempotencyKey = endpoint.method === 'GET' ? undefined : (connection.idempotencyKey ?? randomUUID())
  for (let attempt = 0; ; attempt++) {
    const left = deadline - performance.now()
    const answered = await attemptOnce(connection, endpoint, ask, { idempotencyKey, left: Math.max(1, left) })
    if (answered.kind === 'reply') return replyOf(endpoint, answered.value, connection)
    const again = answered.kind === 'problem' ? answered.retryable : ask.patient === true || answered.mayPass
    const delay = Math.max(answered.kind === 'problem' ? answered.retryAfterMs : 0, Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** attempt) * (0.5 + Math.random() / 2))
    if (!again || ask.signal?.aborted || performance.now() + delay >= deadline) throw atTheEnd(answered.failure)
    await wait(delay, undefined, ask.signal === undefined ? {} : { signal: ask.signal }).catch(() => undefined)
  }
}

/** Whoever waited for something that is not there yet has timed out; whatever else went wrong is said as it is. */
function atTheEnd(failure: CommandFailure): CommandFailure {
  if (failure.problem?.code !== 'not-yet' && failure.problem?.type.endsWith('/not-yet') !== true) return failure
  return new CommandFailure(EXIT.timed_out, failure.message, { hints: ['wait longer with --timeout'], problem: failure.problem })
}

function replyOf<Reply extends z.ZodType>(endpoint: Endpoint<z.ZodType, z.ZodType, Reply>, value: unknown, connection: Connection): z.infer<Reply> {
  const parsed = endpoint.reply.safeParse(value)
  if (parsed.success) return parsed.data
  const where = parsed.error.issues.map((issue) => issue.path.join('.') || 'the whole reply').join(', ')
  throw new CommandFailure(EXIT.unexpected, `${connection.server} answered ${endpoint.method} ${endpoint.path} in a form that this writ does not know (${where})`, { hints: ['server and command line should have the same version: `writ version`'] })
}

async function attemptOnce<Body extends z.ZodType, Query extends z.ZodType>(
  connection: Connection, endpoint: Endpoint<Body, Query>, ask: Ask<Body, Query>, now: { readonly idempotencyKey: string | undefined; readonly left: number },
): Promise<Answered> {
  try {
    const response = await send(connection, endpoint, ask, now)
    const text = await response.text()
    const value = isJson(response) ? parseJson(text) : text
    if (response.ok) return { kind: 'reply', value }
    return problemOf(response, value, connection)
  } catch (fault) {
    if (fault instanceof CommandFailure) throw fault
    if (ask.signal?.aborted) throw new CommandFailure(EXIT.interrupted, 'interrupted', { cause: fault })
    return unreachableOf(connection, fault)
  }
}

async function send<Body extends z.ZodType, Query extends z.ZodType>(
  connection: Connection, endpoint: Endpoint<Body, Query>, ask: Ask<Body, Query>, now: { readonly idempotencyKey: string | undefined; readonly left: number },
): Promise<Response> {
  const headers: Record<string, string> = { accept: 'application/json, application/problem+json' }
  if (connection.bearer !== undefined && endpoint.who !== 'anyone') headers.authorization = `Bearer ${await connection.bearer()}`
  if (now.idempotencyKey !== undefined) headers['idempotency-key'] = now.idempotencyKey
  if (ask.lastEventId !== undefined) headers['last-event-id'] = ask.lastEventId
  if (endpoint.body !== undefined) headers['content-type'] = 'application/json'
  const signals = [...(now.left === Infinity ? [] : [AbortSignal.timeout(Math.ceil(now.left))]), ...(ask.signal === undefined ? [] : [ask.signal])]
  return fetch(connection.server + pathOf(endpoint, ask.parameters) + queryOf(ask.query), {
    method: endpoint.method, headers, signal: AbortSignal.any(signals),
    // The bearer value is meant for this server and no other.
    redirect: 'error',
    ...(endpoint.body === undefined ? {} : { body: JSON.stringify(ask.body ?? {}) }),
  })
}

/** The reply's body as it arrives, for what is too large to hold. */
export async function open<Reply extends z.ZodType>(connection: Connection, endpoint: Endpoint<z.ZodType, z.ZodType, Reply>, ask: Ask<z.ZodType, z.ZodType> = {}): Promise<AsyncIterable<Uint8Array>> {
  let response: Response
  try {
    response = await send(connection, endpoint, ask, { idempotencyKey: undefined, left: ask.timeoutMs ?? connection.timeoutMs })
  } catch (fault) {
    throw fault instanceof CommandFailure ? fault : unreachableOf(connection, fault).failure
  }
  // Held from here on: `fetch` cancels a body that nobody has begun to read when its response is collected, and then it looks like an empty one.
  if (response.ok && response.body !== null) return response.body.values()
  const text = await response.text()
  throw problemOf(response, isJson(response) ? parseJson(text) : text, connection).failure
}

function queryOf(query: unknown): string {
  const pairs = Object.entries((query ?? {}) as Record<string, unknown>).filter(([, value]) => value !== undefined)
  return pairs.length === 0 ? '' : `?${new URLSearchParams(pairs.map(([name, value]) => [name, String(value)])).toString()}`
}

const isJson = (response: Response): boolean => /^application\/([\w.-]+\+)?json\b/.test(response.headers.get('content-type') ?? '')

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function problemOf(response: Response, value: unknown, connection: Connection): Extract<Answered, { kind: 'problem' }> {
  const problem = asProblem(value, connection)
  const retryAfterMs = Math.min(30, Number(response.headers.get('retry-after') ?? 0) || 0) * 1000
  if (problem?.status === 401 && connection.onceRefused !== undefined) return { kind: 'problem', failure: refusedWith(connection.onceRefused, problem), retryable: false, retryAfterMs: 0 }
  if (problem !== undefined) return { kind: 'problem', failure: failureOfProblem(problem), retryable: problem.retryable, retryAfterMs }
  const failure = new CommandFailure(exitOfStatus(response.status), `${connection.server} answered ${response.status} and no problem that writ knows`, { hints: ['is this a Writ server?'] })
  return { kind: 'problem', failure, retryable: [429, 502, 503, 504].includes(response.status), retryAfterMs }
}

const refusedWith = ({ message, hint }: NonNullable<Connection['onceRefused']>, problem: Problem): CommandFailure =>
  new CommandFailure(EXIT.not_signed_in, message, { hints: [hint], problem: { ...problem, detail: message, hint } })

/** RFC 9457 with our extensions, leniently: a proxy on the way may have written it. §3.1.1: a relative `type` is one of the server's. */
function asProblem(value: unknown, { server }: Connection): Problem | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const said = value as Partial<Problem>
  if (typeof said.type !== 'string' || typeof said.status !== 'number' || typeof said.title !== 'string') return undefined
  return { ...said, type: URL.parse(said.type, server)?.href ?? said.type, status: said.status, title: said.title, code: String(said.code ?? ''), retryable: said.retryable === true, trace_id: String(said.trace_id ?? '') }
}

function unreachableOf(connection: Connection, fault: unknown): Extract<Answered, { kind: 'unreachable' }> {
  if (fault instanceof Error && fault.name === 'TimeoutError') {
    return { kind: 'unreachable', mayPass: false, failure: new CommandFailure(EXIT.timed_out, `${connection.server} did not answer in time`, { hints: ['wait longer with --timeout'], cause: fault }) }
  }
  const cause = fault instanceof Error ? (fault.cause as NodeJS.ErrnoException | undefined) : undefined
  const code = cause?.code ?? cause?.message ?? (fault instanceof Error ? fault.message : 'unknown')
  const hints = code === 'ECONNREFUSED' ? ['`writ up` starts one; --url or WRIT_URL names another'] : ['--url or WRIT_URL names another']
  return { kind: 'unreachable', mayPass: BROKEN.includes(code), failure: new CommandFailure(EXIT.unreachable, `the server ${connection.server} can not be reached (${code})`, { hints, cause: fault }) }
}
