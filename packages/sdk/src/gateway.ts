import { argumentsFrom, jsonOf, type Arguments } from './arguments.ts'
import { plain, rest, type Server } from './client.ts'
import { denialOf } from './denial.ts'
import { Denied, Misconfigured, overError, ToolError, Unreachable, WritError } from './errors.ts'
import { eventsIn } from './event-stream.ts'
import { headersFor, headerValue, paramHeadersOf, type ParamHeaders } from './param-headers.ts'
import { readText } from './reply.ts'
import type { AccessToken } from './tokens.ts'

/** A tool of an MCP server as it describes itself; `id` is what `task.call` takes. */
export type ServerTool = {
  readonly id: string
  readonly name: string
  readonly title?: string
  readonly description?: string
  readonly inputSchema: Readonly<Record<string, unknown>>
  readonly outputSchema?: Readonly<Record<string, unknown>>
  readonly annotations?: Readonly<Record<string, unknown>>
}

/** What a tool answered. `isError`: the tool ran, and says that it failed. */
export type ToolResult = {
  readonly content: readonly (Readonly<Record<string, unknown>> & { readonly type: string })[]
  readonly structuredContent?: unknown
  readonly isError?: boolean
  readonly _meta?: Readonly<Record<string, unknown>>
}

/** Answers what an MCP server asks in the middle of a call, by the method that it asks with; the server is told which of them there are. */
export type OnInput = { readonly [Method in InputMethod]?: (params: Readonly<Record<string, unknown>>) => unknown }
export type InputMethod = 'elicitation/create' | 'sampling/createMessage' | 'roots/list'

export type CallOptions = {
  /** Stops this call, and not the task. */
  readonly signal?: AbortSignal
  readonly onInput?: OnInput
  readonly onProgress?: (progress: Readonly<Record<string, unknown>>) => void
}

/** What the gateway's client needs of a task. */
export type GatewayNeeds = {
  readonly server: Server
  readonly token: (resource: string) => Promise<AccessToken>
  readonly doubt: (token: AccessToken) => void
  /** The task's own end. */
  readonly over: AbortSignal
  readonly lose: (fault: WritError) => void
}

const VERSION = '2026-07-28'
const META = 'io.modelcontextprotocol'
/** What the SDK calls itself at MCP servers. */
export const CLIENT = { name: '@writ/sdk', version: '0.1.0' } as const
const ABILITY: Readonly<Record<InputMethod, string>> = { 'elicitation/create': 'elicitation', 'sampling/createMessage': 'sampling', 'roots/list': 'roots' }

const MOST_RESULT_BYTES = 64 * 1024 * 1024
const MOST_PAGES = 100
/** A server that goes on asking is not answered for ever. */
const MOST_ROUNDS = 20
const FIRST_PAUSE_MS = 100
const LONGEST_PAUSE_MS = 1000

const DENIED = -32001
const INTERNAL = -32603
const HEADER_MISMATCH = -32020
const MISSING_ABILITY = -32021
const SERVER = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/

type Members = Readonly<Record<string, unknown>>
type Asked = CallOptions & {
  readonly server: string
  readonly method: string
  readonly params: Members
  readonly headers: Readonly<Record<string, string>>
}
/** `mend`: it was refused before anything was done, and may be asked again once this has been seen to. */
type Came = { readonly result: Members } | { readonly fault: WritError; readonly mend?: 'nonce' | 'token' | 'time' | 'headers' }

/** Speaks MCP 2026-07-28 with the gateway: each request stands alone, with a proof of its own. */
export class Gateway {
  readonly #needs: GatewayNeeds
  /** By the id of the tool. */
  readonly #marks = new Map<string, ParamHeaders>()
  #last = 0

  constructor(needs: GatewayNeeds) {
    this.#needs = needs
  }

