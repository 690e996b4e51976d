import type { Outcome } from '@writ/domain/outcome'
import type { EpochMs } from '@writ/domain/time'
import { setTimeout as wait } from 'node:timers/promises'
import { failpoint } from '../platform/failpoint.ts'
import { bind, type Execute } from './bound.ts'
import type { TxOf } from './change.ts'
import { postgresDialect } from './dialect-postgres.ts'
import { ChangeFault, readDoesNotWrite, RuleBroken, StatementFault, StorageUnavailable } from './faults.ts'
import { migrate, type MigrationTarget, type Migrations } from './migrate.ts'
import { runOnce } from './once.ts'
import { checkDatabase } from './postgres-check.ts'
import { openConnections, type AskOne, type Connections } from './postgres-connection.ts'
import { Conflict } from './postgres-errors.ts'
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
  await prepare(order)
  const most = order.mostConnections ?? MOST_CONNECTIONS
  const changes = openConnections(order.url, most, 'changes')
  const reads = openConnections(order.url, Math.ceil(most / 2), 'reads')
  return storeOf<DB, Context>(changes, reads, order.context)
}

async function prepare({ url, migrations, now, allowMissingChecksums }: PostgresOrder<unknown>): Promise<void> {
  const connections = openConnections(url, 1, 'migrates')
  try {
    await connections.use(async (ask) => {
      const checkOrder = { place: placeOf(url), allowMissingChecksums: allowMissingChecksums ?? false }
      await checkDatabase(async (text, parameters) => (await ask(text, parameters)).rows, checkOrder)
    })
    await migrate(migrationTarget(connections), migrations, now)
  } finally {
    await connections.end()
  }
}

type Run<DB, Context, Value, Refusal> = (tx: TxOf<DB, Context>) => Promise<Outcome<Value, Refusal>>

function storeOf<DB, Context>(changes: Connections, reads: Connections, context: Context): Store<DB, Context> {
  const { db } = bind<DB>('postgres', (text, parameters) => reads.use((ask) => askReading(ask, text, parameters)))
  let ended: Promise<unknown> | undefined
  const runChange = async <Value, Refusal>(name: string, run: Run<DB, Context, Value, Refusal>): Promise<Outcome<Value, Refusal>> => {
    for (let retry = 0; ; retry++) {
      try {
        return await changes.use((ask) => inTransaction(ask, context, name, run))
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
    ping: async () => { await changes.use((ask) => ask('select 1')) },
    close: async () => { await (ended ??= Promise.all([changes.end(), reads.end()])) },
  }
}

async function inTransaction<DB, Context, Value, Refusal>(
  ask: AskOne, context: Context, name: string, run: Run<DB, Context, Value, Refusal>,
): Promise<Outcome<Value, Refusal>> {
  await ask('begin isolation level read committed')
  const line = inLine(ask)
  const bound = bind<DB>('postgres', line.execute)
  try {
    const outcome = await run({ db: bound.db, dialect: postgresDialect, context })
    bound.end()
    await line.empty()
    if (outcome.ok) await commit(ask, name)
    else await ask('rollback')
    return outcome
  } catch (error) {
    bound.end()
    await line.empty()
    // A connection that broke, or may have, is not used again; the server rolls back by itself.
    if (!(error instanceof StorageUnavailable)) await ask('rollback')
    throw error
  }
}

async function commit(ask: AskOne, name: string): Promise<void> {
  failpoint('store.before_commit', name)
  const { command } = await ask('commit', [], 'unknown')
  // PostgreSQL answers so when a statement had failed and the change went on regardless.
  if (command !== 'COMMIT') throw new StatementFault('a statement failed and the change went on: it was rolled back', command)
  failpoint('store.after_commit', name)
}

/** SQLSTATE 25006: read_only_sql_transaction. */
const READ_ONLY = '25006'

async function askReading(ask: AskOne, text: string, parameters: readonly unknown[]): ReturnType<Execute> {
  try {
    return await ask(text, parameters)
  } catch (error) {
    throw error instanceof StorageUnavailable && error.code === READ_ONLY ? readDoesNotWrite() : error
  }
}

/** One statement at a time on this connection, also where a change asks several at once. */
function inLine(ask: AskOne): { readonly execute: Execute; readonly empty: () => Promise<void> } {
  let last: Promise<unknown> = Promise.resolve()
  return {
    execute: (text, parameters) => {
      const answer = last.then(() => ask(text, parameters))
      last = answer.catch(() => {})
      return answer
    },
    empty: async () => { await last },
  }
}

function migrationTarget(connections: Connections): MigrationTarget {
  return {
    dialect: postgresDialect,
    exclusively: (work) => connections.use(async (ask) => {
      await ask('begin isolation level read committed')
      try {
        // Other servers wait here as long as it takes.
        await ask('select pg_advisory_xact_lock($1)', [MIGRATION_LOCK])
        const done = await work(async (text, parameters) => (await ask(text, parameters)).rows)
        await ask('commit', [], 'unknown')
        return done
      } catch (error) {
        if (!(error instanceof StorageUnavailable)) await ask('rollback')
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
