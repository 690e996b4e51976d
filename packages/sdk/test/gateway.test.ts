import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { test } from 'node:test'
import manifest from '../package.json' with { type: 'json' }
import { CLIENT } from '../src/gateway.ts'
import { Denied, Killed, Misconfigured, ToolError, Unreachable, type TaskOptions } from '../src/writ.ts'
import { sendJson, type Heard } from './listening.ts'
import { officialBehind } from './official-behind.ts'
import { claimsOf, formOf, smallServer } from './small-server.ts'

const WORK: TaskOptions = { purpose: 'reads the notes', grants: ['mcp:docs:echo'] }
const MCP = '/mcp/docs'

const rpcOf = ({ body }: Heard) => JSON.parse(body) as { readonly id: number; readonly method: string; readonly params: Readonly<Record<string, unknown>> }

test('the tools of a server are listed and called as MCP 2026-07-28 has it, with a token for that very address and a proof for each request', async (t) => {
  const { sdk, asked, url } = await officialBehind(t)
  await using task = await sdk().task(WORK)
  const tools = await task.tools('docs')
  assert.ok(tools.some(({ id, name }) => id === 'docs/echo' && name === 'echo'))
  const { content } = await task.call('docs/echo', { message: 'hello' })
  assert.deepEqual(content, [{ type: 'text', text: 'hello' }])
  const [, exchange] = asked('/oauth/token')
  assert.equal(formOf(exchange!)['resource'], `${url}${MCP}`)
  const [, call] = asked(MCP)
  assert.deepEqual([call!.headers['mcp-protocol-version'], call!.headers['mcp-method'], call!.headers['mcp-name'], call!.headers['idempotency-key']], ['2026-07-28', 'tools/call', 'echo', undefined])
  const { htm, htu } = claimsOf(call!.headers.dpop)
  assert.deepEqual([htm, htu], ['POST', `${url}${MCP}`])
  assert.equal(asked('/oauth/token').length, 2, 'the token is kept')
  assert.equal(rpcOf(call!).params['arguments'] !== undefined, true)
})

test('the SDK names itself by its own version', () => {
  assert.deepEqual(CLIENT, { name: manifest.name, version: manifest.version })
})

test('a whole number of any size reaches the server with every digit', async (t) => {
  const { sdk, asked } = await smallServer(t, { instead: answering(() => ({ result: { resultType: 'complete', content: [] } })) })
  await using task = await sdk().task(WORK)
  await task.call('docs/echo', { amount: 9223372036854775807n, tags: ['a'], none: undefined })
  assert.match(asked(MCP)[0]!.body, /"arguments":\{"amount":9223372036854775807,"tags":\["a"\]\}/)
})

test('progress is told while a call goes on, and its answer comes over the same stream', async (t) => {
  const { sdk } = await officialBehind(t)
  await using task = await sdk().task(WORK)
  const seen: unknown[] = []
  const { content } = await task.call('docs/count', { to: 3, everyMs: 5 }, { onProgress: ({ progress }) => seen.push(progress) })
  assert.deepEqual([seen, content], [[1, 2, 3], [{ type: 'text', text: 'counted to 3' }]])
})

test('what the server asks in the middle of a call is answered, and the call goes on', async (t) => {
  const { sdk, asked } = await officialBehind(t)
  await using task = await sdk().task(WORK)
  const onInput = {
    'elicitation/create': ({ message }: Readonly<Record<string, unknown>>) => ({ action: 'accept', content: { name: `${String(message)}?` } }),
    'sampling/createMessage': async () => ({ role: 'assistant', content: { type: 'text', text: 'roses' }, model: 'none' }),
    'roots/list': () => ({ roots: [{ uri: 'file:///a' }] }),
  }
  assert.deepEqual((await task.call('docs/ask-name', {}, { onInput })).content, [{ type: 'text', text: 'hello who is there?' }])
  assert.match(JSON.stringify((await task.call('docs/ask-model', {}, { onInput })).content), /roses/)
  assert.deepEqual((await task.call('docs/ask-roots', {}, { onInput })).content, [{ type: 'text', text: 'file:///a' }])
  const [first, second] = asked(MCP).map(rpcOf)
  assert.notEqual(first!.id, second!.id)
  assert.equal(second!.params['requestState'], 'state-of-ask-name')
})

