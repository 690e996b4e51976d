import { applyPolicies } from '@writ/contract/policies'
import type { BundleFiles } from '@writ/policy/bundle'
import { askToken, proofKey, type ProofKey } from '../../packages/server/test/oauth-client.ts'
import { startWrit, type RunningWrit } from '../../packages/server/test/running-writ.ts'
import type { Cluster } from '../postgres-cluster.ts'
import { TOOL_FILES } from './decisions-estate.ts'
import { CERBOS_NAME, CERBOS_QUESTION, startCerbos, type Peers } from './decisions-peers.ts'
import { measureAt, type AtDesk, type Counts, type Desk } from './desk.ts'
import { figure, type Figure, type Order } from './figure.ts'
import { cpuOf, cpuOfPostgres } from './machine.ts'
import type { Ask } from './paced.ts'

const CONCURRENCY = 32
/** A task's uses are decided one after the other: as many tasks as a small estate has at work. */
const TASKS = 64
const OFFERED = 500
const BAR = { p99: 10 }
const PATH = '/access/v1/evaluation'
const CALLS = '1000000'

/** Advice as it is asked for; a use is the same with the task of its token. */
export const QUESTION = {
  subject: { type: 'agent', id: 'spiffe://acme.example/asker-0', properties: { class: 'autonomous', environment: 'test', system_scope: ['crm'] } },
  action: { name: 'call', properties: { query: 'unpaid orders of last week', limit: 50 } }, resource: { type: 'tool', id: 'crm/search' },
}

const PACE = { perSecond: OFFERED, concurrency: CONCURRENCY }

/** A decision of which the event is committed before the answer leaves, and Cerbos with the same policy, which writes its log to a file. */
export async function decisionsOverHttp({ isQuick, tell }: Order, cluster: Cluster, peers: Peers | null): Promise<readonly Figure[]> {
  const counts: Counts = isQuick ? { offered: OFFERED * 3, full: 1000, warmUp: 500 } : { offered: OFFERED * 20, full: 10_000, warmUp: 2000 }
  const figures: Figure[] = []
  const theirs = peers === null ? undefined : await measureCerbos(peers, counts, tell)
  if (theirs !== undefined) figures.push(...figuresOf(CERBOS_NAME, theirs, counts, undefined))
  for (const store of ['sqlite', 'postgres'] as const) {
    const writ = await startWrit({ store, env: { WRIT_LOG: 'warn' } })
    const databaseCpu = (): number | undefined => (store === 'postgres' ? cpuOfPostgres(cluster) : undefined)
    try {
      await applyTo(writ, TOOL_FILES)
      tell(`advice over HTTP on ${store}`)
      figures.push(...figuresOf(`AuthZEN advice (${store})`, await measureAt(adviceDesk(writ, databaseCpu), counts, PACE), counts, theirs))
      tell(`uses in tasks over HTTP on ${store}`)
      figures.push(...figuresOf(`AuthZEN use in a task (${store})`, await measureAt(await useDesk(writ, databaseCpu), counts, PACE), counts, theirs))
    } finally {
      await writ.stop()
    }
  }
  return figures
}

export async function applyTo(writ: RunningWrit, files: BundleFiles): Promise<void> {
  const got = await writ.operator(applyPolicies, { body: { files, reason: 'measures' } })
  if (got.status !== 201) throw new Error(`the policies were not applied: ${got.text}`)
}

function figuresOf(name: string, { offered, full, cpuPerOp, databaseCpuPerOp }: AtDesk, counts: Counts, peer: AtDesk | undefined): readonly Figure[] {
  const cpuRatio = cpuPerOp === null || !peer?.cpuPerOp ? null : cpuPerOp / peer.cpuPerOp
  const atOnce = full.perSecond / (peer?.full.perSecond ?? Number.NaN)
  return [
    figure(`${name}, ${OFFERED}/s offered`, counts.offered, {
      perSecond: offered.perSecond, p50: offered.p50, p99: offered.p99,
      peer: peer === undefined ? null : { name: CERBOS_NAME, perSecond: null, p50: peer.offered.p50, ratio: offered.p50 / peer.offered.p50 },
      ...(name === CERBOS_NAME ? {} : {
        bar: `p99 <= ${BAR.p99} ms, none refused (${offered.refused})`, isReached: offered.p99 <= BAR.p99 && offered.refused === 0,
      }),
    }),
    figure(`${name}, ${CONCURRENCY} at once`, counts.full, {
      ...full, cpuPerOp, databaseCpuPerOp,
      ...(peer === undefined ? {} : {
        peer: { name: `${CERBOS_NAME}${cpuRatio === null ? '' : `, ${cpuRatio.toFixed(2)} of its CPU`}`, perSecond: peer.full.perSecond, p50: peer.full.p50, ratio: atOnce },
        bar: 'more per second than the peer', isReached: atOnce >= 1,
      }),
    }),
  ]
}

function adviceDesk(writ: RunningWrit, databaseCpu: Desk['databaseCpu']): Desk {
  const ask: Ask = { body: JSON.stringify(QUESTION), headers: { authorization: `Bearer ${writ.operatorKey}` } }
  return { url: writ.url + PATH, allowed: '"decision":true', asks: (count) => Array.from({ length: count }, () => ask), cpu: () => cpuOf(writ.pid()), databaseCpu }
}

type Holder = { readonly token: string; readonly key: ProofKey; readonly body: string }

/** Access tokens that are bound by DPoP, each with a proof for this request alone that was signed shortly before. */
async function useDesk(writ: RunningWrit, databaseCpu: Desk['databaseCpu']): Promise<Desk> {
  const holders: Holder[] = []
  for (let i = 0; i < TASKS; i++) {
    const identity = await writ.register(`asker-${i}`, { authority: ['mcp:crm:search'] })
    const key = await proofKey()
    const details = JSON.stringify([{ type: 'mcp', locations: ['crm'], actions: ['search'] }])
    const got = await askToken(writ, identity, { purpose: 'measures', authorization_details: details, budget_calls: CALLS, heartbeat_seconds: '3600' }, { key })
    if (got.status !== 200) throw new Error(`no token: ${got.text}`)
    holders.push({ token: got.reply.access_token, key, body: JSON.stringify({ ...QUESTION, subject: { type: 'agent', id: identity.spiffeId } }) })
  }
  const url = writ.url + PATH
  return {
    url, allowed: '"decision":true', cpu: () => cpuOf(writ.pid()), databaseCpu,
    asks: (count) => Array.from({ length: count }, (_, i): Ask => {
      const { token, key, body } = holders[i % holders.length]!
      return { body, headers: { authorization: `DPoP ${token}`, dpop: key.proof({ htu: url, token }) } }
    }),
  }
}

async function measureCerbos(peers: Peers, counts: Counts, tell: (progress: string) => void): Promise<AtDesk> {
  tell(`decisions of ${CERBOS_NAME}, with its log to a file`)
  const cerbos = await startCerbos(peers)
  try {
    const ask: Ask = { body: CERBOS_QUESTION, headers: {} }
    const asks = (count: number): readonly Ask[] => Array.from({ length: count }, () => ask)
    return await measureAt({ url: cerbos.url, allowed: 'EFFECT_ALLOW', asks, cpu: () => cpuOf(cerbos.pid), databaseCpu: () => undefined }, counts, PACE)
  } finally {
    await cerbos.stop()
  }
}
