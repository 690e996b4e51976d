import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { after, before, beforeEach, describe, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { eventually } from '../eventually.ts'
import { inFull, LONG_TEST } from '../long.ts'
import { bearerTo, ENVELOPE, newerHead, type Bearer } from '../mcp/bearer.ts'
import { governServer } from '../mcp/estate.ts'
import { watchMemory } from '../memory.ts'
import { recordingHttp, type RecordingHttp } from '../mcp/recording-http.ts'
import { startWrit, type RunningWrit } from '../running-writ.ts'

const MB = 1024 * 1024
const MOST_GROWTH_MB = 100
const SKIP = process.platform === 'linux' ? false : 'the memory of another process is told on Linux alone'
/** What else this process and the server have open. */
const SPARE_FILES = 1000
/** As a proxy or a pool of clients would: in waves. */
const AT_ONCE = 250
const CUT_HEADS_MS = 10_000 + 5000
const CUT_BODIES_MS = 120_000 + 5000

/** How many connections either process may have; 10,000 in the long form. */
function manyConnections(): number {
  const most = Number(/^Max open files\s+\d+\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1] ?? Number.POSITIVE_INFINITY)
  return Math.min(inFull ? 10_000 : 500, most - SPARE_FILES)
}

describe('clients that are slow, idle or packed', { skip: SKIP }, () => {
  let recording: RecordingHttp
  let writ: RunningWrit
  let bearer: Bearer
  let bomb: Bearer
  const sockets: Socket[] = []
  before(async () => {
    // A gigabyte, in a megabyte.
    const packed = gzipSync(Buffer.alloc(32 * MB, 0x20))
    recording = await recordingHttp({
      tools: [{ name: 'say', inputSchema: { type: 'object', properties: { what: { type: 'string' } } } }],
      behave({ server, response, message: { method } }) {
        if (server !== 'bomb' || method !== 'tools/call') return false
        response.writeHead(200, { 'content-type': 'application/json', 'content-encoding': 'gzip' })
        for (let i = 0; i < 32; i++) response.write(packed)
        response.end()
        return true
      },
    })
    writ = await startWrit({ env: { WRIT_OUTBOUND_ALLOW: recording.host, WRIT_LOG: 'warn' } })
    for (const name of ['well', 'bomb']) await governServer(writ, { name, transport: 'http', url: recording.urlOf(name) })
    const bot = await writ.register('person', { class: 'assisted', authority: ['mcp:well:say', 'mcp:bomb:say'] })
    const form = { budget_calls: '1000000', ttl_seconds: '3600' }
    bearer = await bearerTo(writ, bot, { server: 'well', tools: ['say'], form })
    bomb = await bearerTo(writ, bot, { server: 'bomb', tools: ['say'], form })
  })
  after(async () => {
    for (const socket of sockets) socket.destroy()
    recording.stop()
    await writ.stop()
  })
  // So that what is measured is what this brings, and not what the first calls do.
  beforeEach(async () => {
    for (const socket of sockets.splice(0)) socket.destroy()
    for (let i = 0; i < (inFull ? 500 : 30); i++) await isAnswered()
  })

  const bodyOf = (what: string): string => JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'say', arguments: { what }, _meta: ENVELOPE } })
  const say = (to: Bearer, body: string | Uint8Array<ArrayBuffer> = bodyOf('hello'), more: Readonly<Record<string, string>> = {}): Promise<Response> =>
    fetch(to.url, { method: 'POST', headers: { ...newerHead(to, 'tools/call', 'say'), ...more }, body })
  const isAnswered = async (): Promise<void> => assert.match(await (await say(bearer)).text(), /hello/)
  const headOf = (length: number): string =>
    `POST /mcp/well HTTP/1.1\r\nhost: x\r\n${Object.entries(newerHead(bearer, 'tools/call', 'say')).map((pair) => pair.join(': ')).join('\r\n')}\r\ncontent-length: ${length}\r\n\r\n`

  /** Opens so many connections, each of which sends these bytes at first. */
  async function open(count: number, bytes: string | Uint8Array): Promise<readonly Socket[]> {
    const { hostname, port } = new URL(writ.url)
    const opened: Socket[] = []
    while (opened.length < count) {
      const wave = Array.from({ length: Math.min(AT_ONCE, count - opened.length) }, () => connect(Number(port), hostname).on('error', () => undefined))
      sockets.push(...wave)
      await Promise.all(wave.map((socket) => once(socket, 'connect')))
      for (const socket of wave) if (bytes.length > 0) socket.write(bytes)
      opened.push(...wave)
    }
    return opened
  }

  const isEnded = (socket: Socket): boolean => socket.destroyed || socket.readableEnded
  const answersOf = (all: readonly Socket[]): readonly string[] => {
    const got = all.map(() => '')
    for (const [i, socket] of all.entries()) socket.on('data', (chunk: Buffer) => { got[i] += chunk.toString() })
    return got
  }

  async function boundedWhile(t: { diagnostic(text: string): void }, work: () => Promise<void>): Promise<void> {
    const watched = watchMemory(writ.pid())
    await work()
    const growth = watched.stop()
    t.diagnostic(`${growth} MB more at its highest`)
    assert.ok(growth < MOST_GROWTH_MB, `${growth} MB`)
  }

  test('connections that ask for nothing keep nobody from being answered', LONG_TEST, async (t) => {
    await boundedWhile(t, async () => {
      const idle = await open(manyConnections(), '')
      t.diagnostic(`${idle.length} idle connections`)
      for (let i = 0; i < 50; i++) await isAnswered()
      assert.equal(idle.filter(isEnded).length, 0)
    })
  })

  test('connections that have asked once and are kept keep nobody either', LONG_TEST, async (t) => {
    await boundedWhile(t, async () => {
      const kept = await open(manyConnections(), 'GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n')
      const answers = answersOf(kept)
      await eventually('all are answered', () => answers.every((answer) => answer.startsWith('HTTP/1.1 200 ')), 60_000)
      for (let i = 0; i < 50; i++) await isAnswered()
      assert.equal(kept.filter(isEnded).length, 0)
    })
  })

  test('heads that come letter by letter keep nobody, and are given up', LONG_TEST, async (t) => {
    await boundedWhile(t, async () => {
      const slow = await open(inFull ? 2000 : 200, 'POST /mcp/well HTTP/1.1\r\nhost: x\r\nx-slow: ')
      const answers = answersOf(slow)
      const began = performance.now()
      const dripping = setInterval(() => { for (const socket of slow) if (socket.writable) socket.write('a') }, 250)
      try {
        for (let i = 0; i < 20; i++) await isAnswered()
        if (!inFull) return
        await eventually('they are cut off', () => slow.every(isEnded), 2 * CUT_HEADS_MS)
        t.diagnostic(`after ${Math.round((performance.now() - began) / 1000)} s`)
        assert.ok(answers.every((answer) => answer.startsWith('HTTP/1.1 408 ')))
      } finally {
        clearInterval(dripping)
      }
    })
  })

  test('bodies that come letter by letter keep nobody, and are given up', LONG_TEST, async (t) => {
    await boundedWhile(t, async () => {
      const body = bodyOf('x'.repeat(2000))
      const slow = await open(inFull ? 2000 : 200, headOf(body.length) + body.slice(0, 1000))
      const answers = answersOf(slow)
      const [asked, dripping] = [recording.written.length, setInterval(() => { for (const socket of slow) if (socket.writable) socket.write('x') }, 250)]
      try {
        for (let i = 0; i < 20; i++) await isAnswered()
        assert.equal(recording.written.slice(asked).filter(({ message }) => message.method === 'tools/call').length, 20)
        if (!inFull) return
        await eventually('they are cut off', () => slow.every(isEnded), 2 * CUT_BODIES_MS)
        assert.ok(answers.every((answer) => answer.startsWith('HTTP/1.1 408 ')))
      } finally {
        clearInterval(dripping)
      }
    })
  })

  test('of large bodies that stop before their end the oldest are given up, so that all of them take a part of the memory that they would', LONG_TEST, async (t) => {
    await boundedWhile(t, async () => {
      const size = 4 * MB
      const stopped = await open(inFull ? 400 : 100, headOf(size))
      const answers = answersOf(stopped)
      const piece = Buffer.alloc(MB, 0x20)
      // Nobody is known yet: a stranger could do the same.
      for (let i = 0; i < 4; i++) for (const socket of stopped) if (socket.writable) socket.write(i < 3 ? piece : piece.subarray(1))
      await eventually('the oldest are given up', () => stopped.filter(isEnded).length >= stopped.length - 4, 60_000)
      for (let i = 0; i < 20; i++) await isAnswered()
      assert.ok(answers.every((answer, i) => answer === '' || (isEnded(stopped[i]!) && answer.startsWith('HTTP/1.1 408 '))), answers.join('\n'))
    })
  })

  test('an answer that would be a gigabyte once it is unpacked is not unpacked', LONG_TEST, async (t) => {
    await boundedWhile(t, async () => {
      for (let i = 0; i < (inFull ? 50 : 5); i++) assert.match(await (await say(bomb)).text(), /"code":"compressed"/)
      await isAnswered()
    })
  })

  test('a body that is packed is not unpacked, whatever it would be, and nothing is forwarded', async (t) => {
    const packed = new Uint8Array(gzipSync(Buffer.alloc(32 * MB, 0x20)))
    const asked = recording.written.length
    await boundedWhile(t, async () => {
      for (const encoding of ['gzip', 'deflate', 'br', 'identity, gzip']) {
        for (const body of [packed, bodyOf('hello')]) assert.equal((await say(bearer, body, { 'content-encoding': encoding })).status, 415, encoding)
      }
      // What it is said to be makes no difference to what it is.
      assert.equal((await say(bearer, packed)).status, 400)
    })
    assert.deepEqual(recording.written.slice(asked), [])
    assert.match(await (await say(bearer, bodyOf('hello'), { 'content-encoding': 'identity' })).text(), /hello/)
  })
})
