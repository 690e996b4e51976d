import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'

export type RawAsked = { readonly request: IncomingMessage; readonly response: ServerResponse; readonly text: string; readonly id: number | undefined; readonly method: string | undefined }
export type RawHttp = { readonly url: string; readonly asked: readonly RawAsked[]; readonly sockets: () => number; readonly open: () => number; stop(): void }
/** Answers what a test is about; true once it has. */
export type RawBehaviour = (asked: RawAsked) => boolean | void

/** An MCP server over HTTP, of the older generation with sessions, that greets as it should and leaves the rest to the test. */
export async function rawHttp(behave: RawBehaviour): Promise<RawHttp> {
  const asked: RawAsked[] = []
  const sockets = new Set<Socket>()
  let came = 0
  const server = createServer((request, response) => {
    void (async () => {
      let text = ''
      for await (const chunk of request) text += String(chunk)
      const { id, method } = text === '' ? {} : JSON.parse(text) as { readonly id?: number; readonly method?: string }
      const one = { request, response, text, id, method }
      asked.push(one)
      if (behave(one) === true || response.writableEnded) return
      if (request.method === 'DELETE') response.writeHead(200).end()
      else if (request.method === 'GET') response.writeHead(405).end()
      else if (method === 'initialize') json(one, { protocolVersion: '2025-11-25', capabilities: { tools: {} }, serverInfo: { name: 'raw', version: '1' } }, { 'mcp-session-id': 'the-session' })
      else if (method === 'server/discover') response.writeHead(400, { 'content-type': 'application/json' }).end('{"jsonrpc":"2.0","error":{"code":-32000,"message":"not initialized"},"id":null}')
      else if (id === undefined) response.writeHead(202).end()
    })()
  })
  server.on('connection', (socket) => {
    came += 1
    sockets.add(socket)
    socket.on('close', () => { sockets.delete(socket) }).on('error', () => undefined)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`, asked, sockets: () => came, open: () => sockets.size,
    stop() {
      server.closeAllConnections()
      server.close()
    },
  }
}

export function json({ response, id }: RawAsked, result: unknown, head: Readonly<Record<string, string>> = {}): true {
  response.writeHead(200, { 'content-type': 'application/json', ...head }).end(JSON.stringify({ jsonrpc: '2.0', id, result }))
  return true
}

export function stream({ response }: RawAsked): ServerResponse {
  return response.writeHead(200, { 'content-type': 'text/event-stream' })
}
