/** No line of a log export is longer: a leaf has at most 65,535 bytes, and JSON writes a byte with at most six. */
export const LONGEST_LINE = 1_000_000

const NEWLINE = 0x0a

/**
 * The lines of a UTF-8 text that comes in pieces, in the memory of one line. A line that is too long or not UTF-8 comes out as
 * undefined, and ends it.
 */
export function* linesOf(pieces: Iterable<Uint8Array>): Generator<string | undefined> {
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
  const decode = (bytes: Uint8Array): string | undefined => {
    try {
      return decoder.decode(bytes)
    } catch {
      return undefined
    }
  }
  let rest = new Uint8Array(0)
  for (const piece of pieces) {
    let from = 0
    for (let end = piece.indexOf(NEWLINE); end !== -1; end = piece.indexOf(NEWLINE, from)) {
      const line = piece.subarray(from, end)
      const text = decode(rest.length === 0 ? line : join(rest, line))
      yield text
      if (text === undefined) return
      rest = new Uint8Array(0)
      from = end + 1
    }
    rest = join(rest, piece.subarray(from))
    if (rest.length > LONGEST_LINE) {
      yield undefined
      return
    }
  }
  if (rest.length > 0) yield decode(rest)
}

function join(a: Uint8Array, b: Uint8Array): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(a.length + b.length)
  whole.set(a)
  whole.set(b, a.length)
  return whole
}
