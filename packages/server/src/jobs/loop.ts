import type { Logger } from 'pino'
import type { Bell } from '../platform/bell.ts'
import type { Clock } from '../platform/clock.ts'
import { StorageBusy, StorageUnavailable } from '../store/faults.ts'

/** Something that runs on its own. */
export type Loop = {
  readonly name: string
  /** How long ago the last round ended well, in milliseconds; Infinity before the first. */
  sinceRound(): number
  /** No new round; resolves when the running one has ended. */
  stop(): Promise<void>
}

export type LoopOrder = {
  readonly name: string
  /** The longest pause between two rounds. */
  readonly paceMs: number
  /** Starts the next round at once, or once `gapMs` is over. */
  readonly wokenBy?: Bell
  /** The shortest time from the beginning of one round to the next, unless there is more to do: what comes in meanwhile is done together. */
  readonly gapMs?: number
  readonly clock: Clock
  readonly log: Logger
  /** Answers whether there is more to do right now. */
  readonly round: () => Promise<boolean>
}

/** After a round that failed, so that a store that is down is not asked in a tight loop. */
const PAUSE_AFTER_FAULT_MS = 250

/** Runs rounds until stopped. A round that fails is logged and tried again: nothing on its own ever ends by itself. */
export function startLoop(order: LoopOrder): Loop {
  let stopping = false
  let lastGood: number | undefined
  const listener = order.wokenBy?.listener()
  const stopped = Promise.withResolvers<void>()

  const rest = async (ms: number, ...orUntil: readonly Promise<void>[]): Promise<void> => {
    if (stopping || ms <= 0) return
    const timer = Promise.withResolvers<void>()
    const timeout = setTimeout(timer.resolve, ms)
    await Promise.race([stopped.promise, timer.promise, ...orUntil])
    clearTimeout(timeout)
  }
  const pause = (ms: number): Promise<void> => rest(ms, ...(listener === undefined ? [] : [listener.heard(ms)]))

  const running = (async () => {
    while (!stopping) {
      try {
        const began = order.clock.now()
        const more = await order.round()
        lastGood = order.clock.now()
        if (more) continue
        await pause(order.paceMs)
        await rest(began + (order.gapMs ?? 0) - order.clock.now())
      } catch (error) {
        const isExpected = error instanceof StorageUnavailable || error instanceof StorageBusy
        order.log[isExpected ? 'warn' : 'error']({ job: order.name, err: isExpected ? (error as Error).message : error }, 'a job failed and will be tried again')
        await pause(PAUSE_AFTER_FAULT_MS)
      }
    }
  })()

  return {
    name: order.name,
    sinceRound: () => (lastGood === undefined ? Number.POSITIVE_INFINITY : order.clock.now() - lastGood),
    async stop() {
      stopping = true
      stopped.resolve()
      await running
    },
  }
}
