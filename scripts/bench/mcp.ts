import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { accessTo, governServer, shown, type Access } from '../../packages/server/test/mcp/estate.ts'
import { startWrit, type RunningWrit } from '../../packages/server/test/running-writ.ts'
import type { Cluster } from '../postgres-cluster.ts'
import { measureAt, type AtDesk, type Counts, type Desk } from './desk.ts'
import { figure, type Figure, type Measure } from './figure.ts'
import { cpuOf, cpuOfPostgres } from './machine.ts'
import type { Ask } from './paced.ts'

const CONCURRENCY = 32
/** A task's calls are decided one after the other: as many tasks as a small estate has at work. */
const TASKS = 64
const OFFERED = 300
const BAR = { p50: 2, p99: 8 }
export const NAME = 'crm'
const NEWER = '2026-07-28'
const TASK_TERMS = { budget_calls: '1000000', heartbeat_seconds: '3600', ttl_seconds: '3600' }

export const ARGUMENTS = { query: 'unpaid orders of last week', limit: 50 }
/** MCP 2026-07-28: every request stands for itself. */
const BODY = JSON.stringify({
  jsonrpc: '2.0', id: 1, method: 'tools/call', params: {
    name: 'search', arguments: ARGUMENTS,
    _meta: { 'io.modelcontextprotocol/protocolVersion': NEWER, 'io.modelcontextprotocol/clientInfo': { name: 'measures', version: '1.0.0' }, 'io.modelcontextprotocol/clientCapabilities': {} },
  },
})
const HEADERS = { accept: 'application/json, text/event-stream', 'mcp-protocol-version': NEWER, 'mcp-method': 'tools/call', 'mcp-name': 'search' }
export const ALLOWED = '50 of unpaid orders of last week'

// The first call of a task opens its way to the server; tasks of a small estate do not all begin at once.
const PACE = { perSecond: OFFERED, concurrency: CONCURRENCY, gently: 2 * TASKS }

/** One call of a tool, at its server and through the gateway, where it is decided and in the record before a byte goes on. */
export const mcp = (cluster: Cluster): Measure => async ({ isQuick, tell }) => {
  const counts: Counts = isQuick ? { offered: OFFERED * 3, full: 600, warmUp: 400 } : { offered: OFFERED * 20, full: 6000, warmUp: 1500 }
  const upstream = await startUpstream()
  try {
    tell('calls of a tool at its own server')
    const none = (): undefined => undefined
    const direct = await measureAt({ url: upstream.url, allowed: ALLOWED, cpu: () => cpuOf(upstream.pid), databaseCpu: none, asks: (count) => Array.from({ length: count }, () => ({ body: BODY, headers: HEADERS })) }, counts, PACE)
    const figures = [...figuresOf('MCP call at its server', direct, counts, undefined)]
    for (const store of ['sqlite', 'postgres'] as const) {
      tell(`calls of a tool through the gateway on ${store}`)
      const writ = await startWrit({ store, env: { WRIT_LOG: 'warn', WRIT_OUTBOUND_ALLOW: new URL(upstream.url).host } })
      try {
        const desk = await gatewayDesk(writ, upstream.url, () => (store === 'postgres' ? cpuOfPostgres(cluster) : undefined))
        figures.push(...figuresOf(`MCP call through the gateway (${store})`, await measureAt(desk, counts, PACE), counts, direct))
      } finally {
        await writ.stop()
      }
    }
    return figures
  } finally {
    upstream.stop()
  }
}

type Upstream = { readonly url: string; readonly pid: number; stop(): void }

export async function startUpstream(): Promise<Upstream> {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'mcp-upstream.ts')], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
  const [{ url }] = await once(child, 'message') as [{ readonly url: string }]
  return { url, pid: child.pid!, stop: () => { child.kill() } }
}

/** Access tokens that are bound by DPoP, each with a proof for this request alone that was signed shortly before. */
async function gatewayDesk(writ: RunningWrit, upstream: string, databaseCpu: Desk['databaseCpu']): Promise<Desk> {
  await governServer(writ, { name: NAME, transport: 'http', url: upstream })
  const holders: Access[] = []
  for (let i = 0; i < TASKS; i++) {
    const identity = await writ.register(`asker-${i}`, { authority: [`mcp:${NAME}:search`] })
    holders.push(await accessTo(writ, identity, { server: NAME, tools: ['search'], form: TASK_TERMS }))
  }
  return {
    url: `${writ.url}/mcp/${NAME}`, allowed: ALLOWED, cpu: () => cpuOf(writ.pid()), databaseCpu,
    asks: (count) => Array.from({ length: count }, (_, i): Ask => ({ body: BODY, headers: { ...HEADERS, ...shown(holders[i % holders.length]!) } })),
  }
}

function figuresOf(name: string, { offered, full, cpuPerOp, databaseCpuPerOp }: AtDesk, counts: Counts, direct: AtDesk | undefined): readonly Figure[] {
  const added = direct === undefined ? undefined : { p50: offered.p50 - direct.offered.p50, p99: offered.p99 - direct.offered.p99 }
  return [
    figure(`${name}, ${OFFERED}/s offered`, counts.offered, {
      perSecond: offered.perSecond, p50: offered.p50, p99: offered.p99,
      ...(added === undefined ? {} : {
        peer: { name: 'at its server', perSecond: null, p50: direct!.offered.p50, ratio: offered.p50 / direct!.offered.p50 },
        bar: `added p50 <= ${BAR.p50} ms (${added.p50.toFixed(2)}), p99 <= ${BAR.p99} ms (${added.p99.toFixed(2)}), none refused (${offered.refused})`,
        isReached: added.p50 <= BAR.p50 && added.p99 <= BAR.p99 && offered.refused === 0,
      }),
    }),
    figure(`${name}, ${CONCURRENCY} at once`, counts.full, { ...full, cpuPerOp, databaseCpuPerOp }),
  ]
}
