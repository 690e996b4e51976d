import type { ExactRecord } from '@writ/domain/exact'
import type { LeaseId, TaskId } from '@writ/domain/id'
import type { EpochMs } from '@writ/domain/time'
import type { Logger } from 'pino'
import type { Sealer } from '../keys/seal.ts'
import type { Clock } from '../platform/clock.ts'
import type { Engines, Store } from '../record/tx.ts'
import { listSeenTools, mcpSecretPlace, type McpServer } from '../store/mcp-servers.ts'
import { canonicalText, readList, type ToolDefinition } from '../tools/definition.ts'
import { seeTools } from '../tools/see.ts'
import { UpstreamFault, type McpClient, type Upstream } from '../upstreams/upstream.ts'
import type { Hearer } from './exchange.ts'
import { isRecord } from './json-rpc.ts'
import { NotLent, type Lent } from './lend.ts'
import { Ended } from './refused.ts'
import { listDefinitions } from './tool-lists.ts'
import { isPseudo } from './visible.ts'

export type OpenUpstreamOrder = {
  readonly secret: Readonly<Record<string, string>>
  /** What the server is told besides, and need not be hidden. */
  readonly beside: Readonly<Record<string, string>>
  readonly client: McpClient
  readonly signal: AbortSignal
}
export type OpenUpstream = (server: McpServer, order: OpenUpstreamOrder) => Promise<Upstream>

export type LinksNeeds = {
  readonly store: Pick<Store, 'read' | 'change'>
  readonly secrets: Pick<Sealer, 'unseal'>
  readonly engines: Engines
  readonly clock: Clock
  readonly log: Logger
  readonly openUpstream: OpenUpstream
  readonly bounds?: LinkBounds
}

export type LinkBounds = { readonly links: number; readonly perTask: number; readonly idleMs: number; readonly openMs: number; readonly oldListMs: number; readonly longestPauseMs: number }
const BOUNDS: LinkBounds = { links: 1000, perTask: 16, idleMs: 600_000, openMs: 30_000, oldListMs: 300_000, longestPauseMs: 30_000 }
const FIRST_PAUSE_MS = 250

/** Whose way to which server. Clients that can do different things have different ways: an older server is told once what its client can. */
export type LinkKey = { readonly task: TaskId; readonly server: string; readonly client: McpClient }

/** One task's open way to one server. */
export type Link = {
  readonly server: McpServer
  readonly upstream: Upstream
  /** What the server lists now, and what stands for its other abilities, by name. Waits for a list that is just being asked for. */
  tools(): Promise<ReadonlyMap<string, ToolDefinition>>
  /** Runs what goes over it, with a signal that is aborted by what ends the task or the token too. */
  run<T>(of: { readonly lease: LeaseId; readonly signal: AbortSignal }, work: (signal: AbortSignal) => Promise<T>): Promise<T>
  /** Hears what the server says of its own accord, and is asked what it asks then. Answers how to stop; `onEnd` tells of the end of the link. */
  listen(hearer: Hearer): () => void
}

export type Links = {
  /** Undefined where none is open. */
  find(key: LinkKey): Link | undefined
  /**
   * The open one, or one that is opened now: to be asked for once a decision has let the task look at the server. `lend` is asked for what the
   * server is lent before it is started, and has it back with the end of the way.
   */
  open(key: LinkKey, server: McpServer, lend: () => Promise<Lent>): Promise<Link>
  /** Ends what does not hold any more. */
  end(isMeant: (link: LinkState) => Ended | undefined): void
  /** Ends calls that came with these tokens. */
  endCalls(leases: ReadonlySet<LeaseId>, because: Ended): void
  readonly states: () => readonly LinkState[]
  close(because: Ended): Promise<void>
}

export type LinkState = { readonly task: TaskId; readonly server: McpServer; readonly leases: readonly LeaseId[]; /** What its server has of the task. */ readonly lent: readonly LeaseId[]; readonly idleSince: EpochMs | null }

