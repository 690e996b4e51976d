import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before } from 'node:test'
import { fileURLToPath } from 'node:url'
import { listEvents, type EventReply } from '@writ/contract/events'
import { listTasks, type TaskReply } from '@writ/contract/tasks'
import { writeConfig } from '../src/config.ts'
import { addShop } from '../../server/test/governed-writ.ts'
import { governedPostgres, type GovernedPostgres } from '../../server/test/governed-postgres.ts'
import { startWrit as startServer, type RunningWrit, type TestIdentity } from '../../server/test/running-writ.ts'
import { emptyStage, type Stage } from './run-writ.ts'

/** The command that a test runs with a lease: see there. */
export const WITH_LEASE = ['--', process.execPath, fileURLToPath(new URL('with-lease.ts', import.meta.url))] as const

/** A real server, a real PostgreSQL below it as back end `shop`, and a home whose configuration knows its operator and one identity. */
export type Estate = { readonly writ: RunningWrit; readonly shop: GovernedPostgres; readonly stage: Stage; readonly migrator: TestIdentity; readonly keyFile: string }

type EstateOrder = {
  /** A PostgreSQL of the test's own, that it may halt. */
  readonly at?: () => Promise<GovernedPostgres['server']>
  /** The server's settings. */
  readonly env?: NodeJS.ProcessEnv
  /** Done before the first test. */
  readonly ready?: (estate: Estate) => Promise<void>
}

/** One for all tests of a file. */
export function estateForFile(order: EstateOrder = {}): () => Estate {
  let estate: Estate | undefined
  const ends: (() => unknown)[] = []
  before(async () => {
    estate = await makeEstate(order, (end) => ends.unshift(end))
    await order.ready?.(estate)
  })
  after(async () => { for (const end of ends) await end() })
  return () => estate!
}

async function makeEstate(order: EstateOrder, atTheEnd: (end: () => unknown) => void): Promise<Estate> {
  const stage = await emptyStage({ after: (end: unknown) => atTheEnd(end as () => unknown) })
  const shop = await governedPostgres(18, await order.at?.())
  // A PostgreSQL of the test's own goes as a whole.
  if (order.at === undefined) atTheEnd(() => shop.remove())
  const writ = await startServer(order.env === undefined ? {} : { env: order.env })
  atTheEnd(() => writ.stop())
  const templates = templatesOf(shop)
  await addShop(writ, shop, { templates: templates as never })
  const migrator = await writ.register('migrator')
  const keyFile = join(stage.folder, 'migrator.jwk')
  writeFileSync(keyFile, JSON.stringify(migrator.privateKey.export({ format: 'jwk' })), { mode: 0o600 })
  await signedIn(stage, writ, { [migrator.spiffeId]: { key_file: keyFile } })
  return { writ, shop, stage, migrator, keyFile }
}

/** What an operator's file of templates says: `ddl` may make tables, `read` may only look. */
export const templatesOf = ({ database, owner }: GovernedPostgres) => ({
  ddl: { database, owner, grants: [{ privileges: ['usage', 'create'], on: 'schema', names: ['shop'] }, { privileges: ['select', 'insert'], on: 'table', names: ['shop.orders'] }] },
  read: { database, owner, grants: [{ privileges: ['usage'], on: 'schema', names: ['shop'] }, { privileges: ['select'], on: 'table', names: ['shop.orders'] }] },
})

/** Writes the configuration that a sign-in would have left. */
export const signedIn = (stage: Stage, writ: RunningWrit, identities: Readonly<Record<string, { readonly key_file: string }>> = {}): Promise<void> =>
  writeConfig(stage.environment, { url: writ.url, operator: { id: 'opr_test', key: writ.operatorKey }, identities })

/** The newest task; the tests of a file run one after another. */
export async function newestTask({ writ }: Pick<Estate, 'writ'>): Promise<TaskReply> {
  const { tasks } = (await writ.operator(listTasks, { query: { limit: '1' } })).reply
  return tasks[0] ?? assert.fail('there is no task')
}

export async function countTasks({ writ }: Pick<Estate, 'writ'>): Promise<number> {
  return (await writ.operator(listTasks, { query: { limit: '1000' } })).reply.tasks.length
}

export async function eventsOfTask({ writ }: Pick<Estate, 'writ'>, task: string): Promise<readonly EventReply[]> {
  return (await writ.operator(listEvents, { query: { task, limit: '1000' } })).reply.events
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
