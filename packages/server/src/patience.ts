import { setTimeout as pause } from 'node:timers/promises'
import type { Clock } from './platform/clock.ts'
import type { Store } from './record/tx.ts'
import { StorageUnavailable } from './store/faults.ts'

const PATIENCE_MS = 5000
const PACE_MS = 250

/** A database that is being started together with us, or that is slow, is given a few seconds; a wrong password is not. */
export async function patiently<T>(clock: Clock, ask: () => Promise<T>, isWorthAsking: (fault: StorageUnavailable) => boolean = isNotRefused): Promise<T> {
  const until = clock.now() + PATIENCE_MS
  for (;;) {
    try {
      return await ask()
    } catch (cause) {
      if (!(cause instanceof StorageUnavailable) || !isWorthAsking(cause) || clock.now() >= until) throw cause
    }
    await pause(PACE_MS)
  }
}

/** SQLSTATE class 28 (the login) and 3D000 (the database): the same in a second. */
const isNotRefused = ({ code }: StorageUnavailable): boolean => !code.startsWith('28') && code !== '3D000'

/** Until we are up nobody waits for an answer within a second: of what was not done at all, it is asked again. */
export function patientUntil(isUp: () => boolean, store: Store, clock: Clock): Store {
  const ask = <T>(work: () => Promise<T>): Promise<T> => (isUp() ? work() : patiently(clock, work, (fault) => fault.left === 'nothing' && isNotRefused(fault)))
  return {
    ...store,
    change: (change, input) => ask(() => store.change(change, input)),
    changeOnce: (change, input, once) => ask(() => store.changeOnce(change, input, once)),
    read: (query) => ask(() => store.read(query)),
  }
}
