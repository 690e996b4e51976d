import type { ExactRecord, ExactValue } from '@writ/domain/exact'
import { InexactNumber } from '@writ/domain/exact'
import type { HiddenText } from '../store/mcp-servers.ts'

/**
 * Characters that are not seen, or that move or undo what is seen: Unicode's Default_Ignorable_Code_Point (zero-width and bidirectional
 * controls, tags, variation selectors, fillers), the other format characters, separators of lines and paragraphs, private use, what is not
 * assigned, controls but tab and line ends, and the blank of Braille.
 */
const UNSEEN = /[\p{Default_Ignorable_Code_Point}\p{Cf}\p{Zl}\p{Zp}\p{Co}\p{Cn}\p{Cs}\u{2800}]|(?![\t\n\r])\p{Cc}/gu

/** What makes an emoji out of a sign, and one emoji out of two: seen, for they change what is shown. */
const EMOJI = /(?<=[\p{Extended_Pictographic}\p{Emoji_Modifier}#*0-9])\uFE0F|(?<=[\p{Extended_Pictographic}\p{Emoji_Modifier}]\uFE0F?)\u200D(?=\p{Extended_Pictographic})/gu

const MOST_PLACES = 50
const MOST_CHARACTERS = 20
const MOST_LOOKED_AT = 1000

/** The first of the places where invisible characters stand in a definition, in names of members too. */
export function findHiddenText(definition: ExactRecord): readonly HiddenText[] {
  const found: HiddenText[] = []
  look(definition, '', found)
  return found.slice(0, MOST_PLACES)
}

function look(value: ExactValue, at: string, found: HiddenText[]): void {
  if (found.length >= MOST_PLACES) return
  if (typeof value === 'string') note(value, at, 'value', found)
  if (typeof value !== 'object' || value === null || value instanceof InexactNumber) return
  if (isList(value)) {
    for (const [i, one] of value.entries()) look(one, `${at}/${i}`, found)
    return
  }
  for (const [name, one] of Object.entries(value)) {
    // RFC 6901 §3
    const below = `${at}/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`
    note(name, below, 'name', found)
    look(one, below, found)
  }
}

function note(text: string, at: string, where: HiddenText['in'], found: HiddenText[]): void {
  const characters = hiddenIn(text)
  if (characters.length > 0) found.push({ at: inert(at), in: where, characters: characters.slice(0, MOST_CHARACTERS) })
}

/** As `U+200B`, each once, in the order in which they come; of a text that is full of them, those at its beginning. */
export function hiddenIn(text: string): readonly string[] {
  if (text.search(UNSEEN) === -1) return []
  const found = new Set<string>()
  let looked = 0
  for (const [character] of text.replaceAll(EMOJI, '').matchAll(UNSEEN)) {
    found.add(codePoint(character))
    if (++looked === MOST_LOOKED_AT) break
  }
  return [...found]
}

const codePoint = (character: string): string => `U+${character.codePointAt(0)!.toString(16).toUpperCase().padStart(4, '0')}`

/** A place is shown to people: what can not be seen in it is spelt. */
const inert = (at: string): string => at.replaceAll(UNSEEN, (character) => `\\u{${character.codePointAt(0)!.toString(16)}}`)

const isList = (value: readonly ExactValue[] | ExactRecord): value is readonly ExactValue[] => Array.isArray(value)
