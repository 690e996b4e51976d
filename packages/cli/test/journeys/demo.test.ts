import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { test, type TestContext } from 'node:test'
import { findChromium } from '../../../../scripts/demo/chromium.ts'
import { CHILD_ENVIRONMENT } from '../../../server/test/child-environment.ts'
import { eventually } from '../../../server/test/eventually.ts'

// Slow: it runs scripts/demo.ts, which starts packages/server/src/main.ts, a PostgreSQL and a Chromium.
const ROOT = fileURLToPath(new URL('../../../../', import.meta.url))
const LONGEST_MS = 60_000
const CHROMIUM = findChromium()

type Place = { readonly folder: string; readonly temporary: string; readonly environment: NodeJS.ProcessEnv }

/** Everything temporary of the demo lies below, the PostgreSQL of another user too, so that what is left over is seen. */
function placeFor(t: TestContext): Place {
  const folder = mkdtempSync(join(tmpdir(), 'writ-demo-test-'))
  const temporary = mkdtempSync(join(folder, 'tmp-'))
  chmodSync(folder, 0o755)
  chmodSync(temporary, 0o1777)
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return { folder, temporary, environment: { ...CHILD_ENVIRONMENT, HOME: folder, TMPDIR: temporary, WRIT_CHROMIUM: CHROMIUM ?? 'none' } }
}

type Demo = { readonly child: ChildProcess; readonly said: () => string; readonly err: () => string; readonly ended: Promise<readonly [number | null, NodeJS.Signals | null]> }

/** In a process group of its own, as a terminal would start it. */
function startDemo(t: TestContext, { environment }: Place, command: string, words: readonly string[]): Demo {
  const child = spawn(command, words, { cwd: ROOT, env: environment, stdio: ['ignore', 'pipe', 'pipe'], detached: true })
  let out = ''
  let err = ''
  child.stdout.on('data', (chunk: Buffer) => { out += chunk.toString() })
  child.stderr.on('data', (chunk: Buffer) => { err += chunk.toString() })
  const ended = once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>
  t.after(() => {
    if (hasMembers(child.pid!)) process.kill(-child.pid!, 'SIGKILL')
  })
  return { child, said: () => out, err: () => err, ended }
}

function hasMembers(group: number): boolean {
  try {
    process.kill(-group, 0)
    return true
  } catch {
    return false
  }
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}

const portsIn = (text: string): readonly number[] => [...new Set([...text.matchAll(/127\.0\.0\.1:(\d+)/g)].map(([, port]) => Number(port)))]

async function assertNothingLeft(demo: Demo, { temporary }: Place): Promise<void> {
  await eventually('no process of the demo is left', () => !hasMembers(demo.child.pid!))
  const ports = portsIn(demo.said())
  assert.ok(ports.length >= 2, demo.said())
  for (const port of ports) assert.equal(await answers(port), false, `something still listens on ${port}`)
  assert.deepEqual(readdirSync(temporary).filter((name) => name.startsWith('writ-')), [])
}

test('the demo with --once tells the whole story in under a minute, leaves nothing but the certificate, and that verifies', { timeout: 2 * LONGEST_MS }, async (t) => {
  const place = placeFor(t)
  const kept = join(place.folder, 'kept.json')
  const began = performance.now()
  const demo = startDemo(t, place, process.execPath, ['scripts/demo.ts', '--once', '--certificate', kept])
  const [code] = await demo.ended
  const took = performance.now() - began
  assert.equal(code, 0, demo.said() + demo.err())
  t.diagnostic(`the demo took ${(took / 1000).toFixed(1)} s`)
  assert.ok(took < LONGEST_MS, `${took} ms`)
  assert.match(demo.said(), /\$ writ run --for 'migrate schema' --grant postgres:shop:ddl --ttl 10m/)
  assert.match(demo.said(), /created shop\.loyalty and filled 400 rows/)
  assert.match(demo.said(), /logins left by Writ: 0; table shop\.loyalty: 400 rows, owned by shop_owner/)
  assert.match(demo.said(), /^verified: closure certificate$/m)
  // The server lists 14 tools, and the agent sees two of them.
  assert.match(demo.said(), /^move_file +write +no .* new /m)
  assert.match(demo.said(), /the list of files, as the agent sees it: (?:list_directory, read_text_file|read_text_file, list_directory)$/m)
  assert.match(demo.said(), /files\/read_text_file \{"path":"customers\.csv","head":3\}: allowed: name,mail/)
  assert.match(demo.said(), /"head":500\}: denied\n\$ writ explain .*\ndenied: .*\n {2}why: forbidden by at-most-20-lines .*500.*\n {2}would allow it: .*\n {2}next: /)
  assert.match(demo.said(), /everything\/echo \{"message":"the desk is open"\}: allowed/)
  assert.match(demo.said(), /everything\/echo \{"message":"the desk is open"\}: denied\n\$ writ explain .*\ndenied: .*\n {2}why: forbidden by nothing-out-after-both /)
  assertPeopleTold(t, demo.said())
  await assertNothingLeft(demo, place)
  const verify = startDemo(t, place, process.execPath, ['packages/cli/bin/writ.mjs', 'verify', '--key', `${kept}.key`, kept])
  assert.equal((await verify.ended)[0], 0, verify.err())
  assert.match(verify.said(), /outcome: proved/)
})

