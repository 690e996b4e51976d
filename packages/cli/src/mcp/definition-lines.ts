import { parseExactJson } from '@writ/contract/strict-json'
import { exactText } from '@writ/domain/exact'
import { inert } from '@writ/ledger/inert'
import type { Painter } from '../output.ts'
import { differencesBetween, lineDifferences, type LineDifference } from '../policy/line-differences.ts'

/** Lines that are the same, around those that are not. */
const CONTEXT = 2

/** A definition in lines, every character of it in sight. */
export const definitionLines = (definition: string): readonly string[] => spread(definition).split('\n').map(whole)

/** How one definition became the other, word by word: `[-gone-]` and `{+new+}`, with the lines around. */
export function differenceLines(before: string, after: string, paint: Painter): readonly string[] {
  const hunks = hunksOf(lineDifferences(spread(before), spread(after)))
  return hunks.flatMap((hunk, i) => {
    if (hunk.kind === 'same') return contextOf(hunk.lines, i > 0, i < hunks.length - 1).map((line) => (line === null ? paint.dim('  ...') : `  ${whole(line)}`))
    return wordsOf(hunk.was.join('\n'), hunk.is.join('\n'), paint).split('\n').map((line) => `${paint.yellow('~')} ${line}`)
  })
}

/** What the server keeps is one line. */
function spread(definition: string): string {
  const read = parseExactJson(definition)
  return read.ok ? exactText(read.value, 2) : definition
}

type Hunk = { readonly kind: 'same'; readonly lines: string[] } | { readonly kind: 'changed'; readonly was: string[]; readonly is: string[] }

function hunksOf(differences: readonly LineDifference[]): readonly Hunk[] {
  const hunks: Hunk[] = []
  for (const { sign, line } of differences) {
    const last = hunks.at(-1)
    if (sign === ' ') {
      if (last?.kind === 'same') last.lines.push(line)
      else hunks.push({ kind: 'same', lines: [line] })
      continue
    }
    const changed: Hunk & { readonly kind: 'changed' } = last?.kind === 'changed' ? last : { kind: 'changed', was: [], is: [] }
    if (changed !== last) hunks.push(changed)
    changed[sign === '-' ? 'was' : 'is'].push(line)
  }
  return hunks
}

/** Null stands for lines that are left out. */
function contextOf(lines: readonly string[], isAfter: boolean, isBefore: boolean): readonly (string | null)[] {
  const [head, tail] = [isAfter ? CONTEXT : 0, isBefore ? CONTEXT : 0]
  if (lines.length <= head + tail) return lines
  return [...lines.slice(0, head), null, ...lines.slice(lines.length - tail)]
}

function wordsOf(was: string, is: string, paint: Painter): string {
  const parts: { readonly sign: LineDifference['sign']; text: string }[] = []
  for (const { sign, line: word } of differencesBetween(words(was), words(is))) {
    const last = parts.at(-1)
    if (last?.sign === sign) last.text += word
    else parts.push({ sign, text: word })
  }
  return parts.map(({ sign, text }) => text.split('\n').map((line) => marked(sign, unmarked(whole(line)), paint)).join('\n')).join('')
}

/** What a definition itself holds is no mark of ours. */
const unmarked = (line: string): string => line.replaceAll(/\[(?=-)|\{(?=\+)|-(?=\])|\+(?=\})/g, (sign) => `\\u{${sign.codePointAt(0)!.toString(16)}}`)

const marked = (sign: LineDifference['sign'], text: string, paint: Painter): string =>
  (sign === ' ' || text === '' ? text : sign === '-' ? paint.red(`[-${text}-]`) : paint.green(`{+${text}+}`))

/** Words, blanks, and each other character by itself. */
const words = (text: string): readonly string[] => text.match(/[\p{L}\p{N}_]+|[ \t]+|\n|./gsu) ?? []

/** Less than `inert` cuts at, so that nothing is. */
const PIECE = 1000

/** Inert, however long: what is accepted unread could hide behind a cut. */
function whole(line: string): string {
  const characters = Array.from(line)
  if (characters.length <= PIECE) return inert(line)
  return Array.from({ length: Math.ceil(characters.length / PIECE) }, (_, i) => inert(characters.slice(i * PIECE, (i + 1) * PIECE).join(''))).join('')
}
