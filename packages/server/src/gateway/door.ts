import type { ServerInstanceId } from '@writ/domain/id'
import type { Outcome } from '@writ/domain/outcome'
import type { Logger } from 'pino'
import type { OneTimeUse, Proved } from '../authenticate/authenticator.ts'
import type { GatewayCaller } from './exchange.ts'
import type { Face, FaceAnswer, FaceCall } from './face.ts'
import type { Forwarding, WholeCall } from './forward.ts'
import { errorText, readRpc, type RpcId, type RpcMessage } from './json-rpc.ts'
import { isOfNewer } from './newer-words.ts'
import { Ended, Refused, RPC_CODES, rpcError } from './refused.ts'
import { homeOf } from './sessions.ts'
import { foreseen, NOT_FORESEEN } from './trouble.ts'

/** A request at the address of an MCP server, before anybody knows whose it is. */
export type DoorCall = {
  readonly method: 'GET' | 'POST' | 'DELETE'
  readonly path: string
  readonly parameters: Readonly<Record<string, string>>
  readonly headers: Readonly<Record<string, string>>
  readonly repeated: readonly string[]
  /** Undefined of what is not UTF-8. */
  readonly body: string | undefined
  readonly traceId: string
  readonly signal: AbortSignal
  authenticate(of: { readonly audience: string; readonly metadata: string }): Promise<Outcome<Proved, FaceAnswer>>
}

export type DoorNeeds = {
  /** What clients call this server. */
  readonly issuer: () => string
  readonly older: Face
  readonly newer: Face
  readonly forwarding: Forwarding
  readonly home: ServerInstanceId
  /** Uses up what works once; throws `Refused` for a repeat. */
  readonly useUp: (of: { readonly uses: readonly OneTimeUse[]; readonly traceId: string; readonly server: string }) => Promise<void>
  /** The same for what was refused anyway, where it may have been used up by then. */
  readonly spend: (uses: readonly OneTimeUse[]) => Promise<void>
  readonly log: Logger
}

/** A server's own address, which is also what a token for it is for (RFC 8707), and where it says what it takes (RFC 9728). */
export const resourceOf = (issuer: string, server: string): string => `${issuer}/mcp/${encodeURIComponent(server)}`
export const metadataOf = (issuer: string, server: string): string => `${issuer}/.well-known/oauth-protected-resource/mcp/${encodeURIComponent(server)}`

/** As policies and grants name one. */
const SERVER_NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/

/** R42: what comes twice one reader may take from here and another from there. */
const COMES_ONCE: ReadonlySet<string> = new Set(['authorization', 'dpop', 'content-type', 'content-length', 'content-encoding', 'transfer-encoding', 'host', 'origin', 'last-event-id', 'writ-hop'])
const isToComeOnce = (name: string): boolean => COMES_ONCE.has(name) || name.startsWith('mcp-')

export function mcpDoor(needs: DoorNeeds): (call: DoorCall) => Promise<FaceAnswer> {
  return async (call) => {
    const about: { id: RpcId | null; uses: readonly OneTimeUse[] } = { id: null, uses: [] }
    try {
      return await enter(needs, call, about)
    } catch (cause) {
      const answer = answerOf(needs, call, about.id, cause)
      // What works once has been shown, whatever became of the request.
      if (answer.status >= 400 && answer.status !== 401 && about.uses.length > 0) await needs.spend(about.uses)
      return answer
    }
  }
}

type About = { id: RpcId | null; uses: readonly OneTimeUse[] }

async function enter(needs: DoorNeeds, call: DoorCall, about: About): Promise<FaceAnswer> {
  const server = call.parameters['server']!
  checkHead(needs, call)
  const issuer = needs.issuer()
  const proved = await call.authenticate({ audience: resourceOf(issuer, server), metadata: metadataOf(issuer, server) })
  if (!proved.ok) return proved.refusal
  const { caller, uses } = proved.value
  about.uses = uses
  if (!SERVER_NAME.test(server)) throw refusal(404, 'no MCP server has such a name')
  if (caller.task === null || caller.lease === null) throw new Error('whoever comes with an access token acts in a task')
  const hop = needs.forwarding.hopOf(wholeOf(call))
  if (hop === 'forged') throw refusal(403, 'the mark of another server is not good')
  const session = call.headers['mcp-session-id']
  const keeper = session === undefined ? undefined : homeOf(session)
  if (keeper !== undefined && keeper !== needs.home) return await sendTo(needs, call, { home: keeper, isHop: hop === 'for_us', lost: NO_SESSION })

  const message = call.method === 'POST' ? readBody(call, about) : null
  const faceCall: FaceCall = {
    method: call.method, server, headers: call.headers, message, caller: caller as GatewayCaller, uses, traceId: call.traceId, signal: endedBy(call.signal),
    useUp: () => needs.useUp({ uses, traceId: call.traceId, server }),
    sendTo: (home) => sendTo(needs, call, { home, isHop: hop === 'for_us', lost: NO_STATE }),
  }
  return isNewer(faceCall) ? needs.newer(faceCall) : needs.older(faceCall)
}

