import { inert } from '@writ/ledger/inert'

/** What a terminal would act on or a reader would not see: the same set as in `@writ/ledger/inert`. */
const ACTIVE = /[\p{C}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/gu

/** Text of several lines, such as a checkpoint, where only the line ends act. */
export const inertLines = (text: string): string => text.split('\n').map(inert).join('\n')

/** Without an end that is left out: for what somebody has to have seen whole. */
export function inertWhole(text: string): string {
  const characters = Array.from(text)
  return Array.from({ length: Math.ceil(characters.length / SOME) }, (_, i) => inertLines(characters.slice(i * SOME, (i + 1) * SOME).join(''))).join('')
}

/** Fewer than `inert` cuts a text at, however many units each has. */
const SOME = 500

/** JSON that holds the same value and is safe to look at: what is active stands as a JSON escape (RFC 8259 §7). */
export function inertJson(value: unknown, indent?: number): string {
  return JSON.stringify(value, null, indent).replaceAll(ACTIVE, (character) => (character === '\n' ? character : escaped(character)))
}

const escaped = (character: string): string => character.split('').map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`).join('')
