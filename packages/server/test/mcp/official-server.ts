import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { createMcpHandler, inputRequired, inputResponse, McpServer } from '@modelcontextprotocol/server'
import { serveStdio } from '@modelcontextprotocol/server/stdio'
import { z } from 'zod'

/** A server built on the official package, that a test asks for every ability; the same tools in each generation that it is told to speak. */
export function officialServer(): McpServer {
  const server = new McpServer({ name: 'official', version: '2.4.0' }, {
    capabilities: { tools: { listChanged: true }, resources: { listChanged: true, subscribe: true }, prompts: { listChanged: true }, logging: {} }, instructions: 'ask it anything',
  })
  const text = (value: string) => ({ content: [{ type: 'text' as const, text: value }] })
  server.registerTool('echo', { description: 'says it again', inputSchema: z.object({ message: z.string() }) }, async ({ message }) => text(message))
  server.registerTool('count', { inputSchema: z.object({ to: z.number(), everyMs: z.number() }) }, async ({ to, everyMs }, { mcpReq }) => {
    const progressToken = mcpReq._meta?.progressToken
    for (let progress = 1; progress <= to; progress++) {
      await pause(everyMs)
      if (mcpReq.signal.aborted) process.stderr.write('the count was cancelled\n')
      mcpReq.signal.throwIfAborted()
      if (progressToken !== undefined) await mcpReq.notify({ method: 'notifications/progress', params: { progressToken, progress, total: to } })
    }
    return text(`counted to ${to}`)
  })
  server.registerTool('ask-name', { inputSchema: z.object({}) }, async (_, { mcpReq }) => {
    const given = inputResponse(mcpReq.inputResponses, 'name')
    if (given.kind === 'elicit') return text(given.action === 'accept' ? `hello ${String(given.content?.['name'])}` : given.action)
    return inputRequired({
      requestState: 'state-of-ask-name',
      inputRequests: { name: inputRequired.elicit({ message: 'who is there', requestedSchema: { type: 'object', properties: { name: { type: 'string' } }, required: ['name'] } }) },
    })
  })
  server.registerTool('ask-model', { inputSchema: z.object({}) }, async (_, { mcpReq }) => {
    const given = inputResponse(mcpReq.inputResponses, 'poem')
    if (given.kind === 'sampling') return text(JSON.stringify(given.result.content))
    return inputRequired({ inputRequests: { poem: inputRequired.createMessage({ messages: [{ role: 'user', content: { type: 'text', text: 'a poem' } }], maxTokens: 10 }) } })
  })
  server.registerTool('ask-roots', { inputSchema: z.object({}) }, async (_, { mcpReq }) => {
    const given = inputResponse(mcpReq.inputResponses, 'roots')
    return given.kind === 'roots' ? text(given.roots.map((root) => root.uri).join(' ')) : inputRequired({ inputRequests: { roots: inputRequired.listRoots() } })
  })
  server.registerTool('in-region', { inputSchema: z.object({ region: z.string().meta({ 'x-mcp-header': 'Region' }), size: z.number().int().meta({ 'x-mcp-header': 'Size' }).optional() }) }, async ({ region }) => text(region))
  server.registerTool('environment', { inputSchema: z.object({}) }, async () => text(JSON.stringify(process.env)))
  server.registerTool('crash', { inputSchema: z.object({}) }, async () => process.exit(7))
  server.registerTool('change', { inputSchema: z.object({}) }, async () => {
    server.sendToolListChanged()
    return text('changed')
  })
  server.registerResource('a-note', 'note:///a', { mimeType: 'text/plain' }, async (uri) => ({ contents: [{ uri: uri.href, text: 'what the note says' }] }))
  server.registerPrompt('greet', { argsSchema: z.object({ who: z.string() }) }, ({ who }) => ({ messages: [{ role: 'user', content: { type: 'text', text: `greet ${who}` } }] }))
  return server
}

export type ServedOverHttp = { readonly url: string; readonly port: number; readonly heads: readonly NodeJS.Dict<string | string[]>[]; readonly tell: () => void; stop(): void }

/** Serves it over Streamable HTTP on a port of its own: both generations (the older one without sessions), or the newer one alone. */
export async function officialOverHttp(speaks: 'both' | 'newer'): Promise<ServedOverHttp> {
  const handler = createMcpHandler(() => officialServer(), { legacy: speaks === 'both' ? 'stateless' : 'reject' })
  const heads: NodeJS.Dict<string | string[]>[] = []
  const server = createServer((request, response) => {
    heads.push(request.headers)
    void (async () => {
      const chunks: Buffer[] = []
      for await (const chunk of request) chunks.push(chunk as Buffer)
      const cut = new AbortController()
      response.on('close', () => { cut.abort() })
      const answer = await handler.fetch(new Request(`http://127.0.0.1${request.url}`, {
        method: request.method!, headers: Object.entries(request.headers).map(([name, value]) => [name, String(value)] as [string, string]), signal: cut.signal,
        ...(chunks.length === 0 ? {} : { body: Buffer.concat(chunks) }),
      }))
      response.writeHead(answer.status, Object.fromEntries(answer.headers))
      response.flushHeaders()
      for await (const chunk of answer.body ?? []) response.write(chunk)
      response.end()
    })().catch(() => { response.destroy() })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}/mcp`, port, heads, tell: () => { handler.notify.toolsChanged() },
    stop() {
      server.closeAllConnections()
      server.close()
    },
  }
}

if (import.meta.main) serveStdio(() => officialServer(), { legacy: process.argv[2] === 'newer' ? 'reject' : 'serve' })
