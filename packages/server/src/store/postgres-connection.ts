import { DatabaseError, Pool, types, type PoolClient, type PoolConfig } from 'pg'
import type { QueryResult } from 'kysely'
import { RuleBroken, StatementFault, StorageUnavailable, type Left } from './faults.ts'

/** R12 answers within 1 s: what waits longer for a connection, new or free, is told that there is none. */
const CONNECT_TIMEOUT_MS = 900
/** The server gives up a statement first; the client's own limit is for a server that no longer answers at all. */
const LOCK_TIMEOUT_MS = 2000
const STATEMENT_TIMEOUT_MS = 5000
const QUERY_TIMEOUT_MS = 6000
const KEEPALIVE_AFTER_MS = 10_000

export type PoolOrder = { readonly url: string; readonly most: number; readonly writes: boolean }

export function openPool({ url, most, writes }: PoolOrder): Pool {
  const config: PoolConfig = {
    connectionString: writes ? url : readOnly(url),
    max: most,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    lock_timeout: LOCK_TIMEOUT_MS,
    statement_timeout: STATEMENT_TIMEOUT_MS,
    query_timeout: QUERY_TIMEOUT_MS,
    idle_in_transaction_session_timeout: STATEMENT_TIMEOUT_MS,
    keepAlive: true,
    keepAliveInitialDelayMillis: KEEPALIVE_AFTER_MS,
    application_name: 'writ',
    types: { getTypeParser },
  }
  const pool = new Pool(config)
  // An idle connection that the server has ended; the pool has already let go of it.
  pool.on('error', () => {})
  return pool
}

function readOnly(url: string): string {
  const reading = new URL(url)
  const options = reading.searchParams.get('options') ?? ''
  reading.searchParams.set('options', `${options} -c default_transaction_read_only=on`.trim())
  return reading.href
}

/** A connection for one caller. Throws `StorageUnavailable` when there is none in time. */
export async function connect(pool: Pool): Promise<PoolClient> {
  try {
    return await pool.connect()
  } catch (cause) {
    throw new StorageUnavailable(codeOf(cause), 'nothing', { cause: withoutValues(cause) })
  }
}

export async function ask(client: PoolClient, text: string, parameters: readonly unknown[] = [], left: Left = 'nothing'): Promise<QueryResult<unknown> & { readonly command: string }> {
  try {
    const { rows, rowCount, command } = await client.query(text, [...parameters])
    return { rows, numAffectedRows: BigInt(rowCount ?? 0), command }
  } catch (cause) {
    throw toFault(cause, left)
  }
}

const OID = { bytea: 17, int8: 20, numeric: 1700 } as const

/** The same values as from SQLite: whole numbers as numbers, bytes as plain bytes. Of this pool only; pg's own table is global. */
function getTypeParser(oid: number, format?: 'text' | 'binary'): (text: string) => unknown {
  if (oid === OID.int8 || oid === OID.numeric) return toNumber
  if (oid === OID.bytea) return toBytes
  return types.getTypeParser(oid, format as 'text') as (text: string) => unknown
}

function toNumber(text: string): number {
  const number = Number(text)
  if (Number.isInteger(number) && !Number.isSafeInteger(number)) throw new RangeError('a whole number from the database is past 2^53 - 1')
  return number
}

/** https://www.postgresql.org/docs/current/datatype-binary.html: `\x` and hexadecimal digits, the default since 9.0. */
function toBytes(text: string): Uint8Array {
  if (!text.startsWith('\\x')) throw new RangeError('bytea_output is not `hex`')
  return new Uint8Array(Buffer.from(text.slice(2), 'hex'))
}

/** SQLSTATE classes and codes (PostgreSQL Appendix A) that say: not now. */
const NOT_NOW = [/^08/, /^53/, /^57/, /^58/, /^XX/, /^55P03$/, /^25006$/, /^28/, /^3D000$/]
const RULE = /^23/
const VALUE = /^22/
const RETRY = ['40001', '40P01']

/** Lost to a deadlock or to a serialisation conflict: the same change may pass when it is tried again. */
export class Conflict extends StatementFault {}

export function toFault(cause: unknown, left: Left): Error {
  // The server's own answers are `DatabaseError`s; anything else is a connection that broke or timed out.
  if (!(cause instanceof DatabaseError)) return cause instanceof RangeError ? cause : new StorageUnavailable(codeOf(cause), left, { cause })
  const code = cause.code ?? 'XX000'
  if (NOT_NOW.some((one) => one.test(code))) return new StorageUnavailable(code, left, { cause: withoutValues(cause) })
  if (RULE.test(code)) return new RuleBroken(cause.constraint ?? cause.column ?? code)
  if (RETRY.includes(code)) return new Conflict('the database ended a conflict between two changes', code)
  // Class 22 quotes the value that it could not read.
  return new StatementFault(VALUE.test(code) ? `the database could not read a value (${code})` : cause.message, code)
}

/** `detail` and `where` of an error quote rows. */
function withoutValues(cause: unknown): unknown {
  return cause instanceof DatabaseError ? new StatementFault(cause.message, cause.code ?? 'XX000') : cause
}

function codeOf(cause: unknown): string {
  return cause instanceof Error && 'code' in cause && typeof cause.code === 'string' ? cause.code : 'connection failed'
}
