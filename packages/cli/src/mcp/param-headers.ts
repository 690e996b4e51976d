import { headerValue, mirrored, nameOf, paramHeadersOf, type ParamHeader } from '@writ/contract/param-headers'
import type { ExactRecord, ExactValue } from '@writ/domain/exact'
import { isRecord } from './client-message.ts'

/** By the tool's name. */
export type ParamHeaders = ReadonlyMap<string, readonly ParamHeader[]>

/** MCP 2026-07-28, Streamable HTTP, request metadata: what a client that speaks HTTP says in headers, and one that speaks stdio does not. */
export function requestHeaders({ method, params, version }: { readonly method: string; readonly params: ExactRecord; readonly version: string }, known: ParamHeaders): Readonly<Record<string, string>> {
  const name = nameOf(method, params)
  const wanted = method === 'tools/call' && name !== undefined ? known.get(name) ?? [] : []
  return {
    'mcp-protocol-version': headerValue(version), 'mcp-method': headerValue(method),
    ...(name === undefined ? {} : { 'mcp-name': headerValue(name) }), ...mirrored(wanted, params['arguments']),
  }
}

/** What the tools of a list want in headers. The gateway lists none that wants what it may not. */
export function paramHeadersIn(tools: ExactValue | undefined): ParamHeaders {
  const found = new Map<string, readonly ParamHeader[]>()
  for (const tool of Array.isArray(tools) ? tools as readonly ExactValue[] : []) {
    if (isRecord(tool) && typeof tool['name'] === 'string') found.set(tool['name'], paramHeadersOf(tool['inputSchema']) ?? [])
  }
  return found
}
