import { crc32 } from 'node:zlib'
import { parseId, type IdentityId, type LeaseId, type ServerInstanceId, type TaskId } from '@writ/domain/id'
import { ok, refuse, type Outcome } from '@writ/domain/outcome'
import { milliseconds, plus, type EpochMs } from '@writ/domain/time'
import { toBase64url } from '../platform/base64url.ts'
import type { Clock } from '../platform/clock.ts'
import type { Entropy } from '../platform/entropy.ts'
import type { Generation, McpAnswer, McpClient } from '../upstreams/upstream.ts'
import type { GatewayCaller } from './exchange.ts'
import type { OlderVersion } from './older-words.ts'
import { Ended } from './refused.ts'
import { eventStream, type EventStream, type KeptBounds } from './sse-writer.ts'

/** Whom an MCP session belongs to: another task, identity or key has none, and another server's address does not know it. */
export type SessionHolder = { readonly server: string; readonly task: TaskId; readonly identity: IdentityId; readonly thumbprint: string | null }

export const holderOf = (server: string, { task, identity, thumbprint }: GatewayCaller): SessionHolder => ({ server, task, identity, thumbprint })

/** A request of the client that is on its way. */
export type CallInFlight = { readonly cancel: (because: Error) => void; /** The token that it came with. */ readonly lease: LeaseId }

/** The state that MCP until 2025-11-25 has a server keep for a client. */
export type Session = {
  readonly id: string
  readonly holder: SessionHolder
  readonly client: McpClient
  readonly version: OlderVersion
  readonly behind: SessionOrder['behind']
  /** By the client's id of the request, as JSON. */
  readonly calls: Map<string, CallInFlight>
  /** Who waits for the client's answer, by our id of the request. */
  readonly asked: Map<string, (answer: McpAnswer) => void>
  /** Aborted with an `Ended`. */
  readonly ended: AbortSignal
  readonly streams: SessionStreams
  /** The lowest level of log messages that the client wants; null for all that come. */
  logLevel: string | null
  /** Streams for what belongs to no request, in the order of their opening. */
  readonly standing: EventStream[]
  /** Whether what the server says on its own is listened to. */
  isListening: boolean
  /** An id for a request of ours, one that this client has not been asked under. */
  nextAskId(): string
}

export type SessionStreams = {
  open(most?: KeptBounds): EventStream
  find(id: string): EventStream | undefined
  /** Lets go of what is over and takes too much room. */
  trim(): void
  /** The same, and of what was over by the time of the call before. */
  sweep(): void
  readonly all: ReadonlyMap<string, EventStream>
}

export type SessionOrder = {
  readonly holder: SessionHolder
  readonly client: McpClient
  readonly version: OlderVersion
  /** Of the server behind it. */
  readonly behind: { readonly generation: Generation; readonly hasLog: boolean }
}

export type SessionRefusal = { readonly kind: 'too_many_of_task' } | { readonly kind: 'too_many' }

export type Sessions = {
  open(order: SessionOrder): Outcome<Session, SessionRefusal>
  /** The live one with this id, where it is this holder's; one that is not, is not there. */
  find(id: string, holder: SessionHolder): Session | undefined
  end(session: Session, because: Ended): void
  /** All that the test is true of. */
  endWhere(isMeant: (holder: SessionHolder) => boolean, because: Ended): void
  each(act: (session: Session) => void): void
  /** Ends those that nobody has used for too long. */
  sweep(): void
  readonly size: number
}

export type SessionsNeeds = { readonly home: ServerInstanceId; readonly clock: Clock; readonly entropy: Entropy }

export type SessionBounds = { readonly ofTask: number; readonly inAll: number; readonly idleMs: number }
const BOUNDS: SessionBounds = { ofTask: 16, inAll: 10_000, idleMs: 600_000 }

/** What is over is kept for clients that lost its end. */
const MOST_STREAMS_OVER = 16
const MOST_CHARACTERS_OVER = 1_048_576

/** `writ_mcp_<home><43 characters of base64url: 256 bits><6 characters of CRC-32 in base 62>`: a scanner knows one without asking us. */
const SHAPE = /^writ_mcp_([0-7][0-9a-hjkmnp-tv-z]{25})([A-Za-z0-9_-]{43})([0-9A-Za-z]{6})$/
const ID_BYTES = 32

/** The server that keeps the session, as its id says; undefined for what is no id of a session. Nothing is proved by it. */
export function homeOf(id: string): ServerInstanceId | undefined {
  const found = SHAPE.exec(id)
  if (found === null || checksum(id.slice(0, -6)) !== found[3]) return undefined
  return parseId('serverInstance', `srv_${found[1]!}`)
}

