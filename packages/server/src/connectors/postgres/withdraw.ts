import { setTimeout as pause } from 'node:timers/promises'
import type { Reassigned } from '@writ/domain/lease'
import { failpoint } from '../../platform/failpoint.ts'
import { BackendFault, type Connector, type Template, type Withdrawal } from '../connector.ts'
import type { PostgresBackend } from './backend.ts'
import { SQLSTATE } from './fault.ts'
import { handOver, surveyDatabase } from './hand-over.ts'
import { bearerOf } from './mark.ts'
import { durable } from './mint.ts'
import { quoted } from './names.ts'

export type WithdrawOrder = {
  readonly handle: string
  readonly template: Template
  readonly survey: Parameters<Connector['withdraw']>[2]
  /** Only the role of this lease is touched; of any, when left out. */
  readonly bearer?: string
}

type LeaseRole = { readonly handle: string; readonly oid: number; readonly bearer: string }

/** From 5 ms on, doubling to 100 ms: about 5 s in all, in which a session that was told to end must have ended. */
const WAITS_MS = [5, 10, 20, 40, 80, ...Array.from({ length: 50 }, () => 100)]

/** Somebody may give the role something new while it is being cleared; then it is cleared again, and no more than this often. */
const MOST_CLEARINGS = 3

const GONE: Withdrawal = { existed: false, sessionsEnded: 0, reassigned: [] }

/**
 * Ends a lease's role in steps that each may be the last before a crash: no more logins, no more sessions, everything handed over in
 * every database, no role. What an earlier attempt did is found done, and is not listed again: `survey` was told of it.
 */
export async function withdrawRole(backend: PostgresBackend, order: WithdrawOrder): Promise<Withdrawal> {
  const { handle, template, bearer } = order
  const role = await findRole(backend, handle)
  if (role === undefined) return GONE
  if (bearer !== undefined && role.bearer !== bearer) {
    throw new BackendFault(`role \`${handle}\` belongs to \`${role.bearer}\`: it is left as it is`, 'not_ours')
  }
  await shut(backend, handle)
  failpoint('lease.withdraw.after_shut')
  let sessionsEnded = await endSessions(backend, role)
  failpoint('lease.withdraw.after_sessions')
  await refusePrepared(backend, handle)
  const reassigned = new Map<string, Reassigned>()
  const note = (found: readonly Reassigned[]): void => found.forEach((each) => reassigned.set(keyOf(each), each))
  for (let clearing = 1; ; clearing++) {
    const places = (await databasesOf(backend, role)).map((database) => ({ handle, owner: template.owner, database }))
    for (const place of places) note(await surveyDatabase(backend, place))
    if (sessionsEnded > 0 || reassigned.size > 0) await order.survey({ sessionsEnded, reassigned: [...reassigned.values()] })
    for (const place of places) note(await handOver(backend, place))
    // A login that had passed the check just before the role was shut shows only now.
    sessionsEnded += await endSessions(backend, role)
    failpoint('lease.withdraw.before_drop')
    try {
      await drop(backend, handle)
      return { existed: true, sessionsEnded, reassigned: [...reassigned.values()] }
    } catch (error) {
      if (!(error instanceof BackendFault && error.code === SQLSTATE.dependentObjects) || clearing === MOST_CLEARINGS) throw error
    }
  }
}

const keyOf = (of: Reassigned): string => JSON.stringify([of.database, of.kind, of.name])

async function findRole(backend: PostgresBackend, handle: string): Promise<LeaseRole | undefined> {
  return backend.administer(backend.settings.database, `looking for \`${handle}\``, async (client) => {
    const { rows } = await client.query<{ oid: number; comment: string | null }>(`
      select oid, shobj_description(oid, 'pg_authid') as comment
        from pg_roles
       where rolname = $1`, [handle])
    const row = rows[0]
    if (row === undefined) return undefined
    const bearer = bearerOf(row.comment)
    // INVARIANT: only what Writ has made is ever dropped; a person's role may happen to have such a name.
    if (bearer === undefined) throw new BackendFault(`role \`${handle}\` does not carry the mark of a lease: it is left as it is`, 'not_ours')
    return { handle, oid: row.oid, bearer }
  })
}

/** One statement, committed at once: from here on the secret opens nothing, whatever becomes of the rest. */
async function shut(backend: PostgresBackend, handle: string): Promise<void> {
  await backend.administer(backend.settings.database, `shutting \`${handle}\``, (client) => client.query(
    `${durable}; alter role ${quoted(handle)} nologin connection limit 0 password null`,
  ))
}

/** Ends the role's sessions and waits until the server has none left; returns how many there were. */
async function endSessions(backend: PostgresBackend, role: LeaseRole): Promise<number> {
  const ended = new Set<number>()
  for (const wait of [0, ...WAITS_MS]) {
    if (wait > 0) await pause(wait)
    const { rows } = await backend.administer(backend.settings.database, `ending the sessions of \`${role.handle}\``, (client) => (
      client.query<{ pid: number }>(`
        select pid, pg_terminate_backend(pid)
          from pg_stat_activity
         where usesysid = $1`, [role.oid])
    ))
    if (rows.length === 0) return ended.size
    for (const { pid } of rows) ended.add(pid)
  }
  throw new BackendFault(`\`${role.handle}\` still has sessions that do not end`, 'sessions_remain')
}

/**
 * A prepared transaction outlives its session and is decided by whoever coordinates it; to roll it back unasked could tear a change in
 * two. Until it is decided it holds the lease's locks, and may still bring objects of the lease into being.
 */
async function refusePrepared(backend: PostgresBackend, handle: string): Promise<void> {
  const left = await backend.administer(backend.settings.database, `looking for prepared transactions of \`${handle}\``, (client) => (
    client.query<{ database: string; count: number }>(`
        select database, count(*)::int as count
          from pg_prepared_xacts
         where owner = $1
      group by database
      order by database`, [handle])
  ))
  if (left.rows.length === 0) return
  const where = left.rows.map(({ database, count }) => `${count} in database \`${database}\``).join(', ')
  throw new BackendFault(
    `\`${handle}\` left prepared transactions (${where}): as a superuser connected there, see pg_prepared_xacts, then`
      + ' `commit prepared` or `rollback prepared` each; the withdrawal goes on by itself', 'prepared_transactions',
  )
}

/** Every database where the role owns something or was given something, and always one for what belongs to none. */
async function databasesOf(backend: PostgresBackend, role: LeaseRole): Promise<readonly string[]> {
  const home = backend.settings.database
  return backend.administer(home, `looking for what \`${role.handle}\` holds`, async (client) => {
    const { rows } = await client.query<{ name: string }>(`
      select distinct d.datname as name
        from pg_shdepend s
        join pg_database d on d.oid = s.dbid
       where s.refclassid = 'pg_authid'::regclass
         and s.refobjid = $1
    order by name`, [role.oid])
    return [...new Set([...rows.map(({ name }) => name), home])]
  })
}

async function drop(backend: PostgresBackend, handle: string): Promise<void> {
  await backend.administer(backend.settings.database, `dropping \`${handle}\``, (client) => (
    client.query(`${durable}; drop role if exists ${quoted(handle)}`)
  ))
}
