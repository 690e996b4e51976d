import type { Outcome } from '@writ/domain/outcome'
import type { EpochMs } from '@writ/domain/time'
import { setTimeout as wait } from 'node:timers/promises'
import type { Pool, PoolClient } from 'pg'
import { failpoint } from '../platform/failpoint.ts'
import { bind, type Execute } from './bound.ts'
import type { TxOf } from './change.ts'
import { postgresDialect } from './dialect-postgres.ts'
import { ChangeFault, readDoesNotWrite, RuleBroken, StatementFault, StorageUnavailable } from './faults.ts'
import { migrate, type MigrationTarget, type Migrations } from './migrate.ts'
import { runOnce } from './once.ts'
import { checkDatabase } from './postgres-check.ts'
import { ask, Conflict, connect, openPool } from './postgres-connection.ts'
import type { Store } from './store.ts'

export type PostgresOrder<Context> = {
  readonly url: string
  readonly context: Context
  readonly migrations: Migrations
  readonly now: EpochMs
  /** Connections for changes; reading has half as many of its own, so that neither starves the other. */
  readonly mostConnections?: number
  readonly allowMissingChecksums?: boolean
}

const MOST_CONNECTIONS = 10
const MOST_RETRIES = 3
/** Any number of ours, the same in every release: only one server migrates at a time. */
const MIGRATION_LOCK = 0x77726974

/** Opens a store that other servers may share. Throws `UnusableStore` when the database must not be used. */
export async function openPostgres<DB, Context>(order: PostgresOrder<Context>): Promise<Store<DB, Context>> {
  const most = order.mostConnections ?? MOST_CONNECTIONS
  const writing = openPool({ url: order.url, most, writes: true })
  const reading = openPool({ url: order.url, most: Math.ceil(most / 2), writes: false })
  const close = async (): Promise<void> => { await Promise.all([writing.end(), reading.end()]) }
  try {
    await withClient(writing, async (client) => {
      const checkOrder = { place: placeOf(order.url), allowMissingChecksums: order.allowMissingChecksums ?? false }
      await checkDatabase(async (text, parameters) => (await ask(client, text, parameters)).rows, checkOrder)
    })
    await migrate(migrationTarget(writing), order.migrations, order.now)
  } catch (cause) {
    await close()
    throw cause
  }
  return storeOf<DB, Context>({ writing, reading, context: order.context, close })
}

type Parts<Context> = { readonly writing: Pool; readonly reading: Pool; readonly context: Context; readonly close: () => Promise<void> }

function storeOf<DB, Context>({ writing, reading, context, close }: Parts<Context>): Store<DB, Context> {
  const { db } = bind<DB>('postgres', (text, parameters) => withClient(reading, (client) => askReading(client, text, parameters)))
  const runChange = async <Value, Refusal>(name: string, run: (tx: TxOf<DB, Context>) => Promise<Outcome<Value, Refusal>>): Promise<Outcome<Value, Refusal>> => {
    for (let retry = 0; ; retry++) {
      try {
        return await withClient(writing, (client) => inTransaction(client, context, name, run))
      } catch (error) {
        if (error instanceof Conflict && retry < MOST_RETRIES) await wait(5 * 2 ** retry)
        else if (error instanceof StorageUnavailable || error instanceof RuleBroken) throw error
        else throw new ChangeFault(name, error)
      }
    }
  }
  return {
    dialect: postgresDialect,
    change: (change, input) => runChange(change.name, (tx) => change.run(tx, input)),
    changeOnce: (change, input, once) => runChange(change.name, (tx) => runOnce(tx, change, input, once)),
    read: (query) => query(db),
    ping: async () => { await withClient(writing, (client) => ask(client, 'select 1')) },
    close,
  }
}

async function inTransaction<DB, Context, Value, Refusal>(
  client: PoolClient, context: Context, name: string, run: (tx: TxOf<DB, Context>) => Promise<Outcome<Value, Refusal>>,
): Promise<Outcome<Value, Refusal>> {
  await ask(client, 'begin isolation level read committed')
  const line = inLine(client)
  const bound = bind<DB>('postgres', line.execute)
  try {
    const outcome = await run({ db: bound.db, dialect: postgresDialect, context })
    bound.end()
    await line.empty()
    if (outcome.ok) await commit(client, name)
    else await ask(client, 'rollback')
    return outcome
  } catch (error) {
    bound.end()
    await line.empty()
    // A connection that broke, or may have, is not used again; the server rolls back by itself.
    if (!(error instanceof StorageUnavailable)) await ask(client, 'rollback')
    throw error
  }
}

async function commit(client: PoolClient, name: string): Promise<void> {
  failpoint('store.before_commit', name)
  const { command } = await ask(client, 'commit', [], 'unknown')
  // PostgreSQL answers so when a statement had failed and the change went on regardless.
  if (command !== 'COMMIT') throw new StatementFault('a statement failed and the change went on: it was rolled back', command)
  failpoint('store.after_commit', name)
}

/** SQLSTATE 25006: read_only_sql_transaction. */
const READ_ONLY = '25006'

async function askReading(client: PoolClient, text: string, parameters: readonly unknown[]): ReturnType<Execute> {
  try {
    return await ask(client, text, parameters)
  } catch (error) {
    throw error instanceof StorageUnavailable && error.code === READ_ONLY ? readDoesNotWrite() : error
  }
}

/** One statement at a time on this connection, also where a change asks several at once. */
function inLine(client: PoolClient): { readonly execute: Execute; readonly empty: () => Promise<void> } {
  let last: Promise<unknown> = Promise.resolve()
  return {
    execute: (text, parameters) => {
      const answer = last.then(() => ask(client, text, parameters))
      last = answer.catch(() => {})
      return answer
    },
    empty: async () => { await last },
  }
}

async function withClient<T>(pool: Pool, work: (client: PoolClient) => Promise<T>): Promise<T> {
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

function migrationTarget(pool: Pool): MigrationTarget {
  return {
    dialect: postgresDialect,
    exclusively: (work) => withClient(pool, async (client) => {
      await ask(client, 'begin isolation level read committed')
      try {
        // Other servers wait here as long as it takes.
        await ask(client, 'set local lock_timeout = 0')
        await ask(client, 'set local statement_timeout = 0')
        await ask(client, 'select pg_advisory_xact_lock($1)', [MIGRATION_LOCK])
        const done = await work(async (text, parameters) => (await ask(client, text, parameters)).rows)
        await ask(client, 'commit', [], 'unknown')
        return done
      } catch (error) {
        if (!(error instanceof StorageUnavailable)) await ask(client, 'rollback')
        throw error
      }
    }),
  }
}

/** Host, port and database of a URL, without who logs in and how. */
function placeOf(url: string): string {
  const { host, pathname } = new URL(url)
  return `${host}${pathname}`
}