function checkHead({ issuer }: DoorNeeds, { headers, repeated, method }: DoorCall): void {
  const twice = repeated.find(isToComeOnce)
  if (twice !== undefined) throw refusal(400, `the header \`${twice}\` comes twice`)
  // MCP, Streamable HTTP, security: a page of somebody else's has its reader's browser ask.
  if (headers['origin'] !== undefined && headers['origin'] !== new URL(issuer()).origin) throw refusal(403, 'not for pages of other origins')
  if (method === 'POST' && !/^application\/json\s*(?:;\s*charset=utf-8\s*)?$/i.test(headers['content-type'] ?? '')) throw refusal(415, 'the body must be application/json')
  if ((headers['content-encoding'] ?? 'identity').toLowerCase() !== 'identity') throw refusal(415, 'the body must not be compressed')
}

function readBody({ body }: DoorCall, about: About): RpcMessage {
  if (body === undefined) throw new Refused(400, rpcError(RPC_CODES.parse, 'the body is not UTF-8'))
  const read = readRpc(body)
  about.id = read.ok ? (read.value.kind === 'request' ? read.value.id : null) : read.refusal.id
  if (!read.ok) throw new Refused(400, read.refusal.error)
  return read.value
}

/** A session belongs to the older generation; what says that it is of the newer one is, and what came before both began with sessions. */
function isNewer({ method, headers, message }: FaceCall): boolean {
  if (method !== 'POST' || message === null) return false
  if (message.kind === 'request' && message.message.method === 'initialize') return false
  if (headers['mcp-session-id'] !== undefined && message.kind !== 'request') return false
  return isOfNewer(headers, message.kind === 'response' ? undefined : message.message.params)
}

function endedBy(signal: AbortSignal): AbortSignal {
  const gone = new AbortController()
  const onAbort = (): void => { gone.abort(new Ended('client_gone')) }
  signal.addEventListener('abort', onAbort, { once: true })
  if (signal.aborted) onAbort()
  return gone.signal
}

const wholeOf = ({ method, path, headers, body = '', signal }: DoorCall): WholeCall => ({ method, path, headers, body, signal })

const NO_SESSION = new Refused(404, rpcError(RPC_CODES.invalidRequest, 'there is no such session: begin with `initialize`'))
const NO_STATE = new Refused(400, rpcError(RPC_CODES.invalidParams, '`requestState` is not known any more: begin again'))

type Handover = { readonly home: ServerInstanceId; readonly isHop: boolean; readonly lost: Refused }

/** INVARIANT: handed over before anything of it is used up: the other server proves everything anew. And once, so that it does not go in circles. */
async function sendTo({ forwarding }: DoorNeeds, call: DoorCall, { home, isHop, lost }: Handover): Promise<FaceAnswer> {
  if (isHop) throw lost
  const sent = await forwarding.forward(wholeOf(call), home)
  if (sent.ok) return sent.value
  if (sent.refusal.kind === 'home_gone') throw lost
  throw new Refused(502, rpcError(RPC_CODES.internal, 'the server that keeps this can not be reached', { code: sent.refusal.code, retryable: true }))
}

const refusal = (status: number, message: string): Refused => new Refused(status, rpcError(RPC_CODES.invalidRequest, message))

function answerOf({ log }: DoorNeeds, { traceId }: DoorCall, id: RpcId | null, cause: unknown): FaceAnswer {
  const headers = { 'content-type': 'application/json', 'cache-control': 'no-store' }
  if (cause instanceof Refused) return { status: cause.status, headers: { ...headers, ...cause.headers }, body: errorText(id, cause.error) }
  const error = foreseen(cause)
  if (error === undefined) log.error({ trace_id: traceId, err: cause }, 'a request to an MCP server failed')
  return { status: error === undefined ? 500 : 200, headers, body: errorText(id, error ?? NOT_FORESEEN) }
}
