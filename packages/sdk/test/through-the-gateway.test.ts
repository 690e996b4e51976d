import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import * as mcp from '@writ/contract/mcp-servers'
import * as policies from '@writ/contract/policies'
import * as tasks from '@writ/contract/tasks'
import { eventually } from '../../server/test/eventually.ts'
import { governServer } from '../../server/test/mcp/estate.ts'
import { filesystemServer } from '../../server/test/mcp/everything.ts'
import { officialOverHttp, type ServedOverHttp } from '../../server/test/mcp/official-server.ts'
import { startWrit, type RunningWrit, type TestIdentity } from '../../server/test/running-writ.ts'
import { Denied, Killed, Misconfigured, TaskExpired, type TaskOptions } from '../src/writ.ts'
import { workload } from './workload.ts'

const FORBIDS = '@id("no-secrets-read")\nforbid (principal, action == Writ::Action::"files/read_text_file", resource)\nwhen { context.arguments.path like "*secret*" };\n'

describe('a task of the SDK works through the gateway', { concurrency: 1 }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'writ-files-'))
  const A = join(folder, 'a.txt')
  let writ: RunningWrit
  let agent: TestIdentity
  let official: ServedOverHttp
  const WORK: TaskOptions = { purpose: 'reads a file', grants: ['mcp:files:read_text_file', 'mcp:files:get_file_info', 'mcp:files:write_file'] }
  const OFFICIAL: TaskOptions = { purpose: 'asks around', grants: ['echo', 'count', 'ask-name', 'in-region'].map((tool) => `mcp:official:${tool}`) }
  before(async () => {
    writeFileSync(A, 'what the file says')
    official = await officialOverHttp('newer')
    writ = await startWrit({ env: { WRIT_OUTBOUND_ALLOW: new URL(official.url).host } })
    const { command, args } = filesystemServer(folder)
    await governServer(writ, { name: 'files', transport: 'stdio', command, args: [...args] }, (tool) => (tool === 'move_file' ? undefined : tool === 'write_file' ? { effect: 'external' } : {}))
    await governServer(writ, { name: 'official', transport: 'http', url: official.url } as mcp.AddMcpServerBody)
    const { files } = (await writ.operator(policies.showCurrentPolicies)).reply
    const applied = await writ.operator(policies.applyPolicies, { body: { files: { ...files, 'policies/files.cedar': FORBIDS }, reason: 'secrets stay' } })
    assert.equal(applied.status, 201, applied.text)
    agent = await writ.register('reader', { authority: [...WORK.grants, ...OFFICIAL.grants] as string[] })
  })
  after(async () => {
    await writ.stop()
    official?.stop()
    rmSync(folder, { recursive: true, force: true })
  })

  test('it sees the tools that it could use, and calls one', async (t) => {
    await using task = await workload(t, writ, agent).task(WORK)
    assert.deepEqual((await task.tools('files')).map(({ id }) => id).toSorted(), ['files/get_file_info', 'files/read_text_file', 'files/write_file'])
    assert.match(JSON.stringify((await task.call('files/read_text_file', { path: A })).content), /what the file says/)
    const { calls } = await eventually('the outcome is recorded', async () => {
      const { reply } = await writ.operator(mcp.listToolCalls, { query: { task: task.id } })
      return reply.calls.length === 1 && reply.calls[0]!.status === 'succeeded' && reply
    })
    assert.equal(calls[0]!.tool, 'read_text_file')
    assert.equal((await agent.api(tasks.showTask, { parameters: { id: task.id } })).reply.budget.used, 1)
  })

  test('a denial has its explanation: the term, its value, and what would allow it', async (t) => {
    await using task = await workload(t, writ, agent).task(WORK)
    await assert.rejects(task.call('files/read_text_file', { path: join(folder, 'secret.txt') }), (fault) => {
      assert.ok(fault instanceof Denied && fault.decision !== undefined)
      assert.equal(fault.explanation?.forbidden_by?.policy, 'no-secrets-read')
      assert.equal(fault.explanation.decision, fault.decision)
      return true
    })
    await assert.rejects(task.call('files/write_file', { path: A, content: 'x' }), (fault) => fault instanceof Denied && fault.code === 'approval_required')
    await assert.rejects(task.call('files/move_file', { source: A, destination: A }), Denied)
    await assert.rejects(task.call('nowhere/at_all'), Denied)
    assert.ok(!task.signal.aborted)
  })

  test('what a server of the newer generation asks is answered, progress is heard, and marked arguments go in headers', async (t) => {
    await using task = await workload(t, writ, agent).task(OFFICIAL)
    const onInput = { 'elicitation/create': () => ({ action: 'accept', content: { name: 'Ada' } }) }
    assert.deepEqual((await task.call('official/ask-name', {}, { onInput })).content, [{ type: 'text', text: 'hello Ada' }])
    await assert.rejects(task.call('official/ask-name'), (fault) => fault instanceof Misconfigured && fault.code === 'input_required')
    const seen: unknown[] = []
    await task.call('official/count', { to: 2, everyMs: 5 }, { onProgress: ({ progress }) => seen.push(progress) })
    assert.deepEqual(seen, [1, 2])
    assert.deepEqual((await task.call('official/in-region', { region: 'süd', size: 7 })).content, [{ type: 'text', text: 'süd' }])
  })

  test('a task that is ended from outside stops its call in flight, and says why', async (t) => {
    const task = await workload(t, writ, agent).task(OFFICIAL)
    const started = Promise.withResolvers<unknown>()
    const call = task.call('official/count', { to: 1000, everyMs: 20 }, { onProgress: started.resolve })
    await Promise.race([started.promise, call])
    await Promise.all([assert.rejects(call, Killed), writ.operator(tasks.endTask, { parameters: { id: task.id }, body: { reason: 'it looked wrong' } })])
    assert.ok(task.signal.reason instanceof Killed)
  })

  test('a task whose budget is spent is over', async (t) => {
    const task = await workload(t, writ, agent).task({ ...WORK, budget: 1 })
    await task.call('files/read_text_file', { path: A })
    await assert.rejects(task.call('files/read_text_file', { path: A }), TaskExpired)
    assert.ok(task.signal.reason instanceof TaskExpired)
  })
})
