import type { BackendSettings } from '@writ/domain/template'
import { Client, Pool, type ClientBase, type ClientConfig } from 'pg'
import { setTimeout as pause } from 'node:timers/promises'
import { codeOf, faultOf, isConflict, messageOf, SQLSTATE } from './fault.ts'
import { turns } from '../../platform/turns.ts'

export type PostgresSettings = BackendSettings

/** What became of one attempt to log in. Only a refusal of the secret or the role counts as refused: SQLSTATE 28P01 or 28000. */
export type Login =
  | { readonly kind: 'accepted'; readonly answered: boolean }
  | { readonly kind: 'refused'; readonly code: string; readonly message: string }
  | { readonly kind: 'failed'; readonly code: string; readonly why: string }

/** One PostgreSQL as the connector reaches it. */
export type PostgresBackend = {
  readonly settings: PostgresSettings
  /** Runs `work` on a connection of the administrator; what it throws is a `BackendFault` that begins with `doing`. */
  administer<T>(database: string, doing: string, work: (client: ClientBase) => Promise<T>): Promise<T>
  /**
   * The same for a transaction that changes grants. PostgreSQL does not let two of them wait for each other, but fails one ("tuple
   * concurrently updated"): ours take turns, and one that met another server's is done again.
   */
  changeGrants<T>(database: string, doing: string, work: (client: ClientBase) => Promise<T>): Promise<T>
  tryLogin(user: string, secret: string, database: string): Promise<Login>
  /** New connections of the administrator use this secret from now on. */
  useSecret(secret: string): void
  close(): Promise<void>
}

const CONNECT_TIMEOUT_MS = 5_000
/** Handing over thousands of objects takes seconds; nothing else takes more than milliseconds. */
const STATEMENT_TIMEOUT_MS = 30_000
/** A stranger who holds a lock on a lease's table delays its withdrawal, and must not block it silently. */
const LOCK_TIMEOUT_MS = 5_000
const IDLE_MS = 30_000
const POOL_SIZE = 4
const MOST_CONFLICTS = 8
const CONFLICT_PAUSE_MS = 10

export function postgresBackend(settings: PostgresSettings, firstSecret: string): PostgresBackend {
  let secret = firstSecret
  const doors = new Map<string, Door>()
  const inTurn = turns(1)

  function doorOf(database: string): Door {
    const known = doors.get(database)
    if (known) return known
    const pool = new Pool({
      ...common(settings, database), Client: GuardedClient, user: settings.user, password: () => secret,
      max: POOL_SIZE, idleTimeoutMillis: IDLE_MS, allowExitOnIdle: true,
    })
    // An idle connection may die at any time; the pool replaces it, and whoever is using one learns it from the query.
    pool.on('error', () => {})
    pool.on('connect', (client) => client.on('error', () => {}))
    // The driver's limit on connecting would also count the time spent waiting for a free connection, and fail whoever waits long.
    const door = { pool, pass: turns(POOL_SIZE) }
    doors.set(database, door)
    return door
  }

  const administer: PostgresBackend['administer'] = (database, doing, work) => {
    const { pool, pass } = doorOf(database)
    return pass(() => withConnection(pool, `${doing} in database \`${database}\``, work))
  }

  const changeGrants: PostgresBackend['changeGrants'] = (database, doing, work) => inTurn(async () => {
    for (let attempt = 1; ; attempt++) {
      try {
        return await administer(database, doing, work)
      } catch (error) {
        if (!isConflict(error) || attempt === MOST_CONFLICTS) throw error
        await pause(attempt * CONFLICT_PAUSE_MS)
      }
    }
  })

  return {
    settings,
    administer,
    changeGrants,
    tryLogin: (user, password, database) => tryLogin({ ...common(settings, database), user, password }),
    useSecret: (next) => { secret = next },
    close: async () => {
      const open = [...doors.values()]
      doors.clear()
      await Promise.all(open.map(({ pool }) => pool.end()))
    },
  }
}

type Door = { readonly pool: Pool; readonly pass: ReturnType<typeof turns> }

async function withConnection<T>(pool: Pool, doing: string, work: (client: ClientBase) => Promise<T>): Promise<T> {
  let client
  try {
    client = await pool.connect()
  } catch (error) {
    throw faultOf(error, `${doing}: no connection`)
  }
  try {
    const done = await work(client)
    client.release()
    return done
  } catch (error) {
    client.release(true) // whatever it had begun ends with the connection
    throw faultOf(error, doing)
  }
}

async function tryLogin(config: ClientConfig): Promise<Login> {
  const client = new GuardedClient(config)
  client.on('error', () => {}) // the connection's end is told by the call that was waiting for it
  try {
    await client.connect()
  } catch (error) {
    await client.end().catch(() => {})
    const code = codeOf(error)
    const refused = code === SQLSTATE.invalidPassword || code === SQLSTATE.invalidAuthorization
    return refused ? { kind: 'refused', code, message: messageOf(error) } : { kind: 'failed', code, why: `${messageOf(error)} (${code})` }
  }
  const answered = await client.query('select 1').then(() => true, () => false)
  await client.end().catch(() => {})
  return { kind: 'accepted', answered }
}

function tlsOf({ tls, ca }: PostgresSettings): NonNullable<ClientConfig['ssl']> {
  if (tls === 'disable') return false
  return { rejectUnauthorized: tls === 'verify-full', ...ca === undefined ? {} : { ca } }
}

function common(settings: PostgresSettings, database: string): ClientConfig {
  return {
    host: settings.host, port: settings.port, database,
    ssl: tlsOf(settings),
    application_name: 'writ',
    // INVARIANT: only the catalogue's own names. A lease may create functions and operators in a schema that would stand in the
    // administrator's path, and a better match there would run its code with the administrator's rights (CVE-2018-1058).
    options: '-c search_path=pg_catalog,pg_temp -c client_min_messages=warning',
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    statement_timeout: STATEMENT_TIMEOUT_MS,
    lock_timeout: LOCK_TIMEOUT_MS,
    idle_in_transaction_session_timeout: STATEMENT_TIMEOUT_MS,
    // Above the server's own limit: it answers only for a server that has gone silent.
    query_timeout: STATEMENT_TIMEOUT_MS + CONNECT_TIMEOUT_MS,
    keepAlive: true,
  }
}

/** Sends no password in the clear, unless TLS has told who listens: whoever stands between could simply ask for it. */
class GuardedClient extends Client {
  constructor(config?: ClientConfig) {
    super(config)
    const ssl = config?.ssl
    if (typeof ssl === 'object' && ssl.rejectUnauthorized === true) return
    // The driver's own listener would answer; ours comes first and takes the line away, so there is nobody to answer to.
    this.connection.prependListener('authenticationCleartextPassword', () => {
      this.connection.stream.destroy(new Error('the server asked for the password in the clear'))
    })
  }
}
