/** What one measure found. Times are milliseconds. */
export type Figure = {
  readonly name: string
  readonly ops: number
  readonly perSecond: number | null
  readonly p50: number | null
  readonly p99: number | null
  /** CPU time of the process that does the work, per operation; null where it can't be told apart. */
  readonly cpuPerOp: number | null
  /** The same of PostgreSQL, with all its processes. */
  readonly databaseCpuPerOp: number | null
  /** The design's number, in words, and whether it is reached; null where there is none. */
  readonly bar: string | null
  readonly isReached: boolean | null
  readonly peer: Peer | null
}

/** The plain way to do nearly the same, measured in the same run on the same machine. */
export type Peer = { readonly name: string; readonly perSecond: number | null; readonly p50: number | null; readonly ratio: number }

/** `megabytes`: how large a store is, where a measure needs one. */
export type Order = { readonly isQuick: boolean; readonly megabytes?: number | undefined; readonly tell: (progress: string) => void }
export type Measure = (order: Order) => Promise<readonly Figure[]>

export type Timed = { readonly ops: number; readonly perSecond: number; readonly p50: number; readonly p99: number }

/** The nearest-rank percentile. */
export function percentile(of: readonly number[], rank: number): number {
  const sorted = of.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(sorted.length * rank) - 1))] ?? Number.NaN
}

/** Runs `one` so many times, so many at once, and times each. */
export async function load(ops: number, concurrency: number, one: (index: number) => Promise<void>): Promise<Timed> {
  const took: number[] = []
  let next = 0
  const began = performance.now()
  await Promise.all(Array.from({ length: concurrency }, async () => {
    for (let index = next++; index < ops; index = next++) {
      const before = performance.now()
      await one(index)
      took.push(performance.now() - before)
    }
  }))
  return timed(took, performance.now() - began)
}

export const timed = (took: readonly number[], wholeMs: number): Timed =>
  ({ ops: took.length, perSecond: (took.length / wholeMs) * 1000, p50: percentile(took, 0.5), p99: percentile(took, 0.99) })

/** A figure without what a measure does not know. */
export const figure = (name: string, ops: number, more: Partial<Figure>): Figure =>
  ({ perSecond: null, p50: null, p99: null, cpuPerOp: null, databaseCpuPerOp: null, bar: null, isReached: null, peer: null, ...more, name, ops })
