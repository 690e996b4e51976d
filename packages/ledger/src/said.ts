import { inert, quoted } from './inert.ts'

/** Whose words they are; nothing of what is said here was checked by Writ. */
export type Speaker = 'agent' | 'person' | 'stranger'

/** How words that are not Writ's are introduced, wherever they are shown. */
export const WORDS_OF: Readonly<Record<Speaker, string>> = {
  agent: 'the agent\'s words, not verified', person: 'a person\'s words', stranger: 'words that are not Writ\'s, not verified',
}

/** By who an event says did it. */
export const speakerOf = (actor: { readonly kind: string }): Speaker =>
  (actor.kind === 'identity' ? 'agent' : actor.kind === 'operator' || actor.kind === 'person' ? 'person' : 'stranger')

/** On one line, marked, inert, and between quotes that they can't close. */
export const marked = (speaker: Speaker, text: string): string => `${WORDS_OF[speaker]}: ${quoted(text)}`

/** Mail programs and chats make links of whatever looks like one: here nothing does. */
export const unlinked = (text: string): string => text
  .replaceAll(/:(?=\/\/)/g, '[:]')
  .replaceAll(/(?<=[\p{L}\p{N}])\.(?=\p{L}{2})/gu, '[.]')
  .replaceAll(/@(?=[\p{L}\p{N}])/gu, '[@]')
  .replaceAll(/\b(mailto|tel|sms|javascript|data|file|slack|msteams|intent):/gi, '$1[:]')

/** The same for a text of any depth: names and values. Numbers and such are what they are. */
export function inertDeeply(value: unknown): unknown {
  if (typeof value === 'string') return inert(value)
  if (Array.isArray(value)) return value.map(inertDeeply)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [inert(name), inertDeeply(one)]))
}
