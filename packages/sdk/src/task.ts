import type { AccessRequestReply } from '@writ/contract/access-requests'
import type { AuthzenAnswer } from '@writ/contract/authzen'
import type { IssuedLease, TaskReply } from '@writ/contract/tasks'
import { argumentsFrom, argumentsIn, jsonOf, type Arguments } from './arguments.ts'
import { ask, Refusal, type Request, type Server } from './client.ts'
import { waitForPerson, type Waiting } from './approval.ts'
import { denialOf } from './denial.ts'
import { randomId } from './dpop.ts'
import { toSeconds, type Duration } from './duration.ts'
import { ApprovalRequired, Denied, Killed, Misconfigured, overError, TaskExpired, WritError } from './errors.ts'
import type { Evidence } from './evidence.ts'
import { Gateway, toolIn, type CallOptions, type ServerTool, type ToolResult } from './gateway.ts'
import { toAuthorizationDetail, type Grant } from './grant.ts'
import { keepAlive } from './heartbeat.ts'
import { inForm } from './reply.ts'
import { SecretValue } from './secret-value.ts'
import { suspendedToken } from './suspended.ts'
import { HeldTokens, isSpent, tokenByEvidence, tokenByExchange, type AccessToken, type Asked } from './tokens.ts'

/** A login on a back end that lives no longer than its task. */
export type Credential = {
  readonly lease: string
  readonly host: string
  readonly port: number
  readonly database: string
  readonly user: string
  readonly secret: SecretValue
  readonly tls: boolean
  readonly expiresAt: Date
  /** For a child process: `PGHOST`, `PGUSER`, ... It holds the secret: never print it. */
  environment(): Readonly<Record<string, string>>
}

/** What another identity is given of this task. */
export type Delegation = {
  readonly identity: string
  readonly purpose: string
  readonly grants: readonly Grant[]
  readonly ttl?: Duration
  /** Calls, taken from this task's own budget. */
  readonly budget?: number
}

/** How long a person is waited for: the call runs once when they say yes. Without it a denial that a person could lift is thrown at once. */
type Patience = { readonly waitForApproval?: Duration | false }
export type TaskCallOptions = CallOptions & Patience
export type AttemptOptions = Patience & { readonly signal?: AbortSignal }

/** How long the end of a task is told to a server that does not answer. After that the server ends it by silence. */
const END_PATIENCE_MS = 10_000
/** The server waits for a certificate in one request no longer. */
const LONGEST_WAIT_SECONDS = 60
/** A denial is told without its reasons, rather than late. */
const EXPLAIN_PATIENCE_MS = 5000
/** Each takes a call of the budget. */
const MOST_LOST_LOGINS = 2
/** The server takes so many with one heartbeat; the rest is said with the next. */
const MOST_CALLS = 1_000_000

/** An open task of this workload: the authority for everything that is done until it ends. Made by `Writ`. */
export class Task implements AsyncDisposable {
  readonly id: string
  readonly purpose: string
  readonly deadline: Date
  /** Aborts when the task is over for whatever reason, with the error that says why. */
  readonly signal: AbortSignal
  readonly #server: Server
  readonly #evidence: Evidence
  readonly #over = new AbortController()
  readonly #alive: { stop(): void }
  readonly #tokens = new HeldTokens()
  readonly #gateway: Gateway
  /** Who acts, as a question to the policies says it. */
  readonly #subject: { readonly type: string; readonly id: string }
  /** The newest nonce of the resource that a token is for (RFC 9449 §9). */
  readonly #nonces = new WeakMap<AccessToken, string>()
  #unreportedCalls = 0
  /** What a person was asked last; and how many wait here for an answer. */
  #asked: ApprovalRequired | undefined
  #waiting = 0
  /** What was said and not yet answered is said again as it was, and counts once. */
  #report: { readonly calls: number; readonly idempotencyKey: string } | undefined
  #ended: Promise<void> | undefined

