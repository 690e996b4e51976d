/** Longer texts are cut where they are shown; the certificate keeps them whole. */
const LONGEST = 2000

/** Control, format (bidi, zero width), surrogate, private and unassigned characters, line separators, and all that fonts draw as nothing. */
const ACTIVE = /[\p{C}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/gu

/** The text with everything that could move, hide or reorder other text written as `\u{...}`; a backslash is doubled: no escape can be forged. */
export function inert(text: string): string {
  const shown = text.slice(0, LONGEST).replaceAll('\\', '\\\\').replaceAll(ACTIVE, (character) => `\\u{${character.codePointAt(0)!.toString(16)}}`)
  return text.length > LONGEST ? `${shown}... (${text.length - LONGEST} more characters)` : shown
}

/** Inert and between quotes that the text can't close. */
export const quoted = (text: string): string => `"${inert(text).replaceAll('"', '\\"')}"`
