import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Client, type ClientOptions } from '@modelcontextprotocol/client'
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio'
import { Client as ClientBefore } from '@modelcontextprotocol/sdk/client/index.js'
import { StdioClientTransport as TransportBefore } from '@modelcontextprotocol/sdk/client/stdio.js'
import * as mcp from '@writ/contract/mcp-servers'
import { endTask, type TaskReply } from '@writ/contract/tasks'
import { eventually } from '../../../server/test/eventually.ts'
import { governServer } from '../../../server/test/mcp/estate.ts'
import { EVERYTHING, filesystemServer } from '../../../server/test/mcp/everything.ts'
import { startWrit as startServer, type RunningWrit } from '../../../server/test/running-writ.ts'
import { newestTask, signedIn } from '../estate.ts'
import { BIN, emptyStage, startWrit, writ, type Running, type Stage } from '../run-writ.ts'

const folder = mkdtempSync(join(tmpdir(), 'writ-files-'))
const OFFICIAL = fileURLToPath(new URL('../../../server/test/mcp/official-server.ts', import.meta.url))
const GENERATIONS = ['2026-07-28', '2025-11-25'] as const
const AUTHORITY = ['mcp:all:echo', 'mcp:all:get-sum', 'mcp:all:trigger-long-running-operation', 'mcp:official:ask-name', 'mcp:official:in-region', 'mcp:wrapped:read_text_file', 'mcp:files:read_text_file', 'mcp:files:write_file']

let server: RunningWrit
let stage: Stage
const ends: (() => unknown)[] = []

before(async () => {
  writeFileSync(join(folder, 'a.txt'), 'what the file says')
  stage = await emptyStage({ after: (end: unknown) => ends.unshift(end as () => unknown) })
  server = await startServer()
  ends.unshift(() => server.stop())
  await governServer(server, { name: 'all', transport: 'stdio', command: EVERYTHING.command, args: [...EVERYTHING.args] })
  await governServer(server, { name: 'official', transport: 'stdio', command: process.execPath, args: [OFFICIAL] })
  const { command, args } = filesystemServer(folder)
  await governServer(server, { name: 'files', transport: 'stdio', command, args: [...args] }, (tool) => (tool === 'write_file' ? undefined : {}))
  const bot = await server.register('desk', { authority: AUTHORITY })
  const keyFile = join(stage.folder, 'desk.jwk')
  writeFileSync(keyFile, JSON.stringify(bot.privateKey.export({ format: 'jwk' })), { mode: 0o600 })
  await signedIn(stage, server, { [bot.spiffeId]: { key_file: keyFile } })
})
after(async () => {
  for (const end of ends) await end()
  rmSync(folder, { recursive: true, force: true })
})

const words = (name: string, ...more: readonly string[]): readonly string[] => ['mcp', 'connect', name, '--for', 'help at the desk', ...more]

type At = { readonly client: Client; readonly transport: StdioClientTransport; readonly err: () => string; close(): Promise<void> }

/** The official client, in this generation, with the bridge as its server: as a desktop client starts one. */
async function desk(generation: (typeof GENERATIONS)[number], args: readonly string[], options: ClientOptions = {}, prepare: (client: Client) => void = () => {}): Promise<At> {
  const mode = generation === '2026-07-28' ? { pin: generation } as const : 'legacy'
  const client = new Client({ name: 'a desktop client', version: '1.0.0' }, { ...options, versionNegotiation: { mode } })
  prepare(client)
  const transport = new StdioClientTransport({ command: process.execPath, args: [BIN, ...args], env: stage.environment as Record<string, string>, cwd: stage.folder, stderr: 'pipe' })
  let err = ''
  transport.stderr!.on('data', (chunk: Buffer) => { err += chunk.toString() })
  // What is no message on standard output would be told here.
  client.onerror = (error) => { err += `client: ${error.message}\n` }
  await client.connect(transport)
  return { client, transport, err: () => err, close: () => client.close() }
}

