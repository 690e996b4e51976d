import {
  DefaultQueryExecutor, InsertQueryNode, Kysely, PostgresAdapter, PostgresQueryCompiler, SqliteAdapter, SqliteQueryCompiler, ValuesNode,
  type CompiledQuery, type Driver, type KyselyConfig, type QueryResult, type RootOperationNode,
} from 'kysely'
import type { Dialect } from './dialect.ts'

/**
 * `rows`: how many rows the statement writes unless it fails, where that is all that its answer can say. `isKept`: it finds its
 * rows by key whatever its values are, and one plan serves them all.
 */
export type Execute = (sql: string, parameters: readonly unknown[], rows?: number, isKept?: boolean) => Promise<QueryResult<unknown>>

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

/** `rows` and `isKept`: as `Execute` takes them. */
export type Built = { readonly sql: string; readonly parameters: readonly unknown[]; readonly rows: number | undefined; readonly isKept: boolean }

/** One adapter for each database: by it `prepared.ts` knows for which a text was built. */
const parts = {
  sqlite: { adapter: new LocklessSqliteAdapter(), compiler: new SqliteQueryCompiler() },
  postgres: { adapter: new PostgresAdapter(), compiler: new PostgresQueryCompiler() },
}

/**
 * Kysely borrows a connection for each statement, gives it back, and asks its plugins: as much work as SQLite has with it. Here each goes straight
 * to the one function, in the very turn in which it is asked: what is asked at once arrives in that order, however it was built.
 */
class StraightExecutor extends DefaultQueryExecutor {
  readonly #execute: Execute

  constructor({ adapter, compiler }: (typeof parts)[Dialect['name']], execute: Execute) {
    super(compiler, adapter, { provideConnection: async () => { throw new Error('a change is one transaction on one connection, and lends it to nobody') } })
    this.#execute = execute
  }

  /** For what is built once, see `prepared.ts`. */
  executeBuilt<R>({ sql, parameters, rows, isKept }: Built): Promise<QueryResult<R>> {
    return this.#execute(sql, parameters, rows, isKept) as Promise<QueryResult<R>>
  }

  override async executeQuery<R>(query: CompiledQuery): Promise<QueryResult<R>> {
    return this.#execute(query.sql, query.parameters, rowsWritten(query.query)) as Promise<QueryResult<R>>
  }
}

/** A Kysely over one function that executes statements; making one costs 2 us, so every change has its own. */
export function bind<DB>(dialect: Dialect['name'], execute: Execute): Bound<DB> {
  let ended = false
  const straight: Execute = async (text, parameters, rows, isKept) => {
    if (ended) throw new Error('a statement after the end of its change: an await is missing')
    return execute(text, checkedParameters(parameters), rows, isKept)
  }
  const db = new Kysely<DB>({ config: NOTHING_ELSE, driver: NO_DRIVER, dialect: NOTHING_ELSE.dialect, executor: new StraightExecutor(parts[dialect], straight) })
  return { db, end: () => { ended = true } }
}

const none = (): never => { throw new Error('statements go straight to their database: there is no driver') }
const NO_DRIVER: Driver = {
  init: none, acquireConnection: none, releaseConnection: none, destroy: none, beginTransaction: none, commitTransaction: none, rollbackTransaction: none,
}
const NOTHING_ELSE: KyselyConfig = { dialect: { createDriver: none, createAdapter: none, createQueryCompiler: none, createIntrospector: none } }

export function executeBuilt<R>(db: { getExecutor(): unknown }, built: Built): Promise<QueryResult<R>> {
  const executor = db.getExecutor()
  if (!(executor instanceof StraightExecutor)) throw new Error('a statement that was built is executed on what `bind` gave')
  return executor.executeBuilt(built)
}

const JUST_WRITES: unique symbol = Symbol('just writes')

/** A statement that returns nothing, and of which nobody wants to know how many rows it wrote. */
export const justWriting = <Row>(query: CompiledQuery<Row>): CompiledQuery<Row> => 
  ({ ...query, query: Object.assign({ ...query.query }, { [JUST_WRITES]: true }) })

/** A plain `insert ... values`: it returns nothing and leaves no row out. */
export function rowsWritten(query: RootOperationNode): number | undefined {
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
