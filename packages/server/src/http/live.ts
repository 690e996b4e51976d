import type * as contract from '@writ/contract/live'
import type { ApprovalState } from '@writ/domain/approval'
import type { EventLeaf } from '@writ/domain/event'
import { earliest, epochMs, milliseconds, plus, toIso, type EpochMs } from '@writ/domain/time'
import type { Logger } from 'pino'
import type { EventMac } from '../keys/mac.ts'
import type { Bell } from '../platform/bell.ts'
import type { Clock } from '../platform/clock.ts'
import { isAuthentic } from '../record/authentic.ts'
import type { Store } from '../record/tx.ts'
import { listEvents, type StoredEvent } from '../store/events.ts'
import { StorageBusy, StorageUnavailable } from '../store/faults.ts'
import { idOfEventAt, readableUpTo, seqOfEvent } from '../store/follow.ts'

export type LiveNeeds = {
  readonly store: Pick<Store, 'read' | 'dialect'>
  readonly eventMac: EventMac
  readonly clock: Clock
  readonly log: Logger
  /** Rung when something was recorded on this server. */
  readonly recorded: Bell
  /** Once it is aborted, every stream comes to its end. */
  readonly stopping: AbortSignal
  readonly heartbeatMs?: number
}

export type LiveOrder = {
  /** The last event that this listener has seen; it goes on behind it. Undefined begins now. */
  readonly lastId: string | undefined
  /** Whether the listener may see it, and wants to. */
  readonly sees: (event: contract.LiveEvent) => boolean
  /** An event after which the listener has to prove anew who it is: its stream ends, and it comes back. */
  readonly unsettles: (event: contract.LiveEvent) => boolean
  /** Until when that by which the listener came holds, as it stands now; undefined where nothing ends it but an event. */
  readonly standsUntil: () => Promise<EpochMs | undefined>
}

export type Live = {
  /** Undefined where there are too many already. */
  readonly listen: (order: LiveOrder) => Promise<AsyncIterable<string> | undefined>
  readonly listeners: () => number
}

/** Events of other servers are seen within this; those of this one at once, but for what is gathered meanwhile. */
const PACE_MS = 400
const GAP_MS = 40
const HEARTBEAT_MS = 5000
/** Whoever is cut off comes back after this. */
const RETRY_MS = 1000
const MOST_AT_ONCE = 500
/** R46: what waits for a listener that does not read is bounded; who falls behind is cut off, and goes on where it was. */
const MOST_CHARACTERS = 2_097_152
const MOST_LISTENERS = 1000
/** What a listener has proved is asked for again. */
const LONGEST = milliseconds(600_000)

type Told = { readonly seq: number; readonly event: contract.LiveEvent; readonly frame: string }

/** All listeners share one reading of the record, which rests while there is none. */
export function liveStreams(needs: LiveNeeds): Live {
  const open = new Set<Listener>()
  /** Up to which event the open listeners were told; undefined while nobody reads. */
  let at: number | undefined
  let reading: Promise<void> | undefined

  const read = async (): Promise<void> => {
    const news = needs.recorded.listener()
    while (open.size > 0 && !needs.stopping.aborted) {
      try {
        at ??= await readableUpTo(needs.store, 0)
        for (const one of open) one.join(at)
        for (let more = true; more;) {
          const page = await readPage(needs, at)
          for (const one of open) for (const told of page.told) one.tell(told)
          more = page.upTo > at && page.more
          at = page.upTo
        }
      } catch (error) {
        const isExpected = isStoreTrouble(error)
        needs.log[isExpected ? 'warn' : 'error']({ err: isExpected ? (error as Error).message : error }, 'the live stream could not be read and will be tried again')
      }
      await Promise.race([news.heard(PACE_MS), stopped])
      await pause(GAP_MS)
    }
    at = undefined
    reading = undefined
  }
  const begin = (): void => { reading ??= read() }
  const { promise: stopped, resolve: stop } = Promise.withResolvers<void>()
  needs.stopping.addEventListener('abort', () => {
    stop()
    for (const one of open) one.end()
  }, { once: true })

  return {
    listeners: () => open.size,
    async listen(order) {
      if (open.size >= MOST_LISTENERS || needs.stopping.aborted) return undefined
      const last = order.lastId
      const after = last === undefined ? undefined : await needs.store.read((db) => seqOfEvent(db, last))
      const from = after ?? await readableUpTo(needs.store, 0)
      // A transaction that does not end hides where the record is whole: only who was here before knows where to go on.
      if (from === 0 || needs.stopping.aborted) return undefined
      const lastId = after === undefined ? await needs.store.read((db) => idOfEventAt(db, from)) : last
      const listener = new Listener(needs, order, { after: from, resumed: after !== undefined, lastId: lastId, leave: () => { open.delete(listener) } })
      open.add(listener)
      if (at !== undefined) listener.join(at)
      begin()
      return listener
    },
  }
}