  async tools(server: string, options: Pick<CallOptions, 'signal'> = {}): Promise<readonly ServerTool[]> {
    if (!SERVER.test(server)) throw new Misconfigured(`\`${server}\` is no name of an MCP server`, { code: 'malformed_server' })
    const found: ServerTool[] = []
    let cursor: unknown
    for (let page = 0; page < MOST_PAGES; page++) {
      const asked = { ...options, server, method: 'tools/list', params: cursor === undefined ? {} : { cursor }, headers: {} }
      const { tools, nextCursor } = await this.#ask(asked)
      if (!Array.isArray(tools)) throw unknownReply('the list of tools is none')
      found.push(...tools.flatMap((one: unknown) => this.#read(server, one)))
      if (typeof nextCursor !== 'string') return found
      cursor = nextCursor
    }
    throw unknownReply('the list of tools does not end')
  }

  async call(tool: string, args: unknown, options: CallOptions): Promise<ToolResult> {
    const { server, name } = toolIn(tool)
    const copy = argumentsFrom(args)
    let more: Members = {}
    for (let round = 0; round < MOST_ROUNDS; round++) {
      const result = await this.#callOnce({ server, name, copy, more, options })
      if (result.resultType === undefined || result.resultType === 'complete') return inForm(result)
      if (result.resultType !== 'input_required') throw unknownReply('the result is of a kind that nobody knows')
      more = await answered(result, options.onInput ?? {})
    }
    throw unknownReply(`the MCP server asked more than ${MOST_ROUNDS} times`)
  }

  async #callOnce({ server, name, copy, more, options }: OneCall): Promise<Members> {
    const id = `${server}/${name}`
    const ask = (): Promise<Members> => this.#ask({
      ...options, server, method: 'tools/call', params: { name, arguments: copy, ...more },
      headers: { 'mcp-name': headerValue(name), ...headersFor(this.#marks.get(id) ?? [], copy) },
    })
    try {
      return await ask()
    } catch (fault) {
      // Which arguments have to stand in headers, only the list of tools tells.
      if (!(fault instanceof ToolError) || fault.rpcCode !== HEADER_MISMATCH) throw fault
      await this.tools(server, options)
      return ask()
    }
  }

  #read(server: string, value: unknown): readonly ServerTool[] {
    if (!isRecord(value) || typeof value.name !== 'string' || !isRecord(value.inputSchema)) return []
    const marks = paramHeadersOf(value.inputSchema)
    if (marks === undefined) return []
    const id = `${server}/${value.name}`
    this.#marks.set(id, marks)
    return [{ ...value, id } as unknown as ServerTool]
  }

  async #ask(asked: Asked): Promise<Members> {
    const { server, token: tokenFor, doubt, over, lose } = this.#needs
    const signal = AbortSignal.any([over, ...(asked.signal === undefined ? [] : [asked.signal])])
    const until = performance.now() + server.patienceMs
    const seen = new Set<'nonce' | 'token'>()
    for (let attempt = 0; ; attempt++) {
      signal.throwIfAborted()
      const token = await tokenFor(`${server.issuer}${pathOf(asked)}`)
      const came = await this.#send(asked, token, signal)
      if ('result' in came) return came.result
      const { fault, mend } = came
      const pause = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** attempt)
      if (mend === 'token' && !seen.has(mend)) doubt(token)
      else if (mend === 'time' && performance.now() + pause < until) await rest(pause, { signal })
      else if (mend !== 'nonce' || seen.has(mend)) {
        if (fault.code.startsWith('task_')) lose(fault)
        throw over.aborted ? over.reason : fault
      }
      if (mend === 'nonce' || mend === 'token') seen.add(mend)
    }
  }

  async #send(asked: Asked, token: AccessToken, signal: AbortSignal): Promise<Came> {
    const { server } = this.#needs
    const id = ++this.#last
    const path = pathOf(asked)
    const nonce = server.nonce
    let response: Response
    try {
      response = await server.call(server.url + path, {
        method: 'POST', redirect: 'manual', signal, body: jsonOf(this.#message(id, asked)),
        headers: {
          'content-type': 'application/json', accept: 'application/json, text/event-stream', 'mcp-protocol-version': VERSION, 'mcp-method': asked.method,
          ...asked.headers, ...await token.headers('POST', server.issuer + path, nonce),
        },
      })
    } catch (cause) {
      signal.throwIfAborted()
      return unreached(cause, server.url)
    }
    server.nonce = response.headers.get('dpop-nonce') ?? server.nonce
    try {
      const message = await answerIn(response, id, asked.onProgress)
      return cameOf(response, message, { isNonceNew: server.nonce !== nonce, server: asked.server })
    } catch (cause) {
      signal.throwIfAborted()
      return { fault: cause instanceof WritError ? cause : new Unreachable('the answer broke off; whether the call was made is not known', { code: 'broken_off', cause }) }
    }
  }

  #message(id: number, { method, params, onInput = {}, onProgress }: Asked): Members {
    const abilities = (Object.keys(ABILITY) as InputMethod[]).filter((one) => onInput[one] !== undefined).map((one) => [ABILITY[one], {}])
    const meta = {
      [`${META}/protocolVersion`]: VERSION, [`${META}/clientInfo`]: CLIENT, [`${META}/clientCapabilities`]: Object.fromEntries(abilities),
      ...(onProgress === undefined ? {} : { progressToken: id }),
    }
    return { jsonrpc: '2.0', id, method, params: { ...params, _meta: meta } }
  }
}

