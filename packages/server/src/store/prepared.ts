import type { Compilable, CompiledQuery, Insertable, Kysely } from 'kysely'
import { justWriting } from './bound.ts'
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
 * A statement that is built once for each of the two databases, and filled each time: to build it costs as much as to run it. `build` puts
 * each value where it belongs and looks at none, for what it is given there stands for values that come later.
 */
export function prepared<Values extends object, Row>(build: (db: Db, values: Values) => Compilable<Row>): (db: Db, values: Values) => Promise<Ran<Row>> {
  const statement = buildOnce(build)
  return async (db, values) => {
    const { rows, numAffectedRows } = await db.executeQuery(filled(statement(db, db), [values as Valued]))
    return { rows, written: numAffectedRows }
  }
}

type Ran<Row> = { readonly rows: readonly Row[]; readonly written: bigint | undefined }

/** The part of a transaction that a statement may be built for: its database, and how that locks rows. */
export type Locking = Pick<TxOf<Tables, unknown>, 'db' | 'dialect'>

/** The same of one that locks what it reads. */
export function preparedLock<Values extends object, Row>(build: (tx: Locking, values: Values) => Compilable<Row>): (tx: Locking, values: Values) => Promise<readonly Row[]> {
  const statement = buildOnce(build)
  return async (tx, values) => (await tx.db.executeQuery(filled(statement(tx, tx.db), [values as Valued]))).rows
}

/** The same of one of which nobody wants to know how many rows it wrote: on PostgreSQL it travels with whatever comes after it. */
export function preparedWrite<Values extends object>(build: (db: Db, values: Values) => Compilable): (db: Db, values: Values) => Promise<void> {
  const statement = buildOnce((db: Db, values: Values) => {
    const query = build(db, values)
    return { compile: () => justWriting(query.compile()) }
  })
  return async (db, values) => {
    await db.executeQuery(filled(statement(db, db), [values as Valued]))
  }
}

/** The same of one that is built anew each time. */
export async function justWrite(db: Db, query: Compilable): Promise<void> {
  await db.executeQuery(justWriting(query.compile()))
}

function buildOnce<Given, Values extends object, Row>(build: (given: Given, values: Values) => Compilable<Row>): (given: Given, db: Db) => CompiledQuery<Row> {
  const built = new WeakMap<object, CompiledQuery<Row>>()
  return (given, db) => {
    const { adapter } = db.getExecutor()
    const known = built.get(adapter)
    if (known !== undefined) return known
    const query = build(given, new Proxy({}, { get: (_, name) => new Slot(0, String(name)) }) as Values).compile()
    built.set(adapter, query)
    return query
  }
}

/** Of inserts of more rows than this, which are few, none is kept. */
const MOST_ROWS = 8

/** By database, then by table, columns and number of rows. */
const inserts = new WeakMap<object, Map<string, CompiledQuery>>()

/** Rows with the columns of the first. */
export async function insertRows<T extends Table>(db: Db, table: T, rows: readonly Insertable<Tables[T]>[]): Promise<void> {
  const [first] = rows
  if (first === undefined) return
  if (rows.length > MOST_ROWS) {
    await db.insertInto(table).values(rows).execute()
    return
  }
  const { adapter } = db.getExecutor()
  const known = inserts.get(adapter) ?? new Map<string, CompiledQuery>()
  inserts.set(adapter, known)
  const columns = Object.keys(first)
  const name = `${table} ${rows.length} ${columns.join()}`
  let query = known.get(name)
  if (query === undefined) {
    const slots = rows.map((_, row) => Object.fromEntries(columns.map((column) => [column, new Slot(row, column)])))
    query = db.insertInto(table).values(slots as never).compile()
    known.set(name, query)
  }
  await db.executeQuery(filled(query, rows as readonly Valued[]))
}

function filled<Row>(query: CompiledQuery<Row>, rows: readonly Valued[]): CompiledQuery<Row> {
  return { ...query, parameters: query.parameters.map((one) => (one instanceof Slot ? rows[one.row]![one.name] : one)) }
}
