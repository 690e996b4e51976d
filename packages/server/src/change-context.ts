import { engines } from './decide/engines.ts'
import { eventMacOf } from './keys/mac.ts'
import type { ChangeKeys } from './keys/keys.ts'
import { sealerOf } from './keys/seal.ts'
import { hostEntropy } from './platform/entropy.ts'
import type { ChangeContext } from './record/tx.ts'

/** What every change of this thread is given: once for each thread that runs changes. */
export const changeContextOf = (keys: ChangeKeys): ChangeContext => ({
  eventMac: eventMacOf(keys.eventMac), entropy: hostEntropy, questions: sealerOf(keys.question, hostEntropy), engines: engines(),
})
