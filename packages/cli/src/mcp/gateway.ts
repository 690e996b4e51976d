import type { Access } from './access.ts'
import { isNotThere, patiently } from './patience.ts'

export type GatewayRequest = {
  readonly method: 'POST' | 'GET'
  readonly headers: Readonly<Record<string, string>>
  readonly body?: Uint8Array<ArrayBuffer>
  readonly signal: AbortSignal
}

/** The door of one MCP server at Writ. */
export type Gateway = { send(request: GatewayRequest): Promise<Response> }

export type GatewayNeeds = { readonly url: string; readonly access: Access; readonly patienceMs: number }

export const ACCEPT_BOTH = 'application/json, text/event-stream'

/** Sends what was never heard again while nobody is there, and what was refused for its evidence with another; all else once. */
export const gatewayAt = ({ url, access, patienceMs }: GatewayNeeds): Gateway => ({
  send: ({ method, headers, body, signal }) => patiently(patienceMs, async () => {
    for (let tries = 0; ; tries++) {
      const response = await fetch(url, {
        method, signal, redirect: 'error', headers: { ...headers, ...await access.headers(method) },
        ...(body === undefined ? {} : { body }),
      })
      if (response.status !== 401 || tries === MOST_REFUSALS || !access.mayAskAgain(response)) return response
      await response.body?.cancel()
    }
  }, isNotThere, signal),
})

/** A nonce, and a token. */
const MOST_REFUSALS = 2
