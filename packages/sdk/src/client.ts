import { randomId, type ProofKey } from './dpop.ts'
import { Denied, Unreachable, WritError } from './errors.ts'
import { MOST_CERTIFICATE_BYTES, readText } from './reply.ts'

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

/** `Bearer`: what is shown proves possession by itself, and goes without a proof. */
type Prepared = { readonly body?: string; readonly type?: string; readonly accessToken?: string; readonly scheme?: 'DPoP' | 'Bearer' }

export type Request = {
  readonly method: 'GET' | 'POST'
  readonly path: string
  /** Made anew for each attempt: evidence and proofs are good for one. */
  readonly prepare: () => Promise<Prepared>
  readonly patienceMs?: number
  /** Of a change that may have been asked for before; each is one of its own unless said. */
  readonly idempotencyKey?: string
  /** How long one attempt may take. */
  readonly timeoutMs?: number
  readonly signal?: AbortSignal | undefined
  /** Answers the reply's text as it came, for what is checked byte by byte. */
  readonly asText?: boolean
  /** A process that has nothing else to do may end between two attempts. */
  readonly background?: boolean
}

/** The server's no: what it said, and the task's end where that is why. */
export class Refusal extends Denied {
  readonly status: number
  readonly endReason: string | undefined
  constructor(message: string, told: { readonly status: number; readonly endReason?: string | undefined } & ConstructorParameters<typeof Denied>[1]) {
    super(message, told)
    this.name = 'Denied'
    this.status = told.status
    this.endReason = told.endReason
  }
}

/** 408: a connection that was kept open too long is answered so by servers and balancers; RFC 9110 §15.5.9 lets the client ask again. */
const MAY_PASS: readonly number[] = [408, 429, 503, 504]
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
  const idempotencyKey = request.method === 'GET' ? undefined : request.idempotencyKey ?? randomId()
  let said: WritError | undefined
  for (let attempt = 0; ; attempt++) {
    // A server that takes the request and says nothing holds the caller no longer than one that is not there.
    const timeoutMs = Math.max(1, Math.min(request.timeoutMs ?? LONGEST_ATTEMPT_MS, until - performance.now()))
    const answered = await attemptOnce(server, { ...request, timeoutMs }, idempotencyKey)
    if (answered.kind === 'reply') return answered.value
    const pause = Math.max(answered.afterMs, Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** attempt) * (0.5 + Math.random() / 2))
    // The last attempt may have had too little time left for an answer: what the server had said before tells more.
    if (answered.why.code !== 'unreachable') said = answered.why
    if (performance.now() + pause >= until) throw said ?? answered.why
    await rest(pause, request)
  }
}

type Attempt = Request & { readonly timeoutMs: number }
type Got = { readonly status: number; readonly headers: Headers; readonly text: string }

async function attemptOnce(server: Server, request: Attempt, idempotencyKey: string | undefined): Promise<Answered> {
  request.signal?.throwIfAborted()
  const nonce = server.nonce
  let got: Got
  try {
    got = await send(server, request, idempotencyKey)
  } catch (fault) {
    if (fault instanceof Unreachable && fault.retryable) return { kind: 'again', afterMs: 0, why: fault }
    throw fault
  }
  server.nonce = got.headers.get('dpop-nonce') ?? server.nonce
  const isOk = got.status >= 200 && got.status < 300
  if (isOk && request.asText === true) return { kind: 'reply', value: got.text }
  const value = jsonIn(got)
  if (isOk && value !== undefined) return { kind: 'reply', value }
  const told = tell(got, value)
  // 502 is a balancer's word for a server that is away; the server's own says that a back end failed, and stays the answer to this key.
  if (MAY_PASS.includes(got.status) || told.code === 'http_502') {
    const afterMs = Math.min(5, Number(got.headers.get('retry-after')) || 0) * 1000
    return { kind: 'again', afterMs, why: new Unreachable(told.message, { code: told.code, retryable: true, hint: told.hint, traceId: told.traceId, cause: told }) }
  }
  // RFC 9449 §8: the proof is made again with the nonce that came with the refusal; a server that refuses that one too has refused.
  if (told.code === 'use_dpop_nonce' && server.nonce !== nonce) return { kind: 'again', afterMs: 0, why: told }
  throw told
}

