import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { chmod } from 'node:fs/promises'
import { test } from 'node:test'
import { EXIT_MEANINGS } from '../src/exit.ts'
import { configPath } from '../src/config.ts'
import { emptyStage, stageWithServer, startWrit, writ } from './run-writ.ts'

const HOST_NODE = '/usr/bin/node'
const hostIsOld = existsSync(HOST_NODE) && Number(execFileSync(HOST_NODE, ['-p', 'process.versions.node.split(".")[0]'], { encoding: 'utf8' })) < 24
const oldNode = { skip: hostIsOld ? false : 'skipped: no Node older than 24 at /usr/bin/node' }

test('on an older Node, writ starts itself again on the one that came with it', oldNode, async (t) => {
  const done = await writ(await emptyStage(t), ['version', '--json'], { node: HOST_NODE })
  assert.equal(done.code, 0, done.err)
  assert.ok(Number((JSON.parse(done.out) as { readonly node: string }).node.split('.')[0]) >= 24)
})

test('on an older Node, exit codes, input and signals go through', oldNode, async (t) => {
  const stage = await stageWithServer(t)
  assert.equal((await writ(stage, ['identty'], { node: HOST_NODE })).code, 2)
  const running = startWrit(stage, ['run', '--for', 'x', '--grant', 'http:api:read', '--', '/bin/sh', '-c', 'trap "exit 9" TERM; echo ready; while :; do sleep 0.05; done'], { node: HOST_NODE })
  await running.saw('ready')
  running.child.kill('SIGTERM')
  assert.equal((await running.ended).code, 9)
  assert.equal(stage.double.state, 'closed')
})

for (const { args, says, hint } of [
  { args: ['identty', 'list'], says: /error: unknown command `identty`/, hint: /hint: Did you mean identity\?/ },
  { args: ['identity', 'lst'], says: /error: unknown command `lst`/, hint: /hint: Did you mean list\?/ },
  { args: ['identity', 'list', '--limt', '3'], says: /error: unknown option `--limt`/, hint: /hint: .*--limit/ },
  { args: ['identity', 'show'], says: /error: missing required argument `identity`/, hint: /^/ },
  { args: ['run', '--for', 'x', '--grant', 'nonsense', '--', 'true'], says: /error: .*`--grant <grant>`.*TYPE:RESOURCE:ACTION/, hint: /^/ },
  { args: ['identity', 'list', '--timeout', 'soon'], says: /--timeout must be a length/, hint: /^/ },
  { args: ['identity', 'list', '--url', 'http://a/b'], says: /the server's url/, hint: /^/ },
  { args: ['identity', 'retire', 'x'], says: /--reason is needed and there is no terminal to ask on/, hint: /^/ },
]) {
  test(`\`writ ${args.join(' ')}\` is wrong usage, and says how it is right`, async (t) => {
    const done = await writ(await emptyStage(t), args)
    assert.deepEqual([done.code, done.out], [2, ''])
    assert.match(done.err, says)
    assert.match(done.err, hint)
  })
}

for (const option of ['--secret', '--password', '--token']) {
  for (const args of [[option, 'canary-value'], [`${option}=canary-value`]]) {
    test(`a secret is not taken from the command line as \`${args.join(' ')}\`, nor repeated`, async (t) => {
      const done = await writ(await emptyStage(t), ['backend', 'add', 'shop', ...args])
      assert.equal(done.code, 2)
      assert.match(done.err, new RegExp(`error: unknown option \`${option}\`\nhint: a secret never stands on a command line.*--secret-file`))
      assert.ok(!done.err.includes('canary'))
    })
  }
}

test('with --json an error is one line of JSON on stderr', async (t) => {
  const done = await writ(await emptyStage(t), ['identity', 'list', '--json', '--url', 'http://127.0.0.1:1'], { environment: { WRIT_TOKEN: 'x' } })
  assert.deepEqual([done.code, done.out], [7, ''])
  const problem = JSON.parse(done.err) as { readonly code: string; readonly retryable: boolean }
  assert.deepEqual([problem.code, problem.retryable, done.err.trim().split('\n').length], ['unreachable', true, 1])
})

test('a command without an operator key answers 3 and says how to get one', async (t) => {
  const done = await writ(await emptyStage(t), ['identity', 'list'])
  assert.equal(done.code, 3)
  assert.match(done.err, /hint: `writ login`/)
})

test('a configuration that others can read answers 78', async (t) => {
  const stage = await stageWithServer(t)
  await chmod(configPath(stage.environment), 0o644)
  const done = await writ(stage, ['whoami'])
  assert.equal(done.code, 78)
  assert.match(done.err, /hint: chmod 600 /)
  assert.equal(stage.double.asked.length, 0)
})

test('help lists every exit code', async (t) => {
  const done = await writ(await emptyStage(t), ['help', 'exit-codes', '--plain'])
  assert.deepEqual(done.out.trim().split('\n').map((line) => Number(line.split('\t')[0])), EXIT_MEANINGS.map(([code]) => code))
})

for (const args of [[], ['identity']]) {
  test(`\`writ ${args.join(' ')}\` alone shows its commands on stderr and answers 2`, async (t) => {
    const done = await writ(await emptyStage(t), args)
    assert.deepEqual([done.code, done.out], [2, ''])
    assert.match(done.err, /Usage: writ/)
  })
}

for (const noun of ['up', 'login', 'whoami', 'doctor', 'apply', 'identity', 'backend', 'task', 'run', 'verify', 'keys', 'audit', 'version']) {
  test(`\`writ help ${noun}\` prints its help`, async (t) => {
    const done = await writ(await emptyStage(t), ['help', noun])
    assert.equal(done.code, 0, done.err)
    assert.match(done.out, new RegExp(`Usage: writ ${noun}`))
  })
}
