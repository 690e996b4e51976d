import { ok, refuse, type Outcome } from '@writ/domain/outcome'
import { InexactNumber, type ExactValue } from '@writ/domain/exact'
import { isInteger, isSafeNumber } from 'lossless-json'
import { findFlaw, type JsonLimits, type StrictJsonRefusal } from './json-flaw.ts'
import { readJson } from './json-reader.ts'

export type { StrictJsonRefusal } from './json-flaw.ts'

export type StrictJsonLimits = Partial<JsonLimits>

/**
 * Reads RFC 8259 JSON that leaves no room for two readings: no name twice in an object, equal values included, no number that an IEEE 754
 * double changes (RFC 7493 §2.2), no minus zero, no lone surrogate (RFC 7493 §2.1), no U+0000. The limits are checked as it is
 * read, so that no more than they allow is ever built.
 *
 * Not built by JSON.parse: V8 13.6 to 14.6 at least can read a name with an escape in it as another name that it has read before, so that
 * one caller's text changes what the next one's says (nodejs/node#63785).
 */
export function parseStrictJson(text: string, limits: StrictJsonLimits = {}): Outcome<unknown, StrictJsonRefusal> {
  return read(text, limits, { isFlawed: isChanged, toNumber: Number })
}

/** The same, but that a number of any length or form is kept as it was sent. */
export function parseExactJson(text: string, limits: StrictJsonLimits = {}): Outcome<ExactValue, StrictJsonRefusal> {
  return read(text, limits, { isFlawed: () => false, toNumber: exactNumber }) as Outcome<ExactValue, StrictJsonRefusal>
}

/** -2^63 has 20 characters. What is longer is kept as text: a bigint of a million digits would take its time. */
const LONGEST_INTEGER = 20

const exactNumber = (number: string): bigint | InexactNumber =>
  (isInteger(number) && number !== '-0' && number.length <= LONGEST_INTEGER ? BigInt(number) : new InexactNumber(number))

type Numbers = { readonly isFlawed: (number: string) => boolean; readonly toNumber: (number: string) => unknown }

function read(text: string, { depth = 32, keys = 10_000, elements = 20_000 }: StrictJsonLimits, numbers: Numbers): Outcome<unknown, StrictJsonRefusal> {
  const most = { depth, keys, elements }
  const found = readJson(text, most, (number) => (numbers.isFlawed(number) ? undefined : numbers.toNumber(number)))
  return found === undefined ? refuse(flawOf(text, most, numbers)) : ok(found.value)
}

/** Why the text was not read. */
function flawOf(text: string, most: JsonLimits, numbers: Numbers): StrictJsonRefusal {
  try {
    return findFlaw(text, most, numbers.isFlawed) ?? { kind: 'malformed_json' }
  } catch (error) {
    if (error instanceof SyntaxError) return { kind: 'malformed_json' }
    throw error
  }
}

/** Surely less than 2^53, and the most common of all. */
const SHORT_INTEGER = /^(?:0|-?[1-9]\d{0,14})$/

/** Whether a double says something else. The sign of minus zero is lost in RFC 8785 bytes. What is no number is left to the parser. */
function isChanged(number: string): boolean {
  if (SHORT_INTEGER.test(number)) return false
  const value = Number(number)
  return !Number.isNaN(value) && (Object.is(value, -0) || !isSafeNumber(number))
}
