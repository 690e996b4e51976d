import { InexactNumber, type ExactRecord, type ExactValue } from '@writ/domain/exact'

/**
 * A parameter of a tool that its server wants to see in a header too (MCP 2026-07-28, `x-mcp-header`): its path in the arguments, and the header in
 * lower case.
 */
export type ParamHeader = { readonly path: readonly string[]; readonly header: string }

const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/
const MIRRORED_TYPES: ReadonlySet<ExactValue> = new Set(['integer', 'string', 'boolean'])
const SAFE_INTEGER = 2n ** 53n

/** What the schema wants in headers; undefined where it wants what it may not, and the tool may not be called at all. */
export function paramHeadersOf(inputSchema: ExactValue | undefined): readonly ParamHeader[] | undefined {
  const found: ParamHeader[] = []
  let isSound = true
  const walk = (schema: ExactValue | undefined, path: readonly string[] | null): void => {
    if (Array.isArray(schema)) for (const one of schema as readonly ExactValue[]) walk(one, null)
    if (!isRecord(schema)) return
    const header = schema['x-mcp-header']
    if (header !== undefined) {
      const type = schema['type'] ?? null
      if (path === null || path.length === 0 || typeof header !== 'string' || !TOKEN.test(header) || !MIRRORED_TYPES.has(type)) isSound = false
      else found.push({ path, header: `mcp-param-${header.toLowerCase()}` })
    }
    for (const [keyword, inner] of Object.entries(schema)) {
      // What stands below these is no schema, or names no parameter.
      if (keyword === 'x-mcp-header' || keyword === 'default' || keyword === 'const' || keyword === 'enum' || keyword === 'examples') continue
      if (keyword !== 'properties' || !isRecord(inner)) walk(inner, null)
      else for (const [name, property] of Object.entries(inner)) walk(property, path === null ? null : [...path, name])
    }
  }
  walk(inputSchema, [])
  const names = new Set(found.map(({ header }) => header))
  return isSound && names.size === found.length ? found : undefined
}

/** The headers that mirror these arguments. What is absent or null has none. */
export function mirrored(wanted: readonly ParamHeader[], args: ExactValue | undefined): Readonly<Record<string, string>> {
  return Object.fromEntries(wanted.flatMap(({ path, header }) => {
    let at: ExactValue | undefined = args
    for (const name of path) at = isRecord(at) && Object.hasOwn(at, name) ? at[name] : undefined
    const text = plainText(at)
    return text === undefined ? [] : [[header, headerValue(text)]]
  }))
}

/** MCP 2026-07-28, tools: integers within the range that a double holds. Others stand in the body alone. */
function plainText(value: ExactValue | undefined): string | undefined {
  if (typeof value === 'string') return value
  if (typeof value === 'boolean') return String(value)
  return typeof value === 'bigint' && value > -SAFE_INTEGER && value < SAFE_INTEGER ? value.toString() : undefined
}

/** The text as a header's value, in base64 where it is not plain or looks as if it were in base64 already. */
export function headerValue(text: string): string {
  const isPlain = /^[\x21-\x7e](?:[\x20-\x7e\t]*[\x21-\x7e])?$/.test(text) && !/^=\?base64\?.*\?=$/.test(text)
  return isPlain ? text : `=?base64?${btoa(Array.from(new TextEncoder().encode(text), (byte) => String.fromCharCode(byte)).join(''))}?=`
}

/** The name or address that a request is about, which goes in a header of its own. */
export function nameOf(method: string, params: ExactRecord): string | undefined {
  const value = method === 'resources/read' ? params['uri'] : method === 'tools/call' || method === 'prompts/get' ? params['name'] : undefined
  return typeof value === 'string' ? value : undefined
}

const isRecord = (value: ExactValue | undefined): value is ExactRecord =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof InexactNumber)
