import {
  InsertQueryNode, Kysely, PostgresAdapter, PostgresQueryCompiler, SqliteAdapter, SqliteQueryCompiler, ValuesNode,
  type CompiledQuery, type DatabaseConnection, type QueryResult, type RootOperationNode,
} from 'kysely'
import type { Dialect } from './dialect.ts'

/** `rows`: how many rows the statement writes unless it fails, where that is all that its answer can say. */
export type Execute = (sql: string, parameters: readonly unknown[], rows?: number) => Promise<QueryResult<unknown>>

export type Bound<DB> = {
  readonly db: Kysely<DB>
  /** From here on a statement is a fault: a change that did not await one must not write into the next change. */
  end(): void
}

/** Kysely guards a SQLite connection with a lock of its own; our statements there are synchronous and need none. */
class LocklessSqliteAdapter extends SqliteAdapter {
  override get supportsMultipleConnections(): boolean {
    return true
  }
}

/** One adapter for each database: by it `prepared.ts` knows for which a text was built. */
const parts = {
  sqlite: { adapter: new LocklessSqliteAdapter(), compiler: () => new SqliteQueryCompiler() },
  postgres: { adapter: new PostgresAdapter(), compiler: () => new PostgresQueryCompiler() },
}

/** A Kysely over one function that executes statements; making one costs 2 us, so every change has its own. */
export function bind<DB>(dialect: Dialect['name'], execute: Execute): Bound<DB> {
  let ended = false
  const connection: DatabaseConnection = {
    executeQuery: async <R>(query: CompiledQuery): Promise<QueryResult<R>> => {
      if (ended) throw new Error('a statement after the end of its change: an await is missing')
      return await execute(query.sql, checkedParameters(query.parameters), rowsWritten(query.query)) as QueryResult<R>
    },
    streamQuery: () => { throw new Error('rows are not streamed') },
  }
  const noTransaction = async (): Promise<never> => { throw new Error('a change is one transaction and holds no other') }
  const nothing = async (): Promise<void> => {}
  const db = new Kysely<DB>({
    dialect: {
      createDriver: () => ({
        init: nothing,
        acquireConnection: async () => connection,
        releaseConnection: nothing,
        destroy: nothing,
        beginTransaction: noTransaction,
        commitTransaction: noTransaction,
        rollbackTransaction: noTransaction,
      }),
      createAdapter: () => parts[dialect].adapter,
      createQueryCompiler: parts[dialect].compiler,
      createIntrospector: () => { throw new Error('the schema is not introspected') },
    },
  })
  return { db, end: () => { ended = true } }
}

const JUST_WRITES: unique symbol = Symbol('just writes')

/** A statement that returns nothing, and of which nobody wants to know how many rows it wrote. */
export const justWriting = <Row>(query: CompiledQuery<Row>): CompiledQuery<Row> => 
  ({ ...query, query: Object.assign({ ...query.query }, { [JUST_WRITES]: true }) })

/** A plain `insert ... values`: it returns nothing and leaves no row out. */
function rowsWritten(query: RootOperationNode): number | undefined {
  if (JUST_WRITES in query) return 0
  if (!InsertQueryNode.is(query) || query.returning !== undefined || query.onConflict !== undefined) return undefined
  return query.values !== undefined && ValuesNode.is(query.values) ? query.values.values.length : undefined
}

/** What both databases take and give back alike; anything else would be stored differently by one of them. */
export function checkedParameters(parameters: readonly unknown[]): readonly unknown[] {
  for (const value of parameters) {
    if (value === null || typeof value === 'bigint' || value instanceof Uint8Array) continue
    if (typeof value === 'number' && Number.isFinite(value)) continue
    // PostgreSQL's text holds no U+0000, and SQLite would show the text cut.
    if (typeof value === 'string' && !value.includes('\0')) continue
    throw new TypeError(`a statement's values are text without U+0000, finite numbers, bytes and null, not ${typeof value}`)
  }
  return parameters
}
