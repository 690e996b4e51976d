/** What keeping a task alive needs: to say so, and to be told when it is over. */
export type Beats = {
  /** How long the server waits for a word before it ends the task by silence. */
  readonly silenceMs: number
  /** Says that the holder is alive. Throws what the server, or the lack of one, has to say. */
  readonly beat: (patienceMs: number, signal: AbortSignal) => Promise<void>
  /** Whether this fault means that the task is over; any other may pass. */
  readonly isOver: (fault: unknown) => boolean
  readonly lost: (fault: unknown) => void
}

/**
 * Beats at a third of the silence that the task may keep. When nobody could be told for the whole of it the task is lost: by then the
 * server has ended it, and whoever goes on would act without one. The timer keeps no process alive.
 */
export function keepAlive(beats: Beats): { stop(): void } {
  const stopped = new AbortController()
  let heardAt = performance.now()
  let timer: NodeJS.Timeout
  const left = (): number => heardAt + beats.silenceMs - performance.now()

  async function beat(): Promise<void> {
    const askedAt = performance.now()
    try {
      await beats.beat(Math.max(1, left()), stopped.signal)
      heardAt = askedAt
    } catch (fault) {
      if (stopped.signal.aborted) return
      if (beats.isOver(fault) || left() <= 0) {
        stopped.abort()
        return beats.lost(fault)
      }
    }
    next()
  }
  function next(): void {
    if (stopped.signal.aborted) return
    timer = setTimeout(() => void beat(), Math.max(0, Math.min(beats.silenceMs / 3, left())))
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
