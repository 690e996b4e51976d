import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { accessTo, governServer, rawNewer, type Access } from '../mcp/estate.ts'
import { eventually } from '../eventually.ts'
import { begin, lineOf, rpc, send } from '../mcp/older-client.ts'
import { json, rawHttp, type RawAsked, type RawHttp } from '../mcp/raw-http.ts'
import { startWrit, type RunningWrit } from '../running-writ.ts'

/** Well below the time that a stopping server leaves to calls on their way. */
const AT_ONCE_MS = 8000

const LISTEN = { params: { notifications: { toolsListChanged: true } }, id: 'sub' }

describe('a stream that opens while the server stops', () => {
  let shop: RawHttp
  let writ: RunningWrit
  let access: Access
  /** Those who greet the shop once it lets them wait. */
  let waiting: RawAsked[] | undefined
  beforeEach(async () => {
    waiting = undefined
    shop = await rawHttp((asked) => {
      if (asked.method === 'initialize' && waiting !== undefined) return waiting.push(asked) > 0
      if (asked.method === 'tools/list') return json(asked, { tools: [{ name: 'buy', inputSchema: { type: 'object' } }] })
      if (asked.method !== 'tools/call') return false
      // A way that has broken is opened anew by whoever comes next.
      asked.response.destroy()
      return true
    })
    writ = await startWrit({ env: { WRIT_OUTBOUND_ALLOW: new URL(shop.url).host } })
    await governServer(writ, { name: 'shop', transport: 'http', url: shop.url })
    const bot = await writ.register('buyer', { authority: ['mcp:shop:buy'] })
    access = await accessTo(writ, bot, { server: 'shop', tools: ['buy'] })
  })
  afterEach(async () => {
    await writ.stop()
    shop.stop()
  })

  /** Stops the server while this waits for the shop, and lets the shop answer then; resolves with what came and how long the stop took from there. */
  async function stoppedWhile(opening: Promise<Response>): Promise<{ readonly status: number; readonly text: string; readonly ms: number }> {
    await eventually('it waits for the shop', () => waiting!.length > 0)
    const stopping = writ.kill('SIGTERM')
    await eventually('it stops', () => fetch(`${writ.url}/readyz`).then(({ status }) => status === 503, () => true))
    const began = performance.now()
    for (const asked of waiting!) json(asked, { protocolVersion: '2025-11-25', capabilities: { tools: { listChanged: true } }, serverInfo: { name: 'raw', version: '1' } }, { 'mcp-session-id': 'another' })
    const got = await opening
    const text = await got.text()
    await stopping
    return { status: got.status, text, ms: performance.now() - began }
  }

  test('ends with it, with a session: its client is told to come back', async () => {
    const line = lineOf(access)
    await begin(line)
    await (await send(line, { body: rpc(1, 'tools/call', { name: 'buy', arguments: {} }) })).text()
    waiting = []
    const { status, text, ms } = await stoppedWhile(send(line, { method: 'GET' }))
    assert.equal(status, 200, text)
    assert.match(text, /retry: \d+/)
    assert.ok(ms < AT_ONCE_MS, `${Math.round(ms)} ms`)
    assert.doesNotMatch(writ.log(), /cut off/)
  })

  test('ends with it, without sessions: the subscription is over', async () => {
    waiting = []
    const { status, text, ms } = await stoppedWhile(rawNewer(access, 'subscriptions/listen', LISTEN))
    assert.equal(status, 200, text)
    assert.match(text, /"id":"sub","result":\{"resultType":"complete"/)
    assert.ok(ms < AT_ONCE_MS, `${Math.round(ms)} ms`)
    assert.doesNotMatch(writ.log(), /cut off/)
  })
})
