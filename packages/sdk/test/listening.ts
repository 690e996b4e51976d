import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { TestContext } from 'node:test'

/** What a server of a test was asked. */
export type Heard = { readonly method: string; readonly path: string; readonly headers: IncomingMessage['headers']; readonly body: string }

/** A real HTTP server on loopback that does what the test says, and remembers what it heard. */
export async function listening(t: TestContext, answer: (heard: Heard, response: ServerResponse, nth: number) => void): Promise<{ readonly url: string; readonly heard: readonly Heard[] }> {
  const heard: Heard[] = []
  const server = createServer((request, response) => {
    let body = ''
    request.setEncoding('utf8').on('data', (chunk: string) => { body += chunk }).on('end', () => {
      const one = { method: request.method!, path: request.url!, headers: request.headers, body }
      heard.push(one)
      answer(one, response, heard.length)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, heard }
}

export function sendJson(response: ServerResponse, status: number, body: object, headers: Readonly<Record<string, string>> = {}): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body))
}
