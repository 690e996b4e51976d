import type { Outcome } from '@writ/domain/outcome'
import type { EpochMs } from '@writ/domain/time'
import type { Kysely } from 'kysely'
import type { Change, TxOf } from './change.ts'
import type { Dialect } from './dialect.ts'

/** Names one request of one caller, so that its repeat is recognised; without a key it has none. `requestHash` covers method, path and body; empty without a key. */
export type Once = { readonly caller: string; readonly key: string | null; readonly requestHash: string; readonly now: EpochMs }

/** `repeated`: the request had been done before, and this is what was answered then. */
export type Done<Value> = { readonly value: Value; readonly repeated: boolean }

/** The caller has used this key for another request. */
export type KeyReused = { readonly kind: 'key_reused' }

/**
 * Where Writ keeps everything. Every method throws `StorageUnavailable` when the database can't be asked, `StorageBusy` when too many
 * wait, `RuleBroken` when a guard in the database refused, and `ChangeFault` when a change threw.
 */
export type Store<DB, Context> = {
  readonly dialect: Dialect
  /** Answers after the commit. */
  change<Input, Value, Refusal>(change: Change<TxOf<DB, Context>, Input, Value, Refusal>, input: Input): Promise<Outcome<Value, Refusal>>
  /**
   * The same, exactly once per caller and key; the value must survive JSON, since it is stored with the key in table `idempotency`.
   * A refused change stores nothing, so its repeat is tried afresh.
   */
  changeOnce<Input, Value, Refusal>(
    change: Change<TxOf<DB, Context>, Input, Value, Refusal>, input: Input, once: Once,
  ): Promise<Outcome<Done<Value>, Refusal | KeyReused>>
  /** Each statement sees what was committed before it began. Writing here is a fault. */
  read<T>(query: (db: Kysely<DB>) => Promise<T>): Promise<T>
  /** Resolves when the database answers. */
  ping(): Promise<void>
  /** Answers those who wait, then lets go of the database. */
  close(): Promise<void>
}
