import { exactText, type ExactRecord } from '@writ/domain/exact'
import type { LeaseId, TaskId } from '@writ/domain/id'
import type { Clock } from '../platform/clock.ts'
import { isRecord } from '../tools/definition.ts'
import { LEVEL_KEY } from '../upstreams/older-handshake.ts'
import type { McpMessage } from '../upstreams/upstream.ts'
import type { Exchange, GatewayCaller, Pipeline } from './exchange.ts'
import type { Face, FaceAnswer, FaceCall } from './face.ts'
import { errorText, notificationText, resultText, type RpcId, type RpcMessage } from './json-rpc.ts'
import { startCall, type CallNeeds } from './older-call.ts'
import { askOutside } from './older-question.ts'
import { heardBy, introductionText, isLogLevel, isOlderVersion, OLDER_VERSIONS, readIntroduction } from './older-words.ts'
import { Ended, Refused, RPC_CODES, rpcError } from './refused.ts'
import { holderOf, sessions, type Session, type SessionBounds, type SessionHolder, type Sessions, type SessionsNeeds } from './sessions.ts'
import { EVENT_STREAM_HEADERS, readEventId, type EventStream, type KeptBounds } from './sse-writer.ts'

export type OlderFaceNeeds = SessionsNeeds & CallNeeds & {
  readonly pipeline: Pipeline
  readonly sessionBounds?: SessionBounds
}

/** The generation of MCP that has sessions (2025-11-25 and the two revisions before), as its clients see it. */
export type OlderFace = {
  readonly face: Face
  /** Ends sessions, with their calls and their streams. */
  endWhere(isMeant: (holder: SessionHolder) => boolean, because: Ended): void
  /** Ends the calls that came with this token, and the connections that it opened. */
  endToken(lease: LeaseId, because: Ended): void
  /** Whose streams wait for what may never come, and by which tokens they are open. */
  states(): readonly { readonly task: TaskId; readonly leases: readonly LeaseId[] }[]
  /** Ends the streams that wait for what may never come, so that a server which stops does not wait for them. */
  hangUp(): void
  /** Ends everything. */
  close(because: Ended): void
}

const SWEEP_EVERY_MS = 30_000
const MOST_CALLS = 64
const MOST_STANDING = 4
const OF_NO_REQUEST: KeptBounds = { events: 64, characters: 65_536 }
/** Of the part of the codes that is left to implementations. */
const TOO_MANY = -32000

type Desk = {
  readonly needs: OlderFaceNeeds
  readonly open: Sessions
  readonly connections: Map<EventStream, GatewayCaller>
  /** This server stops: what waits for what may never come is not held open any more. */
  hasHungUp: boolean
}

export function olderFace(needs: OlderFaceNeeds): OlderFace {
  const open = sessions(needs, needs.sessionBounds)
  const desk: Desk = { needs, open, connections: new Map(), hasHungUp: false }
  const sweeping = setInterval(() => { open.sweep() }, SWEEP_EVERY_MS).unref()
  return {
    async face(call) {
      checkVersion(call)
      switch (call.method) {
        case 'POST': return post(desk, call)
        case 'GET': return get(desk, call)
        case 'DELETE': return remove(desk, call)
      }
    },
    endWhere: (isMeant, because) => { open.endWhere(isMeant, because) },
    endToken(lease, because) {
      open.each((session) => {
        for (const one of session.calls.values()) if (one.lease === lease) one.cancel(because)
      })
      for (const [stream, by] of desk.connections) if (by.lease === lease) stream.hangUp()
    },
    states: () => [...desk.connections.values()].map(({ task, lease }) => ({ task, leases: [lease] })),
    hangUp() {
      desk.hasHungUp = true
      for (const stream of desk.connections.keys()) stream.hangUp()
    },
    close(because) {
      clearInterval(sweeping)
      open.endWhere(() => true, because)
    },
  }
}

