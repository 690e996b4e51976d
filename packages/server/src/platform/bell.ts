/** Rung when there may be something to do; whoever waits hears it, or gives up after a while and looks anyway. */
export type Bell = {
  ring(): void
  /** Resolves at the next ring, after `ms`, or at once when it was rung since the last wait of this listener ended. */
  listener(): { heard(ms: number): Promise<void> }
}

export function bell(): Bell {
  let rings = 0
  const waiting = new Set<() => void>()
  return {
    ring() {
      rings++
      for (const wake of waiting) wake()
    },
    listener() {
      let seen = rings
      return {
        async heard(ms) {
          if (rings === seen) {
            await new Promise<void>((resolve) => {
              const done = (): void => {
                clearTimeout(timer)
                waiting.delete(done)
                resolve()
              }
              const timer = setTimeout(done, ms)
              waiting.add(done)
            })
          }
          seen = rings
        },
      }
    },
  }
}