const closed = (reason: string): Promise<TaskReply> => eventually(`the task ends: ${reason}`, async () => {
  const task = await newestTask({ writ: server })
  return task.end_reason === reason && task
})
const callsOf = async (task: string): Promise<readonly mcp.ToolCallReply[]> => (await server.operator(mcp.listToolCalls, { query: { task } })).reply.calls

/** What became of them is written a moment after they are answered. */
const finishedCallsOf = (task: string): Promise<readonly mcp.ToolCallReply[]> => eventually('what became of the calls is told', async () => {
  const calls = await callsOf(task)
  return calls.every(({ status }) => status !== 'in_flight') && calls
})

const errorOf = async (work: Promise<unknown>): Promise<{ readonly code: number; readonly message: string; readonly data: Record<string, unknown> }> => {
  try {
    await work
  } catch (error) {
    return error as never
  }
  return assert.fail('it was let through')
}

for (const generation of GENERATIONS) {
  test(`a client of ${generation} works through the bridge: a list of what it may, a call, a denial that says why, and the task ends with it`, async () => {
    const at = await desk(generation, words('all', '--purpose-id', 'desk'))
    const { tools } = await at.client.listTools()
    assert.deepEqual(tools.map(({ name }) => name).toSorted(), ['echo', 'get-sum', 'trigger-long-running-operation'])
    assert.match(JSON.stringify(await at.client.callTool({ name: 'echo', arguments: { message: 'hello' } })), /Echo: hello/)
    const denied = await errorOf(at.client.callTool({ name: 'get-tiny-image', arguments: {} }))
    assert.equal(denied.code, -32001, denied.message)
    assert.match(String(denied.data['decision']), /^dec_/)
    const explained = await writ(stage, ['explain', String(denied.data['decision'])])
    assert.match(explained.out, /^denied: spiffe:\/\/acme\.example\/desk call Tool all\/get-tiny-image {2}dec_\w+\n {2}why: the task's grant does not hold mcp:all:get-tiny-image; .+\n {2}would allow it: .+\n {2}next: .+\n$/)
    const pid = at.transport.pid!
    await at.close()
    const task = await closed('completed')
    assert.deepEqual([task.purpose, task.purpose_id], ['help at the desk', 'desk'])
    assert.match(at.err(), /^task tsk_\w+ open for MCP server all, ends with its client and at the latest after 60 min\n$/)
    assert.throws(() => process.kill(pid, 0))
    assert.deepEqual((await finishedCallsOf(task.id)).map(({ tool, status }) => [tool, status]), [['echo', 'succeeded']])
  })

  test(`a client of ${generation} hears how far a call is, and its cancellation ends the call at the server`, async () => {
    const at = await desk(generation, words('all', '--grant', 'mcp:all:trigger-long-running-operation'))
    const heard: number[] = []
    const cancelling = new AbortController()
    const call = at.client.callTool({ name: 'trigger-long-running-operation', arguments: { duration: 20, steps: 40 } }, {
      signal: cancelling.signal,
      onprogress: ({ progress }) => {
        heard.push(progress)
        if (heard.length === 2) cancelling.abort('enough')
      },
    })
    await assert.rejects(call)
    const { id } = await newestTask({ writ: server })
    const [ended] = await eventually('the call is over', async () => {
      const calls = await callsOf(id)
      return calls.every(({ status }) => status !== 'in_flight') && calls
    })
    assert.equal(ended?.status, 'cancelled')
    assert.deepEqual(heard.slice(0, 2), [1, 2])
    await at.close()
    await closed('completed')
  })

  test(`a server asks a client of ${generation} in the middle of a call`, async () => {
    const at = await desk(generation, words('official'), { capabilities: { elicitation: { form: {} } } }, (client) => {
      client.setRequestHandler('elicitation/create', () => ({ action: 'accept', content: { name: 'Maya' } }))
    })
    const got = await at.client.callTool({ name: 'ask-name', arguments: {} })
    assert.match(JSON.stringify(got), /hello Maya/)
    await at.close()
  })
}

test('what a tool wants to be shown in headers the bridge shows, for a client of stdio knows of no headers', async () => {
  const at = await desk('2026-07-28', words('official'))
  assert.match(JSON.stringify(await at.client.callTool({ name: 'in-region', arguments: { region: 'Zürich', size: 3 } })), /Zürich/)
  await at.client.listTools()
  assert.match(JSON.stringify(await at.client.callTool({ name: 'in-region', arguments: { region: 'us-west1' } })), /us-west1/)
  await at.close()
})

test('the client of the SDK before works through the bridge too', async () => {
  const client = new ClientBefore({ name: 'an older desktop client', version: '1.0.0' })
  const transport = new TransportBefore({ command: process.execPath, args: [BIN, ...words('files')], env: stage.environment as Record<string, string>, stderr: 'ignore' })
  await client.connect(transport)
  const { tools } = await client.listTools()
  assert.deepEqual(tools.map(({ name }) => name), ['read_text_file'])
  assert.match(JSON.stringify(await client.callTool({ name: 'read_text_file', arguments: { path: join(folder, 'a.txt') } })), /what the file says/)
  await client.close()
  await closed('completed')
})

const INITIALIZE = '{"jsonrpc":"2.0","id":"i","method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"raw","version":"1"}}}'
const INITIALIZED = '{"jsonrpc":"2.0","method":"notifications/initialized"}'

/** The bridge with its input left open. */
function rawBridge(args: readonly string[]): Running & { say(...lines: readonly string[]): void } {
  const running = startWrit(stage, args, { open: true })
  return { ...running, say: (...lines) => { running.child.stdin!.write(lines.map((line) => `${line}\n`).join('')) } }
}

const linesOf = (running: Running): readonly string[] => running.said().out.split('\n').filter((line) => line !== '')

test('a message goes on as it was written: ids and numbers that JavaScript would change come back as they are', async () => {
  const bridge = rawBridge(words('all'))
  bridge.say(INITIALIZE, INITIALIZED, '{"jsonrpc":"2.0","id":9007199254740993,"method":"tools/call","params":{"name":"echo","arguments":{"message":"a\\u0062c"}}}')
  await bridge.saw('9007199254740993')
  bridge.child.stdin!.end()
  const done = await bridge.ended
  assert.equal(done.code, 0, done.err)
  const answer = linesOf(bridge).at(-1)!
  assert.match(answer, /"id":9007199254740993[,}]/)
  assert.match(answer, /Echo: abc/)
  for (const line of linesOf(bridge)) assert.equal((JSON.parse(line) as { jsonrpc: string }).jsonrpc, '2.0')
  await closed('completed')
})

