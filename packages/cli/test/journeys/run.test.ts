import assert from 'node:assert/strict'
import { existsSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { endTask } from '@writ/contract/tasks'
import { eventually } from '../../../server/test/eventually.ts'
import { countTasks, estateForFile, eventsOfTask, isAlive, newestTask, WITH_LEASE } from '../estate.ts'
import { startWrit, writ, type Running } from '../run-writ.ts'

const estate = estateForFile()
const HERO = ['run', '--for', 'migrate schema', '--grant', 'postgres:shop:ddl', '--ttl', '10m']
const sh = (script: string): readonly string[] => ['--', '/bin/sh', '-c', script]

/** What the holder has said of itself, once it is there. */
async function holderOf(running: Running): Promise<{ readonly pid: number; readonly user: string; readonly password: string }> {
  await running.saw('.\n')
  const [, pid, user, password] = /^ready (\d+) (\S+) (\S+)\.$/m.exec(running.said().out)!
  return { pid: Number(pid), user: user!, password: password! }
}

/** The SQLSTATE with which a login is refused. */
async function refusalOf(user: string, password: string): Promise<string> {
  const { shop } = estate()
  try {
    await (await shop.login({ handle: user, secret: password as never })).end()
  } catch (fault) {
    return String((fault as { readonly code?: unknown }).code)
  }
  return 'let in'
}

async function assertProved(reason = 'completed'): Promise<void> {
  const task = await eventually('the task is closed', async () => {
    const newest = await newestTask(estate())
    return newest.state === 'closed' && newest
  })
  assert.deepEqual([task.end_reason, task.leases.map(({ outcome }) => outcome)], [reason, ['proved']])
  assert.deepEqual(await estate().shop.rolesNamed(task.leases[0]!.user!), [])
}

test('the hero line: a login that did not exist before, a table that stays, and a certificate that says that the login is refused', async () => {
  const { stage, shop } = estate()
  const began = performance.now()
  const done = await writ(stage, [...HERO, ...WITH_LEASE, 'create table shop.loyalty as select 1 as points; select current_user'])
  assert.equal(done.code, 0, done.err)
  assert.match(done.err, /^task tsk_\w+ open, ends with the command and at the latest after 10 min\n1 lease: writ_\w+ on shop\n/)
  assert.match(done.err, /kept, now owned by Shop Owner \w+: table shop\.loyalty/)
  assert.match(done.err, /dead login tried again: refused by PostgreSQL 18\.\d+ at [\d.:]+, code 28\w+, \d+ ms after the end/)
  assert.match(done.err, /outcome: proved/)
  const [owner] = await shop.asSuperuser(`select tableowner from pg_tables where tablename = 'loyalty'`, [], shop.database)
  assert.equal(owner?.tableowner, shop.owner)
  await assertProved()
  process.stderr.write(`hero line, from start to certificate: ${Math.round(performance.now() - began)} ms\n`)
})

for (const { when, command, code } of [
  { when: 'the command answers 3', command: sh('exit 3'), code: 3 },
  { when: 'the command dies of SIGKILL', command: sh('kill -KILL $$'), code: 137 },
  { when: 'the command dies of SIGTERM', command: sh('kill -TERM $$'), code: 143 },
  { when: 'there is no such command', command: ['--', './nowhere'], code: 127 },
  { when: 'the command can not be executed', command: ['--', './plain.txt'], code: 126 },
]) {
  test(`writ run answers ${code} when ${when}, and the end of its login is proved`, async () => {
    writeFileSync(join(estate().stage.folder, 'plain.txt'), 'no program', { mode: 0o644 })
    const done = await writ(estate().stage, [...HERO, ...command])
    assert.equal(done.code, code, done.err)
    assert.match(done.err, /outcome: proved/)
    await assertProved()
  })
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  test(`${signal} to writ run ends the command, and the end of its login is proved`, async () => {
    const { stage } = estate()
    const running = startWrit(stage, [...HERO, ...WITH_LEASE, 'select 1', 'hold'])
    const { pid, user, password } = await holderOf(running)
    running.child.kill(signal)
    const done = await running.ended
    assert.equal(done.code, signal === 'SIGINT' ? 130 : 143, done.err)
    assert.equal(isAlive(pid), false)
    assert.match(await refusalOf(user, password), /^28/)
    await assertProved()
  })
}

test('kill -9 of writ run ends the command too, the server ends the task by silence, and the login is refused', async () => {
  const { stage } = estate()
  const running = startWrit(stage, [...HERO, '--heartbeat', '2s', ...WITH_LEASE, 'select 1', 'hold'])
  const { pid, user, password } = await holderOf(running)
  running.child.kill('SIGKILL')
  await eventually('the command is ended by its keeper', () => !isAlive(pid))
  await assertProved('silence')
  assert.match(await refusalOf(user, password), /^28/)
})

test('an operator who ends the task ends the session at once and the command with it, and the reason is said', async () => {
  const { stage, writ: server } = estate()
  const running = startWrit(stage, [...HERO, '--heartbeat', '2s', ...WITH_LEASE, 'select 1', 'hold'])
  const { pid } = await holderOf(running)
  await server.operator(endTask, { parameters: { id: (await newestTask(estate())).id }, body: { reason: 'it is enough' } })
  const done = await running.ended
  assert.equal(done.code, 143, done.err)
  assert.match(done.out, /session ended: 57P01/)
  assert.match(done.err, /the task is over and so is the command: the task is (ending|closed): ended_by_person/)
  assert.match(done.err, /because: ended_by_person/)
  assert.equal(isAlive(pid), false)
  await assertProved('ended_by_person')
})

test('the deadline ends the command and the login', async () => {
  const { stage } = estate()
  const done = await writ(stage, ['run', '--for', 'be quick', '--grant', 'postgres:shop:ddl', '--ttl', '2s', ...WITH_LEASE, 'select 1', 'hold'])
  assert.equal(done.code, 143, done.err)
  assert.match(done.err, /the task is over and so is the command: its deadline has come/)
  await assertProved('deadline')
})

test('a task that is refused runs nothing and leaves nothing', async () => {
  const { stage } = estate()
  const before = await countTasks(estate())
  for (const { grant, says } of [{ grant: 'postgres:shop:drop', says: /error: / }, { grant: 'postgres:crm:ddl', says: /error: / }]) {
    const done = await writ(stage, ['run', '--for', 'x', '--grant', grant, ...sh('echo ran')])
    assert.deepEqual([done.code, done.out], [6, ''], done.err)
    assert.match(done.err, says)
  }
  assert.equal(await countTasks(estate()), before)
})

test('several grants are several logins, each in variables of its own and each proved dead', async () => {
  const { stage } = estate()
  const done = await writ(stage, [...HERO, '--grant', 'postgres:shop:read', ...sh('env | grep -E "^(PG|WRIT_)" | sort')])
  assert.equal(done.code, 0, done.err)
  const seen = Object.fromEntries(done.out.trim().split('\n').map((line) => line.split('=', 2)))
  const { leases } = await newestTask(estate())
  assert.deepEqual(new Set([seen.WRIT_LEASE_SHOP_DDL_USER, seen.WRIT_LEASE_SHOP_READ_USER]), new Set(leases.map(({ user }) => user)))
  assert.equal(seen.PGUSER, seen.WRIT_LEASE_SHOP_DDL_USER)
  assert.deepEqual(leases.map(({ outcome }) => outcome), ['proved', 'proved'])
})

test('the command gets its own lease and nothing by which it could speak to Writ', async () => {
  const { stage, writ: server, keyFile } = estate()
  const done = await writ(stage, [...HERO, ...sh('env; ls -l /proc/$$/fd 2>/dev/null')], {
    environment: { WRIT_TOKEN: server.operatorKey, WRIT_KEY_FILE: keyFile, WRIT_CONFIG: join(stage.folder, 'config/writ/config.json'), PGSERVICE: 'other', PGPASSFILE: '/other' },
  })
  assert.equal(done.code, 0, done.err)
  const names = new Set([...done.out.matchAll(/^(WRIT_\w+|PG\w+)=/gm)].map(([, name]) => name))
  assert.deepEqual(names, new Set(['PGDATABASE', 'PGHOST', 'PGPASSWORD', 'PGPORT', 'PGSSLMODE', 'PGUSER', 'WRIT_TASK']))
  assert.ok(!done.out.includes(server.operatorKey) && !done.out.includes(keyFile))
  const password = /^PGPASSWORD=(.+)$/m.exec(done.out)![1]!
  assert.ok(!done.err.includes(password) && !server.log().includes(password))
  assert.ok(!JSON.stringify(await eventsOfTask(estate(), (await newestTask(estate())).id)).includes(password))
})

test('with --lease-to fd the lease comes on descriptor 3 alone', async () => {
  const done = await writ(estate().stage, [...HERO, '--lease-to', 'fd', ...sh('cat <&3; env | grep -E "^(PG|WRIT_)" | sort')])
  assert.equal(done.code, 0, done.err)
  const [json, environment] = done.out.split(/^\}\n/m)
  const { leases } = JSON.parse(`${json}}`) as { readonly leases: readonly { readonly user: string; readonly password: string }[] }
  assert.deepEqual([leases.length, typeof leases[0]!.password], [1, 'string'])
  assert.match(environment!, /^WRIT_LEASE_FD=3\nWRIT_TASK=tsk_\w+\n$/)
})

