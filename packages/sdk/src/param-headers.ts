import type { Arguments, Json } from './arguments.ts'

/** Which arguments of a tool stand in headers as well (MCP 2026-07-28, `x-mcp-header`): a name for each path. */
export type ParamHeaders = readonly { readonly header: string; readonly path: readonly string[] }[]

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,100}$/
const PLAIN: ReadonlySet<unknown> = new Set(['integer', 'string', 'boolean'])

/** What stands below these is no schema. */
const NO_SCHEMA: ReadonlySet<string> = new Set(['x-mcp-header', 'default', 'const', 'enum', 'examples'])

/** Undefined of a tool that must not be used: a client has to leave it out of its list. */
export function paramHeadersOf(inputSchema: unknown): ParamHeaders | undefined {
  const found: { readonly header: string; readonly path: readonly string[] }[] = []
  const isSound = collect(inputSchema, [], found)
  const names = new Set(found.map(({ header }) => header.toLowerCase()))
  return isSound && names.size === found.length ? found : undefined
}

/** Only a chain of `properties` reaches an argument; anywhere else, where the path is null, the mark is a mistake. */
function collect(schema: unknown, path: readonly string[] | null, found: { readonly header: string; readonly path: readonly string[] }[]): boolean {
  if (Array.isArray(schema)) return schema.every((one) => collect(one, null, found))
  if (!isRecord(schema)) return true
  const { properties, 'x-mcp-header': header, ...rest } = schema
  if (header !== undefined) {
    if (path === null || path.length === 0 || typeof header !== 'string' || !TOKEN.test(header) || !PLAIN.has(schema.type)) return false
    found.push({ header, path })
  }
  const isElsewhere = !Object.entries(rest).every(([keyword, inner]) => NO_SCHEMA.has(keyword) || collect(inner, null, found))
  if (isElsewhere) return false
  if (!isRecord(properties)) return collect(properties, null, found)
  return Object.entries(properties).every(([name, one]) => collect(one, path === null ? null : [...path, name], found))
}

export function headersFor(marks: ParamHeaders, args: Arguments): Readonly<Record<string, string>> {
  return Object.fromEntries(marks.flatMap(({ header, path }) => {
    const value = path.reduce<Json | undefined>((one, name) => (isRecord(one) && Object.hasOwn(one, name) ? one[name] as Json : undefined), args)
    return isMirrored(value) ? [[`mcp-param-${header}`, headerValue(String(value))]] : []
  }))
}

/** MCP 2026-07-28, tools: of numbers, integers within the range that a double holds; the gateway wants no others in a header. */
function isMirrored(value: Json | undefined): value is string | boolean | number | bigint {
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value))
  return typeof value === 'string' || typeof value === 'boolean' || Number.isSafeInteger(value)
}

/** RFC 9110 §5.5 has no place for other characters, and none for blanks at the ends: those go as base64 between marks. */
export function headerValue(text: string): string {
  const isSafe = /^[\x21-\x7e](?:[\x20-\x7e\t]*[\x21-\x7e])?$/.test(text) && !/^=\?base64\?.*\?=$/.test(text)
  return isSafe ? text : `=?base64?${btoa(Array.from(new TextEncoder().encode(text), (byte) => String.fromCharCode(byte)).join(''))}?=`
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> => typeof value === 'object' && value !== null && !Array.isArray(value)
