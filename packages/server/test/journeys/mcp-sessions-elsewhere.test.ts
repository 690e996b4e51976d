import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { accessTo, governServer } from '../mcp/estate.ts'
import { begin, eventsIn, nextMessage, rpc, send, type Line } from '../mcp/older-client.ts'
import type { RunningWrit, TestIdentity } from '../running-writ.ts'
import { ISSUER, startSeveral, type SeveralWrits } from '../several-writs.ts'

const OFFICIAL = fileURLToPath(new URL('../mcp/official-server.ts', import.meta.url))

describe('a session is kept by one of several servers', () => {
  let several: SeveralWrits
  let bot: TestIdentity
  before(async () => {
    several = await startSeveral()
    const [home] = several.writs
    await governServer(home, { name: 'shop', transport: 'stdio', command: process.execPath, args: [OFFICIAL, 'newer'] })
    bot = await home.register('client', { authority: ['mcp:shop:echo', 'mcp:shop:count', 'mcp:shop:ask-name'] })
  })
  after(() => several.stop())

  /** A client of one session, at each of the servers. */
  async function lines(): Promise<readonly [atHome: Line, elsewhere: Line]> {
    const [home, other] = several.writs
    const access = await accessTo(home, bot, { server: 'shop', tools: ['echo', 'count', 'ask-name'] })
    const at = (writ: RunningWrit): Line => ({ access, through: `${writ.url}/mcp/shop`, htu: `${ISSUER}/mcp/shop` })
    const [atHome, elsewhere] = [at(home), at(other)]
    elsewhere.session = await begin(atHome, { elicitation: {} })
    return [atHome, elsewhere]
  }
  const bodyOf = async (response: Response): Promise<string> => {
    const body = await response.text()
    assert.equal(response.status, 200, body)
    return body
  }
  const echo = (id: number): object => rpc(id, 'tools/call', { name: 'echo', arguments: { message: `word ${id}` } })

  test('whichever server a request comes to, it is served at home', async () => {
    const [atHome, elsewhere] = await lines()
    for (const [i, line] of [elsewhere, atHome, elsewhere].entries()) assert.match(await bodyOf(await send(line, { body: echo(i) })), new RegExp(`word ${i}`))
    assert.equal((await send(elsewhere, { body: { jsonrpc: '2.0', method: 'notifications/nonsense' } })).status, 202)
  })

  test('streams come through as they are written, and questions are answered from anywhere', async () => {
    const [atHome, elsewhere] = await lines()
    const counting = eventsIn(await send(elsewhere, { body: rpc(1, 'tools/call', { name: 'count', arguments: { to: 3, everyMs: 50 }, _meta: { progressToken: 'p' } }) }))
    for (const progress of [1, 2, 3]) assert.equal(((await nextMessage(counting)).message['params'] as { readonly progress: number }).progress, progress)
    assert.match(JSON.stringify((await nextMessage(counting)).message), /counted to 3/)

    const asking = eventsIn(await send(elsewhere, { body: rpc(2, 'tools/call', { name: 'ask-name', arguments: {} }) }))
    const { id } = (await nextMessage(asking)).message
    assert.equal((await send(atHome, { body: { jsonrpc: '2.0', id, result: { action: 'accept', content: { name: 'Ann' } } } })).status, 202)
    assert.match(JSON.stringify((await nextMessage(asking)).message), /hello Ann/)
  })

  test('a proof that was shown to one server is worth nothing to the other', async () => {
    const [atHome, elsewhere] = await lines()
    const { key, token } = atHome.access
    const proof = { dpop: key.proof({ htu: `${ISSUER}/mcp/shop`, htm: 'POST', token }) }
    assert.equal((await send(elsewhere, { body: echo(1), headers: proof })).status, 200)
    for (const line of [elsewhere, atHome]) assert.equal((await send(line, { body: echo(2), headers: proof })).status, 401)
  })

  test('nobody outside can pretend that a request was handed over', async () => {
    const [atHome, elsewhere] = await lines()
    for (const line of [atHome, elsewhere]) assert.equal((await send(line, { body: echo(1), headers: { 'writ-hop': `${Date.now()}.${'A'.repeat(43)}` } })).status, 403)
  })

  test('a session of another task is not there, whichever server is asked', async () => {
    const [, elsewhere] = await lines()
    const [other] = await lines()
    const got = await send({ ...other, session: elsewhere.session!, through: elsewhere.through! }, { body: echo(1) })
    assert.equal(got.status, 404, await got.text())
  })

  test('deleted at one server, it is gone at each', async () => {
    const [atHome, elsewhere] = await lines()
    const waiting = eventsIn(await send(elsewhere, { method: 'GET' }))
    await waiting.next()
    assert.equal((await send(elsewhere, { method: 'DELETE' })).status, 204)
    assert.equal((await waiting.next()).done, true)
    for (const line of [atHome, elsewhere]) assert.equal((await send(line, { body: echo(1) })).status, 404)
  })

  test('a server that stops does not wait for a stream whose session another one keeps', async () => {
    const [, elsewhere] = await lines()
    const waiting = eventsIn(await send(elsewhere, { method: 'GET' }))
    await waiting.next()
    const [, second] = several.writs
    const [ended, began] = [Array.fromAsync(waiting), performance.now()]
    await second!.kill('SIGTERM')
    await ended
    assert.ok(performance.now() - began < 8000, `${Math.round(performance.now() - began)} ms`)
    await second!.restart()
    assert.match(await bodyOf(await send(elsewhere, { body: echo(1) })), /word 1/)
  })

  test('what a server kept is gone with it, and a client begins anew at another', async () => {
    const [, elsewhere] = await lines()
    const waiting = eventsIn(await send(elsewhere, { method: 'GET' }))
    await waiting.next()
    const [home] = several.writs
    await home.kill()
    await assert.rejects(Array.fromAsync(waiting))
    assert.equal((await send(elsewhere, { body: echo(1) })).status, 404)
    delete elsewhere.session
    await begin(elsewhere)
    assert.match(await bodyOf(await send(elsewhere, { body: echo(2) })), /word 2/)
    await home.restart()
  })
})
