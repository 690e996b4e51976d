import { concat } from './bytes.ts'

/** C2SP tlog-tiles: the length before an entry is a uint16. */
export const MOST_ENTRY_BYTES = 0xffff

/** The entries of one tile of level 0, each behind its length as a big-endian uint16. */
export function printEntries(entries: readonly Uint8Array[]): Uint8Array {
  return concat(...entries.flatMap((entry) => {
    if (entry.length > MOST_ENTRY_BYTES) throw new RangeError(`an entry of ${entry.length} bytes does not fit a bundle`)
    return [new Uint8Array([entry.length >> 8, entry.length & 0xff]), entry]
  }))
}

/** The entries, or undefined when the bytes end inside one. */
export function parseEntries(bundle: Uint8Array): readonly Uint8Array[] | undefined {
  const entries: Uint8Array[] = []
  let at = 0
  while (at < bundle.length) {
    const end = at + 2 + ((bundle[at]! << 8) | (bundle[at + 1] ?? 0))
    if (at + 2 > bundle.length || end > bundle.length) return undefined
    entries.push(bundle.slice(at + 2, end))
    at = end
  }
  return entries
}
