import { setTimeout as wait } from 'node:timers/promises'
import { epochMs } from '@writ/domain/time'
import { verifyCertificate, printCertificate } from '@writ/ledger/certificate'
import { linesOf } from '@writ/ledger/lines'
import { verifyLog } from '@writ/ledger/log'
import { nodePrimitives } from '../../packages/ledger/offline/primitives.ts'
import { leafText, makeKey, makeLog, receiptsOf, sha256 } from '../../packages/ledger/test/made-log.ts'
import { story, surrounded } from '../../packages/ledger/test/story.ts'
import { exportOf, verifierKey } from '../../packages/server/test/read-log.ts'
import { storeOfWrit, type StoreName, type StoreOfWrit } from '../../packages/server/test/store-of-writ.ts'
import { sealOnce } from '../../packages/server/src/record/seal.ts'
import { recordBackendTest } from '../../packages/server/src/registry/watched.ts'
import { findLog } from '../../packages/server/src/store/logs.ts'
import type { Cluster } from '../postgres-cluster.ts'
import { figure, load, percentile, timed, type Figure, type Measure, type Order } from './figure.ts'
import { cpuOfPostgres, perOp } from './machine.ts'

const SEAL_BAR = { perSecond: 3000, lag: 5000 }
const VERIFY_BAR = 100_000
const OPERATOR = { kind: 'operator', id: 'opr_bench' } as const

/** Appends events through a change as fast as the store takes them while the sealer runs, then verifies the log offline. */
export function ledger(cluster: Cluster): Measure {
  return async (order) => {
    const figures: Figure[] = []
    for (const store of ['sqlite', 'postgres'] as const) {
      await within(store, async (of) => {
        figures.push(await sealing(of, cluster, order))
        if (store === 'sqlite') figures.push(await verifying(of, order))
      })
    }
    figures.push(certificates(order))
    return figures
  }
}

async function within(store: StoreName, work: (of: StoreOfWrit) => Promise<void>): Promise<void> {
  const after: (() => unknown)[] = []
  const of = await storeOfWrit(store, { after: (last: unknown) => { after.push(last as () => unknown) } })
  try {
    await work(of)
  } finally {
    for (const last of after.toReversed()) await last()
  }
}

async function sealing(of: StoreOfWrit, cluster: Cluster, { isQuick, tell }: Order): Promise<Figure> {
  const ops = isQuick ? 4000 : 20_000
  tell(`${ops} events and their sealing on ${of.name}`)
  const needs = { ...of.sealing, clock: { now: () => epochMs(Date.now()) } }
  const sealed: { readonly size: number; readonly at: number }[] = []
  let isOver = false
  const before = { own: process.cpuUsage(), database: cpuOfPostgres(cluster) }
  const began = Date.now()
  const sealer = (async () => {
    for (let size = (await headOf(of)).size; ;) {
      const wasOver = isOver
      const placed = await sealOnce(needs, 'human')
      size += placed
      if (placed > 0) sealed.push({ size, at: Date.now() })
      else if (wasOver) return
      else await wait(5)
    }
  })()
  const appended = await load(ops, 256, async () => {
    await of.store.change(recordBackendTest, { backend: of.newId('backend'), name: 'shop', outcome: 'passed', by: OPERATOR, now: epochMs(Date.now()) })
  })
  isOver = true
  await sealer
  const wholeMs = Date.now() - began
  const cpu = process.cpuUsage(before.own)
  const lags = await lagsOf(of, sealed)
  const [perSecond, lag] = [(ops / wholeMs) * 1000, percentile(lags, 0.99)]
  return figure(`sealing, with the appending (${of.name})`, ops, {
    perSecond, p50: percentile(lags, 0.5), p99: lag,
    // Of this process, which here is client and server in one.
    cpuPerOp: (cpu.user + cpu.system) / 1000 / ops,
    databaseCpuPerOp: of.name === 'postgres' ? perOp(before.database, cpuOfPostgres(cluster), ops) : null,
    bar: `>= ${SEAL_BAR.perSecond}/s, lag <= ${SEAL_BAR.lag / 1000} s (p50 and p99 are the lag)`, isReached: perSecond >= SEAL_BAR.perSecond && lag <= SEAL_BAR.lag,
    peer: { name: 'the appending alone, as its callers saw it', perSecond: appended.perSecond, p50: appended.p50, ratio: perSecond / appended.perSecond },
  })
}

const headOf = async (of: StoreOfWrit) => (await of.store.read((db) => findLog(db, 'human')))!

/** For each event, from the moment that its caller asked to the commit of the first checkpoint that covers it. */
async function lagsOf(of: StoreOfWrit, sealed: readonly { readonly size: number; readonly at: number }[]): Promise<readonly number[]> {
  const rows = await of.store.read((db) => db.selectFrom('event').select(['at', 'leaf_index']).where('type', '=', 'backend.tested').orderBy('leaf_index').execute())
  let next = 0
  return rows.map((row) => {
    while (sealed[next]!.size <= row.leaf_index!) next++
    return sealed[next]!.at - row.at
  })
}

async function verifying(of: StoreOfWrit, { isQuick, tell }: Order): Promise<Figure> {
  tell('verifying the log offline')
  const text = Buffer.from(await exportOf((query) => of.store.read(query), 'human'))
  const key = verifierKey((await headOf(of)).vkey)
  const took: number[] = []
  let events = 0
  const cpu = process.cpuUsage()
  for (let round = 0; round < (isQuick ? 2 : 6); round++) {
    const before = performance.now()
    const verified = verifyLog(nodePrimitives, key, linesOf([text]))
    took.push(performance.now() - before)
    if (!verified.ok) throw new Error(`the log does not hold: ${verified.refusal.detail}`)
    events = verified.value.checkpoint.size
  }
  const used = process.cpuUsage(cpu)
  const perSecond = (events / percentile(took, 0.5)) * 1000
  return figure('verify a log offline (events)', events * took.length, {
    perSecond, p50: percentile(took, 0.5), p99: percentile(took, 0.99), cpuPerOp: (used.user + used.system) / 1000 / (events * took.length),
    bar: `>= ${VERIFY_BAR.toLocaleString('en')}/s`, isReached: perSecond >= VERIFY_BAR,
  })
}

function certificates({ isQuick, tell }: Order): Figure {
  tell('verifying closure certificates offline')
  const key = makeKey()
  const log = makeLog(key, surrounded().map(leafText))
  const printed = printCertificate(sha256, log.note, receiptsOf(log, story))
  if (!printed.ok) throw new Error('the certificate was not made')
  const took: number[] = []
  const cpu = process.cpuUsage()
  const began = performance.now()
  for (let i = 0; i < (isQuick ? 300 : 3000); i++) {
    const before = performance.now()
    if (!verifyCertificate(nodePrimitives, key.key, printed.value).ok) throw new Error('the certificate does not hold')
    took.push(performance.now() - before)
  }
  const used = process.cpuUsage(cpu)
  return figure('verify a certificate offline', took.length, { ...timed(took, performance.now() - began), cpuPerOp: (used.user + used.system) / 1000 / took.length })
}
