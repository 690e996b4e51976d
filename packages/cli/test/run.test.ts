import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { chmod, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { test } from 'node:test'
import { problem, SECRET, TASK } from './double.ts'
import { stageWithServer, startWrit, writ } from './run-writ.ts'

const RUN = ['run', '--for', 'migrate', '--grant', 'postgres:shop:ddl']
const sh = (script: string): readonly string[] => ['--', '/bin/sh', '-c', script]

test('the command gets its lease in PG* variables and nothing by which it could speak to Writ', async (t) => {
  const stage = await stageWithServer(t)
  const done = await writ(stage, [...RUN, ...sh('env')], {
    environment: { WRIT_TOKEN: 'writ_op_canary', WRIT_KEY_FILE: stage.keyFile, PGSERVICE: 'other', PGPASSFILE: '/other', PGHOSTADDR: '10.0.0.1', MINE: 'stays' },
  })
  assert.equal(done.code, 0, done.err)
  const seen = Object.fromEntries(done.out.trim().split('\n').map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]))
  const { PGHOST, PGPORT, PGDATABASE, PGUSER, PGPASSWORD, PGSSLMODE, WRIT_TASK, MINE } = seen
  assert.deepEqual({ PGHOST, PGPORT, PGDATABASE, PGUSER, PGPASSWORD, PGSSLMODE, WRIT_TASK, MINE },
    { PGHOST: 'db.test', PGPORT: '5433', PGDATABASE: 'shop', PGUSER: 'writ_lse_1', PGPASSWORD: SECRET, PGSSLMODE: 'disable', WRIT_TASK: TASK, MINE: 'stays' })
  assert.deepEqual(Object.keys(seen).filter((name) => name.startsWith('WRIT_')), ['WRIT_TASK'])
  assert.deepEqual(Object.keys(seen).filter((name) => /^(PGSERVICE|PGPASSFILE|PGHOSTADDR|DATABASE_URL)$/.test(name)), [])
  assert.ok(!done.out.includes('writ_op_canary'))
})

test('the task is opened, leased, completed and its certificate verified and shown on stderr', async (t) => {
  const stage = await stageWithServer(t)
  const done = await writ(stage, [...RUN, '--ttl', '10m', '--budget', '7', '--idle', '5m', ...sh('echo data')])
  assert.deepEqual([done.code, done.out], [0, 'data\n'], done.err)
  assert.match(done.err, /outcome: proved/)
  assert.ok(!done.err.includes(SECRET))
  assert.deepEqual(stage.double.paths(), ['POST /v1/tasks', `POST /v1/tasks/${TASK}/leases`, `POST /v1/tasks/${TASK}/complete`, `GET /v1/tasks/${TASK}/certificate`, 'GET /v1/logs'])
  assert.deepEqual(stage.double.asked[0]?.body, { purpose: 'migrate', authorization_details: [{ type: 'postgres', locations: ['shop'], actions: ['ddl'] }], ttl_seconds: 600, budget: { calls: 7 }, idle_timeout_seconds: 300 })
  const keys = stage.double.asked.filter(({ method }) => method === 'POST').map(({ headers }) => headers['idempotency-key'])
  assert.equal(new Set(keys).size, 3)
})

test('with -q nothing is said, and the certificate and the log key are kept where asked', async (t) => {
  const stage = await stageWithServer(t)
  const done = await writ(stage, [...RUN, '-q', '--certificate', 'closed.json', ...sh('exit 0')])
  assert.deepEqual([done.code, done.out, done.err], [0, '', ''])
  const verified = await writ(stage, ['verify', '--key', 'closed.json.key', 'closed.json'])
  assert.equal(verified.code, 0, verified.err)
})

