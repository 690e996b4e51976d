import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { along, asked, call, textOf, toTheEnd, UNABLE } from '../../test/mcp/asking.ts'
import { EVERYTHING, everythingOverHttp, filesystemServer, type Everything } from '../../test/mcp/everything.ts'
import { officialOverHttp, type ServedOverHttp } from '../../test/mcp/official-server.ts'
import { rawHttp, type RawBehaviour } from '../../test/mcp/raw-http.ts'
import { eventually } from '../../test/eventually.ts'
import type { UpstreamTransport } from './open.ts'
import type { Generation, McpMessage, Upstream } from './upstream.ts'

const OFFICIAL = fileURLToPath(new URL('../../test/mcp/official-server.ts', import.meta.url))
let everything: Everything
let newer: ServedOverHttp
let both: ServedOverHttp
before(async () => { [everything, newer, both] = await Promise.all([everythingOverHttp(), officialOverHttp('newer'), officialOverHttp('both')]) })
after(async () => {
  newer.stop()
  both.stop()
  await everything.kill()
})

type Server = {
  readonly what: string
  readonly transport: () => UpstreamTransport
  readonly generation: Generation
  readonly name: string
  /** What the server calls the tools that ask its client for something. */
  readonly tools: { readonly elicit: string; readonly sample: string; readonly roots: string }
  readonly counting: McpMessage
  readonly cancelling: McpMessage
  readonly resource: string
  readonly prompt: McpMessage
}

const ofEverything = {
  generation: '2025-11-25', name: 'mcp-servers/everything', tools: { elicit: 'trigger-elicitation-request', sample: 'trigger-sampling-request', roots: 'get-roots-list' },
  counting: call('trigger-long-running-operation', { duration: 1n, steps: 2n }, { progressToken: 'mine' }), cancelling: call('trigger-long-running-operation', { duration: 60n, steps: 2n }),
  resource: 'demo://resource/dynamic/text/1', prompt: { method: 'prompts/get', params: { name: 'simple-prompt' } },
} as const
const ofOfficial = {
  generation: '2026-07-28', name: 'official', tools: { elicit: 'ask-name', sample: 'ask-model', roots: 'ask-roots' },
  counting: call('count', { to: 2n, everyMs: 20n }, { progressToken: 'mine' }), cancelling: call('count', { to: 1000n, everyMs: 50n }),
  resource: 'note:///a', prompt: { method: 'prompts/get', params: { name: 'greet', arguments: { who: 'Ann' } } },
} as const
const stdio = (...args: readonly string[]) => (): UpstreamTransport => ({ kind: 'stdio', command: process.execPath, args: [OFFICIAL, ...args] })

const SERVERS: readonly Server[] = [
  { ...ofEverything, what: 'the older generation over stdio', transport: () => ({ kind: 'stdio', ...EVERYTHING }) },
  { ...ofEverything, what: 'the older generation over HTTP, with sessions', transport: () => ({ kind: 'http', url: everything.url, ca: null }) },
  { ...ofOfficial, what: 'the newer generation over stdio', transport: stdio('newer') },
  { ...ofOfficial, what: 'the newer generation over HTTP', transport: () => ({ kind: 'http', url: newer.url, ca: null }) },
  { ...ofOfficial, what: 'both generations over stdio', transport: stdio('both') },
  { ...ofOfficial, what: 'both generations over HTTP', transport: () => ({ kind: 'http', url: both.url, ca: null }) },
]