test('what is no message is answered, and what comes after it goes on', async () => {
  const bridge = rawBridge(words('all'))
  bridge.say('nonsense', '', '[]', '{"jsonrpc":"2.0","id":7,"method":"tools/list","method":"ping"}', INITIALIZE)
  await bridge.saw('"i"')
  bridge.child.stdin!.end()
  await bridge.ended
  const said = linesOf(bridge).map((line) => JSON.parse(line) as { id?: unknown; error?: { code: number; message: string } })
  assert.deepEqual(said.slice(0, 3).map(({ id, error }) => [id, error?.code]), [[undefined, -32700], [undefined, -32600], [7, -32600]])
  assert.match(said[2]!.error!.message, /has one meaning/)
  assert.equal(said[3]!.id, 'i')
})

for (const { signal, code } of [{ signal: 'SIGTERM', code: 143 }, { signal: 'SIGINT', code: 130 }] as const) {
  test(`${signal} ends the bridge and its task`, async () => {
    const bridge = rawBridge(words('all'))
    bridge.say(INITIALIZE)
    await bridge.saw('"i"')
    bridge.child.kill(signal)
    assert.equal((await bridge.ended).code, code)
    await closed('completed')
  })
}

test('a client that dies takes the bridge and the task with it', async () => {
  const shell = `"$0" "$@" < "$FIFO" & echo $! ; wait`
  const running = startWrit(stage, [], { program: ['/bin/sh', '-c', `mkfifo "$FIFO"; exec 3<>"$FIFO"; ${shell}`, process.execPath, BIN, ...words('all')], environment: { FIFO: join(stage.folder, 'client') } })
  await running.saw('open for MCP server')
  running.child.kill('SIGKILL')
  await closed('completed')
})

