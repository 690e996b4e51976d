import type { Stream } from '@writ/domain/event'
import { END_REASONS } from '@writ/domain/task'
import { Counter, Gauge, type Registry } from 'prom-client'
import type { Clock } from '../platform/clock.ts'
import type { Store } from '../record/tx.ts'
import { StorageBusy, StorageUnavailable } from '../store/faults.ts'
import { countLogs, countOpen, tallyLeaves } from '../store/tallies.ts'

export type StoreCountNeeds = { readonly store: Pick<Store, 'read'>; readonly clock: Clock }

/** However often it is asked, the store is counted once in this time. */
const COUNTED_FOR_MS = 5000
const LEAVES_AT_ONCE = 2000
const NON_HUMAN: Stream = 'non-human'

/** Numbers that the store knows. They tell of the whole installation, so every server that shares the store says the same. */
export function countsFrom({ store, clock }: StoreCountNeeds, registers: Registry[]): { readonly refresh: () => Promise<void> } {
  const up = new Gauge({ name: 'writ_store_up', help: 'Whether the store could be counted; where it could not, its numbers are absent', registers })
  const gauges = gaugesOf(registers)
  const counters = countersOf(registers)
  let countedUntil: number | undefined
  let until = 0
  let counting: Promise<void> | undefined

  const count = async (): Promise<void> => {
    try {
      const logs = await store.read(countLogs)
      gauges.setLogs(logs, clock.now())
      gauges.setOpen(await store.read(countOpen))
      const size = logs.find((log) => log.stream === NON_HUMAN)?.leaves ?? 0
      // A log that was opened anew begins at its end: what it holds is not what has happened meanwhile.
      const from = countedUntil === undefined || countedUntil > size ? size : countedUntil
      for (let at = from; at < size; at = Math.min(size, at + LEAVES_AT_ONCE)) {
        const to = Math.min(size, at + LEAVES_AT_ONCE)
        counters.add(await store.read((db) => tallyLeaves(db, NON_HUMAN, at, to, ['task.ended', 'lease.ended'])))
        countedUntil = to
      }
      countedUntil = size
      up.set(1)
    } catch (error) {
      if (!(error instanceof StorageUnavailable) && !(error instanceof StorageBusy)) throw error
      // The store's own fault counter and readiness say why; a source that is missing is absent, never zero.
      gauges.clear()
      up.set(0)
    }
  }

  return {
    async refresh() {
      if (clock.now() < until) return
      counting ??= count().finally(() => {
        until = clock.now() + COUNTED_FOR_MS
        counting = undefined
      })
      await counting
    },
  }
}

function gaugesOf(registers: Registry[]) {
  const plain = {
    tasks: new Gauge({ name: 'writ_tasks_open', help: 'Tasks that may act', registers }),
    leases: new Gauge({ name: 'writ_leases_open', help: 'Leases at back ends that have no recorded end yet', registers }),
    accessTokens: new Gauge({ name: 'writ_access_tokens_open', help: 'Access tokens that have no recorded end yet', registers }),
    incidents: new Gauge({ name: 'writ_incidents_open', help: 'Incidents that somebody has to act on', registers }),
  }
  const inHand = new Gauge({ name: 'writ_leases_in_hand', help: 'Leases that are being made or withdrawn right now', labelNames: ['state'], registers })
  const findings = new Gauge({ name: 'writ_findings_open', help: 'Standing observations that something is wrong, by kind', labelNames: ['kind'], registers })
  const leaves = new Gauge({ name: 'writ_log_leaves', help: 'Leaves of a log', labelNames: ['stream'], registers })
  const lag = new Gauge({ name: 'writ_sealing_lag_seconds', help: 'How long the oldest event has waited for its place in the log', labelNames: ['stream'], registers })
  return {
    setOpen(open: Awaited<ReturnType<typeof countOpen>>) {
      for (const [name, gauge] of Object.entries(plain)) gauge.set(open[name as keyof typeof plain])
      inHand.set({ state: 'intended' }, open.leasesBeingMade)
      inHand.set({ state: 'withdrawing' }, open.leasesBeingWithdrawn)
      findings.reset()
      for (const [kind, count] of open.findings) findings.set({ kind }, count)
    },
    setLogs(logs: Awaited<ReturnType<typeof countLogs>>, now: number) {
      for (const { stream, leaves: count, waitsSince } of logs) {
        leaves.set({ stream }, count)
        lag.set({ stream }, waitsSince === null ? 0 : Math.max(0, now - waitsSince) / 1000)
      }
    },
    clear() {
      for (const gauge of Object.values(plain)) gauge.remove()
      // With labels: no series is left. Without, it would say zero.
      for (const gauge of [inHand, findings, leaves, lag]) gauge.reset()
    },
  }
}

const OUTCOMES = ['proved', 'not_evaluated', 'never_issued']

/** What has happened, as the log tells it, and so on every server that shares the store. */
function countersOf(registers: Registry[]) {
  const opened = new Counter({ name: 'writ_tasks_opened_total', help: 'Tasks opened since this server began', registers })
  const ended = new Counter({ name: 'writ_tasks_ended_total', help: 'Tasks ended since this server began, by reason', labelNames: ['reason'], registers })
  const minted = new Counter({ name: 'writ_leases_minted_total', help: 'Leases minted at back ends since this server began', registers })
  const leasesEnded = new Counter({ name: 'writ_leases_ended_total', help: 'Leases with a recorded end since this server began, by what is known of it', labelNames: ['outcome'], registers })
  const failed = new Counter({ name: 'writ_withdrawals_failed_total', help: 'Tries to withdraw a lease that failed since this server began', registers })
  for (const reason of END_REASONS) ended.inc({ reason }, 0)
  for (const outcome of OUTCOMES) leasesEnded.inc({ outcome }, 0)
  return {
    add({ counts, told }: Awaited<ReturnType<typeof tallyLeaves>>) {
      opened.inc(counts.get('task.opened') ?? 0)
      minted.inc(counts.get('lease.minted') ?? 0)
      failed.inc(counts.get('lease.withdrawal_failed') ?? 0)
      for (const { type, leaf } of told) {
        const { facts } = JSON.parse(leaf) as { readonly facts: { readonly reason?: string; readonly outcome?: string } }
        if (type === 'task.ended') ended.inc({ reason: END_REASONS.find((reason) => reason === facts.reason) ?? 'other' })
        else leasesEnded.inc({ outcome: OUTCOMES.find((outcome) => outcome === facts.outcome) ?? 'other' })
      }
    },
  }
}
