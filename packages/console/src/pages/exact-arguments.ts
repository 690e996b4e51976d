import { parseExactJson } from '@writ/contract/strict-json'
import { InexactNumber, type ExactRecord, type ExactValue } from '@writ/domain/exact'

/** One argument as it was asked for: its name, and its value as JSON. */
export type ShownArgument = { readonly name: string; readonly value: string }

/** A whole number that may be lowered, by its way through the arguments. */
export type Lowerable = { readonly way: readonly string[]; readonly asked: bigint }

function recordIn(text: string): ExactRecord | null {
  const read = parseExactJson(text)
  return read.ok && isRecord(read.value) ? read.value : null
}

const isRecord = (value: ExactValue): value is ExactRecord => typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof InexactNumber)

/** Name by name, in the order in which they were sent; null of what is no object. */
export function argumentsIn(text: string): readonly ShownArgument[] | null {
  const record = recordIn(text)
  return record === null ? null : Object.entries(record).map(([name, value]) => ({ name, value: jsonOf(value) }))
}

/** Every whole number from one up, wherever it stands. */
export function lowerableIn(text: string): readonly Lowerable[] {
  const record = recordIn(text)
  return record === null ? [] : found(record, [])
}

function found(value: ExactValue, way: readonly string[]): readonly Lowerable[] {
  if (typeof value === 'bigint') return value > 0n ? [{ way, asked: value }] : []
  if (Array.isArray(value)) return value.flatMap((one: ExactValue, i) => found(one, [...way, String(i)]))
  return isRecord(value) ? Object.entries(value).flatMap(([name, one]) => found(one, [...way, name])) : []
}

export const wayKey = (way: readonly string[]): string => JSON.stringify(way)

/** The same arguments with other numbers at these ways; every other digit as it was sent. */
export function loweredText(text: string, numbers: ReadonlyMap<string, bigint>): string {
  const lowered = (value: ExactValue, way: readonly string[]): ExactValue => {
    if (typeof value === 'bigint') return numbers.get(wayKey(way)) ?? value
    if (Array.isArray(value)) return value.map((one: ExactValue, i) => lowered(one, [...way, String(i)]))
    return isRecord(value) ? Object.fromEntries(Object.entries(value).map(([name, one]) => [name, lowered(one, [...way, name])])) : value
  }
  const record = recordIn(text)
  return record === null ? text : jsonOf(lowered(record, []))
}

/** Not every browser writes raw numbers by itself. */
function jsonOf(value: ExactValue): string {
  if (typeof value === 'bigint') return value.toString()
  if (value instanceof InexactNumber) return value.text
  if (Array.isArray(value)) return `[${value.map(jsonOf).join(',')}]`
  return isRecord(value) ? `{${Object.entries(value).map(([name, one]) => `${JSON.stringify(name)}:${jsonOf(one)}`).join(',')}}` : JSON.stringify(value)
}

/** Equal names: two calls of one form. */
export const formOf = (text: string): string => JSON.stringify(argumentsIn(text)?.map(({ name }) => name).toSorted() ?? null)
