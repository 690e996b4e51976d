import type { Settings } from '../settings.ts'

/** A line that is drawn over itself on a person's terminal, and nowhere else. */
export type Progress = { readonly show: (what: string) => void; readonly end: () => void }

const REDRAWN_MS = 100

export function openProgress(settings: Settings): Progress {
  if (settings.format !== 'human' || settings.quiet || process.stderr.isTTY !== true) return { show: () => undefined, end: () => undefined }
  let drawn = 0
  return {
    show: (what) => {
      if (performance.now() - drawn < REDRAWN_MS) return
      drawn = performance.now()
      process.stderr.write(`\r${what}\u001b[K`)
    },
    end: () => void (drawn > 0 && process.stderr.write('\r\u001b[K')),
  }
}
