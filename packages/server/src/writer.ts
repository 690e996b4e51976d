import type { KeyObject } from 'node:crypto'
import { CHANGES } from './changes.ts'
import { eventMacOf } from './keys/mac.ts'
import { hostEntropy } from './platform/entropy.ts'
import type { ChangeContext } from './record/tx.ts'
import { runWriter } from './store/sqlite-writer.ts'
import type { Tables } from './store/tables.ts'

/** What the program gives to the writer's thread. */
export type WriterGiven = { readonly eventMacKeys: readonly KeyObject[] }

/** The thread that owns SQLite's one writing connection. */
runWriter<Tables, ChangeContext>(CHANGES, (given) => ({ eventMac: eventMacOf((given as WriterGiven).eventMacKeys), entropy: hostEntropy }))
