import assert from 'node:assert/strict'
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { eventually } from '../../../server/test/eventually.ts'
import { estateForFile, newestTask, WITH_LEASE } from '../estate.ts'
import { startWrit, writ as writAlone } from '../run-writ.ts'
import { warmWritForFile } from '../warm-writ.ts'

const writ = warmWritForFile()
const estate = estateForFile()
const OPEN = ['--for', 'look\u001b[2J around', '--grant', 'postgres:shop:ddl']
const at = (name: string): string => join(estate().stage.folder, name)

test('a task is opened, listed, shown and ended by hand', async () => {
  const { stage } = estate()
  const opened = await writ(stage, ['task', 'open', ...OPEN, '--ttl', '10m'])
  assert.equal(opened.code, 0, opened.err)
  const id = opened.out.trim()
  assert.match(id, /^tsk_\w+$/)
  const listed = await writ(stage, ['task', 'list', '--state', 'open'])
  assert.match(listed.out, new RegExp(`^${id} +spiffe://acme\\.example/migrator +look\\\\u\\{1b\\}\\[2J around +open `, 'm'))
  const shown = await writ(stage, ['task', 'show', id, '--json'])
  assert.deepEqual([(JSON.parse(shown.out) as { readonly purpose: string }).purpose, shown.out.includes('\u001b')], ['look\u001b[2J around', false])
  const unsaid = await writ(stage, ['task', 'end', id])
  assert.deepEqual([unsaid.code, (await newestTask(estate())).state], [2, 'open'])
  const ended = await writ(stage, ['task', 'end', id, '--reason', 'not needed'])
  assert.equal(ended.code, 0, ended.err)
  assert.match(ended.out, /^state +(ending|closed): ended_by_person$/m)
  assert.match((await writ(stage, ['audit', 'tail', '--task', id])).out, /task\.ended .*not needed/)
  assert.equal((await writ(stage, ['task', 'show', 'tsk_00000000000000000000000000'])).code, 5)
})

test('a task asks for more than it was opened with, gets it within what its identity may, and the certificate says so', async () => {
  const { stage } = estate()
  const id = (await writ(stage, ['task', 'open', ...OPEN])).out.trim()
  const beyond = await writ(stage, ['task', 'widen', id, '--grant', 'postgres:shop:drop', '--reason', 'x'])
  assert.equal(beyond.code, 6)
  assert.match(beyond.err, /the grant goes beyond what the identity may/)
  const widened = await writ(stage, ['task', 'widen', id, '--grant', 'postgres:shop:read', '--reason', 'look\u001b[2J again'])
  assert.equal(widened.code, 0, widened.err)
  assert.match((await writ(stage, ['task', 'show', id])).out, /^grant +postgres:shop:ddl {2}postgres:shop:read\nwidened +1 time$/m)
  assert.equal((await writ(stage, ['task', 'end', id, '--complete'])).code, 0)
  assert.equal((await writ(stage, ['task', 'widen', id, '--grant', 'postgres:shop:read', '--reason', 'x'])).code, 6)
  const kept = await writ(stage, ['task', 'certificate', id, 'widened.json'])
  assert.equal(kept.code, 0, kept.err)
  const read = await writ(stage, ['verify', '--key', 'widened.json.key', 'widened.json'])
  assert.equal(read.code, 0, read.err)
  assert.match(read.out, /^ {2}widened: \S+, by postgres:shop:read, because \(said by the agent, not verified\): "look\\u\{1b\}\[2J again"$/m)
})

test('an identity completes its own task, and twice is once', async () => {
  const { stage } = estate()
  const id = (await writ(stage, ['task', 'open', ...OPEN])).out.trim()
  for (let times = 0; times < 2; times++) {
    const done = await writ(stage, ['task', 'end', id, '--complete', '--as', 'migrator'])
    assert.equal(done.code, 0, done.err)
    assert.match(done.out, /^state +(ending|closed): completed$/m)
  }
})

