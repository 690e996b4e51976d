import type { Probe } from '@writ/domain/lease'
import type { Clock } from '../../platform/clock.ts'
import { BackendFault, type FoundLease, type Template } from '../connector.ts'
import type { PostgresBackend } from './backend.ts'
import { MARK } from './mark.ts'

/** Tries a secret that should be dead, and then looks the role up as administrator: refused and absent are two observations. */
export async function probeRole(
  backend: PostgresBackend, clock: Clock, dead: { readonly handle: string; readonly secret: string; readonly template: Template },
): Promise<Probe> {
  const { host, port } = backend.settings
  const began = clock.now()
  const login = await backend.tryLogin(dead.handle, dead.secret, dead.template.database)
  const tookMs = clock.now() - began
  switch (login.kind) {
    case 'accepted': return { kind: 'accepted', by: `PostgreSQL at ${host}:${port}` }
    case 'failed': return { kind: 'not_evaluated', why: `the dead secret could not be tried: ${login.why}` }
    case 'refused': {
      try {
        const { version, present } = await lookUp(backend, dead.handle)
        const by = `PostgreSQL ${version} at ${host}:${port}`
        return { kind: 'refused', by, code: login.code, message: login.message, absentFromCatalogue: !present, tookMs }
      } catch (error) {
        if (!(error instanceof BackendFault)) throw error
        return { kind: 'not_evaluated', why: `refused with ${login.code}, but the catalogue could not be read: ${error.message}` }
      }
    }
  }
}

async function lookUp(backend: PostgresBackend, handle: string): Promise<{ readonly version: string; readonly present: boolean }> {
  return backend.administer(backend.settings.database, `looking for \`${handle}\``, async (client) => {
    const { rows } = await client.query<{ version: string; present: boolean }>(`
      select split_part(current_setting('server_version'), ' ', 1) as version,
             exists (select 1 from pg_roles where rolname = $1) as present`, [handle])
    if (rows[0] === undefined) throw new BackendFault(`looking for \`${handle}\`: no answer`, 'no_answer')
    return rows[0]
  })
}

/** Roles that carry the prefix and the mark of a lease. */
export async function listRoles(backend: PostgresBackend, prefix: string): Promise<readonly FoundLease[]> {
  return backend.administer(backend.settings.database, 'listing leases', async (client) => {
    const { rows } = await client.query<FoundLease>(`
      select rolname as handle
        from pg_roles
       where starts_with(rolname::text, $1)
         and starts_with(shobj_description(oid, 'pg_authid'), $2)
    order by rolname`, [prefix, MARK])
    return rows
  })
}
