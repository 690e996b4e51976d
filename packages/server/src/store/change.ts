import type { Outcome } from '@writ/domain/outcome'
import type { Kysely } from 'kysely'
import type { Dialect } from './dialect.ts'

/**
 * The inside of one change. `tables.ts` names it for Writ's own tables: `type Tx = TxOf<Tables, ChangeContext>`.
 * `context` is what the program gives to every change: a key for the events' MACs, a source of entropy.
 */
export type TxOf<DB, Context> = {
  readonly db: Kysely<DB>
  readonly dialect: Dialect
  readonly context: Context
}

/**
 * A named function from plain data to an outcome, run in one transaction. It awaits nothing but `tx.db`, and its input and value survive
 * a structured clone: on SQLite it runs in another thread. On PostgreSQL it may run again after a deadlock, so all that it does is
 * a function of its input and the tables. A refusal or a thrown error leaves nothing of it behind.
 *
 * A guard that refuses ends the change: on PostgreSQL it may be heard of only at a later statement, or at the commit, so nothing catches
 * `RuleBroken`. Who wants to know whether a row is there asks, or inserts with `on conflict do nothing`.
 */
export type Change<Tx, Input, Value, Refusal> = {
  readonly name: string
  readonly run: (tx: Tx, input: Input) => Promise<Outcome<Value, Refusal>>
}

/** A change of any input, for the table of all of them. */
export type AnyChange<Tx> = Change<Tx, never, unknown, unknown>

export type ValueOf<O> = O extends { readonly ok: true; readonly value: infer Value } ? Value : never
export type RefusalOf<O> = O extends { readonly ok: false; readonly refusal: infer Refusal } ? Refusal : never

/** Names a change; value and refusal are read off what `run` answers. */
export const change = <Tx, Input, O extends Outcome<unknown, unknown>>(
  name: string,
  run: (tx: Tx, input: Input) => Promise<O>,
): Change<Tx, Input, ValueOf<O>, RefusalOf<O>> =>
  // An outcome is the union of its values and its refusals, which the type checker does not see through two conditional types.
  ({ name, run: run as unknown as Change<Tx, Input, ValueOf<O>, RefusalOf<O>>['run'] })

/** The changes by name; two of one name are a bug. */
export function byName<Tx>(changes: readonly AnyChange<Tx>[]): ReadonlyMap<string, AnyChange<Tx>> {
  const table = new Map<string, AnyChange<Tx>>()
  for (const one of changes) {
    if (table.has(one.name)) throw new Error(`two changes are named \`${one.name}\``)
    table.set(one.name, one)
  }
  return table
}
