import { parse } from 'lossless-json'

/**
 * Why a text is not JSON that every reader takes for the same value. `at` counts UTF-16 code units from the start of the text.
 * Nothing of the text is repeated but the name of a member, cut to 64 characters.
 */
export type StrictJsonRefusal =
  | { readonly kind: 'malformed_json' }
  | { readonly kind: 'too_deep'; readonly at: number; readonly most: number }
  | { readonly kind: 'too_many_keys'; readonly at: number; readonly most: number }
  | { readonly kind: 'too_many_elements'; readonly at: number; readonly most: number }
  | { readonly kind: 'duplicate_key'; readonly at: number; readonly key: string }
  | { readonly kind: 'forbidden_key'; readonly at: number; readonly key: string }
  | { readonly kind: 'unsafe_number'; readonly at: number }
  | { readonly kind: 'unsafe_text'; readonly at: number }

export type JsonLimits = {
  /** How many arrays and objects may stand inside of each other. */
  readonly depth: number
  /** How many members all the objects may have together. */
  readonly keys: number
  /** How many elements all the arrays may have together. */
  readonly elements: number
}

/** Names that reach the prototype of the object that some later code copies them to. */
export const FORBIDDEN_KEYS: ReadonlySet<string> = new Set(['__proto__', 'constructor', 'prototype'])

const NUMBER = /-?\d[\d.eE+-]*/y
const BLANK = /[\t\n\r ]*/y

/** One pass over the words of the text, without recursion. It finds every flaw but bad grammar, of which it notices only what is in its way. */
export function findFlaw(text: string, most: JsonLimits, isFlawed: (number: string) => boolean): StrictJsonRefusal | undefined {
  /** The names seen so far in each object that is open; null for an array. */
  const open: (Set<string> | null)[] = []
  let keys = 0
  let elements = 0
  for (let at = 0; at < text.length; at++) {
    const character = text[at]!
    if (character === '{' || character === '[') {
      if (open.length === most.depth) return { kind: 'too_deep', at, most: most.depth }
      open.push(character === '{' ? new Set() : null)
    } else if (character === '}' || character === ']') {
      open.pop()
    } else if (character === ',' && open.at(-1) === null) {
      elements += 1
      if (elements >= most.elements) return { kind: 'too_many_elements', at, most: most.elements }
    } else if (character === '"') {
      const end = endOfString(text, at)
      const value = stringOf(text, at, end)
      if (!value.isWellFormed() || value.includes('\0')) return { kind: 'unsafe_text', at }
      if (isKey(text, end)) {
        keys += 1
        if (keys > most.keys) return { kind: 'too_many_keys', at, most: most.keys }
        const flaw = findKeyFlaw(value, at, open.at(-1))
        if (flaw) return flaw
      }
      at = end - 1
    } else if (character === '-' || (character >= '0' && character <= '9')) {
      const number = match(NUMBER, text, at)
      if (number !== '' && isFlawed(number)) return { kind: 'unsafe_number', at }
      at += Math.max(number.length, 1) - 1
    }
  }
  return undefined
}

function findKeyFlaw(key: string, at: number, siblings: Set<string> | null | undefined): StrictJsonRefusal | undefined {
  if (!siblings) throw new SyntaxError('a member outside of an object')
  if (FORBIDDEN_KEYS.has(key)) return { kind: 'forbidden_key', at, key }
  if (siblings.has(key)) return { kind: 'duplicate_key', at, key: shorten(key) }
  siblings.add(key)
  return undefined
}

/** The index behind the closing quote. */
function endOfString(text: string, start: number): number {
  for (let at = start + 1; at < text.length; at++) {
    const character = text[at]
    if (character === '"') return at + 1
    if (character === '\\') at += 1
  }
  throw new SyntaxError('a string without an end')
}

/** The parser knows the escapes; most strings have none. */
function stringOf(text: string, start: number, end: number): string {
  const inner = text.slice(start + 1, end - 1)
  return inner.includes('\\') ? String(parse(text.slice(start, end))) : inner
}

/** In JSON a string stands before a colon exactly when it names a member. */
const isKey = (text: string, end: number): boolean => text[end + match(BLANK, text, end).length] === ':'

function match(pattern: RegExp, text: string, at: number): string {
  pattern.lastIndex = at
  return pattern.exec(text)?.[0] ?? ''
}

/** Not in the middle of a pair: `toWellFormed` mends the cut. */
const shorten = (key: string): string => (key.length > 64 ? `${key.slice(0, 64).toWellFormed()}...` : key)
