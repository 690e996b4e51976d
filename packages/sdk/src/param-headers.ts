import type { Arguments, Json } from './arguments.ts'

/** Which arguments of a tool stand in headers as well (MCP 2026-07-28, `x-mcp-header`): a name for each path. */
export type ParamHeaders = readonly { readonly header: string; readonly path: readonly string[] }[]

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,100}$/
const PLAIN: ReadonlySet<unknown> = new Set(['integer', 'string', 'boolean'])

/** Undefined of a tool that must not be used: a client has to leave it out of its list. */
export function paramHeadersOf(inputSchema: unknown): ParamHeaders | undefined {
  const found: { readonly header: string; readonly path: readonly string[] }[] = []
  const isSound = collect(inputSchema, [], found)
  const names = new Set(found.map(({ header }) => header.toLowerCase()))
  return isSound && names.size === found.length ? found : undefined
}

/** Only a chain of `properties` reaches an argument; anywhere else the mark is a mistake. */
function collect(schema: unknown, path: readonly string[], found: { readonly header: string; readonly path: readonly string[] }[]): boolean {
  if (!isRecord(schema)) return true
  const { properties, 'x-mcp-header': header, ...rest } = schema
  if (header !== undefined) {
    if (path.length === 0 || typeof header !== 'string' || !TOKEN.test(header) || !PLAIN.has(schema.type)) return false
    found.push({ header, path })
  }
  const isElsewhere = Object.values(rest).some(isMarked)
  return !isElsewhere && Object.entries(isRecord(properties) ? properties : {}).every(([name, one]) => collect(one, [...path, name], found))
}

function isMarked(value: unknown): boolean {
  if (Array.isArray(value)) return value.some(isMarked)
  return isRecord(value) && ('x-mcp-header' in value || Object.values(value).some(isMarked))
}

export function headersFor(marks: ParamHeaders, args: Arguments): Readonly<Record<string, string>> {
  return Object.fromEntries(marks.flatMap(({ header, path }) => {
    const value = path.reduce<Json | undefined>((one, name) => (isRecord(one) && Object.hasOwn(one, name) ? one[name] as Json : undefined), args)
    return typeof value === 'string' || typeof value === 'boolean' || typeof value === 'number' || typeof value === 'bigint' ? [[`mcp-param-${header}`, headerValue(String(value))]] : []
  }))
}

/** RFC 9110 §5.5 has no place for other characters, and none for blanks at the ends: those go as base64 between marks. */
export function headerValue(text: string): string {
  const isSafe = /^[\x21-\x7e](?:[\x20-\x7e\t]*[\x21-\x7e])?$/.test(text) && !/^=\?base64\?.*\?=$/.test(text)
  return isSafe ? text : `=?base64?${btoa(String.fromCharCode(...new TextEncoder().encode(text)))}?=`
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> => typeof value === 'object' && value !== null && !Array.isArray(value)