test('with --lease-to file the lease lies in a file that others can not read and that is gone afterwards', async () => {
  const { stage } = estate()
  const running = startWrit(stage, [...HERO, '--lease-to', 'file', ...sh('echo "$WRIT_LEASE_FILE."; while [ ! -e go ]; do sleep 0.05; done; env | grep -c ^PG')])
  await running.saw('.json.')
  const file = /^(.+)\.$/m.exec(running.said().out)![1]!
  assert.deepEqual([statSync(file).mode & 0o777, statSync(join(file, '..')).mode & 0o777], [0o600, 0o700])
  writeFileSync(join(stage.folder, 'go'), '')
  const done = await running.ended
  assert.deepEqual([done.code, done.out.endsWith('.\n0\n')], [1, true], done.err)
  assert.equal(existsSync(file), false)
  assert.deepEqual(readdirSync(stage.folder).filter((name) => name.startsWith('writ-lease-')), [])
})

test('with -q nothing but the command is heard', async () => {
  const done = await writ(estate().stage, [...HERO, '-q', ...sh('echo data')])
  assert.deepEqual([done.code, done.out, done.err], [0, 'data\n', ''])
})

test('with --json standard output stays the command\'s, and an error is one line of JSON', async () => {
  const { stage } = estate()
  const done = await writ(stage, [...HERO, '--json', ...sh('echo data')])
  assert.deepEqual([done.code, done.out], [0, 'data\n'], done.err)
  const refused = await writ(stage, ['run', '--json', '--for', 'x', '--grant', 'postgres:shop:drop', ...sh('echo ran')])
  assert.deepEqual([refused.code, refused.out], [6, ''])
  const problem = JSON.parse(refused.err) as { readonly type: string; readonly status: number; readonly retryable: boolean }
  assert.deepEqual([problem.type, problem.status, problem.retryable], [`${estate().writ.url}/problems/grant-refused`, 422, false])
})
