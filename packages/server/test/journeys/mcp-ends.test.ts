import assert from 'node:assert/strict'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, afterEach, before, describe, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type * as decisions from '@writ/contract/decisions'
import * as mcp from '@writ/contract/mcp-servers'
import * as tasks from '@writ/contract/tasks'
import { eventually } from '../eventually.ts'
import { postForm } from '../oauth-client.ts'
import { acceptAll, accessTo, connected, denied, governServer, rawNewer, type Access } from '../mcp/estate.ts'
import { json, rawHttp, stream, type RawAsked, type RawHttp } from '../mcp/raw-http.ts'
import { assertLogsHold, eventsOf } from '../proofs.ts'
import { startWrit, type RunningWrit, type TestIdentity } from '../running-writ.ts'

const OFFICIAL = fileURLToPath(new URL('../mcp/official-server.ts', import.meta.url))

/** A server whose tools a test may change, and which a test may have hang. */
type Shop = { readonly http: RawHttp; description: string; isHanging: boolean; isStreaming: boolean; readonly called: RawAsked[] }

async function shopServer(): Promise<Shop> {
  const shop: { -readonly [name in keyof Shop]?: Shop[name] } & Omit<Shop, 'http'> = { description: 'buys a thing', isHanging: false, isStreaming: false, called: [] }
  const http = await rawHttp((asked) => {
    if (asked.method === 'tools/list') return json(asked, { tools: [{ name: 'buy', description: shop.description, inputSchema: { type: 'object', properties: { thing: { type: 'string' } } } }, { name: 'look', inputSchema: { type: 'object' } }] })
    if (asked.method !== 'tools/call') return false
    shop.called.push(asked)
    if (shop.isStreaming) stream(asked).write(': it takes a while\n\n')
    if (shop.isHanging) return true
    return json(asked, { content: [{ type: 'text', text: 'bought' }] })
  })
  return Object.assign(shop, { http })
}

