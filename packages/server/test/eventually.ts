import { setTimeout as pause } from 'node:timers/promises'

const LONGEST_MS = 20_000
const FIRST_PAUSE_MS = 10
const LONGEST_PAUSE_MS = 200

type Answer<T> = T | undefined | false

/** Asks until the answer is neither undefined nor false; a test fails by the name of what did not come. */
export async function eventually<T>(what: string, ask: () => Promise<Answer<T>> | Answer<T>, within = LONGEST_MS): Promise<T> {
  const until = Date.now() + within
  for (let wait = FIRST_PAUSE_MS; ; wait = Math.min(wait * 1.5, LONGEST_PAUSE_MS)) {
    const answer = await ask()
    if (answer !== undefined && answer !== false) return answer
    if (Date.now() > until) throw new Error(`this did not come within ${within} ms: ${what}`)
    await pause(wait)
  }
}
