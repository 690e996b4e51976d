import type { Outcome } from '@writ/domain/outcome'
import type { EpochMs } from '@writ/domain/time'
import { setTimeout as wait } from 'node:timers/promises'
import { bind } from './bound.ts'
import { postgresDialect } from './dialect-postgres.ts'
import { ChangeFault, readDoesNotWrite, RuleBroken, StorageUnavailable } from './faults.ts'
import { migrate, type MigrationTarget, type Migrations } from './migrate.ts'
import { runOnce } from './once.ts'
import { checkDatabase } from './postgres-check.ts'
import { openConnections, type Connections } from './postgres-connection.ts'
import { Conflict, StalePlan } from './postgres-errors.ts'
import type { Answer, Statement } from './postgres-flight.ts'
import { planSwitch } from './postgres-plans.ts'
import { BEGIN, COMMIT, inTransaction, ROLLBACK, type Run } from './postgres-transaction.ts'
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
/** Each takes the second after which PostgreSQL looks for a deadlock. */
const MOST_MIGRATION_RETRIES = 10
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
      await checkDatabase(async (text, parameters = []) => (await ask([{ text, parameters }]))[0]!.rows, checkOrder)
    })
    await migrateAmongOthers(connections, migrations, now)
  } finally {
    await connections.end()
  }
}

/** R72: servers of the release before go on serving, and lock the same tables in an order of their own. Nothing is left of what loses to them. */
async function migrateAmongOthers(connections: Connections, migrations: Migrations, now: EpochMs): Promise<void> {
  for (let retry = 0; ; retry++) {
    try {
      await migrate(migrationTarget(connections), migrations, now)
      return
    } catch (error) {
      if (!(error instanceof Conflict) || retry >= MOST_MIGRATION_RETRIES) throw error
    }
    await wait(100 * (retry + 1))
  }
}

function storeOf<DB, Context>(changes: Connections, reads: Connections, context: Context): Store<DB, Context> {
  const { db } = bind<DB>('postgres', (text, parameters, _rows, isKept = false) => askReading(reads, { text, parameters, isKept }))
  let ended: Promise<unknown> | undefined
  const runChange = async <Value, Refusal>(of: Run<DB, Context, Value, Refusal>): Promise<Outcome<Value, Refusal>> => {
    for (let retry = 0; ; retry++) {
      try {
        return await changes.use((ask) => inTransaction(ask, context, of))
      } catch (error) {
        if (error instanceof Conflict && retry < MOST_RETRIES) await wait(5 * 2 ** retry)
        else if (error instanceof StorageUnavailable || error instanceof RuleBroken) throw error
        else throw new ChangeFault(of.name, error)
      }
    }
  }
  return {
    dialect: postgresDialect,
    change: (change, input) => runChange({ name: change.name, run: (tx) => change.run(tx, input) }),
    changeOnce: (change, input, once) => runChange({ name: change.name, run: (tx) => runOnce(tx, change, input, once) }),
    read: (query) => query(db),
    ping: async () => { await changes.use((ask) => ask([PING])) },
    close: async () => { await (ended ??= Promise.all([changes.end(), reads.end()])) },
  }
}

const PING: Statement = { text: 'select 1', parameters: [] }

/** SQLSTATE 25006: read_only_sql_transaction. */
const READ_ONLY = '25006'

async function askReading(reads: Connections, statement: Statement): Promise<Answer> {
  const before = planSwitch()(statement)
  const statements = before === undefined ? [statement] : [before, statement]
  const once = async (): Promise<Answer> => (await reads.use((ask) => ask(statements))).at(-1)!
  try {
    return await once().catch((error: unknown) => {
      if (error instanceof StalePlan) return once()
      throw error
    })
  } catch (error) {
    throw error instanceof StorageUnavailable && error.code === READ_ONLY ? readDoesNotWrite() : error
  }
}

function migrationTarget(connections: Connections): MigrationTarget {
  return {
    dialect: postgresDialect,
    exclusively: (work) => connections.use(async (ask) => {
      try {
        // Other servers wait here as long as it takes.
        await ask([BEGIN, { text: 'select pg_advisory_xact_lock($1)', parameters: [MIGRATION_LOCK] }])
        const done = await work(async (text, parameters = []) => (await ask([{ text, parameters }]))[0]!.rows)
        await ask([COMMIT], 'unknown')
        return done
      } catch (error) {
        if (!(error instanceof StorageUnavailable)) await ask([ROLLBACK])
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
