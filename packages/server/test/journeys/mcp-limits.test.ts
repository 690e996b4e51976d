import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { pipeline, Readable } from 'node:stream'
import { after, before, describe, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { eventually } from '../eventually.ts'
import { inFull, LONG_TEST } from '../long.ts'
import { bearerTo, ENVELOPE, newerHead, type Bearer } from '../mcp/bearer.ts'
import { governServer } from '../mcp/estate.ts'
import { watchMemory } from '../memory.ts'
import { recordingHttp, type RecordingHttp, type Written } from '../mcp/recording-http.ts'
import { startWrit, type RunningWrit } from '../running-writ.ts'

const SERVERS = ['well', 'slow', 'dying', 'newer'] as const
const MB = 1024 * 1024
const MOST_GROWTH_MB = 100
const NO_PROC = process.platform === 'linux' ? false : 'the memory of another process is told on Linux alone'

/** Says how far it is, and never comes to an end, for as long as somebody listens. */
function sayForEver({ response, message: { params } }: Written): void {
  response.writeHead(200, { 'content-type': 'text/event-stream' })
  const { progressToken } = params!['_meta'] as { readonly progressToken?: unknown }
  const frame = `data: ${JSON.stringify({ jsonrpc: '2.0', method: 'notifications/progress', params: { progressToken: progressToken ?? 1, progress: 1, message: 'x'.repeat(64 * 1024) } })}\n\n`
  const words = function* (): Generator<string, never> { for (;;) yield frame }
  pipeline(Readable.from(words()), response, () => undefined)
}

describe('what is too much, and what is too slow', () => {
  let recording: RecordingHttp
  let writ: RunningWrit
  const to = new Map<string, Bearer>()
  const endless: Written[] = []
  before(async () => {
    recording = await recordingHttp({
      tools: [{ name: 'say', inputSchema: { type: 'object', properties: { what: { type: 'string' } } } }, { name: 'endless', inputSchema: { type: 'object' } }],
      behave: (one) => {
        const { server, response, message: { method, params } } = one
        if (method !== 'tools/call') return false
        if (params?.['name'] === 'endless') {
          endless.push(one)
          sayForEver(one)
          return true
        }
        if (server === 'dying') response.destroy()
        return server === 'slow' || server === 'dying'
      },
    })
    writ = await startWrit({ env: { WRIT_OUTBOUND_ALLOW: recording.host, WRIT_LOG: 'warn' } })
    for (const name of SERVERS) await governServer(writ, { name, transport: 'http', url: recording.urlOf(name) })
    const bot = await writ.register('person', { class: 'assisted', authority: SERVERS.flatMap((server) => [`mcp:${server}:say`, `mcp:${server}:endless`]) })
    for (const server of SERVERS) to.set(server, await bearerTo(writ, bot, { server, tools: ['say', 'endless'], form: { budget_calls: '1000000', ttl_seconds: '3600' } }))
  })
  after(async () => {
    await writ.stop()
    recording.stop()
  })

  const bodyOf = (name: string, args: string, meta: object = {}): string => `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"${name}","arguments":${args},"_meta":${JSON.stringify({ ...ENVELOPE, ...meta })}}}`
  const say = (server: string, body = bodyOf('say', '{"what":"hello"}'), signal?: AbortSignal): Promise<Response> =>
    fetch(to.get(server)!.url, { method: 'POST', headers: newerHead(to.get(server)!, 'tools/call', 'say'), body, ...(signal === undefined ? {} : { signal }) })

  /** How long each of these calls takes, in milliseconds, one after the other. */
  async function times(count: number): Promise<readonly number[]> {
    const taken: number[] = []
    for (let i = 0; i < count; i++) {
      const began = performance.now()
      assert.match(await (await say('well')).text(), /hello/)
      taken.push(performance.now() - began)
    }
    return taken.toSorted((a, b) => a - b)
  }

  /** Ten calls hang at one server, and another breaks off one call after the other, for as long as this takes. */
  async function inTrouble<T>(work: () => Promise<T>): Promise<T> {
    const [cut, asked] = [new AbortController(), recording.written.length]
    const hanging = Array.from({ length: 10 }, () => say('slow', undefined, cut.signal).catch(() => undefined))
    await eventually('they hang', () => recording.written.slice(asked).filter(({ server, message }) => server === 'slow' && message.method === 'tools/call').length === 10)
    const dying = (async () => {
      for (; !cut.signal.aborted; await pause(20)) await (await say('dying')).text()
    })()
    try {
      return await work()
    } finally {
      cut.abort()
      await Promise.all([...hanging, dying])
    }
  }

  test('while ten calls hang at one server and another breaks off again and again, a third answers as before', async () => {
    const before = (await times(50)).at(-1)!
    const during = (await inTrouble(() => times(50))).at(-1)!
    // More than this would be a wait for somebody else; less may be the load of this machine.
    assert.ok(during < Math.max(1000, 10 * before), `the slowest of 50 took ${Math.round(during)} ms, and before ${Math.round(before)} ms`)
  })

  test('and its 99th percentile is within a tenth of what it was', { ...LONG_TEST, skip: !inFull && 'for the long run' }, async (t) => {
    const p99 = (all: readonly number[]): number => all[Math.floor(all.length * 0.99)]!
    const middle = (all: readonly number[]): number => all.toSorted((a, b) => a - b)[Math.floor(all.length / 2)]!
    const [before, during]: [number[], number[]] = [[], []]
    await times(500)
    for (let i = 0; i < 7; i++) {
      before.push(p99(await times(1000)))
      during.push(p99(await inTrouble(() => times(1000))))
    }
    t.diagnostic(`p99 of 1000 calls, the middle of 7: ${middle(before).toFixed(2)} ms, in trouble ${middle(during).toFixed(2)} ms`)
    assert.ok(middle(during) <= 1.1 * middle(before) + 1, `${before.join(' ')} / ${during.join(' ')}`)
  })

  test('bodies that are too long, too deep and too wide are refused, and cost no more memory than they should', { skip: NO_PROC }, async (t) => {
    await times(20)
    const watched = watchMemory(writ.pid())
    const came = recording.written.length
    const [long, deep, wide, widest] = [
      bodyOf('say', `{"what":"${'x'.repeat(10 * MB)}"}`), bodyOf('say', `{"what":${'['.repeat(100_000)}${']'.repeat(100_000)}}`),
      bodyOf('say', `{${Array.from({ length: 250_000 }, (_, i) => `"k${i}":0`).join(',')}}`), bodyOf('say', `{${Array.from({ length: 1_000_000 }, (_, i) => `"k${i}":0`).join(',')}}`),
    ]
    for (let round = 0; round < (inFull ? 100 : 5); round++) {
      for (const [what, body, status] of [['long', long, 413], ['deep', deep, 400], ['wide', wide, 400], ['widest', widest, 413]] as const) {
        // Who sends more than is read may see its connection break before it sees why.
        const got = await say('well', body).catch((cause: unknown) => cause as Error)
        if (got instanceof Response) assert.equal(got.status, status, `${what}: ${await got.text()}`)
        else assert.equal(status, 413, `${what}: ${String(got.cause)}`)
      }
      assert.equal((await say('well')).status, 200)
    }
    assert.equal(recording.written.slice(came).filter(({ message }) => message.method === 'tools/call').length, inFull ? 100 : 5)
    const growth = watched.stop()
    t.diagnostic(`${growth} MB more at its highest`)
    assert.ok(growth < MOST_GROWTH_MB, `${growth} MB`)
  })

  test('a server that never stops talking is cut off, and what its client does not read is not kept', { skip: NO_PROC }, async (t) => {
    await times(20)
    const watched = watchMemory(writ.pid())
    const bearer = to.get('newer')!
    const { hostname, port } = new URL(writ.url)
    const body = bodyOf('endless', '{}', { progressToken: 'p' })
    const sockets = Array.from({ length: inFull ? 8 : 2 }, () => {
      const socket = connect(Number(port), hostname)
      socket.pause()
      socket.write(`POST /mcp/newer HTTP/1.1\r\nhost: x\r\n${Object.entries(newerHead(bearer, 'tools/call', 'endless')).map((pair) => pair.join(': ')).join('\r\n')}\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`)
      return socket
    })
    await eventually('they are asked', () => endless.length === sockets.length)
    // 64 MB at most, each.
    await eventually('they are cut off', () => endless.every(({ response }) => response.destroyed), 120_000)
    assert.equal((await say('well')).status, 200)
    const growth = watched.stop()
    for (const socket of sockets) socket.destroy()
    t.diagnostic(`${growth} MB more at its highest`)
    assert.ok(growth < MOST_GROWTH_MB, `${growth} MB`)
  })
})
