import type { IssuedLease, TaskReply } from '@writ/contract/tasks'
import { ask, Refusal, type Server } from './client.ts'
import { toSeconds, type Duration } from './duration.ts'
import { overError, TaskExpired, WritError } from './errors.ts'
import type { Evidence } from './evidence.ts'
import { toAuthorizationDetail, type Grant } from './grant.ts'
import { keepAlive } from './heartbeat.ts'
import { SecretValue } from './secret-value.ts'
import { tokenByEvidence, tokenByExchange, type AccessToken } from './tokens.ts'

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

/** How long the end of a task is told to a server that does not answer. After that the server ends it by silence. */
const END_PATIENCE_MS = 10_000

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
  readonly #tokens = new Map<string, Promise<AccessToken>>()
  #unreportedCalls = 0
  #ended: Promise<void> | undefined

  constructor(server: Server, evidence: Evidence, token: AccessToken, reply: TaskReply) {
    this.#server = server
    this.#evidence = evidence
    this.id = reply.id
    this.purpose = reply.purpose
    this.deadline = new Date(reply.deadline)
    this.signal = this.#over.signal
    this.#tokens.set(tokenKey({}), Promise.resolve(token))
    this.#alive = keepAlive({
      silenceMs: reply.heartbeat_seconds * 1000,
      beat: (patienceMs, signal) => this.#beat(patienceMs, signal),
      isOver: (fault) => fault instanceof WritError && !fault.retryable,
      lost: (fault) => this.#lose(fault),
    })
  }

  /** A login for one permit of the grant, such as `postgres:shop:read`. Takes one call of the budget. */
  async credential(grant: string): Promise<Credential> {
    const { type, locations: [resource], actions: [action] } = toAuthorizationDetail(grant)
    const lease = await this.#api<IssuedLease>('POST', 'leases', { type, resource, action })
    const { host, port, database, user, secret, tls } = lease
    return {
      lease: lease.id, host, port, database, user, tls, secret: new SecretValue(secret), expiresAt: new Date(lease.expires_at),
      environment: () => ({ PGHOST: host, PGPORT: String(port), PGDATABASE: database, PGUSER: user, PGPASSWORD: secret, PGSSLMODE: tls ? 'require' : 'prefer' }),
    }
  }

  /** An access token for a resource (RFC 8707), bound to this process's key; renewed when it is about to end. */
  async token(of: { readonly resource?: string; readonly grants?: readonly Grant[] } = {}): Promise<AccessToken> {
    this.signal.throwIfAborted()
    const key = tokenKey(of)
    const held = await this.#tokens.get(key)?.catch(() => undefined)
    if (held?.isFresh() === true) return held
    const renewed = this.#renew(of)
    this.#tokens.set(key, renewed)
    return renewed
  }

  /** `fetch` with a token for the address's origin and a proof for this request. Counts as one call of the budget. */
  async fetch(address: string | URL, init: RequestInit & { readonly resource?: string } = {}): Promise<Response> {
    const url = new URL(address)
    const { resource = url.origin, ...rest } = init
    const token = await this.token({ resource })
    this.called()
    const method = init.method?.toUpperCase() ?? 'GET'
    const headers = new Headers(init.headers)
    headers.set('authorization', `${token.scheme} ${token.value.reveal()}`)
    if (token.scheme === 'DPoP') headers.set('dpop', await this.#server.key.prove({ method, url: url.href, accessToken: token.value.reveal() }))
    const signals = [this.signal, ...(init.signal === undefined || init.signal === null ? [] : [init.signal])]
    // A token for this resource is not shown to wherever it redirects to.
    return this.#server.call(url, { redirect: 'error', ...rest, method, headers, signal: AbortSignal.any(signals) })
  }

  /** Says that so many calls were made; the server is told with the next heartbeat, and ends the task when the budget is over. */
  called(times = 1): void {
    this.#unreportedCalls += times
  }

  /** Asks for more while the task is open: bounded by what the identity, and the task above, may. The reason is kept for people to read. */
  async widen(grants: readonly Grant[], reason: string): Promise<void> {
    await this.#api<TaskReply>('POST', 'widen', { authorization_details: grants.map(toAuthorizationDetail), reason })
    this.#tokens.clear()
  }

  /** Opens a child task for another identity and answers its id: that workload goes on with `writ.join(id)`. */
  async delegate({ identity, purpose, grants, ttl, budget }: Delegation): Promise<string> {
    const child = await this.#api<TaskReply>('POST', 'delegate', {
      identity, purpose, authorization_details: grants.map(toAuthorizationDetail),
      ...(ttl === undefined ? {} : { ttl_seconds: toSeconds(ttl) }), ...(budget === undefined ? {} : { budget: { calls: budget } }),
    })
    return child.id
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
    const path = `${this.#path('certificate')}?wait_seconds=${Math.min(60, toSeconds(wait))}`
    const scheme = this.#evidence.kind === 'assertion' ? 'Bearer' : 'DPoP'
    try {
      return await ask(this.#server, {
        method: 'GET', path, asText: true, prepare: async () => ({ accessToken: await this.#evidence.token(this.#server.issuer), scheme }), timeoutMs: (toSeconds(wait) + 5) * 1000,
      }) as string
    } catch (fault) {
      if (fault instanceof Refusal && fault.code === 'certificate_not_yet') return undefined
      throw fault
    }
  }

  async #end(): Promise<void> {
    if (!this.signal.aborted) {
      try {
        if (this.#unreportedCalls > 0) await this.#beat(END_PATIENCE_MS, this.signal)
        await this.#api<TaskReply>('POST', 'complete', {}, END_PATIENCE_MS)
      } catch (fault) {
        if (!this.signal.aborted && !isOver(fault)) throw fault
      } finally {
        this.#alive.stop()
      }
    }
    this.#over.abort(new TaskExpired('the task is over: completed', { code: 'task_completed' }))
  }

  async #beat(patienceMs: number, signal: AbortSignal): Promise<void> {
    const calls = this.#unreportedCalls
    await this.#api<TaskReply>('POST', 'heartbeat', { calls }, patienceMs, signal)
    this.#unreportedCalls -= calls
  }

  /** The token of the doors of the server itself; renewed by evidence where the one that is held is refused. */
  async #api<Reply>(method: 'POST', word: string, body: object, patienceMs?: number, signal = this.signal): Promise<Reply> {
    const request = (token: AccessToken): Promise<unknown> => ask(this.#server, {
      method, path: this.#path(word), signal, ...(patienceMs === undefined ? {} : { patienceMs }),
      prepare: async () => ({ body: JSON.stringify(body), type: 'application/json', accessToken: token.value.reveal(), scheme: token.scheme }),
    })
    try {
      return await request(await this.token()) as Reply
    } catch (fault) {
      if (isOver(fault)) this.#lose(fault)
      if (!(fault instanceof Refusal) || fault.status !== 401) throw this.#why(fault)
    }
    // A token that is refused may have been revoked alone, or its task may be over: whoever proves who it is gets told which.
    this.#tokens.clear()
    return await request(await this.token()) as Reply
  }

  async #renew({ resource, grants }: { readonly resource?: string; readonly grants?: readonly Grant[] }): Promise<AccessToken> {
    const asked = {
      ...(resource === undefined ? {} : { resource }),
      ...(grants === undefined ? {} : { authorization_details: JSON.stringify(grants.map(toAuthorizationDetail)) }),
    }
    const base = await this.#tokens.get(tokenKey({}))?.catch(() => undefined)
    try {
      if (base?.isFresh() === true) return await tokenByExchange(this.#server, base, asked, this.signal)
      return await tokenByEvidence(this.#server, this.#evidence, { task: this.id, ...asked }, this.signal)
    } catch (fault) {
      if (isOver(fault)) this.#lose(fault)
      throw this.#why(fault)
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

const tokenKey = (of: { readonly resource?: string; readonly grants?: readonly Grant[] }): string => JSON.stringify([of.resource ?? null, of.grants ?? null])
