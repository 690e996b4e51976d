import { randomBytes } from 'node:crypto'
import { ask, startCluster, type Cluster } from '../../../scripts/postgres-cluster.ts'

export type TestDatabase = { readonly name: string; readonly url: string; drop(): Promise<void> }

export type TestPostgres = {
  readonly version: 15 | 18
  readonly host: string
  readonly port: number
  /** The superuser's URL of `database`, `postgres` when left out. */
  url(database?: string): string
  /** A fresh database of its own, empty or a copy, so that test files can run side by side on one server. */
  createDatabase(order?: { readonly like: string }): Promise<TestDatabase>
}

const started = new Map<number, Promise<Cluster>>()

/**
 * The PostgreSQL that the test runner already started (`WRIT_TEST_POSTGRES_15`, `_18`: a superuser's URL), else one that is started once
 * for this process and ends with it.
 */
export async function postgres(version: 15 | 18): Promise<TestPostgres> {
  const given = process.env[`WRIT_TEST_POSTGRES_${version}`]
  if (given !== undefined) return testPostgres(version, new URL(given))
  const starting = started.get(version) ?? startCluster({ version })
  started.set(version, starting)
  return testPostgres(version, new URL((await starting).url()))
}

function testPostgres(version: 15 | 18, superuser: URL): TestPostgres {
  const url = (database = 'postgres'): string => {
    const other = new URL(superuser)
    other.pathname = `/${encodeURIComponent(database)}`
    return other.href
  }
  return {
    version,
    host: superuser.hostname,
    port: Number(superuser.port),
    url,
    createDatabase: async (order) => {
      const name = `writ_test_${randomBytes(6).toString('hex')}`
      await ask(url(), `create database ${name}${order === undefined ? '' : ` template ${order.like}`}`)
      return { name, url: url(name), drop: async () => { await ask(url(), `drop database if exists ${name} with (force)`) } }
    },
  }
}