type Page = { readonly told: readonly Told[]; readonly upTo: number; readonly more: boolean }

async function readPage({ store, eventMac }: LiveNeeds, after: number): Promise<Page> {
  const upToSeq = await readableUpTo(store, after)
  if (upToSeq <= after) return { told: [], upTo: after, more: false }
  const events = await store.read((db) => listEvents(db, { limit: MOST_AT_ONCE, afterSeq: after, upToSeq }))
  const more = events.length === MOST_AT_ONCE
  return { told: events.filter((event) => isAuthentic(eventMac, event)).map(toldOf), upTo: more ? events.at(-1)!.seq : upToSeq, more }
}

function toldOf({ seq, text }: StoredEvent): Told {
  const leaf = JSON.parse(text) as EventLeaf
  const { id, type, stream, actor, task, identity, lease, facts } = leaf
  const event: contract.LiveEvent = { id, type, stream, at: toIso(leaf.at), actor: { kind: actor.kind, id: actor.id }, task, identity, lease, facts }
  return { seq, event, frame: frameOf('event', event, id) + approvalOf(event) }
}

const STATE_AFTER: Readonly<Record<string, ApprovalState>> = {
  'approval.requested': 'waiting', 'approval.approved': 'approved', 'approval.denied': 'denied', 'approval.lapsed': 'lapsed', 'approval.cancelled': 'cancelled',
}

/** For whoever shows approvals and has no need to know of anything else. */
function approvalOf({ type, at, facts }: contract.LiveEvent): string {
  if (!type.startsWith('approval.') || typeof facts['approval'] !== 'string') return ''
  return frameOf('approval', { id: facts['approval'], type, state: STATE_AFTER[type] ?? null, at } satisfies contract.LiveApproval)
}

const isStoreTrouble = (error: unknown): boolean => error instanceof StorageUnavailable || error instanceof StorageBusy

/** WHATWG HTML §9.2. JSON has no line end but those that we would put into it. */
const frameOf = (word: string, data: object, id?: string): string => `${id === undefined ? '' : `id: ${id}\n`}event: ${word}\ndata: ${JSON.stringify(data)}\n\n`

const pause = (ms: number): Promise<void> => new Promise((resolve) => { setTimeout(resolve, ms) })

/** `lastId`: whoever is cut off before anything was told comes back with it. */
type Begin = { readonly after: number; readonly resumed: boolean; readonly lastId: string | undefined; readonly leave: () => void }

/** One open stream: what has been read for it and not fetched, and how it catches up with what came before it joined. */
class Listener implements AsyncIterable<string>, AsyncIterator<string> {
  readonly #needs: LiveNeeds
  readonly #order: LiveOrder
  readonly #leave: () => void
  readonly #until: EpochMs
  /** Until when it need not be asked whether it still may listen. */
  #knownUntil = epochMs(0)
  #waiting: Told[] = []
  #characters = 0
  /** Up to which event it was told. */
  #at: number
  /** Everything after this one is told by the reader of all; undefined until that reader knows where it is itself. */
  #joinedAt: number | undefined
  /** The newest event that was looked at for it and not told, so that it need not be looked at again. */
  #passed: string | undefined
  #first: string | undefined
  #isCatchingUp = true
  #isEnding = false
  #isOver = false
  #wake: (() => void) | undefined

