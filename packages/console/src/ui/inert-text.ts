/** Text as it is, or a mark in the place of what nobody would see or what would act on the text around it. */
export type InertPiece = { readonly kind: 'text' | 'mark' | 'mixed'; readonly text: string; /** What the mark stands for, or why the word is marked. */ readonly says?: string }

/** The same set as in `@writ/ledger/inert`: control, format, private and unassigned characters, line ends, and all that fonts draw as nothing. */
const ACTIVE = /[\p{C}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/u
const PIECES = /([\p{C}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]+)|(\p{M}{3})(\p{M}+)/gu

const NAMES: Readonly<Record<number, string>> = {
  0x09: 'tab', 0x0a: 'line end', 0x0d: 'carriage return', 0x1b: 'escape', 0x00: 'nul', 0xad: 'soft hyphen', 0x200b: 'zero-width space', 0x200c: 'zero-width non-joiner', 0x200d: 'zero-width joiner',
  0x200e: 'left-to-right mark', 0x200f: 'right-to-left mark', 0x202a: 'left-to-right embedding', 0x202b: 'right-to-left embedding', 0x202c: 'end of direction', 0x202d: 'left-to-right override',
  0x202e: 'right-to-left override', 0x2066: 'left-to-right isolate', 0x2067: 'right-to-left isolate', 0x2068: 'first-strong isolate', 0x2069: 'end of isolate', 0xfeff: 'byte order mark',
}

/** Letters of one script that look like those of another, in one word. */
const LETTERS = /\p{L}[\p{L}\p{M}\p{N}]*/gu
const isMixed = (word: string): boolean => /\p{Script=Latin}/u.test(word) && /[\p{Script=Cyrillic}\p{Script=Greek}\p{Script=Cherokee}\p{Script=Armenian}]/u.test(word)

/** The text in pieces that a page can show as they are: nothing in them moves, hides or reorders anything. */
export function inertPieces(text: string): readonly InertPiece[] {
  const pieces: InertPiece[] = []
  let from = 0
  for (const found of text.matchAll(PIECES)) {
    const [whole, active, , marks] = found
    pieces.push(...words(text.slice(from, active === undefined ? found.index + 3 : found.index)))
    pieces.push(...(active === undefined ? [{ kind: 'mark' as const, text: `+${Array.from(marks ?? '').length}`, says: 'more marks on one letter' }] : marksOf(active)))
    from = found.index + whole.length
  }
  return [...pieces, ...words(text.slice(from))]
}

function words(text: string): readonly InertPiece[] {
  const pieces: InertPiece[] = []
  let from = 0
  for (const { 0: word, index } of text.matchAll(LETTERS)) {
    if (!isMixed(word)) continue
    if (index > from) pieces.push({ kind: 'text', text: text.slice(from, index) })
    pieces.push({ kind: 'mixed', text: word, says: 'letters of several scripts in one word' })
    from = index + word.length
  }
  return from < text.length ? [...pieces, { kind: 'text', text: text.slice(from) }] : pieces
}

/** Two hundred of one kind are told as one, with their number. */
function marksOf(run: string): readonly InertPiece[] {
  const groups: { readonly code: number; count: number }[] = []
  for (const character of run) {
    const code = character.codePointAt(0)!
    if (groups.at(-1)?.code === code) groups.at(-1)!.count += 1
    else groups.push({ code, count: 1 })
  }
  return groups.map(({ code, count }) => {
    const shown = code === 0x0a ? '↵' : `U+${code.toString(16).toUpperCase().padStart(4, '0')}`
    return { kind: 'mark', text: count === 1 ? shown : `${shown} ×${count}`, says: `${NAMES[code] ?? 'a character that is not seen'}${count === 1 ? '' : `, ${count} times`}` }
  })
}

/** Whether there is anything in it that a reader would not see as it is. */
export const isPlain = (text: string): boolean => !ACTIVE.test(text)
