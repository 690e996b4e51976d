import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { smallServer } from './small-server.ts'

const HOLDER = fileURLToPath(new URL('holder.ts', import.meta.url))

/** Runs the careless program until it ends by itself. */
async function run(url: string, busyMs: number): Promise<{ readonly code: number | null; readonly said: string; readonly tookMs: number }> {
  const before = performance.now()
  const child = spawn(process.execPath, [HOLDER, String(busyMs)], { env: { PATH: process.env['PATH'], WRIT_URL: url }, stdio: ['ignore', 'pipe', 'pipe'] })
  let said = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => { said += chunk.toString() })
  const [code] = await once(child, 'close') as [number | null]
  return { code, said, tookMs: performance.now() - before }
}

const isHeartbeat = (path: string): boolean => path.endsWith('/heartbeat')

test('a program that forgets its task ends when it has nothing else to do, long before the next heartbeat', async (t) => {
  const { url } = await smallServer(t)
  const { code, said, tookMs } = await run(url, 0)
  assert.deepEqual([code, said.endsWith('alive\n')], [0, true], said)
  assert.ok(tookMs < 15_000, `${tookMs} ms`)
})

test('a program that forgets its task ends also while the server is away and a heartbeat is tried again', async (t) => {
  const { url } = await smallServer(t, { task: { heartbeat_seconds: 30 }, instead: ({ path }, response) => isHeartbeat(path) && (response.writeHead(503, { 'retry-after': '5' }).end(), true) })
  const { code, said, tookMs } = await run(url, 10_500)
  assert.deepEqual([code, said.endsWith('alive\n')], [0, true], said)
  assert.ok(tookMs < 14_500, `${tookMs} ms`)
})

for (const { when, answer } of [
  { when: 'are refused', answer: { status: 403, body: '{"code":"refused","title":"no"}' } },
  { when: 'are cut off', answer: undefined },
  { when: 'fail', answer: { status: 500, body: '{"code":"internal","title":"Writ failed"}' } },
  { when: 'are answered with rubbish', answer: { status: 200, body: '{' } },
]) {
  test(`heartbeats that ${when} do not crash the program, which hears by the signal that its task is lost`, async (t) => {
    const { url } = await smallServer(t, {
      task: { heartbeat_seconds: 1 },
      instead({ path }, response) {
        if (!isHeartbeat(path)) return false
        if (answer === undefined) response.destroy()
        else response.writeHead(answer.status, { 'content-type': 'application/json' }).end(answer.body)
        return true
      },
    })
    const { code, said } = await run(url, 3000)
    assert.equal(code, 0, said)
    assert.match(said, /^opened tsk_\w+\n(Denied|Unreachable)\n$/)
  })
}
