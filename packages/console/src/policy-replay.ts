import type { EvaluatedDecisionReply } from '@writ/contract/decisions'
import type { PolicyComplaint } from '@writ/contract/policies'
import type { ReplayState } from '@writ/policy/replay'
import { ask } from './api.ts'
import { listEvaluated } from './endpoints.ts'
import type { ReplayOrder, ReplayReport } from './replay-worker.ts'

export type Files = Readonly<Record<string, string>>

/** How far it is: what was decided up to `upTo` has been asked anew. `total`: of how many decisions, as far as they were there when it began. */
export type ReplayProgress = { readonly state: ReplayState; readonly advisory: number; readonly upTo: number; readonly total: number }
export type Replayed = { readonly kind: 'replayed' } | { readonly kind: 'cancelled' } | { readonly kind: 'unfit'; readonly complaints: readonly PolicyComplaint[] }

export type ReplayOptions = { readonly files: Files; readonly since: number; readonly signal: AbortSignal; readonly onProgress: (progress: ReplayProgress) => void }

/** As many as the server gives at once. */
const PAGE = 1000
type Page = { readonly decisions: readonly EvaluatedDecisionReply[]; readonly total: number | null; readonly next: string | null }
/** Of more nobody reads each; the counts are of all. */
const MOST_LISTED = 200

/** Asks these files what the server was asked, beside the page and not on the server, until all are through or nobody wants to know any more. */
export async function replayDraft({ files, since, signal, onProgress }: ReplayOptions): Promise<Replayed> {
  const worker = begun()
  const stop = (): void => worker.terminate()
  signal.addEventListener('abort', stop)
  try {
    const opened = await tell(worker, { files, mostListed: MOST_LISTED }, signal)
    if (opened.kind === 'unfit') return opened
    let [advisory, total] = [0, 0]
    for await (const { decisions: page, total: counted } of pagesSince(since, signal)) {
      total = counted ?? total
      const report = await tell(worker, { page }, signal)
      if (report.kind !== 'replayed') throw new Error('the worker answered something else')
      advisory += page.filter((one) => one.advisory).length
      onProgress({ state: report.state, advisory, upTo: Date.parse(page.at(-1)?.at ?? new Date(since).toISOString()), total })
    }
    return { kind: 'replayed' }
  } catch (fault) {
    if (signal.aborted) return { kind: 'cancelled' }
    throw fault
  } finally {
    signal.removeEventListener('abort', stop)
    worker.terminate()
  }
}

/** What is wrong with these files, as the engine itself reads them. */
export async function complaintsOf(files: Files, signal: AbortSignal): Promise<readonly PolicyComplaint[]> {
  const worker = begun()
  try {
    const opened = await tell(worker, { files, mostListed: 0 }, signal)
    return opened.kind === 'unfit' ? opened.complaints : []
  } finally {
    worker.terminate()
  }
}

const begun = (): Worker => new Worker(new URL('./replay-worker.ts', import.meta.url), { type: 'module' })

/** Each page is asked for before the one before it is worked on. */
async function* pagesSince(since: number, signal: AbortSignal): AsyncGenerator<Page> {
  const asked = (cursor?: string) => {
    const page = ask(listEvaluated, { query: { limit: PAGE, since: new Date(since).toISOString(), ...(cursor === undefined ? {} : { cursor }) } }, signal)
    // It is awaited later, and what went wrong is said there.
    page.catch(() => undefined)
    return page
  }
  let coming: ReturnType<typeof asked> | undefined = asked()
  while (coming !== undefined) {
    const page: Awaited<ReturnType<typeof asked>> = await coming
    coming = page.next === null ? undefined : asked(page.next)
    yield page
  }
}

/** One report for one order; a worker that was stopped answers nothing, and `signal` says so. */
function tell(worker: Worker, order: ReplayOrder, signal: AbortSignal): Promise<Exclude<ReplayReport, { kind: 'fault' }>> {
  const { promise, resolve, reject } = Promise.withResolvers<Exclude<ReplayReport, { kind: 'fault' }>>()
  const ended = new AbortController()
  const end = { once: true, signal: ended.signal }
  worker.addEventListener('message', ({ data }: MessageEvent<ReplayReport>) => {
    if (data.kind === 'fault') reject(new Error(data.says))
    else resolve(data)
  }, end)
  worker.addEventListener('error', () => reject(new Error('Cedar could not be loaded')), end)
  signal.addEventListener('abort', () => reject(new Error('cancelled')), end)
  if (signal.aborted) reject(new Error('cancelled'))
  else worker.postMessage(order)
  return promise.finally(() => ended.abort())
}
