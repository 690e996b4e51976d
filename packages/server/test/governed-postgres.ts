import { randomBytes } from 'node:crypto'
import { mintId, type LeaseId } from '@writ/domain/id'
import { SECRET_PREFIX, toSecret } from '@writ/domain/secret'
import { epochMs } from '@writ/domain/time'
import { Client } from 'pg'
import { ask } from '../../../scripts/postgres-cluster.ts'
import type { Connector, MintOrder, Template } from '../src/connectors/connector.ts'
import type { PostgresSettings } from '../src/connectors/postgres/backend.ts'
import { postgresConnector } from '../src/connectors/postgres/connector.ts'
import { postgres, type TestPostgres } from './postgres.ts'

type Rows = readonly Readonly<Record<string, unknown>>[]

/** A shop's database with an owner, a readers' group and an administrator who is no superuser, as an operator would have set it up. */
export type GovernedPostgres = {
  readonly server: Pick<TestPostgres, 'host' | 'port' | 'url'>
  readonly database: string
  /** Another database of the same owner. */
  readonly elsewhere: string
  readonly owner: string
  readonly readers: string
  readonly settings: PostgresSettings
  readonly administratorSecret: string
  readonly template: Template
  readonly connector: Connector
  /** An order for a fresh lease of the template. */
  order(over?: Partial<MintOrder>): MintOrder
  asSuperuser(statement: string, values?: readonly unknown[], database?: string): Promise<Rows>
  login(of: Pick<MintOrder, 'handle' | 'secret'>, database?: string): Promise<Client>
  rolesNamed(prefix: string): Promise<readonly string[]>
  remove(): Promise<void>
}

/** On the server that all test files share, unless `at` names one of the test's own. */
export async function governedPostgres(version: 15 | 18, at?: GovernedPostgres['server']): Promise<GovernedPostgres> {
  const server = at ?? await postgres(version)
  const tag = randomBytes(4).toString('hex')
  const names = { database: `shop_${tag}`, elsewhere: `else_${tag}`, owner: `Shop Owner ${tag}`, readers: `readers_${tag}`, user: `admin_${tag}` }
  const administratorSecret = randomBytes(24).toString('base64url')
  const asSuperuser: GovernedPostgres['asSuperuser'] = (statement, values = [], database) => ask(server.url(database), statement, values)
  const newest = version >= 16
  await asSuperuser(`
    create role "${names.owner}"; create role ${names.readers};
    create role ${names.user} login createrole inherit password '${administratorSecret}';
    grant "${names.owner}" to ${names.user}${newest ? ' with inherit true, set true' : ''};
    grant ${names.readers} to ${names.user}${newest ? ' with admin true, inherit false, set false' : ''}`)
  for (const database of [names.database, names.elsewhere]) {
    await asSuperuser(`create database ${database} owner "${names.owner}"`)
    await asSuperuser(`
      set role "${names.owner}";
      create schema shop;
      create table shop.orders (id int primary key, item text not null);
      insert into shop.orders values (1, 'lamp'), (2, 'chair');
      create table shop.salaries (person text, amount int);
      insert into shop.salaries values ('maya', 100)`, [], database)
  }
  const settings: PostgresSettings = { host: server.host, port: server.port, database: names.database, user: names.user, tls: 'disable' }
  const template: Template = {
    name: 'ddl', database: names.database, owner: names.owner, memberOf: [], connectionLimit: 5,
    grants: [
      { privileges: ['usage', 'create'], on: 'schema', names: ['shop'] },
      { privileges: ['select', 'insert'], on: 'table', names: ['shop.orders'] },
    ],
  }
  const connector = postgresConnector(settings, administratorSecret)
  const login: GovernedPostgres['login'] = async ({ handle, secret }, database = names.database) => {
    const client = new Client({ host: server.host, port: server.port, user: handle, password: secret, database })
    client.on('error', () => { /* its end is what the test waits for */ })
    await client.connect()
    return client
  }
  return {
    server, database: names.database, elsewhere: names.elsewhere, owner: names.owner, readers: names.readers,
    settings, administratorSecret, template, connector, asSuperuser, login,
    order: (over = {}) => {
      const lease = freshLease()
      return { lease, handle: `writ_${tag}_${lease.slice(4)}`, secret: freshSecret(), template, expiresAt: epochMs(Date.now() + 60_000), ...over }
    },
    rolesNamed: async (prefix) => {
      const rows = await asSuperuser('select rolname from pg_roles where starts_with(rolname, $1) order by 1', [prefix])
      return rows.map((row) => String(row['rolname']))
    },
    remove: async () => {
      await connector.close()
      for (const database of [names.database, names.elsewhere]) await asSuperuser(`drop database if exists ${database} with (force)`)
    },
  }
}

export const freshLease = (): LeaseId => mintId('lease', epochMs(Date.now()), randomBytes(10))

export const freshSecret = (): string => toSecret(SECRET_PREFIX.database, randomBytes(32))
