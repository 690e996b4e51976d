import type { QueryResult } from 'kysely'
import { Pool, types, type PoolClient, type PoolConfig } from 'pg'
import { StorageUnavailable, type Left } from './faults.ts'
import { toFault } from './postgres-errors.ts'
import { pulseOf, type Pulse } from './postgres-pulse.ts'

/** R12 answers within 1 s: who waits longer for a connection, new or free, is told that there is none. */
const CONNECT_TIMEOUT_MS = 900
/** More than PostgreSQL's own `deadlock_timeout` of 1 s, which must come first. */
const LOCK_TIMEOUT_MS = 2000
const STATEMENT_TIMEOUT_MS = 5000
const KEEPALIVE_AFTER_MS = 10_000

export type Answer = QueryResult<unknown> & { readonly command: string }

/** Asks on one connection. `left`: what is left of the change should the connection break now; `nothing`, when left out. */
export type AskOne = (text: string, parameters?: readonly unknown[], left?: Left) => Promise<Answer>

export type Connections = {
  /** Lends a connection for as long as the work takes. Throws `StorageUnavailable` when there is none in time. */
  use<T>(work: (ask: AskOne) => Promise<T>): Promise<T>
  end(): Promise<void>
}

/** `migrates`: takes as long as it takes, and is one of three servers that wait for each other. */
export type Purpose = 'changes' | 'reads' | 'migrates'

export function openConnections(url: string, most: number, purpose: Purpose): Connections {
  const pool = new Pool(configOf(url, most, purpose))
  // An idle connection that the server has ended; the pool has already let go of it.
  pool.on('error', () => {})
  const pulse = pulseOf(url)
  return {
    use: (work) => lend(pool, (client) =>
      work((text, parameters = [], left = 'nothing') => ask(client, pulse, { text, parameters, left }))),
    end: () => pool.end(),
  }
}

function configOf(url: string, most: number, purpose: Purpose): PoolConfig {
  const always = {
    max: most,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    keepAlive: true,
    keepAliveInitialDelayMillis: KEEPALIVE_AFTER_MS,
    application_name: 'writ',
    types: { getTypeParser },
  }
  if (purpose === 'migrates') return { ...always, connectionString: url }
  return {
    ...always,
    connectionString: purpose === 'reads' ? readOnly(url) : url,
    lock_timeout: LOCK_TIMEOUT_MS,
    statement_timeout: STATEMENT_TIMEOUT_MS,
    idle_in_transaction_session_timeout: STATEMENT_TIMEOUT_MS,
  }
}

function readOnly(url: string): string {
  const reading = new URL(url)
  const options = reading.searchParams.get('options') ?? ''
  reading.searchParams.set('options', `${options} -c default_transaction_read_only=on`.trim())
  return reading.href
}

async function lend<T>(pool: Pool, work: (client: PoolClient) => Promise<T>): Promise<T> {
  const client = await connect(pool)
  // Without a listener, a connection that breaks between two statements would end the process; the next statement tells.
  const ignore = (): void => {}
  client.on('error', ignore)
  let reusable = true
  try {
    return await work(client)
  } catch (error) {
    reusable = !(error instanceof StorageUnavailable)
    throw error
  } finally {
    client.removeListener('error', ignore)
    client.release(!reusable)
  }
}

async function connect(pool: Pool): Promise<PoolClient> {
  try {
    return await pool.connect()
  } catch (cause) {
    const fault = toFault(cause, 'nothing')
    throw fault instanceof StorageUnavailable ? fault : new StorageUnavailable('connection failed', 'nothing', { cause: fault })
  }
}

type Question = { readonly text: string; readonly parameters: readonly unknown[]; readonly left: Left }

async function ask(client: PoolClient, pulse: Pulse, { text, parameters, left }: Question): Promise<Answer> {
  try {
    const { rows, rowCount, command } = await pulse.watch(client, client.query(text, [...parameters]))
    return { rows, numAffectedRows: BigInt(rowCount ?? 0), command }
  } catch (cause) {
    throw toFault(cause, left)
  }
}

const OID = { bytea: 17, int8: 20, numeric: 1700 } as const

/** The same values as from SQLite: whole numbers as numbers, bytes as plain bytes. For these connections only; pg's own table is global. */
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