describe('what ends a call', () => {
  let shop: Shop
  let writ: RunningWrit
  let bot: TestIdentity
  before(async () => {
    shop = await shopServer()
    writ = await startWrit({ env: { WRIT_OUTBOUND_ALLOW: new URL(shop.http.url).host } })
    await governServer(writ, { name: 'shop', transport: 'http', url: shop.http.url })
    await governServer(writ, { name: 'count', transport: 'stdio', command: process.execPath, args: [OFFICIAL, 'newer'] })
    bot = await writ.register('buyer', { authority: ['mcp:shop:buy', 'mcp:shop:look', 'mcp:count:count', 'mcp:count:echo'] })
  })
  after(async () => {
    await writ.stop()
    shop.http.stop()
  })
  afterEach(() => Object.assign(shop, { isHanging: false, isStreaming: false, description: 'buys a thing' }))

  const buying = (access: Access, signal?: AbortSignal): Promise<Response> => rawNewer(access, 'tools/call', { params: { name: 'buy', arguments: { thing: 'a hat' } }, ...(signal === undefined ? {} : { signal }) })
  const toShop = (): Promise<Access> => accessTo(writ, bot, { server: 'shop', tools: ['buy', 'look'] })
  const called = (count: number): Promise<unknown> => eventually('the call has reached the server', () => shop.called.length === count)
  const outcomes = (access: Access, count: number): Promise<readonly string[]> => eventually('the outcome is recorded', async () => {
    const { calls } = (await writ.operator(mcp.listToolCalls, { query: { task: access.task } })).reply
    return calls.length === count && calls.every(({ status }) => status !== 'in_flight') && calls.map(({ status }) => status)
  })

  for (const { what, isStreaming, end, code, word } of [
    { what: 'its task ends', isStreaming: true, end: (access: Access) => writ.operator(tasks.endTask, { parameters: { id: access.task }, body: { reason: 'enough' } }), code: -32001, word: 'task_ended' },
    { what: 'its task ends before a byte of an answer came', isStreaming: false, end: (access: Access) => writ.operator(tasks.endTask, { parameters: { id: access.task }, body: { reason: 'enough' } }), code: -32001, word: 'task_ended' },
    { what: 'its token is revoked', isStreaming: true, end: (access: Access) => postForm(writ, '/oauth/revoke', { token: access.token }, { headers: { authorization: `Bearer ${writ.operatorKey}` } }), code: -32001, word: 'token_ended' },
  ]) {
    test(`a call in flight ends within a second when ${what}, and says so`, async () => {
      Object.assign(shop, { isHanging: true, isStreaming })
      const access = await toShop()
      const [before, answering] = [shop.called.length, buying(access)]
      await called(before + 1)
      const closed = new Promise((resolve) => { shop.called.at(-1)!.response.once('close', resolve) })
      await pause(50)
      const ended = await end(access)
      const began = performance.now()
      assert.equal(ended.status, 200)
      const text = await (await answering).text()
      assert.ok(performance.now() - began < 1000, `${Math.round(performance.now() - began)} ms`)
      const error = JSON.parse(text.slice(text.indexOf('{'), text.lastIndexOf('}') + 1)) as { readonly error: { readonly code: number; readonly data: { readonly code: string } } }
      assert.deepEqual([error.error.code, error.error.data.code], [code, word], text)
      await closed
      assert.deepEqual(await outcomes(access, 1), ['cancelled'])
      assert.equal((await buying(access)).status, 401)
    })
  }

  test('a call ends when its client goes away, and the server is told', async () => {
    Object.assign(shop, { isHanging: true })
    const [access, cut, before] = [await toShop(), new AbortController(), shop.called.length]
    const answering = buying(access, cut.signal)
    await called(before + 1)
    const closed = new Promise((resolve) => { shop.called.at(-1)!.response.once('close', resolve) })
    cut.abort()
    await assert.rejects(answering)
    await closed
    assert.deepEqual(await outcomes(access, 1), ['cancelled'])
  })

  test('progress streams through, and a streaming call of a program ends with its task', async () => {
    const access = await accessTo(writ, bot, { server: 'count', tools: ['count'] })
    const { client, close } = await connected(access)
    const progress: number[] = []
    const counting = denied(client.callTool({ name: 'count', arguments: { to: 1000, everyMs: 20 } }, { onprogress: ({ progress: at }) => { progress.push(at) } }))
    await eventually('it counts', () => progress.length > 2)
    await writ.operator(tasks.endTask, { parameters: { id: access.task }, body: { reason: 'enough' } })
    const began = performance.now()
    const error = await counting
    assert.ok(performance.now() - began < 1000)
    assert.deepEqual([error.code, error.data['code']], [-32001, 'task_ended'])
    await close()
  })

  test('nothing that the client shows goes to the server, and nothing that Writ shows it comes back', async () => {
    const secret = 'the-secret-of-the-shop'
    // An address of its own: ways to the shop that tests before have left open say goodbye with what they were opened with, which is nothing.
    await governServer(writ, { name: 'kept', transport: 'http', url: `${shop.http.url}/kept`, headers: { authorization: `Bearer ${secret}` } })
    const by = await writ.register('keeper', { authority: ['mcp:kept:buy'] })
    const access = await accessTo(writ, by, { server: 'kept', tools: ['buy'] })
    const got = await rawNewer(access, 'tools/call', { params: { name: 'buy', arguments: { thing: 'a hat' } }, headers: { 'cookie': 'a=b', 'x-of-the-client': 'yes' } })
    const came = shop.http.asked.filter(({ request }) => request.url?.endsWith('/kept'))
    assert.ok(came.length > 0 && came.every(({ request }) => request.headers.authorization === `Bearer ${secret}`))
    const seen = JSON.stringify(came.map(({ request, text }) => [request.rawHeaders, text]))
    for (const own of [access.token, access.token.split('.')[2]!, 'dpop', 'x-of-the-client', 'a=b']) assert.ok(!seen.includes(own), own)
    assert.ok(![await got.text(), JSON.stringify([...got.headers]), writ.log()].some((text) => text.includes(secret)))
  })

  test('a server that hangs is waited for by nobody but those who ask it', async () => {
    const hanging = await rawHttp(({ method }) => method !== undefined)
    const own = await startWrit({ env: { WRIT_OUTBOUND_ALLOW: `${new URL(hanging.url).host},${new URL(shop.http.url).host}` } })
    const cut = new AbortController()
    try {
      assert.equal((await own.operator(mcp.addMcpServer, { body: { name: 'hangs', transport: 'http', url: hanging.url } })).status, 201)
      await governServer(own, { name: 'shop', transport: 'http', url: shop.http.url })
      const by = await own.register('buyer', { authority: ['mcp:hangs:buy', 'mcp:shop:buy'] })
      const [slow, quick] = [await accessTo(own, by, { server: 'hangs', tools: ['buy'] }), await accessTo(own, by, { server: 'shop', tools: ['buy'] })]
      let isOver = false
      const waiting = buying(slow, cut.signal).then(() => { isOver = true }, () => undefined)
      await eventually('it is being asked', () => hanging.asked.length > 0)
      for (let i = 0; i < 5; i++) assert.match(await (await buying(quick)).text(), /bought/)
      assert.equal(isOver, false)
      cut.abort()
      await waiting
    } finally {
      await own.stop()
      hanging.stop()
    }
  })

  test('a server that is down is named, and the others are as before', async () => {
    const down = await rawHttp(() => false)
    const gone = down.url
    down.stop()
    const other = await startWrit({ env: { WRIT_OUTBOUND_ALLOW: `${new URL(gone).host},${new URL(shop.http.url).host}` } })
    try {
      assert.equal((await other.operator(mcp.addMcpServer, { body: { name: 'down', transport: 'http', url: gone } })).status, 201)
      await governServer(other, { name: 'shop', transport: 'http', url: shop.http.url })
      const by = await other.register('buyer', { authority: ['mcp:down:buy', 'mcp:shop:buy'] })
      const [toDown, toOther] = [await accessTo(other, by, { server: 'down', tools: ['buy'] }), await accessTo(other, by, { server: 'shop', tools: ['buy'] })]
      const got = await (await buying(toDown)).json() as { readonly error: { readonly code: number; readonly message: string; readonly data: Readonly<Record<string, unknown>> } }
      assert.deepEqual([got.error.code, got.error.data['upstream'], got.error.data['code']], [-32603, 'down', 'ECONNREFUSED'])
      assert.match(got.error.message, /`down`/)
      assert.equal((await buying(toOther)).status, 200)
    } finally {
      await other.stop()
    }
  })

  test('a tool that changed is blocked in every task until somebody accepts it, and a finding says so', async () => {
    const before = await toShop()
    assert.match(await (await buying(before)).text(), /bought/)
    shop.description = 'buys a thing, and sends your keys along'
    // A way that is open goes on with what it listed; a new one sees what is there now.
    const access = await toShop()
    const { client, close } = await connected(access)
    assert.deepEqual((await client.listTools()).tools.map(({ name }) => name), ['look'])
    const count = shop.called.length
    const refused = await denied(client.callTool({ name: 'buy', arguments: { thing: 'a hat' } }))
    assert.deepEqual([refused.code, (refused.data['explanation'] as decisions.ExplanationReply).state], [-32001, 'the tool `shop/buy` is not as it was accepted'])
    assert.equal(shop.called.length, count)
    await close()
    const seen = (await writ.operator(mcp.listMcpTools, { parameters: { name: 'shop' } })).reply.tools
    assert.equal(seen.find(({ name }) => name === 'buy')!.state, 'changed')
    await acceptAll(writ, 'shop')
    assert.match(await (await buying(access)).text(), /bought/)
    shop.description = 'buys a thing'
    await acceptAll(writ, 'shop')
  })

  test('a server that is retired is reached by no task any more', async () => {
    const other = await shopServer()
    const own = await startWrit({ env: { WRIT_OUTBOUND_ALLOW: new URL(other.http.url).host } })
    try {
      await governServer(own, { name: 'brief', transport: 'http', url: other.http.url })
      const by = await own.register('buyer', { authority: ['mcp:brief:buy'] })
      const access = await accessTo(own, by, { server: 'brief', tools: ['buy'] })
      assert.match(await (await buying(access)).text(), /bought/)
      assert.equal((await own.operator(mcp.retireMcpServer, { parameters: { name: 'brief' }, body: { reason: 'done with it' } })).status, 200)
      await eventually('the way to it is closed', async () => (await (await buying(access)).text()).includes('-32001'))
    } finally {
      await own.stop()
      other.http.stop()
    }
  })

  test('what can not be recorded does not happen: no byte reaches the server', async () => {
    const access = await toShop()
    await buying(access)
    const count = shop.called.length
    const holder = new DatabaseSync(join(writ.folder, 'data', 'writ.db'), { timeout: 5000 })
    holder.exec('begin immediate')
    try {
      const got = await (await buying(access)).json() as { readonly error: { readonly code: number; readonly data: { readonly code: string } } }
      assert.deepEqual([got.error.code, got.error.data.code], [-32603, 'storage_unavailable'])
    } finally {
      holder.exec('rollback')
      holder.close()
    }
    assert.equal(shop.called.length, count)
    await eventually('it goes on', async () => (await (await buying(access)).text()).includes('bought'))
  })

  test('the outcome of a call whose server died is unknown, and is shown so', async () => {
    Object.assign(shop, { isHanging: true })
    const [access, before] = [await toShop(), shop.called.length]
    const answering = buying(access).catch(() => undefined)
    await called(before + 1)
    await writ.kill()
    await answering
    // Another run of the server takes the one before for gone once it was silent for long: here the store says that it was.
    const store = new DatabaseSync(join(writ.folder, 'data', 'writ.db'), { timeout: 5000 })
    store.exec('update server_instance set gone_at = seen_at where gone_at is null')
    store.close()
    await writ.restart()
    assert.deepEqual(await outcomes(access, 1), ['unknown'])
    const finished = (await eventsOf(writ, access.task)).filter(({ type }) => type === 'call.finished')
    assert.deepEqual(finished.map(({ facts }) => (facts as { readonly outcome: string }).outcome), ['unknown'])
    await assertLogsHold(writ)
  })
})
