import { setTimeout as pause } from 'node:timers/promises'
import type { Logger } from 'pino'
import type { Clock } from '../platform/clock.ts'
import { within } from '../platform/within.ts'
import type { Store } from '../record/tx.ts'
import { StorageBusy, StorageUnavailable } from '../store/faults.ts'
import { finishCall, type FinishCallInput } from '../tools/finish-call.ts'

/** Writes down what became of calls, behind the backs of those who wait for their answers. */
export type CallRecorder = {
  finish(what: Omit<FinishCallInput, 'now'>): void
  /** Whether everything was written in this time. What was not is taken for lost by the next server. */
  drain(mostMs: number): Promise<boolean>
}

export type CallRecorderNeeds = { readonly store: Pick<Store, 'change'>; readonly clock: Clock; readonly log: Logger }

const FIRST_PAUSE_MS = 100
const LONGEST_PAUSE_MS = 5000
/** While the store is away; of more than these the outcome stays unknown. */
const MOST_WAITING = 10_000

export function callRecorder({ store, clock, log }: CallRecorderNeeds): CallRecorder {
  const waiting = new Set<Promise<void>>()
  const stopping = new AbortController()

  async function record(what: FinishCallInput): Promise<void> {
    for (let wait = FIRST_PAUSE_MS; ; wait = Math.min(2 * wait, LONGEST_PAUSE_MS)) {
      try {
        const finished = await store.change(finishCall, what)
        if (!finished.ok) log.warn({ decision: what.decision, refusal: finished.refusal.kind }, 'the outcome of a call was not taken')
        return
      } catch (error) {
        const mayPass = error instanceof StorageUnavailable || error instanceof StorageBusy
        log[mayPass ? 'warn' : 'error']({ decision: what.decision, err: mayPass ? (error as Error).message : error }, 'the outcome of a call could not be recorded')
        if (!mayPass || stopping.signal.aborted) return
      }
      await pause(wait, undefined, { signal: stopping.signal }).catch(() => undefined)
    }
  }

  return {
    finish(what) {
      if (waiting.size >= MOST_WAITING) {
        log.error({ decision: what.decision }, 'the outcome of a call is dropped: too many wait for the store')
        return
      }
      const recording = record({ ...what, now: clock.now() }).finally(() => waiting.delete(recording))
      waiting.add(recording)
    },
    async drain(mostMs) {
      const isDone = await within(Promise.all(waiting), mostMs)
      stopping.abort()
      return isDone
    },
  }
}