/** Of two people one may approve; what she approved runs once; what she stops is stopped; and her browser finds that none of it was changed. */
function assertPeopleTold(t: TestContext, said: string): void {
  if (CHROMIUM === undefined) {
    t.diagnostic('left out, as there is no Chromium on this host: two people in a browser; apt-get install chromium')
    return assert.match(said, /LEFT OUT, .* two people/)
  }
  for (const told of [
    /refund-agent: find_order .*-> allowed\n +refund-agent: erase_customer .*-> denied\n\$ writ explain .*\ndenied: .*\n {2}why: forbidden by agents-erase-nobody /,
    /Li reads the same in her browser/, /in Maya's inbox \d+ ms later: apr_/, /Li opens it: "You can not approve this: you answer for an agent that asks\. Can decide: Maya Okafor /,
    /at the server: 403 you_own_the_agent$/m, /exactly \{"order":551,"amount_cents":15152\} will run, .*refunds-small/, /went on \d+ ms after her yes\n +PostgreSQL: 1 refund, 151\.52 in all$/m,
    /once more -> denied: approval_used\n +PostgreSQL: 1 refund, 151\.52 in all$/m, /refused \d+ ms after her click: Killed: the task was ended: identity_suspended$/m, /4 of 4 confirmed .*contained in /,
    /^ +approval\.used: .*unbroken checked in this browser: Leaf \d+ of \d+/m, /^verified: log export$/m,
  ]) assert.match(said, told)
}

test('`npm run demo` on a host without Chromium names what it leaves out, and leaves the server up until Ctrl-C, which ends every process and removes every folder', { timeout: 2 * LONGEST_MS }, async (t) => {
  const place = placeFor(t)
  const demo = startDemo(t, { ...place, environment: { ...place.environment, WRIT_CHROMIUM: 'none' } }, 'npm', ['run', 'demo'])
  await eventually('the story is told', () => demo.said().includes('npx writ audit tail') || demo.child.exitCode !== null, LONGEST_MS)
  assert.match(demo.said(), /nobody answered within 2 s, and no answer is no; a person would answer at http\S+\/approvals\/apr_\w+\n +PostgreSQL: 0 refunds/)
  assert.match(demo.said(), /refused \d+ ms after the stop: Killed: the task was ended: identity_suspended$/m)
  assert.match(demo.said(), /LEFT OUT, .* two people.*\n.*apt-get install chromium/)
  assert.match(demo.said(), /^http:\/\/localhost:\d+\/first#writ_first_/m)
  const [, url] = /Writ is up at (\S+) until Ctrl-C/.exec(demo.said()) ?? assert.fail(demo.said() + demo.err())
  assert.equal((await fetch(`${url}/readyz`)).status, 200)
  const [, config] = /WRIT_CONFIG=(\S+)/.exec(demo.said())!
  assert.equal(existsSync(config!), true)
  process.kill(-demo.child.pid!, 'SIGINT')
  await demo.ended
  assert.doesNotMatch(demo.err(), /the demo failed|Error/)
  await assertNothingLeft(demo, place)
})

test('Ctrl-C in the middle of the story leaves nothing either', { timeout: 2 * LONGEST_MS }, async (t) => {
  const place = placeFor(t)
  const demo = startDemo(t, place, process.execPath, ['scripts/demo.ts'])
  await eventually('the back end is being added', () => demo.said().includes('$ writ backend add'), LONGEST_MS)
  process.kill(-demo.child.pid!, 'SIGINT')
  const [code, signal] = await demo.ended
  assert.deepEqual([code, signal], [130, null], demo.err())
  assert.doesNotMatch(demo.err(), /the demo failed/)
  await assertNothingLeft(demo, place)
})

test('a demo that is killed leaves neither its server nor its folder', { timeout: 2 * LONGEST_MS }, async (t) => {
  const place = placeFor(t)
  const demo = startDemo(t, place, process.execPath, ['scripts/demo.ts'])
  await eventually('the back end is being added', () => demo.said().includes('$ writ backend add'), LONGEST_MS)
  demo.child.kill('SIGKILL')
  await eventually('nothing is left in the temporary folder', () => readdirSync(place.temporary).length === 0, LONGEST_MS)
  await assertNothingLeft(demo, place)
})

for (const { args, says } of [
  { args: ['--onec'], says: /^error: unknown option `--onec`\nusage: npm run demo -- \[--once\]/ },
  { args: ['--certificate'], says: /^error: .*--certificate.*\nusage: / },
  { args: ['--port', 'http'], says: /^error: `http` is no port\nusage: / },
]) {
  test(`the demo with \`${args.join(' ')}\` says what is wrong, answers 2 and starts nothing`, async (t) => {
    const place = placeFor(t)
    const demo = startDemo(t, place, process.execPath, ['scripts/demo.ts', ...args])
    assert.deepEqual([(await demo.ended)[0], demo.said()], [2, ''])
    assert.match(demo.err(), says)
    assert.deepEqual(readdirSync(place.temporary), [])
  })
}
