import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import * as events from '@writ/contract/events'
import * as registry from '@writ/contract/registry'
import { ask } from '../../../../scripts/postgres-cluster.ts'
import { MIGRATIONS } from '../../src/store/migrations/all.ts'
import { eventually } from '../eventually.ts'
import { knownOf, loadRelease } from '../fixtures/load.ts'
import { complete, opened } from '../governed-writ.ts'
import { inFull } from '../long.ts'
import { assertLogsHold } from '../proofs.ts'
import { postgres, type TestDatabase } from '../postgres.ts'
import { REGISTRATION, startWrit, type RunningWrit } from '../running-writ.ts'
import { ISSUER } from '../several-writs.ts'

const COUNT = 3

/** Three that are started at the same moment, on one database and one key directory; who signs in, and with what, is still open. */
async function startTogether(t: TestContext, database: TestDatabase, keys: string, operatorKey: string): Promise<readonly RunningWrit[]> {
  const env = { WRIT_DATABASE_URL: database.url, WRIT_KEYS: keys, WRIT_ISSUER: ISSUER }
  const starting = Array.from({ length: COUNT }, () => startWrit({ env, operatorKey }))
  t.after(async () => {
    for (const one of await Promise.allSettled(starting)) if (one.status === 'fulfilled') await one.value.stop()
    await database.drop()
  })
  return Promise.all(starting)
}

function folderOf(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'writ-starts-'))
  t.after(() => { rmSync(folder, { recursive: true, force: true }) })
  return folder
}

async function count(database: TestDatabase, what: string): Promise<number> {
  return Number((await ask(database.url, `select count(*) as n from ${what}`))[0]!['n'])
}

/** What happens at the same moment happens in another order each time. */
const ROUNDS = inFull ? 10 : 1

for (let round = 1; round <= ROUNDS; round++) {
  test(`three servers that start together on an empty database and no keys are one installation with one log of each kind (${round})`, async (t) => {
    const database = await (await postgres(18)).createDatabase()
    const writs = await startTogether(t, database, join(folderOf(t), 'keys'), 'none yet')
    const applied = (await ask(database.url, 'select name from migration order by name')).map((row) => row['name'])
    assert.deepEqual(applied, MIGRATIONS.map((one) => one.name))
    assert.equal(await count(database, 'installation'), 1)
    assert.equal(await count(database, 'log'), 2)
    assert.equal(await count(database, 'checkpoint where size = 0'), 2)
    assert.equal(await count(database, 'event where type = \'server.started\''), COUNT)
    const origins = await Promise.all(writs.map(async (writ) => (await writ.stranger(events.listLogs)).reply.logs.map((log) => `${log.origin} ${log.vkey}`).join()))
    assert.equal(new Set(origins).size, 1)

    // Each of them offers a code of its own; one of these signs in, and the others are dead with it.
    const codes = writs.map((writ) => readFileSync(join(writ.folder, 'data', 'bootstrap'), 'utf8').trim().split('#')[1]!)
    const got = await Promise.all(codes.map((code, i) => writs[i]!.stranger(registry.redeemBootstrap, { body: { code, operator: `operator ${i}` } })))
    const keys = got.filter((one) => one.status === 201).map((one) => one.reply.key)
    assert.equal(keys.length, 1, got.map((one) => one.status).join())
    assert.equal(await count(database, 'operator'), 1)
    const operator = writs[1]!.as(() => keys[0]!)
    const registered = await operator(registry.registerIdentity, { body: { ...REGISTRATION, spiffe_id: 'spiffe://acme.example/one' } })
    assert.equal(registered.status, 201, registered.text)
    await assertLogsHold({ stranger: writs[2]!.stranger, operator: writs[2]!.as(() => keys[0]!) })
  })
}

test('three servers that start together on a database of the release before bring it forward once, and serve who was there', async (t) => {
  const database = await (await postgres(18)).createDatabase()
  const keys = join(folderOf(t), 'keys')
  await loadRelease(1, { WRIT_DATABASE_URL: database.url, WRIT_KEYS: keys })
  const writs = await startTogether(t, database, keys, knownOf(1).operatorKey)
  const applied = (await ask(database.url, 'select name from migration order by name')).map((row) => row['name'])
  assert.deepEqual(applied, MIGRATIONS.map((one) => one.name))
  assert.equal(await count(database, 'installation'), 1)
  const worker = await writs[0]!.register('worker')
  for (const writ of writs) {
    const by = { ...worker, api: writ.as(() => worker.assertion()) }
    assert.equal((await complete(by, await opened(by))).status, 200)
    await assertLogsHold(writ)
  }
})

test('a server with other keys that starts together with the first of an empty database is refused, and the store keeps the first one\'s', async (t) => {
  const database = await (await postgres(18)).createDatabase()
  t.after(() => database.drop())
  const folder = folderOf(t)
  const started = await Promise.allSettled(['one', 'two', 'three'].map((keys) => startWrit({
    env: { WRIT_DATABASE_URL: database.url, WRIT_KEYS: join(folder, keys), WRIT_ISSUER: ISSUER }, operatorKey: 'none yet',
  })))
  t.after(async () => { for (const one of started) if (one.status === 'fulfilled') await one.value.stop() })
  const running = started.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
  assert.equal(running.length, 1, 'two keys would be two logs')
  for (const one of started) if (one.status === 'rejected') assert.match(String(one.reason), /ended with 78/)
  const logs = await ask(database.url, 'select vkey from log')
  assert.equal(logs.length, running.length * 2)
  for (const writ of running) await eventually('it is ready', async () => (await writ.stranger(registry.ready)).status === 200)
})
