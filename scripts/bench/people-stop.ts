import { setTimeout as pause } from 'node:timers/promises'
import { makeStop, showStop } from '@writ/contract/stops'
import { inStoreOf } from '../../packages/server/test/kept.ts'
import { signInAs } from '../../packages/server/test/people.ts'
import { startWrit, type RunningWrit, type TestIdentity } from '../../packages/server/test/running-writ.ts'
import { startSeveral } from '../../packages/server/test/several-writs.ts'
import type { Cluster } from '../postgres-cluster.ts'
import { figure, type Figure, type Order } from './figure.ts'
import { cpuOf, cpuOfPostgres, perOp } from './machine.ts'
import { connections, holderOf, send, type Holder, type Where } from './people-estate.ts'

const LEASES = 10_000
const BAR = { refusedMs: 1000, othersMs: 3000 }
const LONGEST_MS = 600_000
const GRANT = JSON.stringify([{ type: 'tickets', locations: ['queue'], actions: ['read'] }])
const TERMS = { purpose: 'measures', authorization_details: GRANT, ttl_seconds: '3600', heartbeat_seconds: '3600', budget_calls: '1000000' }

/** One stop of an identity with so many live access tokens, a hundred to a task, and then one to a task. */
export async function bigStops(store: 'sqlite' | 'postgres', { isQuick, tell }: Order, cluster: Cluster): Promise<readonly Figure[]> {
  const leases = isQuick ? LEASES / 10 : LEASES
  const several = store === 'sqlite' ? undefined : await startSeveral({ env: { WRIT_LOG: 'warn' } })
  const writs = several?.writs ?? [await startWrit({ env: { WRIT_LOG: 'warn' } })] as const
  try {
    const figures: Figure[] = []
    for (const perTask of [100, 1]) {
      tell(`a stop of ${leases} leases, ${perTask} to a task, on ${store}`)
      figures.push(...await bigStop({ writs, cluster: store === 'sqlite' ? undefined : cluster, name: store }, { leases, perTask }))
    }
    return figures
  } finally {
    if (several === undefined) await writs[0].stop()
    else await several.stop()
  }
}

/** `writs`: all servers of one Writ; the first one is asked to stop. */
type Stage = { readonly writs: readonly [RunningWrit, ...RunningWrit[]]; readonly cluster: Cluster | undefined; readonly name: string }
type Size = { readonly leases: number; readonly perTask: number }

async function bigStop({ writs, cluster, name }: Stage, { leases, perTask }: Size): Promise<readonly Figure[]> {
  const [here] = writs
  const rosa = await signInAs(here, { roles: ['responder'], passkey: false })
  const [busy, other] = [await here.register(`busy-${perTask}`, { authority: ['tickets:queue:read'] }), await here.register(`other-${perTask}`, { authority: ['tickets:queue:read'] })]
  const tasks = leases / perTask
  await fill(here, busy, { tasks: tasks - 1, perTask })
  const [held, bystander] = [await holderOf(here, busy, TERMS), await holderOf(here, other, TERMS)]
  const cpu = (): number | undefined => writs.map((writ) => cpuOf(writ.pid())).reduce((sum, one) => (sum === undefined || one === undefined ? undefined : sum + one), 0)
  const databaseCpu = (): number | undefined => cluster && cpuOfPostgres(cluster)
  const [server, database, began] = [cpu(), databaseCpu(), performance.now()]
  const since = (): number => performance.now() - began

  const refused = Promise.all(writs.map(async (writ) => untilRefused(writ, held).then(since)))
  const others = new AbortController()
  const slowest = slowestUse(writs.at(-1)!, bystander, others.signal)
  // They are awaited below.
  for (const one of [refused, slowest]) one.catch(() => undefined)
  const made = await rosa.api(makeStop, { body: { target: { kind: 'identity', id: busy.id }, reason: 'measures' } })
  if (made.status !== 200) throw new Error(`it was not stopped: ${made.text}`)
  const answered = since()
  const refusedMs = Math.max(...await refused)
  const withdrawn = await settledAfter(here, made.reply.stop!.id)
  others.abort()
  const [cpuPerOp, databaseCpuPerOp] = [perOp(server, cpu(), leases), perOp(database, databaseCpu(), leases)]
  const what = `of ${leases.toLocaleString('en')} leases in ${tasks.toLocaleString('en')} tasks (${name})`
  const slowestMs = await slowest
  return [
    figure(`stop ${what}, to its answer`, 1, { p50: answered }),
    figure(`stop ${what}, to refused on ${writs.length === 1 ? 'the server' : 'each server'}`, 1, { p50: refusedMs, bar: `<= ${BAR.refusedMs / 1000} s, with ${LEASES.toLocaleString('en')}`, isReached: refusedMs <= BAR.refusedMs }),
    figure(`stop ${what}, to contained`, leases, { perSecond: (leases / withdrawn) * 1000, p50: withdrawn, cpuPerOp, databaseCpuPerOp }),
    figure(`stop ${what}, slowest use of another identity meanwhile`, 1, { p50: slowestMs, bar: `<= ${BAR.othersMs / 1000} s`, isReached: slowestMs <= BAR.othersMs }),
  ]
}

