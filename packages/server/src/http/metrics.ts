import { monitorEventLoopDelay } from 'node:perf_hooks'
import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import type { Clock } from '../platform/clock.ts'
import type { Store } from '../record/tx.ts'
import { countsFrom } from './metrics-of-store.ts'

export type MetricsNeeds = {
  readonly store: Pick<Store, 'read'>
  readonly clock: Clock
  readonly version: string
  readonly jobs: () => readonly { readonly name: string; sinceRound(): number }[]
}

/** One request that has been answered; `route` is the pattern of its address, never the address. */
export type Answered = { readonly method: string; readonly route: string; readonly status: number; readonly seconds: number }

/** Counts and times of this server and its installation; of non-human identities only (INV-12): no event of the human stream is looked at. */
export type Metrics = {
  /** A request has come; the answer is to be called when it has gone, however it went. */
  began(): () => void
  answered(one: Answered): void
  /** `kind` as the authenticator says it. */
  readonly refused: (kind: string) => void
  readonly strangerConnected: () => void
  /** Times a store that others use. */
  timed<S extends Pick<Store, 'change' | 'changeOnce' | 'read'>>(store: S): S
  /** In the Prometheus text format, version 0.0.4. What the log tells is counted from the first time on. */
  page(): Promise<string>
  readonly type: string
}

const METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS'])
/** More than there are; what comes after is counted as one, so that no word from outside makes a series. */
const MOST_KINDS = 100
const REQUEST_SECONDS = [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]
const STORE_SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5]

export function metrics(needs: MetricsNeeds): Metrics {
  const registry = new Registry()
  const registers = [registry]
  new Gauge({ name: 'writ_build_info', help: 'Which Writ this is, on which Node.js; always 1', labelNames: ['version', 'node'], registers }).set({ version: needs.version, node: process.versions.node }, 1)
  const requests = new Counter({ name: 'writ_http_requests_total', help: 'Requests answered, by the pattern of the address and the class of the status', labelNames: ['method', 'route', 'status'], registers })
  const durations = new Histogram({ name: 'writ_http_request_duration_seconds', help: 'From the head of a request to the end of its answer', labelNames: ['method', 'route'], buckets: REQUEST_SECONDS, registers })
  const inFlight = new Gauge({ name: 'writ_http_requests_in_flight', help: 'Requests that are being answered, this one included', registers })
  const refusals = new Counter({ name: 'writ_authentication_refusals_total', help: 'Evidence that was refused, by the reason inside; outside there is one answer', labelNames: ['kind'], registers })
  const strangers = new Counter({ name: 'writ_connections_refused_total', help: 'Connections from elsewhere than the named proxies', registers })
  const storeTimes = new Histogram({ name: 'writ_store_duration_seconds', help: 'How long the store took, waiting included; a change is durable after it', labelNames: ['operation'], buckets: STORE_SECONDS, registers })
  const storeFaults = new Counter({ name: 'writ_store_faults_total', help: 'How often the store could not be asked or could not write', labelNames: ['operation'], registers })
  for (const operation of ['change', 'read']) storeFaults.inc({ operation }, 0)
  ofProcess(registers, needs)
  const counts = countsFrom(needs, registers)
  const kinds = new Set<string>()

  const time = async <T>(operation: 'change' | 'read', work: () => Promise<T>): Promise<T> => {
    const stop = storeTimes.startTimer({ operation })
    try {
      return await work()
    } catch (error) {
      storeFaults.inc({ operation })
      throw error
    } finally {
      stop()
    }
  }

  return {
    type: registry.contentType,
    began() {
      inFlight.inc()
      return () => { inFlight.dec() }
    },
    answered({ method, route, status, seconds }) {
      const labels = { method: METHODS.has(method) ? method : 'other', route }
      requests.inc({ ...labels, status: `${Math.floor(status / 100)}xx` })
      durations.observe(labels, seconds)
    },
    refused: (kind) => {
      if (kinds.size < MOST_KINDS) kinds.add(kind)
      refusals.inc({ kind: kinds.has(kind) ? kind : 'other' })
    },
    strangerConnected: () => { strangers.inc() },
    timed: (store) => ({
      ...store,
      change: (change, input) => time('change', () => store.change(change, input)),
      changeOnce: (change, input, once) => time('change', () => store.changeOnce(change, input, once)),
      read: (query) => time('read', () => store.read(query)),
    }),
    async page() {
      await counts.refresh()
      return registry.metrics()
    },
  }
}

function ofProcess(registers: Registry[], { clock, jobs }: MetricsNeeds): void {
  const delay = monitorEventLoopDelay({ resolution: 10 })
  delay.enable()
  const inSeconds = (nanoseconds: number): number => (Number.isFinite(nanoseconds) ? nanoseconds / 1e9 : 0)
  new Gauge({
    name: 'writ_event_loop_lag_p99_seconds', help: 'How late the event loop was, of 100 times all but one since these numbers were last read', registers,
    collect() { this.set(inSeconds(delay.percentile(99))) },
  })
  new Gauge({
    name: 'writ_event_loop_lag_worst_seconds', help: 'How late the event loop was at most since these numbers were last read', registers,
    collect() {
      this.set(inSeconds(delay.max))
      delay.reset()
    },
  })
  new Gauge({ name: 'process_start_time_seconds', help: 'When the process began, in seconds since 1970', registers }).set(clock.now() / 1000 - process.uptime())
  new Gauge({ name: 'process_resident_memory_bytes', help: 'Memory that the process holds', registers, collect() { this.set(process.memoryUsage.rss()) } })
  new Counter({
    name: 'process_cpu_seconds_total', help: 'CPU time of the process', registers,
    collect() {
      const { user, system } = process.cpuUsage()
      this.reset()
      this.inc((user + system) / 1e6)
    },
  })
  new Gauge({
    name: 'writ_job_round_age_seconds', help: 'How long ago a job ended a round well; it grows when a job stands still', labelNames: ['job'], registers,
    collect() {
      for (const job of jobs()) {
        const age = job.sinceRound()
        if (Number.isFinite(age)) this.set({ job: job.name }, age / 1000)
      }
    },
  })
}
