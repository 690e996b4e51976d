/** A place in a text, for a person: lines and columns count from 1, columns in characters. */
export type Place = { readonly line: number; readonly column: number }

/** The place of a UTF-16 code unit. */
export function placeAt(text: string, at: number): Place {
  const before = text.slice(0, at)
  const start = before.lastIndexOf('\n') + 1
  return { line: before.split('\n').length, column: charactersIn(before.slice(start)) + 1 }
}

/** As `placeAt`, for many places of one text. */
export function placesOf(text: string): (at: number) => Place {
  const starts = [0]
  for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', at + 1)) starts.push(at + 1)
  return (at) => {
    let [low, high] = [0, starts.length]
    while (high - low > 1) {
      const middle = (low + high) >> 1
      if (starts[middle]! <= at) low = middle
      else high = middle
    }
    return { line: low + 1, column: charactersIn(text.slice(starts[low], at)) + 1 }
  }
}

/** Which UTF-16 code unit stands at a byte of the text's UTF-8 form: Cedar counts bytes. */
export function unitAtByte(text: string, byte: number): number {
  let bytes = 0
  let at = 0
  while (at < text.length && bytes < byte) {
    const point = text.codePointAt(at)!
    bytes += point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4
    at += point < 0x10000 ? 1 : 2
  }
  return at
}

/** A pair of surrogates is one character. */
const charactersIn = (text: string): number => text.length - (text.match(/[\ud800-\udbff](?=[\udc00-\udfff])/g)?.length ?? 0)