/** A session goes on in the revision that it began with; a header with another one that we speak is let pass, as clients send it. */
function checkVersion({ headers }: FaceCall): void {
  const version = headers['mcp-protocol-version']
  if (version === undefined || isOlderVersion(version)) return
  throw new Refused(400, rpcError(RPC_CODES.unsupportedVersion, 'this revision of the protocol is not spoken with sessions', { supported: [...OLDER_VERSIONS], requested: version.slice(0, 64) }))
}

/** RFC 9110 §12.5.1: who says nothing takes everything. */
function checkAccepted({ headers: { accept } }: FaceCall, types: readonly string[]): void {
  if (accept === undefined) return
  const welcome = new Set(accept.split(',').map((range) => range.split(';', 1)[0]!.trim().toLowerCase()))
  const isWelcome = (type: string): boolean => ['*/*', `${type.split('/', 1)[0]!}/*`, type].some((one) => welcome.has(one))
  if (!types.every(isWelcome)) throw new Refused(406, rpcError(RPC_CODES.invalidRequest, `\`Accept\` must list ${types.join(' and ')}`))
}

/** The same no for one that never was, one that is over, and one of somebody else. */
function sessionOf({ open }: Desk, { headers, server, caller }: FaceCall): Session {
  const id = headers['mcp-session-id']
  if (id === undefined) throw new Refused(400, rpcError(RPC_CODES.invalidRequest, 'the `Mcp-Session-Id` header is missing: begin with `initialize`'))
  const session = open.find(id, holderOf(server, caller))
  if (session === undefined) throw new Refused(404, rpcError(RPC_CODES.invalidRequest, 'there is no such session: begin with `initialize`'))
  return session
}

const JSON_HEADERS = { 'content-type': 'application/json', 'cache-control': 'no-store' } as const
const json = (body: string, headers: Readonly<Record<string, string>> = {}): FaceAnswer => ({ status: 200, headers: { ...JSON_HEADERS, ...headers }, body })
const ACCEPTED: FaceAnswer = { status: 202, headers: {}, body: null }

async function post(desk: Desk, call: FaceCall): Promise<FaceAnswer> {
  checkAccepted(call, ['application/json', 'text/event-stream'])
  const message = call.message!
  if (message.kind === 'request' && message.message.method === 'initialize') return begin(desk, call, message)
  const session = sessionOf(desk, call)
  switch (message.kind) {
    case 'request': return answer(desk, call, session, message)
    case 'notification':
      await hear(desk, call, session, message.message)
      return ACCEPTED
    case 'response':
      await call.useUp()
      // One that nobody waits for any more, or never did, is nobody's.
      if (typeof message.id === 'string') session.asked.get(message.id)?.(message.answer)
      return ACCEPTED
  }
}

type Request = Extract<RpcMessage, { readonly kind: 'request' }>

async function begin({ needs, open }: Desk, call: FaceCall, { id, message }: Request): Promise<FaceAnswer> {
  if (call.headers['mcp-session-id'] !== undefined) throw new Refused(400, rpcError(RPC_CODES.invalidRequest, 'this session has begun: leave out `Mcp-Session-Id` for another'))
  const introduction = readIntroduction(message.params)
  if (!introduction.ok) {
    await call.useUp()
    return json(errorText(id, introduction.refusal))
  }
  const { client, version } = introduction.value
  const { server, caller, uses, traceId, signal } = call
  const description = await needs.pipeline.describe({ client, server, caller, uses, traceId, signal, message: { method: 'initialize', params: {} }, notify: () => {} })
  const opened = open.open({
    holder: holderOf(server, caller), client, version,
    behind: { generation: description.generation, hasLog: isRecord(description.capabilities['logging']) },
  })
  if (!opened.ok) {
    const say = opened.refusal.kind === 'too_many' ? 'this server has as many sessions as it may: try again later' : 'this task has as many sessions as it may: end one of them'
    throw new Refused(opened.refusal.kind === 'too_many' ? 503 : 429, rpcError(TOO_MANY, say), { headers: { 'retry-after': '10' } })
  }
  return json(resultText(id, introductionText(server, version, description)), { 'mcp-session-id': opened.value.id })
}

