import { bell } from '../platform/bell.ts'

/** How long a client waits before it comes back to a connection that we closed. */
export const RETRY_MS = 1000
const KEEP_ALIVE_MS = 15_000
/** What was delivered is kept within these bounds, for whoever lost its connection. */
export type KeptBounds = { readonly events: number; readonly characters: number }
const OF_A_REQUEST: KeptBounds = { events: 256, characters: 1_048_576 }

/** The Content-Type and its company. `x-accel-buffering` keeps a proxy from collecting events before it passes them on. */
export const EVENT_STREAM_HEADERS: Readonly<Record<string, string>> = {
  'content-type': 'text/event-stream', 'cache-control': 'no-store, no-transform', 'x-accel-buffering': 'no',
}

/**
 * One stream of Server-Sent Events (WHATWG HTML §9.2). It outlives its connections: each event has an id, and who comes back with one gets
 * what came after it.
 */
export type EventStream = {
  readonly id: string
  /** One JSON text. What `may` be lost is dropped while more waits than is kept for anybody. */
  say(json: string, loss?: 'must' | 'may'): void
  /** Nothing more comes; what was said is still delivered. */
  end(): void
  /** Whether a connection is there. */
  readonly isHeard: boolean
  readonly isOver: boolean
  /** Characters that are kept. */
  readonly size: number
  /** Whether everything after this event is still here. */
  holds(after: number): boolean
  /** What goes out on a connection: from the beginning, or after an event. It takes the place of the connection before it. */
  connect(after: number | undefined, until: AbortSignal): AsyncGenerator<string, void>
  /** Ends the connection and not the stream: the client is told when to come back. */
  hangUp(): void
}

export type EventStreamOrder = {
  readonly id: string
  /** An event without text, with which a client can come back before anything was said; readers of older revisions take it for a broken message. */
  readonly primes: boolean
  readonly most?: KeptBounds
  readonly keepAliveMs?: number
}

const COMMENT = ':\n\n'

type Kept = { readonly at: number; readonly frame: string }

export function eventStream({ id, primes, most = OF_A_REQUEST, keepAliveMs = KEEP_ALIVE_MS }: EventStreamOrder): EventStream {
  const kept: Kept[] = []
  const news = bell()
  let last = 0
  let delivered = 0
  let size = 0
  let isOver = false
  /** Counts connections: only the newest is served. */
  let connection = 0
  let isHeard = false

  const trim = (): void => {
    while (kept.length > 0 && kept[0]!.at <= delivered && (kept.length > most.events || size > most.characters)) size -= kept.shift()!.frame.length
  }
  const isFull = (): boolean => last - delivered >= most.events || size >= most.characters

  const leave = (one: number): void => {
    if (one === connection) isHeard = false
    news.ring()
  }

  async function* flow(mine: number, after: number | undefined, until: AbortSignal): AsyncGenerator<string, void> {
    const listener = news.listener()
    try {
      let at = after ?? 0
      // Without a first word nobody would send the head of the answer.
      yield after === undefined && primes ? `id: ${id}-0\ndata: \n\n` : COMMENT
      while (mine === connection && !until.aborted) {
        const next = kept.find((one) => one.at > at)
        if (next !== undefined) {
          at = next.at
          delivered = Math.max(delivered, at)
          yield next.frame
          continue
        }
        if (isOver) return
        await listener.heard(keepAliveMs)
        const isQuiet = last === at && !isOver && mine === connection && !until.aborted
        if (isQuiet) yield COMMENT
      }
      // The stream goes on: somebody may come back to it.
      if (!until.aborted) yield `retry: ${RETRY_MS}\n\n`
    } finally {
      leave(mine)
      trim()
    }
  }

  return {
    id,
    get isHeard() {
      return isHeard
    },
    get isOver() {
      return isOver
    },
    get size() {
      return size
    },
    say(json, loss = 'must') {
      trim()
      if (isOver || (loss === 'may' && isFull())) return
      last += 1
      const frame = `id: ${id}-${last}\ndata: ${onOneLine(json)}\n\n`
      kept.push({ at: last, frame })
      size += frame.length
      news.ring()
    },
    end() {
      isOver = true
      news.ring()
    },
    holds: (after) => after >= (kept[0]?.at ?? last + 1) - 1 && after <= last,
    connect(after, until) {
      connection += 1
      const mine = connection
      news.ring()
      isHeard = !until.aborted
      until.addEventListener('abort', () => { leave(mine) }, { once: true })
      return flow(mine, after, until)
    },
    hangUp() {
      connection += 1
      isHeard = false
      news.ring()
    },
  }
}

/** The id of an event, taken apart. */
export function readEventId(text: string): { readonly stream: string; readonly at: number } | undefined {
  const found = /^(\d{1,9})-(\d{1,9})$/.exec(text)
  return found === null ? undefined : { stream: found[1]!, at: Number(found[2]) }
}

/** A line feed inside of JSON stands between its words only, and would end the event's line. */
const onOneLine = (json: string): string => (/[\r\n]/.test(json) ? json.replaceAll(/[\r\n]+/g, ' ') : json)
