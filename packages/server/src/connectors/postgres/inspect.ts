import type { ClientBase } from 'pg'
import type { Template } from '../connector.ts'
import { codeOf, SQLSTATE } from './fault.ts'
import { eachGrant, type OneGrant } from './template.ts'

/** What is wrong with a template in the database where it would be used: something is missing, or gives more than a lease may have. */
export async function flawInDatabase(client: ClientBase, template: Template): Promise<string | undefined> {
  const owner = await roleNamed(client, template.owner)
  if (!owner) return `there is no role \`${template.owner}\` to own what the lease makes`
  if (owner.superuser) return `the owner \`${template.owner}\` is a superuser: what a lease wrote would run with all rights`
  if (owner.administrator) return `the owner \`${template.owner}\` is the administrator itself: what a lease wrote would run with its rights`
  for (const name of template.memberOf) {
    const group = await roleNamed(client, name)
    if (!group) return `there is no role \`${name}\` to be a member of`
    // A member may become its group (`set role`), and only then has its attributes.
    if (group.superuser || group.attributes) return `members of \`${name}\` could act as a superuser, make roles, or pass row security`
    if (group.administrator) return `members of \`${name}\` would have the administrator's rights`
  }
  for (const grant of eachGrant(template)) {
    if (!await exists(client, grant)) return `there is no ${grant.target} in database \`${template.database}\``
  }
  return undefined
}

type Role = { readonly superuser: boolean; readonly attributes: boolean; readonly administrator: boolean }

async function roleNamed(client: ClientBase, name: string): Promise<Role | undefined> {
  const { rows } = await client.query<Role>(`
    select rolsuper as superuser,
           rolcreaterole or rolbypassrls or rolreplication as attributes,
           pg_has_role(oid, (select oid from pg_roles where rolname = current_user), 'member') as administrator
      from pg_roles
     where rolname = $1`, [name])
  return rows[0]
}

const RELKINDS = { table: ['r', 'p', 'v', 'm', 'f'], sequence: ['S'] } as const

async function exists(client: ClientBase, { on, schema, reference }: OneGrant): Promise<boolean> {
  switch (on) {
    case 'database': return found(client, 'select from pg_database where datname = $1', [reference])
    case 'schema':
    case 'all tables in schema':
    case 'all sequences in schema':
    case 'all functions in schema': return found(client, 'select from pg_namespace where nspname = $1', [reference])
    case 'table':
    case 'sequence': return found(client, `
      select
        from pg_class c
        join pg_namespace n on n.oid = c.relnamespace
       where quote_ident(n.nspname) || '.' || quote_ident(c.relname) = (
               select string_agg(quote_ident(part), '.' order by at) from unnest(parse_ident($1)) with ordinality as p (part, at))
         and c.relkind = any ($2::"char"[])`, [reference, RELKINDS[on]])
    case 'function': {
      try {
        return await found(client, 'select where to_regprocedure($1) is not null', [reference])
      } catch (error) {
        // A schema closed to the administrator is a missing right, and named as one.
        if (codeOf(error) === SQLSTATE.insufficientPrivilege) return found(client, 'select from pg_namespace where nspname = $1', [schema])
        throw error
      }
    }
  }
}

const found = async (client: ClientBase, query: string, values: readonly unknown[]): Promise<boolean> => (
  (await client.query(query, [...values])).rowCount ?? 0) > 0
