import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import * as mcp from '@writ/contract/mcp-servers'
import { bearerTo, type Bearer } from '../mcp/bearer.ts'
import { governServer } from '../mcp/estate.ts'
import { EVERYTHING } from '../mcp/everything.ts'
import { inspector, type Inspected } from '../mcp/inspector.ts'
import { startWrit, type RunningWrit } from '../running-writ.ts'

describe('the MCP Inspector at the gateway', () => {
  let writ: RunningWrit
  let bearer: Bearer
  before(async () => {
    writ = await startWrit()
    await governServer(writ, { name: 'all', transport: 'stdio', command: EVERYTHING.command, args: [...EVERYTHING.args] })
    const bot = await writ.register('person', { class: 'assisted', authority: ['mcp:all:echo', 'mcp:all:get-sum'] })
    bearer = await bearerTo(writ, bot, { server: 'all', tools: ['echo', 'get-sum'] })
  })
  after(() => writ.stop())

  const asked = (...more: readonly string[]): Promise<Inspected> => inspector([bearer.url, '--transport', 'http', '--header', `Authorization: Bearer ${bearer.token}`, '--method', ...more])

  test('lists what its task may call, calls it, and is denied the rest; the record says so', async () => {
    const [listed, called, denied] = await Promise.all([asked('tools/list'), asked('tools/call', '--tool-name', 'echo', '--tool-arg', 'message=hello'), asked('tools/call', '--tool-name', 'get-tiny-image')])
    assert.equal(listed.code, 0, listed.err)
    assert.deepEqual((JSON.parse(listed.out) as { readonly tools: readonly { readonly name: string }[] }).tools.map(({ name }) => name).toSorted(), ['echo', 'get-sum'])
    assert.equal(called.code, 0, called.err)
    assert.match(called.out, /Echo: hello/)
    assert.notEqual(denied.code, 0)
    assert.match(denied.err, /MCP error -32001: denied/)
    assert.equal(denied.out, '')
    const { calls } = (await writ.operator(mcp.listToolCalls, { query: { task: bearer.task } })).reply
    assert.deepEqual(calls.map(({ tool }) => tool), ['echo'])
  })

  test('without a token that holds it is let nowhere', async () => {
    const got = await inspector([bearer.url, '--transport', 'http', '--header', `Authorization: Bearer ${bearer.token}x`, '--method', 'tools/list'])
    assert.notEqual(got.code, 0)
    assert.deepEqual(got.out, '')
  })
})
