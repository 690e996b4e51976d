import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, describe, test } from 'node:test'
import * as mcp from '@writ/contract/mcp-servers'
import { inFull, LONG_TEST } from '../long.ts'
import { beginWith, bearerTo, ENVELOPE, newerHead, olderHead, type Bearer } from '../mcp/bearer.ts'
import { governServer } from '../mcp/estate.ts'
import { bytesIn, recordingHttp, valuesOf, type RecordingHttp, type Written } from '../mcp/recording-http.ts'
import { startWrit, type RunningWrit } from '../running-writ.ts'

const SERVERS = ['newer', 'older'] as const
const TOOLS = ['say', 'ask', 'fail'] as const
const WORDS = { type: 'string' } as const
const DEFINITIONS: readonly object[] = [
  { name: 'say', inputSchema: { type: 'object', properties: { what: WORDS } } },
  { name: 'ask', inputSchema: { type: 'object', properties: { what: WORDS } } },
  { name: 'fail', inputSchema: { type: 'object', properties: { how: WORDS } } },
]
const [USERS, CALLS] = inFull ? [100, 1000] : [20, 25]

/** Ways in which a server could say back what it was shown. */
const FAILURES: Readonly<Record<string, (one: Written, secret: string) => void>> = {
  status: ({ response }, secret) => { response.writeHead(500, { 'content-type': 'text/plain', 'x-secret': secret }).end(`not with ${secret}`) },
  closed: ({ response }, secret) => { response.writeHead(401, { 'www-authenticate': `Bearer realm="${secret}"`, 'content-type': 'application/json' }).end(JSON.stringify({ error: secret })) },
  moved: ({ response }, secret) => { response.writeHead(302, { location: `/elsewhere?token=${encodeURIComponent(secret)}` }).end() },
  error: ({ response, message: { id } }, secret) => { response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ jsonrpc: '2.0', id, error: { code: -32000, message: `not with ${secret}`, data: { authorization: secret } } })) },
  half: ({ response, message: { id } }, secret) => { response.writeHead(200, { 'content-type': 'application/json' }).end(`{"jsonrpc":"2.0","id":${id},"result":{"content":[{"type":"text","text":"${secret}`) },
  stream: ({ response, message: { id } }, secret) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    for (const message of [{ method: 'notifications/message', params: { level: 'info', data: secret } }, { id, result: { resultType: 'complete', content: [{ type: 'text', text: secret }], structuredContent: { [secret]: secret } } }]) response.write(`data: ${JSON.stringify({ jsonrpc: '2.0', ...message })}\n\n`)
    response.end()
  },
}

type User = { readonly bearer: Bearer; readonly session: string | undefined; readonly canary: string }
type Got = { readonly status: number; readonly head: string; readonly text: string }

