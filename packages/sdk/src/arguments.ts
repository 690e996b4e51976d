import { Misconfigured } from './errors.ts'

/** What can be decided on and sent: JSON, with whole numbers of any size. */
export type Json = null | boolean | number | bigint | string | readonly Json[] | Arguments
export type Arguments = { readonly [name: string]: Json }

const MOST_DEPTH = 64

/**
 * A copy of what a tool is going to be called with. What is decided on is this copy, and so is what is used after: nobody changes it in between.
 * A value that JSON has no form for is refused, for the policies would see another one.
 */
export function argumentsFrom(value: unknown): Arguments {
  if (!isPlain(value)) throw unfit('arguments', 'are no object')
  return copyOf(value, 'arguments', 0) as Arguments
}

function copyOf(value: unknown, path: string, depth: number): Json {
  if (value === null || typeof value === 'boolean' || typeof value === 'string' || typeof value === 'bigint') return value
  if (typeof value === 'number') {
    if (Number.isFinite(value)) return value
    throw unfit(path, `is ${value}`)
  }
  if (depth > MOST_DEPTH) throw unfit(path, 'is nested too deeply')
  if (Array.isArray(value)) return value.map((one, at) => copyOf(one, `${path}[${at}]`, depth + 1))
  if (!isPlain(value)) throw unfit(path, 'has no form in JSON')
  // As JSON has it: a member that is undefined is not there.
  return Object.fromEntries(Object.entries(value).flatMap(([name, one]) => (one === undefined ? [] : [[name, copyOf(one, `${path}.${name}`, depth + 1)]])))
}

function isPlain(value: unknown): value is Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

const unfit = (path: string, why: string): Misconfigured =>
  new Misconfigured(`\`${path.slice(0, 200)}\` ${why}`, { code: 'malformed_arguments', hint: 'a tool is called with an object of texts, numbers, booleans, lists and objects' })

/** ECMAScript's JSON.parse source text access proposal, which Node has had since 21. */
type RawJson = typeof JSON & { rawJSON(text: string): object }

/** The same from exact JSON: a whole number that a number can not hold is a bigint. */
export function argumentsIn(text: string): Arguments {
  const exact = (_: string, value: unknown, context?: { readonly source?: string }): unknown =>
    (typeof value === 'number' && !Number.isSafeInteger(value) && /^-?\d+$/.test(context?.source ?? '') ? BigInt(context!.source!) : value)
  return argumentsFrom(JSON.parse(text, exact as (key: string, value: unknown) => unknown))
}

/** JSON text; a bigint is a number of so many digits. */
export const jsonOf = (value: unknown): string =>
  JSON.stringify(value, (_, one: unknown) => (typeof one === 'bigint' ? (JSON as RawJson).rawJSON(String(one)) : one))
