import { randomBytes } from 'node:crypto'
import * as tasks from '@writ/contract/tasks'
import { Client } from 'pg'
import { governedPostgres, type GovernedPostgres } from '../../packages/server/test/governed-postgres.ts'
import { addShop, complete, leased, opened } from '../../packages/server/test/governed-writ.ts'
import { startWrit, type RunningWrit, type TestIdentity } from '../../packages/server/test/running-writ.ts'
import { ask, type Cluster } from '../postgres-cluster.ts'
import { figure, load, timed, type Figure, type Measure, type Order, type Timed } from './figure.ts'
import { cpuOf, cpuOfPostgres, perOp } from './machine.ts'

const LIVE = 1000
const PER_TASK = 20
const LONG = { ttl_seconds: 3000, heartbeat_seconds: 3000, budget: { calls: 1000 } }

/** A task's start with a login that did not exist before, and its end until PostgreSQL has refused that login. */
export function leaseLife(cluster: Cluster): Measure {
  return async (order) => {
    const shop = await governedPostgres(18)
    const writ = await startWrit({ env: { WRIT_LOG: 'warn' } })
    try {
      await addShop(writ, shop)
      const agent = await writ.register('bench-agent')
      const stage: Stage = { writ, shop, agent, cluster }
      return [...await starts(stage, order), ...await ends(stage, order)]
    } finally {
      await writ.stop()
      await shop.remove()
    }
  }
}

type Stage = { readonly writ: RunningWrit; readonly shop: GovernedPostgres; readonly agent: TestIdentity; readonly cluster: Cluster }

async function starts(stage: Stage, { isQuick, tell }: Order): Promise<readonly Figure[]> {
  const ops = isQuick ? 20 : 100
  const begun: string[] = []
  const start = async (): Promise<void> => {
    const task = await opened(stage.agent, LONG)
    await leased(stage.agent, task)
    begun.push(task)
  }
  await load(5, 1, start)
  const figures: Figure[] = []
  for (const concurrency of [1, 4]) {
    tell(`task start with a PostgreSQL lease, ${concurrency} at a time`)
    const { result, cpu } = await watched(stage, ops, () => load(ops, concurrency, start))
    const plain = await load(ops, concurrency, () => plainRole(stage))
    figures.push(figure(`task start with a lease (${concurrency} at a time)`, ops, {
      ...result, ...cpu, bar: 'p50 <= 150 ms', isReached: result.p50 <= 150,
      peer: { name: 'create role, log in, drop role by hand', perSecond: plain.perSecond, p50: plain.p50, ratio: result.p50 / plain.p50 },
    }))
  }
  for (const task of begun) await complete(stage.agent, task)
  for (const task of begun) await certificateOf(stage.agent, task)
  return figures
}

async function ends(stage: Stage, { isQuick, tell }: Order): Promise<readonly Figure[]> {
  const live = isQuick ? 100 : LIVE
  tell(`${live} live leases`)
  const background: string[] = []
  await load(live / PER_TASK, 4, async () => {
    const task = await opened(stage.agent, LONG)
    for (let i = 0; i < PER_TASK; i++) await leased(stage.agent, task)
    background.push(task)
  })

  tell(`end to refused, one by one, beside ${live} live leases`)
  const ops = isQuick ? 10 : 60
  const victims: string[] = []
  for (let i = 0; i < ops; i++) {
    const task = await opened(stage.agent, LONG)
    await leased(stage.agent, task)
    victims.push(task)
  }
  const { result: oneByOne, cpu } = await watched(stage, ops, () => endThem(stage.agent, victims, 1))

  tell(`end to refused, ${live} at once`)
  const together = await watched(stage, live, () => endThem(stage.agent, background, background.length))
  return [
    figure(`end to refused (1 of ${live} live)`, ops, { ...oneByOne, ...cpu, bar: 'p99 <= 2 s', isReached: oneByOne.p99 <= 2000 }),
    figure(`end to refused (all ${live} at once)`, together.result.ops, { ...together.result, ...together.cpu }),
  ]
}

/** From the request that completes a task to the record of PostgreSQL's refusal, for each of its leases. */
async function endThem(agent: TestIdentity, ids: readonly string[], concurrency: number): Promise<Timed> {
  const asked = new Map<string, number>()
  const took: number[] = []
  let last = 0
  const began = Date.now()
  await load(ids.length, concurrency, async (index) => {
    asked.set(ids[index]!, Date.now())
    await complete(agent, ids[index]!)
    for (const at of await certificateOf(agent, ids[index]!)) {
      took.push(at - asked.get(ids[index]!)!)
      last = Math.max(last, at)
    }
  })
  return timed(took, last - began)
}

/** When each lease was refused, as its event says; a lease that was not refused spoils the run. */
async function certificateOf(agent: TestIdentity, task: string): Promise<readonly number[]> {
  for (let tries = 0; tries < 10; tries++) {
    const got = await agent.api(tasks.certificate, { parameters: { id: task }, query: { wait_seconds: '30' } })
    if (got.status !== 200) continue
    const { receipts } = JSON.parse(got.text) as { readonly receipts: readonly { readonly leaf: string }[] }
    const events = receipts.map(({ leaf }) => JSON.parse(leaf) as { readonly type: string; readonly at: number; readonly facts: { readonly outcome?: string } })
    const ended = events.filter((event) => event.type === 'lease.ended')
    if (ended.some((event) => event.facts.outcome !== 'proved')) throw new Error(`a lease of ${task} is not proved`)
    return ended.map((event) => event.at)
  }
  throw new Error(`${task} has no certificate after five minutes`)
}

async function watched<T>({ writ, cluster }: Stage, ops: number, run: () => Promise<T>): Promise<{ readonly result: T; readonly cpu: Pick<Figure, 'cpuPerOp' | 'databaseCpuPerOp'> }> {
  const before = { server: cpuOf(writ.pid()), database: cpuOfPostgres(cluster) }
  const result = await run()
  return { result, cpu: { cpuPerOp: perOp(before.server, cpuOf(writ.pid()), ops), databaseCpuPerOp: perOp(before.database, cpuOfPostgres(cluster), ops) } }
}

/** Without grants: two sessions that grant on one schema at once fail (`tuple concurrently updated`), and a fair peer would need a queue. */
async function plainRole({ shop, cluster }: Stage): Promise<void> {
  const [role, password] = [`bench_${randomBytes(6).toString('hex')}`, randomBytes(24).toString('hex')]
  await ask(cluster.url(shop.database), `create role ${role} login password '${password}' connection limit 5`)
  const client = new Client({ host: cluster.host, port: cluster.port, user: role, password, database: shop.database })
  await client.connect()
  await client.end()
  await ask(cluster.url(shop.database), `drop role ${role}`)
}

