import { DatabaseSync } from 'node:sqlite'
import { Client } from 'pg'
import { StorageUnavailable } from './faults.ts'

export type Column = { readonly name: string; readonly isBytes: boolean }

/** Values in the order of the columns: texts, whole numbers, bytes and nulls. */
export type RowValues = readonly (string | number | Uint8Array | null)[]

/** All tables as they were at one moment, while others go on writing. It holds a connection until it is ended. */
export type Snapshot = {
  columnsOf(table: string): Promise<readonly Column[]>
  /** In pieces, in the memory of one of them. */
  rowsOf(table: string, columns: readonly Column[], orderBy?: string): AsyncIterable<readonly RowValues[]>
  end(): Promise<void>
}

const ROWS_IN_PIECE = 256

const selectOf = (table: string, columns: readonly Column[], orderBy: string | undefined): string =>
  `select ${columns.map(({ name }) => name).join(', ')} from ${table}${orderBy === undefined ? '' : ` order by ${orderBy}`}`

/** A read transaction on a connection of its own. As long as it is open, SQLite's log only grows. */
export async function sqliteSnapshot(file: string): Promise<Snapshot> {
  const db = new DatabaseSync(file, { readOnly: true, timeout: 5000, allowExtension: false })
  try {
    db.exec('pragma trusted_schema = off; pragma query_only = on; begin')
    // The first read fixes what the transaction sees.
    db.prepare('select count(*) from installation').get()
  } catch (cause) {
    db.close()
    throw cause
  }
  return {
    columnsOf: async (table) => db.prepare('select name, type from pragma_table_info(?) order by cid').all(table)
      .map((row) => ({ name: String(row['name']), isBytes: String(row['type']).toLowerCase() === 'blob' })),
    async* rowsOf(table, columns, orderBy) {
      const statement = db.prepare(selectOf(table, columns, orderBy))
      statement.setReturnArrays(true)
      let piece: RowValues[] = []
      for (const row of statement.iterate()) {
        piece.push(row as unknown as RowValues)
        if (piece.length < ROWS_IN_PIECE) continue
        yield piece
        piece = []
      }
      if (piece.length > 0) yield piece
    },
    end: async () => { db.close() },
  }
}

/** https://www.postgresql.org/docs/current/transaction-iso.html#XACT-REPEATABLE-READ: every statement sees what the first one saw. */
export async function postgresSnapshot(url: string): Promise<Snapshot> {
  const client = new Client({ connectionString: url, application_name: 'writ backup', types: { getTypeParser: parserOf as never } })
  let broken: Error | undefined
  client.on('error', (cause) => { broken = cause })
  const ask = async (text: string, values: readonly unknown[] = []): Promise<readonly RowValues[]> => {
    try {
      return (await client.query({ text, values: [...values], rowMode: 'array' })).rows as RowValues[]
    } catch (cause) {
      throw new StorageUnavailable((cause as { code?: string }).code ?? 'connection failed', 'nothing', { cause: broken ?? cause })
    }
  }
  try {
    await client.connect()
    await ask('begin isolation level repeatable read read only')
    await ask('select count(*) from installation')
  } catch (cause) {
    await client.end().catch(() => undefined)
    throw cause instanceof StorageUnavailable ? cause : new StorageUnavailable((cause as { code?: string }).code ?? 'connection failed', 'nothing', { cause })
  }
  return {
    columnsOf: async (table) => (await ask(`
      select attname, atttypid::regtype::text
        from pg_attribute
       where attrelid = $1::regclass
         and attnum > 0
         and not attisdropped
    order by attnum`, [table])).map(([name, type]) => ({ name: String(name), isBytes: type === 'bytea' })),
    async* rowsOf(table, columns, orderBy) {
      await ask(`declare rows no scroll cursor for ${selectOf(table, columns, orderBy)}`)
      for (;;) {
        const piece = await ask(`fetch ${ROWS_IN_PIECE} from rows`)
        if (piece.length === 0) break
        yield piece
      }
      await ask('close rows')
    },
    end: async () => { await client.end().catch(() => undefined) },
  }
}

const OID = { bytea: 17, int8: 20 } as const

/** The same values as from SQLite. */
export function parserOf(oid: number): (text: string) => unknown {
  if (oid === OID.int8) return wholeNumber
  if (oid === OID.bytea) return (text) => Buffer.from(text.slice(2), 'hex')
  return (text) => text
}

function wholeNumber(text: string): number {
  const number = Number(text)
  if (!Number.isSafeInteger(number)) throw new RangeError('a whole number from the database is past 2^53 - 1')
  return number
}
