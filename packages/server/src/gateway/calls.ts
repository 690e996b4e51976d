import { setTimeout as pause } from 'node:timers/promises'
import type { Logger } from 'pino'
import type { Clock } from '../platform/clock.ts'
import { within } from '../platform/within.ts'
import type { Store } from '../record/tx.ts'
import { StorageBusy, StorageUnavailable } from '../store/faults.ts'
import { finishCalls, type EndOfCall } from '../tools/finish-call.ts'

/** Writes down what became of calls, behind the backs of those who wait for their answers. */
export type CallRecorder = {
  finish(what: Omit<EndOfCall, 'at'>): void
  /** Whether everything was written in this time. What was not is taken for lost by the next server. */
  drain(mostMs: number): Promise<boolean>
}

export type CallRecorderNeeds = { readonly store: Pick<Store, 'change'>; readonly clock: Clock; readonly log: Logger }

/** For so long outcomes are gathered, to be written in one change: a change costs far more than what it writes. */
const GATHER_MS = 50
const MOST_TOGETHER = 64
const FIRST_PAUSE_MS = 100
const LONGEST_PAUSE_MS = 5000
/** While the store is away; of more than these the outcome stays unknown. */
const MOST_WAITING = 10_000

export function callRecorder({ store, clock, log }: CallRecorderNeeds): CallRecorder {
  const waiting: EndOfCall[] = []
  const stopping = new AbortController()
  let gathering = new AbortController()
  let writing: Promise<void> | undefined
  let isClosing = false

  /** INVARIANT: between the last look at what waits and the end there is no pause, so that nothing is left lying. */
  async function writeAll(): Promise<void> {
    while (waiting.length > 0 && !stopping.signal.aborted) {
      gathering = new AbortController()
      if (!isClosing && waiting.length < MOST_TOGETHER) await pause(GATHER_MS, undefined, { signal: gathering.signal }).catch(() => undefined)
      await write(waiting.splice(0, MOST_TOGETHER))
    }
    writing = undefined
  }

  async function write(ends: readonly EndOfCall[]): Promise<void> {
    const decisions = ends.map(({ decision }) => decision)
    for (let wait = FIRST_PAUSE_MS; ; wait = Math.min(2 * wait, LONGEST_PAUSE_MS)) {
      try {
        const finished = await store.change(finishCalls, { ends, now: clock.now() })
        for (const { decision, kind } of finished.ok ? finished.value : []) log.warn({ decision, refusal: kind }, 'the outcome of a call was not taken')
        return
      } catch (error) {
        const mayPass = error instanceof StorageUnavailable || error instanceof StorageBusy
        // One that can not be written takes no other with it.
        if (!mayPass && ends.length > 1) return await writeEach(ends)
        log[mayPass ? 'warn' : 'error']({ decisions, err: mayPass ? (error as Error).message : error }, 'the outcome of a call could not be recorded')
        if (!mayPass || stopping.signal.aborted) return
      }
      await pause(wait, undefined, { signal: stopping.signal }).catch(() => undefined)
    }
  }

  async function writeEach(ends: readonly EndOfCall[]): Promise<void> {
    for (const end of ends) await write([end])
  }

  return {
    finish(what) {
      if (waiting.length >= MOST_WAITING) {
        log.error({ decision: what.decision }, 'the outcome of a call is dropped: too many wait for the store')
        return
      }
      waiting.push({ ...what, at: clock.now() })
      writing ??= writeAll()
      if (waiting.length >= MOST_TOGETHER) gathering.abort()
    },
    async drain(mostMs) {
      isClosing = true
      gathering.abort()
      const isDone = writing === undefined || await within(writing, mostMs)
      stopping.abort()
      return isDone
    },
  }
}
