import { randomBytes } from 'node:crypto'
import { rmSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { DatabaseSync } from 'node:sqlite'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Pool } from 'pg'
import { startWrit, type RunningWrit, type TestIdentity } from '../../packages/server/test/running-writ.ts'
import { ask, type Cluster } from '../postgres-cluster.ts'
import { figure, load, type Figure, type Measure, type Peer } from './figure.ts'
import { cpuOf, cpuOfPostgres, perOp } from './machine.ts'

const CONCURRENCY = 32
/** As many identities as a small estate has at work; one identity's tasks open one after the other. */
const IDENTITIES = 64
const BAR = { perSecond: 1500, p99: 50 }

const BODY = JSON.stringify({ purpose: 'measures', authorization_details: [{ type: 'postgres', locations: ['shop'], actions: ['read'] }], ttl_seconds: 600, heartbeat_seconds: 600 })

/** `POST /v1/tasks`, answered after the commit, each with an assertion of its own that was signed beforehand. */
export function taskOpen(cluster: Cluster): Measure {
  return async ({ isQuick, tell }) => {
    const ops = isQuick ? 1000 : 6000
    const figures: Figure[] = []
    for (const store of ['sqlite', 'postgres'] as const) {
      tell(`task open on ${store}`)
      const writ = await startWrit({ store, env: { WRIT_LOG: 'warn' } })
      try {
        figures.push(await measureOne({ writ, store, cluster, ops }))
      } finally {
        await writ.stop()
      }
    }
    return figures
  }
}

async function measureOne({ writ, store, cluster, ops }: { readonly writ: RunningWrit; readonly store: 'sqlite' | 'postgres'; readonly cluster: Cluster; readonly ops: number }): Promise<Figure> {
  const identities: TestIdentity[] = []
  for (let i = 0; i < IDENTITIES; i++) identities.push(await writ.register(`opener-${i}`))
  const warmUp = Math.min(1000, ops / 2)
  const assertions = Array.from({ length: ops + warmUp }, (_, i) => identities[i % IDENTITIES]!.assertion({ exp: Math.floor(Date.now() / 1000) + 200 }))
  const agent = new Agent({ keepAlive: true, maxSockets: CONCURRENCY })
  const open = (index: number): Promise<void> => post(writ.url, agent, assertions[index]!)
  await load(warmUp, CONCURRENCY, open)
  const before = { server: cpuOf(writ.pid()), database: cpuOfPostgres(cluster) }
  const timed = await load(ops, CONCURRENCY, (index) => open(warmUp + index))
  const after = { server: cpuOf(writ.pid()), database: cpuOfPostgres(cluster) }
  agent.destroy()
  const plain = store === 'sqlite' ? plainSqlite(ops) : await plainPostgres(cluster, ops)
  const peer: Peer = { ...plain, p50: null, ratio: timed.perSecond / plain.perSecond }
  return figure(`task open (${store})`, ops, {
    ...timed, peer,
    cpuPerOp: perOp(before.server, after.server, ops),
    databaseCpuPerOp: store === 'postgres' ? perOp(before.database, after.database, ops) : null,
    bar: `>= ${BAR.perSecond}/s, p99 <= ${BAR.p99} ms`, isReached: timed.perSecond >= BAR.perSecond && timed.p99 <= BAR.p99,
  })
}

function post(url: string, agent: Agent, assertion: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const sent = request(`${url}/v1/tasks`, { method: 'POST', agent, headers: { authorization: `Bearer ${assertion}`, 'content-type': 'application/json', 'content-length': BODY.length } }, (answer) => {
      let text = ''
      answer.setEncoding('utf8').on('data', (chunk: string) => { text += chunk }).on('end', () => {
        if (answer.statusCode === 201) resolve()
        else reject(new Error(`${answer.statusCode}: ${text}`))
      })
    })
    sent.on('error', reject).end(BODY)
  })
}

/** One row per transaction into one table, as many at once as the measured clients. */
async function plainPostgres(cluster: Cluster, ops: number): Promise<{ readonly name: string; readonly perSecond: number }> {
  await ask(cluster.url(), 'create table if not exists bench_row (id text primary key, body text)')
  const pool = new Pool({ connectionString: cluster.url(), max: 10 })
  const timed = await load(ops, CONCURRENCY, async () => {
    await pool.query('insert into bench_row values ($1, $2)', [randomBytes(16).toString('hex'), BODY])
  })
  await pool.end()
  return { name: 'plain pg, one insert per commit', perSecond: timed.perSecond }
}

function plainSqlite(ops: number): { readonly name: string; readonly perSecond: number } {
  const file = join(tmpdir(), `writ-bench-${randomBytes(6).toString('hex')}.db`)
  const database = new DatabaseSync(file)
  database.exec('pragma journal_mode = wal; pragma synchronous = full; create table bench_row (id text primary key, body text)')
  const insert = database.prepare('insert into bench_row values (?, ?)')
  const began = performance.now()
  for (let i = 0; i < ops; i++) insert.run(randomBytes(16).toString('hex'), BODY)
  const perSecond = (ops / (performance.now() - began)) * 1000
  database.close()
  for (const suffix of ['', '-wal', '-shm']) rmSync(file + suffix, { force: true })
  return { name: 'plain node:sqlite, one insert per commit', perSecond }
}