for (const { what, transport, generation, name, tools, counting, cancelling, resource, prompt } of SERVERS) {
  describe(`a server of ${what}`, () => {
    let upstream: Upstream
    before(async () => { upstream = await asked({ transport: transport() }) })
    after(async () => { await upstream.close() })

    test('says its generation, its name and what it can do', () => {
      assert.deepEqual([upstream.description.generation, upstream.description.info['name']], [generation, name])
      assert.ok(upstream.description.capabilities['tools'])
      assert.ok(upstream.description.instructions)
    })

    test('lists its tools and runs one', async () => {
      const list = await toTheEnd(upstream, { method: 'tools/list', params: {} })
      assert.ok(list.kind === 'result' && list.text.includes('"echo"') && !list.text.includes('resultType'), JSON.stringify(list))
      assert.match(textOf(await toTheEnd(upstream, call('echo', { message: 'hello' }))), /hello/)
    })

    test('reads a resource and gets a prompt', async () => {
      const read = await toTheEnd(upstream, { method: 'resources/read', params: { uri: resource } })
      assert.ok(read.kind === 'result' && read.text.includes('contents'), JSON.stringify(read))
      const got = await toTheEnd(upstream, prompt)
      assert.ok(got.kind === 'result' && got.text.includes('messages'), JSON.stringify(got))
    })

    test('answers a tool that is not there with its own error, or a result that says so', async () => {
      const turn = await toTheEnd(upstream, call('no-such-tool'))
      assert.ok(turn.kind === 'error' ? turn.error.code === -32602 : turn.kind === 'result' && turn.text.includes('"isError":true'), JSON.stringify(turn))
    })

    for (const [asks, tool, says] of [['elicitation/create', tools.elicit, /Ann|provided/], ['sampling/createMessage', tools.sample, /a rose/], ['roots/list', tools.roots, /garden/]] as const) {
      test(`asks its client by ${asks} and goes on with the answer`, async () => {
        const said: string[] = []
        assert.match(textOf(await toTheEnd(upstream, call(tool, tool === tools.sample && generation === '2025-11-25' ? { prompt: 'a poem' } : {}), said)), says)
        assert.ok(generation === '2025-11-25' && asks === 'roots/list' ? true : said.includes(asks), said.join())
      })
    }

    test('tells how far it is by the token of its client', async () => {
      const progress: McpMessage[] = []
      const turn = await upstream.request(counting, along({ notify: (message) => { if (message.method === 'notifications/progress') progress.push(message) } }))
      assert.equal(turn.kind, 'result')
      assert.deepEqual(progress.map(({ method, params }) => [method, params['progressToken'], params['progress']]), [['notifications/progress', 'mine', 1n], ['notifications/progress', 'mine', 2n]])
    })

    test('is told when a call is not wanted any more, and the next one works', async () => {
      const stop = new AbortController()
      const reason = new Error('the task has ended')
      const running = assert.rejects(upstream.request(cancelling, along({ signal: stop.signal })), reason)
      setTimeout(() => { stop.abort(reason) }, 100)
      await running
      await assert.rejects(upstream.request(counting, along({ signal: stop.signal })), reason)
      assert.match(textOf(await toTheEnd(upstream, call('echo', { message: 'still there' }))), /still there/)
    })

    test('does not know a state that it has not given, or gave once', async () => {
      if (generation === '2026-07-28') return // the state is the server's own there, and its to judge
      await assert.rejects(upstream.resume(call('echo'), 'never given', {}, along()), { name: 'Error', code: 'unknown_state' })
      const turn = await upstream.request(call(tools.elicit), along())
      assert.ok(turn.kind === 'input_required')
      await upstream.resume(call(tools.elicit), turn.state, Object.fromEntries(Object.keys(turn.inputs).map((one) => [one, { kind: 'result', text: '{"action":"decline"}' }])), along())
      await assert.rejects(upstream.resume(call(tools.elicit), turn.state, {}, along()), { code: 'unknown_state' })
    })

    test('asks a client for nothing that it can not do', async () => {
      const unable = await asked({ transport: transport(), client: UNABLE })
      const turn = await unable.request(call(tools.elicit), along({ client: UNABLE }))
      await unable.close()
      assert.notEqual(turn.kind, 'input_required')
    })

    test('has nothing more to say once it is closed', async () => {
      const closed = await asked({ transport: transport() })
      const running = assert.rejects(closed.request(cancelling, along()), { code: 'closed' })
      await closed.close()
      await running
      await assert.rejects(closed.request(call('echo', { message: 'x' }), along()), { code: 'closed' })
    })
  })
}

describe('what a server says on its own', () => {
  for (const { what, transport } of [
    { what: 'over stdio', transport: stdio('newer') },
    { what: 'over HTTP', transport: (): UpstreamTransport => ({ kind: 'http', url: newer.url, ca: null }) },
  ]) {
    test(`is heard ${what} in the newer generation, as long as somebody listens`, async () => {
      const upstream = await asked({ transport: transport() })
      const heard: McpMessage[] = []
      const stop = upstream.listen((message) => { heard.push(message) })
      assert.equal((await upstream.request(call('count', { to: 1n, everyMs: 1n }), along())).kind, 'result')
      await eventually('the list has changed', async () => {
        newer.tell()
        await upstream.request(call('change'), along())
        return heard.length > 0
      })
      assert.deepEqual(heard[0], { method: 'notifications/tools/list_changed', params: {} })
      stop()
      await upstream.close()
    })
  }

  test('is heard over HTTP in the older generation on a stream of its own', async () => {
    const upstream = await asked({ transport: { kind: 'http', url: everything.url, ca: null } })
    const heard: string[] = []
    upstream.listen(({ method }) => { heard.push(method) })
    await upstream.request({ method: 'resources/subscribe', params: { uri: 'demo://resource/dynamic/text/1' } }, along())
    await toTheEnd(upstream, call('toggle-subscriber-updates'))
    await eventually('the resource was updated', () => heard.includes('notifications/resources/updated'))
    await upstream.close()
  })
})

