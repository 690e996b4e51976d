import { escapeLiteral, type ClientBase } from 'pg'
import type { ControlLogin } from '@writ/domain/lease'
import { toIso, type EpochMs } from '@writ/domain/time'
import type { Clock } from '../../platform/clock.ts'
import { failpoint } from '../../platform/failpoint.ts'
import { BackendFault, type LeaseAddress, type Template } from '../connector.ts'
import { SQLSTATE } from './fault.ts'
import type { PostgresBackend } from './backend.ts'
import { markOf } from './mark.ts'
import { isName, quoted } from './names.ts'
import { eachGrant } from './template.ts'

export type RoleOrder = {
  readonly handle: string
  /** Whose role it is, for whoever reads the catalogue: a lease's id. */
  readonly bearer: string
  readonly verifier: string
  readonly template: Template
  readonly expiresAt: EpochMs
}

/** Creates the role with all that its template gives, or nothing. */
export async function createRole(backend: PostgresBackend, order: RoleOrder): Promise<void> {
  if (!isName(order.handle)) throw new Error('a handle is no PostgreSQL name')
  await backend.changeGrants(order.template.database, `minting \`${order.handle}\``, async (client) => {
    const major = await majorOf(client)
    const notGranted: string[] = []
    const listen = (notice: { readonly code?: string | undefined; readonly message?: string | undefined }): void => {
      // A grant without grant option is only warned of, and the lease would come out with less than its template says.
      if (notice.code === SQLSTATE.privilegeNotGranted) notGranted.push(notice.message ?? '')
    }
    client.on('notice', listen)
    try {
      await client.query(`begin; ${statements(order, major).join('; ')}`)
    } finally {
      client.off('notice', listen)
    }
    if (notGranted.length > 0) {
      throw new BackendFault(`minting \`${order.handle}\`: the administrator may not grant: ${notGranted.join('; ')}`, SQLSTATE.privilegeNotGranted)
    }
    failpoint('lease.mint.before_commit')
    await client.query('commit')
  })
}

function statements({ handle, bearer, verifier, template, expiresAt }: RoleOrder, major: number): readonly string[] {
  const role = quoted(handle)
  return [
    durable,
    `create role ${role} login inherit nosuperuser nocreatedb nocreaterole noreplication nobypassrls`
      + ` connection limit ${template.connectionLimit} valid until ${escapeLiteral(toIso(expiresAt))} password ${escapeLiteral(verifier)}`,
    `comment on role ${role} is ${escapeLiteral(markOf(bearer))}`,
    // What the lease makes can be handed over only by somebody who has the lease's rights and its owner's. From 16 on, whoever creates
    // a role may administer it but does not have its rights (createrole_self_grant); before, there is one kind of membership.
    `grant ${role} to current_user${major >= 16 ? ' with inherit true, set false' : ''}`,
    // The lease has its groups' rights but cannot become one of them: what it makes is its own, so it can be listed and handed over.
    // Before 16 `set role` cannot be kept from a member.
    ...template.memberOf.map((group) => `grant ${quoted(group)} to ${role}${major >= 16 ? ' with inherit true, set false' : ''}`),
    ...eachGrant(template).map(({ privilege, target }) => `grant ${privilege} on ${target} to ${role}`),
  ]
}

/** A commit that was reported and then lost in a crash of the back end would bring a dead login back. */
export const durable = `select set_config('synchronous_commit', 'on', true) where current_setting('synchronous_commit') = 'off'`

/** Per connection: a server changes its version only by ending them all. */
const majors = new WeakMap<ClientBase, number>()

export async function majorOf(client: ClientBase): Promise<number> {
  const known = majors.get(client)
  if (known !== undefined) return known
  const { rows } = await client.query<{ number: string }>(`select current_setting('server_version_num') as number`)
  const major = Math.floor(Number(rows[0]?.number) / 10_000)
  majors.set(client, major)
  return major
}

/** Logs in once with the very secret that will be tried when the lease is dead (decision 10). */
export async function controlLogin(
  backend: PostgresBackend, clock: Clock, lease: { readonly handle: string; readonly secret: string; readonly database: string },
): Promise<ControlLogin> {
  const began = clock.now()
  const login = await backend.tryLogin(lease.handle, lease.secret, lease.database)
  switch (login.kind) {
    case 'accepted': return login.answered ? { ok: true, tookMs: clock.now() - began } : { ok: false, why: 'logged in, but got no answer to a query' }
    case 'refused': return { ok: false, why: `${login.message} (${login.code})` }
    case 'failed': return { ok: false, why: login.why }
  }
}

export function addressOf(backend: PostgresBackend, handle: string, template: Template): LeaseAddress {
  const { host, port, tls } = backend.settings
  return { host, port, database: template.database, user: handle, tls: tls !== 'disable' }
}
