/** Allowed moves of a state column, as `[from, to]`. */
export type Transition = readonly [from: string, to: string]

/** A column that a move of the state brings along. */
export type Moved = { readonly column: string; readonly state: string; readonly move: Transition }

/** A column whose changes another one counts, and the state in which it may change. */
export type Counted = { readonly column: string; readonly counter: string; readonly state: string; readonly while: string }

export type FoundGuard = { readonly on: 'insert' | 'update'; readonly found: string }

/**
 * What differs between the two databases, and nothing else: types and guards for migrations, and the words that lock rows.
 * There is one object of this type per database, in `dialect-sqlite.ts` and `dialect-postgres.ts`.
 *
 * Columns are text, whole numbers and bytes only: a boolean or a timestamp would read back differently from the two databases.
 * Each guard refuses with the name of its rule, which reaches the caller as `RuleBroken.rule`; rule names are unique in the schema.
 */
export type Dialect = {
  readonly name: 'sqlite' | 'postgres'
  readonly types: {
    readonly bytes: string
    /** 64-bit whole number; values past 2^53 - 1 are a fault when read. */
    readonly bigint: string
    /** Primary key that counts upwards and is never reused. On PostgreSQL numbers may commit out of order. */
    readonly serial: string
  }
  /** Ends a `create table (...)`: makes SQLite check column types. */
  readonly strict: string
  /** Appended to a `select` whose rows the transaction will write: waits for others that do the same. */
  readonly forUpdate: string
  /** The same, leaving out rows that others have locked. */
  readonly skipLocked: string
  /** Statements that the guards need, run once before the first migration. */
  readonly foundation: readonly string[]
  readonly comment: (table: string, text: string) => readonly string[]
  /** These columns never change once the row exists. */
  readonly freeze: (table: string, columns: readonly string[], rule: string) => readonly string[]
  /** These columns may change from null, once. */
  readonly setOnce: (table: string, columns: readonly string[], rule: string) => readonly string[]
  /** Rows are never changed and never deleted. */
  readonly appendOnly: (table: string, rule: string) => readonly string[]
  /** Rows are never deleted. */
  readonly neverDelete: (table: string, rule: string) => readonly string[]
  /** These columns are null when the row is inserted. */
  readonly bornNull: (table: string, columns: readonly string[], rule: string) => readonly string[]
  /** The column changes only along these transitions; to stay as it is, is always allowed. */
  readonly onlyTransitions: (table: string, column: string, transitions: readonly Transition[], rule: string) => readonly string[]
  /** The column changes only with this move of the state. */
  readonly onlyWith: (table: string, moved: Moved, rule: string) => readonly string[]
  /** The column changes only while the state is this one, and its counter with it, one up. */
  readonly onlyCounted: (table: string, counted: Counted, rule: string) => readonly string[]
  /** These columns become null, and nothing else: what they held can be erased, and nothing put in its place. */
  readonly onlyErased: (table: string, columns: readonly string[], rule: string) => readonly string[]
  /** This number only grows. */
  readonly onlyGrows: (table: string, column: string, rule: string) => readonly string[]
  /** Refuses a row for what stands in other tables: `found` is a condition on `new`, and of an update on `old`, with queries in it. */
  readonly refuseFound: (table: string, guard: FoundGuard, rule: string) => readonly string[]
  /** Takes away a guard made by one function above as one trigger, so that a later migration can put another in its place. */
  readonly dropGuard: (table: string, rule: string) => readonly string[]
}

const NAME = /^[a-z][a-z0-9_]{0,62}$/

/** Names in migrations are ours and are written into SQL text; one that would need quoting is a bug. PostgreSQL cuts names at 63 bytes. */
export function checkedName(name: string): string {
  if (!NAME.test(name)) throw new Error(`\`${name}\` is no plain SQL name`)
  return name
}

export const quoted = (text: string): string => `'${text.replaceAll('\'', '\'\'')}'`

/** `(old.state = 'a' and new.state = 'b') or ...`, the same in both databases. */
export function anyTransition(column: string, transitions: readonly Transition[]): string {
  const moves = transitions.map(([from, to]) => `(old.${column} = ${quoted(from)} and new.${column} = ${quoted(to)})`)
  return moves.length === 0 ? '1 = 0' : moves.join(' or ')
}

/** Whether the counter went one up, in the right state; the same in both databases. */
export const oneUp = ({ counter, state, while: during }: Counted): string =>
  `new.${counter} = old.${counter} + 1 and old.${state} = ${quoted(during)} and new.${state} = ${quoted(during)}`
