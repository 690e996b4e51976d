import { change as changeOf, type AnyChange, type Change as ChangeOf, type TxOf } from '../store/change.ts'
import type { Outcome } from '@writ/domain/outcome'
import type { Store as StoreOf } from '../store/store.ts'
import type { Tables } from '../store/tables.ts'
import type { BundleFiles } from '@writ/policy/bundle'
import type { Engine } from '@writ/policy/engine'
import type { EventMac } from '../keys/mac.ts'
import type { Sealer } from '../keys/seal.ts'
import type { Entropy } from '../platform/entropy.ts'
import type { Kysely } from 'kysely'

/** The policies of a version, ready to answer: each version is read and parsed once in a thread. */
export type Engines = { engineOf(version: number, files: () => Promise<BundleFiles>): Promise<Engine> }

/** What every change of Writ's is given besides its transaction. */
export type ChangeContext = {
  readonly eventMac: EventMac
  readonly entropy: Entropy
  /** Seals what was asked at a decision. */
  readonly questions: Sealer
  readonly engines: Engines
}

export type Db = Kysely<Tables>
export type Tx = TxOf<Tables, ChangeContext>
export type Store = StoreOf<Tables, ChangeContext>
export type Change<Input, Value, Refusal> = ChangeOf<Tx, Input, Value, Refusal>
export type AnyWritChange = AnyChange<Tx>

/** A named change of Writ's own tables: see `store/change.ts`. */
export const change = <Input, Value = never, Refusal = never>(
  name: string, run: (tx: Tx, input: Input) => Promise<Outcome<Value, Refusal>>,
): Change<Input, Value, Refusal> => changeOf(name, run)
