import { DatabaseSync, type StatementSync } from 'node:sqlite'
import type { QueryResult } from 'kysely'
import { RuleBroken, StatementFault, StorageUnavailable } from './faults.ts'

export type SqliteConnection = {
  execute(text: string, parameters: readonly unknown[]): QueryResult<unknown>
  /** Runs statements that have no values and no rows. */
  run(text: string): void
  readonly inTransaction: boolean
  close(): void
}

/** Prepared statements kept per connection; lists of changing length would otherwise fill the memory. */
const MOST_STATEMENTS = 500
/** The log file is cut back to this size after a checkpoint; without it, it keeps its largest size for ever. */
const LOG_SIZE_LIMIT = 64 * 1024 * 1024

/** In KiB, where negative. SQLite's own 2 MB hold less than what busy indexes touch; far more, and each commit would look through all of it. */
const CACHE = 'cache_size = -16384'
/**
 * A checkpoint writes each page once, however often it was committed since the last: four times SQLite's own 1000 pages, of which a busy server
 * fills several thousand a second, cost less than half as much. 16 MB; a crash has that much to read again.
 */
const PAGES_BEFORE_CHECKPOINT = 4000

const PRAGMAS = [
  'journal_mode = wal',
  'synchronous = full',
  // On macOS plain fsync leaves the data in the disk's own cache.
  'fullfsync = on',
  'foreign_keys = on',
  'trusted_schema = off',
  // Without it `insert or replace` deletes rows past the guards against deletion.
  'recursive_triggers = on',
  `journal_size_limit = ${LOG_SIZE_LIMIT}`,
  // What a savepoint may have to bring back: on disk it would be written once more for every change, and read by nobody after a crash.
  'temp_store = memory',
  CACHE,
  `wal_autocheckpoint = ${PAGES_BEFORE_CHECKPOINT}`,
]

/**
 * The one connection that writes. Nothing else writes to the file, so a second of waiting for a lock is already a fault. A change may wait
 * twice, for the batch before it and for its own: R55 answers within 3 s.
 */
export const openWriting = (file: string): SqliteConnection => openSafely(file, { timeout: 1000, enableForeignKeyConstraints: true }, PRAGMAS)

export const openReading = (file: string): SqliteConnection =>
  openSafely(file, { timeout: 5000, readOnly: true }, ['trusted_schema = off', 'query_only = on', CACHE])

type OpenOptions = { readonly timeout: number; readonly readOnly?: boolean; readonly enableForeignKeyConstraints?: boolean }

function openSafely(file: string, options: OpenOptions, pragmas: readonly string[]): SqliteConnection {
  let database: DatabaseSync | undefined
  try {
    database = new DatabaseSync(file, { ...options, allowExtension: false, enableDoubleQuotedStringLiterals: false })
    for (const pragma of pragmas) database.exec(`pragma ${pragma}`)
    return connectionOf(database)
  } catch (cause) {
    database?.close()
    throw toFault(cause)
  }
}

/** `columns`: none where it has no rows. */
type Prepared = { readonly statement: StatementSync; readonly columns: readonly string[] }

function connectionOf(database: DatabaseSync): SqliteConnection {
  const prepared = new Map<string, Prepared>()

  const prepare = (text: string): Prepared => {
    const known = prepared.get(text)
    if (known) return known
    const statement = database.prepare(text)
    const made = { statement, columns: statement.columns().map(({ name }) => name) }
    // Names would be made anew for each row.
    if (made.columns.length > 0) statement.setReturnArrays(true)
    const [oldest] = prepared.keys()
    if (prepared.size >= MOST_STATEMENTS && oldest !== undefined) prepared.delete(oldest)
    prepared.set(text, made)
    return made
  }

  return {
    execute: (text, parameters) => {
      try {
        const { statement, columns } = prepare(text)
        const values = parameters as (string | number | bigint | null | Uint8Array)[]
        if (columns.length > 0) return { rows: (statement.all(...values) as unknown as unknown[][]).map((row) => rowOf(columns, row)) }
        return { numAffectedRows: BigInt(statement.run(...values).changes), rows: [] }
      } catch (cause) {
        throw toFault(cause)
      }
    },
    run: (text) => {
      try {
        if (OF_TRANSACTIONS.has(text)) prepare(text).statement.run()
        else database.exec(text)
      } catch (cause) {
        throw toFault(cause)
      }
    },
    get inTransaction() { return database.isTransaction },
    close: () => { database.close() },
  }
}

/** They come with every change, and are parsed once. */
const OF_TRANSACTIONS: ReadonlySet<string> = new Set(['begin immediate', 'savepoint change', 'rollback to change', 'release change', 'commit'])

function rowOf(columns: readonly string[], values: readonly unknown[]): Record<string, unknown> {
  const row: Record<string, unknown> = {}
  for (let i = 0; i < columns.length; i++) row[columns[i]!] = values[i]
  return row
}

/** https://sqlite.org/rescode.html: primary codes after which the transaction can't go on. 5 BUSY, 10 IOERR, 13 FULL, ... */
const ENDS_TRANSACTION: Readonly<Record<number, string>> = {
  3: 'SQLITE_PERM', 5: 'SQLITE_BUSY', 6: 'SQLITE_LOCKED', 7: 'SQLITE_NOMEM', 8: 'SQLITE_READONLY', 9: 'SQLITE_INTERRUPT', 10: 'SQLITE_IOERR',
  11: 'SQLITE_CORRUPT', 13: 'SQLITE_FULL', 14: 'SQLITE_CANTOPEN', 15: 'SQLITE_PROTOCOL', 22: 'SQLITE_NOLFS', 26: 'SQLITE_NOTADB',
}
const CONSTRAINT = 19
const NAMED_RULE = /^(?:rule |[A-Z ]+ constraint failed: )(.+)$/

function toFault(cause: unknown): Error {
  if (!(cause instanceof Error)) return new Error(String(cause))
  if (!('errcode' in cause) || typeof cause.errcode !== 'number') return cause
  const primary = cause.errcode & 0xff
  const ends = ENDS_TRANSACTION[primary]
  if (ends !== undefined) return new StorageUnavailable(ends, 'nothing', { cause })
  // SQLite has no other field for the constraint's name than its message.
  if (primary === CONSTRAINT) return new RuleBroken(NAMED_RULE.exec(cause.message)?.[1] ?? 'foreign_key')
  return new StatementFault(cause.message, `SQLITE_${cause.errcode}`)
}
