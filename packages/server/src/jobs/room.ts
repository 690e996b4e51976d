import { ok } from '@writ/domain/outcome'
import type { EpochMs } from '@writ/domain/time'
import type { Clock } from '../platform/clock.ts'
import { change, type Store, type Tx } from '../record/tx.ts'
import { StorageUnavailable } from '../store/faults.ts'
import { keepTrial } from '../store/installation.ts'

/** More than any change of a request writes, so that who has room for it has room for them. */
const TRIAL_BYTES = 65_536

/** Writes something of the size of a large change, in the place of the last trial. */
export const tryRoom = change('store.try', async (tx: Tx, input: { readonly now: EpochMs }) => {
  await keepTrial(tx.db, 'x'.repeat(TRIAL_BYTES), input.now)
  return ok(null)
})

/** A store that knows whether it still takes what is written: a full disk reads well, and jobs with nothing to do never notice it. */
export type WatchedStore = { readonly store: Store; /** Throws `StorageUnavailable` while what had to be refused would be refused again. */ readonly check: () => Promise<void> }

export function watchRoom(store: Store, clock: Clock): WatchedStore {
  let isSuspect = false
  let trial: Promise<unknown> | undefined
  const noticing = async <T>(answer: Promise<T>): Promise<T> => {
    try {
      return await answer
    } catch (error) {
      if (error instanceof StorageUnavailable) isSuspect = true
      throw error
    }
  }
  return {
    store: { ...store, change: (of, input) => noticing(store.change(of, input)), changeOnce: (of, input, once) => noticing(store.changeOnce(of, input, once)) },
    async check() {
      await store.ping()
      if (!isSuspect) return
      // However many ask: one trial at a time.
      await (trial ??= store.change(tryRoom, { now: clock.now() }).finally(() => { trial = undefined }))
      isSuspect = false
    },
  }
}
