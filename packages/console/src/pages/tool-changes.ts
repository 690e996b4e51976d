export type ChangedLine = { readonly kind: 'same' | 'added' | 'removed'; readonly text: string }

/** Exact JSON in lines that a person can compare; numbers stay as they were written. */
export function linesOf(json: string): readonly string[] {
  const lines: string[] = []
  let line = ''
  let depth = 0
  const end = (): void => {
    if (line.trim() !== '') lines.push('  '.repeat(depth) + line.trim())
    line = ''
  }
  for (const [token] of json.matchAll(/"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s"{}[\],:]+/g)) {
    if (token === '{' || token === '[') {
      line += token
      end()
      depth += 1
    } else if (token === '}' || token === ']') {
      end()
      depth -= 1
      line = token
    } else if (token === ',') {
      line += token
      end()
    } else line += token === ':' ? ': ' : token
  }
  end()
  return lines
}

/** Two texts of JSON, compared line by line. */
export const changedLines = (before: string, after: string): readonly ChangedLine[] => comparedLines(linesOf(before), linesOf(after))

/** The longest lines that both have stand; what is around them was removed or added. */
export function comparedLines(a: readonly string[], b: readonly string[]): readonly ChangedLine[] {
  const longest = lengthsOf(a, b)
  const changed: ChangedLine[] = []
  let [i, j] = [0, 0]
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      changed.push({ kind: 'same', text: a[i]! })
      i += 1
      j += 1
    } else if (j >= b.length || (i < a.length && longest[i + 1]![j]! >= longest[i]![j + 1]!)) changed.push({ kind: 'removed', text: a[i++]! })
    else changed.push({ kind: 'added', text: b[j++]! })
  }
  return changed
}

function lengthsOf(a: readonly string[], b: readonly string[]): readonly (readonly number[])[] {
  const lengths = Array.from({ length: a.length + 1 }, () => Array.from({ length: b.length + 1 }, () => 0))
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) lengths[i]![j] = a[i] === b[j] ? lengths[i + 1]![j + 1]! + 1 : Math.max(lengths[i + 1]![j]!, lengths[i]![j + 1]!)
  }
  return lengths
}
