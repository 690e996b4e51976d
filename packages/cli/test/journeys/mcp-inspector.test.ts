import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import * as mcp from '@writ/contract/mcp-servers'
import { eventually } from '../../../server/test/eventually.ts'
import { governServer } from '../../../server/test/mcp/estate.ts'
import { EVERYTHING } from '../../../server/test/mcp/everything.ts'
import { inspector, type Inspected } from '../../../server/test/mcp/inspector.ts'
import { startWrit as startServer } from '../../../server/test/running-writ.ts'
import { newestTask, signedIn } from '../estate.ts'
import { BIN, emptyStage } from '../run-writ.ts'

test('the MCP Inspector works through the bridge: a list, a call, a denial, each in a task that ends with it', async (t) => {
  const server = await startServer()
  t.after(() => server.stop())
  const stage = await emptyStage(t)
  await governServer(server, { name: 'all', transport: 'stdio', command: EVERYTHING.command, args: [...EVERYTHING.args] })
  const bot = await server.register('desk', { authority: ['mcp:all:echo'] })
  const keyFile = join(stage.folder, 'desk.jwk')
  writeFileSync(keyFile, JSON.stringify(bot.privateKey.export({ format: 'jwk' })), { mode: 0o600 })
  await signedIn(stage, server, { [bot.spiffeId]: { key_file: keyFile } })
  const asked = (...more: readonly string[]): Promise<Inspected> => inspector([process.execPath, BIN, 'mcp', 'connect', 'all', '--for', 'a look at the tools', '--method', ...more], stage.environment)

  const listed = await asked('tools/list')
  assert.equal(listed.code, 0, listed.err)
  assert.deepEqual((JSON.parse(listed.out) as { readonly tools: readonly { readonly name: string }[] }).tools.map(({ name }) => name), ['echo'])
  const called = await asked('tools/call', '--tool-name', 'echo', '--tool-arg', 'message=hello')
  assert.equal(called.code, 0, called.err)
  assert.match(called.out, /Echo: hello/)
  const denied = await asked('tools/call', '--tool-name', 'get-sum', '--tool-arg', 'a=1', '--tool-arg', 'b=2')
  assert.notEqual(denied.code, 0)
  assert.match(denied.err, /MCP error -32001/)
  await eventually('the last task has ended too', async () => (await newestTask({ writ: server })).end_reason === 'completed')
  const { calls } = (await server.operator(mcp.listToolCalls)).reply
  assert.deepEqual(calls.map(({ tool }) => tool), ['echo'])
})
