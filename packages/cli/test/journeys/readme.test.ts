import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { test } from 'node:test'
import { estateForFile } from '../estate.ts'
import { writ as writAlone } from '../run-writ.ts'
import { warmWritForFile } from '../warm-writ.ts'

const ROOT = fileURLToPath(new URL('../../../../', import.meta.url))
const README = readFileSync(`${ROOT}README.md`, 'utf8')
const estate = estateForFile()
const writ = warmWritForFile()

/** These have tests of their own: the demo's, `writ up`'s, and all of them. */
const ELSEWHERE = ['npm ci && npm run demo', 'npm ci && npm test', 'npx writ up']

const commands = [...README.matchAll(/^```sh\n([\s\S]*?)^```$/gm)].flatMap(([, block]) => block!.trim().split('\n')).filter((line) => line.trim() !== '' && !line.startsWith('#'))

/** As pasted into a shell in a clone, with a home and a configuration of the test's own. */
async function paste(command: string): Promise<{ readonly code: number | null; readonly out: string; readonly err: string }> {
  const { environment } = estate().stage
  const child = spawn('/bin/sh', ['-c', command], { cwd: ROOT, env: environment, stdio: ['ignore', 'pipe', 'pipe'] })
  let out = ''
  let err = ''
  child.stdout.on('data', (chunk: Buffer) => { out += chunk.toString() })
  child.stderr.on('data', (chunk: Buffer) => { err += chunk.toString() })
  const [code] = await once(child, 'close') as [number | null]
  return { code, out, err }
}

test('the README has its two commands, and the way by hand', () => {
  for (const one of ELSEWHERE) assert.ok(commands.includes(one), one)
  assert.ok(commands.length > ELSEWHERE.length)
})

for (const command of commands.filter((one) => !ELSEWHERE.includes(one))) {
  test(`the README's \`${command}\` runs as pasted`, async () => {
    const done = await paste(command)
    assert.equal(done.code, 0, done.out + done.err)
    assert.notEqual(done.out.trim(), '')
  })
}

for (const [, line] of README.matchAll(/^\$ (writ run .+)$/gm)) {
  test(`the README's \`${line}\` is a command line that writ understands`, async () => {
    const words = [...line!.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain!).slice(1)
    const done = await writAlone(estate().stage, [...words.slice(0, words.indexOf('--') + 1), 'true'])
    assert.equal(done.code, 0, done.err)
    assert.match(done.err, /outcome: proved/)
  })
}

test('every command that `writ help` lists has a help of its own', async () => {
  const { stage } = estate()
  const help = await writ(stage, ['help'])
  assert.equal(help.code, 0, help.err)
  const nouns = [...help.out.split('\nCommands:\n')[1]!.split('\nExample:')[0]!.matchAll(/^ {2}(\w+) /gm)].map(([, noun]) => noun!)
  assert.ok(nouns.length >= 12, help.out)
  for (const noun of nouns) {
    const own = await writ(stage, ['help', noun])
    assert.equal(own.code, 0, noun)
    assert.match(own.out, new RegExp(`^Usage: writ ${noun}`))
  }
  assert.match((await writ(stage, ['help', 'exit-codes'])).out, /^ 21 {2}a certificate or a log does not verify$/m)
})

for (const verbs of [['identity', 'register'], ['identity', 'key', 'add'], ['backend', 'add'], ['task', 'certificate'], ['audit', 'export']]) {
  test(`\`writ help ${verbs.join(' ')}\` prints the help of that verb`, async () => {
    const done = await writ(estate().stage, ['help', ...verbs])
    assert.equal(done.code, 0, done.err)
    assert.match(done.out, new RegExp(`^Usage: writ ${verbs.join(' ')}`))
  })
}