type OneCall = { readonly server: string; readonly name: string; readonly copy: Arguments; readonly more: Members; readonly options: CallOptions }

const pathOf = ({ server }: Pick<Asked, 'server'>): string => `/mcp/${server}`

/** `server/tool`: the name of a server has no `/`, that of a tool may. */
export function toolIn(id: string): { readonly server: string; readonly name: string } {
  const at = id.indexOf('/')
  const [server, name] = [id.slice(0, Math.max(0, at)), id.slice(at + 1)]
  if (SERVER.test(server) && name !== '') return { server, name }
  throw new Misconfigured(`\`${id.slice(0, 200)}\` is no tool`, { code: 'malformed_tool', hint: 'write `SERVER/TOOL`, such as `docs/search`' })
}

function inForm(result: Members): ToolResult {
  const { content = [] } = result
  if (!Array.isArray(content)) throw unknownReply('the result has no content')
  const members = Object.entries(result).filter(([name]) => name !== 'resultType')
  return { ...Object.fromEntries(members), content }
}

/** Everything that the server wants to know, or why it is not told. */
async function answered({ inputRequests = {}, requestState }: Members, onInput: OnInput): Promise<Members> {
  if (!isRecord(inputRequests)) throw unknownReply('what the MCP server asks can not be read')
  const responses: Record<string, unknown> = {}
  for (const [name, request] of Object.entries(inputRequests)) {
    const { method, params } = isRecord(request) ? request : {}
    const answer = Object.hasOwn(ABILITY, String(method)) ? onInput[method as InputMethod] : undefined
    if (answer === undefined) {
      throw unanswered(`asks back with \`${plain(method)}\``)
    }
    responses[name] = await answer(isRecord(params) ? params : {})
  }
  return { ...(Object.keys(responses).length === 0 ? {} : { inputResponses: responses }), ...(typeof requestState === 'string' ? { requestState } : {}) }
}

const unanswered = (what: string, traceId?: string): Misconfigured =>
  new Misconfigured(`the MCP server ${what}, and nobody is there to answer`, { code: 'input_required', hint: 'give `onInput` an answer for it', traceId })

/** The response to this very request, or undefined where there is none. */
async function answerIn(response: Response, id: number, onProgress: CallOptions['onProgress']): Promise<Members | undefined> {
  const type = response.headers.get('content-type') ?? ''
  if (/^text\/event-stream\b/i.test(type)) {
    for await (const data of eventsIn(response.body, MOST_RESULT_BYTES)) {
      const message = parsed(data)
      if (message?.id === id && ('result' in message || 'error' in message)) return message
      if (message?.method === 'notifications/progress' && isRecord(message.params)) onProgress?.(message.params)
    }
    return undefined
  }
  const text = await readText(response, MOST_RESULT_BYTES)
  const message = /^application\/([\w.-]+\+)?json\b/i.test(type) ? parsed(text) : undefined
  return message !== undefined && 'result' in message && message.id !== id ? undefined : message
}