for (const { when, script, code } of [
  { when: 'the command answers 0', script: 'exit 0', code: 0 },
  { when: 'the command answers 3', script: 'exit 3', code: 3 },
  { when: 'the command dies of SIGTERM', script: 'kill -TERM $$', code: 143 },
  { when: 'the command dies of SIGKILL', script: 'kill -KILL $$', code: 137 },
]) {
  test(`writ run answers ${code} when ${when}, and the task is completed`, async (t) => {
    const stage = await stageWithServer(t)
    const done = await writ(stage, [...RUN, ...sh(script)])
    assert.equal(done.code, code, done.err)
    assert.equal(stage.double.state, 'closed')
  })
}

test('a command that is not there answers 127, one that can not be executed 126, and the task is completed', async (t) => {
  for (const { command, code } of [{ command: './nowhere', code: 127 }, { command: './plain.txt', code: 126 }]) {
    const stage = await stageWithServer(t)
    await writeFile(join(stage.folder, 'plain.txt'), 'no program')
    await chmod(join(stage.folder, 'plain.txt'), 0o644)
    const done = await writ(stage, [...RUN, '--', command])
    assert.equal(done.code, code, done.err)
    assert.match(done.err, /error: `\.\/(nowhere|plain\.txt)`/)
    assert.equal(stage.double.state, 'closed')
  }
})

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  test(`${signal} goes to the command, and the task is completed after it`, async (t) => {
    const stage = await stageWithServer(t)
    const running = startWrit(stage, [...RUN, ...sh(`trap 'echo heard; exit 9' ${signal.slice(3)}; echo ready; while :; do sleep 0.05; done`)])
    await running.saw('ready')
    running.child.kill(signal)
    const done = await running.ended
    assert.deepEqual([done.code, done.out], [9, 'ready\nheard\n'], done.err)
    assert.equal(stage.double.state, 'closed')
  })
}

test('the command is ended when the server says that the task is over, and the reason is said', async (t) => {
  const stage = await stageWithServer(t)
  stage.double.heartbeatSeconds = 1
  const running = startWrit(stage, [...RUN, ...sh('echo ready; exec sleep 60')])
  await running.saw('ready')
  stage.double.state = 'ending'
  stage.double.endReason = 'ended_by_person'
  const done = await running.ended
  assert.equal(done.code, 143)
  assert.match(done.err, /the task is over and so is the command: it ended \(ended_by_person\)/)
})

test('the command is ended at the deadline even when no heartbeat comes before it', async (t) => {
  const stage = await stageWithServer(t)
  stage.double.ttlSeconds = 1
  const done = await writ(stage, [...RUN, ...sh('exec sleep 60')])
  assert.equal(done.code, 143)
  assert.match(done.err, /its deadline has come/)
})

test('the command is ended when the server is gone for longer than a heartbeat', async (t) => {
  const stage = await stageWithServer(t)
  stage.double.heartbeatSeconds = 1
  const running = startWrit(stage, [...RUN, '--timeout', '1s', ...sh('echo ready; exec sleep 60')])
  await running.saw('ready')
  await stage.double.close()
  const done = await running.ended
  assert.equal(done.code, 143)
  assert.match(done.err, /has not answered for 1 s/)
  assert.match(done.err, /the server ends task tsk_1 by itself/)
})

test('the command does not outlive a writ run that is killed without a word, and its lease file is removed', async (t) => {
  const stage = await stageWithServer(t)
  const running = startWrit(stage, [...RUN, '--lease-to', 'file', ...sh('echo "pid $$ $WRIT_LEASE_FILE."; exec sleep 60')])
  await running.saw('.json.')
  running.child.kill('SIGKILL')
  const done = await running.ended
  const [, pid, file] = /pid (\d+) (.+)\.\n/.exec(done.out)!
  for (let tries = 0; tries < 100 && (isAlive(Number(pid)) || existsSync(file!)); tries++) await wait(50)
  assert.deepEqual([isAlive(Number(pid)), existsSync(file!)], [false, false])
})

