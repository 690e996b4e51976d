import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { after, before, describe, test } from 'node:test'
import * as registry from '@writ/contract/registry'
import { eventually } from '../eventually.ts'
import { opened } from '../governed-writ.ts'
import { rawRequest, type RawAsk } from '../raw-request.ts'
import { REGISTRATION, startWrit, type RunningWrit, type TestIdentity } from '../running-writ.ts'

const FORGED = '{"level":"info","msg":"forged"}'
const NASTY: Readonly<Record<string, string>> = {
  'an end of line': `a\r\n${FORGED}\n`, 'a line feed': `a\n${FORGED}\n`, 'a colour': '\u001b[31m\u001b]0;title\u0007', 'a C1 control': 'a\u0085\u009b2J', 'NUL': 'a\0b',
  'a line separator': 'a\u2028b\u2029c', 'a change of direction': 'a\u202egpj.exe', 'quotes': '","level":"fatal","x":"', 'a megabyte': 'x'.repeat(1_000_000),
  'a megabyte of ends of lines': '\n'.repeat(900_000),
}

type Line = { readonly level: string; readonly msg: string; readonly trace_id?: string; readonly status?: number }

describe('whatever a caller puts into a request', () => {
  let writ: RunningWrit
  let agent: TestIdentity
  let task: string
  before(async () => {
    writ = await startWrit({ env: { WRIT_LOG: 'trace' } })
    agent = await writ.register('scribbler')
    task = await opened(agent)
  })
  after(() => writ.stop())

  /** What has been logged since, each checked to be one short line of JSON in plain characters. */
  function linesFrom(at: number): readonly Line[] {
    const text = writ.log().slice(at)
    return text.slice(0, text.lastIndexOf('\n') + 1).split('\n').filter((line) => line !== '').map((line) => {
      assert.match(line, /^\{[^\p{Cc}\p{Cf}\p{Zl}\p{Zp}]*\}$/u)
      assert.ok(line.length < 4000, `a line of ${line.length} characters`)
      const read = JSON.parse(line) as Line
      assert.notEqual(read.msg, 'forged')
      return read
    })
  }

  /** The request's one line of what was answered. */
  async function answered(ask: RawAsk, authorization?: string): Promise<Line> {
    const at = writ.log().length
    const got = await rawRequest(writ.url, { ...ask, headers: [...ask.headers ?? [], ...(authorization === undefined ? [] : [['authorization', authorization] as const])] })
    const id = got.header('x-request-id')!
    const line = await eventually('the line', () => linesFrom(at).find((one) => one.trace_id === id && one.msg === 'answered'))
    assert.equal(linesFrom(at).filter((one) => one.trace_id === id && one.msg === 'answered').length, 1)
    assert.equal(line.status, got.status)
    return line
  }

  for (const [what, nasty] of Object.entries(NASTY)) {
    test(`${what} in a path, a query, a header, a token or a body leaves one line for each request, which parses and is short`, async () => {
      const encoded = encodeURIComponent(nasty).slice(0, 6000).replace(/%.?$/, '')
      const operator = `Bearer ${writ.operatorKey}`
      const json = ['content-type', 'application/json'] as const
      // What a client can not send at all is left out: node's own refuses it.
      const latin = nasty.replaceAll(/[^\x20-\x7e\x80-\xff]/g, '').slice(0, 6000)
      await answered({ path: `/${encoded}` })
      await answered({ path: `/v1/tasks/${encoded}` }, operator)
      await answered({ path: `/v1/events?cursor=${encoded}&${encoded}=1` }, operator)
      await answered({ path: '/v1/whoami', headers: [['user-agent', latin], ['x-forwarded-for', latin], ['x-request-id', latin], ['traceparent', latin], ['dpop', latin]] })
      await answered({ path: '/v1/whoami' }, `Bearer ${latin}`)
      await answered({ path: '/v1/whoami' }, `Bearer ${agent.assertion({ iss: nasty.slice(0, 2000), sub: nasty.slice(0, 2000), jti: nasty.slice(0, 2000), aud: nasty.slice(0, 2000) })}`)
      await answered({ path: '/v1/tasks', method: 'POST', headers: [json, ['idempotency-key', latin]], body: JSON.stringify({ purpose: nasty, [nasty.slice(0, 2000)]: 1 }) }, `Bearer ${agent.assertion()}`)
      await answered({ path: '/v1/identities', method: 'POST', headers: [json], body: JSON.stringify({ ...REGISTRATION, spiffe_id: nasty.slice(0, 2000), purpose: nasty }) }, operator)
      await answered({ path: `/v1/tasks/${task}/end`, method: 'POST', headers: [json], body: JSON.stringify({ reason: nasty }) }, operator)
      await answered({ path: '/oauth/token', method: 'POST', headers: [['content-type', 'application/x-www-form-urlencoded']],
        body: `grant_type=${encoded}&client_assertion_type=${encoded}&client_assertion=${encoded.slice(0, 3000)}&scope=${encoded.slice(0, 500)}` })
      await answered({ path: '/v1/bootstrap', method: 'POST', headers: [json], body: JSON.stringify({ code: nasty, operator: nasty }) })
    })
  }

  test('bytes that are no HTTP leave nothing in the log but lines', async () => {
    const at = writ.log().length
    const { hostname, port } = new URL(writ.url)
    for (const nasty of Object.values(NASTY)) {
      await new Promise<void>((resolve) => {
        const socket = connect({ host: hostname, port: Number(port) }, () => { socket.end(`GET /${nasty} HTTP/1.1\r\nhost: ${nasty}\r\n\r\n`) })
        socket.on('error', () => {}).on('close', () => { resolve() }).resume()
      })
    }
    assert.equal((await writ.stranger(registry.health)).status, 200)
    linesFrom(at)
  })

  test('the log says of no request what stood in its address, its headers or its body', () => {
    for (const mark of ['forged', 'gpj.exe', 'xxxxxxxx', writ.operatorKey]) assert.ok(!writ.log().includes(mark), mark)
  })
})
