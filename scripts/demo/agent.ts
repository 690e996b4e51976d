import { Client, ProtocolError, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import { Writ, type Task } from '@writ/sdk'

/** Where the agent works, and who is told of what. */
export type Desk = {
  readonly url: string
  readonly environment: NodeJS.ProcessEnv
  /** The folder that the server of files shows. */
  readonly folder: string
  readonly say: (line: string) => void
  /** A denial, by the id of its decision. */
  readonly onDenied: (decision: string) => Promise<void>
}

/** An agent that follows a script: the official client of MCP, at the gateway, in one task of Writ's. */
export async function workAtDesk(desk: Desk): Promise<void> {
  const writ = new Writ({ url: desk.url, environment: desk.environment })
  await using task = await writ.task({
    purpose: 'answer the mail of a customer', ttl: '10m',
    grants: ['mcp:files:list_directory', 'mcp:files:read_text_file', 'mcp:everything:echo', 'mcp:everything:resources/read'],
  })
  desk.say(`task ${task.id}: ${task.purpose}`)
  const [files, everything] = await Promise.all([clientAt(desk, task, 'files'), clientAt(desk, task, 'everything')])
  try {
    for (const [name, { client }] of Object.entries({ files, everything })) desk.say(`the list of ${name}, as the agent sees it: ${(await client.listTools()).tools.map((tool) => tool.name).join(', ')}`)
    const customers = `${desk.folder}/customers.csv`
    const post: Wish = { tool: 'echo', args: { message: 'the desk is open' } }
    await attempt(desk, everything, post)
    await attempt(desk, files, { tool: 'read_text_file', args: { path: customers, head: 500 } })
    await attempt(desk, files, { tool: 'read_text_file', args: { path: customers, head: 3 } })
    const { contents } = await everything.client.readResource({ uri: 'demo://resource/dynamic/text/1' })
    desk.say(`everything/resources/read {"uri":"demo://resource/dynamic/text/1"}: allowed: ${shortened((contents[0] as { readonly text: string }).text)}`)
    desk.say('and the same post as before, now that it has read what is confidential and what a stranger may have written:')
    await attempt(desk, everything, post)
  } finally {
    await Promise.all([files.client.close(), everything.client.close()])
  }
}

type At = { readonly server: string; readonly client: Client }

/** A token for just this server, bound to this process, and a proof for each request: the official client is handed a `fetch` and knows nothing of it. */
async function clientAt({ url }: Desk, task: Task, server: string): Promise<At> {
  const resource = `${url}/mcp/${server}`
  const client = new Client({ name: 'desk-agent', version: '1.0.0' }, { versionNegotiation: { mode: 'auto' } })
  await client.connect(new StreamableHTTPClientTransport(new URL(resource), {
    fetch: async (address, init = {}) => {
      const token = await task.token({ resource })
      const headers = new Headers(init.headers)
      for (const [name, value] of Object.entries(await token.headers(init.method ?? 'GET', address))) headers.set(name, value)
      return fetch(address, { ...init, headers })
    },
  }))
  return { server, client }
}

type Wish = { readonly tool: string; readonly args: Readonly<Record<string, string | number>> }

async function attempt(desk: Desk, { server, client }: At, { tool, args }: Wish): Promise<void> {
  const said = `${server}/${tool} ${JSON.stringify(args).replaceAll(`${desk.folder}/`, '')}`
  try {
    const { content } = await client.callTool({ name: tool, arguments: args })
    desk.say(`${said}: allowed: ${shortened(content.map((part) => ('text' in part ? part.text : part.type)).join(' '))}`)
  } catch (error) {
    const { decision } = (error instanceof ProtocolError ? error.data : undefined) as { readonly decision?: string } ?? {}
    if (decision === undefined) throw error
    desk.say(`${said}: denied`)
    await desk.onDenied(decision)
  }
}

const shortened = (text: string): string => (text.length > 80 ? `${text.slice(0, 80)}...` : text).replaceAll('\n', ' | ')