type Flight = { readonly lease: LeaseId; readonly ending: AbortController }

/** INVARIANT: whatever one server does, or does not, nobody waits for it but those who ask it: nothing here is awaited across links. */
export function openLinks(needs: LinksNeeds): Links {
  const bounds = needs.bounds ?? BOUNDS
  const held = new Map<string, Held>()
  const pauses = new Map<string, { readonly until: number; readonly failures: number }>()
  const closing = new Set<Promise<void>>()

  const letGo = (key: string, one: Held, because: Error): void => {
    if (held.get(key) === one) held.delete(key)
    const closed = one.end(because).catch((error: unknown) => { needs.log.warn({ mcp_server: one.server.name, err: error }, 'the way to an MCP server could not be closed') }).finally(() => closing.delete(closed))
    closing.add(closed)
  }

  /** The one that nobody has used for longest makes room. */
  function makeRoom(task: TaskId, server: string): void {
    const own = [...held].filter(([, one]) => one.task === task)
    const among = own.length >= bounds.perTask ? own : held.size >= bounds.links ? [...held] : []
    if (among.length === 0) return
    const [oldest] = among.filter(([, one]) => one.idleSince() !== null).toSorted(([, a], [, b]) => a.idleSince()! - b.idleSince()!)
    if (oldest === undefined) throw new UpstreamFault(server, 'too_many_links')
    letGo(oldest[0], oldest[1], new Ended('server_changed'))
  }

  return {
    find: (key) => held.get(keyOf(key))?.link(),
    async open(key, server, lend) {
      const name = keyOf(key)
      const known = held.get(name)
      if (known?.server.id === server.id) return known.opened
      if (known !== undefined) letGo(name, known, new Ended('server_changed'))
      const pause = pauses.get(name)
      if (pause !== undefined && needs.clock.now() < pause.until) throw new UpstreamFault(server.name, 'waiting_after_failure')
      makeRoom(key.task, server.name)
      const one: Held = hold(needs, bounds, { ...key, server, lend, onBroken: (because) => { letGo(name, one, because) } })
      held.set(name, one)
      try {
        const link = await one.opened
        pauses.delete(name)
        return link
      } catch (error) {
        const failures = (pause?.failures ?? 0) + 1
        const until = needs.clock.now() + Math.min(FIRST_PAUSE_MS * 2 ** (failures - 1), bounds.longestPauseMs)
        // Who was denied what the server needs, and asks again, is denied again.
        if (!(error instanceof NotLent && error.decided !== undefined)) pauses.set(name, { failures, until })
        letGo(name, one, error as Error)
        throw error
      }
    },
    end(isMeant) {
      for (const [key, one] of held) {
        const because = isMeant(one.state()) ?? idleTooLong(one, needs.clock.now() - bounds.idleMs)
        if (because === undefined) continue
        letGo(key, one, because)
        if (because.word === 'task_ended') for (const name of pauses.keys()) if (name.startsWith(`${one.task} `)) pauses.delete(name)
      }
      // What is paused for no longer is not remembered for ever.
      for (const [name, { until }] of pauses) if (until + bounds.longestPauseMs < needs.clock.now()) pauses.delete(name)
    },
    endCalls(leases, because) {
      for (const one of held.values()) one.endCalls(leases, because)
    },
    states: () => [...held.values()].map((one) => one.state()),
    async close(because) {
      for (const [key, one] of held) letGo(key, one, because)
      await Promise.all(closing)
    },
  }
}

const idleTooLong = (one: Held, before: number): Ended | undefined => ((one.idleSince() ?? Infinity) < before ? new Ended('server_changed') : undefined)

const keyOf = ({ task, server, client }: LinkKey): string => `${task} ${server} ${canonicalText(client.capabilities)}`

type Held = {
  readonly task: TaskId
  readonly server: McpServer
  readonly opened: Promise<Link>
  link(): Link | undefined
  state(): LinkState
  /** Null as long as something goes over it. */
  idleSince(): EpochMs | null
  endCalls(leases: ReadonlySet<LeaseId>, because: Ended): void
  end(because: Error): Promise<void>
}

