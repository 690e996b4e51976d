import { Unreachable } from './errors.ts'

/** What keeping a task alive needs: to say so, and to be told when it is over. */
export type Beats = {
  /** How long the server waits for a word before it ends the task by silence. */
  readonly silenceMs: number
  /** From now to its deadline, at most. */
  readonly lengthMs: number
  /** Says that the holder is alive. Throws what the server, or the lack of one, has to say. */
  readonly beat: (patienceMs: number, signal: AbortSignal) => Promise<void>
  /** Whether this fault means that the task is over; any other may pass. */
  readonly isOver: (fault: unknown) => boolean
  readonly lost: (fault: unknown) => void
}

/** A process that was busy for longer than the silence still hears from the server how its task ended. */
const LEAST_PATIENCE_MS = 1000

/**
 * Beats at a third of the silence that the task may keep, and when its deadline comes. When nobody could be told for the whole of the silence
 * the task is lost: by then the server has ended it, and whoever goes on would act without one. The timer keeps no process alive.
 */
export function keepAlive(beats: Beats): { stop(): void } {
  const stopped = new AbortController()
  const overAt = performance.now() + beats.lengthMs
  let heardAt = performance.now()
  let timer: NodeJS.Timeout
  const left = (): number => heardAt + beats.silenceMs - performance.now()

  async function beat(): Promise<void> {
    const askedAt = performance.now()
    const patienceMs = Math.max(LEAST_PATIENCE_MS, left())
    const silence = silenceAfter(patienceMs)
    try {
      await Promise.race([beats.beat(patienceMs, stopped.signal), silence.comes])
      heardAt = askedAt
    } catch (fault) {
      if (stopped.signal.aborted) return
      if (beats.isOver(fault) || left() <= 0) {
        stopped.abort()
        return beats.lost(fault)
      }
    } finally {
      silence.break()
    }
    next()
  }
  function next(): void {
    if (stopped.signal.aborted) return
    const toDeadline = overAt - performance.now()
    timer = setTimeout(() => void beat(), Math.max(0, Math.min(beats.silenceMs / 3, left(), toDeadline > 0 ? toDeadline : Number.POSITIVE_INFINITY)))
    timer.unref()
  }
  next()
  return {
    stop() {
      stopped.abort()
      clearTimeout(timer)
    },
  }
}

/** Whatever a beat waits for, it waits no longer than this. */
function silenceAfter(ms: number): { readonly comes: Promise<never>; break(): void } {
  const { promise: comes, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => reject(new Unreachable('the server has not been heard of for as long as the task may be silent', { code: 'unreachable', retryable: true })), ms)
  timer.unref()
  return { comes, break: () => clearTimeout(timer) }
}
