import { liveEvent, liveHello, liveStream, type LiveEvent } from '@writ/contract/live'
import { setTimeout as wait } from 'node:timers/promises'
import { open, type Connection } from './client.ts'
import { CommandFailure, EXIT } from './exit.ts'

export type FollowOrder = {
  readonly query: { readonly stream?: LiveEvent['stream'] | undefined; readonly task?: string | undefined }
  /** Goes on behind this event; begins now without it. */
  readonly after?: string | undefined
  /** The stream is cut, and is being asked for again. */
  readonly onCut: (why: string) => void
  /** It goes on. `isWhole`: nothing was lost meanwhile. */
  readonly onResumed: (isWhole: boolean) => void
}

/** No heartbeat for this long: the line is dead, even where nobody said so. */
const SILENT_HEARTBEATS = 2.5
/** Until the server has said how often its heart beats. */
const LONGEST_FIRST_WORD_MS = 10_000
const FIRST_DELAY_MS = 200
const LONGEST_DELAY_MS = 5000

/** What is recorded, as it comes, for ever: a stream that is cut is asked for again where it was. */
export async function* follow(connection: Connection, order: FollowOrder): AsyncGenerator<LiveEvent> {
  let last = order.after
  let cuts = 0
  let isFirst = true
  for (;;) {
    try {
      for await (const { word, id, data } of wordsOf(connection, order, last)) {
        last = id ?? last
        if (word === 'hello') {
          cuts = 0
          const { resumed } = liveHello.parse(data)
          if (!isFirst || order.after !== undefined) order.onResumed(resumed)
          isFirst = false
        } else if (word === 'event') {
          yield liveEvent.parse(data)
        }
      }
    } catch (fault) {
      const mayPass = fault instanceof Cut || (fault instanceof CommandFailure && !isFirst && (fault.exit === EXIT.unreachable || fault.exit === EXIT.rate_limited || fault.exit === EXIT.timed_out))
      if (!mayPass) throw fault
      if (cuts === 0) order.onCut(fault.message)
    }
    await wait(Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** cuts++) * (0.5 + Math.random() / 2))
  }
}

/** The line is dead, or what came over it ended in the middle. */
class Cut extends Error {}

type Word = { readonly word: string; readonly id: string | undefined; readonly data: unknown }

async function* wordsOf(connection: Connection, { query }: FollowOrder, lastEventId: string | undefined): AsyncGenerator<Word> {
  const silence = new AbortController()
  let mostMs = LONGEST_FIRST_WORD_MS
  const cut = (): void => { silence.abort(new Cut(`${connection.server} has been silent for too long`)) }
  let timer = setTimeout(cut, mostMs)
  const heard = (): void => {
    clearTimeout(timer)
    timer = setTimeout(cut, mostMs)
  }
  try {
    const body = await open(connection, liveStream, { query, lastEventId, timeoutMs: Infinity, signal: silence.signal })
    for await (const block of blocksOf(body)) {
      const word = parseBlock(block)
      if (word?.word === 'hello') mostMs = liveHello.parse(word.data).heartbeat_ms * SILENT_HEARTBEATS
      heard()
      if (word !== undefined) yield word
    }
  } catch (fault) {
    if (silence.signal.aborted) throw silence.signal.reason
    throw fault instanceof TypeError ? new Cut('the connection was lost', { cause: fault }) : fault
  } finally {
    clearTimeout(timer)
  }
}

/** WHATWG HTML §9.2.6: blocks are parted by an empty line; a server of ours ends lines with a line feed. */
async function* blocksOf(body: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder()
  let text = ''
  for await (const piece of body) {
    text += decoder.decode(piece, { stream: true })
    const blocks = text.split('\n\n')
    text = blocks.pop()!
    yield* blocks
  }
}

function parseBlock(block: string): Word | undefined {
  const fields = new Map(block.split('\n').map((line) => [line.slice(0, Math.max(0, line.indexOf(':'))), line.slice(line.indexOf(':') + 1).replace(/^ /, '')]))
  const data = fields.get('data')
  return data === undefined ? undefined : { word: fields.get('event') ?? 'message', id: fields.get('id'), data: JSON.parse(data) }
}