test('a server that asks back where nobody answers is told of nobody who could, or the call fails by name', async (t) => {
  const asking = { result: { resultType: 'input_required', requestState: 's', inputRequests: { a: { method: 'elicitation/create', params: {} } } } }
  const { sdk, asked } = await smallServer(t, { instead: answering(() => asking) })
  await using task = await sdk().task(WORK)
  await assert.rejects(task.call('docs/ask-name'), (fault) => fault instanceof Misconfigured && fault.code === 'input_required')
  assert.deepEqual((rpcOf(asked(MCP)[0]!).params['_meta'] as Readonly<Record<string, unknown>>)['io.modelcontextprotocol/clientCapabilities'], {})
  let rounds = 0
  await assert.rejects(task.call('docs/ask-name', {}, { onInput: { 'elicitation/create': () => ({ action: 'decline', round: ++rounds }) } }), Unreachable)
  assert.equal(rounds, 20)
})

test('arguments that have to stand in headers are found out about when the server asks for them', async (t) => {
  const { sdk, asked } = await officialBehind(t)
  await using task = await sdk().task(WORK)
  assert.deepEqual((await task.call('docs/in-region', { region: 'süd', size: 7 })).content, [{ type: 'text', text: 'süd' }])
  assert.deepEqual(asked(MCP).map((one) => [rpcOf(one).method, one.headers['mcp-param-region'], one.headers['mcp-param-size']]), [
    ['tools/call', undefined, undefined], ['tools/list', undefined, undefined], ['tools/call', '=?base64?c8O8ZA==?=', '7'],
  ])
})

const EXPLANATION = {
  decision: 'dec_1', verdict: 'deny', cause: 'policy', asked: 'spiffe://a call Tool docs/echo', rule: null,
  nearest: { policy: 'small', file: 'a.cedar', line: 3, failed: 'context.arguments.amount < 100', actual: { 'context.arguments.amount': '4200' } },
  forbidden_by: null, with_approval: null, grant: null, state: null, errors: [], would_allow: 'context.arguments.amount below 100',
  next: { say: 'ask for less', cli: 'writ explain dec_1' }, retryable: false, trace_id: 'tr_1',
}

for (const { when, answer, is } of [
  {
    when: 'a denial brings its explanation and its decision', answer: { status: 200, error: { code: -32001, message: 'denied', data: { code: 'denied', decision: 'dec_1', explanation: EXPLANATION } } },
    is: (fault: unknown) => fault instanceof Denied && fault.code === 'denied' && fault.decision === 'dec_1' && fault.traceId === 'tr_1' && fault.explanation?.nearest?.actual['context.arguments.amount'] === '4200'
      && fault.explain().includes('would allow it: context.arguments.amount below 100'),
  },
  {
    when: 'a denial that an approval could lift says so', answer: { status: 200, error: { code: -32001, message: 'denied', data: { code: 'approval_required', decision: 'dec_1', explanation: { ...EXPLANATION, verdict: 'approval_required' } } } },
    is: (fault: unknown) => fault instanceof Denied && fault.code === 'approval_required' && fault.message.startsWith('needs approval: '),
  },
  {
    when: 'a denial without reasons is a denial', answer: { status: 200, error: { code: -32001, message: 'denied' } },
    is: (fault: unknown) => fault instanceof Denied && fault.code === 'denied' && fault.explanation === undefined,
  },
  {
    when: 'a token that is too narrow names what is missing',
    answer: { status: 403, headers: { 'www-authenticate': 'DPoP error="insufficient_scope", scope="mcp:docs:echo"' }, error: { code: -32001, message: 'denied' } },
    is: (fault: unknown) => fault instanceof Denied && fault.code === 'insufficient_scope' && fault.message.includes('mcp:docs:echo'),
  },
  {
    when: 'an MCP server that can not be asked is unreachable, by name',
    answer: { status: 200, error: { code: -32603, message: 'the MCP server `docs` can not be asked: connection_refused', data: { code: 'connection_refused', upstream: 'docs', retryable: true } } },
    is: (fault: unknown) => fault instanceof Unreachable && fault.code === 'connection_refused' && fault.retryable && fault.message.includes('`docs`'),
  },
  {
    when: 'an error of the MCP server keeps its number and what it says', answer: { status: 200, error: { code: -32602, message: 'no such\u001b[2J note', data: { uri: 'note:///b' } } },
    is: (fault: unknown) => fault instanceof ToolError && fault.rpcCode === -32602 && !/\p{Cc}/u.test(fault.message) && (fault.data as { uri: string }).uri === 'note:///b',
  },
  { when: 'a page of some box on the way is no answer', answer: { status: 404, page: '<html>' }, is: (fault: unknown) => fault instanceof Unreachable && fault.code === 'http_404' },
  { when: 'an answer to another request is none', answer: { status: 200, id: 7000, result: { content: [] } }, is: (fault: unknown) => fault instanceof Unreachable && fault.code === 'broken_off' },
  { when: 'a result of a kind that nobody knows is none', answer: { status: 200, result: { resultType: 'task', content: [] } }, is: (fault: unknown) => fault instanceof Unreachable && fault.code === 'unknown_reply' },
] as readonly { when: string; answer: Answer; is: (fault: unknown) => boolean }[]) {
  test(`${when}, and the call is made once`, async (t) => {
    const { sdk, asked } = await smallServer(t, { instead: answering(() => answer) })
    await using task = await sdk().task(WORK)
    await assert.rejects(task.call('docs/echo'), is)
    assert.deepEqual([asked(MCP).length, task.signal.aborted], [1, false])
  })
}

