import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import * as registry from '@writ/contract/registry'
import { callWith, introspect } from '../oauth-client.ts'
import { accessTo, governServer, rawNewer, shown, type Access, type RawOrder } from '../mcp/estate.ts'
import { rawRequest } from '../raw-request.ts'
import { startWrit, type RunningWrit, type TestIdentity } from '../running-writ.ts'

const OFFICIAL = fileURLToPath(new URL('../mcp/official-server.ts', import.meta.url))

type Answer = { readonly status: number; readonly code: number | undefined; readonly text: string }

describe('the door of an MCP server', () => {
  let writ: RunningWrit
  let bot: TestIdentity
  let access: Access
  before(async () => {
    writ = await startWrit()
    await governServer(writ, { name: 'shop', transport: 'stdio', command: process.execPath, args: [OFFICIAL, 'newer'] })
    bot = await writ.register('client', { authority: ['mcp:shop:echo', 'mcp:shop:in-region', 'mcp:other:echo'] })
    access = await accessTo(writ, bot, { server: 'shop', tools: ['echo', 'in-region'] })
  })
  after(() => writ.stop())

  const answered = async (method: string, order: RawOrder = {}, by: Access = access): Promise<Answer> => {
    const got = await rawNewer(by, method, order)
    const text = await got.text()
    const code = got.headers.get('content-type')?.startsWith('application/json') === true ? (JSON.parse(text) as { readonly error?: { readonly code: number } }).error?.code : undefined
    return { status: got.status, code, text }
  }
  const ECHO = { name: 'echo', arguments: { message: 'hello' } }

  test('says what it takes, to anybody, whether there is such a server or not', async () => {
    for (const server of ['shop', 'no-such-server']) {
      const got = await fetch(`${writ.url}/.well-known/oauth-protected-resource/mcp/${server}`)
      assert.deepEqual([got.status, got.headers.get('cache-control')], [200, 'public, max-age=300'])
      const said = await got.json() as Readonly<Record<string, unknown>>
      assert.deepEqual([said['resource'], said['authorization_servers'], said['bearer_methods_supported'], said['dpop_bound_access_tokens_required']],
        [`${writ.url}/mcp/${server}`, [writ.url], ['header'], false])
    }
  })

  test('answers whoever shows nothing with where to learn what to show, and is the same for a server that is not there', async () => {
    for (const server of ['shop', 'no-such-server']) {
      for (const method of ['POST', 'GET', 'DELETE']) {
        const got = await rawRequest(writ.url, { method, path: `/mcp/${server}`, ...(method === 'POST' ? { headers: [['content-type', 'application/json']] as const, body: '{}' } : {}) } as never)
        const metadata = `resource_metadata="${writ.url}/.well-known/oauth-protected-resource/mcp/${server}"`
        assert.deepEqual([got.status, got.header('www-authenticate')], [401, `Bearer ${metadata}, DPoP algs="ES256 Ed25519 PS256 RS256 EdDSA", ${metadata}`], got.text)
      }
    }
  })

  test('a name that is none is nobody\'s door, and puts nothing into an answer\'s head', async () => {
    for (const name of ['%22%0d%0aset-cookie:a', '%00', 'a%2fb', '..%2f', '%F0%9F%92%A9', 'x'.repeat(200)]) {
      const got = await rawRequest(writ.url, { method: 'POST', path: `/mcp/${name}`, headers: [['content-type', 'application/json']], body: '{}' })
      assert.deepEqual([got.status, got.header('set-cookie')], [401, undefined], `${name}: ${got.text}`)
      assert.match(got.header('www-authenticate')!, /^Bearer resource_metadata="[^"\\\s]+", DPoP /)
    }
    const odd = await accessTo(writ, bot, { server: '%00', tools: ['echo'], form: { authorization_details: JSON.stringify([{ type: 'mcp', locations: ['shop'], actions: ['echo'] }]) } })
    assert.equal((await answered('tools/call', { params: ECHO }, odd)).status, 404)
  })

  test('takes an access token for itself, and nothing else that opens another door', async () => {
    assert.equal((await answered('tools/call', { params: ECHO })).status, 200)
    const elsewhere = await accessTo(writ, bot, { server: 'other', tools: ['echo'] })
    const forAll = await accessTo(writ, bot, { server: 'shop', tools: ['echo'], form: { resource: writ.issuer } })
    const almost = await accessTo(writ, bot, { server: 'shop', tools: ['echo'], form: { resource: `${writ.issuer}/mcp/shop/` } })
    for (const [what, { token, key }] of Object.entries({ elsewhere, forAll, almost })) {
      const got = await answered('tools/call', { params: ECHO }, { ...access, token, key })
      assert.equal(got.status, 401, `${what}: ${got.text}`)
    }
    for (const [what, authorization] of Object.entries({ assertion: `Bearer ${bot.assertion()}`, operator: `Bearer ${writ.operatorKey}`, bare: `Bearer ${access.token}` })) {
      const got = await answered('tools/call', { params: ECHO, headers: { authorization, dpop: undefined } })
      assert.equal(got.status, 401, `${what}: ${got.text}`)
    }
  })

  test('its token opens no other door, and ends with its task', async () => {
    const own = await accessTo(writ, bot, { server: 'shop', tools: ['echo'] })
    const got = await callWith(writ, { key: own.key, token: own.token, method: 'GET', path: '/v1/whoami' })
    assert.equal(got.status, 401)
    assert.equal((await introspect(writ, own.token))['active'], true)
    await writ.operator(registry.suspendIdentity, { parameters: { id: bot.id }, body: { reason: 'x' } })
    assert.equal((await answered('tools/call', { params: ECHO }, own)).status, 401)
    await writ.operator(registry.resumeIdentity, { parameters: { id: bot.id }, body: { reason: 'x' } })
    assert.equal((await answered('tools/call', { params: ECHO }, own)).status, 401)
    access = await accessTo(writ, bot, { server: 'shop', tools: ['echo', 'in-region'] })
  })

  test('takes a proof once, also for what is answered without a decision', async () => {
    for (const [method, order] of [['tools/call', { params: ECHO }], ['tools/list', {}], ['server/discover', {}], ['no/such', {}], ['tools/call', { params: ECHO, headers: { 'mcp-name': 'other' } }]] as const) {
      const headers = { ...shown(access), ...('headers' in order ? order.headers : {}) }
      assert.notEqual((await answered(method, { ...order, headers })).status, 401, method)
      assert.equal((await answered('tools/call', { params: ECHO, headers: { ...headers, 'mcp-name': 'echo' } })).status, 401, method)
    }
  })

  for (const { when, method = 'tools/call', order, expected } of [
    { when: 'of another method in the header', order: { params: ECHO, headers: { 'mcp-method': 'tools/list' } }, expected: [400, -32020] },
    { when: 'without the method in a header', order: { params: ECHO, headers: { 'mcp-method': undefined } }, expected: [400, -32020] },
    { when: 'of another name in the header', order: { params: ECHO, headers: { 'mcp-name': 'Echo' } }, expected: [400, -32020] },
    { when: 'without the name in a header', order: { params: ECHO, headers: { 'mcp-name': undefined } }, expected: [400, -32020] },
    { when: 'with the name in base64 that says something else', order: { params: ECHO, headers: { 'mcp-name': `=?base64?${Buffer.from('ech0').toString('base64')}?=` } }, expected: [400, -32020] },
    { when: 'with the name in base64', order: { params: ECHO, headers: { 'mcp-name': `=?base64?${Buffer.from('echo').toString('base64')}?=` } }, expected: [200, undefined] },
    { when: 'with another revision in the header', order: { params: ECHO, headers: { 'mcp-protocol-version': '2025-11-25' } }, expected: [400, -32020] },
    { when: 'of a revision that nobody speaks', order: { params: { ...ECHO, _meta: { 'io.modelcontextprotocol/protocolVersion': '1900-01-01' } }, headers: { 'mcp-protocol-version': '1900-01-01' } }, expected: [400, -32022] },
    { when: 'without the abilities of its client', order: { params: { ...ECHO, _meta: { 'io.modelcontextprotocol/clientCapabilities': 1 } } }, expected: [400, -32602] },
    { when: 'whose client takes no streams', order: { params: ECHO, headers: { accept: 'application/json' } }, expected: [406, -32600] },
    { when: 'from a page of another origin', order: { params: ECHO, headers: { origin: 'https://evil.example' } }, expected: [403, -32600] },
    { when: 'from no page in particular', order: { params: ECHO, headers: { origin: 'null' } }, expected: [403, -32600] },
    { when: 'that is no JSON by its type', order: { params: ECHO, headers: { 'content-type': 'text/plain' } }, expected: [415, -32600] },
    { when: 'that is no JSON', order: { params: ECHO, body: '{"jsonrpc"' }, expected: [400, -32700] },
    { when: 'in a batch', order: { params: ECHO, body: '[]' }, expected: [400, -32600] },
    { when: 'with an id of null', order: { params: ECHO, body: '{"jsonrpc":"2.0","id":null,"method":"tools/list"}' }, expected: [400, -32600] },
    { when: 'that says a member twice', order: { params: ECHO, body: '{"jsonrpc":"2.0","id":1,"method":"tools/list","method":"tools/call","params":{}}' }, expected: [400, -32600] },
    { when: 'of a method that is not there', method: 'tools/invent', order: {}, expected: [404, -32601] },
    { when: 'of a method of older revisions', method: 'logging/setLevel', order: { params: { level: 'info' } }, expected: [404, -32601] },
    { when: 'with a cursor that nobody gave', method: 'tools/list', order: { params: { cursor: 'x' } }, expected: [200, -32602] },
    { when: 'with a state that nobody gave', order: { params: { ...ECHO, requestState: 'x' } }, expected: [400, -32602] },
    { when: 'whose argument is not in its header', order: { params: { name: 'in-region', arguments: { region: 'west' } } }, expected: [400, -32020] },
    { when: 'whose argument is another one in its header', order: { params: { name: 'in-region', arguments: { region: 'west' } }, headers: { 'mcp-param-region': 'east' } }, expected: [400, -32020] },
    { when: 'whose argument is in its header', order: { params: { name: 'in-region', arguments: { region: 'west' } }, headers: { 'mcp-param-region': 'west' } }, expected: [200, undefined] },
  ] as readonly { readonly when: string; readonly method?: string; readonly order: RawOrder; readonly expected: readonly [number, number | undefined] }[]) {
    test(`a request ${when} gets ${expected.join(' ')}`, async () => {
      const got = await answered(method, order)
      assert.deepEqual([got.status, got.code], expected, got.text)
    })
  }

  test('a header that comes twice is refused, for who reads which?', async () => {
    for (const twice of ['mcp-name', 'mcp-method', 'mcp-protocol-version', 'content-type', 'origin']) {
      const all = { 'content-type': 'application/json', 'accept': 'application/json, text/event-stream', 'mcp-protocol-version': '2026-07-28', 'mcp-method': 'tools/call', 'mcp-name': 'echo', 'origin': writ.url, ...shown(access) }
      const headers = [...Object.entries(all), [twice, all[twice as 'origin']] as const]
      const got = await rawRequest(writ.url, { method: 'POST', path: '/mcp/shop', headers: headers as never, body: '{}' })
      assert.equal(got.status, 400, `${twice}: ${got.text}`)
    }
  })

  for (const [what, framing] of Object.entries({
    'two lengths': ['content-length: 2', 'content-length: 3'], 'a length and chunks': ['content-length: 2', 'transfer-encoding: chunked'], 'chunks that are none': ['transfer-encoding: xchunked'],
    'chunks twice': ['transfer-encoding: chunked', 'transfer-encoding: chunked'], 'a length with a sign': ['content-length: +2'], 'a folded header': ['content-length: 2', 'mcp-name: echo', ' more'], 'a blank before the colon': ['content-length : 2'],
  })) {
    test(`a request with ${what} is read by nobody in two ways`, async () => {
      const { hostname, port } = new URL(writ.url)
      const socket = connect(Number(port), hostname)
      const own = Object.entries({ 'host': `${hostname}:${port}`, 'content-type': 'application/json', 'accept': 'application/json, text/event-stream', 'mcp-protocol-version': '2026-07-28', 'mcp-method': 'tools/call', ...shown(access) })
      socket.end(`POST /mcp/shop HTTP/1.1\r\n${[...own.map((pair) => pair.join(': ')), ...framing].join('\r\n')}\r\n\r\n{}POST /mcp/shop HTTP/1.1\r\n\r\n`)
      const text = (await Array.fromAsync(socket)).join('')
      assert.deepEqual([...text.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => status), ['400'], text)
    })
  }

  test('a notification is taken and comes to nothing', async () => {
    const got = await rawNewer(access, 'notifications/cancelled', { body: '{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}' })
    assert.deepEqual([got.status, await got.text()], [202, ''])
  })

  test('numbers come through as they were sent, and results say how long they hold', async () => {
    const body = JSON.stringify({
      jsonrpc: '2.0', id: 'nine', method: 'tools/call', params: { name: 'echo', arguments: { message: 'M' }, _meta: { 'io.modelcontextprotocol/protocolVersion': '2026-07-28', 'io.modelcontextprotocol/clientCapabilities': {} } },
    }).replace('"nine"', '9007199254740993')
    const got = await answered('tools/call', { params: ECHO, body })
    assert.match(got.text, /^\{"jsonrpc":"2\.0","id":9007199254740993,"result":\{"resultType":"complete",/)
    assert.match((await answered('tools/list')).text, /"result":\{"resultType":"complete","ttlMs":0,"cacheScope":"private","tools":\[/)
  })
})