test('a file server that is asked for a file answers it, and for one outside of its folder with an error of its own', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'writ-files-'))
  await writeFile(join(folder, 'note.txt'), 'buy milk')
  const upstream = await asked({ transport: { kind: 'stdio', ...filesystemServer(folder) }, client: UNABLE })
  assert.equal(textOf(await toTheEnd(upstream, call('read_text_file', { path: join(folder, 'note.txt') }))), 'buy milk')
  const refused = await toTheEnd(upstream, call('read_text_file', { path: '/etc/passwd' }))
  assert.ok(refused.kind === 'result' && refused.text.includes('"isError":true'))
  await upstream.close()
  await rm(folder, { recursive: true })
})

test('a server that was started anew under the same settings is greeted anew, and the call is made once', async () => {
  const upstream = await asked({ transport: { kind: 'http', url: everything.url, ca: null }, client: UNABLE })
  assert.match(textOf(await toTheEnd(upstream, call('echo', { message: 'before' }))), /before/)
  await everything.kill()
  await assert.rejects(upstream.request(call('echo', { message: 'x' }), along()), ({ code }: { code: string }) => ['ECONNREFUSED', 'ECONNRESET'].includes(code))
  await everything.restart()
  assert.match(textOf(await toTheEnd(upstream, call('echo', { message: 'after' }))), /after/)
  await upstream.close()
})

test('a generation that was found out is kept, and looked at again when it is no longer so', async () => {
  const generations = new Map<string, Generation>()
  const transport: UpstreamTransport = { kind: 'http', url: newer.url, ca: null }
  const key = JSON.stringify(['shop', transport])
  generations.set(key, '2025-11-25')
  const upstream = await asked({ transport, needs: { generations } })
  assert.equal(upstream.description.generation, '2026-07-28')
  assert.deepEqual([...generations], [[key, '2026-07-28']])
  await upstream.close()
})

describe('a server that does not come to an end with its greeting', () => {
  const drip: RawBehaviour = ({ response, method }) => {
    if (method !== 'server/discover' && method !== 'initialize') return false
    const timer = setInterval(() => { response.write(' ') }, 10)
    response.writeHead(200, { 'content-type': 'application/json' }).on('close', () => { clearInterval(timer) })
    return true
  }
  for (const [what, behave] of [['drips', drip], ['is silent', () => true], ['drips when it is greeted', (one) => one.method === 'initialize' && drip(one)]] as readonly (readonly [string, RawBehaviour])[]) {
    test(`is given up when it ${what}`, async () => {
      const server = await rawHttp(behave)
      await assert.rejects(asked({ transport: { kind: 'http', url: server.url, ca: null }, needs: { bounds: { openMs: 200 } } }), { code: 'too_slow' })
      await eventually('nothing is left open', () => server.open() === 0, 10_000)
      server.stop()
    })

    test(`is given up at once, when it ${what}, by whoever opens it`, async () => {
      const server = await rawHttp(behave)
      const stop = new AbortController()
      const reason = new Error('the task has ended')
      setTimeout(() => { stop.abort(reason) }, 50)
      await assert.rejects(asked({ transport: { kind: 'http', url: server.url, ca: null }, signal: stop.signal }), reason)
      server.stop()
    })
  }

  test('is ended when it is a process', async () => {
    const stop = new AbortController()
    const reason = new Error('the task has ended')
    setTimeout(() => { stop.abort(reason) }, 50)
    await assert.rejects(asked({ transport: { kind: 'stdio', command: 'sleep', args: ['1000'] }, signal: stop.signal }), reason)
    await assert.rejects(asked({ transport: { kind: 'stdio', command: 'sleep', args: ['1000'] }, needs: { bounds: { openMs: 100 } } }), { code: 'too_slow' })
  })
})