test('when an operator ends the task, the call in flight is told why, and so is the person', async () => {
  const bridge = rawBridge(words('all', '--heartbeat', '30s'))
  bridge.say(INITIALIZE, INITIALIZED, '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"trigger-long-running-operation","arguments":{"duration":30,"steps":60},"_meta":{"progressToken":5}}}')
  await bridge.saw('notifications/progress')
  const began = performance.now()
  await server.operator(endTask, { parameters: { id: (await newestTask({ writ: server })).id }, body: { reason: 'it is enough' } })
  const done = await bridge.ended
  assert.equal(done.code, 6, done.err)
  const answer = JSON.parse(linesOf(bridge).at(-1)!) as { id: unknown; error: { code: number; message: string; data: unknown } }
  assert.deepEqual([answer.id, answer.error.code], [1, -32001])
  assert.match(answer.error.message, /the task is over: .*ended_by_person/)
  assert.match(done.err, /writ: the task is over and so is the way to MCP server all: it ended \(ended_by_person\)/)
  assert.ok(performance.now() - began < 5000)
})

test('a server of Writ that is started again is no end for a client of the older generation: its session begins anew unseen', async () => {
  const at = await desk('2025-11-25', words('all'))
  await at.client.callTool({ name: 'echo', arguments: { message: 'before' } })
  await finishedCallsOf((await newestTask({ writ: server })).id)
  await server.kill()
  await server.restart()
  assert.match(JSON.stringify(await at.client.callTool({ name: 'echo', arguments: { message: 'after' } })), /Echo: after/)
  assert.equal((await at.client.listTools()).tools.length, 3)
  await at.close()
  const task = await closed('completed')
  assert.deepEqual((await finishedCallsOf(task.id)).map(({ tool, status }) => [tool, status]), [['echo', 'succeeded'], ['echo', 'succeeded']])
})

for (const generation of GENERATIONS) {
  test(`a call of ${generation} that is lost with a server of Writ is answered, and never made again unasked`, async () => {
    const at = await desk(generation, words('all'))
    const heard = Promise.withResolvers<number>()
    const lost = errorOf(at.client.callTool({ name: 'trigger-long-running-operation', arguments: { duration: 20, steps: 40 } }, { onprogress: ({ progress }) => { heard.resolve(progress) } }))
    await heard.promise
    await server.kill()
    await server.restart()
    assert.match((await lost).message, /whether it was done is not known/)
    assert.match(JSON.stringify(await at.client.callTool({ name: 'echo', arguments: { message: 'after' } })), /Echo: after/)
    await at.close()
    const task = await closed('completed')
    const calls = await eventually('what became of the call is told', async () => {
      const found = await callsOf(task.id)
      return found.every(({ status }) => status !== 'in_flight') && found
    })
    assert.deepEqual(calls.map(({ tool, status }) => [tool, status]), [['echo', 'succeeded'], ['trigger-long-running-operation', 'unknown']])
  })
}

test('whether a tool could be called is told before anybody tries, by its name and its arguments', async () => {
  const may = await writ(stage, ['can', 'desk', 'call', 'all/echo', '-c', 'message=hello'])
  assert.deepEqual([may.code, may.out.split('\n')[0]?.replace(/ {2}dec_\w+$/, '')], [0, 'allowed: spiffe://acme.example/desk call Tool all/echo'], may.err)
  const strange = await writ(stage, ['can', 'desk', 'call', 'all/echo', '-c', 'volume=11'])
  assert.equal(strange.code, 10, strange.out)
  assert.match(strange.out, /why: it could not be evaluated: arguments\.message: the schema requires it/)
  const long = await writ(stage, ['can', 'desk', 'call', 'tool:all/echo', '-c', 'message=hello'])
  assert.equal(long.code, 0)
})

