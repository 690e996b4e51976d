import { DatabaseError, Pool, types, type PoolClient, type PoolConfig } from 'pg'
import { StorageUnavailable, type Left } from './faults.ts'
import { StalePlan, toFault } from './postgres-errors.ts'
import { Flight, type Answer, type ParserOf, type Plans, type Statement } from './postgres-flight.ts'
import { PLANNED_WITH_VALUES } from './postgres-plans.ts'
import { pulseOf, type Pulse } from './postgres-pulse.ts'

/** R12 answers within 1 s: who waits longer for a connection, new or free, is told that there is none. */
const CONNECT_TIMEOUT_MS = 900
/** More than PostgreSQL's own `deadlock_timeout` of 1 s, which must come first. */
const LOCK_TIMEOUT_MS = 2000
const STATEMENT_TIMEOUT_MS = 5000
const KEEPALIVE_AFTER_MS = 10_000

/**
 * Asks on one connection, all statements in one round trip. `left`: what is left of the change should the connection break before the
 * last one is answered; `nothing`, when left out.
 */
export type AskAll = (statements: readonly Statement[], left?: Left) => Promise<readonly Answer[]>

export type Connections = {
  /** Lends a connection for as long as the work takes. Throws `StorageUnavailable` when there is none in time. */
  use<T>(work: (ask: AskAll) => Promise<T>): Promise<T>
  end(): Promise<void>
}

/** `migrates`: takes as long as it takes, and is one of three servers that wait for each other. */
export type Purpose = 'changes' | 'reads' | 'migrates'

export function openConnections(url: string, most: number, purpose: Purpose): Connections {
  const pool = new Pool(configOf(url, most, purpose))
  // An idle connection that the server has ended; the pool has already let go of it.
  pool.on('error', () => {})
  const way = { pulse: pulseOf(url, purpose === 'migrates' ? Number.POSITIVE_INFINITY : STATEMENT_TIMEOUT_MS + 1000), plans: { epoch: 0 } }
  return {
    use: (work) => lend(pool, (client) => work((statements, left = 'nothing') => ask(client, way, statements, left))),
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
  }
  if (purpose === 'migrates') return { ...always, connectionString: url }
  return {
    ...always,
    connectionString: withOptions(url, purpose === 'reads' ? [PLANNED_WITH_VALUES, READ_ONLY] : [PLANNED_WITH_VALUES]),
    lock_timeout: LOCK_TIMEOUT_MS,
    statement_timeout: STATEMENT_TIMEOUT_MS,
    idle_in_transaction_session_timeout: STATEMENT_TIMEOUT_MS,
  }
}

const READ_ONLY = '-c default_transaction_read_only=on'

function withOptions(url: string, options: readonly string[]): string {
  const asked = new URL(url)
  asked.searchParams.set('options', [asked.searchParams.get('options') ?? '', ...options].join(' ').trim())
  return asked.href
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

type Way = { readonly pulse: Pulse; readonly plans: Plans }

async function ask(client: PoolClient, { pulse, plans }: Way, statements: readonly Statement[], left: Left): Promise<readonly Answer[]> {
  const flight = new Flight(statements, plans, parserOf)
  try {
    client.query(flight)
    return await pulse.watch(client, flight.answered)
  } catch (cause) {
    // A server that says which statement failed has done nothing behind it; one that says nothing may have done them all.
    const isBeforeLast = cause instanceof DatabaseError && flight.at < statements.length - 1
    const fault = toFault(cause, isBeforeLast ? 'nothing' : left)
    if (fault instanceof StalePlan) plans.epoch++
    throw fault
  }
}

const OID = { bytea: 17, int8: 20, numeric: 1700 } as const

/** The same values as from SQLite: whole numbers as numbers, bytes as plain bytes. For these connections only; pg's own table is global. */
const parserOf: ParserOf = (oid) => {
  if (oid === OID.int8 || oid === OID.numeric) return toNumber
  if (oid === OID.bytea) return toBytes
  return types.getTypeParser(oid, 'text') as (text: string) => unknown
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
