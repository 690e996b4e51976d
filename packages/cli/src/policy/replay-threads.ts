import { once } from 'node:events'
import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'
import { ANSWERS } from '@writ/policy/explanation'
import type { ReplayState } from '@writ/policy/replay'
import type { ReplayOrder, ReplayPage, ReplayReport } from './replay-thread.ts'

/** More would wait for the server. */
const MOST_THREADS = 4

type Page = Exclude<ReplayPage, 'last'>

/** A replay on as many threads as the machine has to give: each evaluation takes its time, and none hangs on another. */
export type ReplayThreads = {
  /** Takes the page as soon as a thread is free; `replayed` hears when it is done. */
  feed(page: Page, replayed: (changed: number) => void): Promise<void>
  /** Waits for all of them: how it stands. */
  state(): Promise<ReplayState>
  close(): Promise<void>
}

export function openThreads(order: ReplayOrder): ReplayThreads {
  const most = Math.min(MOST_THREADS, availableParallelism())
  const idle: Worker[] = []
  const all: Worker[] = []
  const busy = new Set<Promise<void>>()

  const freeThread = async (): Promise<Worker> => {
    while (idle.length === 0 && all.length >= most) await Promise.race(busy)
    const found = idle.pop()
    if (found !== undefined) return found
    const begun = new Worker(new URL('./replay-thread.ts', import.meta.url), { workerData: order })
    all.push(begun)
    return begun
  }
  const replayOn = async (thread: Worker, page: Page, replayed: (changed: number) => void): Promise<void> => {
    const report = await ask(thread, page)
    if (report.kind === 'replayed') replayed(report.changed)
    idle.push(thread)
  }
  return {
    feed: async (page, replayed) => {
      const work = replayOn(await freeThread(), page, replayed).finally(() => busy.delete(work))
      busy.add(work)
      // It is awaited with the next page, or at the end, and what went wrong is said there.
      work.catch(() => undefined)
    },
    state: async () => {
      while (busy.size > 0) await Promise.all(busy)
      const reports = await Promise.all(all.map((thread) => ask(thread, 'last')))
      return together(reports.flatMap((report) => (report.kind === 'ended' ? [report.state] : [])), order.mostListed)
    },
    close: async () => {
      await Promise.all(all.map((thread) => thread.terminate()))
    },
  }
}

/** One answer for one page; `once` throws what the thread failed by. */
async function ask(thread: Worker, page: ReplayPage): Promise<ReplayReport> {
  const answer = once(thread, 'message')
  thread.postMessage(page)
  const [report] = await answer as [ReplayReport]
  return report
}

/** What they found, as if one had; ids sort by time, so that the first of them all are the first of each. */
export function together(states: readonly ReplayState[], mostListed: number): ReplayState {
  const sum = (of: (state: ReplayState) => number): number => states.reduce((total, state) => total + of(state), 0)
  return {
    matrix: Object.fromEntries(ANSWERS.map((was) => [was, Object.fromEntries(ANSWERS.map((now) => [now, sum(({ matrix }) => matrix[was][now])]))])) as ReplayState['matrix'],
    fed: sum(({ fed }) => fed),
    changed: sum(({ changed }) => changed),
    listed: states.flatMap(({ listed }) => listed).toSorted((a, b) => (a.id < b.id ? -1 : 1)).slice(0, mostListed),
    notEvaluated: sum(({ notEvaluated }) => notEvaluated),
    notByPolicy: sum(({ notByPolicy }) => notByPolicy),
  }
}
