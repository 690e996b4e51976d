import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { along, asked, call, textOf, UNABLE, type Wanted } from '../../test/mcp/asking.ts'
import { eventually } from '../../test/eventually.ts'
import type { UpstreamNeeds } from './open.ts'
import type { Upstream, UpstreamFault } from './upstream.ts'

const RAW = fileURLToPath(new URL('../../test/mcp/raw-stdio.ts', import.meta.url))
const SECRET = 'a-secret-of-forty-characters-0123456789'

const opened: Upstream[] = []
after(async () => { await Promise.all(opened.map((one) => one.close())) })

async function raw(args: readonly string[] = [], more: Partial<Wanted> & { readonly bounds?: UpstreamNeeds['bounds'] } = {}): Promise<Upstream> {
  const { bounds, ...wanted } = more
  const upstream = await asked({
    transport: { kind: 'stdio', command: process.execPath, args: [RAW, ...args] }, client: UNABLE, ...wanted,
    needs: { ...wanted.needs, ...(bounds === undefined ? {} : { bounds }) },
  })
  opened.push(upstream)
  return upstream
}

const isAlive = (pid: number): boolean => existsSync(`/proc/${pid}`)
/** A process that has ended and that nobody has asked about yet is no process any more. */
const runs = async (pid: number): Promise<boolean> => isAlive(pid) && !/^State:\s*Z/m.test(await readFile(`/proc/${pid}/status`, 'utf8').catch(() => 'State: Z'))

test('every digit goes there and comes back', async () => {
  const upstream = await raw()
  const turn = await upstream.request(call('digits', { id: 18446744073709551615n, small: -9223372036854775808n }), along())
  assert.deepEqual(turn, { kind: 'result', text: '{"given": {"id":18446744073709551615,"small":-9223372036854775808}, "big":9007199254740993, "fraction":1.10, "resultType":"complete"}' })
  assert.deepEqual(await upstream.request(call('no such tool'), along()), { kind: 'error', error: { code: -32602, message: 'no such tool', data: { n: 9007199254740993n } } })
})

for (const { when, mode } of [{ when: 'does not answer it', mode: 'silent' }, { when: 'ends because of it', mode: 'touchy' }]) {
  test(`a server that is asked for its generation and ${when} is of the older one`, async () => {
    const upstream = await raw([mode], { bounds: { probeMs: 200 } })
    assert.equal(upstream.description.generation, '2025-11-25')
    assert.equal((await upstream.request(call('digits'), along())).kind, 'result')
  })
}

for (const [version, isSpoken] of [['2025-06-18', true], ['2025-03-26', true], ['2024-11-05', true], ['2027-01-01', false]] as const) {
  test(`a server that chooses ${version} is ${isSpoken ? 'spoken to' : 'not'}`, async () => {
    const upstream = raw(['', version])
    if (isSpoken) assert.equal((await (await upstream).request(call('digits'), along())).kind, 'result')
    else await assert.rejects(upstream, { code: 'unsupported_version' })
  })
}

for (const { what, tool, code } of [
  { what: 'a line of twenty megabytes', tool: 'oversized', code: 'too_large' },
  { what: 'an answer that says a member twice', tool: 'twice', code: 'bad_answer' },
  { what: 'an answer of a hundred thousand arrays, one in the other', tool: 'deep', code: 'bad_answer' },
]) {
  test(`${what} is refused, and the next call works`, async () => {
    const upstream = await raw([], { bounds: { firstRestartMs: 1 } })
    await assert.rejects(upstream.request(call(tool), along()), { code })
    assert.equal((await upstream.request(call('digits'), along())).kind, 'result')
  })
}

test('what a server writes beside its messages is passed over', async () => {
  assert.equal(textOf(await (await raw()).request(call('noisy'), along())), 'after the noise')
})

test('a call that nothing comes of ends in time, and one that is not wanted at once; the server is told of both by their ids', async () => {
  const upstream = await raw([], { bounds: { idleMs: 1500 } })
  await assert.rejects(upstream.request(call('hang'), along()), { code: 'idle' })
  const stop = new AbortController()
  const reason = new Error('the task has ended')
  const running = assert.rejects(upstream.request(call('hang'), along({ signal: stop.signal })), reason)
  setTimeout(() => { stop.abort(reason) }, 50)
  await running
  assert.match(textOf(await upstream.request(call('cancelled'), along())), /^\[\d+,\d+\]$/)
})

test('a server that does not read is not written to without end', async () => {
  const upstream = await raw([], { bounds: { idleMs: 20_000 } })
  const over = new AbortController()
  const deaf = assert.rejects(upstream.request(call('deaf'), along({ signal: over.signal })))
  const large = 'x'.repeat(8 * 1024 * 1024)
  const codes = await Promise.all(Array.from({ length: 8 }, async () => {
    const stop = AbortSignal.any([over.signal])
    return upstream.request(call('digits', { large }), along({ signal: stop })).then(() => 'came', (fault: { readonly code?: string }) => {
      if (fault.code === 'not_reading') over.abort(new Error('seen'))
      return fault.code ?? 'aborted'
    })
  }))
  assert.ok(codes.includes('not_reading'), codes.join())
  await deaf
})

