import { fails, holds, type Checked } from './checked.ts'

export type JsonValue = string | number | boolean | null | readonly JsonValue[] | { readonly [name: string]: JsonValue }

/** Deeper than this is no event and no certificate, and would end in a stack overflow. */
const DEEPEST = 64

/** RFC 8785 canonical text of our own value; throws on what JSON can't say, which is a bug of the caller. */
export function canonical(value: JsonValue): string {
  const text = toCanonical(value)
  if (!text.ok) throw new Error(`no canonical form: ${text.refusal.detail}`)
  return text.value
}

/** RFC 8785 canonical text of a value from outside. Refuses lone surrogates (§3.2.2.2) and numbers that JSON lacks (§3.2.2.3). */
export function toCanonical(value: unknown): Checked<string> {
  const bad = whyNotJson(value, 0)
  return bad === undefined ? holds(write(value as JsonValue)) : fails('not_canonical', bad)
}

/**
 * Reads JSON and refuses a name that stands twice in one object (RFC 8259 §4 leaves its meaning open, so that two readers could see
 * two files in one).
 */
export function parseJson(text: string): Checked<unknown> {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return fails('malformed_json', 'not JSON')
  }
  const bad = whyNotJson(value, 0)
  if (bad !== undefined) return fails('malformed_json', bad)
  return countNames(value as JsonValue) === countNamesWritten(text) ? holds(value) : fails('malformed_json', 'a name stands twice in one object')
}

/** The value when the text is its own canonical form. */
export function parseCanonical(text: string): Checked<unknown> {
  const parsed = parseJson(text)
  if (!parsed.ok) return parsed
  return write(parsed.value as JsonValue) === text ? parsed : fails('not_canonical', 'the text is not in its RFC 8785 form')
}

/** Whether the value is an object with exactly these names; `may` be there or not. */
export function isRecord(value: unknown, must: readonly string[], may: readonly string[] = []): value is Readonly<Record<string, unknown>> {
  return isObject(value) && must.every((name) => Object.hasOwn(value, name))
    && Object.keys(value).every((name) => must.includes(name) || may.includes(name))
}

export const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

function write(value: JsonValue): string {
  // RFC 8785 §3.2.2: JSON.stringify of ECMAScript is the reference for literals, strings and numbers.
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  if (isArray(value)) return `[${value.map(write).join(',')}]`
  // §3.2.3: sorted by UTF-16 code units, which is how ECMAScript sorts strings.
  return `{${Object.keys(value).toSorted().map((name) => `${JSON.stringify(name)}:${write(value[name]!)}`).join(',')}}`
}

function whyNotJson(value: unknown, depth: number): string | undefined {
  if (depth > DEEPEST) return `nested deeper than ${DEEPEST}`
  if (value === null || typeof value === 'boolean') return undefined
  if (typeof value === 'string') return value.isWellFormed() ? undefined : 'a text with a lone surrogate'
  if (typeof value === 'number') return Number.isFinite(value) ? undefined : 'a number that is not finite'
  if (Array.isArray(value)) return firstDefined(value, (item) => whyNotJson(item, depth + 1))
  if (isObject(value)) {
    return firstDefined(Object.entries(value), ([name, item]) => (name.isWellFormed() ? whyNotJson(item, depth + 1) : 'a name with a lone surrogate'))
  }
  return `a ${typeof value}`
}

function firstDefined<T>(items: readonly T[], why: (item: T) => string | undefined): string | undefined {
  for (const item of items) {
    const found = why(item)
    if (found !== undefined) return found
  }
  return undefined
}

function countNames(value: JsonValue): number {
  if (typeof value !== 'object' || value === null) return 0
  if (isArray(value)) return value.reduce<number>((sum, item) => sum + countNames(item), 0)
  return Object.values(value).reduce<number>((sum, item) => sum + 1 + countNames(item), 0)
}

/** How many names stand in a text that is known to be JSON: a string followed by a colon. */
function countNamesWritten(text: string): number {
  let count = 0
  for (const found of text.matchAll(/"[^"\\]*(?:\\.[^"\\]*)*"[ \t\n\r]*(:?)/g)) if (found[1] === ':') count++
  return count
}

const isArray = (value: JsonValue): value is readonly JsonValue[] => Array.isArray(value)
