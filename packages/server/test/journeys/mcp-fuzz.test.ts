import assert from 'node:assert/strict'
import { randomInt } from 'node:crypto'
import { after, before, describe, test } from 'node:test'
import * as decisions from '@writ/contract/decisions'
import * as mcp from '@writ/contract/mcp-servers'
import * as policies from '@writ/contract/policies'
import { parseExactJson } from '@writ/contract/strict-json'
import { exactText, type ExactRecord, type ExactValue } from '@writ/domain/exact'
import { decodedHeader } from '../../src/gateway/mirrored.ts'
import { eventually } from '../eventually.ts'
import { inFull, LONG_TEST } from '../long.ts'
import { beginWith, bearerTo } from '../mcp/bearer.ts'
import { governServer } from '../mcp/estate.ts'
import { caseOf, fuzzCase, type Asker, type FuzzCase } from '../mcp/fuzz-cases.ts'
import { alone, pipelined, type Reply } from '../pipelined.ts'
import { bytesIn, recordingHttp, valuesOf, type RecordingHttp, type Written } from '../mcp/recording-http.ts'
import { startWrit, type RunningWrit, type TestIdentity } from '../running-writ.ts'

const SERVERS = ['newer', 'older'] as const
const TOOLS = ['open', 'put', 'in-region', 'resources/read', 'prompts/get'] as const
const DEFINITIONS: readonly object[] = [
  {
    name: 'open', inputSchema: {
      type: 'object', properties: {
        path: { type: 'string' }, name: { type: 'string' }, method: { type: 'string' }, words: { type: 'string' }, n: { type: 'integer' }, more: { type: 'integer' },
        inner: { type: 'object', properties: { path: { type: 'string' }, name: { type: 'string' }, params: { type: 'string' } } }, list: { type: 'array', items: { type: 'string' } },
      },
    },
  },
  { name: 'put', inputSchema: { type: 'object', properties: { path: { type: 'string' }, n: { type: 'integer' } } } },
  { name: 'secret', inputSchema: { type: 'object' } },
  { name: 'in-region', inputSchema: { type: 'object', properties: { region: { 'type': 'string', 'x-mcp-header': 'Region' }, size: { 'type': 'integer', 'x-mcp-header': 'Size' }, n: { type: 'integer' } } } },
]
const FORBIDS = SERVERS.map((server) => `@id("not-there-${server}")
forbid (principal, action == Writ::Action::"${server}/put", resource)
when { context.arguments has path && context.arguments.path like "forbidden*" };
`).join('\n')
const CANARY = 'a-canary-of-the-caller'

const CASES = inFull ? 10_000 : 1000
/** Tokens do not live as long as the longest run. */
const PER_TOKEN = 1000
const WORKERS = 4
/** That many share a write at most. */
const AT_ONCE = 4

/** What a request of the gateway's own asks a server, in the words of the decision that stands behind it; undefined where it is no call. */
function calledBy({ message: { method = '' } }: Written, params: ExactRecord): { readonly tool: string; readonly arguments: ExactValue } | undefined {
  switch (method) {
    case 'tools/call': return { tool: params['name'] as string, arguments: params['arguments'] ?? {} }
    case 'resources/read':
    case 'resources/subscribe': return { tool: 'resources/read', arguments: { uri: params['uri']! } }
    case 'prompts/get': {
      const pairs = Object.entries((params['arguments'] ?? {}) as ExactRecord).map(([name, value]) => ({ name, value }))
      return { tool: 'prompts/get', arguments: { name: params['name']!, ...(pairs.length === 0 ? {} : { arguments: pairs }) } }
    }
    default: return undefined
  }
}

/** What a way to a server takes that nobody calls anything by. */
const OF_THE_WAY: ReadonlySet<string | undefined> = new Set(['initialize', 'notifications/initialized', 'server/discover', 'tools/list', 'resources/list', 'resources/templates/list', 'prompts/list', 'resources/unsubscribe', 'logging/setLevel', 'notifications/cancelled', 'notifications/roots/list_changed', 'ping'])

/** How often each call was allowed, by its server, its tool and its arguments to the last digit. */
type Allowed = Map<string, number>
const keyOf = (resource: string, args: ExactValue): string => `${resource} ${exactText(args)}`