  constructor(server: Server, evidence: Evidence, token: AccessToken, reply: TaskReply) {
    this.#server = server
    this.#evidence = evidence
    this.id = reply.id
    this.purpose = reply.purpose
    this.deadline = new Date(reply.deadline)
    this.signal = this.#over.signal
    this.#tokens.hold(tokenKey({}), token)
    this.#subject = { type: 'identity', id: reply.spiffe_id }
    this.#gateway = new Gateway({
      server, over: this.signal, token: (resource) => this.token({ resource }), doubt: (one) => this.#tokens.doubt(one), lose: (fault) => this.#lose(fault),
    })
    this.#alive = keepAlive({
      silenceMs: reply.heartbeat_seconds * 1000,
      lengthMs: Date.parse(reply.deadline) - Date.parse(reply.opened_at),
      beat: (patienceMs, signal) => this.#beat({ patienceMs, signal, background: true }),
      isOver: (fault) => fault instanceof TaskExpired || fault instanceof Killed || (fault instanceof Refusal && !fault.retryable),
      lost: (fault) => this.#lose(fault),
    })
  }

  /** A login for one permit of the grant, such as `postgres:shop:read`. Takes one call of the budget. */
  async credential(grant: string): Promise<Credential> {
    const { type, locations: [resource], actions: [action] } = toAuthorizationDetail(grant)
    const lease = inForm<IssuedLease>(await this.#lease({ type, resource, action }), {
      id: 'id', host: 'text', port: 'port', database: 'text', user: 'text', secret: 'text', tls: 'flag', expires_at: 'instant',
    })
    const { host, port, database, user, secret, tls } = lease
    return {
      lease: lease.id, host, port, database, user, tls, secret: new SecretValue(secret), expiresAt: new Date(lease.expires_at),
      environment: () => ({ PGHOST: host, PGPORT: String(port), PGDATABASE: database, PGUSER: user, PGPASSWORD: secret, PGSSLMODE: tls ? 'require' : 'prefer' }),
    }
  }

  /** An access token for a resource (RFC 8707), bound to this process's key; renewed when it is about to end. */
  async token(of: { readonly resource?: string; readonly grants?: readonly Grant[] } = {}): Promise<AccessToken> {
    this.signal.throwIfAborted()
    return this.#tokens.get(tokenKey(of), () => this.#renew(of))
  }

  /**
   * `fetch` with a token for the address's origin and a proof for this request. Counts as one call of the budget. A redirect is not followed:
   * what was meant for this resource is not shown to another.
   */
  async fetch(address: string | URL, init: RequestInit & { readonly resource?: string } = {}): Promise<Response> {
    const url = new URL(address)
    const { resource = url.origin, ...rest } = init
    const token = await this.token({ resource })
    this.called()
    const method = init.method?.toUpperCase() ?? 'GET'
    const signal = AbortSignal.any([this.signal, ...(init.signal === undefined || init.signal === null ? [] : [init.signal])])
    const send = async (): Promise<Response> => {
      const headers = new Headers(init.headers)
      for (const [name, value] of Object.entries(await token.headers(method, url, this.#nonces.get(token)))) headers.set(name, value)
      const response = await this.#server.call(url, { ...rest, method, headers, signal, redirect: init.redirect === 'manual' ? 'manual' : 'error' })
      const nonce = response.headers.get('dpop-nonce')
      if (nonce !== null) this.#nonces.set(token, nonce)
      return response
    }
    const nonce = this.#nonces.get(token)
    const response = await send()
    if (response.status !== 401) return response
    if (this.#nonces.get(token) !== nonce && !canBeReadOnce(init.body) && /use_dpop_nonce/.test(response.headers.get('www-authenticate') ?? '')) {
      await response.body?.cancel()
      return send()
    }
    this.#tokens.doubt(token)
    return response
  }

  /** The tools of an MCP server that this task could be allowed to call, as the gateway shows them. Takes no call of the budget. */
  async tools(server: string, options: Pick<CallOptions, 'signal'> = {}): Promise<readonly ServerTool[]> {
    return this.#gateway.tools(server, options).catch((fault: unknown) => this.#tell(fault))
  }

  /**
   * Calls a tool of an MCP server, `SERVER/TOOL`, through the gateway: decided on these very arguments and recorded before anything reaches the
   * server. Throws `Denied` with the reasons. Takes one call of the budget. Nothing is called twice: where an answer is lost, that is said.
   */
  async call(tool: string, args: object = {}, { waitForApproval = false, ...options }: TaskCallOptions = {}): Promise<ToolResult> {
    const copy = argumentsFrom(args)
    return this.#approved({ waitForApproval, signal: options.signal }, () => this.#gateway.call(tool, copy, options).catch((fault: unknown) => this.#tell(fault)))
  }

  /**
   * For a tool that runs in this process: whether it may be called with these arguments, now. An attempt like a call: recorded, and one call of
   * the budget. Answers the arguments that were decided on, which may be less than were asked for where a person has lowered them, and the decision;
   * throws `Denied` with the reasons.
   */
  async attempt(tool: string, args: object = {}, { waitForApproval = false, signal }: AttemptOptions = {}): Promise<{ readonly arguments: Arguments; readonly decision: string }> {
    toolIn(tool)
    const copy = argumentsFrom(args)
    return this.#approved({ waitForApproval, signal }, () => this.#attemptOnce(tool, copy))
  }

  /**
   * Lets go of the task while a person is asked: it ends neither by silence nor by idleness before the request has come to its time, and this process
   * may end. Answers what `writ.resume` takes; it holds no secret. Nothing more can be done with this object.
   */
  async suspend(): Promise<string> {
    if (this.#asked === undefined) throw new Misconfigured('nobody is asked: there is nothing to wait for', { code: 'nothing_waits', hint: 'suspend a task after `ApprovalRequired`' })
    const approval = this.#asked.approval ?? await this.#request(this.#asked)
    await this.#beat({}, 'away')
    this.#alive.stop()
    this.#ended = Promise.resolve()
    this.#over.abort(new WritError('the task is suspended: it waits for a person', { code: 'task_suspended', hint: '`writ.resume` goes on in it' }))
    return suspendedToken(this.id, approval)
  }

  /** Once more, and no more than that, after a person has said yes. */
  async #approved<T>({ waitForApproval, signal }: { readonly waitForApproval: Duration | false; readonly signal: AbortSignal | undefined }, work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (fault) {
      if (!(fault instanceof ApprovalRequired)) throw fault
      this.#asked = fault
      if (waitForApproval === false) throw fault
      await this.#wait(fault, { forMs: toSeconds(waitForApproval) * 1000, signal: signal === undefined ? this.signal : AbortSignal.any([this.signal, signal]) })
      return work()
    }
  }

  async #wait(denial: ApprovalRequired, waiting: Waiting): Promise<void> {
    this.#waiting++
    try {
      const approval = denial.approval ?? await this.#request(denial)
      this.#asked = await waitForPerson({ denial, approval, waiting, ask: (path, more) => this.#api('', undefined, { method: 'GET', path, ...more }) })
    } finally {
      this.#waiting--
    }
  }

  /** The gateway asks people by itself; of what is decided on for a tool in this process nobody knows yet. */
  async #request({ decision }: ApprovalRequired): Promise<string> {
    const asked = inForm<AccessRequestReply>(await this.#api('', { denial: { evaluation_id: decision } }, { path: '/access/v1/requests' }), { task: 'members' })
    return inForm<AccessRequestReply['task']>(asked.task, { id: 'id' }).id
  }

  /** Where a person has approved less than this, that is asked for in its place. */
  async #attemptOnce(tool: string, copy: Arguments, isLowered = false): Promise<{ readonly arguments: Arguments; readonly decision: string }> {
    const body = { subject: this.#subject, action: { name: 'call', properties: copy }, resource: { type: 'Tool', id: tool } }
    const { decision, context } = inForm<AuthzenAnswer>(await this.#api('', body, { path: '/access/v1/evaluation' }), { decision: 'flag', context: 'members' })
    const { id } = inForm<{ readonly id: string }>(context, { id: 'id' })
    const lowered = decision || isLowered ? undefined : approvedIn(context, 'lowered')
    if (lowered !== undefined) return this.#attemptOnce(tool, lowered, true)
    if (!decision) return this.#tell(await this.#denial(context), context.cause)
    this.signal.throwIfAborted()
    return { arguments: approvedIn(context, 'ran') ?? copy, decision: id }
  }

  /** Says that so many calls were made; the server is told with the next heartbeat, and ends the task when the budget is over. */
  called(times = 1): void {
    if (!Number.isSafeInteger(times) || times < 0) throw new Misconfigured(`\`${times}\` is no number of calls`, { code: 'malformed_number' })
    this.#unreportedCalls += times
  }

  /** Asks for more while the task is open: bounded by what the identity, and the task above, may. The reason is kept for people to read. */
  async widen(grants: readonly Grant[], reason: string): Promise<void> {
    await this.#api('widen', { authorization_details: grants.map(toAuthorizationDetail), reason })
    this.#tokens.clear()
  }

  /** Opens a child task for another identity and answers its id: that workload goes on with `writ.join(id)`. */
  async delegate({ identity, purpose, grants, ttl, budget }: Delegation): Promise<string> {
    const child = await this.#api('delegate', {
      identity, purpose, authorization_details: grants.map(toAuthorizationDetail),
      ...(ttl === undefined ? {} : { ttl_seconds: toSeconds(ttl) }), ...(budget === undefined ? {} : { budget: { calls: budget } }),
    })
    return inForm<TaskReply>(child, { id: 'id' }).id
  }

  /** Ends the task with everything beneath it. Done once, however often it is called; a task that is over already is no error. */
  end(): Promise<void> {
    return (this.#ended ??= this.#end())
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.end()
  }

  /** How each lease ended, with the proofs, once all of them have: see `writ verify`. Undefined while some have not. */
  async certificate({ wait = 30 }: { readonly wait?: Duration } = {}): Promise<string | undefined> {
    const seconds = Math.min(LONGEST_WAIT_SECONDS, toSeconds(wait))
    const scheme = this.#evidence.kind === 'assertion' ? 'Bearer' : 'DPoP'
    try {
      return await ask(this.#server, {
        method: 'GET', path: `${this.#path('certificate')}?wait_seconds=${seconds}`, asText: true,
        prepare: async () => ({ accessToken: await this.#evidence.token(this.#server.issuer), scheme }),
        timeoutMs: (seconds + 5) * 1000, patienceMs: this.#server.patienceMs + seconds * 1000,
      }) as string
    } catch (fault) {
      if (fault instanceof Refusal && fault.code === 'certificate_not_yet') return undefined
      throw fault
    }
  }

  /** What is denied because of what became of the task is told as its end, and that a heartbeat finds. */
  async #tell(fault: unknown, cause = fault instanceof Denied ? fault.explanation?.cause : undefined): Promise<never> {
    if (cause !== 'state' && cause !== 'budget') throw fault
    if (!this.signal.aborted) await this.#beat({ patienceMs: EXPLAIN_PATIENCE_MS }).catch(() => undefined)
    throw this.#why(fault)
  }

  async #denial({ id, trace_id: traceId }: AuthzenAnswer['context']): Promise<Denied> {
    const explanation = await this.#api('', undefined, { method: 'GET', path: `/v1/decisions/${id}/explanation`, patienceMs: EXPLAIN_PATIENCE_MS }).catch(() => undefined)
    return denialOf(explanation, { decision: id, traceId })
  }

  async #end(): Promise<void> {
    this.#alive.stop()
    try {
      if (this.signal.aborted) return
      while (this.#unreportedCalls > 0) await this.#beat({ patienceMs: END_PATIENCE_MS })
      await this.#api('complete', {}, { patienceMs: END_PATIENCE_MS })
    } catch (fault) {
      // A task that is over has ended; what could not be told ends by silence, and nothing more is done in it here.
      const isEnded = this.signal.aborted
      this.#lose(fault)
      if (!isEnded) throw fault
    } finally {
      this.#over.abort(new TaskExpired('the task is over: completed', { code: 'task_completed' }))
    }
  }

  async #beat(more: Pick<Request, 'patienceMs' | 'signal' | 'background'>, waits: 'here' | 'away' | undefined = this.#waiting > 0 ? 'here' : undefined): Promise<void> {
    const calls = Math.min(this.#unreportedCalls, MOST_CALLS)
    this.#report ??= { calls, idempotencyKey: randomId() }
    const report = this.#report
    await this.#api('heartbeat', { calls: report.calls, ...(waits === undefined ? {} : { waits }) }, { ...more, idempotencyKey: report.idempotencyKey })
    if (this.#report !== report) return
    this.#unreportedCalls -= report.calls
    this.#report = undefined
  }

  /** A server that dies while the login is made leaves a reply that nobody can repeat: it withdraws the login, and has us ask for another. */
  async #lease(body: object): Promise<unknown> {
    for (let left = MOST_LOST_LOGINS; ; left--) {
      try {
        return await this.#api('leases', body)
      } catch (fault) {
        if (left === 0 || !(fault instanceof Refusal) || fault.code !== 'secret_no_longer_shown') throw fault
      }
    }
  }

  /** With a token for the doors of the server itself; another is got by evidence where the one that is held is refused. */
  async #api(word: string, body: object | undefined, more: Partial<Request> = {}): Promise<unknown> {
    for (let isSecond = false; ; isSecond = true) {
      const token = await this.token()
      try {
        return await ask(this.#server, {
          method: 'POST', path: this.#path(word), signal: this.signal, ...more,
          prepare: async () => ({ ...(body === undefined ? {} : { body: jsonOf(body), type: 'application/json' }), accessToken: token.value.reveal() }),
        })
      } catch (fault) {
        if (isOver(fault)) this.#lose(fault)
        // A token that is refused may have been revoked alone, or its task may be over: whoever asks for another is told which.
        if (isSecond || !(fault instanceof Refusal) || fault.status !== 401) throw this.#why(fault)
        this.#tokens.doubt(token)
      }
    }
  }

  async #renew({ resource, grants }: { readonly resource?: string; readonly grants?: readonly Grant[] }): Promise<AccessToken> {
    const asked = {
      ...(resource === undefined ? {} : { resource }),
      ...(grants === undefined ? {} : { authorization_details: JSON.stringify(grants.map(toAuthorizationDetail)) }),
    }
    try {
      return await this.#exchange(asked) ?? await tokenByEvidence(this.#server, this.#evidence, { task: this.id, ...asked }, this.signal)
    } catch (fault) {
      if (isOver(fault)) this.#lose(fault)
      throw this.#why(fault)
    }
  }

  /** Goes on from the token that is held: what the platform says of a workload may end before its task does. */
  async #exchange(asked: Asked): Promise<AccessToken | undefined> {
    const base = this.#tokens.live(tokenKey({}))
    if (base === undefined) return undefined
    try {
      return await tokenByExchange(this.#server, base, asked, this.signal)
    } catch (fault) {
      if (isOver(fault) || !isSpent(fault)) throw fault
      this.#tokens.drop(tokenKey({}), base)
      return undefined
    }
  }

  #lose(fault: unknown): void {
    this.#alive.stop()
    this.#over.abort(fault instanceof Refusal && isOver(fault) ? overError(fault.endReason ?? 'identity_refused', fault.traceId) : fault)
  }

  /** Once the task is over, that is the reason for whatever else fails. */
  #why(fault: unknown): unknown {
    return this.signal.aborted ? this.signal.reason : fault
  }

  #path(word: string): string {
    return `/v1/tasks/${this.id}/${word}`
  }
}

/** The server says that the task has ended, or does not know us any more: a suspended identity's tasks have ended with it. */
const isOver = (fault: unknown): boolean => fault instanceof Refusal && (fault.endReason !== undefined || fault.code === 'task_not_open' || fault.code === 'invalid_client')

/** What a person approved is what may run, where it is other than what was asked. */
const approvedIn = ({ approval }: AuthzenAnswer['context'], is: 'ran' | 'lowered'): Arguments | undefined => (approval?.is === is && approval.arguments !== undefined ? argumentsIn(approval.arguments) : undefined)

const canBeReadOnce = (body: RequestInit['body']): boolean => typeof body === 'object' && body !== null && Symbol.asyncIterator in body

const tokenKey = (of: { readonly resource?: string; readonly grants?: readonly Grant[] }): string => JSON.stringify([of.resource ?? null, of.grants ?? null])