type HoldOrder = Omit<LinkKey, 'server'> & { readonly server: McpServer; readonly lend: () => Promise<Lent>; readonly onBroken: (because: Error) => void }

/** Faults of one answer, after which the way is as good as before. */
const OF_ONE_ANSWER: ReadonlySet<string> = new Set(['unknown_state', 'too_large', 'unanswered', 'bad_answer', 'compressed'])

function hold(needs: LinksNeeds, bounds: LinkBounds, { task, server, client, lend, onBroken }: HoldOrder): Held {
  const flights = new Set<Flight>()
  const hearers = new Set<Hearer>()
  const ending = new AbortController()
  /** Called once nothing is on its way any more. */
  let onLanded: (() => void) | undefined
  let usedAt = needs.clock.now()
  let link: Link | undefined
  let isOpening = true
  let lending: Promise<Lent> | undefined
  let lentLeases: readonly LeaseId[] = []

  async function openLink(): Promise<Link> {
    const secret = server.sealedSecret === null ? {} : JSON.parse(needs.secrets.unseal(server.sealedSecret, mcpSecretPlace(server.id))) as Readonly<Record<string, string>>
    const signal = AbortSignal.any([ending.signal, AbortSignal.timeout(bounds.openMs)])
    lending = lend()
    const lent = await inTime(server.name, lending, signal)
    lentLeases = lent.leases
    const upstream = await unlessLate(server.name, needs.openUpstream(server, { secret: { ...secret, ...lent.secret }, beside: lent.beside, client, signal }), signal)
    try {
      const list = liveList(needs, { server, upstream, client, ending: ending.signal, bounds, onBroken })
      await list.now()
      ending.signal.throwIfAborted()
      return link = makeLink(upstream, list)
    } catch (error) {
      upstream.close().catch(() => undefined)
      throw error
    }
  }

  function makeLink(upstream: Upstream, list: LiveList): Link {
    const stop = upstream.listen((message) => {
      const tell = (): void => { for (const one of hearers) one.hear(message) }
      if (message.method === 'notifications/tools/list_changed') void list.anew().finally(tell)
      else tell()
    }, (question, withdrawn) => {
      for (const one of hearers) {
        const asking = one.ask?.(question, withdrawn)
        if (asking !== undefined) return asking
      }
      return undefined
    })
    ending.signal.addEventListener('abort', stop, { once: true })
    return {
      server, upstream,
      tools: () => list.now(),
      async run({ lease, signal }, work) {
        ending.signal.throwIfAborted()
        const flight: Flight = { lease, ending: new AbortController() }
        flights.add(flight)
        try {
          return await work(AbortSignal.any([signal, flight.ending.signal]))
        } catch (error) {
          if (error instanceof UpstreamFault && !OF_ONE_ANSWER.has(error.code) && !flight.ending.signal.aborted) onBroken(error)
          // Whatever the cut made of it: it was the end that cut it.
          flight.ending.signal.throwIfAborted()
          throw error
        } finally {
          flights.delete(flight)
          usedAt = needs.clock.now()
          if (flights.size === 0) onLanded?.()
        }
      },
      listen(hearer) {
        const one = { ...hearer }
        hearers.add(one)
        return () => {
          hearers.delete(one)
          usedAt = needs.clock.now()
        }
      },
    }
  }

  const opened = openLink().finally(() => { isOpening = false })
  opened.catch(() => undefined)
  const idleSince = (): EpochMs | null => (isOpening || flights.size + hearers.size > 0 ? null : usedAt)
  return {
    task, server, opened, idleSince,
    link: () => link,
    state: () => ({ task, server, leases: [...new Set([...flights].map(({ lease }) => lease))], lent: lentLeases, idleSince: idleSince() }),
    endCalls(leases, because) {
      for (const { lease, ending: flight } of flights) if (leases.has(lease)) flight.abort(because)
    },
    async end(because) {
      ending.abort(because)
      // Of a way that broke each call fails by itself, or comes to its end.
      if (because instanceof Ended) for (const { ending: flight } of flights) flight.abort(because)
      for (const { onEnd } of hearers) onEnd(because)
      hearers.clear()
      if (flights.size > 0 && !(because instanceof Ended)) await new Promise<void>((resolve) => { onLanded = resolve })
      await Promise.all([link?.upstream.close(), lending?.then((lent) => lent.giveBack(), () => undefined)])
    },
  }
}

