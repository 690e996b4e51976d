import assert from 'node:assert/strict'
import * as backends from '@writ/contract/backends'
import * as events from '@writ/contract/events'
import * as tasks from '@writ/contract/tasks'
import { Client } from 'pg'
import type { GovernedPostgres } from './governed-postgres.ts'
import type { Ask, Got, RunningWrit, TestIdentity } from './running-writ.ts'

export const GRANT = [{ type: 'postgres', locations: ['shop'], actions: ['ddl'] }]
export const DDL = { type: 'postgres', resource: 'shop', action: 'ddl' } as const

/** What the operator says when the shop's PostgreSQL is put under Writ, as the back end `shop` with the template `ddl`. */
export function shopBody(shop: GovernedPostgres, more: Partial<backends.AddBackendBody> = {}): backends.AddBackendBody {
  const { name, database, owner, memberOf, connectionLimit, grants } = shop.template
  const template = {
    database, owner, member_of: [...memberOf], connection_limit: connectionLimit,
    grants: grants.map((one) => ({ ...one, privileges: [...one.privileges], names: [...one.names] })),
  }
  return {
    name: 'shop', kind: 'postgres', settings: { ...shop.settings }, templates: { [name]: template as never }, secret: shop.administratorSecret, ...more,
  }
}

export async function addShop(writ: RunningWrit, shop: GovernedPostgres, more: Partial<backends.AddBackendBody> = {}): Promise<void> {
  const added = await writ.operator(backends.addBackend, { body: shopBody(shop, more) })
  assert.equal(added.status, 201, added.text)
}

/** How the roles of this installation begin. */
export async function handlePrefixOf(writ: Pick<RunningWrit, 'stranger'>): Promise<string> {
  const { logs } = (await writ.stranger(events.listLogs)).reply
  return `writ_${logs[0]!.origin.split('/')[1]!.slice(-8)}_`
}

export type OpenBody = Partial<tasks.OpenTaskBody>

export const open = (by: TestIdentity, body: OpenBody = {}, headers: Ask['headers'] = {}): Promise<Got<tasks.TaskReply>> =>
  by.api(tasks.openTask, { body: { purpose: 'tidies the orders', authorization_details: GRANT, ...body }, headers: headers ?? {} })

/** Opens a task that must open; answers its id. */
export async function opened(by: TestIdentity, body: OpenBody = {}): Promise<string> {
  const got = await open(by, body)
  assert.equal(got.status, 201, got.text)
  return got.reply.id
}

export const ask = (by: TestIdentity, task: string, headers: Ask['headers'] = {}): Promise<Got<tasks.IssuedLease>> =>
  by.api(tasks.issueLease, { parameters: { id: task }, body: DDL, headers: headers ?? {} })

/** A lease that must be given. */
export async function leased(by: TestIdentity, task: string, headers: Ask['headers'] = {}): Promise<tasks.IssuedLease> {
  const got = await ask(by, task, headers)
  assert.equal(got.status, 201, got.text)
  return got.reply
}

export const complete = (by: TestIdentity, task: string): Promise<Got<tasks.TaskReply>> => by.api(tasks.completeTask, { parameters: { id: task } })
export const show = (by: Pick<TestIdentity, 'api'>, task: string): Promise<Got<tasks.TaskReply>> =>
  by.api(tasks.showTask, { parameters: { id: task } })

/** A session with nothing but what the reply said. Its end is what a test waits for. */
export async function login(lease: tasks.IssuedLease): Promise<Client> {
  const client = new Client({ host: lease.host, port: lease.port, user: lease.user, password: lease.secret, database: lease.database })
  client.on('error', () => { /* its end is what the test waits for */ })
  await client.connect()
  return client
}

/** The SQLSTATE with which a login is refused; fails when it is let in. */
export async function refusalOf(lease: tasks.IssuedLease): Promise<string> {
  try {
    const client = await login(lease)
    await client.end()
  } catch (error) {
    return String((error as { readonly code?: unknown }).code)
  }
  return assert.fail(`${lease.user} was let in`)
}
