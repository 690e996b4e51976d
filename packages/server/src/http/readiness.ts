import type { Clock } from '../platform/clock.ts'
import type { Store } from '../record/tx.ts'
import { countLogs } from '../store/tallies.ts'

export type ReadinessNeeds = {
  /** Throws while the store can not be asked, or does not take what is written. */
  readonly check: () => Promise<void>
  readonly store: Pick<Store, 'read'>
  readonly clock: Clock
  readonly jobs: () => readonly { readonly name: string; sinceRound(): number }[]
  readonly stopping: AbortSignal
  /** Whether there is a key for access tokens that signs. */
  readonly canSign: () => Promise<boolean>
}

/** Without these nothing ends in time and nothing is recorded for good. */
const NEEDED_JOBS: ReadonlySet<string> = new Set(['seal', 'end-due', 'withdraw'])
/** R18: whoever asks knows within 5 s. */
const LONGEST_ROUND_MS = 4000
const LONGEST_SEALING_LAG_MS = 5000

/** Why nothing can be issued now; undefined when it can. However many ask at once: the store is asked once. */
export function readiness(needs: ReadinessNeeds): () => Promise<string | undefined> {
  let asking: Promise<string | undefined> | undefined
  return () => asking ??= whyNot(needs).finally(() => { asking = undefined })
}

async function whyNot({ check, store, clock, jobs, stopping, canSign }: ReadinessNeeds): Promise<string | undefined> {
  if (stopping.aborted) return 'the server is stopping'
  await check()
  const late = jobs().find((job) => NEEDED_JOBS.has(job.name) && job.sinceRound() > LONGEST_ROUND_MS)
  if (late !== undefined) return `job \`${late.name}\` stands still`
  for (const { stream, waitsSince } of await store.read(countLogs)) {
    if (waitsSince !== null && clock.now() - waitsSince > LONGEST_SEALING_LAG_MS) return `the ${stream} log is sealed too late`
  }
  return (await canSign()) ? undefined : 'no key signs access tokens'
}