async function allowedIn(writ: RunningWrit): Promise<Allowed> {
  const allowed: Allowed = new Map()
  for (let cursor: string | undefined; ;) {
    const { decisions: page, next } = (await writ.operator(decisions.listEvaluated, { query: { limit: '1000', ...(cursor === undefined ? {} : { cursor }) } })).reply
    for (const { answer, question } of page) {
      if (answer !== 'allow') continue
      const read = parseExactJson(question!, { depth: 64, keys: 100_000 })
      assert.ok(read.ok)
      const { resource, arguments: args } = read.value as { readonly resource: { readonly uid: { readonly type: string; readonly id: string } }; readonly arguments: ExactRecord }
      if (resource.uid.type !== 'Writ::Tool') continue
      const key = keyOf(resource.uid.id, args)
      allowed.set(key, (allowed.get(key) ?? 0) + 1)
    }
    if (next === null) return allowed
    cursor = next
  }
}

/** The headers of a case, each with every value that it has. */
function headersIn({ bytes }: FuzzCase): ReadonlyMap<string, readonly string[]> {
  const [head] = bytes.toString('latin1').split('\r\n\r\n', 1)
  const pairs = head!.split('\r\n').slice(1).map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).replaceAll(/^[ \t]+|[ \t]+$/g, '')] as const)
  return new Map([...Map.groupBy(pairs, ([name]) => name)].map(([name, of]) => [name, of.map(([, value]) => value)]))
}

/** What came through had headers that say what the body says, each of them once. */
function checkMirrors(sent: FuzzCase, { method, name, region, size }: { readonly method: string; readonly name: unknown; readonly region?: unknown; readonly size?: unknown }): void {
  const headers = headersIn(sent)
  const told = `${sent.changes.join(' + ')}\n${sent.bytes.toString('latin1').slice(0, 3000)}`
  for (const [header, said] of [['mcp-method', method], ['mcp-name', name], ['mcp-param-region', region]] as const) {
    if (typeof said === 'string') assert.deepEqual(headers.get(header)?.map(decodedHeader), [said], told)
  }
  if (typeof size === 'bigint') assert.deepEqual(headers.get('mcp-param-size')?.map((value) => Number(decodedHeader(value))), [Number(size)], told)
}

/** Whether a request to a server is one to every reader, and one that was allowed. Uses up the decision. */
function checkCame(one: Written, allowed: Allowed, cases: readonly FuzzCase[]): 'call' | 'way' {
  const { server, verb, address, head, body, message } = one
  const told = `${verb} ${address}\n${head.join('\n')}\n${body.toString('latin1').slice(0, 2000)}`
  assert.equal(address, `/${server}`, told)
  const names = head.filter((_, i) => i % 2 === 0).map((name) => name.toLowerCase())
  assert.equal(new Set(names).size, names.length, told)
  if (verb !== 'POST') return 'way'
  const read = parseExactJson(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(body), { depth: 64, keys: 100_000 })
  assert.ok(read.ok, told)
  const params = ((read.value as ExactRecord)['params'] ?? {}) as ExactRecord
  if (server === 'newer') {
    const name = message.method === 'resources/read' ? params['uri'] : params['name']
    const mirrors = message.method === 'tools/call' && params['name'] === 'in-region' ? (params['arguments'] ?? {}) as ExactRecord : {}
    for (const [header, said] of [['mcp-method', message.method], ['mcp-name', name], ['mcp-param-region', mirrors['region']]] as const) {
      if (typeof said === 'string') assert.deepEqual(valuesOf(head, header).map(decodedHeader), [said], told)
    }
  }
  const called = calledBy(one, params)
  if (called === undefined) {
    assert.ok(OF_THE_WAY.has(message.method), told)
    return 'way'
  }
  const key = keyOf(`${server}/${called.tool}`, called.arguments)
  const left = allowed.get(key) ?? 0
  assert.ok(left > 0, `nobody allowed this: ${key}\n${told}`)
  allowed.set(key, left - 1)
  const given = called.arguments as ExactRecord
  const sent = caseOf(cases, given['n'])
  if (message.method === 'tools/call' && sent?.isNewer === true && sent.isOne) checkMirrors(sent, { method: message.method, name: params['name'], ...(params['name'] === 'in-region' ? given : {}) })
  return 'call'
}