async function answer({ needs }: Desk, call: FaceCall, session: Session, { id, message }: Request): Promise<FaceAnswer> {
  const { method, params } = message
  checkTaken(session, id)
  const own = method === 'ping' ? resultText(id, '{}') : method === 'logging/setLevel' ? setLogLevel(session, id, params) : undefined
  if (own !== undefined) {
    await call.useUp()
    return json(own)
  }
  const { server, caller, uses, traceId } = call
  const came = await startCall(needs, { session, id, exchange: { server, caller, uses, traceId, message: { method, params: withLogLevel(session, params) } } })
  switch (came.kind) {
    case 'answer': return json(came.json)
    case 'stream': return stream(came.stream.connect(undefined, call.signal))
    case 'nothing': return stream(silence())
  }
}

/** INVARIANT: nothing is awaited between this and the call that takes the id. */
function checkTaken({ calls }: Session, id: RpcId): void {
  if (calls.has(exactText(id))) throw new Refused(400, rpcError(RPC_CODES.invalidRequest, 'a request with this `id` is on its way'))
  if (calls.size >= MOST_CALLS) throw new Refused(429, rpcError(TOO_MANY, `${MOST_CALLS} requests of this session are on their way`))
}

const stream = (body: AsyncIterable<string>): FaceAnswer => ({ status: 200, headers: EVENT_STREAM_HEADERS, body })

/** For a request that wants no answer any more: a stream on which nothing comes. */
async function* silence(): AsyncGenerator<string, void> {}

/** A newer server is told the level with every request, and never by this one. Undefined where it goes on to the server. */
function setLogLevel(session: Session, id: RpcId, { level }: ExactRecord): string | undefined {
  if (!isLogLevel(level)) return errorText(id, rpcError(RPC_CODES.invalidParams, '`level` must be one of the levels of RFC 5424'))
  const { behind } = session
  if (behind.generation !== '2025-11-25' && !behind.hasLog) return errorText(id, rpcError(RPC_CODES.methodNotFound, 'this server has no log'))
  session.logLevel = level
  return behind.generation === '2025-11-25' ? undefined : resultText(id, '{}')
}

const LEVEL_OF_OTHERS = 'info'

/** What a client of this generation says under the newer one's key is not meant. */
function withLogLevel({ behind, logLevel }: Session, params: ExactRecord): ExactRecord {
  const given = isRecord(params['_meta']) ? params['_meta'] : {}
  const { [LEVEL_KEY]: _, ...meta } = given
  const isWanted = behind.generation !== '2025-11-25' && behind.hasLog
  const all = isWanted ? { ...meta, [LEVEL_KEY]: logLevel ?? LEVEL_OF_OTHERS } : meta
  const { _meta, ...rest } = params
  return Object.keys(all).length === 0 ? rest : { ...rest, _meta: all }
}

async function hear({ needs }: Desk, call: FaceCall, session: Session, { method, params }: McpMessage): Promise<void> {
  if (method === 'notifications/roots/list_changed' && isRecord(session.client.capabilities['roots'])) {
    await needs.pipeline.tell(exchangeOf(call, session, { method, params: {} }))
    return
  }
  await call.useUp()
  // The beginning, how far the client's own answers are, and what nobody knows, change nothing here.
  if (method !== 'notifications/cancelled') return
  const { requestId } = params
  if (typeof requestId === 'string' || typeof requestId === 'bigint') session.calls.get(exactText(requestId))?.cancel(new Ended('client_gone'))
}

/** For what belongs to no request. */
const exchangeOf = ({ server, caller, uses, traceId }: FaceCall, { client, ended }: Session, message: McpMessage): Exchange =>
  ({ client, server, caller, traceId, message, uses, signal: ended, notify: () => {} })

