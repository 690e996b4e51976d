import type { Agent } from 'node:http'
import { setTimeout as pause } from 'node:timers/promises'
import { signInAs } from '../../packages/server/test/people.ts'
import { startWrit, type RunningWrit } from '../../packages/server/test/running-writ.ts'
import type { Cluster } from '../postgres-cluster.ts'
import { figure, load, timed, type Figure, type Order } from './figure.ts'
import { cpuOf, cpuOfPostgres, largestOf, perOp } from './machine.ts'
import { paced } from './paced.ts'
import { applyAskFirst, approve, attempt, AUTHORITY, connections, holderOf, requestOf, waitFor, type Holder } from './people-estate.ts'

export const WAITING = 10_000
/** More of one identity's may not wait at once. */
const PER_IDENTITY = 100
const CONCURRENCY = 16
/** What comes in while all wait is what they ask again and again, and nothing else; then a few tokens beside it. */
const LOOKED_AT_MS = 10_000
const [ISSUED, ISSUED_PER_SECOND] = [200, 20]
const BAR = { latestMs: 2000, megabytes: 800, issueMs: 250 }

/** R79: so many open tasks, each of which waits in a request of its own; then people say yes to one after the other, as fast as they are taken. */
export async function waiting({ store, count }: { readonly store: 'sqlite' | 'postgres'; readonly count: number }, { tell }: Pick<Order, 'tell'>, cluster: Cluster): Promise<readonly Figure[]> {
  const writ = await startWrit({ store, env: { WRIT_LOG: 'warn' } })
  const agent = connections()
  try {
    await applyAskFirst(writ)
    const maya = await signInAs(writ, { roles: ['reviewer'], email: 'maya@acme.example', passkey: false })
    const databaseCpu = (): number | undefined => (store === 'postgres' ? cpuOfPostgres(cluster) : undefined)
    const usual = largestOf(writ.pid())
    tell(`${count} tasks ask for an approval on ${store}, and wait`)
    const asking = await askAll(writ, agent, count)
    tell(`${count} tasks wait`)
    const idle = await watchedFor(LOOKED_AT_MS, writ, databaseCpu)
    const other = await writ.register('other', { authority: AUTHORITY })
    const issued = await paced(ISSUED, ISSUED_PER_SECOND, async () => { await holderOf(writ, other) })
    tell(`${count} approvals, ${CONCURRENCY} at once`)
    const [server, database, began] = [cpuOf(writ.pid()), databaseCpu(), performance.now()]
    await load(count, CONCURRENCY, async (index) => { await approve(maya, asking[index]!.id) })
    const late = await Promise.all(asking.map(async ({ heardAfter }) => heardAfter))
    const wholeMs = performance.now() - began
    if ((await attempt(agent, writ, asking[0]!.holder)) !== true) throw new Error('what was approved was not allowed')
    const largest = largestOf(writ.pid())
    const latest = late.reduce((most, one) => Math.max(most, one), 0)
    const all = count.toLocaleString('en')
    return [figure(`a task and a token while ${all} wait (${store})${idle}`, ISSUED, {
      perSecond: issued.perSecond, p50: issued.p50, p99: issued.p99, bar: `p99 <= ${BAR.issueMs} ms, with ${WAITING.toLocaleString('en')}`, isReached: issued.p99 <= BAR.issueMs,
    }), figure(`one of ${all} that wait hears of its yes (${store})${largest === undefined ? '' : `, ${Math.round(largest)} MB at most (${Math.round(usual ?? 0)} before)`}`, count, {
      ...timed(late, wholeMs), cpuPerOp: perOp(server, cpuOf(writ.pid()), count), databaseCpuPerOp: perOp(database, databaseCpu(), count),
      bar: `all within ${BAR.latestMs / 1000} s (${(latest / 1000).toFixed(2)}), < ${BAR.megabytes} MB, with ${WAITING.toLocaleString('en')}`,
      isReached: latest <= BAR.latestMs && (largest ?? 0) < BAR.megabytes,
    })]
  } finally {
    agent.destroy()
    await writ.stop()
  }
}

type Asking = { readonly holder: Holder; readonly id: string; /** From the yes, as the server dates it, to the answer here. */ readonly heardAfter: Promise<number> }

async function askAll(writ: RunningWrit, agent: Agent, count: number): Promise<readonly Asking[]> {
  const identities = await Promise.all(Array.from({ length: Math.ceil(count / PER_IDENTITY) }, (_, i) => writ.register(`noter-${i}`, { authority: AUTHORITY })))
  const asking: Asking[] = []
  await load(count, CONCURRENCY, async (index) => {
    const holder = await holderOf(writ, identities[index % identities.length]!)
    const denial = await attempt(agent, writ, holder)
    if (denial === true) throw new Error('it was allowed without a person')
    const id = await requestOf(agent, writ, holder, denial)
    const heardAfter = waitFor(agent, writ, holder, id).then((approvedAt) => Date.now() - approvedAt)
    // One that fails ends the measure where it is awaited.
    heardAfter.catch(() => undefined)
    asking.push({ holder, id, heardAfter })
  })
  return asking
}

/** What waiting alone costs, in words. */
async function watchedFor(ms: number, writ: RunningWrit, databaseCpu: () => number | undefined): Promise<string> {
  await pause(ms)
  const before = [cpuOf(writ.pid()), databaseCpu()]
  await pause(ms)
  const [used, database] = [perOp(before[0], cpuOf(writ.pid()), ms), perOp(before[1], databaseCpu(), ms)]
  return used === null ? '' : `, ${Math.round(used * 100)} % of a core${database === null ? '' : ` and ${Math.round(database * 100)} % in PostgreSQL`} while they wait`
}
