import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import * as tasks from '@writ/contract/tasks'
import { CHILD_ENVIRONMENT } from '../../server/test/child-environment.ts'
import { eventually } from '../../server/test/eventually.ts'
import { startWrit } from '../../server/test/running-writ.ts'
import { smallServer } from './small-server.ts'

const HOLDER = fileURLToPath(new URL('holder.ts', import.meta.url))

type Holder = { readonly child: ChildProcess; readonly said: () => string; readonly ended: Promise<{ readonly code: number | null; readonly said: string; readonly afterItsLastWordMs: number }> }

/** The careless program, in a process of its own. */
function hold(environment: NodeJS.ProcessEnv, ...words: readonly number[]): Holder {
  const child = spawn(process.execPath, [HOLDER, ...words.map(String)], { env: { ...CHILD_ENVIRONMENT, ...environment }, stdio: ['ignore', 'pipe', 'pipe'] })
  let said = ''
  let saidAt = 0
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      said += chunk.toString()
      saidAt = performance.now()
    })
  }
  const ended = once(child, 'close').then(([code]) => ({ code: code as number | null, said, afterItsLastWordMs: performance.now() - saidAt }))
  return { child, said: () => said, ended }
}

const atSmall = (url: string): NodeJS.ProcessEnv => ({ WRIT_URL: url, WRIT_ID_TOKEN: 'a.small.token' })
const isHeartbeat = (path: string): boolean => path.endsWith('/heartbeat')

describe('a program that holds a task', { concurrency: 3 }, () => {
  test('and forgets to end it ends when it has nothing else to do', async (t) => {
    const { url } = await smallServer(t)
    const { code, said, afterItsLastWordMs } = await hold(atSmall(url), 0).ended
    assert.deepEqual([code, said.endsWith('alive\n')], [0, true], said)
    assert.ok(afterItsLastWordMs < 3000, `${afterItsLastWordMs} ms`)
  })

  test('and forgets to end it ends also while a heartbeat waits to be tried again', async (t) => {
    const { url, heard } = await smallServer(t, {
      task: { heartbeat_seconds: 9 }, instead: ({ path }, response) => isHeartbeat(path) && (response.writeHead(503, { 'retry-after': '5' }).end(), true),
    })
    const { code, said, afterItsLastWordMs } = await hold(atSmall(url), 3500, 9).ended
    assert.deepEqual([code, said.endsWith('alive\n'), heard.some(({ path }) => isHeartbeat(path))], [0, true, true], said)
    assert.ok(afterItsLastWordMs < 3000, `${afterItsLastWordMs} ms`)
  })

  for (const { when, answer } of [
    { when: 'are refused', answer: { status: 403, body: '{"code":"refused","title":"no"}' } },
    { when: 'are cut off', answer: undefined },
    { when: 'fail', answer: { status: 500, body: '{"code":"internal","title":"Writ failed"}' } },
    { when: 'are answered with rubbish', answer: { status: 200, body: '{' } },
  ]) {
    test(`is not crashed by heartbeats that ${when}, and hears by the signal that the task is lost`, async (t) => {
      const { url } = await smallServer(t, {
        task: { heartbeat_seconds: 1 },
        instead({ path }, response) {
          if (!isHeartbeat(path)) return false
          if (answer === undefined) response.destroy()
          else response.writeHead(answer.status, { 'content-type': 'application/json' }).end(answer.body)
          return true
        },
      })
      const { code, said } = await hold(atSmall(url), 3000, 1).ended
      assert.equal(code, 0, said)
      assert.match(said, /^opened tsk_\w+\n(Denied|Unreachable)\n$/)
    })
  }

  test('and is killed is not heard of any more: the server ends its task by silence', async (t) => {
    const writ = await startWrit()
    t.after(() => writ.stop())
    const agent = await writ.register('killed-agent', { authority: ['tickets:queue:read'] })
    const folder = mkdtempSync(join(tmpdir(), 'writ-holder-'))
    t.after(() => rmSync(folder, { recursive: true, force: true }))
    const keyFile = join(folder, 'key.jwk')
    writeFileSync(keyFile, JSON.stringify(agent.privateKey.export({ format: 'jwk' })), { mode: 0o600 })
    const { child, said, ended } = hold({ WRIT_URL: writ.url, WRIT_IDENTITY: agent.spiffeId, WRIT_KEY_FILE: keyFile }, 60_000, 2)
    const id = await eventually('it has opened a task', () => /^opened (tsk_\w+)\n/.exec(said())?.[1])
    child.kill('SIGKILL')
    await ended
    const reply = await eventually('its task is closed', async () => {
      const shown = (await writ.operator(tasks.showTask, { parameters: { id } })).reply
      return shown.state === 'closed' && shown
    })
    assert.equal(reply.end_reason, 'silence')
  })
})