describe('whatever comes to the door, what goes on is what was decided on', () => {
  let recording: RecordingHttp
  let writ: RunningWrit
  let bot: TestIdentity
  before(async () => {
    recording = await recordingHttp({ tools: DEFINITIONS, capabilities: { tools: {}, resources: {}, prompts: {} } })
    writ = await startWrit({ env: { WRIT_OUTBOUND_ALLOW: recording.host, WRIT_LOG: 'warn' } })
    for (const name of SERVERS) await governServer(writ, { name, transport: 'http', url: recording.urlOf(name) })
    const { files } = (await writ.operator(policies.showCurrentPolicies)).reply
    const applied = await writ.operator(policies.applyPolicies, { body: { files: { ...files, 'policies/fuzz.cedar': FORBIDS }, reason: 'some paths are closed' } })
    assert.equal(applied.status, 201, applied.text)
    bot = await writ.register('fuzzer', { class: 'assisted', authority: SERVERS.flatMap((server) => TOOLS.map((tool) => `mcp:${server}:${tool}`)) })
  })
  after(async () => {
    await writ.stop()
    recording.stop()
  })

  async function askersNow(): Promise<readonly Asker[]> {
    const own = await Promise.all(SERVERS.flatMap((server) => [true, false].map(async (hasSessions): Promise<Asker> => {
      const bearer = await bearerTo(writ, bot, { server, tools: TOOLS, form: { budget_calls: '100000', ttl_seconds: '3600' } })
      return { bearer, session: hasSessions ? await beginWith(bearer) : undefined }
    })))
    return own
  }

  /** Sends them, some on a connection of their own; answers what came back. */
  async function send(cases: readonly FuzzCase[]): Promise<readonly Reply[]> {
    const replies: Reply[] = []
    const left = [...cases]
    const work = async (): Promise<void> => {
      const line = pipelined(writ.url)
      while (left.length > 0) {
        const batch = left[0]!.isOne ? left.splice(0, Math.max(1, left.slice(0, AT_ONCE).findIndex((one) => !one.isOne))) : left.splice(0, 1)
        const bytes = Buffer.concat(batch.map((one) => one.bytes))
        const got = batch[0]!.isOne ? await line.ask(bytes, batch.length) : await alone(writ.url, bytes)
        assert.notEqual(got.end, 'silent', `no answer and no end: ${batch.map((one) => one.changes.join(' + ')).join(' | ')}\n${bytes.toString('latin1').slice(0, 4000)}`)
        replies.push(...got.replies)
      }
      line.close()
    }
    await Promise.all(Array.from({ length: WORKERS }, work))
    return replies
  }

  test(`${CASES} requests that two readers could read in two ways: no server is asked anything that was not allowed`, LONG_TEST, async (t) => {
    const seed = Number(process.env['WRIT_FUZZ_SEED'] ?? randomInt(2 ** 31))
    t.diagnostic(`WRIT_FUZZ_SEED=${seed}`)
    const { host } = new URL(writ.url)
    const replies: Reply[] = []
    const tokens: string[] = []
    const cases: FuzzCase[] = []
    for (let from = 0; from < CASES; from += PER_TOKEN) {
      const askers = await askersNow()
      tokens.push(...askers.map(({ bearer }) => bearer.token))
      cases.push(...Array.from({ length: Math.min(PER_TOKEN, CASES - from) }, (_, i) => fuzzCase(askers, { seed, n: from + i, host })))
      replies.push(...await send(cases.slice(from)))
    }
    // Whoever hangs up early leaves its call behind.
    await eventually('every call has come to its end', async () => (await writ.operator(mcp.listToolCalls, { query: { limit: '1000' } })).reply.calls.every(({ status }) => status !== 'in_flight'))
    const allowed = await allowedIn(writ)
    const decided = [...allowed.values()].reduce((sum, count) => sum + count, 0)
    const came = recording.written.map((one) => checkCame(one, allowed, cases))
    const calls = came.filter((one) => one === 'call').length
    const statuses = Object.entries(Object.groupBy(replies, ({ status }) => status)).map(([status, of]) => `${status}: ${of!.length}`).join(', ')
    t.diagnostic(`${calls} calls came to the servers, ${decided} were allowed; ${replies.length} answers (${statuses})`)
    assert.ok(calls > CASES / 20 && replies.length > CASES / 2, `${calls} calls, ${replies.length} answers`)
    assert.ok(replies.filter(({ status }) => status >= 400).length > CASES / 10, statuses)
    assert.deepEqual(replies.filter(({ status }) => status >= 500), [])
    const text = bytesIn(recording.written)
    for (const secret of [CANARY, ...tokens, ...tokens.map((token) => token.split('.')[2]!)]) assert.ok(!text.includes(secret), secret)
    assert.equal((await fetch(`${writ.url}/readyz`)).status, 200)
    assert.doesNotMatch(writ.log(), /"level":(?:50|60|"error"|"fatal")/)
  })
})
