/** One event of a stream of Server-Sent Events; `data` is null where it has none, and only its id or its pause is news. */
export type SseEvent = { readonly data: string | null; readonly id: string | undefined; readonly retryMs: number | undefined }

/** No event is longer: the gateway bounds what it passes on. */
const LONGEST = 64 * 1024 * 1024

/** WHATWG HTML §9.2.6: the events of a stream. A stream that ends within an event has not said it. */
export async function* eventsIn(stream: AsyncIterable<Uint8Array>): AsyncGenerator<SseEvent, void> {
  const decoder = new TextDecoder()
  let rest = ''
  let lines: string[] = []
  let isAfterReturn = false
  for await (const chunk of stream) {
    const came = decoder.decode(chunk, { stream: true })
    // CR LF is one end of a line, also where the two come apart.
    const text = isAfterReturn && came.startsWith('\n') ? came.slice(1) : came
    if (came !== '') isAfterReturn = came.endsWith('\r')
    // Only what is new can end a line.
    const parts = /[\r\n]/.test(text) ? (rest + text).split(/\r\n|\n|\r/) : [rest + text]
    rest = parts.pop()!
    for (const line of parts) {
      if (line !== '') lines.push(line)
      else if (lines.length > 0) {
        yield eventOf(lines)
        lines = []
      }
    }
    if (rest.length > LONGEST) throw new Error('an event is too long')
  }
}

function eventOf(lines: readonly string[]): SseEvent {
  const data: string[] = []
  let id: string | undefined
  let retryMs: number | undefined
  for (const line of lines) {
    const colon = line.indexOf(':')
    const field = colon === -1 ? line : line.slice(0, colon)
    const value = colon === -1 ? '' : line.slice(colon + (line[colon + 1] === ' ' ? 2 : 1))
    if (field === 'data') data.push(value)
    else if (field === 'id' && !value.includes('\0')) id = value
    else if (field === 'retry' && /^\d{1,9}$/.test(value)) retryMs = Number(value)
  }
  const text = data.join('\n')
  return { data: text.trim() === '' ? null : text, id, retryMs }
}
