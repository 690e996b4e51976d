import type { Compilable, CompiledQuery, Insertable, Kysely, QueryResult } from 'kysely'
import { executeBuilt, justWriting, rowsWritten, type Built } from './bound.ts'
import type { TxOf } from './change.ts'
import type { Tables } from './tables.ts'

type Db = Kysely<Tables>
type Table = keyof Tables

/** Stands in a statement for a value that comes later. */
class Slot {
  readonly row: number
  readonly name: string
  constructor(row: number, name: string) {
    this.row = row
    this.name = name
  }
}

type Valued = Readonly<Record<string, unknown>>

/**
 * Said of a statement that finds all its rows by whole keys, or by what a key begins with, equal to its values: no `limit`, no range, no index that
 * holds some of the rows. Whatever is in its tables there is one good way to run it, and PostgreSQL keeps the plan that it made first.
 */
export const BY_KEY = 'by key'
type Finding = typeof BY_KEY | undefined

/**
 * A statement that is built once for each of the two databases, and filled each time: to build it costs as much as to run it. `build` puts
 * each value where it belongs and looks at none, for what it is given there stands for values that come later.
 */
export function prepared<Values extends object, Row>(build: (db: Db, values: Values) => Compilable<Row>, finding?: Finding): (db: Db, values: Values) => Promise<Ran<Row>> {
  const statement = buildOnce(build, finding)
  return async (db, values) => {
    const { rows, numAffectedRows } = await run<Row>(db, statement(db, db), [values as Valued])
    return { rows, written: numAffectedRows }
  }
}

type Ran<Row> = { readonly rows: readonly Row[]; readonly written: bigint | undefined }

/** The part of a transaction that a statement may be built for: its database, and how that locks rows. */
export type Locking = Pick<TxOf<Tables, unknown>, 'db' | 'dialect'>

/** The same of one that locks what it reads. */
export function preparedLock<Values extends object, Row>(
  build: (tx: Locking, values: Values) => Compilable<Row>, finding?: Finding,
): (tx: Locking, values: Values) => Promise<readonly Row[]> {
  const statement = buildOnce(build, finding)
  return async (tx, values) => (await run<Row>(tx.db, statement(tx, tx.db), [values as Valued])).rows
}

/** The same of one of which nobody wants to know how many rows it wrote: on PostgreSQL it travels with whatever comes after it. */
export function preparedWrite<Values extends object>(build: (db: Db, values: Values) => Compilable, finding?: Finding): (db: Db, values: Values) => Promise<void> {
  const statement = buildOnce((db: Db, values: Values) => {
    const query = build(db, values)
    return { compile: () => justWriting(query.compile()) }
  }, finding)
  return async (db, values) => {
    await run(db, statement(db, db), [values as Valued])
  }
}

/** The same of one that is built anew each time. */
export async function justWrite(db: Db, query: Compilable): Promise<void> {
  await db.executeQuery(justWriting(query.compile()))
}

function buildOnce<Given, Values extends object, Row>(build: (given: Given, values: Values) => Compilable<Row>, finding: Finding): (given: Given, db: Db) => Built {
  const built = new WeakMap<object, Built>()
  return (given, db) => {
    const { adapter } = db.getExecutor()
    const known = built.get(adapter)
    if (known !== undefined) return known
    const query = compiled(build(given, new Proxy({}, { get: (_, name) => new Slot(0, String(name)) }) as Values).compile(), finding)
    built.set(adapter, query)
    return query
  }
}

/** An insert of more rows than this goes as several, so that there are few of them to build, and to keep. */
const MOST_ROWS = 16

/** By database, then by table, columns and number of rows. */
const inserts = new WeakMap<object, Map<string, Built>>()

/** Rows with the columns of the first. */
export async function insertRows<T extends Table>(db: Db, table: T, rows: readonly Insertable<Tables[T]>[]): Promise<void> {
  for (let from = 0; from < rows.length; from += MOST_ROWS) await insertSome(db, table, rows.slice(from, from + MOST_ROWS))
}

async function insertSome<T extends Table>(db: Db, table: T, rows: readonly Insertable<Tables[T]>[]): Promise<void> {
  const { adapter } = db.getExecutor()
  const known = inserts.get(adapter) ?? new Map<string, Built>()
  inserts.set(adapter, known)
  const columns = Object.keys(rows[0]!)
  const name = `${table} ${rows.length} ${columns.join()}`
  let query = known.get(name)
  if (query === undefined) {
    const slots = rows.map((_, row) => Object.fromEntries(columns.map((column) => [column, new Slot(row, column)])))
    query = compiled(db.insertInto(table).values(slots as never).compile(), BY_KEY)
    known.set(name, query)
  }
  await run(db, query, rows as readonly Valued[])
}

const compiled = (query: CompiledQuery, finding: Finding): Built => ({ sql: query.sql, parameters: query.parameters, rows: rowsWritten(query.query), isKept: finding === BY_KEY })

function run<Row>(db: Db, query: Built, rows: readonly Valued[]): Promise<QueryResult<Row>> {
  return executeBuilt(db, { ...query, parameters: query.parameters.map((one) => (one instanceof Slot ? rows[one.row]![one.name] : one)) })
}
