/** The longest message that is taken: more than the gateway's door takes. */
const LONGEST_LINE = 32 * 1024 * 1024

/** One line of a byte stream, without its end. */
export type Line = { readonly kind: 'line'; readonly bytes: Uint8Array<ArrayBuffer> } | { readonly kind: 'too_long' }

/** MCP over stdio: messages stand between line feeds. What comes after the last one was never finished, and is none. */
export async function* linesOf(stream: AsyncIterable<Uint8Array>, longest = LONGEST_LINE): AsyncGenerator<Line, void> {
  let parts: Uint8Array[] = []
  let size = 0
  const keep = (part: Uint8Array): void => {
    size += part.length
    // What is too long is counted and not held.
    if (size > longest) parts = []
    else if (part.length > 0) parts.push(part)
  }
  const take = (): Line => {
    const line: Line = size > longest ? { kind: 'too_long' } : { kind: 'line', bytes: withoutReturn(Buffer.concat(parts)) }
    parts = []
    size = 0
    return line
  }
  for await (const chunk of stream) {
    let from = 0
    for (let at = chunk.indexOf(LINE_FEED); at !== -1; at = chunk.indexOf(LINE_FEED, from)) {
      keep(chunk.subarray(from, at))
      from = at + 1
      const line = take()
      if (line.kind === 'too_long' || line.bytes.length > 0) yield line
    }
    keep(chunk.subarray(from))
  }
}

const LINE_FEED = 10
const RETURN = 13

const withoutReturn = (bytes: Buffer<ArrayBuffer>): Uint8Array<ArrayBuffer> => (bytes.at(-1) === RETURN ? bytes.subarray(0, -1) : bytes)