async function send(server: Server, request: Attempt, idempotencyKey: string | undefined): Promise<Got> {
  const { body, type, accessToken, scheme = 'DPoP' } = await request.prepare()
  const headers: Record<string, string> = { accept: 'application/json, application/problem+json' }
  if (type !== undefined) headers['content-type'] = type
  if (idempotencyKey !== undefined) headers['idempotency-key'] = idempotencyKey
  if (accessToken !== undefined) headers.authorization = `${scheme} ${accessToken}`
  if (scheme === 'DPoP') headers.dpop = await server.key.prove({ method: request.method, url: server.issuer + request.path, accessToken, nonce: server.nonce })
  const signals = [AbortSignal.timeout(Math.ceil(request.timeoutMs)), ...(request.signal === undefined ? [] : [request.signal])]
  try {
    const response = await server.call(server.url + request.path, {
      method: request.method, headers, signal: AbortSignal.any(signals),
      // What proves us is meant for this server and no other.
      redirect: 'manual',
      ...(body === undefined ? {} : { body }),
    })
    const text = await readText(response, request.asText === true ? MOST_CERTIFICATE_BYTES : undefined)
    return { status: response.status, headers: response.headers, text }
  } catch (fault) {
    request.signal?.throwIfAborted()
    if (fault instanceof WritError) throw fault
    throw new Unreachable(`the server ${server.url} can not be reached`, { code: 'unreachable', retryable: true, cause: fault })
  }
}

/** Undefined when it is no JSON, or does not say so. */
function jsonIn({ headers, text }: Got): unknown {
  if (!/^application\/([\w.-]+\+)?json\b/i.test(headers.get('content-type') ?? '')) return undefined
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** RFC 6749 §5.2, RFC 9457 §3. Only what the server itself has said is a no; a page of some box on the way is no answer. */
function tell({ status, headers }: Got, value: unknown): WritError {
  const told = (typeof value === 'object' && value !== null ? value : {}) as Readonly<Record<string, unknown>>
  const traceId = plain(headers.get('x-request-id') ?? told.trace_id)
  const code = plain(told.error) ?? plain(told.code)
  if (code === undefined) {
    return new Unreachable(`the server answered ${status}, and nothing that the SDK knows`, { code: `http_${status}`, retryable: status >= 500, hint: 'is this a Writ server?', traceId })
  }
  const fields = (Array.isArray(told.errors) ? told.errors : []).map((one: { readonly field?: unknown; readonly message?: unknown } | null) => `\`${plain(one?.field)}\` ${plain(one?.message)}`)
  const message = [plain(told.error_description), plain(told.title), plain(told.detail), fields.join('; ')].filter((part) => part !== undefined && part !== '').join(': ')
  const more = { code, retryable: told.retryable === true, hint: plain(told.hint), traceId }
  if (status >= 500) return new Unreachable(message || code, more)
  return new Refusal(message || code, { ...more, status, endReason: plain(told.end_reason), decision: plain(told.decision) })
}

/** What goes to terminals and logs as it is; undefined of what is no text. */
export const plain = (value: unknown): string | undefined => (typeof value === 'string' && value !== '' ? value.slice(0, 1000).replaceAll(/[\p{Cc}\p{Cf}]/gu, ' ') : undefined)

export function rest(ms: number, { signal, background }: Pick<Request, 'signal' | 'background'>): Promise<void> {
  return new Promise((done) => {
    const timer = setTimeout(finish, ms)
    if (background === true) timer.unref()
    signal?.addEventListener('abort', finish, { once: true })
    function finish(): void {
      clearTimeout(timer)
      signal?.removeEventListener('abort', finish)
      done()
    }
  })
}
