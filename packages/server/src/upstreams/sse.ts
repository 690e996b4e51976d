/** What one blank line of an event stream ends. `data` is null where there was none, and then only the id or the wait counts. */
export type StreamEvent = {
  /** The id of the last event that had one, to go on from; null before the first. */
  readonly lastId: string | null
  readonly data: string | null
  /** How long to wait before going on, where the stream has said so. */
  readonly retryMs: number | null
}

/** The stream can not be read on. */
export class StreamFlaw extends Error {
  readonly code: 'too_large' | 'not_utf8'

  constructor(code: 'too_large' | 'not_utf8') {
    super(`the event stream can not be read: ${code}`)
    this.code = code
  }
}

const LINE_END = /\r\n|\n|\r/g
const LONGEST_ID = 1024

/** Reads an event stream as the HTML standard's "interpreting an event stream" does. A line or an event beyond `most` characters ends it. */
export async function* readEvents(body: AsyncIterable<Uint8Array>, most: number): AsyncGenerator<StreamEvent, void, undefined> {
  const event = eventReader(most)
  for await (const lines of readLines(body, most)) {
    for (const line of lines) {
      const ended = event(line)
      if (ended !== undefined) yield ended
    }
  }
}

/** Takes one line after the other, and answers an event where the line ended one. */
function eventReader(most: number): (line: string) => StreamEvent | undefined {
  let lastId: string | null = null
  let retryMs: number | null = null
  let data: string[] = []
  let size = 0
  let isNews = false
  return (line) => {
    if (line === '') {
      const ended = { lastId, data: data.length === 0 || size === 0 ? null : data.join('\n'), retryMs }
      const had = isNews
      data = []
      size = 0
      isNews = false
      return had ? ended : undefined
    }
    const colon = line.indexOf(':')
    if (colon === 0) return undefined
    const field = colon === -1 ? line : line.slice(0, colon)
    const value = colon === -1 ? '' : line.slice(line[colon + 1] === ' ' ? colon + 2 : colon + 1)
    if (field === 'data') {
      size += value.length
      if (size > most) throw new StreamFlaw('too_large')
      data.push(value)
      isNews = true
    } else if (field === 'id' && !value.includes('\0') && value.length <= LONGEST_ID) {
      lastId = value
      isNews = true
    } else if (field === 'retry' && /^\d{1,9}$/.test(value)) {
      retryMs = Number(value)
      isNews = true
    }
    return undefined
  }
}

/** The whole lines that each piece brought, without their ends. What has no end is no line. */
async function* readLines(body: AsyncIterable<Uint8Array>, most: number): AsyncGenerator<readonly string[], void, undefined> {
  const utf8 = new TextDecoder('utf-8', { fatal: true })
  let begun: string[] = []
  let size = 0
  /** The last piece ended in a carriage return: a line feed that comes next belongs to it. */
  let endedInReturn = false
  for await (const chunk of body) {
    let text = decoded(utf8, chunk)
    if (text === '') continue
    if (endedInReturn && text.startsWith('\n')) text = text.slice(1)
    endedInReturn = text === '' ? false : text.endsWith('\r')
    const parts = text.split(LINE_END)
    const last = parts.pop()!
    if (parts.length > 0) {
      parts[0] = begun.join('') + parts[0]!
      begun = []
      size = 0
      yield parts
    }
    size += last.length
    if (size > most) throw new StreamFlaw('too_large')
    if (last !== '') begun.push(last)
  }
}

function decoded(utf8: InstanceType<typeof TextDecoder>, chunk: Uint8Array): string {
  try {
    return utf8.decode(chunk, { stream: true })
  } catch (cause) {
    if (cause instanceof TypeError) throw new StreamFlaw('not_utf8')
    throw cause
  }
}
