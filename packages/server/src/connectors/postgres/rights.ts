import type { Template } from '../connector.ts'
import { quoted } from './names.ts'
import { eachGrant, type OneGrant } from './template.ts'

/** One right that the administrator needs: how an operator gives it, and how to ask whether it is there. */
export type Right = {
  readonly statement: (administrator: string) => string
  /** A query for one boolean `held`, asked as the administrator in the template's database. */
  readonly query: string
  readonly values: readonly string[]
}

export const createRoleRight: Right = {
  statement: (administrator) => `alter role ${quoted(administrator)} createrole`,
  query: 'select rolcreaterole as held from pg_roles where rolname = current_user',
  values: [],
}

/** What the administrator must be able to do for leases of this template to begin and to end. */
export function rightsFor(template: Template, major: number): readonly Right[] {
  const rights: Right[] = [...ownerRights(template, major)]
  // Before 16 CREATEROLE alone lets one give any group away.
  if (major >= 16) rights.push(...template.memberOf.map((group): Right => ({
    statement: (administrator) => `grant ${quoted(group)} to ${quoted(administrator)} with admin true, inherit false, set false`,
    query: `select pg_has_role(current_user, $1::name, 'member with admin option') as held`,
    values: [group],
  })))
  const seen = new Set<string>()
  for (const grant of eachGrant(template)) {
    for (const right of grantRights(grant, template)) {
      const key = right.statement('')
      if (!seen.has(key)) rights.push(right)
      seen.add(key)
    }
  }
  return rights
}

/** Handing over takes the rights of both owners, the old one and the new one. */
function ownerRights({ owner }: Template, major: number): readonly Right[] {
  if (major >= 16) {
    return [{
      statement: (administrator) => `grant ${quoted(owner)} to ${quoted(administrator)} with inherit true, set true`,
      query: `select pg_has_role(current_user, $1::name, 'usage') and pg_has_role(current_user, $1::name, 'set') as held`,
      values: [owner],
    }]
  }
  return [
    {
      statement: (administrator) => `grant ${quoted(owner)} to ${quoted(administrator)}`,
      query: `select pg_has_role(current_user, $1::name, 'member') as held`,
      values: [owner],
    },
    {
      statement: (administrator) => `alter role ${quoted(administrator)} inherit`,
      query: 'select rolinherit as held from pg_roles where rolname = current_user',
      values: [],
    },
  ]
}

function grantRights(grant: OneGrant, template: Template): readonly Right[] {
  const { privilege, on, schema, reference, target } = grant
  const own: Right = {
    statement: (administrator) => `grant ${privilege} on ${target} to ${quoted(administrator)} with grant option`,
    query: GRANTABLE[on],
    values: [reference, `${privilege} with grant option`],
  }
  if (schema === undefined) return [own]
  if (on !== 'schema') return [usage(schema), own]
  if (privilege !== 'create') return [own]
  return [own, {
    // A function can be handed only to somebody who could have made it there.
    statement: () => `grant usage, create on schema ${quoted(schema)} to ${quoted(template.owner)}`,
    query: `select has_schema_privilege($1::name, $2, 'create') and has_schema_privilege($1::name, $2, 'usage') as held`,
    values: [template.owner, schema],
  }]
}

const one = (kind: 'schema' | 'database' | 'table' | 'sequence' | 'function'): string => `select has_${kind}_privilege(current_user, $1, $2) as held`

const allRelations = (kind: 'table' | 'sequence', relkinds: string): string => `
  select coalesce(bool_and(has_${kind}_privilege(current_user, c.oid, $2)), true) as held
    from pg_class c
    join pg_namespace n on n.oid = c.relnamespace
   where n.nspname = $1 and c.relkind in (${relkinds})`

const allFunctions = `
  select coalesce(bool_and(has_function_privilege(current_user, p.oid, $2)), true) as held
    from pg_proc p
    join pg_namespace n on n.oid = p.pronamespace
   where n.nspname = $1 and p.prokind <> 'p'`

const GRANTABLE: Readonly<Record<OneGrant['on'], string>> = {
  schema: one('schema'),
  database: one('database'),
  table: one('table'),
  sequence: one('sequence'),
  function: one('function'),
  'all tables in schema': allRelations('table', `'r', 'p', 'v', 'm', 'f'`),
  'all sequences in schema': allRelations('sequence', `'S'`),
  'all functions in schema': allFunctions,
}

const usage = (schema: string): Right => ({
  statement: (administrator) => `grant usage on schema ${quoted(schema)} to ${quoted(administrator)}`,
  query: `select has_schema_privilege(current_user, $1, 'usage') as held`,
  values: [schema],
})
