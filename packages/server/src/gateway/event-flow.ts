/** Events of one answer: what is said in between, and the last word. Nobody comes back to it. */
export type EventFlow = {
  /** A text that may be lost when its client does not read. */
  say(json: string): void
  /** The last text, or none. */
  end(json?: string): void
  /** What goes out, until the last word or the abort. */
  readonly texts: AsyncIterable<string>
}

/** R46: what waits for a client that does not read is bounded. */
const MOST_WAITING = 1000
const MOST_CHARACTERS = 1_048_576
const KEEP_ALIVE_MS = 15_000

/** WHATWG HTML §9.2; a line that begins with a colon says nothing and keeps the connection. */
const COMMENT = ':\n\n'
const eventOf = (json: string): string => `event: message\ndata: ${json}\n\n`

export function eventFlow(until: AbortSignal, keepAliveMs = KEEP_ALIVE_MS): EventFlow {
  const waiting: string[] = []
  let characters = 0
  let isOver = false
  let wake: (() => void) | undefined
  until.addEventListener('abort', () => { wake?.() }, { once: true })

  /** Answers at the latest when something has to be said to keep the connection. */
  async function more(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    const timer = setTimeout(resolve, keepAliveMs)
    wake = resolve
    await promise
    clearTimeout(timer)
    wake = undefined
  }

  async function* flow(): AsyncGenerator<string, void> {
    // The head goes out with the first text.
    yield COMMENT
    for (;;) {
      const all = waiting.splice(0)
      characters = 0
      if (all.length > 0) yield all.join('')
      if (until.aborted || (isOver && waiting.length === 0)) return
      if (waiting.length > 0) continue
      if (isOver) return
      await more()
      if (!isOver && waiting.length === 0 && !until.aborted) yield COMMENT
    }
  }

  return {
    say(json) {
      if (isOver || waiting.length >= MOST_WAITING || characters + json.length > MOST_CHARACTERS) return
      characters += json.length
      waiting.push(eventOf(json))
      wake?.()
    },
    end(json) {
      if (isOver) return
      isOver = true
      if (json !== undefined) waiting.push(eventOf(json))
      wake?.()
    },
    texts: { [Symbol.asyncIterator]: flow },
  }
}
