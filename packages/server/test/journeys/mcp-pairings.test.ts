import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { Client } from '@modelcontextprotocol/client'
import { eventually } from '../eventually.ts'
import { accessTo, connected, denied, governServer, type Connected, type Generation } from '../mcp/estate.ts'
import { EVERYTHING } from '../mcp/everything.ts'
import { startWrit, type RunningWrit, type TestIdentity } from '../running-writ.ts'

const OFFICIAL = fileURLToPath(new URL('../mcp/official-server.ts', import.meta.url))

/** How the same thing is asked of each server. */
type Upstream = {
  readonly name: string
  readonly args: readonly string[]
  readonly elicit: string
  readonly sample: { readonly name: string; readonly arguments: Record<string, unknown> }
  readonly roots: string
  readonly long: { readonly name: string; readonly arguments: Record<string, unknown> }
  readonly resource: string
  readonly prompt: { readonly name: string; readonly arguments: Record<string, string> }
}

const UPSTREAMS: readonly Upstream[] = [
  {
    name: 'newer', args: [OFFICIAL, 'newer'], elicit: 'ask-name', sample: { name: 'ask-model', arguments: {} }, roots: 'ask-roots', long: { name: 'count', arguments: { to: 5, everyMs: 20 } },
    resource: 'note:///a', prompt: { name: 'greet', arguments: { who: 'Ann' } },
  },
  {
    name: 'older', args: [...EVERYTHING.args], elicit: 'trigger-elicitation-request', sample: { name: 'trigger-sampling-request', arguments: { prompt: 'a poem' } }, roots: 'get-roots-list',
    long: { name: 'trigger-long-running-operation', arguments: { duration: 1, steps: 4 } }, resource: 'demo://resource/static/document/features.md', prompt: { name: 'args-prompt', arguments: { city: 'Bonn' } },
  },
]

const CAPABILITIES = { roots: {}, sampling: {}, elicitation: { form: {} } }

function answering(client: Client): void {
  client.setRequestHandler('elicitation/create', async () => ({ action: 'accept' as const, content: { name: 'Ann' } }))
  client.setRequestHandler('sampling/createMessage', async () => ({ role: 'assistant' as const, content: { type: 'text' as const, text: 'a rose' }, model: 'poet' }))
  client.setRequestHandler('roots/list', async () => ({ roots: [{ uri: 'file:///garden', name: 'the garden' }] }))
}

describe('every generation of clients with every generation of servers', () => {
  let writ: RunningWrit
  let bot: TestIdentity
  const granted = new Map<string, readonly string[]>()
  before(async () => {
    writ = await startWrit()
    for (const { name, args } of UPSTREAMS) {
      const tools = await governServer(writ, { name, transport: 'stdio', command: process.execPath, args: [...args] })
      granted.set(name, tools.filter(({ state }) => state === 'pinned').map((tool) => tool.name))
    }
    bot = await writ.register('client', { authority: [...granted].flatMap(([server, tools]) => tools.map((tool) => `mcp:${server}:${tool}`)) })
  })
  after(() => writ.stop())

  for (const upstream of UPSTREAMS) {
    for (const generation of ['2026-07-28', '2025-11-25'] as Generation[]) {
      describe(`a client of ${generation} with a server of the ${upstream.name} generation`, () => {
        let open: Connected
        const text = (got: object): string => JSON.stringify(got)
        before(async () => {
          const access = await accessTo(writ, bot, { server: upstream.name, tools: granted.get(upstream.name)! })
          open = await connected(access, generation, { capabilities: CAPABILITIES }, answering)
        })
        after(() => open.close())

        test('lists and calls tools', async () => {
          assert.ok((await open.client.listTools()).tools.some(({ name }) => name === 'echo'))
          assert.match(text(await open.client.callTool({ name: 'echo', arguments: { message: 'good day' } })), /good day/)
        })

        test('answers when the server asks for something', async () => {
          assert.match(text(await open.client.callTool({ name: upstream.elicit, arguments: {} })), /Ann/)
          assert.match(text(await open.client.callTool(upstream.sample)), /a rose/)
          assert.match(text(await open.client.callTool({ name: upstream.roots, arguments: {} })), /garden/)
        })

        test('hears how far a long call is', async () => {
          const heard: number[] = []
          await open.client.callTool(upstream.long, { onprogress: ({ progress }) => { heard.push(progress) } })
          assert.ok(heard.length >= 3, heard.join())
          assert.deepEqual(heard, heard.toSorted((a, b) => a - b))
        })

        test('lists and reads resources', async () => {
          assert.ok((await open.client.listResources()).resources.some(({ uri }) => uri === upstream.resource))
          assert.ok((await open.client.readResource({ uri: upstream.resource })).contents.length > 0)
        })

        test('lists and gets prompts', async () => {
          assert.ok((await open.client.listPrompts()).prompts.some(({ name }) => name === upstream.prompt.name))
          assert.match(text(await open.client.getPrompt(upstream.prompt)), new RegExp(Object.values(upstream.prompt.arguments)[0]!))
        })

        test('ends a call that it does not want any more', async () => {
          const cut = new AbortController()
          const args = upstream.name === 'newer' ? { to: 1000, everyMs: 20 } : { duration: 60, steps: 600 }
          let heard = 0
          const calling = denied(open.client.callTool({ name: upstream.long.name, arguments: args }, { signal: cut.signal, onprogress: () => { heard += 1 } }))
          await eventually('it is on its way', () => heard > 0)
          cut.abort()
          await calling
          assert.match(text(await open.client.callTool({ name: 'echo', arguments: { message: 'still there' } })), /still there/)
        })
      })
    }
  }
})
