import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import * as decisions from '@writ/contract/decisions'
import * as mcp from '@writ/contract/mcp-servers'
import * as policies from '@writ/contract/policies'
import { eventually } from '../eventually.ts'
import { accessTo, connected, denied, governServer, rawNewer } from '../mcp/estate.ts'
import { filesystemServer } from '../mcp/everything.ts'
import { eventsOf } from '../proofs.ts'
import { startWrit, type RunningWrit } from '../running-writ.ts'

const FORBIDS = `@id("no-secrets-read")
forbid (
  principal,
  action == Writ::Action::"files/read_text_file",
  resource
)
when { context.arguments.path like "*secret*" };
`

/** Every call of a task that has come to its end, oldest first. */
async function finishedCalls(writ: RunningWrit, task: string, count: number): Promise<readonly mcp.ToolCallReply[]> {
  return eventually('the outcomes are recorded', async () => {
    const { calls } = (await writ.operator(mcp.listToolCalls, { query: { task } })).reply
    return calls.length === count && calls.every(({ status }) => status !== 'in_flight') && calls.toReversed()
  })
}

describe('an agent works through the gateway with the filesystem server', () => {
  const folder = mkdtempSync(join(tmpdir(), 'writ-files-'))
  let writ: RunningWrit
  before(async () => {
    writeFileSync(join(folder, 'a.txt'), 'what the file says')
    writeFileSync(join(folder, 'secret.txt'), 'what nobody may read')
    writ = await startWrit()
    const { command, args } = filesystemServer(folder)
    const written: Readonly<Record<string, object | undefined>> = {
      write_file: { effect: 'external', reversible: false }, list_directory: { labels: ['confidential'] }, list_allowed_directories: { trust: 'untrusted' }, get_file_info: { public: ['path'] }, move_file: undefined,
    }
    await governServer(writ, { name: 'files', transport: 'stdio', command, args: [...args] }, (tool) => (tool in written ? written[tool] : {}))
    const { files } = (await writ.operator(policies.showCurrentPolicies)).reply
    const applied = await writ.operator(policies.applyPolicies, { body: { files: { ...files, 'policies/files.cedar': FORBIDS }, reason: 'secrets stay' } })
    assert.equal(applied.status, 201, applied.text)
  })
  after(async () => {
    await writ.stop()
    rmSync(folder, { recursive: true, force: true })
  })
  const grants = (...tools: readonly string[]): string[] => tools.map((tool) => `mcp:files:${tool}`)

  for (const generation of ['2026-07-28', '2025-11-25'] as const) {
    test(`a client of ${generation} sees the tools that its task could use, calls one, and the call is in the record`, async () => {
      const bot = await writ.register(`reader-${generation}`, { authority: grants('read_text_file', 'get_file_info', 'write_file', 'move_file') })
      const access = await accessTo(writ, bot, { server: 'files', tools: ['read_text_file', 'get_file_info', 'move_file'] })
      const { client, close } = await connected(access, generation)
      // One was not accepted, one is not in the task's grant.
      assert.deepEqual((await client.listTools()).tools.map(({ name }) => name).toSorted(), ['get_file_info', 'read_text_file'])
      const got = await client.callTool({ name: 'read_text_file', arguments: { path: join(folder, 'a.txt') } })
      assert.match(JSON.stringify(got.content), /what the file says/)
      const [call] = await finishedCalls(writ, access.task, 1)
      assert.deepEqual([call!.server, call!.tool, call!.status], ['files', 'read_text_file', 'succeeded'])
      assert.ok(call!.bytes! > 0 && /^[0-9a-f]{64}$/.test(call!.sha256!))
      const events = await eventsOf(writ, access.task)
      const [made, finished] = ['decision.made', 'call.finished'].map((type) => events.findLast((one) => one.type === type)!)
      assert.equal((made!.facts as { readonly decision: string }).decision, call!.decision)
      assert.equal((finished!.facts as { readonly decision: string }).decision, call!.decision)
      assert.doesNotMatch(JSON.stringify(events), /what the file says|a\.txt/)
      await close()
    })
  }

  test('an argument that a person made public stands in the record of the attempt, and of another tool none does', async () => {
    const bot = await writ.register('shown', { authority: grants('read_text_file', 'get_file_info') })
    const access = await accessTo(writ, bot, { server: 'files', tools: ['read_text_file', 'get_file_info'] })
    const { client, close } = await connected(access)
    const path = join(folder, 'a.txt')
    for (const name of ['get_file_info', 'read_text_file']) await client.callTool({ name, arguments: { path } })
    const attempts = (await eventsOf(writ, access.task)).map(({ type, facts }) => [type, facts as Readonly<Record<string, unknown>>] as const).filter(([type, facts]) => type === 'decision.made' && facts['action'] === 'call')
    assert.deepEqual(attempts.map(([, facts]) => [facts['resource'], facts['arguments']]), [['files/get_file_info', { path }], ['files/read_text_file', undefined]])
    await close()
  })

  test('a call is denied for one of its arguments, and the denial says which and why', async () => {
    const bot = await writ.register('curious', { authority: grants('read_text_file') })
    const access = await accessTo(writ, bot, { server: 'files', tools: ['read_text_file'] })
    const { client, close } = await connected(access)
    const refused = await denied(client.callTool({ name: 'read_text_file', arguments: { path: join(folder, 'secret.txt') } }))
    assert.equal(refused.code, -32001)
    const { decision, explanation } = refused.data as { readonly decision: string; readonly explanation: decisions.ExplanationReply }
    assert.deepEqual([explanation.verdict, explanation.decision, explanation.forbidden_by?.policy], ['deny', decision, 'no-secrets-read'])
    const asked = await writ.operator(decisions.explainDecision, { parameters: { id: decision } })
    assert.deepEqual(asked.reply, explanation)
    assert.deepEqual((await writ.operator(mcp.listToolCalls, { query: { task: access.task } })).reply.calls, [])
    await close()
  })

  test('a call is denied for what the task has read before', async () => {
    const bot = await writ.register('teller', { class: 'script', authority: grants('list_directory', 'list_allowed_directories', 'write_file') })
    const access = await accessTo(writ, bot, { server: 'files', tools: ['list_directory', 'list_allowed_directories', 'write_file'] })
    const { client, close } = await connected(access)
    const write = (name: string) => client.callTool({ name: 'write_file', arguments: { path: join(folder, name), content: 'x' } })
    await write('before.txt')
    await client.callTool({ name: 'list_directory', arguments: { path: folder } })
    await client.callTool({ name: 'list_allowed_directories', arguments: {} })
    const refused = await denied(write('after.txt'))
    assert.deepEqual([refused.code, (refused.data['explanation'] as decisions.ExplanationReply).forbidden_by?.policy], [-32001, 'nothing-out-after-both'])
    assert.deepEqual([existsSync(join(folder, 'before.txt')), existsSync(join(folder, 'after.txt'))], [true, false])
    // And what it can not call any more is not listed any more.
    assert.deepEqual((await client.listTools()).tools.map(({ name }) => name).toSorted(), ['list_allowed_directories', 'list_directory'])
    await close()
  })

  test('what is unknown, not accepted or not granted is denied in the same way, and so is a server that is not there', async () => {
    const bot = await writ.register('guesser', { authority: [...grants('read_text_file', 'no_such_tool', 'move_file', 'write_file'), 'mcp:ghosts:boo'] })
    const access = await accessTo(writ, bot, { server: 'files', tools: ['read_text_file', 'no_such_tool', 'move_file'] })
    const { client, close } = await connected(access)
    const elsewhere = await accessTo(writ, bot, { server: 'ghosts', tools: ['boo'] })
    const answers = [
      ...await Promise.all(['no_such_tool', 'move_file', 'write_file'].map((name) => denied(client.callTool({ name, arguments: {} })))),
      ...await Promise.all([rawNewer(elsewhere, 'tools/call', { params: { name: 'boo' } }), rawNewer(elsewhere, 'tools/list')].map(async (one) => (await (await one).json() as { readonly error: object }).error)),
    ]
    const shapes = answers.map((one) => {
      const { code, message, data } = one as Awaited<ReturnType<typeof denied>>
      return JSON.stringify([code, message.replace(/^MCP error -32001: /, ''), Object.keys(data).toSorted(), Object.keys(data['explanation'] as object).toSorted()])
    })
    assert.equal(new Set(shapes).size, 1, shapes.join('\n'))
    await close()
  })

  test('a tool that may take numbers up to a bound is called below it and denied above it', async () => {
    const bot = await writ.register('counter', { authority: grants('read_text_file') })
    const access = await accessTo(writ, bot, { server: 'files', form: { authorization_details: JSON.stringify([{ type: 'mcp', locations: ['files'], actions: ['read_text_file'], limits: { head: 5 } }]) } })
    const { client, close } = await connected(access)
    assert.deepEqual((await client.listTools()).tools.map(({ name }) => name), ['read_text_file'])
    const read = (head: number) => client.callTool({ name: 'read_text_file', arguments: { path: join(folder, 'a.txt'), head } })
    assert.match(JSON.stringify((await read(5)).content), /what the file says/)
    assert.equal((await denied(read(6))).code, -32001)
    await close()
  })

  test('a token that holds less than its task is told which token would do', async () => {
    const bot = await writ.register('narrow', { authority: grants('read_text_file', 'get_file_info') })
    const whole = await accessTo(writ, bot, { server: 'files', tools: ['read_text_file', 'get_file_info'] })
    const details = JSON.stringify([{ type: 'mcp', locations: ['files'], actions: ['get_file_info'] }])
    const part = await accessTo(writ, bot, { server: 'files', task: whole.task, form: { authorization_details: details } })
    const ask = (access: typeof part) => rawNewer(access, 'tools/call', { params: { name: 'read_text_file', arguments: { path: join(folder, 'a.txt') } } })
    const got = await ask(part)
    assert.equal(got.status, 403, await got.clone().text())
    assert.match(got.headers.get('www-authenticate')!, /^Bearer error="insufficient_scope", scope="mcp:files:read_text_file", resource_metadata="[^"]+\/\.well-known\/oauth-protected-resource\/mcp\/files", DPoP /)
    assert.equal((await got.json() as { readonly error: { readonly code: number } }).error.code, -32001)
    assert.equal((await ask(whole)).status, 200)
  })
})
