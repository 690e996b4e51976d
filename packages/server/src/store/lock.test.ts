import assert from 'node:assert/strict'
import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { temporaryDirectory } from '../../test/both-stores.ts'
import { runChild, untilSaid } from '../../test/small/run-child.ts'
import { UnusableStore } from './faults.ts'
import { lockDirectory } from './lock.ts'

function emptyDirectory(t: TestContext): string {
  const directory = temporaryDirectory()
  t.after(() => { rmSync(directory, { recursive: true, force: true }) })
  return directory
}

const lockedBy = (directory: string, pid: number | undefined) => (error: unknown): boolean => {
  assert.ok(error instanceof UnusableStore)
  assert.equal(error.kind, 'locked')
  assert.equal(error.exitCode, 78)
  assert.equal(error.message, `data directory \`${directory}\` is in use by process ${pid}: stop it, or give this server a directory of its own`)
  return true
}

test('a second server on the same directory is told which process holds it, and the first goes on', async (t) => {
  const directory = emptyDirectory(t)
  const first = runChild(['a', directory, '20'])
  t.after(() => first.process.kill('SIGKILL'))
  await untilSaid(first, 'done')
  assert.throws(() => lockDirectory(directory), lockedBy(directory, first.process.pid))

  const second = runChild(['b', directory, '20'])
  assert.equal(await second.ended, 1)
  assert.deepEqual(second.said, [])
  assert.match(second.complained.join('\n'), new RegExp(`in use by process ${first.process.pid}:`))
  assert.equal(readFileSync(join(directory, 'writ.pid'), 'utf8'), `${first.process.pid}\n`)
})

test('after kill -9 of the server the directory is free at once', async (t) => {
  const directory = emptyDirectory(t)
  const first = runChild(['a', directory, '20'])
  await untilSaid(first, 'open')
  first.process.kill('SIGKILL')
  assert.equal(await first.ended, 'SIGKILL')
  const lock = lockDirectory(directory)
  assert.throws(() => lockDirectory(directory), lockedBy(directory, process.pid))
  assert.throws(() => lockDirectory(directory), lockedBy(directory, process.pid), 'a refused try does not free the lock')
  const second = runChild(['b', directory, '20'])
  assert.equal(await second.ended, 1)
  lock.release()
  lockDirectory(directory).release()
})