test('an export continues the checkpoint that was noted before, and one that was cut or changed does not', async () => {
  const { stage } = estate()
  const noted = await writ(stage, ['audit', 'checkpoint', '--stream', 'non-human'])
  assert.equal(noted.code, 0, noted.err)
  writeFileSync(at('noted'), noted.out)
  assert.equal((await writAlone(stage, ['run', '-q', ...OPEN, ...WITH_LEASE])).code, 0)
  const exported = await writ(stage, ['audit', 'export', '--stream', 'non-human', 'log.jsonl'])
  assert.equal(exported.code, 0, exported.err)
  const good = await writ(stage, ['verify', '--key', 'log.jsonl.key', '--checkpoint', 'noted', 'log.jsonl'])
  assert.equal(good.code, 0, good.err)
  assert.match(good.out, /^verified: log export\n[\s\S]*it continues the earlier checkpoint at \d+ leaves/)
  const lines = readFileSync(at('log.jsonl'), 'utf8').trimEnd().split('\n')
  const ofTask = lines.findIndex((line) => /task\.opened/.test(line))
  assert.ok(ofTask > 0)
  for (const { name, text } of [
    { name: 'cut.jsonl', text: lines.slice(0, -1) },
    { name: 'changed.jsonl', text: lines.with(ofTask, lines[ofTask]!.replace(/task\.\w+/, 'task.edited')) },
  ]) {
    writeFileSync(at(name), `${text.join('\n')}\n`)
    const bad = await writ(stage, ['verify', '--key', 'log.jsonl.key', '--checkpoint', 'noted', name])
    assert.deepEqual([bad.code, bad.out], [21, ''], name)
    assert.match(bad.err, /^error: verification failed: [^\n]+\n$/)
  }
})

test('audit tail --follow shows what happens while it looks, until Ctrl-C', async () => {
  const { stage } = estate()
  const running = startWrit(stage, ['audit', 'tail', '--follow', '--stream', 'non-human', '--jsonl', '--limit', '1'])
  await running.saw('\n')
  const id = (await writ(stage, ['task', 'open', ...OPEN])).out.trim()
  await eventually('the opening is shown', () => running.said().out.includes(`"task":"${id}"`))
  running.child.kill('SIGINT')
  const done = await running.ended
  assert.ok(done.code === 130 || done.signal === 'SIGINT', `${done.code} ${done.signal} ${done.err}`)
  for (const line of done.out.trim().split('\n')) assert.equal((JSON.parse(line) as { readonly stream: string }).stream, 'non-human')
  await writ(stage, ['task', 'end', id, '--complete'])
})

test('doctor is content with an estate in order', async () => {
  const { stage } = estate()
  assert.equal((await writ(stage, ['backend', 'rotate', 'shop'])).code, 0)
  const done = await writ(stage, ['doctor'])
  assert.equal(done.code, 0, done.out + done.err)
  for (const name of ['config', 'key', 'server', 'clock', 'log', 'sign-in', 'back end', 'incidents', 'findings']) assert.match(done.out, new RegExp(`^✔ ${name} `, 'm'))
  assert.match(done.out, /^0 problems, 0 warnings$/m)
})

test('doctor names a key that others can read, and how to mend it', async () => {
  const { stage, keyFile } = estate()
  chmodSync(keyFile, 0o644)
  const done = await writ(stage, ['doctor'])
  assert.equal(done.code, 1)
  assert.match(done.out, new RegExp(`^✖ key .*can be read by others \\(mode 0644\\) {3}fix: chmod 600 ${keyFile}$`, 'm'))
  chmodSync(keyFile, 0o600)
  assert.equal((await writ(stage, ['doctor'])).code, 0)
})

test('doctor names an open incident: a login that could not be withdrawn', async () => {
  const { stage, shop } = estate()
  const running = startWrit(stage, ['run', '-q', '--timeout', '20s', '--for', 'stay', '--grant', 'postgres:shop:ddl', '--certificate', 'stuck.json', ...WITH_LEASE, 'select 1', 'hold'])
  await running.saw('.\n')
  // Writ's administrator may not log in any more: the back end is there, and the withdrawal fails.
  await shop.asSuperuser(`alter role ${shop.settings.user} nologin`)
  await shop.asSuperuser(`select pg_terminate_backend(pid) from pg_stat_activity where usename = $1`, [shop.settings.user])
  running.child.kill('SIGTERM')
  const done = await running.ended
  assert.equal(done.code, 143, done.err)
  assert.match(done.err, /^writ: a login could not be shown dead, and this stays open: inc_\w+; `writ doctor` shows it$/m)
  const ill = await eventually('the incident is open', async () => {
    const seen = await writ(stage, ['doctor'])
    return /✖ incident /.test(seen.out) && seen
  })
  assert.equal(ill.code, 1)
  assert.match(ill.out, /^✖ incident +inc_\w+ \w+ lse_\w+: .* {3}fix: /m)
  await shop.asSuperuser(`alter role ${shop.settings.user} login`)
})

test('doctor says that the server is down and how to start it', async () => {
  const { stage, writ: server } = estate()
  await server.kill('SIGTERM')
  const done = await writ(stage, ['doctor'])
  assert.equal(done.code, 1)
  assert.match(done.out, /^✖ server .*can not be reached \(ECONNREFUSED\) {3}fix: writ up$/m)
  assert.equal(existsSync(at('log.jsonl.key')), true)
})
