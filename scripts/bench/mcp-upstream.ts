import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createMcpHandler, McpServer } from '@modelcontextprotocol/server'
import { z } from 'zod'

/** An MCP server as anybody would write one on the official package, over Streamable HTTP; tells its parent where it is. */
const handler = createMcpHandler(() => {
  const server = new McpServer({ name: 'measured', version: '1.0.0' })
  server.registerTool('search', { annotations: { readOnlyHint: true }, inputSchema: z.object({ query: z.string(), limit: z.number().int() }) }, async ({ query, limit }) => ({
    content: [{ type: 'text' as const, text: `${limit} of ${query}` }],
  }))
  return server
}, { legacy: 'reject' })

const server = createServer((request, response) => {
  void (async () => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const answer = await handler.fetch(new Request(`http://127.0.0.1${request.url}`, {
      method: request.method!, headers: Object.entries(request.headers).map(([name, value]) => [name, String(value)] as [string, string]),
      ...(chunks.length === 0 ? {} : { body: Buffer.concat(chunks) }),
    }))
    response.writeHead(answer.status, Object.fromEntries(answer.headers))
    for await (const chunk of answer.body ?? []) response.write(chunk)
    response.end()
  })().catch(() => { response.destroy() })
})
server.listen(0, '127.0.0.1', () => { process.send!({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp` }) })
