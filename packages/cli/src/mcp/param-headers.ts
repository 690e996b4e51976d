import type { ExactRecord, ExactValue } from '@writ/domain/exact'
import { isRecord } from './client-message.ts'

/** A parameter that a tool wants to be shown in a header too: its path in the arguments, and the header. */
export type ParamHeader = { readonly path: readonly string[]; readonly header: string }

/** By the tool's name. */
export type ParamHeaders = ReadonlyMap<string, readonly ParamHeader[]>

/** MCP 2026-07-28, Streamable HTTP, request metadata: what a client that speaks HTTP says in headers, and one that speaks stdio does not. */
export function requestHeaders({ method, params, version }: { readonly method: string; readonly params: ExactRecord; readonly version: string }, known: ParamHeaders): Readonly<Record<string, string>> {
  const name = method === 'resources/read' ? params['uri'] : method === 'tools/call' || method === 'prompts/get' ? params['name'] : undefined
  const wanted = method === 'tools/call' && typeof name === 'string' ? known.get(name) ?? [] : []
  return {
    'mcp-protocol-version': headerValue(version), 'mcp-method': headerValue(method),
    ...(typeof name === 'string' ? { 'mcp-name': headerValue(name) } : {}),
    ...Object.fromEntries(wanted.flatMap(({ path, header }) => {
      const text = plainText(valueAt(params['arguments'], path))
      return text === undefined ? [] : [[header, headerValue(text)]]
    })),
  }
}

/** What the tools of a list want in headers. */
export function paramHeadersIn(tools: ExactValue | undefined): ParamHeaders {
  const found = new Map<string, readonly ParamHeader[]>()
  for (const tool of Array.isArray(tools) ? tools as readonly ExactValue[] : []) {
    if (isRecord(tool) && typeof tool['name'] === 'string') found.set(tool['name'], headersIn(tool['inputSchema'], []))
  }
  return found
}

/** An annotation counts only where `properties` alone lead to it; the gateway lists no tool that has one elsewhere. */
function headersIn(schema: ExactValue | undefined, path: readonly string[]): readonly ParamHeader[] {
  const properties = isRecord(schema) ? schema['properties'] : undefined
  if (!isRecord(properties)) return []
  return Object.entries(properties).flatMap(([name, property]) => {
    const header = isRecord(property) ? property['x-mcp-header'] : undefined
    const own = typeof header === 'string' && /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(header) ? [{ path: [...path, name], header: `mcp-param-${header.toLowerCase()}` }] : []
    return [...own, ...headersIn(property, [...path, name])]
  })
}

function valueAt(value: ExactValue | undefined, path: readonly string[]): ExactValue | undefined {
  let at = value
  for (const name of path) at = isRecord(at) && Object.hasOwn(at, name) ? at[name] : undefined
  return at
}

const plainText = (value: ExactValue | undefined): string | undefined =>
  (typeof value === 'string' ? value : typeof value === 'boolean' || typeof value === 'bigint' ? String(value) : undefined)

/** The text as a header's value: in base64 where it is not plain, or looks as if it were in base64 already. */
function headerValue(text: string): string {
  const isPlain = /^[\x21-\x7e](?:[\x20-\x7e\t]*[\x21-\x7e])?$/.test(text) && !/^=\?base64\?.*\?=$/.test(text)
  return isPlain ? text : `=?base64?${Buffer.from(text, 'utf8').toString('base64')}?=`
}
