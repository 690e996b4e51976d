import type { Settings } from '../settings.ts'

/** A line that is drawn over itself on a person's terminal, and nowhere else. */
export type Progress = {
  /** `fraction`: of 1; undefined where nobody knows. */
  readonly show: (fraction: number | undefined, what: string) => void
  readonly end: () => void
}

const WIDTH = 24
const REDRAWN_MS = 100

export function openProgress(settings: Settings): Progress {
  if (settings.format !== 'human' || settings.quiet || process.stderr.isTTY !== true) return { show: () => undefined, end: () => undefined }
  let drawn = 0
  return {
    show: (fraction, what) => {
      if (performance.now() - drawn < REDRAWN_MS) return
      drawn = performance.now()
      process.stderr.write(`\r${fraction === undefined ? '' : `${barOf(fraction)}  `}${what}\u001b[K`)
    },
    end: () => void (drawn > 0 && process.stderr.write('\r\u001b[K')),
  }
}

/** `[######..................]  25 %`. */
export function barOf(fraction: number): string {
  const part = Math.min(1, Math.max(0, fraction))
  const full = Math.floor(part * WIDTH)
  return `[${'#'.repeat(full)}${'.'.repeat(WIDTH - full)}] ${String(Math.floor(part * 100)).padStart(3)} %`
}
