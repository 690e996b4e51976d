import type { TaskReply } from '@writ/contract/tasks'
import { ask, type Server } from './client.ts'
import { proofKeyOfProcess } from './dpop.ts'
import { toSeconds, type Duration } from './duration.ts'
import { Misconfigured, Unreachable } from './errors.ts'
import { evidenceFromEnvironment, type Environment, type Evidence } from './evidence.ts'
import { toAuthorizationDetail, type Grant } from './grant.ts'
import { inForm } from './reply.ts'
import { taskOfSuspended } from './suspended.ts'
import { Task } from './task.ts'
import { tokenByEvidence, type AccessToken } from './tokens.ts'

export { ApprovalDenied, ApprovalExpired, ApprovalRequired, Denied, Killed, Misconfigured, TaskExpired, ToolError, Unreachable, WritError, type Explanation } from './errors.ts'
export { privateKeyEvidence, workloadTokenEvidence, type Evidence } from './evidence.ts'
export type { Arguments, Json } from './arguments.ts'
export type { CallOptions, OnInput, ServerTool, ToolResult } from './gateway.ts'
export type { AuthorizationDetail, Grant } from './grant.ts'
export type { SecretValue } from './secret-value.ts'
export type { AttemptOptions, Credential, Delegation, Task, TaskCallOptions } from './task.ts'
export type { AccessToken } from './tokens.ts'

export type WritOptions = {
  /** The server's origin; `WRIT_URL` unless said. */
  readonly url?: string
  /** What the server calls itself, where it is reached by another address than that; `url` unless said. */
  readonly issuer?: string
  /** How the workload proves who it is; found in the environment unless said. */
  readonly evidence?: Evidence
  readonly environment?: Environment
  /** How long a call is repeated while the server does not answer; 30 s unless said. */
  readonly patience?: Duration
  readonly fetch?: typeof fetch
}

export type TaskOptions = {
  /** Why, in words for people. */
  readonly purpose: string
  /** What it may, such as `postgres:shop:read`. */
  readonly grants: readonly Grant[]
  /** How long it may take at most; 5 minutes unless said. */
  readonly ttl?: Duration
  /** How many calls it may make; 100 unless said. */
  readonly budget?: number
  /** It ends when it makes no call for this long. */
  readonly idleTimeout?: Duration
  /** It ends when this process is not heard of for so long; a minute unless said. */
  readonly heartbeat?: Duration
}

/** One workload at one server. Nothing is asked before the first task. */
export class Writ {
  readonly #options: WritOptions
  #ready: Promise<{ readonly server: Server; readonly evidence: Evidence }> | undefined

  constructor(options: WritOptions = {}) {
    this.#options = options
  }

  /**
   * Opens a task. `await using task = await writ.task(...)` ends it when its block is left, also by an exception; a process that dies
   * is not heard of any more, and the server ends its task then.
   */
  async task(options: TaskOptions): Promise<Task> {
    // Said in any case: the token endpoint takes it that a plain OAuth client, which names none, knows of no heartbeat.
    const { purpose, grants, ttl, budget, idleTimeout, heartbeat = '1m' } = options
    const seconds = { ttl_seconds: ttl, idle_timeout_seconds: idleTimeout, heartbeat_seconds: heartbeat }
    return this.#enter({
      purpose, authorization_details: JSON.stringify(grants.map(toAuthorizationDetail)),
      ...Object.fromEntries(Object.entries(seconds).flatMap(([name, length]) => (length === undefined ? [] : [[name, String(toSeconds(length))]]))),
      ...(budget === undefined ? {} : { budget_calls: String(budget) }),
    })
  }

  /** Runs `work` in a task and ends it, whatever happens; then answers or throws what the work did. */
  async withTask<T>(options: TaskOptions, work: (task: Task) => Promise<T>): Promise<T> {
    const task = await this.task(options)
    let result: T
    try {
      result = await work(task)
    } catch (fault) {
      // Its own fault is what the caller has to hear; a task whose end can not be told ends by silence.
      await task.end().catch(() => undefined)
      throw fault
    }
    await task.end()
    return result
  }

  /** Goes on in a task that another identity has opened for this one, or that this workload had opened before. */
  join(id: string): Promise<Task> {
    return this.#enter({ task: id })
  }

  /** Goes on where `task.suspend()` let go; the workload proves anew who it is. Ask again for what was denied: the answer is found by what is asked. */
  async resume(token: string): Promise<Task> {
    return this.join(taskOfSuspended(token))
  }

  async #enter(asked: Readonly<Record<string, string>>): Promise<Task> {
    const { server, evidence } = await this.#prepare()
    const token = await tokenByEvidence(server, evidence, asked)
    return new Task(server, evidence, token, await describe(server, token))
  }

  #prepare(): Promise<{ readonly server: Server; readonly evidence: Evidence }> {
    // A failure is not kept: a file that is missing now may be there at the next try.
    return (this.#ready ??= prepare(this.#options).catch((fault: unknown) => {
      this.#ready = undefined
      throw fault
    }))
  }
}

async function prepare(options: WritOptions): Promise<{ readonly server: Server; readonly evidence: Evidence }> {
  const environment = options.environment ?? process.env
  const url = originOf(options.url ?? environment.WRIT_URL, 'WRIT_URL')
  const call = options.fetch ?? fetch
  const server: Server = {
    url, issuer: options.issuer === undefined ? url : originOf(options.issuer, 'issuer'), call,
    patienceMs: toSeconds(options.patience ?? 30) * 1000, key: await proofKeyOfProcess(),
  }
  return { server, evidence: options.evidence ?? await evidenceFromEnvironment(environment, call) }
}

function originOf(text: string | undefined, setting: string): string {
  const url = URL.parse(text ?? '')
  const isLocal = url !== null && ['localhost', '127.0.0.1', '[::1]'].includes(url.hostname)
  if (url?.protocol === 'http:' && !isLocal) throw noServer(`${setting} \`${url.origin}\` would carry evidence in the clear`, 'use https; plain http is for this machine only')
  // Neither is quoted: it may hold a password.
  if (url?.protocol !== 'https:' && url?.protocol !== 'http:') throw noServer(text === undefined ? `${setting} is not set` : `${setting} is no address of a server`)
  if (url.href !== `${url.origin}/`) throw noServer(`${setting} is more than the origin \`${url.origin}\``)
  return url.origin
}

const noServer = (message: string, hint = 'set it to an origin such as `https://writ.acme.example`'): Misconfigured => new Misconfigured(message, { code: 'no_server', hint })

async function describe(server: Server, token: AccessToken): Promise<TaskReply> {
  const prepare = async () => ({ accessToken: token.value.reveal() })
  const reply = inForm<TaskReply>(await ask(server, { method: 'GET', path: `/v1/tasks/${token.task}`, prepare }), {
    id: 'id', spiffe_id: 'words', purpose: 'words', opened_at: 'instant', deadline: 'instant', heartbeat_seconds: 'seconds',
  })
  if (reply.id !== token.task) throw new Unreachable('the server described another task than it opened', { code: 'unknown_reply' })
  return reply
}
