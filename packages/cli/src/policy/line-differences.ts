/** A line of two texts: in both, or in one of them. */
export type LineDifference = { readonly sign: ' ' | '-' | '+'; readonly line: string }

/** Past this many pairs of lines nobody compares them by eye either. */
const MOST_PAIRS = 4_000_000

/** How one text became the other, line by line, by their longest common subsequence. */
export const lineDifferences = (before: string | null, after: string | null): readonly LineDifference[] => differencesBetween(linesIn(before), linesIn(after))

/** The same of anything that a text falls into. */
export function differencesBetween(was: readonly string[], is: readonly string[]): readonly LineDifference[] {
  if (was.length * is.length > MOST_PAIRS) return [...was.map(removed), ...is.map(added)]
  const longest = commonLengths(was, is)
  const found: LineDifference[] = []
  let [i, j] = [0, 0]
  while (i < was.length && j < is.length) {
    if (was[i] === is[j]) {
      found.push({ sign: ' ', line: was[i]! })
      i += 1
      j += 1
    } else if (longest[i + 1]![j]! >= longest[i]![j + 1]!) {
      found.push(removed(was[i]!))
      i += 1
    } else {
      found.push(added(is[j]!))
      j += 1
    }
  }
  return [...found, ...was.slice(i).map(removed), ...is.slice(j).map(added)]
}

const linesIn = (text: string | null): readonly string[] => (text === null ? [] : text.split('\n'))
const removed = (line: string): LineDifference => ({ sign: '-', line })
const added = (line: string): LineDifference => ({ sign: '+', line })

/** How many lines the rests from i and from j on have in common. */
function commonLengths(was: readonly string[], is: readonly string[]): readonly (readonly number[])[] {
  const lengths = Array.from({ length: was.length + 1 }, () => Array.from({ length: is.length + 1 }, () => 0))
  for (let i = was.length - 1; i >= 0; i--) {
    for (let j = is.length - 1; j >= 0; j--) lengths[i]![j] = was[i] === is[j] ? lengths[i + 1]![j + 1]! + 1 : Math.max(lengths[i + 1]![j]!, lengths[i]![j + 1]!)
  }
  return lengths
}