test('an answer that says that the task is over ends it here too', async (t) => {
  const { sdk } = await smallServer(t, { instead: answering(() => ({ error: { code: -32001, message: 'the task is over: operator', data: { code: 'task_ended', end_reason: 'ended_by_operator', retryable: false } } })) })
  const task = await sdk().task(WORK)
  await assert.rejects(task.call('docs/echo'), (fault) => fault instanceof Killed && fault.code === 'task_ended_by_operator')
  assert.ok(task.signal.aborted && task.signal.reason instanceof Killed)
  await assert.rejects(task.call('docs/echo'), Killed)
})

test('the task\'s end stops a call that is under way, and its server is told by the connection', async (t) => {
  let closed: Promise<unknown> | undefined
  const { sdk, asked } = await smallServer(t, {
    instead: ({ path }, response) => {
      if (path !== MCP) return false
      response.writeHead(200, { 'content-type': 'text/event-stream' }).write(': waiting\n\n')
      closed = once(response, 'close')
      return true
    },
  })
  const task = await sdk().task(WORK)
  const call = task.call('docs/count', {})
  while (asked(MCP).length === 0) await new Promise(setImmediate)
  await Promise.all([assert.rejects(call, { code: 'task_completed' }), task.end()])
  await closed
})

test('a call that its caller gives up is given up, and the task goes on', async (t) => {
  const { sdk, asked } = await smallServer(t, { instead: ({ path }) => path === MCP })
  await using task = await sdk().task(WORK)
  const stop = new AbortController()
  const call = task.call('docs/echo', {}, { signal: stop.signal })
  while (asked(MCP).length === 0) await new Promise(setImmediate)
  stop.abort(new RangeError('enough'))
  await assert.rejects(call, RangeError)
  assert.ok(!task.signal.aborted)
})

test('a token that is refused is renewed once, and a nonce that is asked for is shown', async (t) => {
  let refused = 0
  const { sdk, asked } = await smallServer(t, {
    instead: (heard, response, nth) => {
      if (heard.path !== MCP) return false
      if (refused++ === 0) response.writeHead(401, { 'www-authenticate': 'DPoP error="invalid_token"' }).end()
      else if (claimsOf(heard.headers.dpop)['nonce'] !== 'n-1') response.writeHead(401, { 'www-authenticate': 'DPoP error="use_dpop_nonce"', 'dpop-nonce': 'n-1' }).end()
      else answering(() => ({ result: { content: [] } }))(heard, response, nth)
      return true
    },
  })
  await using task = await sdk().task(WORK)
  assert.deepEqual(await task.call('docs/echo'), { content: [] })
  assert.equal(asked(MCP).length, 3)
  assert.equal(new Set(asked(MCP).map(({ headers }) => headers.authorization)).size, 2)
})

