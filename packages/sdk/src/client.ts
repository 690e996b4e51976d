import type { Problem } from '@writ/contract/problem'
import { randomId, type ProofKey } from './dpop.ts'
import { Denied, Unreachable, WritError } from './errors.ts'

/** One server, and how patiently it is asked. */
export type Server = {
  /** Where requests go; an origin. */
  readonly url: string
  /** What the server calls itself: the audience of evidence, and the address that proofs name. The same as `url` unless a proxy stands between. */
  readonly issuer: string
  readonly call: typeof fetch
  /** How long one call is repeated while the server does not answer, or answers that it can not now. */
  readonly patienceMs: number
  readonly key: ProofKey
  /** The newest nonce that the server gave (RFC 9449 §8). */
  nonce?: string | undefined
}

export type Request = {
  readonly method: 'GET' | 'POST'
  readonly path: string
  /** Made anew for each attempt: evidence and proofs are good for one. */
  readonly prepare: () => Promise<{ readonly body?: string; readonly type?: string; readonly accessToken?: string; readonly scheme?: 'DPoP' | 'Bearer' }>
  readonly patienceMs?: number
  /** How long one attempt may take. */
  readonly timeoutMs?: number
  readonly signal?: AbortSignal | undefined
  /** Answers the reply's text as it came, for what is checked byte by byte. */
  readonly asText?: boolean
}

/** RFC 6749 §5.2, with what Writ adds for a task that is over. */
type OAuthError = { readonly error: string; readonly error_description?: string; readonly end_reason?: string }

/** The server's no: what it said, and the task's end where that is why. */
export class Refusal extends Denied {
  readonly status: number
  readonly endReason: string | undefined
  constructor(message: string, told: { readonly status: number; readonly endReason?: string | undefined } & ConstructorParameters<typeof WritError>[1]) {
    super(message, told)
    this.name = 'Denied'
    this.status = told.status
    this.endReason = told.endReason
  }
}

const MAY_PASS: readonly number[] = [429, 502, 503, 504]
const LONGEST_ATTEMPT_MS = 15_000
const FIRST_PAUSE_MS = 50
const LONGEST_PAUSE_MS = 1000

type Answered = { readonly kind: 'reply'; readonly value: unknown } | { readonly kind: 'again'; readonly afterMs: number; readonly why: WritError }

/**
 * Asks the server. Every change carries one `Idempotency-Key` over all attempts of a call, so that a request whose answer was lost is
 * repeated and done once. Throws `Denied` for a no, and `Unreachable` when the patience is over.
 */
export async function ask(server: Server, request: Request): Promise<unknown> {
  const until = performance.now() + (request.patienceMs ?? server.patienceMs)
  const idempotencyKey = request.method === 'GET' ? undefined : randomId()
  for (let attempt = 0; ; attempt++) {
    const answered = await attemptOnce(server, request, idempotencyKey)
    if (answered.kind === 'reply') return answered.value
    const pause = Math.max(answered.afterMs, Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** attempt) * (0.5 + Math.random() / 2))
    if (performance.now() + pause >= until) throw answered.why
    await rest(pause, request.signal)
  }
}

async function attemptOnce(server: Server, request: Request, idempotencyKey: string | undefined): Promise<Answered> {
  request.signal?.throwIfAborted()
  const nonce = server.nonce
  const response = await send(server, request, idempotencyKey).catch((fault: unknown) => {
    request.signal?.throwIfAborted()
    if (fault instanceof WritError) throw fault
    return new Unreachable(`the server ${server.url} can not be reached`, { code: 'unreachable', retryable: true, cause: fault })
  })
  if (response instanceof Unreachable) return { kind: 'again', afterMs: 0, why: response }
  server.nonce = response.headers.get('dpop-nonce') ?? server.nonce
  if (response.ok && request.asText === true) return { kind: 'reply', value: await response.text() }
  const value = await readBody(response)
  if (response.ok) return { kind: 'reply', value }
  const told = tell(response, value)
  if (MAY_PASS.includes(response.status)) {
    const afterMs = Math.min(5, Number(response.headers.get('retry-after')) || 0) * 1000
    return { kind: 'again', afterMs, why: new Unreachable(told.message, { code: told.code, retryable: true, hint: told.hint, traceId: told.traceId, cause: told }) }
  }
  // RFC 9449 §8: the proof is made again with the nonce that came with the refusal; a server that refuses that one too has refused.
  if (told.code === 'use_dpop_nonce' && server.nonce !== nonce) return { kind: 'again', afterMs: 0, why: told }
  throw told
}

async function send(server: Server, request: Request, idempotencyKey: string | undefined): Promise<Response> {
  const { body, type, accessToken, scheme = 'DPoP' } = await request.prepare()
  const headers: Record<string, string> = { accept: 'application/json, application/problem+json' }
  if (type !== undefined) headers['content-type'] = type
  if (idempotencyKey !== undefined) headers['idempotency-key'] = idempotencyKey
  if (accessToken !== undefined) headers.authorization = `${scheme} ${accessToken}`
  if (scheme === 'DPoP') headers.dpop = await server.key.prove({ method: request.method, url: server.issuer + request.path, accessToken, nonce: server.nonce })
  const signals = [AbortSignal.timeout(request.timeoutMs ?? LONGEST_ATTEMPT_MS), ...(request.signal === undefined ? [] : [request.signal])]
  return server.call(server.url + request.path, {
    method: request.method, headers, signal: AbortSignal.any(signals),
    // What proves us is meant for this server and no other.
    redirect: 'error',
    ...(body === undefined ? {} : { body }),
  })
}

async function readBody(response: Response): Promise<unknown> {
  const text = await response.text().catch(() => '')
  if (!/^application\/([\w.-]+\+)?json\b/.test(response.headers.get('content-type') ?? '')) return text
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

function tell(response: Response, value: unknown): Refusal {
  const { status } = response
  const traceId = response.headers.get('x-request-id') ?? undefined
  if (typeof value === 'object' && value !== null && 'error' in value) {
    const { error, error_description: description, end_reason: endReason } = value as OAuthError
    return new Refusal(description ?? error, { status, code: error, endReason, traceId })
  }
  const problem = value as Partial<Problem> | null
  if (typeof problem?.title === 'string') {
    const fields = (problem.errors ?? []).map(({ field, message }) => `\`${field}\` ${message}`).join('; ')
    const message = [problem.title, problem.detail, fields].filter((part) => part !== undefined && part !== '').join(': ')
    return new Refusal(message, { status, endReason: problem.end_reason, code: problem.code ?? 'refused', retryable: problem.retryable === true, hint: problem.hint, traceId })
  }
  return new Refusal(`the server answered ${status} and no problem that the SDK knows`, { status, code: `http_${status}`, hint: 'is this a Writ server?', traceId })
}

function rest(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((done) => {
    const timer = setTimeout(finish, ms)
    signal?.addEventListener('abort', finish, { once: true })
    function finish(): void {
      clearTimeout(timer)
      signal?.removeEventListener('abort', finish)
      done()
    }
  })
}