describe('many users of the same servers', () => {
  let recording: RecordingHttp
  let writ: RunningWrit
  let users: readonly User[]
  const secrets = Object.fromEntries(SERVERS.map((server) => [server, `secret-of-${server}-${randomBytes(12).toString('hex')}`]))
  const heard: string[] = []

  before(async () => {
    recording = await recordingHttp({
      tools: DEFINITIONS, capabilities: { tools: {}, logging: {} },
      behave: (one) => {
        const { server, response, message: { id, method, params } } = one
        if (method !== 'tools/call') return false
        const given = (params?.['arguments'] ?? {}) as { readonly what?: string; readonly how?: string }
        if (params?.['name'] === 'fail') FAILURES[given.how!]!(one, valuesOf(one.head, 'authorization')[0]!)
        else if (params?.['name'] === 'ask' && params['requestState'] === undefined && server === 'newer') {
          const inputRequests = { who: { method: 'elicitation/create', params: { mode: 'form', message: 'who?', requestedSchema: { type: 'object', properties: { name: WORDS } } } } }
          response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ jsonrpc: '2.0', id, result: { resultType: 'input_required', inputRequests, requestState: `of ${given.what}` } }))
        } else response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ jsonrpc: '2.0', id, result: { resultType: 'complete', content: [{ type: 'text', text: `you said ${given.what}` }] } }))
        return true
      },
    })
    writ = await startWrit({ env: { WRIT_OUTBOUND_ALLOW: recording.host, WRIT_LOG: 'debug' } })
    for (const name of SERVERS) await governServer(writ, { name, transport: 'http', url: recording.urlOf(name), headers: { authorization: `Bearer ${secrets[name]!}` } })
    const made: User[] = []
    for (let i = 0; i < USERS; i++) {
      // Every pairing of generations.
      const server = SERVERS[i % 2]!
      const bot = await writ.register(`user-${i}`, { class: 'assisted', authority: TOOLS.map((tool) => `mcp:${server}:${tool}`) })
      const bearer = await bearerTo(writ, bot, { server, tools: TOOLS, form: { budget_calls: String(CALLS + 100), ttl_seconds: '3600' } })
      made.push({ bearer, session: i % 4 < 2 ? undefined : await beginWith(bearer), canary: `canary-${i}-${randomBytes(8).toString('hex')}` })
    }
    users = made
  })
  after(async () => {
    await writ.stop()
    recording.stop()
  })

  async function ask({ bearer, session }: Pick<User, 'bearer' | 'session'>, name: string, args: object, more: object = {}): Promise<Got> {
    const params = { name, arguments: args, ...more, ...(session === undefined ? { _meta: { ...ENVELOPE, 'io.modelcontextprotocol/logLevel': 'debug' } } : {}) }
    const headers = session === undefined ? newerHead(bearer, 'tools/call', name) : olderHead(bearer, session)
    const got = await fetch(bearer.url, { method: 'POST', headers, body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params }) })
    const one = { status: got.status, head: JSON.stringify([...got.headers]), text: await got.text() }
    heard.push(one.head, one.text)
    return one
  }
  const neighbourOf = (user: User): User => users[(users.indexOf(user) + 4) % users.length]!

  test(`${USERS} users make ${CALLS} calls each, all at once: each gets the answers to its own, over ways of its own`, LONG_TEST, async () => {
    await Promise.all(users.map(async (user) => {
      for (let i = 0; i < CALLS; i++) {
        const { status, text } = await ask(user, 'say', { what: `${user.canary}-${i}.` })
        assert.equal(status, 200, text)
        assert.ok(text.includes(`you said ${user.canary}-${i}.`), text)
        assert.deepEqual([...text.matchAll(/canary-\d+-/g)].map(([one]) => one), [`${user.canary.split('-', 2).join('-')}-`])
      }
    }))
    const called = recording.written.filter(({ message }) => message.params?.['name'] === 'say')
    assert.equal(called.length, USERS * CALLS)
    const ways = Map.groupBy(called.filter(({ server }) => server === 'older'), ({ head }) => valuesOf(head, 'mcp-session-id').join())
    assert.equal(ways.size, users.filter(({ bearer }) => bearer.server === 'older').length)
    for (const [way, ones] of ways) assert.equal(new Set(ones.map(({ message }) => /canary-\d+/.exec(JSON.stringify(message))![0])).size, 1, way)
  })

  test('a session of one is no session for any other, whatever is asked of it', async () => {
    const own = users.filter(({ session }) => session !== undefined)
    const before = recording.written.length
    for (const { bearer: { server }, session } of own) {
      const other = users.find((one) => one.bearer.server === server && one.session !== session)!
      for (const method of ['POST', 'GET', 'DELETE']) {
        const body = method === 'POST' ? { body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'say', arguments: { what: 'stolen' } } }) } : {}
        const got = await fetch(other.bearer.url, { method, headers: olderHead(other.bearer, session), ...body })
        assert.equal(got.status, 404, await got.text())
      }
    }
    assert.equal(recording.written.length, before)
    for (const user of own) assert.equal((await ask(user, 'say', { what: 'still there' })).status, 200)
  })

  test('what one carries from a question to its answer opens for nobody else', async () => {
    const own = users.filter(({ bearer, session }) => bearer.server === 'newer' && session === undefined)
    assert.ok(own.length >= 5)
    for (const user of own) {
      const what = `${user.canary}.`
      const asked = await ask(user, 'ask', { what })
      const { result } = JSON.parse(asked.text) as { readonly result: { readonly resultType: string; readonly requestState: string } }
      assert.equal(result.resultType, 'input_required', asked.text)
      const more = { requestState: result.requestState, inputResponses: { who: { action: 'accept', content: { name: 'Ann' } } } }
      const before = recording.written.length
      const stolen = await ask(neighbourOf(user), 'ask', { what }, more)
      assert.deepEqual([stolen.status, (JSON.parse(stolen.text) as { readonly error: { readonly code: number } }).error.code], [400, -32602])
      assert.equal(recording.written.length, before)
      assert.match((await ask(user, 'ask', { what }, more)).text, new RegExp(`you said ${user.canary}`))
    }
  })

  test('no token of a client reaches a server, and no secret of a server a client, however it fails', async () => {
    for (const how of Object.keys(FAILURES)) for (const user of users.slice(0, 4)) await ask(user, 'fail', { how })
    const toServers = bytesIn(recording.written)
    for (const { bearer: { token } } of users) for (const part of [token, ...token.split('.').slice(1), Buffer.from(token).toString('base64')]) assert.ok(!toServers.includes(part))
    for (const { server, head } of recording.written) assert.deepEqual(valuesOf(head, 'authorization'), [`Bearer ${secrets[server]!}`])
    const calls = await writ.operator(mcp.listToolCalls, { query: { limit: '1000' } })
    const toClients = [...heard, writ.log(), calls.text].join('\n')
    for (const secret of Object.values(secrets)) {
      const bytes = Buffer.from(secret)
      for (const form of [secret, bytes.toString('base64').slice(0, 40), bytes.toString('base64url').slice(0, 40), bytes.toString('hex'), encodeURIComponent(secret)]) assert.ok(!toClients.includes(form), toClients.slice(Math.max(0, toClients.indexOf(form) - 300)).slice(0, 600))
    }
    assert.match(toClients, /\[withheld\]/)
  })
})
