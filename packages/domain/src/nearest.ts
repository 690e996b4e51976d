/** At most one letter of three may be wrong for a word to have been meant. */
const LETTERS_PER_SLIP = 3

/** The word that was probably meant. */
export function nearestOf(word: string, words: Iterable<string>): string | undefined {
  const most = Math.max(1, Math.floor(word.length / LETTERS_PER_SLIP))
  const near = [...words].map((one) => ({ one, slips: slipsBetween(word, one) })).filter(({ slips }) => slips <= most)
  return near.toSorted((a, b) => a.slips - b.slips || (a.one < b.one ? -1 : 1))[0]?.one
}

/** Levenshtein's distance, a swap of two neighbours being one slip. */
function slipsBetween(a: string, b: string): number {
  let [older, old] = [[] as readonly number[], Array.from({ length: b.length + 1 }, (_, j) => j) as readonly number[]]
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1]
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1] ? older[j - 2]! + 1 : Number.POSITIVE_INFINITY
      row.push(Math.min(old[j]! + 1, row[j - 1]! + 1, old[j - 1]! + (same ? 0 : 1), swapped))
    }
    ;[older, old] = [old, row]
  }
  return old[b.length]!
}