test('--print-config prints what a desktop client needs to start the bridge, and starts nothing', async () => {
  const done = await writ(stage, [...words('all'), '--print-config'])
  assert.equal(done.code, 0, done.err)
  const { mcpServers: { all } } = JSON.parse(done.out) as { mcpServers: { all: { command: string; args: string[]; env: Record<string, string> } } }
  assert.deepEqual([all.command, ...all.args], [process.execPath, BIN, ...words('all')])
  const client = new Client({ name: 'a desktop client', version: '1.0.0' })
  await client.connect(new StdioClientTransport({ command: all.command, args: all.args, env: { ...all.env, HOME: stage.folder }, stderr: 'ignore' }))
  assert.equal((await client.listTools()).tools.length, 3)
  await client.close()
})

for (const { when, args, says, code } of [
  { when: 'the identity may do nothing there', args: words('nowhere'), says: /holds nothing on an MCP server `nowhere`/, code: 6 },
  { when: 'the grant is for another server', args: words('all', '--grant', 'mcp:files:read_text_file'), says: /the grant `mcp:files:read_text_file` is not on `all`/, code: 2 },
  { when: 'the grant is beyond the identity', args: words('all', '--grant', 'mcp:all:get-tiny-image'), says: /error: /, code: 6 },
  { when: 'the name is none', args: words('../all'), says: /is no name of an MCP server/, code: 2 },
]) {
  test(`nothing is opened when ${when}`, async () => {
    const before = (await newestTask({ writ: server })).id
    const done = await writ(stage, args)
    assert.deepEqual([done.code, done.out], [code, ''], done.err)
    assert.match(done.err, says)
    assert.equal((await newestTask({ writ: server })).id, before)
  })
}

test('one line governs a server of one\'s own: it is registered, its tools are pinned when that is said, and it is there as any other', async () => {
  const wrap = (...more: readonly string[]): readonly string[] => ['mcp', 'wrap', '--for', 'help at the desk', '--name', 'wrapped', ...more, '--', process.execPath, filesystemServer(folder).args[0], folder]
  const unsaid = await writ(stage, wrap())
  assert.deepEqual([unsaid.code, unsaid.out], [2, ''], unsaid.err)
  assert.match(unsaid.err, /^registered MCP server wrapped: .*\nerror: no tool of `wrapped` is pinned, and there is no terminal to ask on: .*read_text_file.*\nhint: --pin-all pins them as proposed\n/)
  for (const more of [['--pin-all'], []]) {
    const bridge = rawBridge(wrap(...more))
    bridge.say(INITIALIZE, INITIALIZED, JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'read_text_file', arguments: { path: join(folder, 'a.txt') } } }))
    await bridge.saw('"id":1')
    bridge.child.stdin!.end()
    const done = await bridge.ended
    assert.equal(done.code, 0, done.err)
    assert.equal(/tools of wrapped pinned in version \d+/.test(done.err), more.length > 0, done.err)
    for (const line of linesOf(bridge)) assert.equal((JSON.parse(line) as { jsonrpc: string }).jsonrpc, '2.0')
    assert.match(linesOf(bridge).at(-1)!, /what the file says/)
  }
  const other = await writ(stage, [...wrap('--pin-all'), tmpdir()])
  assert.deepEqual([other.code, other.out], [6, ''])
  assert.match(other.err, /there is an MCP server `wrapped` already, and it is another/)
  const printed = await writ(stage, wrap('--pin-all', '--print-config'))
  const { mcpServers } = JSON.parse(printed.out) as { mcpServers: { wrapped: { args: string[] } } }
  assert.deepEqual(mcpServers.wrapped.args.slice(1), ['mcp', 'connect', 'wrapped', '--for', 'help at the desk'])
})