/** An upstream that comes after nobody waits for it any more is closed at once. */
async function unlessLate(server: string, opening: Promise<Upstream>, signal: AbortSignal): Promise<Upstream> {
  try {
    return await inTime(server, opening, signal)
  } catch (error) {
    opening.then((late) => late.close()).catch(() => undefined)
    throw error
  }
}

async function inTime<T>(server: string, work: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>()
  const onAbort = (): void => { reject(signal.reason instanceof DOMException ? new UpstreamFault(server, 'too_slow') : signal.reason) }
  signal.addEventListener('abort', onAbort, { once: true })
  if (signal.aborted) onAbort()
  try {
    return await Promise.race([work, promise])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}

type LiveList = { now(): Promise<ReadonlyMap<string, ToolDefinition>>; anew(): Promise<void> }
type ListOrder = { readonly server: McpServer; readonly upstream: Upstream; readonly client: McpClient; readonly ending: AbortSignal; readonly bounds: LinkBounds; readonly onBroken: (because: Error) => void }

/** The server's list as it was last heard. Said to be another, it is asked for at once, and nobody is answered from the old one. */
function liveList(needs: LinksNeeds, { server, upstream, client, ending, bounds, onBroken }: ListOrder): LiveList {
  let listed: ReadonlyMap<string, ToolDefinition> | undefined
  let listedAt = 0
  let asking: Promise<void> | undefined
  let isStale = true

  async function ask(): Promise<void> {
    while (isStale) {
      isStale = false
      const signal = AbortSignal.any([ending, AbortSignal.timeout(bounds.openMs)])
      const definitions = await listDefinitions(upstream, { server: server.name, client, signal }).catch((cause: unknown) => {
        throw signal.reason instanceof DOMException ? new UpstreamFault(server.name, 'too_slow', { cause }) : cause
      })
      const { capabilities } = upstream.description
      const hidden = await hiddenFrom(needs, server, definitions)
      const seen = await seeTools(needs, server.id, { definitions: [...definitions, ...hidden], capabilities })
      if (!seen.ok) throw new Ended('server_changed')
      listed = new Map(readList(definitions, abilitiesIn(capabilities)).tools.map((one) => [one.name, one]))
      listedAt = needs.clock.now()
    }
  }

  const anew = (): Promise<void> => {
    isStale = true
    asking ??= ask().catch((error: unknown) => {
      // Nobody can tell any more what it lists.
      onBroken(error as Error)
      throw error
    }).finally(() => { asking = undefined })
    asking.catch(() => undefined)
    return asking
  }
  return {
    anew,
    async now() {
      if (listed === undefined) await anew()
      else if (asking !== undefined) await asking
      else if (needs.clock.now() - listedAt > bounds.oldListMs) void anew()
      return listed!
    },
  }
}

/** What a server lists may depend on what its client can do: what this one is not shown is not gone for that. */
async function hiddenFrom({ store }: LinksNeeds, { id }: McpServer, definitions: readonly string[]): Promise<readonly string[]> {
  const shown = new Set(readList(definitions, []).tools.map(({ name }) => name))
  const listed = await store.read((db) => listSeenTools(db, id))
  return listed.filter((one) => one.goneAt === null && !shown.has(one.name) && !isPseudo(one)).map(({ definition }) => definition)
}

const abilitiesIn = (capabilities: ExactRecord): readonly string[] => Object.keys(capabilities).filter((name) => isRecord(capabilities[name]))
