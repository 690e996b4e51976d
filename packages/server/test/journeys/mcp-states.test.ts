import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import * as mcp from '@writ/contract/mcp-servers'
import { evaluateAccess } from '@writ/contract/authzen'
import type { ExplanationReply } from '@writ/contract/decisions'
import * as policies from '@writ/contract/policies'
import * as tasks from '@writ/contract/tasks'
import { eventually } from '../eventually.ts'
import { acceptAll, accessTo, connected, governServer, rawNewer, type Access, type RawOrder } from '../mcp/estate.ts'
import { EVERYTHING } from '../mcp/everything.ts'
import { startWrit, type RunningWrit, type TestIdentity } from '../running-writ.ts'
import { startSeveral, type SeveralWrits } from '../several-writs.ts'

const OFFICIAL = fileURLToPath(new URL('../mcp/official-server.ts', import.meta.url))
const NEWER = { transport: 'stdio' as const, command: process.execPath, args: [OFFICIAL, 'newer'] }
const OLDER = { transport: 'stdio' as const, command: process.execPath, args: [...EVERYTHING.args] }
const CAPABILITIES = { elicitation: {} }

type Result = { readonly resultType: string; readonly requestState: string; readonly inputRequests: Readonly<Record<string, { readonly method: string }>> }
type Said = { readonly status: number; readonly result: Result; readonly error: { readonly code: number } | undefined; readonly text: string }

async function said(access: Access, name: string, more: RawOrder = {}): Promise<Said> {
  const got = await rawNewer(access, 'tools/call', { capabilities: CAPABILITIES, ...more, params: { name, arguments: {}, ...more.params } })
  const text = await got.text()
  const line = got.headers.get('content-type')?.startsWith('text/event-stream') === true ? text.split('\n').findLast((one) => one.startsWith('data: '))!.slice(6) : text
  return { status: got.status, text, ...JSON.parse(line) as { readonly result: Result; readonly error: undefined } }
}

const answersTo = ({ inputRequests, requestState }: Result): Readonly<Record<string, unknown>> =>
  ({ requestState, inputResponses: Object.fromEntries(Object.keys(inputRequests).map((name) => [name, { action: 'accept', content: { name: 'Ann' } }])) })

