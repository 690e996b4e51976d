import type { Template, TemplateGrant } from '../connector.ts'
import { isName, parseQualified, quoted, quotedQualified } from './names.ts'

type Target = TemplateGrant['on']

const RELATION = ['select', 'insert', 'update', 'delete', 'truncate', 'references', 'trigger', 'maintain'] as const
const SEQUENCE = ['usage', 'select', 'update'] as const

/** The closed list of what may be granted on what. A privilege goes into a statement as it stands here, never as it was written. */
const PRIVILEGES: Readonly<Record<Target, readonly string[]>> = {
  schema: ['usage', 'create'],
  table: RELATION,
  'all tables in schema': RELATION,
  sequence: SEQUENCE,
  'all sequences in schema': SEQUENCE,
  function: ['execute'],
  'all functions in schema': ['execute'],
  database: ['connect', 'create', 'temporary'],
}

/** Roles that reach the server's host, or run work as somebody else: their members are not bounded by what a template grants. */
const UNBOUNDED_GROUPS = ['pg_execute_server_program', 'pg_read_server_files', 'pg_write_server_files', 'pg_create_subscription']

/** What is wrong with a template before any database is asked; undefined when nothing is. */
export function flawOf(template: Template): string | undefined {
  for (const name of [template.database, template.owner, ...template.memberOf]) if (!isName(name)) return `\`${name}\` is not a name`
  if (!Number.isSafeInteger(template.connectionLimit) || template.connectionLimit < 1) return 'the connection limit must be 1 or more'
  const unbounded = template.memberOf.find((group) => UNBOUNDED_GROUPS.includes(group))
  if (unbounded) return `members of \`${unbounded}\` are not bounded by what the template grants`
  for (const grant of template.grants) {
    const flaw = flawOfGrant(grant)
    if (flaw) return flaw
  }
  return undefined
}

function flawOfGrant(grant: TemplateGrant): string | undefined {
  const known = PRIVILEGES[grant.on] as readonly string[] | undefined
  if (!known) return `nothing can be granted on \`${grant.on}\``
  if (grant.privileges.length === 0) return `a grant on \`${grant.on}\` names no privilege`
  if (grant.names.length === 0) return `a grant on \`${grant.on}\` names nothing`
  const privilege = grant.privileges.find((wanted) => !known.includes(wanted.toLowerCase()))
  if (privilege !== undefined) return `\`${privilege}\` can't be granted on \`${grant.on}\`, only ${known.join(', ')}`
  const name = grant.names.find((given) => placeOf(grant.on, given) === undefined)
  if (name !== undefined) return `\`${name}\` does not name a ${grant.on}: ${SHAPE[shapeOf(grant.on)]} is expected`
  return undefined
}

const SHAPE = { name: '`name`', relation: '`schema.name`', function: '`schema.name(types)`' } as const

function shapeOf(on: Target): keyof typeof SHAPE {
  if (on === 'table' || on === 'sequence') return 'relation'
  return on === 'function' ? 'function' : 'name'
}

/** One privilege on one thing, checked and quoted. */
export type OneGrant = {
  readonly privilege: string
  readonly on: Target
  /** Undefined for a database. */
  readonly schema: string | undefined
  /** As the catalogue's functions take it: `shop` for a schema or a database, else `"shop"."orders"`. */
  readonly reference: string
  /** As it stands after `grant ... on`: `table "shop"."orders"`. */
  readonly target: string
}

type Place = Pick<OneGrant, 'schema' | 'reference' | 'target'>

function placeOf(on: Target, name: string): Place | undefined {
  const shape = shapeOf(on)
  if (shape === 'name') {
    if (!isName(name)) return undefined
    return { schema: on === 'database' ? undefined : name, reference: name, target: `${on} ${quoted(name)}` }
  }
  const found = parseQualified(name, shape)
  if (!found) return undefined
  const reference = `${quotedQualified(found)}${shape === 'function' ? `(${found.parameters})` : ''}`
  return { schema: found.schema, reference, target: `${on} ${reference}` }
}

/** The template's grants one by one. */
export function eachGrant(template: Template): readonly OneGrant[] {
  return template.grants.flatMap(({ on, names, privileges }) => names.flatMap((name) => privileges.map((wanted) => {
    const privilege = PRIVILEGES[on].find((known) => known === wanted.toLowerCase())
    const place = placeOf(on, name)
    if (privilege === undefined || place === undefined) throw new Error('a template is used that was never checked')
    return { privilege, on, ...place }
  })))
}