export function mintSessionId(home: ServerInstanceId, entropy: Entropy): string {
  const body = `writ_mcp_${home.slice(home.indexOf('_') + 1)}${toBase64url(entropy.bytes(ID_BYTES))}`
  return body + checksum(body)
}

const BASE62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'

/** As at the end of the bearer values that Writ mints. */
function checksum(text: string): string {
  let digits = ''
  for (let rest = crc32(text); digits.length < 6; rest = Math.floor(rest / 62)) digits = BASE62[rest % 62]! + digits
  return digits
}

type Kept = { readonly session: Session; readonly abort: (because: Ended) => void; usedAt: EpochMs }

/** The sessions of this server, in its memory alone: when it goes they go, and clients begin anew. */
export function sessions({ home, clock, entropy }: SessionsNeeds, { ofTask, inAll, idleMs }: SessionBounds = BOUNDS): Sessions {
  const kept = new Map<string, Kept>()

  const isBusy = ({ session }: Kept): boolean => session.calls.size > 0 || [...session.streams.all.values()].some((stream) => stream.isHeard)
  const isIdle = (one: Kept): boolean => !isBusy(one) && plus(one.usedAt, milliseconds(idleMs)) <= clock.now()
  const end = (one: Kept, because: Ended): void => {
    if (!kept.delete(one.session.id)) return
    one.abort(because)
    // A call says on its own stream what has ended it.
    for (const call of one.session.calls.values()) call.cancel(because)
    for (const stream of one.session.standing) stream.end()
  }
  const sweep = (): void => {
    for (const one of kept.values()) {
      one.session.streams.sweep()
      if (isBusy(one)) one.usedAt = clock.now()
      else if (isIdle(one)) end(one, new Ended('client_gone'))
    }
  }
  /** Of a task that has as many as it may, the one that was used longest ago makes room. */
  const makeRoom = (task: TaskId): SessionRefusal | undefined => {
    const its = [...kept.values()].filter((one) => one.session.holder.task === task)
    if (its.length >= ofTask) {
      const idlest = its.filter((one) => !isBusy(one)).toSorted((a, b) => a.usedAt - b.usedAt)[0]
      if (idlest === undefined) return { kind: 'too_many_of_task' }
      end(idlest, new Ended('client_gone'))
    }
    if (kept.size >= inAll) sweep()
    return kept.size >= inAll ? { kind: 'too_many' } : undefined
  }

  return {
    open(order) {
      const refused = makeRoom(order.holder.task)
      if (refused !== undefined) return refuse(refused)
      const ending = new AbortController()
      let asks = 0
      const session: Session = {
        ...order, id: mintSessionId(home, entropy), calls: new Map(), asked: new Map(), ended: ending.signal, streams: sessionStreams(order.version),
        logLevel: null, standing: [], isListening: false,
        nextAskId: () => `writ-${++asks}`,
      }
      kept.set(session.id, { session, abort: (because) => { ending.abort(because) }, usedAt: clock.now() })
      return ok(session)
    },
    find(id, holder) {
      const one = kept.get(id)
      if (one === undefined || !isSame(one.session.holder, holder)) return undefined
      if (isIdle(one)) {
        end(one, new Ended('client_gone'))
        return undefined
      }
      one.usedAt = clock.now()
      return one.session
    },
    end(session, because) {
      const one = kept.get(session.id)
      if (one !== undefined) end(one, because)
    },
    endWhere(isMeant, because) {
      for (const one of kept.values()) if (isMeant(one.session.holder)) end(one, because)
    },
    each(act) {
      for (const { session } of kept.values()) act(session)
    },
    sweep,
    get size() {
      return kept.size
    },
  }
}

const isSame = (a: SessionHolder, b: SessionHolder): boolean =>
  a.server === b.server && a.task === b.task && a.identity === b.identity && a.thumbprint === b.thumbprint

function sessionStreams(version: OlderVersion): SessionStreams {
  const all = new Map<string, EventStream>()
  let opened = 0
  let overBefore: readonly string[] = []
  const over = (): readonly EventStream[] => [...all.values()].filter((stream) => stream.isOver && !stream.isHeard)
  return {
    all,
    open(most) {
      const stream = eventStream({ id: String(++opened), primes: version === '2025-11-25', ...(most === undefined ? {} : { most }) })
      all.set(stream.id, stream)
      return stream
    },
    find: (id) => all.get(id),
    trim() {
      let room = MOST_CHARACTERS_OVER
      for (const [i, stream] of over().toReversed().entries()) {
        room -= stream.size
        if (i >= MOST_STREAMS_OVER || room < 0) all.delete(stream.id)
      }
    },
    sweep() {
      for (const id of overBefore) all.delete(id)
      overBefore = over().map((stream) => stream.id)
    },
  }
}