async function get(desk: Desk, call: FaceCall): Promise<FaceAnswer> {
  checkAccepted(call, ['text/event-stream'])
  const session = sessionOf(desk, call)
  const last = call.headers['last-event-id']
  const found = last === undefined ? undefined : foundAgain(session, last)
  if (found !== undefined && !session.standing.includes(found.stream)) await call.useUp()
  else await listen(desk, call, session)
  session.ended.throwIfAborted()
  const to = found ?? { stream: openStanding(session), after: undefined }
  return stream(connected(desk, call, to.stream, to.after))
}

function openStanding({ streams, standing }: Session): EventStream {
  const opened = streams.open(OF_NO_REQUEST)
  standing.push(opened)
  if (standing.length > MOST_STANDING) standing.shift()!.end()
  streams.trim()
  return opened
}

/** The stream that the client has lost. 405 says that there is none: nothing of it will come any more. */
function foundAgain({ streams }: Session, last: string): { readonly stream: EventStream; readonly after: number } {
  const event = readEventId(last)
  const found = event && streams.find(event.stream)
  const isThere = found?.holds(event!.at) === true && !(found.isOver && !found.holds(event!.at + 1))
  if (!isThere) throw new Refused(405, rpcError(RPC_CODES.invalidRequest, 'nothing more comes on this stream'), { headers: { allow: 'POST, GET, DELETE' } })
  return { stream: found, after: event!.at }
}

/** A connection lives no longer than the token that opened it; the client comes back with another. */
async function* connected(desk: Desk, { caller, signal }: FaceCall, to: EventStream, after: number | undefined): AsyncGenerator<string, void> {
  const { needs, connections } = desk
  const flow = to.connect(after, signal)
  // One that was on its way while the others were ended.
  if (desk.hasHungUp) to.hangUp()
  const expiring = setTimeout(() => { to.hangUp() }, millisecondsUntil(caller.evidence.expiresAt, needs.clock)).unref()
  connections.set(to, caller)
  try {
    yield* flow
  } finally {
    clearTimeout(expiring)
    if (!to.isHeard) connections.delete(to)
  }
}

const LONGEST_TIMER_MS = 2 ** 31 - 1
const millisecondsUntil = (at: number, clock: Clock): number => Math.min(LONGEST_TIMER_MS, Math.max(0, at - clock.now()))

/**
 * From the first stream on, what the server says on its own goes to one stream: the newest that somebody hears. When the way to the server ends,
 * so do the connections, and with the next one it is listened to anew.
 */
async function listen({ needs }: Desk, call: FaceCall, session: Session): Promise<void> {
  if (session.isListening) return call.useUp()
  session.isListening = true
  const say = (message: McpMessage): void => {
    const heard = heardBy({ logLevel: session.logLevel, progressToken: undefined }, message)
    const to = session.standing.findLast((one) => one.isHeard) ?? session.standing.at(-1)
    if (heard !== undefined) to?.say(notificationText(heard), 'may')
  }
  const onEnd = (): void => {
    session.isListening = false
    for (const one of session.standing) one.hangUp()
  }
  try {
    const stop = await needs.pipeline.listen(exchangeOf(call, session, { method: 'notifications/initialized', params: {} }), { hear: say, onEnd, ask: (question, withdrawn) => askOutside(session, question, withdrawn) })
    if (session.ended.aborted) stop()
    else session.ended.addEventListener('abort', stop, { once: true })
  } catch (error) {
    session.isListening = false
    // There is no answer to a GET but a stream.
    if (error instanceof Refused && error.status === 200) throw new Refused(error.error.code === RPC_CODES.denied ? 403 : 502, error.error, { cause: error })
    throw error
  }
}

async function remove(desk: Desk, call: FaceCall): Promise<FaceAnswer> {
  const session = sessionOf(desk, call)
  await call.useUp()
  desk.open.end(session, new Ended('client_gone'))
  return { status: 204, headers: {}, body: null }
}
