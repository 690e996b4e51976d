import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** One request as it came, whole. */
export type Written = {
  /** The last word of the address: which of its servers was asked. */
  readonly server: string
  readonly verb: string
  readonly address: string
  /** Names and values, as they came. */
  readonly head: readonly string[]
  readonly body: Buffer
  /** As a careless reader takes it. */
  readonly message: { readonly id?: number; readonly method?: string; readonly params?: Readonly<Record<string, unknown>> }
  readonly response: ServerResponse
}

export type RecordingOrder = {
  readonly tools: readonly object[]
  readonly capabilities?: object
  /** Answers what a test is about; true once it has. */
  readonly behave?: (one: Written) => boolean | void
}

export type RecordingHttp = {
  /** Of the server that speaks this generation: `newer`, or anything else for the older one. */
  readonly urlOf: (server: string) => string
  readonly host: string
  readonly written: readonly Written[]
  readonly stop: () => void
}

/** MCP servers over HTTP, of either generation, that keep every byte they get, and answer a call with its arguments. */
export async function recordingHttp({ tools, capabilities = { tools: {} }, behave = () => false }: RecordingOrder): Promise<RecordingHttp> {
  const written: Written[] = []
  let greeted = 0
  const answerTo = ({ server, message: { method = '', params = {} } }: Written): { readonly result: object; readonly head?: Readonly<Record<string, string>> } | undefined => {
    const isNewer = server === 'newer'
    const complete = isNewer ? { resultType: 'complete', ttlMs: 0, cacheScope: 'private' } : {}
    switch (method) {
      case 'server/discover': return isNewer ? { result: { ...complete, supportedVersions: ['2026-07-28'], capabilities } } : undefined
      case 'initialize': return { result: { protocolVersion: '2025-11-25', capabilities, serverInfo: { name: 'recording', version: '1' } }, head: { 'mcp-session-id': `kept-${++greeted}` } }
      case 'tools/list': return { result: { ...complete, tools } }
      case 'resources/read': return { result: { ...complete, contents: [{ uri: params['uri'], text: 'what it says' }] } }
      case 'prompts/get': return { result: { ...complete, messages: [{ role: 'user', content: { type: 'text', text: 'hello' } }] } }
      case 'tools/call': return { result: { ...complete, content: [{ type: 'text', text: JSON.stringify(params['arguments'] ?? null) }] } }
      default: return undefined
    }
  }
  const answer = (one: Written): void => {
    const { response, verb, message: { id, method } } = one
    const json = (status: number, value: object, head: Readonly<Record<string, string>> = {}): void => { response.writeHead(status, { 'content-type': 'application/json', ...head }).end(JSON.stringify(value)) }
    if (verb === 'DELETE') return void response.writeHead(200).end()
    if (verb !== 'POST') return void response.writeHead(405).end()
    if (id === undefined) return void response.writeHead(202).end()
    const answered = answerTo(one)
    if (answered !== undefined) return json(200, { jsonrpc: '2.0', id, result: answered.result }, answered.head)
    json(method === 'server/discover' ? 400 : 200, { jsonrpc: '2.0', id, error: { code: -32601, message: 'no such method' } })
  }
  const server = createServer((request, response) => {
    void (async () => {
      const chunks: Buffer[] = []
      for await (const chunk of request) chunks.push(chunk as Buffer)
      const body = Buffer.concat(chunks)
      const address = request.url ?? ''
      const one: Written = { server: address.slice(address.lastIndexOf('/') + 1), verb: request.method ?? '', address, head: request.rawHeaders, body, message: body.length === 0 ? {} : JSON.parse(body.toString()) as Written['message'], response }
      written.push(one)
      if (behave(one) !== true) answer(one)
    })().catch(() => { response.destroy() })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    urlOf: (name) => `http://${host}/${name}`, host, written,
    stop() {
      server.closeAllConnections()
      server.close()
    },
  }
}

/** Everything that came, as one text to look for things in: heads and bodies. */
export const bytesIn = (written: readonly Written[]): string => written.map(({ verb, address, head, body }) => [verb, address, ...head, body.toString('latin1')].join('\n')).join('\n')

/** A header by its name in lower case; every value of it. */
export const valuesOf = (head: readonly string[], name: string): readonly string[] => head.filter((_, i) => i % 2 === 1 && head[i - 1]!.toLowerCase() === name)
