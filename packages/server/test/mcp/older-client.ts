import assert from 'node:assert/strict'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js'
import { CreateMessageRequestSchema, ElicitRequestSchema, ListRootsRequestSchema } from '@modelcontextprotocol/sdk/types.js'
import type { Access } from './estate.ts'

/** Where a request goes, and what its proof calls that. */
export type Line = { readonly access: Access; /** Another server than the one that the access names. */ readonly through?: string; readonly htu?: string; session?: string }

export const lineOf = (access: Access): Line => ({ access })

type Sent = { readonly method?: string; readonly body?: unknown; readonly headers?: Readonly<Record<string, string | undefined>>; readonly signal?: AbortSignal }

/** One request of a session, as a client of MCP 2025-11-25 would send it; each header can be said otherwise. */
export async function send({ access, through = access.url, htu = access.url, session }: Line, { method = 'POST', body, headers = {}, signal }: Sent): Promise<Response> {
  const all = {
    'accept': method === 'GET' ? 'text/event-stream' : 'application/json, text/event-stream', 'mcp-protocol-version': '2025-11-25', 'mcp-session-id': session,
    ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    'authorization': `DPoP ${access.token}`, 'dpop': access.key.proof({ htu, htm: method, token: access.token }), ...headers,
  }
  return fetch(through, {
    method, headers: Object.fromEntries(Object.entries(all).filter((one): one is [string, string] => one[1] !== undefined)),
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }), ...(signal === undefined ? {} : { signal }),
  })
}

export const rpc = (id: number, method: string, params: object = {}): object => ({ jsonrpc: '2.0', id, method, params })

/** Begins a session on this line. */
export async function begin(line: Line, capabilities: object = {}): Promise<string> {
  const begun = await send(line, { body: rpc(0, 'initialize', { protocolVersion: '2025-11-25', capabilities, clientInfo: { name: 'raw', version: '1' } }) })
  const text = await begun.text()
  assert.equal(begun.status, 200, text)
  line.session = begun.headers.get('mcp-session-id') ?? assert.fail('no session')
  assert.equal((await send(line, { body: { jsonrpc: '2.0', method: 'notifications/initialized' } })).status, 202)
  return line.session
}

export type Event = { readonly id: string | null; readonly message: Readonly<Record<string, unknown>> | null }

/** The events of a stream as they come. */
export async function* eventsIn(response: Response): AsyncGenerator<Event, void> {
  assert.equal(response.headers.get('content-type'), 'text/event-stream', await (response.headers.get('content-type') === 'text/event-stream' ? '' : response.text()))
  let rest = ''
  for await (const text of response.body!.pipeThrough(new TextDecoderStream())) {
    const frames = (rest + text).split('\n\n')
    rest = frames.pop()!
    for (const frame of frames) {
      const said = /^data: (.+)$/m.exec(frame)?.[1]
      const id = /^id: (.+)$/m.exec(frame)?.[1] ?? null
      if (said !== undefined || id !== null) yield { id, message: said === undefined ? null : JSON.parse(said) as Record<string, unknown> }
    }
  }
}

export async function nextMessage(events: AsyncGenerator<Event, void>): Promise<Event & { readonly message: NonNullable<Event['message']> }> {
  for (;;) {
    const { done, value } = await events.next()
    if (done === true) assert.fail('the stream has ended')
    if (value.message !== null) return { ...value, message: value.message }
  }
}

/** What the server sent in one session, each with the method that it answers. */
export type Recorded = { readonly message: unknown; readonly answering: string | undefined }

export type OlderClient = { readonly client: Client; readonly transport: StreamableHTTPClientTransport; /** Ends the session; answers everything that the server sent in it. */ readonly close: () => Promise<readonly Recorded[]> }

/** The official client of the older generation, which answers whatever it is asked. */
export async function olderClient(access: Access): Promise<OlderClient> {
  const asked = new Map<unknown, string>()
  const answers: { readonly response: Promise<string>; readonly isStream: boolean }[] = []
  const recording: typeof fetch = async (url, init) => {
    const method = init?.method ?? 'GET'
    const headers = new Headers(init?.headers)
    headers.set('authorization', `DPoP ${access.token}`)
    headers.set('dpop', access.key.proof({ htu: access.url, htm: method, token: access.token }))
    if (typeof init?.body === 'string') {
      const { id, method: of } = JSON.parse(init.body) as { readonly id?: unknown; readonly method?: string }
      if (id !== undefined && of !== undefined) asked.set(id, of)
    }
    const response = await fetch(url, { ...init, headers })
    if (response.status === 200) answers.push({ response: response.clone().text().catch(() => ''), isStream: response.headers.get('content-type') === 'text/event-stream' })
    return response
  }
  const client = new Client({ name: 'an older agent', version: '1.0.0' }, { capabilities: { roots: { listChanged: true }, sampling: {}, elicitation: { form: {}, url: {} } } })
  client.setRequestHandler(ElicitRequestSchema, async () => ({ action: 'accept' as const, content: { name: 'Ann' } }))
  client.setRequestHandler(CreateMessageRequestSchema, async () => ({ role: 'assistant' as const, content: { type: 'text' as const, text: 'a rose' }, model: 'poet' }))
  client.setRequestHandler(ListRootsRequestSchema, async () => ({ roots: [{ uri: 'file:///garden', name: 'the garden' }] }))
  const transport = new StreamableHTTPClientTransport(new URL(access.url), { fetch: recording })
  await client.connect(transport as unknown as Transport)
  return {
    client, transport,
    async close() {
      await transport.terminateSession()
      const texts = await Promise.all(answers.map(async ({ response, isStream }) => {
        const text = await response
        return isStream ? [...text.matchAll(/^data: (.+)$/gm)].map(([, one]) => one!) : [text]
      }))
      await client.close()
      return texts.flat().map((text) => {
        const message = JSON.parse(text) as { readonly id?: unknown; readonly method?: string }
        return { message, answering: message.method === undefined ? asked.get(message.id) : undefined }
      })
    },
  }
}
