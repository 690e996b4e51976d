import type { ServerResponse } from 'node:http'
import type { TestContext } from 'node:test'
import { officialOverHttp } from '../../server/test/mcp/official-server.ts'
import type { Heard } from './listening.ts'
import { smallServer, type Order } from './small-server.ts'

/**
 * A double of the gateway: the small server with an MCP server of the official package behind `/mcp/docs`, which decides nothing. It tells
 * whether what the SDK says is MCP 2026-07-28, and nothing of what Writ answers.
 */
export async function officialBehind(t: TestContext, { instead = () => false }: Pick<Order, 'instead'> = {}) {
  const official = await officialOverHttp('newer')
  t.after(() => official.stop())
  return smallServer(t, {
    instead: (heard, response, nth) => {
      if (instead(heard, response, nth)) return true
      if (heard.path !== '/mcp/docs') return false
      void forward(heard, response, official.url)
      return true
    },
  })
}

async function forward({ headers, body }: Heard, response: ServerResponse, url: string): Promise<void> {
  const cut = new AbortController()
  response.on('close', () => cut.abort())
  const { host: _, connection: __, 'content-length': ___, 'transfer-encoding': ____, ...rest } = headers
  try {
    const answer = await fetch(url, { method: 'POST', headers: Object.entries(rest).map(([name, value]) => [name, String(value)] as [string, string]), body, signal: cut.signal })
    response.writeHead(answer.status, { 'content-type': answer.headers.get('content-type') ?? '' })
    for await (const part of answer.body ?? []) response.write(part)
    response.end()
  } catch {
    response.destroy()
  }
}
