import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { tool as aiTool } from 'ai'
import * as approvals from '@writ/contract/approvals'
import * as policies from '@writ/contract/policies'
import * as tasks from '@writ/contract/tasks'
import { z } from 'zod'
import { governTools } from '../src/adapters/ai-sdk.ts'
import { ApprovalDenied, ApprovalExpired, ApprovalRequired, Denied, Misconfigured, Writ, WritError, type Task, type TaskOptions } from '../src/writ.ts'
import { eventually } from '../../server/test/eventually.ts'
import { governServer } from '../../server/test/mcp/estate.ts'
import { recordingHttp, type RecordingHttp } from '../../server/test/mcp/recording-http.ts'
import { signInAs, type SignedInPerson } from '../../server/test/people.ts'
import { startWrit, type RunningWrit, type TestIdentity } from '../../server/test/running-writ.ts'
import { workload } from './workload.ts'

const input = { type: 'object', properties: { amount: { type: 'integer' }, order: { type: 'string' } } }
const ASK_FIRST = `@id("notes-are-approved")
forbid (principal, action in Writ::Action::"call", resource == Writ::Tool::"shop/note")
unless { context.approved };
`
const WORK: TaskOptions = { purpose: 'writes notes', grants: ['mcp:shop:note'] }

describe('an agent waits for a person', { concurrency: 1 }, () => {
  let recording: RecordingHttp
  let writ: RunningWrit
  let agent: TestIdentity
  let maya: SignedInPerson
  before(async () => {
    recording = await recordingHttp({ tools: [{ name: 'note', description: 'Writes a note.', inputSchema: input }] })
    writ = await startWrit({ env: { WRIT_OUTBOUND_ALLOW: recording.host, WRIT_LOG: 'warn' } })
    await governServer(writ, { name: 'shop', transport: 'http', url: recording.urlOf('newer') }, () => ({ effect: 'write', reversible: true }))
    const { files } = (await writ.operator(policies.showCurrentPolicies)).reply
    assert.equal((await writ.operator(policies.applyPolicies, { body: { files: { ...files, 'policies/notes.cedar': ASK_FIRST }, reason: 'ask first' } })).status, 201)
    agent = await writ.register('noter', { authority: ['mcp:shop:note'], owners: { technical: 'person:li@acme.example', business: 'team:shop' } })
    maya = await signInAs(writ, { roles: ['reviewer'], email: 'maya@acme.example', passkey: false })
  })
  after(async () => {
    await writ.stop()
    recording.stop()
  })

  const ran = (order: string): number => recording.written.filter(({ message, body }) => message.method === 'tools/call' && body.includes(`"${order}"`)).length
  const waitingIn = (task: Task): Promise<string> => eventually('a person is asked', async () =>
    (await maya.api(approvals.listApprovals, { query: { state: 'waiting', task: task.id } })).reply.approvals[0]?.id)
  const approve = async (id: string, edited?: string): Promise<void> => {
    const choice = edited === undefined ? { scope: 'once' as const } : { scope: 'edited' as const, arguments: edited }
    const shown = await maya.api(approvals.previewApproval, { parameters: { id }, body: { choice } })
    const got = await maya.api(approvals.approveApproval, { parameters: { id }, body: { choice, envelope_sha256: shown.reply.envelope_sha256 } })
    assert.equal(got.reply.state, 'approved', got.text)
  }
  const deny = (id: string) => maya.api(approvals.denyApproval, { parameters: { id }, body: {} })

  test('a call waits, runs once within a second of the yes, and is refused when it is asked for again', async (t) => {
    await using task = await workload(t, writ, agent).task(WORK)
    const calling = task.call('shop/note', { amount: 1, order: 'c1' }, { waitForApproval: '1m' })
    await approve(await waitingIn(task))
    const at = performance.now()
    assert.equal((await calling).isError, undefined)
    assert.ok(performance.now() - at < 1000, `resumed after ${Math.round(performance.now() - at)} ms`)
    assert.equal(ran('c1'), 1)
    await assert.rejects(task.call('shop/note', { amount: 1, order: 'c1' }, { waitForApproval: '1m' }), (fault) => fault instanceof Denied && fault.code === 'approval_used')
    assert.equal(ran('c1'), 1)
  })

  test('without patience it is thrown at once who has to answer and where; a no, and no answer, are errors of their own', async (t) => {
    await using task = await workload(t, writ, agent).task(WORK)
    const call = (order: string, waitForApproval: '1s' | '1m' | false) => task.call('shop/note', { amount: 2, order }, { waitForApproval })
    await assert.rejects(call('d1', false), (fault) => fault instanceof ApprovalRequired && fault instanceof Denied && fault.code === 'approval_required' && fault.decision !== undefined
      && fault.approval?.startsWith('apr_') === true && fault.url?.endsWith(fault.approval) === true && fault.explain().includes(fault.url))
    await assert.rejects(call('d1', '1s'), (fault) => fault instanceof ApprovalRequired && fault.retryable)
    const denied = call('d1', '1m')
    denied.catch(() => undefined)
    await deny(await waitingIn(task))
    await assert.rejects(denied, (fault) => fault instanceof ApprovalDenied && !fault.retryable && /said no/.test(fault.explain()))
    await assert.rejects(call('d1', '1m'), ApprovalDenied)
    const taken = call('d2', '1m')
    taken.catch(() => undefined)
    const id = await waitingIn(task)
    await agent.api(approvals.cancelApproval, { parameters: { id }, body: {} })
    await assert.rejects(taken, (fault) => fault instanceof ApprovalExpired && fault.code === 'approval_cancelled')
    assert.equal(ran('d1') + ran('d2'), 0)
  })

  test('a tool of this process is asked for as well, runs with what was approved and not with more; its adapter waits too', async (t) => {
    await using task = await workload(t, writ, agent).task(WORK)
    await assert.rejects(task.attempt('shop/note', { amount: 40, order: 'a0' }), (fault) => fault instanceof ApprovalRequired && fault.approval === undefined)
    assert.equal((await maya.api(approvals.listApprovals, { query: { state: 'waiting', task: task.id } })).reply.approvals.length, 0, 'nobody is asked before somebody waits')
    const attempting = task.attempt('shop/note', { amount: 40, order: 'a1' }, { waitForApproval: '1m' })
    await approve(await waitingIn(task), '{"amount":30,"order":"a1"}')
    assert.deepEqual((await attempting).arguments, { amount: 30, order: 'a1' })

    const executed: object[] = []
    const { note } = governTools({ note: aiTool({ inputSchema: z.object({ amount: z.number(), order: z.string() }), execute: async (given) => { executed.push(given); return 'noted' } }) }, task, { server: 'shop', waitForApproval: '1m' })
    const executing = note.execute!({ amount: 5, order: 'a2' }, { toolCallId: 'c', messages: [] } as never)
    await approve(await waitingIn(task))
    assert.equal(await executing, 'noted')
    assert.deepEqual(executed, [{ amount: 5, order: 'a2' }])
  })

  test('a task that waits is not idle; one that was let go of is not silent, and goes on in another process', async (t) => {
    const sdk = workload(t, writ, agent)
    const short = { ...WORK, heartbeat: '3s', idleTimeout: '3s' } as const
    await using waiting = await sdk.task(short)
    const calling = waiting.call('shop/note', { amount: 3, order: 's1' }, { waitForApproval: '1m' })
    const id = await waitingIn(waiting)

    const task = await sdk.task(short)
    await assert.rejects(task.suspend(), Misconfigured)
    await assert.rejects(task.call('shop/note', { amount: 3, order: 's2' }), ApprovalRequired)
    const token = await task.suspend()
    assert.match(token, /^writ-suspended\.1\.tsk_\w+\.apr_\w+$/)
    await assert.rejects(task.call('shop/note', { amount: 3, order: 's2' }), (fault) => fault instanceof WritError && fault.code === 'task_suspended')
    await task.end()
    // Opened after both, for as long, and waiting for nobody: of one nothing is heard, the other does nothing. Once they are over, so would those be.
    const [silent, idle] = await Promise.all([{ heartbeat_seconds: 3 }, { idle_timeout_seconds: 3, heartbeat_seconds: 600 }].map(async (terms) =>
      (await agent.api(tasks.openTask, { body: { purpose: 'waits for nobody', authorization_details: [{ type: 'mcp', locations: ['shop'], actions: ['note'] }], ...terms } })).reply.id))
    const show = async (of: string) => (await writ.operator(tasks.showTask, { parameters: { id: of } })).reply
    const endOf = (of: string): Promise<string> => eventually('a task that waits for nobody is over', async () => (await show(of)).end_reason ?? undefined)
    assert.deepEqual([await endOf(silent!), await endOf(idle!)], ['silence', 'idle'])
    assert.deepEqual([(await show(waiting.id)).state, (await show(task.id)).state], ['open', 'open'])
    await approve(id)
    await calling
    assert.equal(ran('s1'), 1)

    await approve(await waitingIn(task))
    await assert.rejects(sdk.resume('writ-suspended.1.tsk_1.apr_1'), Misconfigured)
    await using resumed = await workload(t, writ, agent).resume(token)
    assert.equal(resumed.id, task.id)
    await resumed.call('shop/note', { amount: 3, order: 's2' })
    assert.equal(ran('s2'), 1)
    const stranger = new Writ({ url: writ.url, evidence: { kind: 'assertion', token: async () => (await writ.register(`stranger-${Date.now()}`)).assertion() } as never })
    await assert.rejects(stranger.resume(token), Denied)
  })
})