/** Counts a call, by the task's token. */
const use = (agent: ReturnType<typeof connections>, writ: Where, holder: Holder) => send(agent, writ, holder, { path: `/v1/tasks/${holder.task}/heartbeat`, body: { calls: 1 } })

async function untilRefused(writ: RunningWrit, holder: Holder): Promise<void> {
  const agent = connections()
  try {
    for (;;) {
      const { status, text } = await use(agent, writ, holder)
      // The token is dead, or its task is over: whichever is looked at first. Not being able to say is no refusal.
      if (status === 401 || status === 409) return
      if (status !== 200 && status !== 503) throw new Error(`a use answered ${status}: ${text}`)
    }
  } finally {
    agent.destroy()
  }
}

async function slowestUse(writ: RunningWrit, holder: Holder, signal: AbortSignal): Promise<number> {
  const agent = connections()
  let slowest = 0
  while (!signal.aborted) {
    const began = performance.now()
    const { status, text } = await use(agent, writ, holder)
    // 503: nothing was done, and it is asked again; what it took counts.
    if (status !== 200 && status !== 503) throw new Error(`a use of another identity answered ${status}: ${text}`)
    slowest = Math.max(slowest, performance.now() - began)
    await pause(20)
  }
  agent.destroy()
  return slowest
}

async function settledAfter(writ: RunningWrit, id: string): Promise<number> {
  for (const until = performance.now() + LONGEST_MS; performance.now() < until; await pause(100)) {
    const { state, after_ms: afterMs } = (await writ.operator(showStop, { parameters: { id } })).reply
    if (state === 'contained') return afterMs!
    if (state !== 'containing') throw new Error(`the stop is ${state}`)
  }
  throw new Error('the stop was not contained in ten minutes')
}

/** Rows as the changes would have written them, past Writ: one task with a token is really opened, and copied under other ids. */
async function fill(writ: RunningWrit, identity: TestIdentity, { tasks, perTask }: { readonly tasks: number; readonly perTask: number }): Promise<void> {
  const { task } = await holderOf(writ, identity, TERMS)
  const numbers = `with recursive n(i) as (select 1 union all select i + 1 from n where i < ${Math.max(tasks, tasks * perTask)})`
  const begin = String(Date.now()).padStart(16, '0')
  const idOf = (prefix: string, number: string): string => `'${prefix}_${begin}' || substr(cast(10000000000 + ${number} as text), 2)`
  const copied = async (table: string, put: Readonly<Record<string, string>>, count: number): Promise<void> => {
    const [row] = await inStoreOf(writ, `select * from ${table} where ${table === 'task' ? 'id' : 'task_id'} = $1`, [task])
    const columns = Object.keys(row!).filter((column) => column !== 'seq')
    await inStoreOf(writ, `${numbers} insert into ${table} (${columns.join(', ')}) select ${columns.map((column) => put[column] ?? `mold.${column}`).join(', ')}
      from n cross join (select * from ${table} where ${table === 'task' ? 'id' : 'task_id'} = $1 limit 1) as mold where n.i <= ${count} returning id`, [task])
  }
  await copied('task', { id: idOf('tsk', 'n.i'), root_id: idOf('tsk', 'n.i') }, tasks)
  await copied('access_token', { id: idOf('lse', 'n.i'), task_id: idOf('tsk', `(1 + (n.i - 1) / ${perTask})`) }, tasks * perTask)
}