test('a token that is refused again is a denial', async (t) => {
  const { sdk, asked } = await smallServer(t, { instead: ({ path }, response) => path === MCP && (response.writeHead(401).end(), true) })
  await using task = await sdk().task(WORK)
  await assert.rejects(task.call('docs/echo'), (fault) => fault instanceof Denied && fault.code === 'unauthenticated')
  assert.equal(asked(MCP).length, 2)
})

test('a server that has done nothing because it can not write is asked again; one whose answer broke off is not', async (t) => {
  let isWell = false
  const { sdk, asked } = await smallServer(t, {
    instead: (heard, response, nth) => {
      if (heard.path !== MCP) return false
      if (isWell) return void response.writeHead(200, { 'content-type': 'text/event-stream' }).write('data: {"jsonrpc"', () => response.destroy()), true
      isWell = true
      return answering(() => ({ status: 503, error: { code: -32603, message: 'the store can not be written', data: { code: 'storage_unavailable', retryable: true } } }))(heard, response, nth)
    },
  })
  await using task = await sdk().task(WORK)
  await assert.rejects(task.call('docs/echo'), (fault) => fault instanceof Unreachable && fault.code === 'broken_off' && !fault.retryable)
  assert.equal(asked(MCP).length, 2)
})

test('a list that does not end, and tools that must not be used, are not taken', async (t) => {
  const tool = (name: string, inputSchema: object): object => ({ name, inputSchema })
  const bad = { type: 'object', properties: { a: { type: 'number', 'x-mcp-header': 'A' } } }
  const twice = { type: 'object', properties: { a: { type: 'string', 'x-mcp-header': 'A' }, b: { type: 'string', 'x-mcp-header': 'a' } } }
  const deep = { type: 'object', properties: { list: { type: 'array', items: { type: 'string', 'x-mcp-header': 'A' } } } }
  const { sdk } = await smallServer(t, {
    instead: answering(({ params }) => (params['cursor'] === 'end' ? { result: { tools: [tool('good', { type: 'object' })] } } :
      { result: { tools: [tool('bad', bad), tool('twice', twice), tool('deep', deep)], nextCursor: params['cursor'] === undefined ? 'end' : 'x' } })),
  })
  await using task = await sdk().task(WORK)
  assert.deepEqual((await task.tools('docs')).map(({ id }) => id), ['docs/good'])
  const endless = await smallServer(t, { instead: answering(() => ({ result: { tools: [], nextCursor: 'more' } })) })
  await using other = await endless.sdk().task(WORK)
  await assert.rejects(other.tools('docs'), (fault) => fault instanceof Unreachable && fault.code === 'unknown_reply')
})

for (const { what, ask } of [
  { what: 'a tool without its server', ask: (call: Call) => call('echo', {}) },
  { what: 'a server that is a path', ask: (call: Call) => call('../v1/tasks/x', {}) },
  { what: 'a date among the arguments', ask: (call: Call) => call('docs/echo', { at: new Date() }) },
  { what: 'an endless number', ask: (call: Call) => call('docs/echo', { n: Number.POSITIVE_INFINITY }) },
  { what: 'a list for arguments', ask: (call: Call) => call('docs/echo', []) },
] as readonly { what: string; ask: (call: Call) => Promise<unknown> }[]) {
  test(`${what} is said before anything is asked`, async (t) => {
    const { sdk, asked } = await smallServer(t)
    await using task = await sdk().task(WORK)
    await assert.rejects(ask((tool, args) => task.call(tool, args)), Misconfigured)
    assert.equal(asked(MCP).length, 0)
  })
}

type Call = (tool: string, args: object) => Promise<unknown>
type Answer = {
  readonly status?: number; readonly headers?: Readonly<Record<string, string>>; readonly id?: number; readonly result?: object; readonly error?: object; readonly page?: string
}

/** Answers every request to the gateway like this. */
function answering(of: (asked: ReturnType<typeof rpcOf>) => Answer): (heard: Heard, response: ServerResponse, nth: number) => boolean {
  return (heard, response) => {
    if (heard.path !== MCP) return false
    const rpc = rpcOf(heard)
    const { status = 200, headers = {}, id = rpc.id, result, error, page } = of(rpc)
    if (page === undefined) sendJson(response, status, { jsonrpc: '2.0', id, ...(result === undefined ? { error } : { result }) }, headers)
    else response.writeHead(status, { 'content-type': 'text/html' }).end(page)
    return true
  }
}

