import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import * as approvals from '@writ/contract/approvals'
import * as mcp from '@writ/contract/mcp-servers'
import * as policies from '@writ/contract/policies'
import * as tasks from '@writ/contract/tasks'
import { eventually } from '../eventually.ts'
import { accessTo, connected, denied, governServer, rawNewer, type Access, type Generation } from '../mcp/estate.ts'
import { EVERYTHING } from '../mcp/everything.ts'
import { proofKey } from '../oauth-client.ts'
import { signInAs, type SignedInPerson } from '../people.ts'
import { eventsOf } from '../proofs.ts'
import { startWrit, type RunningWrit, type TestIdentity } from '../running-writ.ts'

const OFFICIAL = fileURLToPath(new URL('../mcp/official-server.ts', import.meta.url))
const UPSTREAMS = [
  { name: 'newer', args: [OFFICIAL, 'newer'], tool: 'ask-name' },
  { name: 'older', args: [...EVERYTHING.args], tool: 'trigger-elicitation-request' },
] as const
const FORMS = { elicitation: { form: {} } }

const askFirst = UPSTREAMS.map(({ name, tool }) => `@id("${name}-is-approved")
forbid (principal, action in Writ::Action::"call", resource == Writ::Tool::"${name}/${tool}")
unless { context.approved };
`).join('\n')

type Said = {
  readonly status: number
  readonly text: string
  readonly result?: { readonly resultType: string; readonly requestState: string; readonly inputRequests: Readonly<Record<string, unknown>> }
  readonly error?: { readonly code: number; readonly data?: Readonly<Record<string, string>> }
}

async function said(access: Access, name: string, more: Readonly<Record<string, unknown>> = {}): Promise<Said> {
  const got = await rawNewer(access, 'tools/call', { capabilities: FORMS, params: { name, arguments: {}, ...more } })
  const text = await got.text()
  const line = got.headers.get('content-type')?.startsWith('text/event-stream') === true ? text.split('\n').findLast((one) => one.startsWith('data: '))!.slice(6) : text
  return { ...JSON.parse(line) as Omit<Said, 'status' | 'text'>, status: got.status, text }
}

const answersTo = ({ result, text }: Said): Readonly<Record<string, unknown>> => {
  assert.equal(result?.resultType, 'input_required', text)
  return { requestState: result!.requestState, inputResponses: Object.fromEntries(Object.keys(result!.inputRequests).map((name) => [name, { action: 'accept', content: { name: 'Ann' } }])) }
}

