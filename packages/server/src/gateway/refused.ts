import type { ExactRecord } from '@writ/domain/exact'
import type { McpError } from '../upstreams/upstream.ts'

/** JSON-RPC 2.0 §5.1, and what MCP 2026-07-28 adds. `denied` is of the part that is left to implementations; COAZ-MCP has the same. */
export const RPC_CODES = {
  parse: -32700, invalidRequest: -32600, methodNotFound: -32601, invalidParams: -32602, internal: -32603,
  denied: -32001, headerMismatch: -32020, missingCapability: -32021, unsupportedVersion: -32022,
} as const

export const rpcError = (code: number, message: string, data?: ExactRecord): McpError => ({ code, message, ...(data === undefined ? {} : { data }) })

export type RefusedMore = { readonly headers?: Readonly<Record<string, string>>; readonly cause?: unknown }

/** A request that HTTP has something to say about besides what JSON-RPC says. */
export class Refused extends Error {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly error: McpError

  constructor(status: number, error: McpError, { headers = {}, cause }: RefusedMore = {}) {
    super(`refused with ${status}: ${error.message}`, cause === undefined ? {} : { cause })
    this.status = status
    this.headers = headers
    this.error = error
  }
}

/** What a request is ended with before its time. `word` is what the client and the record are told. */
export class Ended extends Error {
  readonly word: EndWord
  /** Why the task ended; null where it did not. */
  readonly endReason: string | null

  constructor(word: EndWord, endReason: string | null = null) {
    super(`ended: ${word}${endReason === null ? '' : ` (${endReason})`}`)
    this.word = word
    this.endReason = endReason
  }
}

export type EndWord = 'client_gone' | 'task_ended' | 'token_ended' | 'server_changed' | 'stopping'
