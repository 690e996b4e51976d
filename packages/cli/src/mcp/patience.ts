import { setTimeout as wait } from 'node:timers/promises'

const FIRST_PAUSE_MS = 100
const LONGEST_PAUSE_MS = 2000

/** Tries until it works, while what goes wrong may pass and time is left. */
export async function patiently<T>(patienceMs: number, attempt: () => Promise<T>, mayPass: (fault: unknown) => boolean, signal?: AbortSignal): Promise<T> {
  const until = performance.now() + patienceMs
  for (let tries = 0; ; tries++) {
    try {
      return await attempt()
    } catch (fault) {
      const pause = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** tries) * (0.5 + Math.random() / 2)
      if (!mayPass(fault) || signal?.aborted === true || performance.now() + pause >= until) throw fault
      await wait(pause, undefined, signal === undefined ? {} : { signal }).catch(() => undefined)
    }
  }
}

/** Nobody listens, so that nothing was asked: whoever asks again asks for the first time. */
export const isNotThere = (fault: unknown): boolean => codeOf(fault) === 'ECONNREFUSED'

export function codeOf(fault: unknown): string | undefined {
  const cause = fault instanceof Error ? fault.cause as NodeJS.ErrnoException | undefined : undefined
  return cause?.code ?? (fault instanceof Error ? fault.name : undefined)
}