describe('what a client carries from one request to the next', () => {
  let writ: RunningWrit
  let bot: TestIdentity
  let other: TestIdentity
  before(async () => {
    writ = await startWrit()
    await governServer(writ, { name: 'asker', ...NEWER })
    const authority = ['mcp:asker:ask-name', 'mcp:asker:ask-model', 'mcp:asker:change', 'mcp:asker:echo', 'mcp:asker:resources/read']
    bot = await writ.register('one', { authority })
    other = await writ.register('another', { authority })
  })
  after(() => writ.stop())
  const access = (by: TestIdentity): Promise<Access> => accessTo(writ, by, { server: 'asker', tools: ['ask-name', 'ask-model', 'change', 'echo', 'resources/read'] })

  test('goes on with the call that it belongs to', async () => {
    const own = await access(bot)
    const { result } = await said(own, 'ask-name')
    assert.equal(result.resultType, 'input_required')
    assert.doesNotMatch(result.requestState, /state-of-ask-name/)
    assert.match((await said(own, 'ask-name', { params: answersTo(result) })).text, /hello Ann/)
    await eventually('each round has its outcome', async () => {
      const { calls } = (await writ.operator(mcp.listToolCalls, { query: { task: own.task } })).reply
      return calls.map(({ status }) => status).toReversed().join() === 'input_required,succeeded' && calls[1]!.bytes === null
    })
  })

  test('opens nowhere else: with other arguments, for another tool, in another task, for another identity, or with a letter changed', async () => {
    const own = await access(bot)
    const { result } = await said(own, 'ask-name')
    const params = answersTo(result)
    const state = result.requestState
    for (const [what, by, name, more] of [
      ['other arguments', own, 'ask-name', { ...params, arguments: { x: 1 } }],
      ['another tool', own, 'ask-model', params],
      ['another task', await access(bot), 'ask-name', params],
      ['another identity', await access(other), 'ask-name', params],
      ['a letter changed', own, 'ask-name', { ...params, requestState: state.slice(0, -1) + (state.endsWith('A') ? 'B' : 'A') }],
    ] as const) {
      const got = await said(by, name, { params: more })
      assert.deepEqual([got.status, got.error?.code], [400, -32602], `${what}: ${got.text}`)
    }
  })

  test('a client that can not be asked is not asked, and the server hears that', async () => {
    const own = await access(bot)
    const got = await said(own, 'ask-name', { capabilities: {} })
    assert.ok(got.result?.resultType !== 'input_required', got.text)
  })

  test('each round is decided on: a task without a call left does not go on', async () => {
    const own = await accessTo(writ, bot, { server: 'asker', tools: ['ask-name'], form: { budget_calls: '1' } })
    const { result } = await said(own, 'ask-name')
    const got = await said(own, 'ask-name', { params: answersTo(result) })
    assert.ok(got.status === 401 || got.error?.code === -32001, got.text)
  })

  test('a client is told of what it listens for, and of nothing else, until its task is over', async () => {
    const own = await access(bot)
    const { client, close } = await connected(own)
    const heard: string[] = []
    client.setNotificationHandler('notifications/tools/list_changed', () => { heard.push('tools') })
    const got = await rawNewer(own, 'subscriptions/listen', { params: { notifications: { toolsListChanged: true, promptsListChanged: false, resourceSubscriptions: ['note:///a'] } }, id: 'sub' })
    assert.equal(got.headers.get('content-type'), 'text/event-stream')
    const texts: string[] = []
    const reading = (async () => { for await (const chunk of got.body!.pipeThrough(new TextDecoderStream())) texts.push(chunk) })()
    await eventually('it is agreed', () => texts.join('').includes('notifications/subscriptions/acknowledged'))
    assert.match(texts.join(''), /"toolsListChanged":true,"resourceSubscriptions":\["note:\/\/\/a"\]/)
    await client.callTool({ name: 'change', arguments: {} })
    await eventually('it is told', () => /notifications\/tools\/list_changed.*"io\.modelcontextprotocol\/subscriptionId":"sub"/.test(texts.join('')))
    await writ.operator(tasks.endTask, { parameters: { id: own.task }, body: { reason: 'enough' } })
    await reading
    assert.match(texts.join(''), /"id":"sub","result":\{"resultType":"complete"/)
    await close()
  })
})

describe('policies see the environment that a server is registered with', () => {
  const LOOK = '@id("not-in-production") forbid (principal, action == Writ::Action::"list", resource is Writ::Server)\nwhen { resource has environment && resource.environment == "production" };'
  const CALL = '@id("no-calls-there") forbid (principal, action in Writ::Action::"call", resource in Writ::Group::"tests");'
  let writ: RunningWrit
  let bot: TestIdentity
  before(async () => {
    writ = await startWrit()
    for (const environment of ['production', 'staging', 'test'] as const) await governServer(writ, { name: environment, ...NEWER, environment })
    const { files } = (await writ.operator(policies.showCurrentPolicies)).reply
    const entities = JSON.stringify([{ uid: { type: 'Writ::Server', id: 'test' }, attrs: {}, parents: [{ type: 'Writ::Group', id: 'tests' }] }])
    const applied = await writ.operator(policies.applyPolicies, { body: { files: { ...files, 'policies/environment.cedar': `${LOOK}\n${CALL}\n`, 'entities.json': entities }, reason: 'a test asks' } })
    assert.equal(applied.status, 201, applied.text)
    bot = await writ.register('careful', { authority: ['production', 'staging', 'test'].map((name) => `mcp:${name}:echo`) })
  })
  after(() => writ.stop())

  for (const { server, list, call } of [
    { server: 'production', list: 'not-in-production', call: 'not-in-production' }, { server: 'staging', list: undefined, call: undefined }, { server: 'test', list: undefined, call: 'no-calls-there' },
  ]) {
    test(`a server of ${server} is ${list === undefined ? '' : 'not '}looked at, and its tools are ${call === undefined ? '' : 'not '}called`, async () => {
      const own = await accessTo(writ, bot, { server, tools: ['echo'] })
      const forbiddenBy = async (asking: Promise<Response>): Promise<string | undefined> => {
        const { error } = await (await asking).json() as { readonly error?: { readonly data: { readonly explanation: ExplanationReply } } }
        return error?.data.explanation.forbidden_by?.policy
      }
      assert.equal(await forbiddenBy(rawNewer(own, 'tools/list')), list)
      assert.equal(await forbiddenBy(rawNewer(own, 'tools/call', { params: { name: 'echo', arguments: { message: 'x' } } })), call)
      const advice = await writ.operator(evaluateAccess, { body: { subject: { type: 'agent', id: bot.spiffeId }, action: { name: 'list' }, resource: { type: 'Server', id: server } } })
      assert.equal(JSON.stringify(advice.reply).includes('not-in-production'), list !== undefined, advice.text)
    })
  }
})

describe('several servers that are one Writ', () => {
  let several: SeveralWrits
  let bot: TestIdentity
  before(async () => {
    several = await startSeveral()
    const [first] = several.writs
    await governServer(first, { name: 'newer', ...NEWER })
    await governServer(first, { name: 'older', ...OLDER })
    bot = await first.register('one', { authority: ['mcp:newer:count', 'mcp:older:trigger-elicitation-request'] })
  })
  after(() => several.stop())

  /** The same token, shown to the other server. */
  const at = (access: Access, writ: RunningWrit): Access => ({ ...access, url: `${writ.url}/mcp/${access.server}` })

  test('a call in flight on one ends within a second when its task is ended on another', async () => {
    const [first, second] = several.writs
    const access = await accessTo(first, bot, { server: 'newer', tools: ['count'] })
    const got = await rawNewer(access, 'tools/call', { params: { name: 'count', arguments: { to: 1000, everyMs: 20 }, _meta: { progressToken: 'p' } } })
    const texts: string[] = []
    const reading = (async () => { for await (const chunk of got.body!.pipeThrough(new TextDecoderStream())) texts.push(chunk) })()
    await eventually('it counts', () => texts.join('').includes('notifications/progress'))
    await second.operator(tasks.endTask, { parameters: { id: access.task }, body: { reason: 'enough' } })
    const began = performance.now()
    await reading
    assert.ok(performance.now() - began < 1000, `${Math.round(performance.now() - began)} ms`)
    assert.match(texts.join(''), /"code":"task_ended"/)
    const { calls } = await eventually('the outcome is recorded', async () => {
      const found = (await second.operator(mcp.listToolCalls, { query: { task: access.task } })).reply
      return found.calls[0]?.status !== 'in_flight' && found
    })
    assert.deepEqual(calls.map(({ status }) => status), ['cancelled'])
  })

  test('a call that waits for its client on one goes on, wherever the client comes back', async () => {
    const [first, second] = several.writs
    await acceptAll(first, 'older')
    const token = await accessTo(first, bot, { server: 'older', tools: ['trigger-elicitation-request'] })
    const { result, text } = await said(token, 'trigger-elicitation-request')
    assert.equal(result?.resultType, 'input_required', text)
    const got = await said(at(token, second), 'trigger-elicitation-request', { params: answersTo(result) })
    assert.match(got.text, /Ann/)
  })
})
