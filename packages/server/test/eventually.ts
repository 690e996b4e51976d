import { setTimeout as pause } from 'node:timers/promises'

const LONGEST_MS = 20_000
const PACE_MS = 25

/** Asks until the answer is neither undefined nor false; a test fails by the name of what did not come. */
export async function eventually<T>(what: string, ask: () => Promise<T | undefined | false> | T | undefined | false, within = LONGEST_MS): Promise<T> {
  const until = Date.now() + within
  for (;;) {
    const answer = await ask()
    if (answer !== undefined && answer !== false) return answer
    if (Date.now() > until) throw new Error(`this did not come within ${within} ms: ${what}`)
    await pause(PACE_MS)
  }
}