type About = { readonly isNonceNew: boolean; readonly server: string }

function cameOf(response: Response, message: Members | undefined, about: About): Came {
  if (response.ok && isRecord(message?.result)) return { result: message.result }
  const fault = faultOf(response, message, about)
  const mend = mendOf(response, fault, about)
  return mend === undefined ? { fault } : { fault, mend }
}

/** Only what was refused before anything was done: a call is never made twice because its answer did not come. */
function mendOf({ status, headers }: Response, fault: WritError, { isNonceNew }: About): 'nonce' | 'token' | 'time' | undefined {
  if (status === 401) return isNonceNew && /use_dpop_nonce/.test(headers.get('www-authenticate') ?? '') ? 'nonce' : 'token'
  return status === 429 || status === 503 || fault.code === 'storage_unavailable' ? 'time' : undefined
}

function faultOf({ status, headers }: Response, message: Members | undefined, { server }: About): WritError {
  const traceId = plain(headers.get('x-request-id'))
  const challenge = headers.get('www-authenticate') ?? ''
  const scope = /\binsufficient_scope\b/.test(challenge) ? /\bscope="([^"]*)"/.exec(challenge)?.[1] : undefined
  if (scope !== undefined) return new Denied(`the task's grant does not hold \`${plain(scope)}\``, { code: 'insufficient_scope', traceId, hint: 'ask for it when the task opens, or with `task.widen`' })
  const error = isRecord(message?.error) ? message.error : undefined
  if (error === undefined || typeof error.code !== 'number') {
    if (status === 401) return new Denied('the server refuses the token of this task', { code: 'unauthenticated', traceId })
    return status === 200 ? new Unreachable('the answer broke off; whether the call was made is not known', { code: 'broken_off', traceId }) :
      new Unreachable(`the server answered ${status}, and nothing that the SDK knows`, { code: `http_${status}`, retryable: status >= 500, hint: 'is this a Writ server?', traceId })
  }
  return rpcFault({ code: error.code, said: plain(error.message) ?? `error ${error.code}`, data: error.data }, { server, traceId })
}

type RpcError = { readonly code: number; readonly said: string; readonly data: unknown }

function rpcFault({ code, said, data }: RpcError, { server, traceId }: { readonly server: string; readonly traceId: string | undefined }): WritError {
  const told = isRecord(data) ? data : {}
  const word = plain(told.code)
  if (word === 'task_ended') return overError(plain(told.end_reason) ?? 'ended', traceId)
  if (word === 'token_ended') return new Denied(said, { code: word, traceId })
  if (code === DENIED) return denialOf(told.explanation, { message: said, decision: plain(told.decision), traceId, word, approval: plain(told.approval), url: plain(told.url) })
  // Only what names a word of Writ's own is Writ's: an upstream's error has its number and whatever it wants to say.
  if (code === MISSING_ABILITY) return unanswered('has to ask back', traceId)
  if (code === INTERNAL && word !== undefined) return new Unreachable(said, { code: word, retryable: told.retryable === true, traceId })
  return new ToolError(`${server}: ${said}`, { code: `rpc_${code}`, rpcCode: code, data, traceId })
}

/** Nobody has taken the request where nobody was there. */
function unreached(cause: unknown, url: string): Came {
  const isRefused = cause instanceof Error && isRecord(cause.cause) && cause.cause.code === 'ECONNREFUSED'
  const fault = new Unreachable(isRefused ? `the server ${url} can not be reached` : `the server ${url} went away; whether the call was made is not known`, { code: 'unreachable', retryable: isRefused, cause })
  return isRefused ? { fault, mend: 'time' } : { fault }
}

function parsed(text: string): Members | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return isRecord(value) ? value : undefined
  } catch {
    return undefined
  }
}

const isRecord = (value: unknown): value is Members => typeof value === 'object' && value !== null && !Array.isArray(value)

const unknownReply = (message: string): Unreachable => new Unreachable(message, { code: 'unknown_reply' })