test('a server that ends is started again after a while that doubles; what was in flight is told so', async () => {
  const troubles: unknown[] = []
  const upstream = await raw([], {
    bounds: { firstRestartMs: 100, patienceMs: 20_000 }, secret: { environment: { TOKEN: SECRET } }, needs: { onTrouble: (trouble) => { troubles.push(trouble) } },
  })
  for (const least of [100, 200, 400]) {
    const hanging = assert.rejects(upstream.request(call('hang'), along()), { code: 'ended', message: 'the MCP server `shop` can not be asked: ended' })
    await assert.rejects(upstream.request(call('die'), along()), { code: 'ended' })
    await hanging
    const from = performance.now()
    assert.equal((await upstream.request(call('digits'), along())).kind, 'result')
    assert.ok(performance.now() - from >= least - 20, `${performance.now() - from}`)
  }
  assert.deepEqual(troubles[0], { server: 'shop', code: 'ended', lastWords: ['last words of [withheld]'] })
})

test('a server that is killed is started again', async () => {
  const upstream = await raw([], { bounds: { firstRestartMs: 1 } })
  const [pid, child] = JSON.parse(textOf(await upstream.request(call('pids'), along()))) as [number, number]
  process.kill(pid, 'SIGKILL')
  await eventually('what it had started is gone', async () => !await runs(child))
  // What is asked before its end is heard of, ends with it.
  const answer = await eventually('another one answers', () => upstream.request(call('pids'), along()).catch((fault: UpstreamFault) => {
    assert.equal(fault.code, 'ended')
    return undefined
  }))
  const [next] = JSON.parse(textOf(answer)) as [number]
  assert.notEqual(next, pid)
})

test('a server that takes too long to come back is not waited for', async () => {
  const upstream = await raw([], { bounds: { firstRestartMs: 60_000, patienceMs: 50 } })
  await assert.rejects(upstream.request(call('die'), along()), { code: 'ended' })
  await assert.rejects(upstream.request(call('digits'), along()), { code: 'restarting' })
})

for (const mode of ['', 'stubborn']) {
  test(`a server that is closed is gone with all that it started, ${mode === '' ? 'and with its folder' : 'even if it does not hear'}`, async () => {
    const upstream = await raw([mode])
    const [pid, child] = JSON.parse(textOf(await upstream.request(call('pids'), along()))) as [number, number]
    const { environment } = JSON.parse(textOf(await upstream.request(call('process'), along()))) as { environment: { HOME: string } }
    assert.ok(existsSync(environment.HOME))
    await upstream.close()
    await eventually('both are gone', async () => !await runs(pid) && !await runs(child))
    assert.ok(!existsSync(environment.HOME))
  })
}

test('a server has an environment and a folder of its own, and of the secrets only its own', async () => {
  process.env['WRIT_SECRET_OF_THE_TEST'] = SECRET
  const [ours, other] = await Promise.all([raw(['', '2025-11-25'], { secret: { environment: { TOKEN: SECRET } } }), raw()])
  const seen = async (upstream: Upstream) => JSON.parse(textOf(await upstream.request(call('process'), along()))) as { environment: Record<string, string>; cwd: string; argv: string[] }
  const { environment, cwd, argv } = await seen(ours)
  delete process.env['WRIT_SECRET_OF_THE_TEST']
  const usual = ['HOME', 'LANG', 'PATH', 'PWD', 'OLDPWD', 'SHLVL', 'TZ', '_', 'TOKEN']
  assert.deepEqual(Object.keys(environment).filter((name) => !usual.includes(name)), [])
  assert.equal(environment['TOKEN'], '[withheld]')
  assert.equal(cwd, environment['HOME'])
  assert.deepEqual(await readdir(cwd), [])
  assert.deepEqual(argv, ['', '2025-11-25'])
  assert.ok(!JSON.stringify(await seen(other)).includes(SECRET))
})

test('a command that is not there is said so', async () => {
  await assert.rejects(asked({ transport: { kind: 'stdio', command: '/no/such/command', args: [] } }), { code: 'command_not_found' })
  await assert.rejects(asked({ transport: { kind: 'stdio', command: RAW, args: [] } }), { code: 'cannot_run' })
  await assert.rejects(asked({ transport: { kind: 'stdio', command: 'true', args: [] } }), { code: 'ended' })
})

test('when we are killed, no server stays behind, nor its folder', async () => {
  const script = `
    import { asked, along, call, textOf } from ${JSON.stringify(fileURLToPath(new URL('../../test/mcp/asking.ts', import.meta.url)))}
    const upstream = await asked({ transport: { kind: 'stdio', command: process.execPath, args: [${JSON.stringify(RAW)}, 'stubborn'] } })
    const { environment } = JSON.parse(textOf(await upstream.request(call('process'), along())))
    console.log(JSON.stringify([...JSON.parse(textOf(await upstream.request(call('pids'), along()))), environment.HOME]))
    setInterval(() => undefined, 1000)`
  const ours = spawn(process.execPath, ['--input-type=module-typescript', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'], env: { PATH: process.env['PATH'] } })
  const [line] = await once(ours.stdout, 'data') as [Buffer]
  const [pid, child, home] = JSON.parse(line.toString()) as [number, number, string]
  assert.ok(await runs(pid) && await runs(child) && existsSync(home) && home.startsWith(tmpdir()))
  ours.kill('SIGKILL')
  await eventually('nothing is left', async () => !await runs(pid) && !await runs(child) && !existsSync(home))
})
