import type { Compilable, CompiledQuery, Insertable, Kysely } from 'kysely'
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
export function prepared<Values extends object, Row>(
  build: (db: Db, values: Values) => Compilable<Row>,
): (db: Db, values: Values) => Promise<{ readonly rows: readonly Row[]; readonly written: bigint | undefined }> {
  const built = new WeakMap<object, CompiledQuery<Row>>()
  return async (db, values) => {
    const { adapter } = db.getExecutor()
    let query = built.get(adapter)
    if (query === undefined) {
      query = build(db, new Proxy({}, { get: (_, name) => new Slot(0, String(name)) }) as Values).compile()
      built.set(adapter, query)
    }
    const { rows, numAffectedRows } = await db.executeQuery(filled(query, [values as Valued]))
    return { rows, written: numAffectedRows }
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
