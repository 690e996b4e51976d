import assert from 'node:assert/strict'
import { Agent, request } from 'node:http'
import { after, before, describe, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import * as events from '@writ/contract/events'
import * as tasks from '@writ/contract/tasks'
import { Client } from 'pg'
import { ask as query, startCluster, type Cluster } from '../../../../scripts/postgres-cluster.ts'
import { eventually } from '../eventually.ts'
import { governedPostgres, type GovernedPostgres } from '../governed-postgres.ts'
import { addShop, ask, complete, login, opened } from '../governed-writ.ts'
import { inStoreOf, keptIn, onEachStore } from '../kept.ts'
import { inFull } from '../long.ts'
import { assertLogsHold, closureOf } from '../proofs.ts'
import { startWrit, type RunningWrit, type TestIdentity } from '../running-writ.ts'

const UNSEALED = 'select type from event where leaf_index is null'

type Told = { readonly status: number; readonly headers: NodeJS.Dict<string | string[]>; readonly text: string }

/** One request on a connection that is kept; the error's code where it was cut off. */
function knock(writ: RunningWrit, agent: Agent, path: string, headers: Record<string, string> = {}): Promise<Told | { readonly cut: string }> {
  return new Promise((resolve) => {
    const asking = request(`${writ.url}${path}`, { agent, headers }, (answer) => {
      let text = ''
      answer.on('data', (chunk: Buffer) => { text += chunk.toString() })
      answer.on('end', () => { resolve({ status: answer.statusCode!, headers: answer.headers, text }) })
      answer.on('error', (error: NodeJS.ErrnoException) => { resolve({ cut: error.code ?? error.message }) })
    })
    asking.on('error', (error: NodeJS.ErrnoException) => { resolve({ cut: error.code ?? error.message }) })
    asking.end()
  })
}

const isStopped = async (writ: RunningWrit): Promise<boolean> => fetch(`${writ.url}/healthz`).then(() => false, () => true)

describe('a server that is told to stop while a lease is being made', () => {
  let writ: RunningWrit
  let cluster: Cluster
  let shop: GovernedPostgres
  let agent: TestIdentity
  const isWaiting = async (): Promise<boolean> => (await query(cluster.url(), 'select 1 from pg_stat_activity where wait_event_type = \'Lock\'')).length > 0
  before(async () => {
    // Its own: what is locked here would hold up every other test.
    cluster = await startCluster({ version: 18 })
    shop = await governedPostgres(18, cluster)
    writ = await startWrit()
    await addShop(writ, shop)
    agent = await writ.register('maker')
  })
  after(async () => {
    await writ.stop()
    await cluster.stop('immediate')
  })

  test('finishes it, sends everybody else away in good order, cuts nobody off, seals what was done and ends with 0', async (t) => {
    const task = await opened(agent)
    const holder = new Client({ connectionString: cluster.url() })
    await holder.connect()
    await holder.query('begin')
    // Whoever makes a role waits for this.
    await holder.query('lock table pg_catalog.pg_authid in share row exclusive mode')
    const minting = ask(agent, task)
    await eventually('the back end is being asked', isWaiting)

    const kept = new Agent({ keepAlive: true, maxSockets: 20 })
    await Promise.all(Array.from({ length: 20 }, () => knock(writ, kept, '/healthz')))
    const waiting = [
      writ.operator(events.listEvents, { query: { wait_seconds: '30', cursor: '999999' } }),
      agent.api(tasks.certificate, { parameters: { id: task }, query: { wait_seconds: '60' } }),
    ]
    const before = await keptIn(writ)
    await eventually('all of them wait', async () => /^writ_http_requests_in_flight 4$/m.test(await (await fetch(`${writ.url}/metrics`)).text()))
    const load: Promise<Told | { readonly cut: string }>[] = []
    for (let i = 0; i < 50; i++) load.push(knock(writ, kept, i % 2 === 0 ? '/v1/tasks' : '/readyz', { authorization: `Bearer ${writ.operatorKey}` }))
    process.kill(writ.pid(), 'SIGTERM')
    // A supervisor tells the whole group, and the parent passes it on: that is one word.
    process.kill(writ.pid(), 'SIGTERM')
    for (let i = 0; i < 20; i++) load.push(pause(i * 10).then(() => knock(writ, kept, '/readyz')))

    const answers = await Promise.all(load)
    const statuses = answers.map((one) => ('cut' in one ? one.cut : one.status))
    assert.ok(statuses.every((status) => status === 200 || status === 503 || status === 'ECONNREFUSED'), statuses.join(' '))
    const sentAway = answers.filter((one): one is Told => 'status' in one && one.status === 503)
    assert.ok(sentAway.length > 0)
    for (const { headers, text } of sentAway) {
      assert.deepEqual([headers.connection, headers['retry-after'], headers['content-type']], ['close', '1', 'application/problem+json; charset=utf-8'], text)
      assert.equal((JSON.parse(text) as { code: string }).code, 'stopping')
    }
    const [listed, certificate] = await Promise.all(waiting)
    assert.deepEqual([listed!.status, certificate!.status], [200, 409], 'who waits is told what there is')
    await eventually('no new connection', () => isStopped(writ), 3000)
    assert.deepEqual((await keptIn(writ)).task, before.task)

    const began = performance.now()
    await holder.query('rollback')
    await holder.end()
    const lease = await minting
    assert.equal(lease.status, 201, lease.text)
    assert.equal(lease.headers.get('connection'), 'close')
    assert.equal(await writ.ended(), 0)
    t.diagnostic(`ended ${Math.round(performance.now() - began)} ms after its last call`)
    const session = await login(lease.reply)
    await session.end()
    kept.destroy()

    assert.deepEqual(await inStoreOf(writ, UNSEALED), [])
    await writ.restart()
    assert.equal((await complete(agent, task)).status, 200)
    assert.equal((await closureOf(writ, agent.api, task)).outcome, 'proved')
    await assertLogsHold(writ)
  })

  test('ends at once when it is told a second time by somebody who will not wait', async () => {
    const task = await opened(agent)
    const holder = new Client({ connectionString: cluster.url() })
    await holder.connect()
    await holder.query('begin')
    await holder.query('lock table pg_catalog.pg_authid in share row exclusive mode')
    const minting = ask(agent, task).then(() => 'answered', () => 'cut')
    await eventually('the back end is being asked', isWaiting)
    process.kill(writ.pid(), 'SIGINT')
    await eventually('it stops', () => isStopped(writ))
    await pause(1100)
    process.kill(writ.pid(), 'SIGINT')
    assert.equal(await writ.ended(), 130)
    assert.equal(await minting, 'cut')
    await holder.query('rollback')
    await holder.end()
    await writ.restart()
    await complete(agent, task)
    assert.notEqual((await closureOf(writ, agent.api, task)).outcome, undefined)
    await assertLogsHold(writ)
  })
})

onEachStore('a server that nobody asks', (writ, store) => {
  // Which signal it was is the process's affair, and not the store's.
  for (const signal of store === 'sqlite' || inFull ? ['SIGTERM', 'SIGINT', 'SIGHUP'] as const : ['SIGTERM'] as const) {
    test(`ends with 0 on ${signal}, soon, and everything is sealed`, async (t) => {
      await writ().register(`before-${signal.toLowerCase()}`)
      const began = performance.now()
      await writ().kill(signal)
      t.diagnostic(`ended after ${Math.round(performance.now() - began)} ms`)
      assert.equal(await writ().ended(), 0)
      assert.deepEqual(await inStoreOf(writ(), UNSEALED), [])
      await writ().restart()
    })
  }
})