test('with --lease-to file the lease lies in a file of mode 0600 that is gone afterwards', async (t) => {
  const stage = await stageWithServer(t)
  const done = await writ(stage, [...RUN, '--lease-to', 'file', ...sh('ls -l "$WRIT_LEASE_FILE"; ls -ld "$(dirname "$WRIT_LEASE_FILE")"; cat "$WRIT_LEASE_FILE"; env | grep -c ^PG')])
  assert.match(done.out, /^-rw-------.*\ndrwx------/)
  assert.ok(done.out.includes(SECRET) && done.out.endsWith('\n0\n'))
  assert.deepEqual((await readdir(stage.folder)).filter((name) => name.startsWith('writ-lease-')), [])
})

test('with --lease-to fd the lease is JSON on descriptor 3 and in no variable', async (t) => {
  const stage = await stageWithServer(t)
  const done = await writ(stage, [...RUN, '--lease-to', 'fd', ...sh('env | grep -c ^PG >&2; cat <&3')])
  const said = JSON.parse(done.out) as { readonly task: string; readonly leases: readonly { readonly password: string; readonly resource: string }[] }
  assert.deepEqual([said.task, said.leases.map(({ password, resource }) => [password, resource])], [TASK, [[SECRET, 'shop']]])
})

test('a command that never reads descriptor 3 ends as it likes', async (t) => {
  const stage = await stageWithServer(t)
  assert.equal((await writ(stage, [...RUN, '--lease-to', 'fd', ...sh('exec 3<&-; exit 4')])).code, 4)
})

test('a lease that is refused completes the task, starts nothing, and says why', async (t) => {
  const stage = await stageWithServer(t)
  stage.double.instead.set(`/v1/tasks/${TASK}/leases`, [problem(422, 'grant-refused', { detail: 'no template `ddl`', hint: 'writ backend list' })])
  const done = await writ(stage, [...RUN, ...sh('echo started')])
  assert.deepEqual([done.code, done.out, stage.double.state], [6, '', 'closed'])
  assert.match(done.err, /error: no template/)
})

test('a certificate that does not verify makes a command that went well answer 21, and hides no other code', async (t) => {
  for (const { script, code } of [{ script: 'exit 0', code: 21 }, { script: 'exit 3', code: 3 }]) {
    const stage = await stageWithServer(t)
    stage.double.certificateText = stage.double.certificateText.replace('"proved"', '"not_evaluated"')
    const done = await writ(stage, [...RUN, '--certificate', 'closed.json', ...sh(script)])
    assert.equal(done.code, code)
    assert.match(done.err, /verification failed/)
    assert.ok((await readFile(join(stage.folder, 'closed.json'), 'utf8')).length > 0)
  }
})

test('a certificate of another task is not taken for this one', async (t) => {
  const stage = await stageWithServer(t)
  const task = { ...stage.double.task(), id: 'tsk_other' }
  stage.double.instead.set('/v1/tasks', [{ status: 201, value: task }])
  stage.double.instead.set('/v1/tasks/tsk_other/complete', [{ status: 200, value: task }])
  stage.double.instead.set('/v1/tasks/tsk_other/certificate', [{ status: 200, value: stage.double.certificateText }])
  const done = await writ(stage, ['run', '--for', 'x', '--grant', 'http:api:read', ...sh('exit 0')])
  assert.equal(done.code, 21)
  assert.match(done.err, /is of task `tsk_1`/)
})

test('two grants on one back end are told apart by their action', async (t) => {
  const stage = await stageWithServer(t)
  const done = await writ(stage, [...RUN, '--grant', 'postgres:shop:read', '--grant', 'postgres:crm-eu:read', ...sh('env | grep -o "^WRIT_LEASE_[A-Z_]*_USER" | sort')])
  assert.deepEqual(done.out.trim().split('\n'), ['WRIT_LEASE_CRM_EU_USER', 'WRIT_LEASE_SHOP_DDL_USER', 'WRIT_LEASE_SHOP_READ_USER'])
})

test('a command without `--` before it is refused and no task is opened', async (t) => {
  const stage = await stageWithServer(t)
  const done = await writ(stage, [...RUN, 'ls'])
  assert.deepEqual([done.code, stage.double.asked.length], [2, 0])
})

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