describe('a call that a person approved, and whose server asks back', () => {
  let writ: RunningWrit
  let bot: TestIdentity
  let maya: SignedInPerson
  before(async () => {
    writ = await startWrit()
    for (const { name, args, tool } of UPSTREAMS) {
      await governServer(writ, { name, transport: 'stdio', command: process.execPath, args: [...args] }, (one) => (one === tool ? { effect: 'write' } : undefined))
    }
    const { files } = (await writ.operator(policies.showCurrentPolicies)).reply
    const applied = await writ.operator(policies.applyPolicies, { body: { files: { ...files, 'policies/first.cedar': askFirst }, reason: 'ask first' } })
    assert.equal(applied.status, 201, applied.text)
    bot = await writ.register('asker', { authority: UPSTREAMS.map(({ name, tool }) => `mcp:${name}:${tool}`), owners: { technical: 'person:li@acme.example', business: 'team:shop' } })
    maya = await signInAs(writ, { roles: ['reviewer'], email: 'maya@acme.example', name: 'Maya' })
  })
  after(() => writ.stop())

  const accessNow = ({ name, tool }: (typeof UPSTREAMS)[number], more: { readonly task?: string; readonly key?: Access['key'] } = {}): Promise<Access> => accessTo(writ, bot, { server: name, tools: [tool], ...more })
  async function approve(id: string): Promise<void> {
    const choice = { scope: 'once' as const }
    const shown = await maya.api(approvals.previewApproval, { parameters: { id }, body: { choice } })
    const yes = await maya.api(approvals.approveApproval, { parameters: { id }, body: { choice, envelope_sha256: shown.reply.envelope_sha256, reason: 'checked' } })
    assert.equal(yes.reply.state, 'approved', yes.text)
  }
  const statuses = (access: Access, ...wanted: readonly string[]): Promise<unknown> => eventually(`the outcomes are ${wanted.join()}`, async () =>
    (await writ.operator(mcp.listToolCalls, { query: { task: access.task } })).reply.calls.map(({ status }) => status).toReversed().join() === wanted.join())
  const roundsOf = async (access: Access): Promise<readonly unknown[]> => (await eventsOf(writ, access.task)).flatMap(({ type, facts }) => {
    const { approval } = facts as { readonly approval?: { readonly is?: string } }
    return type === 'approval.used' ? [type] : type === 'decision.made' && approval?.is !== undefined ? [approval.is] : []
  })
  /** Asked for, approved and begun: its server has asked. */
  async function begun(upstream: (typeof UPSTREAMS)[number]): Promise<{ readonly access: Access; readonly asked: Said; readonly approval: string }> {
    const access = await accessNow(upstream)
    const approval = (await said(access, upstream.tool)).error?.data?.['approval'] ?? assert.fail('it was not asked about')
    await approve(approval)
    return { access, asked: await said(access, upstream.tool), approval }
  }

  for (const upstream of UPSTREAMS) {
    for (const generation of ['2026-07-28', '2025-11-25'] as const satisfies readonly Generation[]) {
      test(`comes to its end under one use: a client of ${generation}, a server of the ${upstream.name} generation`, async () => {
        const access = await accessNow(upstream)
        const { client, close } = await connected(access, generation, { capabilities: FORMS }, (one) => {
          one.setRequestHandler('elicitation/create', async () => ({ action: 'accept' as const, content: { name: 'Ann' } }))
        })
        const call = () => client.callTool({ name: upstream.tool, arguments: {} })
        await approve((await denied(call())).data['approval'] as string)
        assert.match(JSON.stringify(await call()), /Ann/)
        await statuses(access, 'input_required', 'succeeded')
        assert.equal((await denied(call())).data['code'], 'approval_used')
        assert.deepEqual(await roundsOf(access), ['ran', 'approval.used', 'goes_on', 'used'])
        await close()
      })
    }

    test(`goes on once, with the same arguments and for its own task alone, at a server of the ${upstream.name} generation`, async () => {
      const { access, asked, approval } = await begun(upstream)
      const params = answersTo(asked)
      const other = await begun(upstream)
      const state = String(params['requestState'])
      for (const [what, by, more] of [
        ['other arguments', access, { ...params, arguments: { x: 1 } }],
        ['another task', other.access, params],
        ['a letter changed', access, { ...params, requestState: `${state.slice(0, -9)}${state.at(-9) === 'A' ? 'B' : 'A'}${state.slice(-8)}` }],
        ['without its seal', access, { ...params, requestState: `writ-goes-on:{"approval":"${approval}"}` }],
      ] as const) {
        const got = await said(by, upstream.tool, more)
        assert.deepEqual([got.status, got.error?.code], [400, -32602], `${what}: ${got.text}`)
      }
      const thief = await accessNow(upstream, { task: access.task, key: await proofKey() })
      assert.equal((await said(thief, upstream.tool, params)).error?.data?.['code'], 'approval_used')
      const renewed = await accessNow(upstream, { task: access.task, key: access.key })
      assert.match((await said(renewed, upstream.tool, params)).text, /Ann/)
      assert.equal((await said(renewed, upstream.tool, params)).error?.data?.['code'], 'approval_used')
      assert.equal((await said(access, upstream.tool)).error?.data?.['code'], 'approval_used')
      await statuses(access, 'input_required', 'succeeded')

      await writ.operator(tasks.endTask, { parameters: { id: other.access.task }, body: { reason: 'enough' } })
      assert.equal((await said(other.access, upstream.tool, answersTo(other.asked))).status, 401)
      await statuses(other.access, 'input_required')
    })
  }
})