  constructor(needs: LiveNeeds, order: LiveOrder, { after, resumed, lastId, leave }: Begin) {
    this.#needs = needs
    this.#order = order
    this.#leave = leave
    this.#at = after
    const now = needs.clock.now()
    this.#until = plus(now, LONGEST)
    this.#first = `retry: ${RETRY_MS}\n${frameOf('hello', { at: toIso(now), resumed, heartbeat_ms: this.#heartbeatMs() } satisfies contract.LiveHello, lastId)}`
  }

  join(at: number): void {
    this.#joinedAt ??= at
  }

  tell(told: Told): void {
    if (this.#isEnding) return
    if (this.#characters > MOST_CHARACTERS) return this.end()
    this.#waiting.push(told)
    this.#characters += told.frame.length
    this.#wake?.()
  }

  end(): void {
    this.#isEnding = true
    this.#wake?.()
  }

  [Symbol.asyncIterator](): AsyncIterator<string> {
    return this
  }

  async next(): Promise<IteratorResult<string>> {
    try {
      for (;;) {
        const text = await this.#more()
        // Asked before anything is told: what it is not told now it is told when it has come back.
        if (text === undefined || !(await this.#stands())) return await this.return()
        if (text !== '') return { done: false, value: text }
      }
    } catch (error) {
      const over = await this.return()
      if (isStoreTrouble(error)) return over
      throw error
    }
  }

  async return(): Promise<IteratorResult<string>> {
    this.#isOver = true
    this.#leave()
    this.end()
    return { done: true, value: undefined }
  }

  /** Undefined at the end; empty where what came is not for this listener. */
  async #more(): Promise<string | undefined> {
    if (this.#isOver) return undefined
    const first = this.#first
    if (first !== undefined) {
      this.#first = undefined
      return first
    }
    if (this.#isCatchingUp && !this.#isEnding) return this.#caughtUp()
    if (this.#waiting.length === 0 && !this.#isEnding) {
      await this.#heard(Math.min(this.#heartbeatMs(), Math.max(1, this.#knownUntil - this.#needs.clock.now())))
      if (this.#waiting.length === 0 && !this.#isEnding) return this.#heartbeat()
    }
    // What waits when the end comes is told on the next connection.
    if (this.#isEnding) return undefined
    const waiting = this.#waiting.splice(0)
    this.#characters = 0
    return this.#show(waiting)
  }

  /** A page of what came before it joined; those that were read for all meanwhile are known by their numbers. */
  async #caughtUp(): Promise<string> {
    const page = await readPage(this.#needs, this.#at)
    const text = this.#show(page.told)
    this.#at = Math.max(this.#at, page.upTo)
    this.#isCatchingUp = page.more || this.#joinedAt === undefined || this.#at < this.#joinedAt
    if (this.#isCatchingUp && page.told.length === 0) await this.#heard(GAP_MS)
    return text
  }

  #show(all: readonly Told[]): string {
    let text = ''
    for (const { seq, event, frame } of all) {
      if (seq <= this.#at) continue
      this.#at = seq
      const isSeen = this.#order.sees(event)
      if (isSeen) text += frame
      this.#passed = isSeen ? undefined : event.id
      if (this.#order.unsettles(event)) {
        this.end()
        break
      }
    }
    return text
  }

  #heartbeat(): string {
    const passed = this.#passed
    this.#passed = undefined
    return frameOf('heartbeat', { at: toIso(this.#needs.clock.now()) }, passed)
  }

  /** Asked of the store only when the time has come at which it would end. */
  async #stands(): Promise<boolean> {
    if (this.#needs.clock.now() >= this.#knownUntil) this.#knownUntil = earliest(this.#until, await this.#order.standsUntil() ?? this.#until)
    return this.#needs.clock.now() < this.#knownUntil
  }

  #heartbeatMs(): number {
    return this.#needs.heartbeatMs ?? HEARTBEAT_MS
  }

  async #heard(ms: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    const timer = setTimeout(resolve, ms)
    this.#wake = resolve
    await promise
    clearTimeout(timer)
    this.#wake = undefined
  }
}
